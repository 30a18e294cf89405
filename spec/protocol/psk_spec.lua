-- Pre-shared keys (RFC 8446 4.2.11, RFC 4279, RFC 9257): handshakes without certificates, at an
-- address of their own. The other end is openssl s_client, or the client of lest.
local core = require "lest.core"
local json = require "lest.json"
local lest_client = require "lest.client"
local process = require "support.process"
local s_client = require "support.s_client"
local support = require "support.server"

local POLICY <const> = [[
local policy = require "lest.policy"
return {
  enroll = function(request)
    local who, proven = request.principal, request.auth.psk
    return policy.approve { subject = { { "CN", who.name } },
      detail = ("%s %s of %s over %s"):format(who.kind, proven and proven.name or "-",
        who.credential.site or "-", request.tls.version) }
  end,
}
]]

local function configuration(text)
  return (text:gsub("labels = {", [[labels = {
    mixed = { policy = "policy.lua", profile = "device", auth = { "basic", "psk" } },
    pass = { policy = "policy.lua", profile = "device", auth = { "basic" } },
    ]], 1):gsub('auth = { "certificate", "basic" }', 'auth = { "psk" }', 1)
    :gsub('listen = { "%[::%]:8443" }', 'listen = { { address = "[::]:8444", psk = true } }', 1)
    :gsub("profiles = {", "limits = { address_failures_per_minute = 500 },\n  profiles = {", 1))
end

local LISTEN <const> = { "127.0.0.1:0", "127.0.0.2:0,psk" }

describe("a pre-shared key", function()
  local server, to

  setup(function()
    server = support.start { policy = POLICY, config = configuration, listen = LISTEN }
    to = { address = "127.0.0.2", port = server.ports[2] }
  end)
  teardown(function() server:stop() end)

  local function made(name, ...)
    return server:credential(name, { "--kind", "psk", ... })
  end

  local function words(name, key, ...)
    return { "-psk_identity", name, "-psk", key, ... }
  end

  local function enroll(name, key, options)
    options = options or {}
    return s_client.request(to, words(name, key, table.unpack(options)), "POST",
      (options.label or "") .. "/simpleenroll", options.csr or (support.request(name)))
  end

  local function client(name, key, more)
    local options = { url = "127.0.0.2:" .. to.port, psk_identity = name, psk = key,
      notify = function() end }
    for option, value in pairs(more or {}) do options[option] = value end
    return lest_client(options)
  end

  --- The alert that ends a handshake, as s_client says it.
  local function alert_of(err)
    return err:match "SSL alert number (%d+)"
  end

  local VERSIONS <const> = { ["-tls1_3"] = "TLSv1.3", ["-tls1_2"] = "TLSv1.2" }

  it("7030-3.3.3-a enrolls without a certificate on either side, in TLS 1.3 and 1.2", function()
    local key = made("device001", "--reusable", "--set", "site=Ulm")
    for option, version in pairs(VERSIONS) do
      local answer, err = enroll("device001", key, { option })
      assert(answer, err)
      assert.equal(200, answer.status, answer.body)
      assert.equal("CN=device001", tostring(support.issued(answer.body).subject))
      assert.equal(("psk device001 of Ulm over %s"):format(version),
        server:sql "SELECT detail FROM requests ORDER BY seq DESC LIMIT 1")
      assert.equal("psk|device001", server:sql(
        "SELECT principal_kind, principal_name FROM certificates ORDER BY seq DESC LIMIT 1"))
    end
    local line = server:logged "request"
    assert.is_nil(line[#line].certificate)
    assert.equal("device001", line[#line].principal)
  end)

  it("is looked for again after a HelloRetryRequest", function()
    local key = made("retried", "--reusable")
    local answer, err = s_client.request(to, words("retried", key, "-tls1_3", "-groups",
      "secp521r1:P-256"), "GET", "/cacerts")
    assert(answer, err)
    assert.equal(200, answer.status)
  end)

  it("wants an ephemeral key exchange, AEAD, and SHA-256 in TLS 1.3", function()
    local key = made("suites", "--reusable")
    local function ask(...)
      local answer, err = s_client.request(to, words("suites", key, ...), "GET", "/cacerts")
      return answer and answer.status or alert_of(err) or err
    end
    for _, suite in ipairs { "ECDHE-PSK-CHACHA20-POLY1305", "DHE-PSK-AES256-GCM-SHA384",
      "DHE-PSK-AES128-GCM-SHA256", "DHE-PSK-CHACHA20-POLY1305" } do
      assert.equal(200, ask("-tls1_2", "-cipher", suite), suite)
    end
    for _, suite in ipairs { "PSK-AES256-GCM-SHA384", "PSK-CHACHA20-POLY1305",
      "RSA-PSK-AES256-GCM-SHA384", "DHE-PSK-AES256-CBC-SHA", "ECDHE-PSK-AES256-CBC-SHA384",
      "ECDHE-PSK-NULL-SHA256:@SECLEVEL=0", "ECDHE-ECDSA-AES128-GCM-SHA256" } do
      assert.equal("40", ask("-tls1_2", "-cipher", suite), suite)
    end
    assert.equal(200, ask("-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"))
    assert.equal("40", ask("-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"))
  end)

  it("looks the same whether nobody has the identity, or another key", function()
    made("known", "--reusable")
    local wrong = ("%064x"):format(0x1234567)
    for option in pairs(VERSIONS) do
      local seen = {}
      for _, name in ipairs { "known", "nobody", "no:name", ("x"):rep(200) } do
        local answer, err = s_client.request(to, words(name, wrong, option), "GET", "/cacerts")
        assert.is_nil(answer)
        seen[#seen + 1] = assert(alert_of(err), err)
      end
      assert.same({ seen[1], seen[1], seen[1], seen[1] }, seen)
    end
    local failed = server:logged "handshake failed"
    assert.equal(("x"):rep(200), failed[#failed].identity)
  end)

  it("is shown by nobody without one, nor taken where there are certificates", function()
    local key = made("elsewhere", "--reusable")
    for option, alert in pairs { ["-tls1_3"] = "70", ["-tls1_2"] = "40" } do
      local answer, err = s_client.request(to, { option }, "GET", "/cacerts")
      assert.is_nil(answer)
      assert.equal(alert, alert_of(err))
    end
    local plain = { address = "127.0.0.1", port = server.ports[1] }
    local answer = s_client.request(plain, words("elsewhere", key, "-tls1_3"), "POST",
      "/simpleenroll", (support.request "elsewhere"))
    assert.equal(403, answer.status)
    assert.equal("a TLS handshake with a pre-shared key is required\n", answer.body)
    local _, err = s_client.request(plain, words("elsewhere", key, "-tls1_2", "-cipher", "PSK"),
      "GET", "/cacerts")
    assert.equal("40", alert_of(err))
  end)

  it("is one proof among others, and does not replace another", function()
    local key = made("mixed", "--reusable")
    assert.equal(200, enroll("mixed", key, { label = "/mixed" }).status)
    assert.equal(401, enroll("mixed", key, { label = "/pass" }).status)
    local secret = server:credential("password", { "--reusable" })
    local c <close> = client("mixed", key, { label = "pass", username = "password",
      password = secret })
    local cert = assert(c:enroll { key = assert(core.key.generate "ec:P-256"),
      subject = "CN=password" })
    assert.equal("CN=password", tostring(cert.subject))
  end)

  it("is used up by one certificate, which it gets again, and ends", function()
    local key = made "once"
    local csr = support.request "once"
    local first = enroll("once", key, { csr = csr })
    assert.equal(200, first.status)
    assert.equal(first.body, enroll("once", key, { csr = csr }).body)
    local other = enroll("once", key)
    assert.equal(403, other.status)
    assert.equal("the one-time secret is used up\n", other.body)
    local over = made("over", "--expires", "1s")
    os.execute "sleep 1.2"
    local answer, err = enroll("over", over)
    assert.is_nil(answer)
    assert.is_string(alert_of(err))
    local unknown = server:logged "identity unknown"
    assert.equal("over", unknown[#unknown].name)
  end)

  it("is good no more once it was removed, on a connection that is open too", function()
    local key = made("removed", "--reusable")
    local c <close> = client("removed", key)
    local connection <close> = assert(c:connect())
    process.must { server.lest, "credential", "remove", "removed", "--config",
      server.dir .. "/server.lua" }
    assert(connection:send { operation = "simpleenroll",
      body = assert(core.csr.build { key = assert(core.key.generate "ec:P-256"),
        subject = "CN=removed" }) })
    local response = assert(connection:receive())
    assert.equal(403, response.status)
    assert.equal("the credential of the handshake is over, or was removed\n", response.body)
  end)

  it("7030-3.6-b lets a server in that has it, and teaches the anchors", function()
    local key = made("learner", "--reusable")
    local c <close> = client("learner", key)
    local found = assert(c:cacerts())
    local root = assert(core.cert.load(server.root))
    assert.equal(root.fingerprint, found.root.fingerprint)
    local private = assert(core.key.generate "ec:P-256")
    local cert = assert(c:enroll { key = private, subject = "CN=learner" })
    assert.equal("CN=learner", tostring(cert.subject))
    local connection <close> = assert(c:connect())
    assert.same({ "TLSv1.3", "key" }, { connection.tls.version, connection.tls.trust })
  end)

  it("refuses a server that has it not, or shows a certificate instead", function()
    made("honest", "--reusable")
    local wrong <close> = client("honest", ("%064x"):format(99))
    local found, err = wrong:cacerts()
    assert.is_nil(found)
    assert.equal("unauthenticated", err.code)
    assert.matches("does not know the identity, or has not that key for it", err.message)
    local shown <close> = client("honest", ("%064x"):format(99),
      { url = "127.0.0.1:" .. server.ports[1] })
    found, err = shown:cacerts()
    assert.is_nil(found)
    assert.equal("trust", err.code)
    assert.matches("shows a certificate, and does not prove that it has the key", err.message)
  end)

  it("7030-3.3.3-b is random: a password, or a short one, is refused", function()
    local config = server.dir .. "/server.lua"
    for text, good in pairs { ["correct horse battery"] = false, [("ab"):rep(15)] = false,
      [("ab"):rep(16)] = false, [("0123456789abcdef"):rep(2)] = true,
      [("0123456789abcdef"):rep(8)] = true, [("0123456789abcdef"):rep(8) .. "00"] = false,
      ["0123456789abcdef0123456789abcdefa"] = false } do
      local code, _, err = process.run({ server.lest, "credential", "add", "chosen", "--kind",
        "psk", "--password-file", "-", "--config", config }, { stdin = text .. "\n" })
      assert.equal(good and 0 or 2, code, text .. err)
      if not good then
        assert.matches("a pre%-shared key is random, and written as 32 to 128", err)
      end
      local ok, problem = pcall(function() return client("chosen", text):cacerts() end)
      assert(ok)
      assert(problem == nil or good)
    end
    local key = made "long"
    assert.matches("^%x+$", key)
    assert.equal(64, #key)
  end)

  it("7030-6-k is one client's: of two of a name, the newer counts", function()
    local older, newer = made("twice", "--reusable"), made("twice", "--reusable")
    assert.is_nil((enroll("twice", older)))
    assert.equal(200, enroll("twice", newer).status)
  end)

  it("stands in no log and no message", function()
    local key = made("quiet", "--reusable")
    assert.equal(200, enroll("quiet", key).status)
    assert.is_nil((enroll("quiet", key:reverse())))
    assert.is_nil(process.read(server.log_file):lower():find(key, 1, true))
    local shown = process.must { server.lest, "credential", "show", "quiet", "--json", "--config",
      server.dir .. "/server.lua" }
    assert.is_nil(shown:find(key, 1, true))
    assert.equal("psk", json.decode(shown)[1].kind)
  end)

  it("goes with a file in Lua", function()
    local key = made("filed", "--reusable")
    local file = server:file("filed.psk", key .. "\nnot this\n")
    local function with(options)
      options.url, options.notify = "127.0.0.2:" .. to.port, function() end
      local c <close> = lest_client(options)
      local found, err = c:cacerts()
      return found, err
    end
    assert(with { psk_identity = "filed", psk_file = file })
    for expected, options in pairs {
      ["psk and psk_file exclude each other"] = { psk_identity = "filed", psk = key,
        psk_file = file },
      ["a pre%-shared key needs its identity"] = { psk_file = file },
      ["an identity its key"] = { psk_identity = "filed" },
      ["exclude each other"] = { psk_identity = "filed", psk_file = file, srp_user = "a",
        srp_password = "b" },
      ["no certificate to show or to know the server by"] = { psk_identity = "filed",
        psk_file = file, fingerprint = ("ab"):rep(32) },
      ["bad%.psk: a pre%-shared key is random"] = { psk_identity = "filed",
        psk_file = server:file("bad.psk", "my dog's name\n") },
      ["is empty"] = { psk_identity = "filed", psk_file = server:file("none.psk", "\n") },
    } do
      local found, err = with(options)
      assert.is_nil(found)
      assert.equal("usage", err.code)
      assert.matches(expected, err.message)
      assert.is_nil(err.message:find(key, 1, true))
      assert.is_nil(err.message:find("dog", 1, true))
    end
    local _, err = with { psk_identity = "filed", psk_file = server.folder .. "/nowhere" }
    assert.equal("not_found", err.code)
  end)

  it("goes with commands: the key in a file, and no --trust", function()
    local file = server:file("command.psk", made("command", "--reusable") .. "\n")
    local url = "127.0.0.2:" .. to.port
    local code, out, err = process.run { server.lest, "cacerts", url, "--psk-identity", "command",
      "--psk-file", file }
    assert.equal(0, code, err)
    assert.matches("BEGIN CERTIFICATE", out)
    code, out, err = process.run { server.lest, "enroll", url, "--psk-identity", "command",
      "--psk-file", file, "--subject", "CN=command", "--new-key", "ec:P-256", "--key-out",
      server.folder .. "/command.key" }
    assert.equal(0, code, err)
    assert.matches("BEGIN CERTIFICATE", out)
    code, out, err = process.run { server.lest, "cacerts", url, "--psk-identity", "command",
      "--psk-file", file, "--trace" }
    assert.equal(0, code, out)
    assert.matches("trusted: it has the client's key", err)
    for expected, more in pairs {
      ["%-%-psk%-identity and %-%-psk%-file go together"] = { "--psk-identity", "command" },
      ["in place of %-%-cert and %-%-fingerprint"] = { "--psk-identity", "command", "--psk-file",
        file, "--fingerprint", ("ab"):rep(32) },
    } do
      code, out, err = process.run { server.lest, "cacerts", url, table.unpack(more) }
      assert.equal("", out)
      assert.equal(2, code)
      assert.matches(expected, err)
    end
  end)
end)

describe("an address for keys", function()
  local function check(edit, ...)
    local server <close> = support.make { policy = POLICY, config = edit }
    local code, out, err = process.run { server.lest, "serve", server.dir .. "/server.lua",
      "--check", ... }
    return code, out .. err
  end

  local KEYED <const> = '{ address = "127.0.0.1:0", psk = true }'

  local function with(listen, auth)
    return function(text)
      return (text:gsub('listen = { "%[::%]:8443" }', "listen = { " .. listen .. " }", 1)
        :gsub('auth = { "certificate", "basic" }', "auth = { " .. auth .. " }", 1))
    end
  end

  it("needs no server certificate", function()
    local function without(text)
      return (with(KEYED, '"psk"')(text):gsub("\n  tls = [^\n]*", "", 1))
    end
    local code, said = check(without)
    assert.equal(0, code, said)
    local server <close> = support.start { policy = POLICY, config = without,
      listen = { "127.0.0.2:0,psk" } }
    local key = server:credential("alone", { "--kind", "psk" })
    local c <close> = lest_client { url = "127.0.0.2:" .. server.port, psk_identity = "alone",
      psk = key }
    assert(c:enroll { key = assert(core.key.generate "ec:P-256"), subject = "CN=alone" })
    code, said = check(function(text)
      return (with('"127.0.0.1:0", ' .. KEYED, '"psk"')(text):gsub("\n  tls = [^\n]*", "", 1))
    end)
    assert.equal(2, code)
    assert.matches("tls: is missing", said)
  end)

  it("is asked for by a mistake's name", function()
    for expected, edit in pairs {
      ["labels%.default%.auth: takes 'psk', and no address of 'listen' does"] =
        with('"127.0.0.1:0"', '"psk"'),
      ["listen%[1%]%.pks: unknown, did you mean 'psk'%?"] =
        with('{ address = "127.0.0.1:0", pks = true }', '"basic"'),
      ["listen%[1%]%.address: is missing"] = with("{ psk = true }", '"basic"'),
      ["listen%[1%]: 'nonsense' is no address"] = with('"nonsense"', '"basic"'),
      ["with a pre%-shared key shows no certificate: write 'certificate' and 'psk' as two"] =
        with(KEYED, '"certificate+psk"'),
    } do
      local code, said = check(edit)
      assert.equal(2, code)
      assert.matches(expected, said)
    end
    local code, said = check(with('"127.0.0.1:0"', '"basic"'), "--listen", "127.0.0.1:0,pks")
    assert.equal(2, code)
    assert.matches("%-%-listen: pks: unknown, did you mean 'psk'%?", said)
  end)
end)
