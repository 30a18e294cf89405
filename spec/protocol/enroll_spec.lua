-- /simpleenroll against the whole server: who gets which certificate, and what is recorded of it
-- (RFC 7030 4.2).
local cjson = require "cjson"
local core = require "lest.core"
local process = require "support.process"
local support = require "support.server"

local OPEN_POLICY <const> = [[
local policy = require "lest.policy"
return {
  enroll = function(request)
    return policy.approve { subject = request.csr.subject, san = request.csr.san }
  end,
  reenroll = policy.renew {},
}
]]

local function policy_names(text)
  return (text:gsub('names = "principal"', 'names = "policy"'))
end

describe("/simpleenroll", function()
  local server

  setup(function() server = support.start() end)
  teardown(function() server:stop() end)

  local function enroll(name, csr, ...)
    return server:post("/simpleenroll", csr or server:csr(name), ...)
  end

  it("7030-3.2.2-c 7030-4.2.3-a 7030-4.2.3-b 7030-4.2.3-c issues exactly one certificate",
    function()
    local secret = server:credential "device001"
    local status, body, headers = enroll("device001", nil, "--user", "device001:" .. secret)
    assert.equal(200, status, body)
    assert.equal("application/pkcs7-mime; smime-type=certs-only", headers["content-type"])
    local certs = assert(core.pkcs7.decode(core.base64.decode(body)))
    assert.equal(1, #certs)
    local path = server:save(body, "device001")
    process.must { "openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile",
      server.dir .. "/ca.pem", path }
    local key = process.must { "openssl", "pkey", "-in", server.folder .. "/device001.key",
      "-pubout" }
    assert.equal(key, process.must { "openssl", "x509", "-in", path, "-noout", "-pubkey" })
  end)

  it("5280-4.2.1.1-a 5280-4.2.1.2-a 5280-4.2.1.3-a 5280-4.1.2.2-a issues by RFC 5280", function()
    local cert = core.cert.load(server:enroll "profile01")
    local ca = core.cert.load(server.dir .. "/ca.pem")
    assert.equal(ca.ski, cert.aki)
    assert.equal(40, #cert.ski)
    assert.is_false(cert.is_ca)
    assert.equal(ca.subject_der, cert.issuer_der)
    assert.is_true(#cert.serial <= 40 and #cert.serial >= 30)
    for _, extension in ipairs(cert.extensions) do
      if extension.name == "keyUsage" then assert.is_true(extension.critical) end
    end
  end)

  it("7030-4.2-f asks for credentials", function()
    local status, body, headers = enroll "nobody"
    assert.equal(401, status)
    assert.equal("", body)
    assert.matches('^Basic realm="', headers["www-authenticate"])
  end)

  it("7030-4.2.1-i gives a principal its own name only", function()
    local secret = server:credential "alice"
    local status, body = enroll("bob", server:csr "bob", "--user", "alice:" .. secret)
    assert.equal(403, status)
    assert.matches("alice", body)
    -- The refusal did not use the secret up.
    assert.equal(200, (enroll("alice", nil, "--user", "alice:" .. secret)))
  end)

  it("7030-4.2.1-h verifies the proof of possession", function()
    local secret = server:credential "flip"
    local csr = server:csr "flip"
    local der = process.must { "openssl", "req", "-in", csr, "-outform", "DER" }
    local broken = der:sub(1, -2) .. string.char(der:byte(-1) ~ 1)
    process.write(csr .. ".broken", core.base64.encode(broken, 64))
    local status, body = enroll("flip", csr .. ".broken", "--user", "flip:" .. secret)
    assert.equal(400, status)
    assert.matches("signature", body)
  end)

  it("5967-2.1-c 7030-4.2.3-d 7030-4.2.3-f says what is wrong with a body", function()
    local secret = server:credential "bodies"
    local der = process.must { "openssl", "req", "-in", server:csr "bodies", "-outform", "DER" }
    local bodies = {
      empty = "", garbage = "!!!!", ["base64 of garbage"] = "Z2FyYmFnZQ==",
      ["cut off"] = core.base64.encode(der:sub(1, 100)),
        ["cut base64"] = core.base64.encode(der):sub(1, 101),
      ["trailing data"] = core.base64.encode(der .. "\0"),
        ["two requests"] = core.base64.encode(der .. der),
    }
    for what, body in pairs(bodies) do
      process.write(server.folder .. "/body", body)
      local status, text = enroll("bodies", server.folder .. "/body", "--user", "bodies:" .. secret)
      assert.equal(400, status, what)
      assert.matches("^%C+\n$", text, what)
    end
  end)

  it("8951-3.1-a 8951-3-c 8951-3-e takes the CSR in the forms people post", function()
    for i, form in ipairs { "one line", "76 columns with CRLF", "blanks", "PEM", "DER" } do
      local name = "form" .. i
      local secret = server:credential(name)
      local pem = process.read(server:csr(name))
      local text = pem:match "REQUEST%-%-%-%-%-\n(.-)%-%-%-%-%-END"
      local line = text:gsub("\n", "")
      local body = form == "one line" and line or form == "PEM" and pem
        or form == "DER" and core.base64.decode(line)
        or form == "blanks" and "  " .. line:gsub("(....)", "%1 \t") .. "\n\n"
        or line:gsub(("."):rep(76), "%0\r\n") .. "\r\n"
      process.write(server.folder .. "/body", body)
      assert.equal(200, (enroll(name, server.folder .. "/body", "--user", name .. ":" .. secret,
        "-H",
        "Content-Transfer-Encoding: garbage")), form)
    end
  end)

  it("7030-6-r refuses weak keys and signatures", function()
    local secret = server:credential "weak"
    for what, key in pairs { ["1024"] = { "-newkey", "rsa:1024" },
      sha1 = { "-newkey", "rsa:2048", "-sha1" } } do
      local status, body = enroll("weak", server:csr("weak", { key = key }), "--user", "weak:"
        .. secret)
      assert.equal(400, status, what)
      assert.truthy(body:lower():find(what, 1, true), body)
    end
  end)

  it("5280-4.2.1.9-a never issues a CA certificate", function()
    local secret = server:credential "wants-ca"
    local csr = server:csr("wants-ca", { key = { "-newkey", "rsa:2048", "-addext",
      "basicConstraints=critical,CA:TRUE" } })
    local status, body = enroll("wants-ca", csr, "--user", "wants-ca:" .. secret)
    assert.equal(200, status, body)
    assert.is_false(core.cert.load(server:save(body, "wants-ca")).is_ca)
  end)

  it("takes every key type of its profile", function()
    for name, key in pairs {
      rsa = { "-newkey", "rsa:2048" },
      p384 = { "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384" },
      ed25519 = { "-newkey", "ed25519" },
    } do
      local secret = server:credential("key-" .. name)
      local csr = server:csr("key-" .. name, { key = key })
      local status, body = enroll(nil, csr, "--user", "key-" .. name .. ":" .. secret)
      assert.equal(200, status, name .. body)
    end
  end)

  it("uses a one-time secret for one key only, and gives that key its certificate again", function()
    local secret = server:credential "once"
    local csr = server:csr "once"
    local status, first = enroll("once", csr, "--user", "once:" .. secret)
    assert.equal(200, status)
    local again_status, again = enroll("once", csr, "--user", "once:" .. secret)
    assert.equal(200, again_status)
    assert.equal(first, again)
    -- The same key with a new CSR, as a client that lost the answer makes one.
    local fresh = server:csr("once", { reuse = true })
    assert.equal(first, (select(2, enroll("once", fresh, "--user", "once:" .. secret))))
    assert.equal(401, (enroll("once", server:csr "once", "--user", "once:" .. secret)))
    assert.equal("1", server:sql "SELECT count(*) FROM certificates WHERE subject = 'CN=once'")
  end)

  it("records every decision", function()
    server:enroll "recorded"
    local row = server:sql [[SELECT operation, label, principal_kind, verdict, length(csr) > 100,
      length(policy_hash) FROM requests WHERE principal_name = 'recorded']]
    assert.equal("simpleenroll|default|basic|approve|1|64", row)
  end)

  it("records what it refuses to a principal, and nothing of strangers", function()
    local before = server:sql "SELECT count(*) FROM requests"
    server:post("/simpleenroll", server:csr "stranger", "--user", "stranger:wrong")
    assert.equal(before, server:sql "SELECT count(*) FROM requests")
    local secret = server:credential "refused"
    local weak = server:csr("refused", { key = { "-newkey", "rsa:1024" } })
    server:post("/simpleenroll", weak, "--user", "refused:" .. secret)
    assert.matches("reject|.*rsa:1024",
      server:sql "SELECT verdict, reason FROM requests WHERE principal_name = 'refused'")
  end)

  it("logs a line a request, without secrets", function()
    local secret = server:credential "logged"
    enroll("logged", nil, "--user", "logged:" .. secret)
    local found
    for _, line in ipairs(server:logged "request") do found = line.principal == "logged" and line
      or found end
    assert.equal("simpleenroll", found.operation)
    assert.equal("approve", found.verdict)
    assert.equal(200, found.status)
    assert.is_nil(process.read(server.log_file):find(secret, 1, true))
    assert.is_nil(process.read(server.log_file):find(core.base64.encode("logged:" .. secret), 1,
      true))
  end)
end)

describe("a policy", function()
  local server

  after_each(function() server:stop() end)

  local function start(policy, edit)
    server = support.start { policy = policy, config = edit }
  end

  local function enroll(name, options)
    local secret = server:credential(name)
    return server:post("/simpleenroll", server:csr(name, options), "--user", name .. ":" .. secret)
  end

  it("may choose names when the profile lets it", function()
    start(OPEN_POLICY, policy_names)
    local status, body = enroll("chosen", { subject = "/CN=other" })
    assert.equal(200, status, body)
    assert.equal("other", core.cert.load(server:save(body, "chosen")).subject.CN)
  end)

  it("cannot choose names when the profile does not", function()
    start(OPEN_POLICY)
    local status, body = enroll("tied", { subject = "/CN=other" })
    assert.equal(400, status)
    assert.is_nil(body:find("other", 1, true))
    assert.equal("reject", server:sql "SELECT verdict FROM requests WHERE principal_name = 'tied'")
    assert.equal("0", server:sql "SELECT count(*) FROM certificates")
  end)

  local failing <const> = {
    ["raises"] = { 'error "the secret path /etc/x"', "policy.lua:3: the secret path" },
    ["returns nothing"] = { "return nil", "nil, not a verdict" },
    ["returns nonsense"] = { "return { verdict = 'approve' }", "a table, not a verdict" },
    ["loops"] = { "while true do end", "too long %(at .*policy.lua:3%)" },
    ["hoards memory"] = { "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end",
      "more than its memory" },
    ["reads an undeclared global"] = { "return request_typo.x", "policy.lua:3: undeclared global" },
    ["forgets a local"] = { "leak = 1", "undeclared global 'leak' is assigned" },
    ["reads an unknown field"] = { "return request.principle.name", "did you mean 'principal'" },
  }
  for what, expected in pairs(failing) do
    it("7030-6-q 7030-4.2.3-s issues nothing when it " .. what, function()
      local head = "local policy = require 'lest.policy'\nreturn function(request)\n"
      -- Short for the one that only time ends: a busy machine alone must not end the others.
      local limits = ('limits = { decision = "%s", decision_memory = "16MiB" },\n  labels = {')
        :format(what == "loops" and "1s" or "15s")
      start(head .. expected[1] .. "\nend\n", function(text)
        return (text:gsub("labels = {", limits, 1))
      end)
      local status, body, headers = enroll "deny"
      assert.equal(500, status)
      assert.truthy(body:find(headers["x-request-id"], 1, true))
      assert.is_nil(body:find("policy.lua", 1, true))
      assert.equal("0", server:sql "SELECT count(*) FROM certificates")
      local failed = server:logged "policy failed"
      assert.matches("policy.lua$", failed[1].policy)
      assert.matches(expected[2], failed[1].message)
    end)
  end

  it("7030-4.2.3-h 7030-4.2.3-m 7030-4.2-i S20 holds a request until an operator decides",
    function()
    start([[
      local policy = require "lest.policy"
      return { enroll = function(request)
        if #request.approvals < 1 then
          return policy.pending { "ask an operator", retry_after = "7s" }
        end
        return policy.approve { subject = { { "CN", request.principal.name } } }
      end }]])
    local secret = server:credential "held"
    local csr = server:csr "held"
    local status, body, headers = server:post("/simpleenroll", csr, "--user", "held:" .. secret)
    assert.equal(202, status)
    assert.equal("", body)
    assert.equal("7", headers["retry-after"])
    -- 7030-4.2.3-q: the retry is a different CSR with the same key.
    local fresh = server:csr("held", { reuse = true })
    assert.equal(202, (server:post("/simpleenroll", fresh, "--user", "held:" .. secret)))
    local config = { "--config", server.dir .. "/server.lua" }
    local list = process.must { support.lest, "pending", "list", "--json", table.unpack(config) }
    local rows = cjson.decode(list)
    assert.equal(1, #rows)
    process.must { support.lest, "pending", "approve", rows[1].id, "--as", "otto",
      table.unpack(config) }
    assert.equal(401, (server:post("/simpleenroll", server:csr("other", { subject = "/CN=held" }),
      "--user",
      "held:" .. secret)))
    status, body = server:post("/simpleenroll", fresh, "--user", "held:" .. secret)
    assert.equal(200, status, body)
  end)

  it("keeps a request waiting as long as it says, or else as the label does", function()
    start([[
      local policy = require "lest.policy"
      return { enroll = function(request)
        local expires = request.principal.name == "brief" and "7m" or nil
        return policy.pending { "ask an operator", expires = expires }
      end }]], function(text)
        return (text:gsub('policy = "policy.lua",', '%0 pending_expires = "3h",', 1))
      end)
    assert.equal(202, (enroll "brief"))
    assert.equal(202, (enroll "plain"))
    assert.equal("brief|420\nplain|10800",
      server:sql "SELECT principal_name, expires - created FROM pending ORDER BY seq")
    -- A one-time secret is bound as long.
    assert.equal("420\n10800", server:sql [[SELECT c.bound_until - p.created FROM pending AS p
      JOIN credentials AS c ON c.name = p.principal_name ORDER BY p.seq]])
  end)

  it("7030-4.2.3-q takes no other request for the one that operators approved", function()
    start([[
      local policy = require "lest.policy"
      return { enroll = function(request)
        if #request.approvals < 1 then return policy.pending "ask an operator" end
        return policy.approve { subject = request.csr.subject, san = request.csr.san }
      end }]], policy_names)
    local user = "held:" .. server:credential("held", { "--reusable" })
    local csr = server:csr "held"
    assert.equal(202, (server:post("/simpleenroll", csr, "--user", user)))
    local config = { "--config", server.dir .. "/server.lua" }
    local list = process.must { support.lest, "pending", "list", "--json", table.unpack(config) }
    local function approve()
      process.must { support.lest, "pending", "approve", cjson.decode(list)[1].id, "--as", "otto",
        table.unpack(config) }
    end
    local function swap(options)
      options.reuse = true
      os.rename(csr, csr .. ".kept")
      local status = server:post("/simpleenroll", server:csr("held", options), "--user", user)
      os.rename(csr .. ".kept", csr)
      return status
    end
    assert.equal(403, swap { subject = "/CN=root" })
    approve()
    assert.equal(403, swap { subject = "/CN=root" })
    assert.equal(403, swap { san = "DNS:root.example" })
    assert.equal("0", server:sql "SELECT count(*) FROM certificates")
    assert.equal(200, (server:post("/simpleenroll", csr, "--user", user)))
  end)

  it("7030-4.2-i answers a rejected request with 403 and the operator's words", function()
    start([[
      local policy = require "lest.policy"
      return { enroll = function() return policy.pending "wait" end }]])
    local secret = server:credential "held"
    local csr = server:csr "held"
    assert.equal(202, (server:post("/simpleenroll", csr, "--user", "held:" .. secret)))
    local config = { "--config", server.dir .. "/server.lua" }
    local rows = cjson.decode(process.must { support.lest, "pending", "list", "--json",
      table.unpack(config) })
    process.must { support.lest, "pending", "reject", rows[1].id, "--as", "otto", "--tell",
      "unknown device",
      table.unpack(config) }
    local status, body = server:post("/simpleenroll", csr, "--user", "held:" .. secret)
    assert.equal(403, status)
    assert.matches("unknown device", body)
  end)

  it("leaks nothing from one request into another by a global, whoever assigns it", function()
    server = support.start {
      files = { ["helper.lua"] = [[
        local M = {}
        function M.leak(request) first = first or request.principal.name return first end
        function M.declared(request) type = request.principal.name return type end
        function M.table(request) _G.first = _G.first or request.principal.name return first end
        function M.chunk(request) return load("first = first or ... return first")(
          request.principal.name) end
        function M.locale() return os.setlocale "C" end
        function M.loaded(request)
          local all = package.loaded._G
          all.first = all.first or request.principal.name
          return first
        end
        function M.required(request)
          require("_G").first = first or request.principal.name
          return first
        end
        return M]] },
      policy = [[
        local helper, policy = require "helper", require "lest.policy"
        return function(request)
          local name = helper[request.principal.name:match "^%a+"](request)
          return policy.approve { subject = { { "CN", name } } }
        end]],
      config = policy_names,
    }
    for _, how in ipairs { "leak", "declared", "table", "chunk", "locale", "loaded", "required" } do
      for i = 1, 2 do
        assert.equal(500, (enroll(how .. i)), how)
        local failed = server:logged "policy failed"
        assert.matches(how == "locale" and "helper.lua:7: .*'setlocale'"
          or "global '%a+' is assigned: put 'local' before it", failed[#failed].message)
      end
    end
    assert.equal("0", server:sql "SELECT count(*) FROM certificates")
  end)

  it("is asked anew about another request of the same key; the same gets its lost answer again",
    function()
    start([[
      local policy = require "lest.policy"
      return { enroll = function(request)
        if request.csr.subject.CN == "root" then return policy.reject "not that name" end
        return policy.approve { subject = request.csr.subject, san = request.csr.san }
      end }]], function(text)
        text = policy_names(text):gsub('names = "policy"', 'names = "policy", san = { "DNS" }', 1)
        return (text:gsub("auth = ", 'channel_binding = "off", auth = ', 1))
      end)
    local user = { "--user", "device:" .. server:credential("device", { "--reusable" }) }
    local key = assert(core.key.generate "ec:P-256")
    local function ask(options)
      options.key = key
      local file = server:file("request", (support.request("device", options)))
      local status, body = server:post("/simpleenroll", file, table.unpack(user))
      return status == 200 and support.issued(body).serial or body
    end
    local plain = ask {}
    local other = ask { san = { "DNS:device.example" } }
    local usage = ask { eku = { "clientAuth" } }
    assert.not_equal(plain, other)
    assert.not_equal(plain, usage)
    assert.not_equal(other, usage)
    assert.equal("not that name\n", ask { subject = "CN=root" })
    -- Each of them again; what binds a request to its connection is made anew at each try.
    assert.same({ plain, other, usage }, { ask { challenge_password = "a" },
      ask { san = { "DNS:device.example" } }, ask { eku = { "clientAuth" } } })
    assert.equal("3", server:sql "SELECT count(*) FROM certificates")
  end)

  it("may say that it cannot decide now", function()
    start([[
      local policy = require "lest.policy"
      return { enroll = function() return policy.unavailable { "inventory away",
        retry_after = "2m" } end }]])
    local status, body, headers = enroll "later"
    assert.equal(503, status)
    assert.equal("120", headers["retry-after"])
    assert.matches("inventory away", body)
  end)
end)
