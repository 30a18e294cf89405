-- revocationChallenge (RFC 7894 3.2): kept hashed with the certificate, and good to revoke it
-- later, by an operator who asks for it, and by the passphrase of a revocation request (RFC 5272
-- 6.11).
local core = require "lest.core"
local lest = require "lest"
local process = require "support.process"
local support = require "support.server"

local SECRET <const> = "tell them the heron flew"

local POLICY <const> = [[
local policy = require "lest.policy"
local function decide(request)
  if request.csr.subject.CN == "refused" then return policy.reject "not this one" end
  if request.csr.subject.CN == "waits" and #request.approvals == 0 then
    return policy.pending "wait for it"
  end
  return policy.approve { subject = request.csr.subject }
end
return { enroll = decide, serverkeygen = decide, reenroll = policy.renew {} }
]]

describe("revocationChallenge", function()
  local server

  setup(function()
    server = support.start { policy = POLICY, config = function(text)
      text = text:gsub("%-%- fullcmc = true", "fullcmc = true", 1)
      text = text:gsub("profiles = {", "limits = { failures_per_minute = 3 },\n  profiles = {", 1)
      return (text:gsub('names = "principal"', 'names = "policy", server_keys = { "ec:P-256" }', 1))
    end }
    process.write(server.folder .. "/challenge", SECRET .. "\n")
    process.write(server.folder .. "/wrong", "the heron stayed\n")
  end)
  teardown(function() server:stop() end)

  local function client_of(name, changes)
    local options = { url = server.url, trust = server.root, username = name,
      password = server:credential(name, { "--reusable" }) }
    for key, value in pairs(changes or {}) do options[key] = value end
    return assert(lest.client(options))
  end

  local function enrolled(name, secret)
    local key = assert(core.key.generate "ec:P-256")
    local client = client_of(name)
    local cert = assert(client:enroll { key = key, subject = "CN=" .. name,
      revocation_challenge = secret })
    return cert, client, key
  end

  local function revoke(cert, ...)
    return process.run { support.lest, "cert", "revoke", cert.serial, "--config",
      server.dir .. "/server.lua", ... }
  end

  local function is_revoked(cert)
    return server:sql("SELECT revoked_at IS NOT NULL FROM certificates WHERE serial = '"
      .. cert.serial .. "'") == "1"
  end

  local function shown(cert)
    return process.must { support.lest, "cert", "show", cert.serial, "--config",
      server.dir .. "/server.lua" }
  end

  --- What a revocation request with a passphrase comes to.
  local function ask(client, cert, passphrase)
    local control = { name = "revokeRequest", value = { issuer_der = cert.issuer_der,
      serial = cert.serial, reason = 4, passphrase = passphrase } }
    return client:fullcmc { controls = { control } }
  end

  it("7894-3.2-a is kept hashed, and for an operator to ask for", function()
    local cert = enrolled("device001", SECRET)
    assert.matches("revocation_challenge +kept", shown(cert))
    local bytes = process.must { "sh", "-c", "cat " .. server.dir .. "/ledger* | tr -d '\\n'" }
    assert.is_nil(bytes:find("the heron flew", 1, true))
    local code, _, err = revoke(cert, "--challenge-file", server.folder .. "/wrong")
    assert.equal(7, code)
    assert.matches("this is not the revocation challenge of the certificate", err)
    assert.is_false(is_revoked(cert))
    code, _, err = revoke(cert, "--challenge-file", server.folder .. "/challenge")
    assert.equal(0, code, err)
    assert.is_true(is_revoked(cert))
    local none = enrolled "device002"
    assert.is_nil(shown(none):find "revocation_challenge")
    code, _, err = revoke(none, "--challenge-file", server.folder .. "/challenge")
    assert.equal(7, code)
    assert.matches("was asked for without a revocation challenge", err)
    assert.equal(2, (process.run { support.lest, "cert", "revoke", "--device", "device002",
      "--challenge-file", server.folder .. "/challenge", "--config", server.dir .. "/server.lua" }))
    assert.is_nil(process.read(server.folder .. "/log"):find("heron", 1, true))
  end)

  it("7894-3.2-a 5272-6.11-a revokes as the passphrase of who has lost the key", function()
    local cert = enrolled("device003", SECRET)
    -- Another certificate of nobody's signs: the passphrase alone says whose it is.
    local _, _, key = enrolled "device004"
    local path = server.folder .. "/device004"
    local client = client_of "device004"
    local own = assert(client:enroll { key = key, subject = "CN=device004" })
    own:save(path .. ".pem")
    key:save(path .. ".key")
    client = client_of("device004", { cert = path .. ".pem", key = path .. ".key" })
    local _, err = ask(client, cert, "the heron stayed")
    assert.matches("has no such certificate", tostring(err))
    _, err = ask(client, cert, nil)
    assert.matches("has no such certificate", tostring(err))
    assert.is_false(is_revoked(cert))
    assert(ask(client, cert, SECRET))
    assert.is_true(is_revoked(cert))
    assert.equal("superseded", server:sql("SELECT revocation_reason FROM certificates WHERE serial"
      .. " = '" .. cert.serial .. "'"))
    assert(ask(client, cert, SECRET))
    -- Guesses are counted as those of passwords are.
    local other = enrolled("device005", SECRET)
    local seen
    for _ = 1, 4 do _, seen = ask(client, other, "a guess") end
    assert.matches("too many failed attempts", tostring(seen))
    _, seen = ask(client, other, SECRET)
    assert.matches("too many failed attempts", tostring(seen))
    assert.is_false(is_revoked(other))
  end)

  it("7894-3.2-a comes by the commands, and with a key that the server makes", function()
    local made = server.folder .. "/made"
    local function run(command, name, ...)
      process.write(server.folder .. "/password", server:credential(name, { "--reusable" }) .. "\n")
      local words = { support.lest, command, server.url, "--trust", server.root, "--username", name,
        "--password-file", server.folder .. "/password", "--revocation-challenge-file",
        server.folder .. "/challenge", "--out", made .. ".pem", "--key-out", made .. "." .. command,
        ... }
      process.must(words)
      return assert(core.cert.load(made .. ".pem"))
    end
    local first = run("enroll", "device006", "--subject", "CN=device006", "--new-key", "ec:P-256")
    assert.matches("revocation_challenge +kept", shown(first))
    first:save(made .. ".first")
    local made_there = run("serverkeygen", "device007", "--subject", "CN=device007")
    assert.matches("revocation_challenge +kept", shown(made_there))
    local path = server.folder .. "/device006"
    process.must { support.lest, "reenroll", server.url, "--trust", server.root, "--cert",
      made .. ".first", "--key", made .. ".enroll", "--out", path,
      "--revocation-challenge-file", server.folder .. "/challenge" }
    assert.matches("revocation_challenge +kept", shown(assert(core.cert.load(path))))
    local code, _, err = process.run { support.lest, "enroll", server.url, "--trust", server.root,
      "--csr", path, "--revocation-challenge-file", server.folder .. "/challenge" }
    assert.equal(2, code)
    assert.matches("has its own revocationChallenge", err)
  end)

  it("is kept for what is issued alone, also after operators have decided", function()
    local before = server:sql "SELECT count(*) FROM revocation_challenges"
    local client = client_of "refused"
    local key = assert(core.key.generate "ec:P-256")
    local _, err = client:enroll { key = key, subject = "CN=refused",
      revocation_challenge = SECRET }
    assert.equal(403, err.status)
    client = client_of "waits"
    local plan = { key = key, subject = "CN=waits", revocation_challenge = SECRET }
    _, err = client:enroll(plan)
    assert.equal("pending", err.code)
    assert.equal(before, server:sql "SELECT count(*) FROM revocation_challenges")
    local id = server:sql "SELECT id FROM pending WHERE principal_name = 'waits'"
    process.must { support.lest, "pending", "approve", id, "--config", server.dir .. "/server.lua" }
    local cert = assert(client:enroll(plan))
    assert.equal(0, (revoke(cert, "--challenge-file", server.folder .. "/challenge")))
  end)
end)
