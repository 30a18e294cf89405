-- The client takes each answer that the RFCs allow, and names what is wrong with any other (peers'
-- rows C1 to C22).
local core = require "lest.core"
local est = require "support.est"

local http = est.http
local TEXT <const> = { ["Content-Type"] = "text/plain" }
local JSON <const> = { ["Content-Type"] = "application/json" }
local HTML <const> = { ["Content-Type"] = "text/html" }

describe("the client reads an answer of", function()
  local world, server, client

  setup(function() world = est.world() end)
  teardown(function() world:close() end)
  before_each(function()
    server = world:serve()
    client = world:client(server)
  end)
  after_each(function()
    client:close()
    server:stop()
  end)

  local function cacerts(bytes)
    server:answer(bytes)
    return client:cacerts()
  end

  local function cacerts_fail(code, bytes)
    local found, err = cacerts(bytes)
    assert.is_nil(found)
    assert.equal(code, err.code, tostring(err))
    assert.equal("cacerts", err.operation)
    return err
  end

  local function enroll(bytes, more)
    server:answer(est.csrattrs())
    server:answer(bytes)
    local all = { key = world.key, subject = "CN=device" }
    for key, value in pairs(more or {}) do all[key] = value end
    return client:enroll(all)
  end

  local function enroll_fail(code, bytes)
    local cert, err = enroll(bytes)
    assert.is_nil(cert)
    assert.equal(code, err.code, tostring(err))
    assert.equal("simpleenroll", err.operation)
    return err
  end

  local function bag_der(certs)
    return assert(core.pkcs7.encode(certs or { world.root.cert }))
  end

  describe("cacerts:", function()
    it("C1 7030-4.1.2-a 7030-4.1.2-b one certificate, with one GET", function()
      local found = assert(cacerts(est.cacerts { world.root.cert }))
      assert.same({ 1, world.root.cert, world.root.cert }, { #found, found[1], found.root })
      assert.same({ "GET /.well-known/est/cacerts" }, est.lines(server))
      assert.equal("", server:requests()[1].body)
    end)

    it("C1 7030-3.1-c 5272-4.1-a ten in any order, duplicates and CRLs", function()
      local bag, by = { world.root.cert }, world.root
      for i = 1, 9 do
        by = world.pki:sub("depth" .. i, { by = by })
        table.insert(bag, 1 + i * 7 % (#bag + 1), by.cert)
      end
      bag[#bag + 1] = world.root.cert
      local crl = world.pki:crl(world.root, {})
      local found = assert(cacerts(est.ok("cacerts", assert(core.pkcs7.encode(bag, { crl })))))
      assert.equal(10, #found)
      assert.equal(world.root.cert, found[1])
    end)

    it("C1 several chains, each to its anchor", function()
      local other = world.pki:root "other-root"
      local bag = { other.cert, world.root.cert }
      for i, by in ipairs { world.root, world.root, other } do
        local sub = world.pki:sub("tier" .. i, { by = by })
        table.insert(bag, 1, sub.cert)
        table.insert(bag, world.pki:sub("under-tier" .. i, { by = sub }).cert)
      end
      server:answer(est.cacerts(bag))
      local both = world:client(server, { trust = { world.root.cert, other.cert } })
      local found = assert(both:cacerts())
      assert.same({ #bag, 0 }, { #found, #found.untrusted })
      found = assert(cacerts(est.cacerts(bag)))
      assert.same({ #bag - 3, 3 }, { #found, #found.untrusted })
    end)

    it("C2 7030-4.1.3-j certificates that do not chain or hold now: they are left out", function()
      local other = world.pki:root "lost"
      local orphan = world.pki:sub("orphan", { by = other })
      local expired = world.pki:sub("expired-sub", { by = world.root, days = -1 })
      local found = assert(cacerts(est.cacerts { orphan.cert, world.root.cert, expired.cert }))
      assert.same({ world.root.cert }, { table.unpack(found) })
      assert.equal(2, #found.untrusted)
      local err = cacerts_fail("trust", est.cacerts { orphan.cert, expired.cert })
      assert.matches("none of the server's CA certificates", err.message)
    end)

    it("C3 C7 nothing, or another type", function()
      cacerts_fail("protocol", http(200, { ["Content-Type"] = "application/pkcs7-mime" }, ""))
      local body = core.est.body_encode(bag_der())
      cacerts_fail("protocol", http(200, {}, body))
      cacerts_fail("protocol", http(200, TEXT, body))
      cacerts_fail("protocol", http(200, { ["Content-Type"] = "pkcs7-mime" }, body))
      cacerts_fail("protocol", http(200,
        { ["Content-Type"] = "application/pkcs7-mime; smime-type=enveloped-data" }, body))
      cacerts_fail("trust", est.cacerts {})
    end)

    it("9110-8.3-a 7030-3.2.4-a A33 media types in any spelling that means it", function()
      local body = core.est.body_encode(bag_der())
      for _, kind in ipairs { "application/pkcs7-mime",
        "Application/PKCS7-MIME ; SMIME-Type=\"Certs-Only\"",
        "application/x-pkcs7-mime", "application/pkcs7-mime;name=x.p7c; smime-type=certs-only" } do
        assert(cacerts(http(200, { ["Content-Type"] = kind }, body)))
      end
    end)

    it("C8 C9 8951-3.1-a 8951-3-c 8951-3-e base64 in any lines, raw DER, PEM", function()
      local der = bag_der()
      local one_line = core.base64.encode(der)
      for _, body in ipairs { one_line, core.base64.encode(der, 64), core.base64.encode(der, 76),
        "\r\n\t " .. one_line:gsub("........", "%0 \r\n\t") .. "  \n\n", der,
        "-----BEGIN PKCS7-----\n" .. core.base64.encode(der, 64) .. "\n-----END PKCS7-----\n" } do
        for _, coding in ipairs { "base64", "binary", "quoted-printable", "x" } do
          assert(cacerts(http(200, { ["Content-Type"] = "application/pkcs7-mime",
            ["Content-Transfer-Encoding"] = coding }, body)))
        end
      end
    end)

    it("C9 4648-3.3-a 4648-3.2-a bad base64, base64 of garbage, a coding", function()
      local good = core.base64.encode(bag_der())
      for _, body in ipairs { good .. "=", good:sub(1, -6), "*" .. good, good:gsub("A", "-", 1),
        core.base64.encode "garbage", core.base64.encode "\x30\x03\2\1\5", "\x30\x80", "<html>" } do
        local err = cacerts_fail("protocol",
          http(200, { ["Content-Type"] = "application/pkcs7-mime" }, body))
        assert.is_truthy(err.cause)
      end
      cacerts_fail("protocol", est.cacerts({ world.root.cert }, { ["Content-Encoding"] = "gzip" }))
    end)

    it("7030-4.1.3-b 7030-4.2.3-p C12 other statuses: an error each, no second request", function()
      local codes = { [201] = "http", [204] = "http", [206] = "http", [400] = "http",
        [404] = "http", [409] = "http", [423] = "http", [429] = "unavailable",
        [403] = "refused", [500] = "http", [502] = "http", [503] = "unavailable", [504] = "http" }
      local count = 0
      for status, code in pairs(codes) do
        local err = cacerts_fail(code, http(status, status ~= 204 and TEXT or {},
          status ~= 204 and "because\n" or nil))
        assert.equal(status, err.status)
        assert.equal(status ~= 204 and "because" or nil, err.reason)
        count = count + 1
      end
      assert.equal(count, #server:requests())
    end)

    it("7030-4.1.3-o a root that nothing links: not trusted for being in the bag", function()
      local stranger = world.pki:root("stranger", { days = 3000 })
      local found = assert(cacerts(est.cacerts { stranger.cert, world.root.cert }))
      assert.same({ 1, world.root.cert }, { #found, found.root })
      assert.equal(stranger.cert, found.untrusted[1].cert)
    end)

    it("7030-4.1.3-h 7030-4.1.3-i A40 a new root under a link from the old one", function()
      local new = world.pki:root("new-root", { subject = "/CN=root", days = 400 })
      local link = world.pki:sub("new-with-old",
        { by = world.root, subject = "/CN=root", same_key = new, days = 200 })
      local back = world.pki:sub("old-with-new",
        { by = new, subject = "/CN=root", same_key = world.root, days = 200 })
      local under_new = world.pki:issue("under-new", { by = new, same_key = world.device })
      local found = assert(cacerts(est.cacerts { back.cert, link.cert, new.cert, world.root.cert }))
      assert.equal(new.cert, found.root)
      assert.equal(4, #found)
      assert.same({}, found.untrusted)
      server:answer(est.csrattrs())
      server:answer(est.issued { under_new.cert })
      local cert = assert(client:enroll { key = world.key, subject = "CN=under-new" })
      assert.equal(under_new.cert, cert)
    end)
  end)

  describe("csrattrs:", function()
    local function csrattrs(bytes)
      server:answer(bytes)
      return client:csrattrs()
    end

    it("7030-4.5.2-b 7030-4.5.2-f C20 A44 none: 204, 404, an empty SEQUENCE", function()
      assert.same({}, assert(csrattrs(est.csrattrs())))
      assert.same({}, assert(csrattrs(http(404, TEXT, "no"))))
      assert.same({}, assert(csrattrs(http(501, TEXT, "no"))))
      assert.same({}, assert(csrattrs(http(200, { ["Content-Type"] = "application/csrattrs" },
        "MAA=\r\n"))))
    end)

    it("7030-4.5.2-d as a list; the type without its s, too", function()
      local der = assert(core.csrattrs.encode { "challengePassword", { key = "ec:P-384" } })
      local list = assert(csrattrs(http(200, { ["Content-Type"] = "application/csrattrs" },
        core.est.body_encode(der))))
      assert.equal(2, #list)
      list = assert(csrattrs(http(200, { ["Content-Type"] = "application/csrattr" },
        core.est.body_encode(der))))
      assert.equal(2, #list)
    end)

    it("7030-4.5-b odd ones are a warning of an enrollment: the attributes are advice", function()
      local KIND <const> = { ["Content-Type"] = "application/csrattrs" }
      local odd = { http(200, KIND, "MAA=\0"), http(200, KIND, ""), http(200, TEXT, "none"),
        http(200, HTML, "<p>none"), http(200, KIND, core.base64.encode "\x31\0"),
        http(200, KIND, core.base64.encode "\x30\3\2\1\5") }
      for _, status in ipairs { 400, 403, 405, 429, 500, 503 } do
        odd[#odd + 1] = http(status, TEXT, "no")
      end
      for i, bytes in ipairs(odd) do
        server:answer(bytes)
        server:answer(est.issued { world.device.cert })
        local told = #client.told
        assert.equal(world.device.cert,
          assert(client:enroll { key = world.key, subject = "CN=device" }), i)
        assert.equal(told + 1, #client.told, i)
        assert.matches("^warning: ", client.told[told + 1])
      end
    end)

    it("is an error of an enrollment where it is no answer, or wants a password", function()
      for _, case in ipairs { { "unauthenticated", http(401, TEXT, "no") },
        { "closed", { "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", "close" } } } do
        server:answer(case[2])
        local cert, err = client:enroll { key = world.key, subject = "CN=device" }
        assert.is_nil(cert)
        assert.same({ case[1], "csrattrs" }, { err.code, err.operation })
      end
    end)

    it("C20 8951-4-a too short, too long, no CsrAttrs: an error and no data", function()
      for _, der in ipairs { "\x30\5\6\3\42\3", "\x30\5\6\3\42\3\4\0", "\x31\0", "\x30\3\2\1\5" } do
        local list, err = csrattrs(http(200, { ["Content-Type"] = "application/csrattrs" },
          core.base64.encode(der)))
        assert.is_nil(list)
        assert.equal("csrattrs", err.operation)
        assert.equal(1, err.exit_code)
      end
    end)
  end)

  describe("an enrollment:", function()
    it("7030-4.2.3-t A8 C10 the certificate for the key, among others", function()
      local other = world.pki:issue("other", { by = world.root })
      local cert = assert(enroll(est.issued { world.root.cert, other.cert, world.device.cert }))
      assert.equal(world.device.cert, cert)
    end)

    it("is taken from a 201, too", function()
      local bytes = est.issued({ world.device.cert })
        :gsub("^HTTP/1.1 200 OK", "HTTP/1.1 201 Created")
      assert.equal(world.device.cert, assert(enroll(bytes)))
      enroll_fail("protocol", http(201, TEXT, "made"))
    end)

    it("C10 7030-4.2.3-u none for the key, or not trusted, or not valid now: refused", function()
      local other = world.pki:issue("other2", { by = world.root })
      local stranger = world.pki:root "stranger2"
      local foreign = world.pki:issue("foreign", { by = stranger, same_key = world.device })
      local expired = world.pki:issue("expired2",
        { by = world.root, same_key = world.device, days = -1 })
      assert.matches("another key", enroll_fail("trust", est.issued { other.cert }).message)
      assert.matches("no certificate", enroll_fail("trust", est.issued {}).message)
      for _, wrong in ipairs { foreign, expired } do
        server:answer(est.csrattrs())
        server:answer(est.issued { wrong.cert })
        server:answer(est.cacerts { world.root.cert, stranger.cert })
        local cert, err = client:enroll { key = world.key, subject = "CN=device" }
        assert.is_nil(cert)
        assert.same({ "trust", 3 }, { err.code, err.exit_code })
        client:close()
        client = world:client(server)
      end
    end)

    it("C9 C10 garbage: refused", function()
      enroll_fail("protocol", http(200, { ["Content-Type"] = "application/pkcs7-mime" }, "****"))
      enroll_fail("protocol", http(200, TEXT, core.est.body_encode(bag_der())))
      enroll_fail("protocol", est.ok("simpleenroll", "\x30\3\2\1\5"))
    end)

    it("7030-4.1.3-f with its intermediates, from /cacerts if need be", function()
      local sub = world.pki:sub("issuing", { by = world.root })
      local leaf = world.pki:issue("leaf", { by = sub, same_key = world.device })
      server:answer(est.csrattrs())
      server:answer(est.issued { leaf.cert })
      server:answer(est.cacerts { world.root.cert, sub.cert })
      local cert = assert(client:enroll { key = world.key, subject = "CN=leaf" })
      assert.same({ leaf.cert, { sub.cert } }, { cert, cert.chain })
      assert.equal("GET /.well-known/est/cacerts", est.lines(server)[3])
      cert = assert(enroll(est.issued { sub.cert, leaf.cert }, { subject = "CN=leaf" }))
      assert.same({ sub.cert }, cert.chain)
      assert.equal(5, #server:requests())
    end)

    it("7030-4.2.3-u changed names: told, not refused", function()
      local _, changed = assert(enroll(est.issued { world.device.cert },
        { subject = "CN=other", san = { "DNS:x" } }))
      assert.equal(2, #changed)
      assert.matches("the subject is CN=device, not CN=other", changed[1], 1, true)
      assert.matches("alternative names are none, not DNS:x", changed[2], 1, true)
      assert.equal("warning: " .. changed[1], client.told[1])
    end)

    it("7030-3.2.1-e an error status with a certificate: an error", function()
      local err = enroll_fail("http", http(400, { ["Content-Type"] = "application/pkcs7-mime" },
        core.est.body_encode(assert(core.pkcs7.encode { world.device.cert }))))
      assert.is_nil(err.reason)
    end)

    it("7030-4.5.2-l 7030-4.2.3-p error bodies, cleaned and cut", function()
      local cases = {
        { TEXT, "the CN is\r\nnot yours\n", "the CN is not yours" },
        { {}, "plain", "plain" },
        { { ["Content-Type"] = "text/plain; charset=utf-8" }, "a\27[31mred\27[0m\0b\u{85}c", nil },
        { TEXT, "a\27[31mred\27[0m\7b\u{85}c", "ared b\\u{85}c" },
        { HTML, "<html><style>p {}</style><h1>No</h1> way</html>", "No way" },
        { { ["Content-Type"] = "application/problem+json" }, '{"title":"T","detail":"D"}', "D" },
        { { ["Content-Type"] = "application/json" }, "{", nil },
        { JSON, '{"errors":[{"code":"x","message":"no OU"},{"message":"no C"}]}', "no OU; no C" },
        { JSON, '{"errors":{"csr":"no"},"error":{"message":"inner\\u009b\\u202e"}}',
          "inner\\u{9b}\\u{202e}" },
        { JSON, '["one","two"]', "one; two" },
        { JSON, '{"a":{"b":1}}', nil },
        { JSON, ('{"errors":['):rep(40) .. '"deep"' .. ("]}"):rep(40), nil },
        { { ["Content-Type"] = "application/xml" },
          '<?xml version="1.0"?><E><Code>403</Code><Message>no &amp; no</Message></E>',
          "403 no &amp; no" },
        { { ["Content-Type"] = "application/pkcs7-mime" }, "MAA=", nil },
        { { ["X-Reason"] = "in a header" }, "", "in a header" },
        { HTML, "<p>1 < 2</p><SCRIPT>if (a<b) {}</SCRIPT >no<br>", "1 no" },
        { HTML, "a<style>p {}", "a" },
        { HTML, "only <b", "only <b" },
        { HTML, "<>", nil },
      }
      for _, case in ipairs(cases) do
        assert.equal(case[3], enroll_fail("refused", http(403, case[1], case[2])).reason)
      end
      local err = enroll_fail("refused", http(403, { ["X-Request-Id"] = "r\t42",
        ["Content-Type"] = "text/plain" }, ("y"):rep(1024 * 1024)))
      assert.is_true(#err.reason < 500)
      assert.equal("r 42", err.request_id)
      assert.same({ 403, 7 }, { err.status, err.exit_code })
    end)

    it("error bodies that were made to be slow to read, in no time", function()
      for _, part in ipairs { "<sty>", "<style>", "<style></", "<", "<>", "</", "<script>a" } do
        local before = os.clock()
        server:answer(http(404, HTML, part:rep(4000)))
        local _, err = client:cacerts()
        assert.equal(404, err.status)
        assert.is_true(os.clock() - before < 1, part)
      end
    end)
  end)
end)
