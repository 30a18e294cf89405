-- `lest check`: what of a server ends when, what breaks then, and exit codes for monitoring.
local core = require "lest.core"
local json = require "lest.json"
local pki = require "support.pki"
local process = require "support.process"
local support = require "support.server"

local DAY <const> = 86400

describe("lest check", function()
  local server
  before_each(function() server = support.make {} end)
  after_each(function() server:stop() end)

  local function check(...)
    local code, out, err = process.run { server.lest, "check", "--config", server.dir
      .. "/server.lua", ... }
    return code, out, err
  end

  local function items(...)
    local code, out, err = check("--json", ...)
    assert.equal("", err)
    local result = json.decode(out)
    assert.equal(code, result.exit_code)
    local by = {}
    for _, item in ipairs(result.items) do by[item.key] = by[item.key] or item end
    return by, code
  end

  local function server_pem(from_days, to_days)
    local root = { cert = assert(core.cert.load(server.dir .. "/ca.pem")),
      key = assert(core.key.load(server.dir .. "/ca.key")) }
    local issuer <close> = assert(core.issuer.new(root))
    local key = assert(core.key.load(server.dir .. "/server.key"))
    local der = assert(issuer:issue { public_key = key:public_der(), subject = "CN=localhost",
      san = { "DNS:localhost" }, not_before = os.time() + from_days * DAY,
      not_after = os.time() + to_days * DAY, key_usage = { "digitalSignature" } })
    assert(assert(core.cert.parse(der)):save(server.dir .. "/server.pem"))
  end

  it("is content with what was made today, and says what ends first", function()
    local code, out, err = check()
    assert.equal(0, code, err)
    assert.matches("^STATE +ENDS +KEY +WHAT\n", out)
    assert.matches("First to end: tls, .*\nDo: put the next one in its place", out)
    local by = items()
    assert.equal("ok", by.tls.state)
    assert.equal("ok", by.ca.state)
    assert.equal("ok", by.cmc.state)
    assert.is_nil(by["anchors.own"]) -- it is the CA
  end)

  it("warns of what ends soon, and fails for what is over or is not there", function()
    server_pem(-40, 20)
    local by, code = items()
    assert.equal("warning", by.tls.state)
    assert.equal(1, code)
    assert.equal(0, select(2, items("--within", "10d")))
    local _, out = check()
    assert.matches("warning: tls: the server's certificate, CN=localhost\n.*\n  then: no client",
      out)
    server_pem(-40, -1)
    by, code = items()
    assert.equal("expired", by.tls.state)
    assert.equal(2, code)
    os.remove(server.dir .. "/server.pem")
    by, code = items()
    assert.equal("broken", by.tls.state)
    assert.matches("server.pem", by.tls.problem)
    assert.equal(2, code)
  end)

  it("says of a CA that it ends before what it gives, and of CRLs and anchors", function()
    local ca <close> = pki.new()
    local short = ca:root("short", { days = 60 })
    local gone = ca:root("gone", { days = -1 })
    process.must(("cp %s %s/ca.pem && cp %s %s/ca.key && cp %s %s/gone.pem"):format(short.path,
      server.dir, short.key, server.dir, gone.path, server.dir))
    server:edit_config(function(text)
      return (text:gsub('anchors = {', 'crls = "no.crl", anchors = { gone = "gone.pem",', 1))
    end)
    local by, code = items()
    assert.equal("warning", by.ca.state)
    assert.matches("ends before what its profiles give %(90d%)", by.ca.problem)
    assert.equal("warning", by["anchors.gone"].state)
    assert.equal("broken", by["crls[1]"].state)
    assert.equal(2, code)
  end)

  it("finds certificates in the ledger whose CA is gone", function()
    server:run()
    server:enroll "device001"
    process.kill(server.pid)
    server:exit_code()
    local ca <close> = pki.new()
    local other = ca:root("other", { days = 3000 })
    process.must(("cp %s %s/ca.pem && cp %s %s/ca.key"):format(other.path, server.dir, other.key,
      server.dir))
    local by, code = items()
    assert.equal("warning", by.ledger.state)
    assert.matches("^1 certificate is good still whose CA is not", by.ledger.problem)
    assert.equal(1, code)
    assert.equal(0, select(2, items "--no-ledger"))
  end)

  it("knows until when the CRL holds, and who signs answers of OCSP", function()
    assert.equal("is made at the first start", items()["ca.crl"].problem)
    server:run()
    server:enroll "device001"
    process.must(("openssl ocsp -issuer %s -cert %s/device001.pem -url %s/ocsp -CAfile %s"):format(
      server.root, server.folder, server.url, server.root))
    local by, code = items()
    assert.same({ "ok", 0 }, { by["ca.crl"].state, code })
    assert.matches("published at /crl/%x+%.crl$", by["ca.crl"].what)
    assert.is_true(math.abs(by["ca.crl"].not_after - os.time() - 7 * DAY) < 300)
    assert.equal("ok", by["ca.ocsp"].state)
    assert.is_true(math.abs(by["ca.ocsp"].not_after - os.time() - 7 * DAY) < 300)
    process.kill(server.pid)
    server:exit_code()
    -- One is to be made each day, and holds for seven.
    for days, state in pairs { [1] = "ok", [4] = "warning", [8] = "expired" } do
      server:change(("UPDATE crls SET made = %d"):format(os.time() - days * DAY))
      by, code = items()
      assert.equal(state, by["ca.crl"].state, days)
      assert.equal(({ ok = 0, warning = 1, expired = 2 })[state], code)
    end
    local _, out = check()
    assert.matches("who looks at CRLs refuses every certificate", out)
    server:edit_config(function(text) return (text:gsub("listen =", "crl = false, %0", 1)) end)
    assert.is_nil(items()["ca.crl"])
  end)

  it("tells of credentials that end, and warns where they may be used again", function()
    server:credential("late", { "--expires", "60d" })
    server:credential("once", { "--expires", "1h" })
    local by, code = items()
    assert.same({ "ok", 0 }, { by["credentials.one_time"].state, code })
    assert.matches("^the first of 1 one%-time secrets", by["credentials.one_time"].what)
    server:credential("again", { "--expires", "20d", "--reusable" })
    by, code = items()
    assert.same({ "warning", 1 }, { by.credentials.state, code })
    assert.matches("^the first of 1 credentials", by.credentials.what)
    assert.equal(0, select(2, items("--within", "10d")))
    local out = process.must { server.lest, "ledger", "ends", "--within", "90d", "--config",
      server.dir .. "/server.lua" }
    assert.matches("credentials from .- 2, not used yet\n", out)
    assert.matches("credentials from .- 1, that may be used again\n", out)
  end)

  it("says when labels have no anchor any more", function()
    local ca <close> = pki.new()
    local short, gone = ca:root("short", { days = 20 }), ca:root("gone", { days = -1 })
    process.must(("cp %s %s/short.pem && cp %s %s/gone.pem"):format(short.path, server.dir,
      gone.path, server.dir))
    server:edit_config(function(text)
      return (text:gsub('anchors = {', 'anchors = { short = "short.pem", gone = "gone.pem",', 1)
        :gsub("labels = {", [[%0 plant = { policy = "policy.lua", profile = "device",
          anchors = { "short", "gone" }, auth = { "certificate", "basic" } },
          yard = { policy = "policy.lua", profile = "device",
          anchors = { "gone" }, auth = { "certificate", "basic" } },
          other = { policy = "policy.lua", profile = "device",
          anchors = { "gone" }, auth = { "certificate", "basic" } }, ]], 1))
    end)
    local by, code = items()
    assert.equal("ok", by["labels.default.anchors"].state)
    assert.equal("warning", by["labels.plant.anchors"].state)
    assert.equal("expired", by["labels.other.anchors"].state)
    assert.equal("the last anchor of other, yard: gone", by["labels.other.anchors"].what)
    assert.is_nil(by["labels.yard.anchors"])
    assert.equal(2, code)
    local _, out = check()
    assert.matches("no client certificate is taken there", out)
  end)

  it("says of one that renews itself when it did not", function()
    server:edit_config(function(text)
      return (text:gsub('tls = %b{}', 'tls = { auto = { names = { "localhost" } } }', 1))
    end)
    assert.equal("is issued at the first start", items().tls.problem)
    for left, state in pairs { [60] = "ok", [29] = "ok", [20] = "warning", [-1] = "expired" } do
      server_pem(left - 90, left)
      process.must(("cp %s/server.pem %s/ledger/tls-auto.pem"):format(server.dir, server.dir))
      assert.equal(state, items().tls.state, left)
    end
  end)

  it("is wrong where the configuration is", function()
    server:edit_config(function(text) return (text:gsub("listen", "listn", 1)) end)
    local code, _, err = check()
    assert.equal(2, code)
    assert.matches("did you mean 'listen'", err)
  end)
end)
