-- `lest probe`, and client:probe: our own server keeps every rule that is looked at, whatever it is
-- configured for; the command, its table and its exit codes; what it does to a server.
local cjson = require "cjson"
local core = require "lest.core"
local est = require "support.est"
local lest_client = require "lest.client"
local pki = require "support.pki"
local probe = require "lest.probe"
local process = require "support.process"
local shell = require "support.shell"
local support = require "support.server"

local RATE <const> = 1000

local POLICY <const> = [[
local policy = require "lest.policy"
return {
  enroll = function(request)
    if request.label == "slow" then return policy.pending { "wait", retry_after = "7s" } end
    return policy.approve { subject = { { "CN", request.principal.name } } }
  end,
  reenroll = policy.renew {},
  serverkeygen = function(request)
    return policy.approve { subject = { { "CN", request.principal.name } } }
  end,
}
]]

-- Labels for what a server may be configured for.
local function configuration(text)
  text = text:gsub("profiles = {", function(found)
    return found .. '\n keys = { lifetime = "7d", keys = "ec:P-256", names = "principal", '
      .. 'key_usage = { "digitalSignature", "keyAgreement" }, '
      .. 'server_keys = { "ec:P-256", "rsa:2048" } },'
  end, 1)
  text = text:gsub("labels = {", function(found)
    return found .. [[
      digest = { policy = "policy.lua", profile = "device", auth = { "certificate", "digest" },
        anchors = { "own" } },
      wishes = { policy = "policy.lua", profile = "device", auth = { "certificate", "basic" },
        anchors = { "own" }, csrattrs = { "challengePassword",
        { key = "ec:P-384", digest = "sha384" },
        { extensions = { { oid = "2.5.29.15", critical = true, value = "\3\2\7\128" } } } } },
      keys = { policy = "policy.lua", profile = "keys", auth = { "certificate", "basic" },
        anchors = { "own" } },
      template = { policy = "policy.lua", profile = "device", auth = { "certificate", "basic" },
        anchors = { "own" }, csrattrs = { { template = { subject = { { "CN" } }, key = "ec:P-384",
          san = { "DNS:" } } } } },
      sized = { policy = "policy.lua", profile = "device", auth = { "certificate", "basic" },
        anchors = { "own" }, csrattrs = { { template = { subject = { { "CN" } }, key = "rsa:3072",
          key_usage = { "digitalSignature" } } } } },
      full = { policy = "policy.lua", profile = "device", auth = { "certificate", "basic" },
        anchors = { "own" }, fullcmc = true },
      slow = { policy = "policy.lua", profile = "device", auth = { "basic" } },]]
  end, 1)
  text = text:gsub("labels = {", ('listen_http = "127.0.0.1:%d", %%0'):format(
    process.free_port()), 1)
  return (text:gsub('key = "ca.key"', '%0, chain = "chain.pem"', 1))
end

-- The links of a rollover of a server's CA, beside its certificate.
local function roll_over(ca, folder)
  local new = { path = folder .. "/ca.pem", key = folder .. "/ca.key", name = "new" }
  local name = "/" .. tostring(assert(core.cert.load(new.path)).subject)
  local old = ca:root("old", { subject = name, days = 20 })
  local chain = ""
  for _, each in ipairs { old,
    ca:sub("new-with-old", { by = old, subject = name, same_key = new, days = 10 }),
    ca:sub("old-with-new", { by = new, subject = name, same_key = old, days = 10 }) } do
    chain = chain .. process.read(each.path)
  end
  process.write(folder .. "/chain.pem", chain)
end

local function verdicts(report)
  local found = {}
  for _, check in ipairs(report.checks) do found[check.id] = check end
  return found
end

-- What is not kept, as a person would read it.
local function failed(report)
  local list = {}
  for _, check in ipairs(report.checks) do
    if check.verdict == "fail" then list[#list + 1] = check.id .. ": " .. check.seen end
  end
  return list
end

local function skipped(report)
  local list = {}
  for _, check in ipairs(report.checks) do
    if check.verdict == "skip" then list[#list + 1] = check.id end
  end
  return list
end

describe("a probe of our own server", function()
  local server, ca

  setup(function()
    ca = pki.new()
    server = support.make { policy = POLICY, config = configuration }
    roll_over(ca, server.dir)
    server:run()
  end)
  teardown(function()
    server:stop()
    pki.__close(ca)
  end)

  local function client_of(options)
    options.url, options.trust = server.url, server.root
    return lest_client(options)
  end

  local function run(options, how)
    local client <close> = client_of(options)
    how = how or {}
    how.rate = RATE
    return assert(client:probe(how))
  end

  local function with_password(name, label, ...)
    return { username = name, password = server:credential(name, { ... }), label = label }
  end

  it("finds no fault without a credential, and changes nothing", function()
    local report = run {}
    assert.same({}, failed(report))
    assert.equal(0, report.must_failed)
    assert.is_nil(report.err)
    assert.equal("0 0", server:sql("SELECT (SELECT count(*) FROM certificates) || ' ' || "
      .. "(SELECT count(*) FROM pending)"))
    local seen = verdicts(report)
    assert.equal("pass", seen["7030-4.1.3-g"].verdict) -- a root changes
    assert.equal("pass", seen["4210-4.4-a"].verdict)
    assert.equal("skip", seen["7030-4.2.3-a"].verdict)
    assert.equal("needs the permission to enroll", seen["7030-4.2.3-a"].seen)
    assert.matches("^needs a password", seen["7030-4.2.3-d"].seen)
  end)

  it("issues nothing with a password either, where it may not enroll", function()
    local report = run(with_password "device001")
    assert.same({}, failed(report))
    assert.equal("pass", verdicts(report)["7030-4.2.3-d"].verdict)
    assert.equal("unused", server:sql "SELECT state FROM credentials WHERE name = 'device001'")
    assert.equal("0", server:sql "SELECT count(*) FROM certificates")
  end)

  it("finds no fault where it may enroll, and says what does not apply", function()
    local report = run(with_password "device002", { enroll = true })
    assert.same({}, failed(report))
    assert.same({ "7616-3.7-b", "7616-3.3-a", "7616-3.4.6-a", "7616-3.4-b", "7030-4.5.2-d",
      "8951-4-a", "9908-3.2-b",
      "9908-3.2-c", "9908-3.2-d", "9908-3.2-e", "9908-3.2-f", "9908-3.2-h", "9908-3.4-q",
      "9908-3.4-a", "9908-3.4-b", "9908-3.4-f", "9908-3.4-g", "9908-3.4-h", "9908-3.4-i",
      "9908-3.4-o", "9908-3.4-p", "7030-4.4-c", "7030-4.3.1-a",
      "7030-4.2.3-h", "7030-4.4.2-m", "7030-4.4.1.1-b", "7030-4.4.1.2-b",
      "7030-4.4.1-i", "7030-4.4.2-k", "7030-4.4.2-c", "7030-4.4.1-c", "7030-4.4.2-a",
      "7030-4.4.2-b", "7030-4.4.2-l", "8951-3.2.4-a", "2046-5.1-b", "7030-4.3.2-c",
      "7030-4.3.2-d", "5272-3.2.1.3.4-b", "5272-3.2.1.1-a", "5272-6.6-a", "5272-6.6-b",
      "5272-6.4-a", "5272-6.1-a", "5272-3.2.2-a", "6402-2.6-c", "7030-3.5-i", "7030-4.3.2-a" },
      skipped(report))
  end)

  it("finds no fault in the CRL and in OCSP of what it issued, or of the client's", function()
    local REVOCATION <const> = { "5280-4.2.1.13-a", "5280-5.1.1.3-a", "5280-5.1.2.5-a",
      "5280-5.2-a", "6960-2.1-a", "6960-4.2.2.2-a", "6960-4.2.2.1-a", "6960-4.4.1-a" }
    local path = server:enroll "device009"
    local holder = { cert = path, key = server.folder .. "/device009.key" }
    for _, report in ipairs { run(with_password "device010", { enroll = true,
      checks = REVOCATION }), run(holder, { checks = REVOCATION }) } do
      for _, check in ipairs(report.checks) do
        assert.same({ check.id, "pass" }, { check.id, check.verdict }, check.seen)
      end
    end
    for _, check in ipairs(run({}, { checks = REVOCATION }).checks) do
      assert.same({ "skip", "needs a client certificate, or the permission to enroll" },
        { check.verdict, check.seen })
    end
  end)

  it("finds no fault in Digest", function()
    local report = run(with_password("device003", "digest", "--kind", "digest"),
      { enroll = true })
    assert.same({}, failed(report))
    local seen = verdicts(report)
    for _, id in ipairs { "7616-3.3-a", "7616-3.4.6-a", "7616-3.4-b" } do
      assert.same({ id, "pass" }, { id, seen[id].verdict }, seen[id].seen)
    end
    assert.equal("SHA-256, MD5", seen["7616-3.7-b"].seen)
    assert.equal("pass", seen["7030-4.2.2-d"].verdict)
  end)

  it("finds no fault in CSR attributes, and makes the key that they want", function()
    local report = run(with_password("device004", "wishes"), { enroll = true })
    assert.same({}, failed(report))
    local seen = verdicts(report)
    assert.equal("200", seen["7030-4.2.2-d"].seen)
    for _, id in ipairs { "7030-4.5.2-d", "8951-4-a", "9908-3.2-b", "9908-3.2-c", "9908-3.2-d",
      "9908-3.2-e", "9908-3.2-f", "9908-3.2-h" } do
      assert.equal("pass", seen[id].verdict, id)
    end
  end)

  it("finds no fault in keys of the server, with a password for one certificate", function()
    local report = run(with_password("device008", "keys"), { enroll = true })
    assert.same({}, failed(report))
    local seen = verdicts(report)
    for _, id in ipairs { "7030-4.4-c", "7030-4.4.2-m", "7030-4.4.1-c", "7030-4.4.2-a",
      "7030-4.4.2-b", "7030-4.4.2-l", "8951-3.2.4-a", "2046-5.1-b", "7030-4.4.1.1-b",
      "7030-4.4.1.2-b", "7030-4.4.1-i", "7030-4.4.2-k", "7030-4.4.2-c" } do
      assert.same({ id, "pass" }, { id, seen[id].verdict }, seen[id].seen)
    end
  end)

  it("finds no fault in a template, nor in what it answers by CMC", function()
    for label, ids in pairs {
      template = { "9908-3.4-q", "9908-3.4-a", "9908-3.4-b", "9908-3.4-f", "9908-3.4-g",
        "9908-3.4-h", "9908-3.4-i", "9908-3.4-o", "9908-3.4-p", "7030-4.2.3-a" },
      sized = { "9908-3.4-f", "9908-3.4-g", "9908-3.4-h", "9908-3.4-i" },
      full = { "7030-4.3.2-c", "7030-4.3.2-d", "5272-3.2.1.3.4-b", "5272-3.2.1.1-a",
        "5272-6.6-a", "5272-6.6-b", "5272-6.4-a", "5272-6.1-a", "5272-3.2.2-a", "6402-2.6-c",
        "7030-3.5-i", "7030-4.3.2-a" },
    } do
      local report = run(with_password("device-" .. label, label), { enroll = true })
      assert.same({}, failed(report))
      local seen = verdicts(report)
      for _, id in ipairs(ids) do
        assert.same({ id, "pass" }, { id, seen[id].verdict }, seen[id].seen)
      end
    end
  end)

  it("finds no fault in a request that waits", function()
    local report = run(with_password("device005", "slow"), { enroll = true })
    assert.same({}, failed(report))
    assert.same({ "pass", "7" }, { verdicts(report)["7030-4.2.3-h"].verdict,
      verdicts(report)["7030-4.2.3-h"].seen })
    assert.equal("the request is pending", verdicts(report)["7030-4.2.3-a"].seen)
  end)

  it("enrolls by a certificate, for its names or for others", function()
    local path = server:enroll "device006"
    local holder = { cert = path, key = server.folder .. "/device006.key" }
    local report = run(holder, { enroll = true })
    assert.same({}, failed(report))
    assert.equal("pass", verdicts(report)["7030-4.2.2-e"].verdict)
    report = run(holder, { enroll = true, subject = "CN=device006,O=x",
      checks = { "7030-4.2.3-b" } })
    assert.equal(1, #report.checks)
  end)

  it("asks at most so many times a second", function()
    local client <close> = client_of {}
    local told = {}
    local began = core.clock.monotonic_ms()
    local report = assert(client:probe { checks = { "9112-3.2-a", "9112-6.3-b" },
      progress = function(done, all, check)
        told[#told + 1] = done .. "/" .. all .. check.verdict
      end })
    assert.equal(7, report.requests)
    local took = core.clock.monotonic_ms() - began
    assert.is_true(took >= 1200 and took < 5000, took)
    assert.same({ "1/2pass", "2/2pass" }, told)
  end)

  it("raises for a check that there is not", function()
    local client <close> = client_of {}
    assert.error_matches(function() client:probe { checks = { "7030-4.1.3-x" } } end,
      "there is no check '7030%-4.1.3%-x', did you mean '7030%-4.1.3%-%l'")
    assert.error_matches(function() client:probe { enrol = true } end, "did you mean 'enroll'")
  end)

  describe("by the command", function()
    local function lest(...)
      return shell.lest("probe", server.url, "--trust", server.root, "--rate", "1000", ...)
    end

    it("prints a row a requirement, and what was seen", function()
      local result = lest()
      assert.equal(0, result.code, result.err)
      local rows = 0
      for line in result.out:gmatch "[^\n]+" do
        rows = rows + (line:find "^%l+ +%d%d%d%d%-" and 1 or 0)
      end
      assert.equal(#probe.checks(), rows)
      assert.matches("\npass +7030%-4%.1%.3%-a +MUST answer /cacerts with 200 +200\n", result.out)
      assert.matches("\n%d+ passed, 0 failed %(0 of MUST%), %d+ were skipped; ", result.out)
    end)

    it("prints them as JSON", function()
      local result = lest("--json", "--check", "7030-4.1.3-a", "--check", "8996-4-a")
      assert.equal(0, result.code, result.err)
      local report = cjson.decode(result.out)
      assert.same({ { id = "8996-4-a", level = "MUST NOT", requirement = "negotiate TLS 1.0",
        verdict = "pass", seen = "alert protocol_version" },
        { id = "7030-4.1.3-a", level = "MUST", requirement = "answer /cacerts with 200",
          verdict = "pass", seen = "200" } }, report.checks)
      assert.same({ pass = 2, fail = 0, skip = 0 }, report.counts)
      assert.equal(server.url .. "/.well-known/est", report.url)
    end)

    it("enrolls if told to", function()
      local secret = server:file("secret", server:credential "device007" .. "\n")
      local result = lest("--username", "device007", "--password-file", secret, "--enroll",
        "--failed")
      assert.equal(0, result.code, result.err .. result.out)
      assert.matches("^%d+ passed, 0 failed", result.out)
    end)

    it("says what is wrong with its options, with the server, and that there is none", function()
      assert.equal(2, lest("--subject", "CN=x").code)
      assert.equal(2, lest("--rate", "0").code)
      local result = lest("--check", "7030-4.1.3")
      assert.same({ 2, true }, { result.code, result.err:find("no check '7030-4.1.3'", 1, true)
        ~= nil })
      local stranger = ca:root "stranger"
      assert.equal(3, shell.lest("probe", server.url, "--trust", stranger.path).code)
      result = shell.lest("probe", "https://localhost:1", "--trust", server.root, "--json")
      assert.equal(6, result.code)
    end)
  end)
end)

describe("a probe of an address without certificates", function()
  it("finds no fault, and looks at none of what belongs to certificates", function()
    local server <close> = support.start { policy = POLICY,
      listen = { "127.0.0.1:0", "127.0.0.2:0,psk", "127.0.0.3:0,srp" },
      config = function(text)
        return (text:gsub('auth = { "certificate", "basic" }', 'auth = { "psk", "srp" }', 1)
          :gsub('listen = { "%[::%]:8443" }', 'listen = { { address = "[::]:8444", psk = true }, '
            .. '{ address = "[::]:8445", srp = true } }', 1)
          :gsub("profiles = {", "limits = { identities_per_minute = 500, "
            .. "failures_per_minute = 500, address_failures_per_minute = 500 },\n%0", 1))
      end }
    for i, kind in ipairs { "psk", "srp" } do
      local secret = server:credential("probe-" .. kind, { "--kind", kind })
      local options = { url = ("127.0.0.%d:%s"):format(i + 1, server.ports[i + 1]) }
      options[kind == "psk" and "psk_identity" or "srp_user"] = "probe-" .. kind
      options[kind == "psk" and "psk" or "srp_password"] = secret
      local client <close> = lest_client(options)
      local report = assert(client:probe { rate = RATE })
      assert.same({}, failed(report), kind)
      assert.is_true(report.counts.pass > 30, kind)
      local seen = verdicts(report)
      for _, id in ipairs { "8446-4.1-a", "7030-3.3-g" } do
        assert.same({ "skip", "not looked at: the handshake is without certificates" },
          { seen[id].verdict, seen[id].seen }, id)
      end
    end
  end)
end)

describe("a probe of a server that goes away", function()
  it("keeps what it has found, and says so", function()
    local world <close> = est.world()
    local server = world:serve()
    server:answer(est.http(404))
    local client <close> = world:client(server)
    local report = assert(client:probe { rate = RATE, checks = { "7030-4.1.3-a", "8951-3-a",
      "9112-2.2-a", "9110-9.1-b" }, progress = function(done) if done == 1 then server:stop() end
      end })
    assert.same({ "fail", "skip", "skip", "skip" }, { report.checks[1].verdict,
      report.checks[2].verdict, report.checks[3].verdict, report.checks[4].verdict })
    assert.equal("network", report.err.code)
    assert.equal("the server was lost before", report.checks[4].seen)
  end)
end)
