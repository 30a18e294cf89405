-- HTTP authentication (RFC 7030 3.2.3, RFC 7617; peers' rows S40 to S55) and what a label's `auth`
-- makes of it.
local core = require "lest.core"
local pki = require "support.pki"
local process = require "support.process"
local raw_client = require "support.raw_client"
local support = require "support.server"

local http <const> = raw_client.http
local CSR_TYPE <const> = "Content-Type: application/pkcs10"

local POLICY <const> = [[
local policy = require "lest.policy"
return {
  enroll = function(request)
    local auth, who, csr = request.auth, request.principal, request.csr
    return policy.approve { subject = csr.subject, san = csr.san,
      detail = ("%s %s: certificate %s of %s, user %s; "
        .. "%s by %s wants %s %s and holds %s %s"):format(request.label, request.operation,
        auth.certificate and auth.certificate.name,
        auth.certificate and auth.certificate.anchors, auth.basic and auth.basic.name,
        who.kind, who.name, csr.subject, csr.san[1], who.certificate and who.certificate.subject,
        who.certificate and who.certificate.san[1]) }
  end,
  reenroll = policy.renew {},
}
]]

local function configuration(text)
  text = text:gsub("anchors = {", '%0 foreign = "foreign.pem",', 1)
  text = text:gsub('names = "principal"', 'names = "policy", san = { "DNS" }')
  text = text:gsub("profiles = {", "limits = { failures_per_minute = 500, "
    .. "address_failures_per_minute = 5000 },\n  profiles = {", 1)
  return (text:gsub("labels = {", [[labels = {
    cert = { policy = "policy.lua", profile = "device", auth = { "certificate" },
      renews = "default" },
    basic = { policy = "policy.lua", profile = "device", auth = { "basic" },
      realm = "the factory" },
    both = { policy = "policy.lua", profile = "device", auth = { "certificate+basic" },
      renews = "default" },
    foreign = { policy = "policy.lua", profile = "device", auth = { "certificate", "basic" },
      anchors = "foreign", renews = "default" },
    foreign_both = { policy = "policy.lua", profile = "device", auth = "certificate+basic",
      anchors = "foreign" },
    loud = { policy = "policy.lua", profile = "device", auth = { "basic" }, error_bodies = true },
    ]], 1))
end

describe("authentication", function()
  local server, client, secret

  setup(function()
    local ca <close> = pki.new()
    server = support.start { policy = POLICY, config = configuration,
      files = { ["foreign.pem"] = process.read(ca:root("foreign").path) } }
    client = raw_client.new()
    secret = server:credential("device", { "--reusable" })
    local status, body = server:post("/simpleenroll", server:csr("device", { san = "DNS:device" }),
      "--user", "device:" .. secret)
    assert.equal(200, status, body)
    server:save(body, "device")
  end)
  teardown(function()
    client:close()
    server:stop()
  end)

  --- POST a CSR of the name, with or without device's certificate and an Authorization header.
  local function post(path, with_cert, authorization, name)
    local base = server.folder .. "/device"
    local c <close> = assert(client:connect { port = server.port,
      cert = with_cert and base .. ".pem" or nil, key = with_cert and base .. ".key" or nil })
    local headers = { CSR_TYPE }
    if authorization then headers[2] = "Authorization: " .. authorization end
    name = name or "device"
    return assert(c:request(http("POST", path, headers,
      (support.request(name, { san = { "DNS:" .. name } })))))
  end

  it("7030-3.2.3-f 9110-11.6.1-a 7617-2-a S40 S47 challenges with scheme and realm", function()
    local realms = { ["/simpleenroll"] = "lest", ["/basic/simpleenroll"] = "the factory" }
    for path, realm in pairs(realms) do
      for _, authorization in ipairs { false, support.basic("device", "wrong"), "Foo x" } do
        local answer = post(path, false, authorization)
        assert.equal(401, answer.status)
        assert.equal(('Basic realm="%s", charset="UTF-8"'):format(realm),
          answer.headers["www-authenticate"])
        -- An old Bouncy Castle closes without reading a body.
        assert.equal("0", answer.headers["content-length"])
        assert.matches("%w", answer.headers["x-reason"])
      end
    end
  end)

  it("7030-3.2.3-f gives the reason in the body where the label says so", function()
    local answer = post("/loud/simpleenroll", false)
    assert.equal(401, answer.status)
    assert.equal("credentials are required\n", answer.body)
    assert.is_not_nil(answer.headers["www-authenticate"])
  end)

  -- Columns: no password, the right one, a wrong one, a header that is malformed. Where a
  -- certificate alone is enough, or passwords are not taken, a header takes nothing from it; else
  -- one that is not understood is never as good as none.
  local MATRIX <const> = {
    { "/cert/simpleenroll", false, { 403, 403, 403, 403 } },
    { "/cert/simpleenroll", true, { 200, 200, 200, 200 } },
    { "/basic/simpleenroll", false, { 401, 200, 401, 401 } },
    { "/basic/simpleenroll", true, { 401, 200, 401, 401 } },
    { "/simpleenroll", false, { 401, 200, 401, 401 } },
    { "/simpleenroll", true, { 200, 200, 200, 200 } },
    { "/both/simpleenroll", false, { 401, 403, 401, 401 } },
    { "/both/simpleenroll", true, { 401, 200, 401, 401 } },
    { "/cert/simplereenroll", false, { 403, 403, 403, 403 } },
    { "/cert/simplereenroll", true, { 200, 200, 200, 200 } },
    { "/basic/simplereenroll", false, { 403, 403, 401, 401 } },
    { "/basic/simplereenroll", true, { 403, 403, 401, 401 } },
    { "/simplereenroll", false, { 403, 403, 401, 401 } },
    { "/simplereenroll", true, { 200, 200, 200, 200 } },
    { "/both/simplereenroll", false, { 403, 403, 401, 401 } },
    { "/both/simplereenroll", true, { 401, 200, 401, 401 } },
  }
  for _, row in ipairs(MATRIX) do
    local path, with_cert, expected = table.unpack(row)
    it(("7030-3.2.3-a 7030-3.3.2-b 7030-4.2-f S41 S48 S49 S53 S54 S55 %s %s a certificate"):format(
      path, with_cert and "with" or "without"), function()
      local offers = { false, support.basic("device", secret), support.basic("device", "wrong"),
        "Basic !!!" }
      local got = {}
      for i, authorization in ipairs(offers) do
        local answer = post(path, with_cert, authorization)
        got[i] = answer.status
        assert.equal(answer.status == 401, answer.headers["www-authenticate"] ~= nil)
        if answer.status == 403 then assert.matches("^%C+\n$", answer.body) end
      end
      assert.same(expected, got)
    end)
  end

  it("takes a password beside a certificate that the label does not know, where it is enough",
    function()
    local password = support.basic("device", secret)
    assert.equal(200, post("/foreign/simpleenroll", true, password).status)
    assert.matches("^foreign simpleenroll: certificate nil of nil, user device; basic by device ",
      server:sql "SELECT detail FROM requests ORDER BY time_us DESC LIMIT 1")
    assert.equal(401, post("/foreign/simpleenroll", true, support.basic("device", "wrong")).status)
    for path, authorization in pairs { ["/foreign/simpleenroll"] = false,
      ["/foreign/simplereenroll"] = password, ["/foreign_both/simpleenroll"] = password } do
      local answer = post(path, true, authorization)
      assert.equal(403, answer.status, path)
      assert.equal("the client certificate is not accepted here\n", answer.body)
    end
  end)

  it("takes no password beside a certificate that was revoked here", function()
    local cert = core.cert.load(server:enroll "gone")
    local again = server:credential("gone", { "--reusable" })
    process.must { process.lest, "cert", "revoke", cert.serial, "--config",
      server.dir .. "/server.lua" }
    local base = server.folder .. "/gone"
    for _, path in ipairs { "/simpleenroll", "/foreign/simpleenroll" } do
      local status, body = server:post(path, server:csr("again", { subject = "/CN=gone" }),
        "--user", "gone:" .. again, "--cert", base .. ".pem", "--key", base .. ".key")
      assert.equal(403, status)
      assert.equal("the client certificate is revoked\n", body)
    end
  end)

  it("says what a renewal without a certificate lacks", function()
    for _, path in ipairs { "/basic", "/foreign", "" } do
      local answer = post(path .. "/simplereenroll", false, support.basic("device", secret))
      assert.equal(403, answer.status)
      assert.matches("^renewal needs a TLS client certificate", answer.body)
    end
  end)

  it("7030-3.7-a tells the policy all that was proven", function()
    local other = server:credential("somebody", { "--reusable" })
    for path, seen in pairs {
      ["/both/simpleenroll"] = "both simpleenroll: certificate device of own, user somebody; "
        .. "certificate by device wants CN=device DNS:device and holds CN=device DNS:device",
      ["/simpleenroll"] = "default simpleenroll: certificate device of own, user somebody; "
        .. "certificate by device wants CN=device DNS:device and holds CN=device DNS:device",
      ["/basic/simpleenroll"] = "basic simpleenroll: certificate nil of nil, user somebody; "
        .. "basic by somebody wants CN=device DNS:device and holds nil nil",
    } do
      assert.equal(200, post(path, true, support.basic("somebody", other)).status)
      assert.equal(seen, server:sql "SELECT detail FROM requests ORDER BY time_us DESC LIMIT 1")
    end
  end)

  local function malformed_headers()
    local token = core.base64.encode("device:" .. secret)
    return { "", "Basic", "Basic ", "Basic  ", "Basic !", "Basic =",
      "Basic " .. token .. " x", "Basic " .. token .. ",",
      "Basic " .. token .. "=", "Basic \"" .. token .. "\"",
      "Basic " .. core.base64.encode "no-colon", "Basic " .. core.base64.encode "de\0vice:x",
      "Basic " .. core.base64.encode "device:x\ny",
      "Basic " .. core.base64.encode("device:" .. ("x"):rep(2000)), token, "Basic:" .. token,
      "Bearer " .. token, "Digest username=\"device\"", "Negotiate " .. token, "Foo x" }
  end

  it("S45 S54 says 401 to every malformed Authorization that it needs", function()
    for _, value in ipairs(malformed_headers()) do
      for path, with_cert in pairs { ["/simpleenroll"] = false, ["/both/simplereenroll"] = true } do
        local answer = post(path, with_cert, value)
        assert.equal(401, answer.status, value)
        assert.is_not_nil(answer.headers["www-authenticate"])
      end
    end
  end)

  it("7030-3.3.2-b passes over what is unusable beside a certificate that is enough", function()
    local used = server:credential "used"
    assert.equal(200, post("/simpleenroll", false, support.basic("used", used), "used").status)
    local headers = malformed_headers()
    for _, value in ipairs { "Basic Og==", support.basic("None", "None"),
      support.basic("used", used), support.basic("device", "wrong") } do
      table.insert(headers, value)
    end
    local before = #server:logged "proof ignored"
    for _, value in ipairs(headers) do
      for _, path in ipairs { "/simpleenroll", "/simplereenroll" } do
        assert.equal(200, post(path, true, value).status, path .. " " .. value)
        assert.equal("certificate|own:CN=device", server:sql
          "SELECT principal_kind, principal_name FROM requests ORDER BY seq DESC LIMIT 1")
      end
      assert.equal(401, post("/both/simpleenroll", true, value).status, value)
    end
    assert.equal(2 * #headers, #server:logged "proof ignored" - before)
  end)

  it("takes a used-up secret beside a certificate for none, and its key too", function()
    local once, key = server:credential "fetched", assert(core.key.generate "ec:P-256")
    local base = server.folder .. "/device"
    local function ask(with_cert)
      local c <close> = assert(client:connect { port = server.port,
        cert = with_cert and base .. ".pem" or nil, key = with_cert and base .. ".key" or nil })
      return c:request(http("POST", "/simpleenroll", { CSR_TYPE, "Authorization: "
        .. support.basic("fetched", once) }, (support.request("fetched", { key = key }))))
    end
    local first = support.issued(ask(false).body)
    assert.equal(first.serial, support.issued(ask(false).body).serial)
    assert.not_equal(first.serial, support.issued(ask(true).body).serial)
  end)

  it("reads the scheme in any case, and any blanks after it", function()
    local token = core.base64.encode("device:" .. secret)
    for _, value in ipairs { "basic " .. token, "BASIC " .. token, "Basic   " .. token } do
      assert.equal(200, post("/basic/simpleenroll", false, value).status, value)
    end
  end)

  local function chosen(name, password)
    server:credential(name, { "--reusable", "--password-file",
      server:file(name .. ".password", password .. "\n") })
  end

  it("7617-2-c takes what follows the first colon for the password", function()
    chosen("colon", "b:c and more")
    assert.equal(200, post("/basic/simpleenroll", false,
      support.basic("colon", "b:c and more"), "colon").status)
    assert.equal(401, post("/basic/simpleenroll", false,
      support.basic("colon", "b"), "colon").status)
  end)

  it("7617-2.1-a takes UTF-8", function()
    chosen("test", "123456\u{a3}")
    assert.equal(200, post("/basic/simpleenroll", false, "Basic dGVzdDoxMjM0NTbCow==",
      "test").status)
    assert.equal(401, post("/basic/simpleenroll", false,
      support.basic("test", "123\xa3"), "test").status)
  end)

  it("7030-3.2.3-d needs no cookie, and gives none", function()
    local answer = post("/cert/simpleenroll", true)
    assert.equal(200, answer.status)
    assert.is_nil(answer.headers["set-cookie"])
    assert.is_nil(post("/simpleenroll", false).headers["set-cookie"])
  end)

  it("takes no secret of one name for another's, and none twice in a request", function()
    local other = server:credential "other"
    assert.equal(401, post("/simpleenroll", false, support.basic("device", other)).status)
    assert.equal(401, post("/simpleenroll", false, support.basic("other", secret)).status)
    local c <close> = assert(client:connect { port = server.port })
    local answer = c:request(http("POST", "/simpleenroll", { CSR_TYPE,
      "Authorization: " .. support.basic("device", secret),
      "Authorization: " .. support.basic("device", "wrong") }, (support.request "device")))
    assert.equal(400, answer.status)
  end)

  it("7616-3.4-d logs who failed, and never a password", function()
    local words = { "wrong-" .. core.secret.random(8), secret }
    post("/simpleenroll", false, support.basic("device", words[1]))
    post("/simpleenroll", false, support.basic("device", words[2]))
    local log = process.read(server.log_file)
    for _, word in ipairs(words) do
      assert.is_nil(log:find(word, 1, true))
      assert.is_nil(log:find(core.base64.encode("device:" .. word), 1, true))
    end
  end)
end)

describe("failed logins", function()
  it("7030-6-l are limited for a name; a right password waits as well, a random secret does not",
    function()
    local server = support.start { config = function(text)
      return (text:gsub("profiles = {", "limits = { failures_per_minute = 3 },\n  profiles = {", 1))
    end }
    local client <close> = raw_client.new()
    local function try(name, secret)
      local c <close> = assert(client:connect { port = server.port })
      return c:request(http("POST", "/simpleenroll", { CSR_TYPE, "Authorization: "
        .. support.basic(name, secret) }, (support.request(name))))
    end
    local ok, problem = pcall(function()
      server:credential("guessed", { "--password-file", server:file("password", "right one\n") })
      local random, other = server:credential "guessed", server:credential "other"
      for _ = 1, 3 do assert.equal(401, try("guessed", "wrong").status) end
      for _, word in ipairs { "wrong", "right one" } do
        local answer = try("guessed", word)
        assert.equal(429, answer.status)
        assert.is_true(tonumber(answer.headers["retry-after"]) >= 1)
        assert.equal("too many failed attempts\n", answer.body)
      end
      -- Nobody guesses a random secret, and nobody who knows its name keeps a device out.
      assert.equal(200, try("guessed", random).status)
      assert.equal(200, try("other", other).status)
      for _ = 1, 3 do assert.equal(401, try("no such name", "x").status) end
      assert.equal(429, try("no such name", "x").status)
    end)
    server:stop()
    assert(ok, problem)
  end)

  it("7030-6-l count beside a certificate that is enough, and are not checked past the limit",
    function()
    local server <close> = setmetatable({ s = support.start { config = function(text)
      return (text:gsub("profiles = {", "limits = { failures_per_minute = 3 },\n  profiles = {", 1))
    end } }, { __close = function(self) self.s:stop() end })
    server.s:enroll "holder"
    local base = server.s.folder .. "/holder"
    server.s:credential("victim", { "--password-file", server.s:file("password", "right one\n") })
    local function post(path, with_cert, password)
      local words = { "--user", "victim:" .. password }
      if with_cert then
        table.move({ "--cert", base .. ".pem", "--key", base .. ".key" }, 1, 4, 3, words)
      end
      return (server.s:post(path, server.s:csr("again", { subject = "/CN=holder" }),
        table.unpack(words)))
    end
    for _ = 1, 3 do assert.equal(200, post("/simplereenroll", true, "wrong")) end
    assert.equal(429, post("/simpleenroll", false, "right one"))
    assert.equal(200, post("/simplereenroll", true, "wrong"))
    local reasons = {}
    for i, line in ipairs(server.s:logged "proof ignored") do reasons[i] = line.reason end
    assert.same({ "the credentials are not accepted", "the credentials are not accepted",
      "the credentials are not accepted", "too many failed attempts" }, reasons)
  end)
end)
