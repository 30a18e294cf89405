-- The client links each CSR to the very connection that carries it (RFC 7030 3.5): in one round
-- trip, also where a server redirects, asks for a password, or closes the connection.
local cmc = require "support.cmc"
local core = require "lest.core"
local est = require "support.est"
local lest_client = require "lest.client"
local process = require "support.process"
local shell = require "support.shell"
local support = require "support.server"

local http = est.http

--- What the server's end says a request's connection is bound by.
local function binding_of(server, request)
  for _, event in ipairs(server:all "tls") do
    if event.connection == request.connection then
      local info = event.info
      return core.base64.encode(info.version == "TLSv1.3" and info.exporter or info.peer_finished)
    end
  end
end

describe("a client's CSR", function()
  local world, server

  setup(function() world = est.world() end)
  teardown(function() world:close() end)
  after_each(function() server:stop() end)

  local function enroll(options, more)
    local client = world:client(server, options)
    local all = { key = world.key, subject = "CN=device", csrattrs = false }
    for key, value in pairs(more or {}) do all[key] = value end
    local cert, err = client:enroll(all)
    return cert, err, client
  end

  --- The CSRs that were sent, each with what its connection is bound by.
  local function sent()
    local list = {}
    for _, request in ipairs(server:requests()) do
      if request.method == "POST" then
        assert.equal(tostring(#request.body), request.headers["content-length"])
        table.insert(list, { csr = est.csr_of(request), binding = binding_of(server, request),
          connection = request.connection, body = request.body })
      end
    end
    return list
  end

  local function check(one)
    assert.is_true(one.csr:verify())
    assert.equal(world.key:public_der(), one.csr.public_key.der)
    assert.equal(one.binding, one.csr.challenge_password)
  end

  for _, version in ipairs { "1.2", "1.3" } do
    it(("7030-3.5-b 7030-3.5-f 2985-5.4.1-a 9266-2-a 5929-3.1-c is linked to its connection, on %s")
      :format(version), function()
      server = world:serve { min = version, max = version }
      server:answer(est.issued { world.device.cert })
      assert(enroll())
      local one = sent()[1]
      check(one)
      assert.equal(version == "1.3" and 44 or 16, #one.binding)
      assert.equal("\x13", one.csr.attributes[1].values[1]:sub(1, 1))
      assert.equal(1, #server:all "tls")
    end)
  end

  it("7030-3.2.1-d is another one, for the same key, behind a redirect on a new connection",
    function()
    server = world:serve()
    server:answer { http(307, { Location = "/.well-known/est/simpleenroll",
      Connection = "close" }, ""), "close" }
    server:answer(est.issued { world.device.cert })
    assert(enroll())
    local all = sent()
    assert.equal(2, #all)
    check(all[1])
    check(all[2])
    assert.not_equal(all[1].connection, all[2].connection)
    assert.not_equal(all[1].binding, all[2].binding)
  end)

  it("is made again for the answer to a challenge, on the same or another connection", function()
    for _, ending in ipairs { "stays", "close" } do
      server = world:serve()
      local answer = { http(401, { ["WWW-Authenticate"] = 'Basic realm="x"',
        Connection = ending == "close" and "close" or nil }, "") }
      if ending == "close" then table.insert(answer, "close") end
      server:answer(answer)
      server:answer(est.issued { world.device.cert })
      assert(enroll { username = "u", password = "p" })
      local all = sent()
      assert.equal(2, #all)
      check(all[1])
      check(all[2])
      assert.equal(ending == "stays", all[1].connection == all[2].connection)
      if ending == "stays" then server:stop() end
    end
  end)

  --- The messages of CMC that were sent: the CSRs in each, and what their connection is bound by.
  local function messages()
    local list = {}
    for _, request in ipairs(server:requests()) do
      if request.method == "POST" then
        assert.equal(tostring(#request.body), request.headers["content-length"])
        local message = assert(core.cmc.parse(core.est.body_decode(request.body)))
        assert.is_true(message:verify(world.key:public_der()))
        local csrs = {}
        for i, each in ipairs(message.requests) do csrs[i] = assert(core.csr.parse(each.der)) end
        table.insert(list, { csrs = csrs, binding = binding_of(server, request), message = message,
          connection = request.connection })
      end
    end
    return list
  end

  local function fullcmc(options, what)
    local client <close> = world:client(server, options)
    what.csrattrs = false
    local _, err = client:fullcmc(what)
    return err
  end

  for _, version in ipairs { "1.2", "1.3" } do
    it(("7030-3.5-b 7030-3.5-f is linked in a message of CMC, PKCS#10 and CRMF, on %s"):format(
      version), function()
      server = world:serve { min = version, max = version }
      server:answer(http(403, {}, ""))
      local finished = assert(core.csr.build { key = world.key, subject = "CN=finished" })
      local err = fullcmc(nil, { requests = { { key = world.key, subject = "CN=a" }, finished,
        { key = assert(core.key.generate "rsa:2048"), subject = "CN=b", form = "crmf" },
        { key = world.key, subject = "CN=c", challenge_password = "a secret" } } })
      assert.equal(403, err.status)
      local one = messages()[1]
      assert.equal(version == "1.3" and 44 or 16, #one.binding)
      for i, expected in ipairs { one.binding, false, one.binding, "a secret" } do
        assert.is_true(one.csrs[i]:verify())
        assert.equal(expected, one.csrs[i].challenge_password or false)
      end
      assert.equal(finished, one.csrs[2])
      assert.equal("crmf", one.csrs[3].form)
    end)
  end

  it("7030-3.5-b is made again in a message that answers a challenge, whoever signs", function()
    for _, ending in ipairs { "stays", "close" } do
      for _, proof in ipairs { "key", "identity" } do
        server = world:serve()
        local answer = { http(401, { ["WWW-Authenticate"] = 'Basic realm="x"',
          Connection = ending == "close" and "close" or nil }, "") }
        if ending == "close" then table.insert(answer, "close") end
        server:answer(answer)
        server:answer(http(403, {}, ""))
        local err = fullcmc({ username = "u", password = "p" }, {
          requests = { { key = world.key, subject = "CN=a" } },
          identity = proof == "identity" and { name = "a", secret = "s" } or nil })
        assert.equal(403, err.status)
        local all = messages()
        assert.equal(2, #all)
        for _, one in ipairs(all) do
          assert.equal(one.binding, one.csrs[1].challenge_password)
          assert.is_true(one.csrs[1]:verify())
        end
        assert.equal(ending == "stays", all[1].connection == all[2].connection)
        server:stop()
      end
    end
    server = world:serve()
  end)

  it("is not linked in a message where that is turned off, or that is finished", function()
    server = world:serve()
    server:answer(http(403, {}, ""), 2)
    fullcmc({ channel_binding = false }, { requests = { { key = world.key, subject = "CN=a" } } })
    local csr, key_id = cmc.csr_with_key_id { key = world.key, subject = "CN=device" }
    local der = cmc.request { key = world.key, key_id = key_id, csrs = { csr }, certificates = {} }
    local client <close> = world:client(server)
    client:cmc(der)
    local all = messages()
    assert.is_nil(all[1].csrs[1].challenge_password)
    assert.equal(der, all[2].message:der())
  end)

  it("7030-4.2.3-n is another one at each poll of a pending request", function()
    server = world:serve()
    server:answer { http(202, { ["Retry-After"] = "1", Connection = "close" }, ""), "close" }
    server:answer(est.issued { world.device.cert })
    assert(enroll(nil, { wait = "20s" }))
    local all = sent()
    check(all[1])
    check(all[2])
    assert.not_equal(all[1].csr:der(), all[2].csr:der())
  end)

  it("fills its body up with newlines, whatever its signature is long", function()
    server = world:serve()
    local sizes = {}
    server:answer(est.issued { world.device.cert }, 12)
    for _ = 1, 12 do assert(enroll()) end
    for _, one in ipairs(sent()) do
      check(one)
      sizes[#one.body] = true
      assert.matches("^[%w+/=\n]+\n+$", one.body)
    end
    assert.is_nil(next(sizes, next(sizes)), "one size")
  end)

  for _, kind in ipairs { "ec:P-384", "rsa:2048", "ed25519", "ec:P-521" } do
    it("fits its body with a key of the kind " .. kind, function()
      server = world:serve()
      server:answer(http(403, {}, ""))
      local key = assert(core.key.generate(kind))
      enroll(nil, { key = key })
      local one = sent()[1]
      assert.is_true(one.csr:verify())
      assert.equal(one.binding, one.csr.challenge_password)
    end)
  end

  it("7030-3.5-a 7894-4-d has it in estIdentityLinking alone where a server names that", function()
    server = world:serve()
    server:answer(est.csrattrs { "challengePassword", "estIdentityLinking" })
    server:answer(est.issued { world.device.cert })
    local _, _, client = enroll(nil, { csrattrs = true })
    local one = sent()[1]
    assert.equal(one.binding, one.csr.identity_linking)
    assert.is_nil(one.csr.challenge_password)
    assert.same({ "attribute: attribute estIdentityLinking: what the connection is known by, as "
      .. "the server asks" }, client.told)
  end)

  it("7894-4-c has what the server names, the secret as otpChallenge", function()
    server = world:serve()
    server:answer(est.csrattrs { "otpChallenge", "revocationChallenge", "challengePassword" })
    server:answer(est.issued { world.device.cert })
    local _, _, client = enroll({ challenge = "123456" },
      { csrattrs = true, revocation_challenge = "later" })
    local one = sent()[1]
    local asks = ", as the server asks"
    assert.same({ "attribute: attribute otpChallenge: the secret that was given" .. asks,
      "attribute: attribute revocationChallenge: the one that was given" .. asks,
      "attribute: attribute challengePassword: what the connection is known by" .. asks },
      client.told)
    assert.same({ "123456", "later", one.binding }, { one.csr.otp_challenge,
      one.csr.revocation_challenge, one.csr.challenge_password })
  end)

  it("is not linked where challengePassword is a secret, and says so where it is asked for",
    function()
    server = world:serve()
    server:answer(est.csrattrs { "challengePassword" })
    server:answer(est.issued { world.device.cert })
    local _, _, client = enroll({ challenge = "secret" }, { csrattrs = true })
    assert.equal("secret", sent()[1].csr.challenge_password)
    assert.matches("^warning: the server wants requests linked .* is a secret$", client.told[1])
  end)

  it("is as the caller has made it where it is finished, or told not to be linked", function()
    server = world:serve()
    server:answer(est.issued { world.device.cert }, 2)
    local csr = assert(core.csr.build { key = world.key, subject = "CN=device" })
    assert(world:client(server):enroll(csr))
    assert(enroll { channel_binding = false })
    local all = sent()
    assert.equal(csr, all[1].csr)
    assert.same({}, all[2].csr.attributes)
  end)

  it("is not sent where it cannot be made", function()
    server = world:serve()
    local cert, err = enroll(nil, { digest = "md5" })
    assert.is_nil(cert)
    assert.matches("MD5", tostring(err))
    assert.same({}, server:requests())
  end)

  it("takes its secret from a file", function()
    local folder = process.folder()
    server = world:serve()
    server:answer(est.issued { world.device.cert })
    process.write(folder .. "/secret", "from a file\nnot this\n")
    assert(enroll { challenge_file = folder .. "/secret" })
    assert.equal("from a file", sent()[1].csr.challenge_password)
    local cert, err = enroll { challenge_file = folder .. "/none" }
    assert.is_nil(cert)
    assert.equal("not_found", err.code)
    process.write(folder .. "/secret", "\n")
    cert, err = enroll { challenge_file = folder .. "/secret" }
    assert.is_nil(cert)
    assert.matches("is empty", err.message)
    cert, err = enroll { challenge_file = folder .. "/secret", challenge = "x" }
    assert.is_nil(cert)
    assert.matches("exclude each other", err.message)
    os.execute("rm -rf " .. folder)
  end)
end)

describe("a server that requires the binding", function()
  local server

  setup(function()
    server = support.start { policy = [[
local policy = require "lest.policy"
local function decide(request)
  return policy.approve { subject = request.csr.subject,
    detail = tostring(request.tls.channel_bound) }
end
return { enroll = decide, reenroll = decide, serverkeygen = decide }]], config = function(text)
      return (text:gsub("%-%- fullcmc = true", "fullcmc = true", 1)
        :gsub('auth = { "certificate", "basic" }',
        'auth = { "certificate", "basic", "digest" }, channel_binding = "required"', 1)
        :gsub('names = "principal"', 'names = "policy", server_keys = { "ec:P-256" }', 1)
        :gsub("labels = {", [[labels = {
          open = { policy = "policy.lua", profile = "device", auth = { "basic" } },
          secret = { policy = "policy.lua", profile = "device", auth = { "challenge" },
            fullcmc = true, channel_binding = "required" }, ]], 1))
    end }
  end)
  teardown(function() server:stop() end)

  local function client_of(options)
    local all = { url = server.url, trust = server.root }
    for key, value in pairs(options) do all[key] = value end
    return lest_client(all)
  end

  local function last()
    return server:sql "SELECT detail FROM requests ORDER BY seq DESC LIMIT 1"
  end

  it("7030-3.5-b is served by the client: by Basic, by Digest, renewing, for a key", function()
    local basic <close> = client_of { username = "dev", password = server:credential("dev") }
    local key = assert(core.key.generate "ec:P-256")
    local cert = assert(basic:enroll { key = key, subject = "CN=dev" })
    assert.equal("true", last())
    local digest <close> = client_of { username = "dig", digest = true,
      password = server:credential("dig", { "--kind", "digest" }) }
    assert(digest:enroll { key = assert(core.key.generate "ec:P-256"), subject = "CN=dig" })
    local me <close> = client_of { cert = cert, key = key }
    assert(me:serverkeygen { subject = "CN=made" })
    assert.equal("true", last())
    assert(me:reenroll { key = assert(core.key.generate "ec:P-256") })
    assert.equal("true", last())
  end)

  it("7030-3.5-b is served by messages of CMC: by Basic, by Digest, renewing, in either form",
    function()
      local basic <close> = client_of { username = "cmc",
        password = server:credential("cmc", { "--reusable" }) }
      local key = assert(core.key.generate "ec:P-256")
      local got = assert(basic:fullcmc { requests = { { key = key, subject = "CN=cmc" },
        { key = assert(core.key.generate "ec:P-256"), subject = "CN=cmc", form = "crmf" } } })
      assert.same({ {}, "true" }, { got.errors, last() })
      assert.same({ "CN=cmc", "CN=cmc" }, { tostring(got[1].subject), tostring(got[2].subject) })
      local digest <close> = client_of { username = "cmc-dig", digest = true,
        password = server:credential("cmc-dig", { "--kind", "digest" }) }
      assert(digest:fullcmc { requests = { { key = assert(core.key.generate "ec:P-256"),
        subject = "CN=cmc-dig" } } })
      assert.equal("true", last())
      local me <close> = client_of { cert = got[1], key = key }
      assert(me:fullcmc { requests = { { key = assert(core.key.generate "ec:P-256") } } })
      assert.equal("true", last())
      local off <close> = client_of { cert = got[1], key = key, channel_binding = false,
        notify = function() end }
      local none, err = off:fullcmc { requests = { { key = key } } }
      assert.is_nil(none)
      assert.matches("^popFailed: the CSR must be linked to its TLS connection", err.reason)
    end)

  it("7894-4-a is served by an identity proof, too", function()
    local secret = server:credential("proof", { "--kind", "challenge", "--reusable" })
    local client <close> = client_of { label = "secret" }
    for _, csrattrs in ipairs { true, false } do
      assert(client:fullcmc { requests = { { key = assert(core.key.generate "ec:P-256"),
        subject = "CN=proof" } }, csrattrs = csrattrs,
        identity = { name = "proof", secret = secret } })
      assert.equal("true", last())
    end
  end)

  it("7894-4-a 7894-4-c is served with a secret in the CSR, too", function()
    local client <close> = client_of { label = "secret",
      challenge = server:credential("otp", { "--kind", "challenge" }) }
    assert(client:enroll { key = assert(core.key.generate "ec:P-256"), subject = "CN=otp" })
    assert.equal("true", last())
  end)

  it("refuses who links nothing: --no-channel-binding", function()
    local folder = server.folder
    process.write(folder .. "/password", server:credential("cmd", { "--reusable" }) .. "\n")
    local function enroll(label, ...)
      return shell.lest("enroll", server.url, "--label", label, "--trust", server.root,
        "--username", "cmd", "--password-file", folder .. "/password", "--subject", "CN=cmd",
        "--new-key", "ec:P-256", "--key-out", folder .. "/cmd.key", "--out", folder .. "/cmd.pem",
        ...)
    end
    local result = enroll("default", "--no-channel-binding")
    assert.equal(1, result.code)
    assert.matches("must be linked to its TLS connection", result.err)
    assert.matches("warning: the server wants requests linked to their TLS connection", result.err)
    result = enroll "default"
    assert.equal(0, result.code, result.err)
    assert.equal("true", last())
    result = shell.lest("reenroll", server.url, "--trust", server.root, "--cert",
      folder .. "/cmd.pem", "--key", folder .. "/cmd.key", "--out", folder .. "/cmd2.pem",
      "--no-channel-binding")
    assert.equal(1, result.code)
    local function fullcmc(...)
      return shell.lest("fullcmc", server.url, "--trust", server.root, "--cert",
        folder .. "/cmd.pem", "--key", folder .. "/cmd.key", "--csr-key", folder .. "/cmd.key",
        "--out", folder .. "/cmd3.pem", ...)
    end
    result = fullcmc "--no-channel-binding"
    assert.equal(7, result.code)
    assert.matches("popFailed: the CSR must be linked to its TLS connection", result.err)
    assert.matches("warning: the server wants requests linked to their TLS connection", result.err)
    result = fullcmc()
    assert.equal(0, result.code, result.err)
    result = enroll("open", "--no-channel-binding")
    assert.equal(0, result.code, result.err)
  end)

  it("7030-6-c sees the binding of who knows it by the system's anchors alone, too", function()
    local script = server.folder .. "/system.lua"
    process.write(script, [[
local lest = require "lest"
local client = lest.client { url = arg[1], trust = "system", username = "sys", password = arg[2],
  allow_password_with_system_trust = true }
assert(client:enroll { key = assert(lest.key.generate "ec:P-256"), subject = "CN=sys" })]])
    local result = shell.run(("SSL_CERT_FILE=%s %s"):format(server.root,
      shell.line("run", script, server.url, server:credential "sys")))
    assert.equal(0, result.code, result.err)
    assert.equal("true", last())
  end)
end)
