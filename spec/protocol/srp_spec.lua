-- Passwords in the handshake (SRP, RFC 5054): no certificate on either side, TLS 1.2, at an address
-- that says so. The other end is curl, the client of lest, or somebody who means harm.
local core = require "lest.core"
local json = require "lest.json"
local lest_client = require "lest.client"
local process = require "support.process"
local raw_client = require "support.raw_client"
local raw_server = require "support.raw_server"
local s_client = require "support.s_client"
local srp = require "support.srp"
local support = require "support.server"

local POLICY <const> = [[
local policy = require "lest.policy"
return {
  enroll = function(request)
    local who, proven = request.principal, request.auth.srp
    return policy.approve { subject = { { "CN", who.name } },
      detail = ("%s %s of %s over %s, %s"):format(who.kind, proven and proven.name or "-",
        who.credential.site or "-", request.tls.version,
        request.tls.channel_bound and "bound" or "free") }
  end,
}
]]

local function configuration(text)
  return (text:gsub("labels = {", [[labels = {
    mixed = { policy = "policy.lua", profile = "device", auth = { "basic", "srp", "psk" } },
    pass = { policy = "policy.lua", profile = "device", auth = { "basic" } },
    bound = { policy = "policy.lua", profile = "device", auth = { "srp" },
      channel_binding = "required", fullcmc = true },
    ]], 1):gsub('auth = { "certificate", "basic" }', 'auth = { "srp" }', 1)
    :gsub('listen = { "%[::%]:8443" }',
      'listen = { { address = "[::]:8444", psk = true, srp = true } }', 1)
    :gsub("profiles = {", "limits = { address_failures_per_minute = 500, "
      .. "failures_per_minute = 500 },\n  profiles = {", 1))
end

local LISTEN <const> = { "127.0.0.1:0", "127.0.0.2:0,srp", "127.0.0.3:0,psk,srp" }

describe("a password in the handshake", function()
  local server, to, both

  setup(function()
    server = support.start { policy = POLICY, config = configuration, listen = LISTEN }
    to = { address = "127.0.0.2", port = server.ports[2] }
    both = { address = "127.0.0.3", port = server.ports[3] }
  end)
  teardown(function() server:stop() end)

  local function made(name, ...)
    return server:credential(name, { "--kind", "srp", ... })
  end

  --- A password that a person has chosen.
  local function chosen(name, password, ...)
    return process.run({ server.lest, "credential", "add", name, "--kind", "srp", "--reusable",
      "--password-file", "-", "--config", server.dir .. "/server.lua", ... },
      { stdin = password .. "\n" })
  end

  local function who(name, password) return { name = name, password = password } end

  local function enroll(name, password, options)
    options = options or {}
    return srp.request(options.to or to, who(name, password), "POST",
      (options.label or "") .. "/simpleenroll", options.csr or (support.request(name)),
      table.unpack(options))
  end

  local function client(name, password, more)
    local options = { url = "127.0.0.2:" .. to.port, srp_user = name, srp_password = password,
      notify = function() end }
    for option, value in pairs(more or {}) do options[option] = value end
    return lest_client(options)
  end

  it("7030-3.3.3-a enrolls without a certificate on either side, curl", function()
    local password = made("device001", "--reusable", "--set", "site=Ulm")
    for _, options in ipairs { {}, { "--tls-max", "1.2" }, { to = both },
      { "--ciphers", "SRP-AES-128-CBC-SHA" } } do
      local answer, err = enroll("device001", password, options)
      assert(answer, err)
      assert.equal(200, answer.status, answer.body)
      assert.equal("CN=device001", tostring(support.issued(answer.body).subject))
      assert.equal("srp device001 of Ulm over TLSv1.2, free",
        server:sql "SELECT detail FROM requests ORDER BY seq DESC LIMIT 1")
      assert.equal("srp|device001", server:sql(
        "SELECT principal_kind, principal_name FROM certificates ORDER BY seq DESC LIMIT 1"))
    end
    local line = server:logged "request"
    assert.is_nil(line[#line].certificate)
    assert.equal("device001", line[#line].principal)
  end)

  it("7030-3.6-b lets a server in that has it, teaches the anchors, and binds the CSR", function()
    local password = made("learner", "--reusable")
    local c <close> = client("learner", password)
    local found = assert(c:cacerts())
    assert.equal(assert(core.cert.load(server.root)).fingerprint, found.root.fingerprint)
    for _, label in ipairs { "", "bound" } do
      local at <close> = client("learner", password, { label = label ~= "" and label or nil })
      local cert = assert(at:enroll { key = assert(core.key.generate "ec:P-256"),
        subject = "CN=learner" })
      assert.equal("CN=learner", tostring(cert.subject))
      assert.equal("srp learner of - over TLSv1.2, bound",
        server:sql "SELECT detail FROM requests ORDER BY seq DESC LIMIT 1")
    end
    local bound <close> = client("learner", password, { label = "bound" })
    local got = assert(bound:fullcmc { requests = { { subject = "CN=learner",
      key = assert(core.key.generate "ec:P-256") } } })
    assert.equal("CN=learner", tostring(got[1].subject))
    assert.equal("srp learner of - over TLSv1.2, bound",
      server:sql "SELECT detail FROM requests ORDER BY seq DESC LIMIT 1")
    local connection <close> = assert(c:connect())
    assert.same({ "TLSv1.2", "password" }, { connection.tls.version, connection.tls.trust })
  end)

  it("7030-3.3.3-b may be one that a person chose; its verifier alone is kept", function()
    for name, password in pairs { person = "correct horse battery", ["Ulm Süd"] = "pässwörd, lang",
      eight = "x       x" } do
      local code, out, err = chosen(name, password)
      assert.equal(0, code, err)
      assert.equal("", out)
      assert.equal(200, enroll(name, password).status)
      local c <close> = client(name, password)
      assert(c:cacerts())
      assert.is_nil(client(name, password .. "x"):cacerts())
    end
    local rows = server:sql "SELECT * FROM credentials WHERE name = 'person'"
    assert.is_nil(rows:find("horse", 1, true))
    assert.equal("chosen|3072|16|384", server:sql("SELECT secret_kind, cost, length(salt), "
      .. "length(hash) FROM credentials WHERE name = 'person'"))
    local code, _, err = chosen("tab", "tabu\tlator")
    assert.equal(2, code)
    assert.matches("a password of SRP holds no control character", err)
  end)

  it("7030-3.3.3-b looks the same whether nobody has the name, or another password", function()
    made("known", "--reusable")
    for _, at in ipairs { to, both } do
      for _, name in ipairs { "known", "nobody", "no:name", ("x"):rep(200) } do
        local answer, err = srp.request(at, who(name, "wrong"), "GET", "/cacerts")
        assert.is_nil(answer)
        assert.matches("alert bad record mac", err)
      end
    end
    local failed = server:logged "handshake failed"
    assert.equal(("x"):rep(200), failed[#failed].identity)
    for _, name in ipairs { "known", "nobody" } do
      local c <close> = client(name, "wrong")
      local found, err = c:cacerts()
      assert.is_nil(found)
      assert.equal("unauthenticated", err.code)
      assert.matches("does not know the user, or the password is not his", err.message)
    end
  end)

  --- Twice a number.
  local function doubled(number)
    local bytes, carry = { number:byte(1, -1) }, 0
    for i = #bytes, 1, -1 do
      bytes[i], carry = 2 * bytes[i] + carry & 0xff, bytes[i] >> 7
    end
    return string.char(carry, table.unpack(bytes))
  end

  --- Begin a handshake by hand; the connection, and what the server says first.
  local function begin(raw, name)
    local c = assert(raw:connect { host = to.address, port = to.port, plain = true })
    assert(c:send(srp.hello(name)))
    return c, assert(srp.read(c:read { stop = "\22\3\3\0\4\14\0\0\0" }))
  end

  local function parameters(name)
    local raw <close> = raw_client.new()
    return select(2, begin(raw, name))
  end

  it("7030-3.3.3-b ends with a public value that would make the secret nobody's", function()
    made("zero", "--reusable")
    local raw <close> = raw_client.new()
    for times = 0, 2 do
      local c, numbers = begin(raw, "zero")
      local zero = times == 0 and "\0" or times == 1 and numbers.prime or doubled(numbers.prime)
      assert(c:send(srp.message(16, string.pack(">s2", zero))))
      assert.equal("\21\3\3\0\2\2\47", c:read():sub(-7)) -- illegal_parameter
      c:close()
    end
  end)

  --- What the client says of a server with these numbers.
  local function fetch(numbers)
    local liar <close> = raw_server.start { plain = true }
    liar:on_connect { srp.words(numbers), "stall" }
    local c <close> = client("device", "secret", { url = "127.0.0.1:" .. liar.port,
      timeout = "10s" })
    local found, err = c:cacerts()
    assert.is_nil(found)
    return err
  end

  it("is not used with a group that is small, or nobody's", function()
    for _, bits in ipairs { 1024, 1536, 2048, 3072 } do
      local err = fetch { prime = ("\255"):rep(bits // 8), generator = "\2", salt = "salt",
        public = "\2" }
      assert.equal("protocol", err.code, err.detail)
      assert.matches("the group of its SRP has less than 2048 bits, or is none of RFC 5054",
        err.message)
    end
  end)

  it("7030-3.3.3-b is not used for a server's public value that is zero", function()
    local numbers = parameters "nobody"
    for _, zero in ipairs { "\0", numbers.prime, doubled(numbers.prime) } do
      numbers.public = zero
      local err = fetch(numbers)
      assert.equal("tls", err.code, err.message)
      assert.matches("bad data", err.detail)
    end
  end)

  it("shows strangers a salt that stays, for names that nobody has too", function()
    made("salted", "--reusable")
    local salted, nobody = parameters "salted", parameters "nobody"
    assert.equal(384, #salted.prime)
    assert.equal("\5", salted.generator)
    assert.same({ salted.prime, salted.generator, #salted.salt },
      { nobody.prime, nobody.generator, #nobody.salt })
    assert.not_equal(salted.salt, nobody.salt)
    assert.not_equal(nobody.salt, parameters("nobody2").salt)
    made("salted2", "--reusable")
    assert.not_equal(salted.salt, parameters("salted2").salt)
    process.kill(server:pids("authority")[1], "KILL")
    process.wait_for(function()
      return pcall(parameters, "nobody")
    end, "the next authority", 20)
    local again = parameters "nobody"
    assert.equal(nobody.salt, again.salt)
    assert.not_equal(nobody.public, again.public)
    assert.equal(salted.salt, parameters("salted").salt)
  end)

  it("takes as long for a name that nobody has", function()
    made("timed", "--reusable")
    local raw <close> = raw_client.new()
    local function time(name)
      local started = core.clock.monotonic_us()
      begin(raw, name):close()
      return core.clock.monotonic_us() - started
    end
    -- The fifth fastest of each: what else the machine does makes none faster. It may take all the
    -- time away, so there are three attempts; a name that is answered without the work fails each.
    local function ratio_of_times()
      local timed, stranger = {}, {}
      for i = 1, 25 do
        timed[i], stranger[i] = time "timed", time "stranger"
      end
      table.sort(timed)
      table.sort(stranger)
      return timed[5] / stranger[5]
    end
    local ratio
    for _ = 1, 3 do
      ratio = ratio_of_times()
      if ratio > 0.6 and ratio < 1.6 then break end
    end
    assert.is_true(ratio > 0.6 and ratio < 1.6, ratio)
  end)

  it("is shown by nobody without one, nor taken where there are certificates", function()
    local password = made("elsewhere", "--reusable")
    for _, option in ipairs { "-tls1_3", "-tls1_2" } do
      local answer, err = s_client.request(to, { option }, "GET", "/cacerts")
      assert.is_nil(answer)
      assert.equal(option == "-tls1_3" and "70" or "40", err:match "SSL alert number (%d+)")
    end
    local plain = { address = "127.0.0.1", port = server.ports[1] }
    local _, err = enroll("elsewhere", password, { to = plain, "--tls-max", "1.2" })
    assert.matches("handshake failure", err)
    -- Suites of TLS 1.3 are offered beside SRP's.
    local answer = enroll("elsewhere", password, { to = plain })
    assert.equal(403, answer.status)
    assert.equal("a TLS handshake with a password (SRP) is required\n", answer.body)
    local found
    found, err = client("elsewhere", password, { url = "127.0.0.1:" .. plain.port }):cacerts()
    assert.is_nil(found)
    assert.equal("tls", err.code)
    assert.matches("takes no password in the handshake", err.message)
  end)

  it("stands beside a key at one address, and either is one proof among others", function()
    local password = made("mixed", "--reusable")
    local key = server:credential("mixed", { "--kind", "psk", "--reusable" })
    assert.equal(200, enroll("mixed", password, { to = both, label = "/mixed" }).status)
    for _, version in ipairs { "-tls1_2", "-tls1_3" } do
      local answer = s_client.request(both, { "-psk_identity", "mixed", "-psk", key, version },
        "POST", "/mixed/simpleenroll", (support.request "mixed"))
      assert.equal(200, answer.status)
    end
    local answer = s_client.request(both, { "-psk_identity", "mixed", "-psk", key }, "POST",
      "/simpleenroll", (support.request "mixed"))
    assert.equal(403, answer.status)
    assert.equal(401, enroll("mixed", password, { label = "/pass" }).status)
    local secret = server:credential("basic", { "--reusable" })
    local c <close> = client("mixed", password, { label = "pass", username = "basic",
      password = secret })
    assert.equal("CN=basic", tostring(assert(c:enroll {
      key = assert(core.key.generate "ec:P-256"), subject = "CN=basic" }).subject))
  end)

  it("is used up by one certificate, which it gets again, and ends", function()
    local password, csr = made "once", support.request "once"
    local first = enroll("once", password, { csr = csr })
    assert.equal(200, first.status)
    assert.equal(first.body, enroll("once", password, { csr = csr }).body)
    local other = enroll("once", password)
    assert.equal(403, other.status)
    assert.equal("the one-time secret is used up\n", other.body)
    local over = made("over", "--expires", "1s")
    os.execute "sleep 1.2"
    local answer, err = enroll("over", over)
    assert.is_nil(answer)
    assert.matches("alert bad record mac", err)
  end)

  it("7030-6-k is one client's: of two of a name, the newer counts", function()
    local older, newer = made("twice", "--reusable"), made("twice", "--reusable")
    assert.is_nil((enroll("twice", older)))
    assert.equal(200, enroll("twice", newer).status)
  end)

  it("stands in no log and no message", function()
    local password = made("quiet", "--reusable")
    assert.equal(200, enroll("quiet", password).status)
    assert.is_nil((enroll("quiet", password:reverse())))
    assert.is_nil(process.read(server.log_file):find(password, 1, true))
    local shown = process.must { server.lest, "credential", "show", "quiet", "--json", "--config",
      server.dir .. "/server.lua" }
    assert.is_nil(shown:find(password, 1, true))
    assert.equal("srp", json.decode(shown)[1].kind)
  end)

  it("goes with commands and files: no --trust", function()
    local password = made("command", "--reusable")
    local file = server:file("command.srp", password .. "\n")
    local url = "127.0.0.2:" .. to.port
    local given = { "--srp-user", "command", "--srp-password-file", file }
    local code, out, err = process.run { server.lest, "enroll", url, "--subject", "CN=command",
      "--new-key", "ec:P-256", "--key-out", server.folder .. "/command.key", table.unpack(given) }
    assert.equal(0, code, err)
    assert.matches("BEGIN CERTIFICATE", out)
    code, out, err = process.run { server.lest, "cacerts", url, "--trace", table.unpack(given) }
    assert.equal(0, code, out)
    assert.matches("trusted: it has the client's password, or its verifier", err)
    assert.is_nil(err:find(password, 1, true))
    for expected, more in pairs {
      ["%-%-srp%-user and %-%-srp%-password%-file go together"] = { "--srp-user", "command" },
      ["%-%-srp%-user stands in place of %-%-cert and %-%-fingerprint"] = { "--fingerprint",
        ("ab"):rep(32), table.unpack(given) },
      ["%-%-psk%-identity and %-%-srp%-user exclude each other"] = { "--psk-identity", "a",
        "--psk-file", file, table.unpack(given) },
    } do
      code, out, err = process.run { server.lest, "cacerts", url, table.unpack(more) }
      assert.equal("", out)
      assert.equal(2, code)
      assert.matches(expected, err)
    end
    local c <close> = client("command", nil, { srp_password_file = file })
    assert(c:cacerts())
  end)

  it("excludes what has no place beside it in a client", function()
    local cert = assert(core.cert.load(server.root))
    for expected, more in pairs {
      ["a user of SRP needs a password"] = { srp_user = false },
      ["exclude each other"] = { psk_identity = "a", psk = ("0123456789abcdef"):rep(4) },
      ["no certificate to show or to know the server by"] = { cert = cert },
      ["srp_password and srp_password_file exclude"] = { srp_password_file = server.root },
    } do
      local options = { url = "127.0.0.2:" .. to.port, srp_user = "a", srp_password = "b" }
      for name, value in pairs(more) do options[name] = value or nil end
      local found, err = lest_client(options):cacerts()
      assert.is_nil(found)
      assert.equal("usage", err.code)
      assert.matches(expected, err.message)
    end
  end)
end)

describe("an address for passwords", function()
  local function check(edit, ...)
    local server <close> = support.make { policy = POLICY, config = edit }
    local code, out, err = process.run { server.lest, "serve", server.dir .. "/server.lua",
      "--check", ... }
    return code, out .. err
  end

  local function with(listen, auth, more)
    return function(text)
      return (text:gsub('listen = { "%[::%]:8443" }', "listen = { " .. listen .. " }", 1)
        :gsub('auth = { "certificate", "basic" }', "auth = { " .. auth .. " }", 1)
        :gsub("tls = {", "tls = { " .. (more or ""), 1))
    end
  end

  local SRP <const> = '{ address = "127.0.0.1:0", srp = true }'

  it("needs no server certificate", function()
    local function without(text)
      return (with(SRP, '"srp"')(text):gsub("\n  tls = [^\n]*", "", 1))
    end
    local server <close> = support.start { policy = POLICY, config = without,
      listen = { "127.0.0.2:0,srp" } }
    local password = server:credential("alone", { "--kind", "srp" })
    local c <close> = lest_client { url = "127.0.0.2:" .. server.port, srp_user = "alone",
      srp_password = password }
    assert(c:enroll { key = assert(core.key.generate "ec:P-256"), subject = "CN=alone" })
  end)

  it("is asked for by a mistake's name", function()
    for expected, edit in pairs {
      ["labels%.default%.auth: takes 'srp', and no address of 'listen' does"] =
        with('{ address = "127.0.0.1:0", psk = true }', '"srp"'),
      ["with a password %(SRP%) shows no certificate: write 'certificate' and 'srp' as two"] =
        with(SRP, '"certificate+srp"'),
      ["tls%.min_version: is 1%.3, and SRP, which an address of 'listen' takes, ends with 1%.2"] =
        with(SRP, '"srp"', 'min_version = "1.3", '),
    } do
      local code, said = check(edit)
      assert.equal(2, code)
      assert.matches(expected, said)
    end
  end)
end)
