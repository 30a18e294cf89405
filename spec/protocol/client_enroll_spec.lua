-- How the client enrolls: what it asks for, which CSR it sends, and how long it waits (RFC 7030
-- 4.2, 4.4, 4.5).
local core = require "lest.core"
local asn1 = require "support.der"
local est = require "support.est"
local run_all = require "lest.all"
local task = require "lest.task"

local http = est.http

describe("the client enrolls", function()
  local world, server

  setup(function() world = est.world() end)
  teardown(function() world:close() end)
  before_each(function() server = world:serve() end)
  after_each(function() server:stop() end)

  local function enroll(options, more)
    local client = world:client(server, options)
    local all = { key = world.key, subject = "CN=device" }
    for key, value in pairs(more or {}) do all[key] = value end
    local cert, err = client:enroll(all)
    return cert, err, client
  end

  it("7030-4.5-a 7030-4.2-a 7030-4.5.1-a 7030-4.2.1-b 7030-4.2.1-e 7030-3.1-a 9112-6.3-e asks for "
    .. "csrattrs with GET, then posts a CSR", function()
    server:answer(est.csrattrs())
    server:answer(est.issued { world.device.cert })
    local cert, changed = assert(enroll())
    assert.equal(world.device.cert, cert)
    assert.same({}, changed)
    assert.same({ "GET /.well-known/est/csrattrs", "POST /.well-known/est/simpleenroll" },
      est.lines(server))
    local request = server:requests()[2]
    assert.equal("application/pkcs10", request.headers["content-type"])
    assert.equal(tostring(#request.body), request.headers["content-length"])
    assert.is_nil(request.headers.authorization)
    assert.is_nil(request.headers.expect)
    local csr = est.csr_of(request)
    assert.is_true(csr:verify())
    assert.equal("CN=device", tostring(csr.subject))
  end)

  it("2986-4.1-a sends the attributes even if they are empty", function()
    server:answer(est.csrattrs())
    server:answer(est.issued { world.device.cert })
    assert(enroll { channel_binding = false })
    local der = est.csr_of(server:requests()[2]):der()
    assert.is_truthy(der:find("\xa0\0", 1, true))
  end)

  it("7030-4.5-a does not ask for csrattrs if told so, sends a finished CSR as it is", function()
    server:answer(est.issued { world.device.cert }, 2)
    assert(enroll({}, { csrattrs = false }))
    local csr = assert(core.csr.build { key = world.key, subject = "CN=mine" })
    assert(world:client(server):enroll(csr))
    local requests = server:requests()
    assert.equal(2, #requests)
    assert.equal(csr, est.csr_of(requests[2]))
  end)

  it("uses the client's key where none is given", function()
    server:answer(est.csrattrs())
    server:answer(est.issued { world.device.cert })
    local client = world:client(server, { cert = world.device.path, key = world.device.key })
    assert(client:enroll { subject = "CN=device" })
    assert.equal(world.key:public_der(), est.csr_of(server:requests()[2]).public_key.der)
  end)

  it("7030-4.2.1-c 7030-4.2.1-d with a key that is for encryption, and for nothing else",
    function()
    local ext = "keyUsage = critical,keyEncipherment"
    local entity = world.pki:issue("encipherer", { by = world.root, key = "rsa:2048", ext = ext })
    local key = assert(core.key.load(entity.key))
    server:answer(est.csrattrs())
    server:answer(est.issued { entity.cert })
    local cert, _, client = enroll({}, { key = key, key_usage = { "keyEncipherment" } })
    local csr = est.csr_of(server:requests()[2])
    assert.is_true(csr:verify())
    assert.same({ "keyEncipherment" }, csr.key_usage)
    client = client:with { cert = assert(cert), key = key }
    for _, call in ipairs { client.csrattrs, client.reenroll, client.cacerts } do
      local found, err = call(client)
      assert.is_nil(found)
      assert.same({ "usage", 2 }, { err.code, err.exit_code })
      assert.matches("no digitalSignature", err.message)
    end
    assert.equal(1, #server:wait("hello", 1))
  end)

  it("7030-4.2.1-g for another key and label with the certificate that it has", function()
    local other = world.pki:issue("other-key", { by = world.root })
    local key = assert(core.key.load(other.key))
    server:stop()
    server = world:serve { ca = world.root.path }
    server:answer(est.issued { other.cert })
    local client = world:client(server):with { cert = world.device.cert, key = world.key,
      label = "second" }
    assert.equal(other.cert, assert(client:enroll { key = key, subject = "CN=other-key",
      csrattrs = false }))
    local request = server:requests()[1]
    assert.equal("/.well-known/est/second/simpleenroll", request.target)
    assert.equal(key:public_der(), est.csr_of(request).public_key.der)
    assert.equal(world.device.cert:der(), server:wait("tls", 1)[1].info.peer)
  end)

  it("7030-3.3.2-a with the certificate first, and the password once it is asked for", function()
    server:stop()
    server = world:serve { ca = world.root.path }
    server:answer(est.csrattrs())
    server:answer(http(401, { ["WWW-Authenticate"] = 'Basic realm="est"' }))
    server:answer(est.issued { world.device.cert })
    assert(enroll { cert = world.device.cert, key = world.key, username = "u", password = "p" })
    assert.equal(world.device.cert:der(), server:wait("tls", 1)[1].info.peer)
    local requests = server:requests()
    assert.same({ nil, nil, "Basic " .. core.base64.encode "u:p" },
      { requests[1].headers.authorization, requests[2].headers.authorization,
        requests[3].headers.authorization })
  end)

  it("5929-3.1-b without another handshake on its connection", function()
    server:stop()
    server = world:serve { max = "1.2" }
    server:answer(est.csrattrs())
    server:answer(est.issued { world.device.cert })
    assert(enroll())
    local requests = server:requests()
    assert.equal(requests[1].connection, requests[2].connection)
    assert.equal(1, #server:all "hello")
  end)

  describe("with the server's wishes:", function()
    local function wish(list, more)
      server:answer(est.csrattrs(list))
      server:answer(est.issued { world.device.cert })
      local cert, err, client = enroll({}, more)
      local requests = server:requests()
      return requests[2] and est.csr_of(requests[2]), cert == nil and err or nil, client
    end

    it("7030-4.5.2-j 9908-3.2-i takes the digest and given extensions", function()
      local key_usage = { oid = "2.5.29.15", critical = true, value = "\3\2\7\x80" }
      local csr = assert(wish { { key = "ec:P-256", digest = "sha384" }, { extensions = {
        key_usage, { oid = "1.2.3.4", value = "\5\0" } } } })
      assert.equal("ecdsa-with-SHA384", csr.signature_algorithm)
      assert.same({ "digitalSignature" }, csr.key_usage)
      assert.equal("1.2.3.4", csr.extensions[2].oid)
    end)

    it("7030-6-m the caller's own options go first, and nobody asks for a CA", function()
      local csr = assert(wish({ { extensions = {
        { oid = "2.5.29.17", value = assert(core.san.encode { "DNS:theirs" }) },
        { oid = "2.5.29.19", critical = true, value = "\x30\3\1\1\xff" } } } },
        { san = { "DNS:mine" } }))
      assert.same({ "DNS:mine" }, csr.san)
      assert.equal(1, #csr.extensions)
    end)

    it("7030-4.5.2-k a kind of key that this one is not: an error", function()
      for _, kind in ipairs { "ec:P-384", "rsa:4096", "ed25519" } do
        local cert, err
        server:answer(est.csrattrs { { key = kind } })
        cert, err = enroll()
        assert.is_nil(cert)
        assert.equal("key_unsupported", err.code)
        assert.matches(kind, err.message, 1, true)
      end
      assert.equal(3, #server:requests())
    end)

    it("7030-6-m a digest that is too weak: an error", function()
      local rsa = assert(core.key.generate "rsa:2048")
      -- sha1WithRSAEncryption, as a bare OID
      server:answer(est.csrattrs { { oid = "1.2.840.113549.1.1.5" } })
      local cert, err = enroll({}, { key = rsa })
      assert.is_nil(cert)
      assert.same({ "key_unsupported", 1 }, { err.code, #server:requests() })
      assert.matches("the server wants requests signed with RSA%-SHA1: .*too weak", err.message)
    end)

    it("7030-4.5.2-k a signature of another kind of key alone: an error", function()
      for spec, wanted in pairs { ed25519 = "ecdsa-with-SHA384", ed448 = "RSA-SHA512",
        ["ec:P-256"] = "RSA-SHA512", ["rsa:2048"] = "ecdsa-with-SHA384" } do
        local key, count = assert(core.key.generate(spec)), #server:requests()
        server:answer(est.csrattrs { { oid = wanted } })
        local cert, err = enroll({}, { key = key })
        assert.is_nil(cert)
        assert.same({ "key_unsupported", count + 1 }, { err.code, #server:requests() })
        assert.matches(("signed with %s, which a key of type %s cannot do"):format(wanted, spec),
          err.message, 1, true)
      end
    end)

    it("7030-4.5.2-k signatures of several kinds of key: the first that the key makes", function()
      for spec, made in pairs { ["ec:P-256"] = "ecdsa-with-SHA384", ["rsa:2048"] = "RSA-SHA512" } do
        local key = assert(core.key.generate(spec))
        local _, _, client = wish({ { oid = "RSA-SHA512" }, { oid = "ecdsa-with-SHA384" },
          { oid = "RSA-SHA384" } }, { key = key })
        local requests = server:requests()
        assert.equal(made, est.csr_of(requests[#requests]).signature_algorithm)
        assert.matches(("signature %s: as the server asks"):format(made),
          table.concat(client.told, "\n"), 1, true)
      end
    end)

    it("7030-4.5.2-e 7030-4.5.2-m what it does not know is ignored", function()
      local serial_number = { oid = "2.5.4.5", values = { "\x13\1x" } }
      local csr, err, client = wish { "challengePassword", "2.999.1", serial_number,
        { oid = "2.999.2", values = { "\x13\1x" } } }
      assert.is_nil(err)
      assert.same({ "challengePassword" }, { csr.attributes[1].name, #csr.attributes > 1 or nil })
      assert.not_matches("warning", table.concat(client.told, "\n"))
    end)

    it("9908-3.2-j the wrong example of RFC 7030 4.5.2 is ignored, with a warning", function()
      local der = require("support.vectors").get "7030-4.5.2-csrattrs"
      server:answer(est.ok("csrattrs", der))
      server:answer(est.issued { world.device.cert })
      local p384 = assert(core.key.generate "ec:P-384")
      local _, _, client = enroll({}, { key = p384 })
      assert.equal("ecdsa-with-SHA384", est.csr_of(server:requests()[2]).signature_algorithm)
      assert.matches("is ignored", table.concat(client.told, "\n"))
    end)
  end)

  describe("and waits:", function()
    local sleep, slept

    before_each(function()
      sleep, slept = task.sleep, {}
      task.sleep = function(seconds) slept[#slept + 1] = seconds end
    end)
    after_each(function() task.sleep = sleep end)

    local function pending(value, status)
      return http(status or 202, { ["Retry-After"] = value, ["X-Reason"] = "ask Bob" })
    end

    it("C14 C15 9110-10.2.3-a as long as Retry-After says, in seconds or a date", function()
      local function rfc850(at) return os.date("!%A, %d-%b-%y %H:%M:%S GMT", at) end
      local function asctime(at) return os.date("!%a %b %e %H:%M:%S %Y", at) end
      local cases = {
        { "3", 3 }, { "0", 1 }, { core.http.format_date, 100 }, { rfc850, 100 }, { asctime, 100 },
        { core.http.format_date, 1, -100 }, { nil, 60 }, { "soon", 60 }, { "-5", 60 },
        { "1.5", 60 },
      }
      for _, case in ipairs(cases) do
        for _, status in ipairs { 202, 503 } do
          slept = {}
          local began = os.time()
          local value = case[1]
          if type(value) == "function" then value = value(began + (case[3] or case[2])) end
          server:answer(est.csrattrs())
          server:answer(pending(value, status))
          server:answer(est.issued { world.device.cert })
          assert(enroll({}, { wait = "1h" }))
          assert.equal(1, #slept)
          -- What is left of a date; only a date knows how long the answer was on its way.
          local passed = case[1] ~= value and os.time() - began + 1 or 0
          assert.is_true(slept[1] >= case[2] - passed and slept[1] <= case[2],
            ("%s: %d"):format(value, slept[1]))
        end
      end
    end)

    it("C15 9110-10.2.3-a not for seconds in more than 32 bits, nor what is left of them",
      function()
      for _, value in ipairs { "2147483648", "4294967296", "4294967297",
        "Fri, 31 Dec 9999 23:59:59 GMT" } do
        server:answer(est.csrattrs())
        server:answer(pending(value))
        local cert, err = enroll({}, { wait = "1h" })
        assert.is_nil(cert)
        assert.same({ "pending", 2147483647 }, { err.code, err.retry_after })
      end
      assert.same({}, slept)
    end)

    it("7030-4.2.3-k the same key again, in a CSR signed anew", function()
      server:answer(est.csrattrs())
      server:answer(pending "2", 2)
      server:answer(est.issued { world.device.cert })
      local _, _, client = enroll({}, { wait = "1h" })
      local requests = server:requests()
      local first, last = est.csr_of(requests[2]), est.csr_of(requests[4])
      assert.same({ 4, first.public_key.der, "/.well-known/est/simpleenroll" },
        { #requests, last.public_key.der, requests[4].target })
      assert.not_equal(first:der(), last:der())
      assert.same({ 2, 2 }, slept)
      assert.matches("waiting: simpleenroll: the request is pending: ask Bob", client.told[1])
    end)

    it("7030-4.2.3-r C13 not at all unless told to, nor past its time", function()
      for _, wait in ipairs { false, "5s" } do
        server:answer(est.csrattrs())
        server:answer(pending "10")
        local cert, err = enroll({}, { wait = wait or nil })
        assert.is_nil(cert)
        assert.same({ "pending", 5, 10, 202, "ask Bob" },
          { err.code, err.exit_code, err.retry_after, err.status, err.reason })
      end
      assert.same({}, slept)
    end)

    it("for csrattrs and cacerts too, and for a server that was away meanwhile", function()
      server:answer(pending("2", 503))
      server:answer(est.csrattrs())
      server:answer(pending "3")
      server:answer { "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", "close" }
      server:answer(est.issued { world.device.cert })
      assert(enroll({}, { wait = "1h" }))
      assert.same({ 2, 3, 5 }, slept)
      server:answer(pending("4", 503))
      server:answer(est.cacerts { world.root.cert })
      assert(world:client(server):cacerts { wait = "1h" })
      assert.equal(4, slept[4])
    end)

    it("for a server that is not up yet", function()
      local enough = {}
      task.sleep = function(seconds)
        slept[#slept + 1] = seconds
        if #slept == 3 then error(enough) end
      end
      for _, options in ipairs { {}, { trust = false, fingerprint = ("00"):rep(32) } } do
        slept, options.url = {}, "https://127.0.0.1:1"
        local client = world:client(server, options)
        local ok, err = pcall(client.enroll, client,
          { key = world.key, subject = "CN=device", wait = "1h" })
        assert.same({ false, enough, { 5, 5, 5 } }, { ok, err, slept })
        assert.matches("waiting: .*Connection refused", client.told[1])
      end
      local _, err = enroll({ url = "https://127.0.0.1:1" })
      assert.same({ "network", nil }, { err.code, err.unknown })
    end)

    it("not where the answer was lost: the server may have died of it", function()
      server:answer(est.csrattrs())
      server:answer { "close" }
      server:answer(est.issued { world.device.cert })
      local cert, err = enroll({}, { wait = "1h" })
      assert.is_nil(cert)
      assert.same({ "closed", true, 6 }, { err.code, err.unknown, err.exit_code })
      assert.matches("whether a certificate was issued is not known", tostring(err))
      assert.same({ {}, 2 }, { slept, #server:requests() })
    end)

    it("for the attributes of a busy server once, and then does without", function()
      server:answer(pending("2", 503))
      server:answer(pending("2", 503))
      server:answer(est.issued { world.device.cert })
      local cert, _, client = enroll({}, { wait = "1h" })
      assert.truthy(cert)
      assert.same({ 2 }, slept)
      assert.matches("warning: what the server wants in a request is not known", client.told[2])
    end)

    it("not for a refusal that comes later", function()
      server:answer(est.csrattrs())
      server:answer(pending "1")
      server:answer(http(403, { ["X-Reason"] = "Bob said no" }))
      local cert, err = enroll({}, { wait = "1h" })
      assert.is_nil(cert)
      assert.same({ "refused", 7, "Bob said no" }, { err.code, err.exit_code, err.reason })
    end)
  end)

  it("7030-4.2.3-j 7030-4.2.3-r by the clock: never earlier, and not for ever", function()
    server:answer(est.csrattrs())
    server:answer(http(202, { ["Retry-After"] = "1" }), 5)
    local cert, err = enroll({}, { wait = "2s" })
    assert.is_nil(cert)
    assert.equal("pending", err.code)
    local requests = server:requests()
    assert.is_true(#requests >= 3 and #requests <= 4)
    for i = 3, #requests do assert.is_true(requests[i].ms - requests[i - 1].ms >= 1000) end
  end)

  it("many at once, in tasks", function()
    local bodies = {}
    server:answer(est.issued { world.device.cert }, 20)
    local calls = {}
    for i = 1, 20 do
      calls[i] = function()
        bodies[i] = assert(enroll({}, { csrattrs = false }))
        return bodies[i]
      end
    end
    assert.equal(20, #run_all(calls, { limit = 5 }))
    assert.equal(20, #server:requests())
  end)
end)

describe("the client renews", function()
  local world, server

  setup(function()
    world = est.world()
    world.named = world.pki:issue("named", { by = world.root, subject = "/O=Ex/CN=n\u{fc}",
      ext = "extendedKeyUsage = clientAuth\nsubjectAltName = DNS:a, IP:192.0.2.1, email:a@b.c" })
  end)
  teardown(function() world:close() end)
  before_each(function() server = world:serve { ca = world.root.path } end)
  after_each(function() server:stop() end)

  local function me(options)
    local all = { cert = world.named.path, key = world.named.key }
    for key, value in pairs(options or {}) do all[key] = value end
    return world:client(server, all)
  end

  it("7030-4.2.2-a 7030-3.3.2-d with the names of the old certificate, byte for byte", function()
    server:answer(est.csrattrs { { extensions = {
      { oid = "2.5.29.17", value = assert(core.san.encode { "DNS:theirs" }) } } } })
    server:answer(est.issued { world.named.cert })
    assert(me():reenroll())
    local request = server:requests()[2]
    assert.equal("/.well-known/est/simplereenroll", request.target)
    assert.is_nil(request.headers.authorization)
    local csr, old = est.csr_of(request), world.named.cert
    assert.same({ old.subject_der, old.san_der, old.public_key.der },
      { csr.subject_der, csr.san_der, csr.public_key.der })
    assert.equal(old:der(), server:wait("tls", 1)[1].info.peer)
  end)

  it("7030-4.2.2-d with another key", function()
    local fresh = world.pki:issue("fresh", { by = world.root })
    local key = assert(core.key.load(fresh.key))
    server:answer(est.csrattrs())
    server:answer(est.issued { fresh.cert })
    local cert, changed = me():reenroll { key = key }
    assert.equal(fresh.cert, cert)
    assert.equal(2, #changed)
    assert.equal(key:public_der(), est.csr_of(server:requests()[2]).public_key.der)
  end)

  it("7030-6-a sends no password where the certificate is enough", function()
    server:answer(est.csrattrs())
    server:answer(est.issued { world.named.cert })
    assert(me({ username = "u", password = "p" }):reenroll())
    for _, request in ipairs(server:requests()) do
      assert.is_nil(request.headers.authorization)
    end
  end)

  it("7030-3.3.2-h tells that servers may refuse a certificate without extensions", function()
    local parts = asn1.split(asn1.body(world.named.cert:der()))
    local fields = asn1.split(asn1.body(parts[1]))
    local old = asn1.seq(asn1.seq(table.unpack(fields, 2, #fields - 1)), parts[2], parts[3])
    local cert = assert(core.cert.parse(old))
    assert.equal(1, cert.version)
    server:stop()
    server = world:serve { ask = true }
    server:answer(est.csrattrs())
    local client = me { cert = cert }
    assert(client:csrattrs())
    assert.same({ "warning: the client certificate has version 1, which servers may refuse" },
      client.told)
    assert.equal(old, server:wait("tls", 1)[1].info.peer)
  end)

  it("says that the certificate is not for the key, before any traffic", function()
    local cert, err = me({ key = world.device.key }):reenroll()
    assert.is_nil(cert)
    assert.equal("usage", err.code)
  end)
end)
