-- Which server the client believes, and to which it shows a password or a certificate (RFC 7030
-- 3.3, 4.1.1).
local core = require "lest.core"
local est = require "support.est"
local lest_client = require "lest.client"

local http = est.http
local BASIC <const> = { ["WWW-Authenticate"] = 'Basic realm="est"' }

describe("the client", function()
  local world, server

  setup(function()
    world = est.world()
    world.elsewhere = world.pki:issue("elsewhere",
      { by = world.root, ext = est.server_ext "DNS:elsewhere.example" })
  end)
  teardown(function() world:close() end)
  before_each(function() server = world:serve() end)
  after_each(function() server:stop() end)

  local function credentials(more)
    local all = { username = "u", password = "secret" }
    for key, value in pairs(more or {}) do all[key] = value end
    return world:client(server, all)
  end

  local function fails(code, found, err)
    assert.is_nil(found)
    assert.equal(code, err.code, tostring(err))
    return err
  end

  describe("finds the operations", function()
    local function first_line(url, label)
      server:answer(est.cacerts { world.root.cert })
      local client <close> = world:client(server, { url = url, label = label })
      assert.equal(1, select("#", client:cacerts()))
      local lines = est.lines(server)
      return lines[#lines]
    end

    it("7030-3.1-i from three forms of configuration", function()
      local host, url = "localhost:" .. server.port, server.url
      for target, forms in pairs {
        ["GET /.well-known/est/cacerts"] = { { url }, { url .. "/" }, { host },
          { url .. "/.well-known/est" }, { url .. "/.well-known/est/" } },
        ["GET /.well-known/est/lab/cacerts"] = { { url, "lab" }, { host, "lab" },
          { url .. "/.well-known/est/lab" }, { url .. "/.well-known/est/lab/", "lab" },
          { host .. "/.well-known/est/lab" } },
      } do
        for _, form in ipairs(forms) do assert.equal(target, first_line(form[1], form[2])) end
      end
    end)

    it("7030-3.3-b only over https, and only where EST is", function()
      for url, why in pairs {
        ["http://localhost:1"] = "never spoken over http://", [server.url .. "/est"] = "path",
        [server.url .. "/.well-known/est/a/b"] = "path", [server.url .. "?x"] = "query",
        ["https://u:p@localhost"] = "user name",
        [server.url .. "/.well-known/est/cacerts"] = "cacerts",
      } do
        local found, err = world:client(server, { url = url }):cacerts()
        assert.is_nil(found)
        assert.equal(2, err.exit_code)
        assert.matches(why, tostring(err), 1, true)
      end
      fails("usage", world:client(server, { url = server.url .. "/.well-known/est/a", label = "b" })
        :cacerts())
      assert.equal(0, #server:requests())
    end)
  end)

  it("says what is wrong with its configuration before any traffic", function()
    for _, options in ipairs {
      { trust = false }, { fingerprint = ("0"):rep(64) },
      { trust = false, fingerprint = "12" }, { username = "u" },
      { username = "a:b", password = "p" }, { username = "a", password = "p\n" },
      { cert = world.device.cert },
    } do
      local found, err = world:client(server, options):cacerts()
      assert.is_nil(found)
      assert.same({ "usage", 2 }, { err.code, err.exit_code })
    end
    fails("config", world:client(server, { trust = world.server.key }):cacerts())
    fails("not_found", world:client(server, { trust = "/nonexistent" }):cacerts())
    fails("usage", world:client(server):reenroll())
    assert.equal(0, #server:wait("tls", 0))
  end)

  describe("is given a fingerprint:", function()
    local function bootstrap(hex, more)
      local options = { trust = false, fingerprint = hex }
      for key, value in pairs(more or {}) do options[key] = value end
      return world:client(server, options)
    end

    it("7030-3.1-g 7030-4.1.1-a 7030-4.1.1-e asks for /cacerts alone, then anew", function()
      server:answer(est.cacerts { world.root.cert })
      server:answer(est.csrattrs())
      server:answer(est.issued { world.device.cert })
      local client = bootstrap(world.root.cert.fingerprint,
        { username = "u", password = "p", preemptive = true, cert = world.device.cert,
          key = world.key })
      assert(client:enroll { key = world.key, subject = "CN=device" })
      local requests = server:requests()
      assert.equal("/.well-known/est/cacerts", requests[1].target)
      assert.is_nil(requests[1].headers.authorization)
      assert.is_truthy(requests[2].headers.authorization)
      assert.not_equal(requests[1].connection, requests[2].connection)
      assert.equal(requests[2].connection, requests[3].connection)
    end)

    it("gives /cacerts with one request, in any spelling of the fingerprint", function()
      local hex = world.root.cert.fingerprint
      for _, text in ipairs { hex, hex:upper(), hex:gsub("..", "%0:"):sub(1, -2),
        "SHA256:" .. hex } do
        server:answer(est.cacerts { world.root.cert })
        assert.equal(world.root.cert, assert(bootstrap(text):cacerts()).root)
      end
      assert.equal(4, #server:requests())
    end)

    it("7030-4.1.1-g trusts the root that matches, not another of the bag, nor a leaf", function()
      local attacker = world.pki:root("attacker", { days = 9000 })
      server:answer(est.cacerts { attacker.cert, world.root.cert })
      local found = assert(bootstrap(world.root.cert.fingerprint):cacerts())
      assert.same({ 1, world.root.cert }, { #found, found.root })
      local sub = world.pki:sub("sub", { by = world.root })
      server:answer(est.cacerts { world.root.cert, sub.cert, world.device.cert }, 2)
      fails("trust", bootstrap(sub.cert.fingerprint):cacerts())
      fails("trust", bootstrap(world.device.cert.fingerprint):cacerts())
    end)

    it("takes the time from nobody who is not verified", function()
      local dated = est.cacerts({ world.root.cert }, { Date = "Sun, 06 Nov 1994 08:49:37 GMT" })
      server:answer(dated, 2)
      local client = bootstrap(("0"):rep(64))
      fails("trust", client:cacerts())
      assert.is_nil(client.clock_offset)
      client = world:client(server)
      assert(client:cacerts())
      assert.is_true(client.clock_offset < -30 * 365 * 86400)
    end)

    it("7030-4.1.1-b refuses another root, and names it", function()
      server:answer(est.cacerts { world.root.cert })
      local err = fails("trust", bootstrap(("00"):rep(32)):cacerts())
      assert.equal(3, err.exit_code)
      assert.matches(world.root.cert.fingerprint, err.message, 1, true)
    end)

    it("7030-4.1.1-e verifies the second connection with the new root", function()
      local fake = world.pki:root "fake"
      server:stop()
      server = world:serve { entity = world.pki:issue("fake-server",
        { by = fake, ext = est.server_ext "DNS:localhost" }) }
      server:answer(est.cacerts { world.root.cert })
      server:answer(est.csrattrs())
      fails("trust", bootstrap(world.root.cert.fingerprint):csrattrs())
      assert.equal(1, #server:requests())
    end)

    it("7030-3.2.3-j 7030-4.1.1-d answers no challenge and follows no redirect", function()
      server:answer(http(401, BASIC))
      local err = fails("unauthenticated", bootstrap(world.root.cert.fingerprint,
        { username = "u", password = "p" }):cacerts())
      assert.matches("not verified yet", err.message)
      server:answer(http(302, { Location = "/.well-known/est/x/cacerts" }))
      fails("protocol", bootstrap(world.root.cert.fingerprint):cacerts())
      assert.equal(2, #server:requests())
    end)

    it("7030-3.3.1-f 7030-3.6-c where nothing else vouches for the server", function()
      local fake = world.pki:root "unknown-root"
      for _, entity in ipairs { world.elsewhere, world.pki:issue("unknown-server",
        { by = fake, ext = est.server_ext "DNS:localhost" }) } do
        local there <close> = world:serve { entity = entity }
        there:answer(est.cacerts { world.root.cert }, 2)
        fails("trust", world:client(there):cacerts())
        assert.equal(0, #there:requests())
        local client = world:client(there, { trust = false,
          fingerprint = world.root.cert.fingerprint })
        assert.equal(world.root.cert, assert(client:cacerts()).root)
      end
    end)

    it("7030-4.1.1-f takes no large answer", function()
      server:answer(http(200, { ["Content-Type"] = "application/pkcs7-mime" }, ("A"):rep(300000)))
      fails("too_large", bootstrap(world.root.cert.fingerprint):cacerts())
    end)
  end)

  describe("authenticates with a password", function()
    it("7030-3.2.3-g 7030-3.3.2-k once asked, and then without being asked", function()
      local client = credentials()
      server:answer(http(401, BASIC))
      server:answer(est.csrattrs())
      server:answer(est.issued { world.device.cert })
      assert(client:enroll { key = world.key, subject = "CN=device" })
      local requests = server:requests()
      assert.is_nil(requests[1].headers.authorization)
      local value = "Basic " .. core.base64.encode "u:secret"
      assert.equal(value, requests[2].headers.authorization)
      assert.equal(value, requests[3].headers.authorization)
      assert.equal(requests[1].target, requests[2].target)
    end)

    it("C18 no second request without credentials", function()
      server:answer(http(401, BASIC))
      local err = fails("unauthenticated", world:client(server):csrattrs())
      assert.equal(4, err.exit_code)
      assert.equal(1, #server:requests())
    end)

    it("C17 7616-3.3-d stops after the second 401, with the server's reason", function()
      server:answer(http(401, BASIC))
      server:answer(http(401,
        { ["WWW-Authenticate"] = 'Basic realm="x"', ["X-Reason"] = "expired" }))
      local err = fails("unauthenticated", credentials():csrattrs())
      assert.equal("expired", err.reason)
      assert.equal(2, #server:requests())
    end)

    it("C16 9110-11.6.1-b 7617-2-b picks Basic among challenges", function()
      for _, headers in ipairs {
        'WWW-Authenticate: Digest realm="a, Basic", nonce="n", Basic realm="b", foo="y"\r\n',
        'WWW-Authenticate: Negotiate\r\nwww-authenticate: BASIC realm="b"\r\n',
      } do
        server:answer("HTTP/1.1 401 No\r\n" .. headers .. "Content-Length: 0\r\n\r\n")
        server:answer(est.csrattrs())
        assert(credentials():csrattrs())
      end
      assert.equal(4, #server:requests())
    end)

    it("C16 7030-3.2.3-h names what it cannot do", function()
      for value, why in pairs { Negotiate = "Negotiate", ['Digest realm="x", nonce="y"'] = "Digest",
        [""] = "does not say" } do
        server:answer(http(401, value ~= "" and { ["WWW-Authenticate"] = value } or {}))
        local err = fails("unauthenticated", credentials():csrattrs())
        assert.matches(why, err.message, 1, true)
      end
      assert.equal(3, #server:requests())
    end)

    it("saves the round trip if told to", function()
      server:answer(est.csrattrs())
      assert(credentials({ preemptive = true }):csrattrs())
      assert.is_truthy(server:requests()[1].headers.authorization)
    end)

    it("7030-3.2.3-i 7617-2-c with an empty user name, and a password with colons", function()
      server:answer(http(401, BASIC))
      server:answer(est.csrattrs())
      assert(world:client(server, { password = "b:c" }):csrattrs())
      assert.equal("Basic " .. core.base64.encode ":b:c",
        server:requests()[2].headers.authorization)
    end)

    it("7030-3.6-a 7030-3.3.1-e 7030-4.1.2-e sends nothing to a server that is not the one",
      function()
      server:stop()
      server = world:serve { entity = world.elsewhere }
      server:answer(est.csrattrs())
      local err = fails("trust", credentials({ preemptive = true }):csrattrs())
      assert.matches("it names DNS:elsewhere.example", err.message, 1, true)
      assert.equal(0, #server:requests())
    end)
  end)

  -- SSL_CERT_FILE says which file the system's anchors are; it is read by a process of its own.
  describe("trusts the system's anchors", function()
    local shell = require "support.shell"
    local temporary = require "support.temporary"

    local SCRIPT <const> = [[
      local url, flag, trust = ...
      local client = require "lest.client" { url = url, trust = trust, username = "u",
        password = "p", preemptive = flag ~= "asked",
        allow_password_with_system_trust = flag == "yes" or nil }
      local list, err = client:csrattrs()
      print(list and #list or err.code, err and err.message or client.trust.kind)
    ]]

    local function run(flag, trust)
      local script = temporary.file(world.pki.folder, "system.lua", SCRIPT)
      return shell.run(("SSL_CERT_FILE=%s %s run %s %s %s %s"):format(world.root.path,
        shell.binary, script, server.url, flag, trust or "system"))
    end

    it("7030-3.3.1-d and says whose they were", function()
      server:answer(est.csrattrs(), 2)
      assert.equal("0\tsystem\n", run("no").out)
      assert.equal("0\texplicit\n", run("no", world.root.path).out)
    end)

    it("7030-3.1-h 7030-4.1.3-l and none of them beside explicit ones", function()
      local other = world.pki:root "another-store"
      assert.matches("^trust\t", run("no", other.path).out)
      -- What lest cacerts has written is such a file.
      local elsewhere <close> = world:serve { entity = world.pki:issue("elsewhere-server",
        { by = other, ext = est.server_ext "DNS:localhost" }) }
      elsewhere:answer(est.cacerts { other.cert })
      local written = world.pki:path "written.pem"
      local result = shell.lest("cacerts", elsewhere.url, "--fingerprint", other.cert.fingerprint,
        "--out", written)
      assert.equal(0, result.code, result.err)
      assert.matches("^trust\t", run("no", written).out)
      assert.equal(0, #server:requests())
    end)

    it("7030-6-d only if told to", function()
      for name in pairs { cacerts = true, csrattrs = true } do
        local result = shell.run(("SSL_CERT_FILE=%s %s %s %s"):format(world.root.path,
          shell.binary, name, server.url))
        assert.equal(2, result.code)
      end
      local found, err = world:client(server, { trust = false }):csrattrs()
      assert.is_nil(found)
      assert.equal("usage", err.code)
      assert.equal(0, #server:wait("hello", 0))
    end)

    it("7030-6-b but tells them no password, unless forced", function()
      server:answer(http(401, BASIC), 2)
      server:answer(est.csrattrs())
      for i, how in ipairs { "asked", "no" } do
        assert.matches("^trust\tno password is sent", run(how).out)
        local requests = server:requests()
        assert.equal(i, #requests)
        assert.is_nil(requests[i].headers.authorization)
      end
      assert.matches("^0", run("yes").out)
      assert.is_truthy(server:requests()[3].headers.authorization)
    end)

    it("7030-3.6.2-a and then id-kp-cmcRA is no substitute for the name", function()
      server:stop()
      server = world:serve { entity = world.pki:issue("ra",
        { by = world.root, ext = est.server_ext("DNS:ra.example", "1.3.6.1.5.5.7.3.28") }) }
      server:answer(est.csrattrs(), 2)
      assert.matches("^trust\tthe server's certificate is not for localhost", run("no").out)
      local client = world:client(server)
      assert(client:csrattrs())
      assert.matches("another name", client.told[1])
      fails("trust", world:client(server, { require_name = true }):csrattrs())
    end)
  end)

  it("7030-3.1-f believes explicit anchors only", function()
    local other = world.pki:root "some-other"
    fails("trust", world:client(server, { trust = other.path }):cacerts())
    local store = assert(core.store.new { anchors = { world.root.cert } })
    for _, trust in ipairs { store, world.root.cert, { world.root.cert }, world.root.path } do
      server:answer(est.csrattrs())
      assert(world:client(server, { trust = trust }):csrattrs())
    end
  end)

  it("takes the root of /cacerts on the connection's word only if told to", function()
    local ca = world.pki:root "issuing-root"
    local device = world.pki:issue("device-there", { by = ca, same_key = world.device })
    for _, take in ipairs { false, true } do
      server:answer(est.csrattrs())
      server:answer(est.issued { device.cert })
      server:answer(est.cacerts { ca.cert })
      local client = world:client(server, { trust_cacerts = take or nil })
      local cert, err = client:enroll { key = world.key, subject = "CN=device-there" }
      if take then
        assert.equal(device.cert, cert)
      else
        fails("trust", cert, err)
      end
    end
  end)

  it("7030-4.2-d 7030-4.2-e sends no CSR to a server that it does not know", function()
    local other = world.pki:root "foreign"
    local foreign = world.pki:issue("foreign-server",
      { by = other, ext = est.server_ext "DNS:localhost" })
    for _, entity in ipairs { foreign, world.elsewhere } do
      local there <close> = world:serve { entity = entity }
      local client = world:client(there, { cert = world.device.cert, key = world.key })
      fails("trust", client:enroll { subject = "CN=device", csrattrs = false })
      fails("trust", client:enroll(assert(core.csr.build { key = world.key, subject = "CN=x" })))
      fails("trust", client:reenroll { csrattrs = false })
      assert.equal(3, #there:wait("hello", 3))
      assert.equal(0, #there:requests())
    end
  end)

  describe("follows a redirect", function()
    it("7030-3.2.1-a 9110-10.2.2-a of GET within the origin", function()
      for _, status in ipairs { 301, 302, 303, 307, 308 } do
        server:answer(http(status, { Location = "/.well-known/est/other/csrattrs" }))
        server:answer(est.csrattrs())
        assert(world:client(server):csrattrs())
      end
      server:answer(http(302, { Location = "other/csrattrs" }))
      server:answer(http(302, { Location = server.url .. "/.well-known/est/third/csrattrs" }))
      server:answer(est.csrattrs())
      assert(world:client(server):csrattrs())
      local lines = est.lines(server)
      assert.equal("GET /.well-known/est/other/csrattrs", lines[#lines - 1])
      assert.equal("GET /.well-known/est/third/csrattrs", lines[#lines])
    end)

    it("9110-15.4.8-a of POST with 307 and 308, method and body unchanged", function()
      for _, status in ipairs { 307, 308 } do
        server:answer(est.csrattrs())
        server:answer(http(status, { Location = "/.well-known/est/x/simpleenroll" }))
        server:answer(est.issued { world.device.cert })
        assert(world:client(server):enroll { key = world.key, subject = "CN=device" })
      end
      local requests = server:requests()
      assert.equal("POST", requests[6].method)
      assert.equal(requests[5].body, requests[6].body)
    end)

    it("9110-15.4-b never a POST with 301, 302 or 303", function()
      for _, status in ipairs { 301, 302, 303 } do
        server:answer(est.csrattrs())
        server:answer(http(status, { Location = "/.well-known/est/x/simpleenroll" }))
        fails("protocol", world:client(server):enroll { key = world.key, subject = "CN=device" })
      end
      assert.equal(6, #server:requests())
    end)

    it("7030-3.2.1-c 9110-11.6.2-a never elsewhere, nor to http, nor nowhere", function()
      for location, why in pairs { ["https://localhost:1/.well-known/est/csrattrs"] = "another one",
        ["https://127.0.0.1:" .. server.port .. "/.well-known/est/csrattrs"] = "another one",
        ["http://localhost:" .. server.port .. "/"] = "not https",
        ["//evil.example/"] = "another one", ["javascript:x"] = "a bad address",
        [""] = "to nowhere" } do
        server:answer(http(302, { Location = location ~= "" and location or nil }))
        local err = fails("protocol", credentials({ preemptive = true }):csrattrs())
        assert.matches(why, err.message, 1, true)
      end
      assert.equal(6, #server:requests())
    end)

    it("9110-15.4-a not in a circle", function()
      server:answer(http(302, { Location = "/.well-known/est/csrattrs" }), 20)
      fails("protocol", world:client(server):csrattrs())
      assert.equal(6, #server:requests())
    end)
  end)

  it("shares what it learnt with a client made by with()", function()
    server:answer(est.cacerts { world.root.cert })
    server:answer(est.csrattrs(), 2)
    local first = world:client(server, { trust = false,
      fingerprint = world.root.cert.fingerprint })
    assert(first:csrattrs())
    assert(first:with({ cert = world.device.cert, key = world.key }):csrattrs())
    assert.equal(3, #server:requests())
  end)

  it("shares nothing of that with a client of another server or of other anchors", function()
    server:answer(est.csrattrs())
    local client = world:client(server)
    assert(client:csrattrs())
    local root = world.root.cert
    for _, options in ipairs { { trust = { root } }, { url = "https://localhost:1" },
      { trust_cacerts = true }, { trust = world.server.cert } } do
      assert.is_nil(client:with(options).trust)
    end
    assert.is_nil(client:with({ fingerprint = root.fingerprint }).trust)
    assert.equal(client.trust, client:with({ label = "x", timeout = "3s" }).trust)
    fails("trust", client:with({ trust = { world.device.cert } }):csrattrs())
  end)

  it("raises for a wrong option, which is the programmer's mistake", function()
    assert.has_error(function() return lest_client {} end, "lest.client needs a url")
    local client = world:client(server)
    assert.has_error(function() client:enroll { kye = 1 } end,
      "client:enroll has no option 'kye', did you mean 'key'?")
    assert.has_error(function() client:enroll { key = "device.key" } end,
      "client:enroll: the option 'key' has the type string, not lest.key")
    assert.has_error(function() client:enroll { key = world.key, wait = "soon" } end)
    assert.has_error(function() client:enroll { subject = "CN=x" } end, "client:enroll needs a key")
  end)
end)
