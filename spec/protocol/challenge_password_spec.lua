-- A secret as challengePassword (RFC 2985 5.4.1) or otpChallenge (RFC 7894 3.1) of the CSR: who is
-- believed for it, and that it is kept nowhere.
local core = require "lest.core"
local lest_client = require "lest.client"
local process = require "support.process"
local shell = require "support.shell"
local support = require "support.server"

local POLICY <const> = [[
local policy = require "lest.policy"
return {
  enroll = function(request)
    if request.csr.subject.OU == "wait" then return policy.pending "look at it" end
    if request.principal.kind == "basic" then
      return policy.approve { subject = { { "CN", request.principal.name } } }
    end
    return policy.approve { subject = { { "CN", request.auth.challenge.name } },
      detail = ("%s of %s says %s"):format(request.principal.name,
        request.principal.credential.site, request.csr.challenge_password) }
  end,
}
]]

describe("a challengePassword", function()
  local server

  setup(function()
    server = support.start { policy = POLICY, config = function(text)
      return (text:gsub('auth = { "certificate", "basic" }', 'auth = { "challenge" }', 1)
        :gsub("labels = {", [[labels = {
          mixed = { policy = "policy.lua", profile = "device", auth = { "basic", "challenge" } },
          ]], 1))
    end }
  end)
  teardown(function() server:stop() end)

  local function made(name, ...)
    return server:credential(name, { "--kind", "challenge", "--set", "site=Ulm", ... })
  end

  local function post(name, secret, more, label, ...)
    local options = { challenge_password = secret }
    for key, value in pairs(more or {}) do options[key] = value end
    local body = support.request(name, options)
    return server:curl((label or "") .. "/simpleenroll", "--data-binary", body, "-H",
      "Content-Type: application/pkcs10", ...)
  end

  it("proves who asks, for one key where it is for once", function()
    local secret = made "device001"
    local key = assert(core.key.generate "ec:P-256")
    local status, body = post("device001", secret, { key = key })
    assert.equal(200, status, body)
    assert.equal("device001 of Ulm says " .. ("*"):rep(#secret),
      server:sql "SELECT detail FROM requests ORDER BY seq DESC LIMIT 1")
    assert.equal("challenge", server:sql "SELECT principal_kind FROM certificates LIMIT 1")
    assert.equal(200, (post("device001", secret, { key = key })))
    local reason
    status, reason = post("device001", secret)
    assert.equal(403, status)
    assert.matches("used up", reason)
  end)

  it("7894-4-i is refused where it is wrong, another's, of another kind or not there", function()
    local secret = made("device002", "--reusable")
    made("device003", "--reusable")
    local basic = server:credential("device004", { "--kind", "basic" })
    for _, case in ipairs { { "device002", secret .. "x" }, { "device003", secret },
      { "nobody", secret }, { "device004", basic }, { "device002", "" } } do
      local status, body, headers = post(case[1], case[2])
      assert.same({ 403, "the credentials are not accepted\n" }, { status, body })
      assert.is_nil(headers["www-authenticate"])
    end
    local status, body = post "device002"
    assert.equal(403, status)
    assert.matches("challengePassword in the CSR is required", body)
    status, body = post("device002", secret, { subject = "O=Example" })
    assert.equal(403, status)
    assert.matches("no common name", body)
    assert.equal(200, (post("device002", secret)))
    -- Where Basic would do as well, that is asked for.
    local answer = { post("device002", nil, nil, "/mixed") }
    assert.equal(401, answer[1])
    assert.matches("^Basic", answer[3]["www-authenticate"])
  end)

  it("7894-3.1-a 7894-5-a may be in otpChallenge, once, and is recorded nowhere", function()
    local secret = made "device010"
    local options = { otp_challenge = secret, revocation_challenge = "later",
      key = assert(core.key.generate "ec:P-256") }
    local status, body = post("device010", nil, options)
    assert.equal(200, status, body)
    local hex = server:sql "SELECT hex(csr) FROM requests ORDER BY seq DESC LIMIT 1"
    local kept = assert(core.csr.parse((hex:gsub("%x%x", function(byte)
      return string.char(tonumber(byte, 16))
    end))))
    assert.same({ ("*"):rep(#secret), "*****" }, { kept.otp_challenge, kept.revocation_challenge })
    options.key = assert(core.key.generate "ec:P-256")
    status, body = post("device010", nil, options)
    assert.equal(403, status)
    assert.matches("used up", body)
    assert.is_nil(process.read(server.folder .. "/log"):find(secret, 1, true))
    -- It says what it is: another secret beside it stands for nothing.
    secret = made("device011", "--reusable")
    assert.equal(403, (post("device011", secret, { otp_challenge = secret .. "x" })))
  end)

  it("does not spare a one-time password beside it", function()
    local challenge = made("device008", "--reusable")
    local basic = server:credential "device009"
    local function both()
      return post("device008", challenge, nil, "/mixed", "--user", "device009:" .. basic)
    end
    local status, body = both()
    assert.equal(200, status, body)
    assert.equal("basic|device009", server:sql(
      "SELECT principal_kind, principal_name FROM certificates ORDER BY seq DESC LIMIT 1"))
    assert.equal("used", server:sql "SELECT state FROM credentials WHERE name = 'device009'")
    assert.equal(401, (both()))
  end)

  it("is limited in guesses as a password is", function()
    process.write(server.folder .. "/password", "correct horse\n")
    made("guessed", "--reusable", "--password-file", server.folder .. "/password")
    local last
    for i = 1, 15 do last = post("guessed", "guess " .. i) end
    assert.equal(429, last)
    assert.equal(429, (post("guessed", "correct horse")))
  end)

  it("is in no record, while it is pending neither", function()
    local secret = made "device005"
    assert.equal(202, (post("device005", secret, { subject = "CN=device005,OU=wait" })))
    for _, column in ipairs { "hex(csr) FROM requests", "hex(csr) FROM pending" } do
      local hex = secret:gsub(".", function(c) return ("%02X"):format(c:byte()) end)
      local kept = server:sql("SELECT " .. column)
      assert.not_matches(hex, kept)
      assert.matches(("2A"):rep(#secret), kept)
    end
    assert.is_nil(process.read(server.folder .. "/log"):find(secret, 1, true))
  end)

  it("is given to the client by an option, for servers that are known", function()
    local client <close> = lest_client { url = "localhost:" .. server.port, trust = server.root,
      challenge = made "device006" }
    local cert = assert(client:enroll { subject = "CN=device006",
      key = assert(core.key.generate "ec:P-256") })
    assert.equal("device006", cert.subject.CN)
    local system <close> = lest_client { url = "localhost:" .. server.port, trust = "system",
      challenge = "secret" }
    local found, err = system:enroll { subject = "CN=x", csrattrs = false,
      key = assert(core.key.generate "ec:P-256") }
    assert.is_nil(found)
    assert.equal("trust", err.code)
    assert.matches("no secret is sent", err.message)
    local folder = server.folder
    process.write(folder .. "/secret", made "device007" .. "\n")
    local function enroll(...)
      return shell.run(shell.line("enroll", "localhost:" .. server.port, "--trust", server.root,
        "--challenge-file", folder .. "/secret", ...))
    end
    local result = enroll("--subject", "CN=device007", "--new-key", "ec:P-256", "--key-out",
      folder .. "/device007.key", "--out", folder .. "/device007.pem")
    assert.equal(0, result.code, result.err)
    server:verify "device007.pem"
    assert.equal(2, enroll("--csr", folder .. "/x.csr").code)
  end)
end)
