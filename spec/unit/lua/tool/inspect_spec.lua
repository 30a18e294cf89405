-- `lest inspect` tells everything of the field apart, and shows neither secrets nor control
-- characters.
local cjson = require "cjson"
local core = require "lest.core"
local inspect = require "lest.tool.inspect"
local der = require "support.der"
local pki = require "support.pki"
local shell = require "support.shell"
local stream = require "lest.tool.inspect.stream"
local vectors = require "support.vectors"

local DAY <const> = 86400

describe("inspect", function()
  local ca, root, leaf, crl, csr

  setup(function()
    ca = pki.new()
    root = ca:root("root", { more = "1.2.3.4 = critical,ASN1:UTF8String:" .. ("x"):rep(60) })
    leaf = ca:issue("leaf", { by = root, subject = "/CN=device 1/serialNumber=77",
      serial = "0x0a1b",
      ext = "subjectAltName = DNS:a.example.com,IP:::1\nextendedKeyUsage = clientAuth\n" ..
        "keyUsage = critical,digitalSignature\nbasicConstraints = critical,CA:FALSE\n" ..
        "crlDistributionPoints = URI:http://crl.example.com/1" })
    crl = ca:crl(root, { leaf })
    csr = assert(core.csr.parse(pki.read(leaf.csr)))
  end)

  teardown(function() pki.__close(ca) end)

  local function one(bytes)
    local items = assert(inspect.recognize(bytes))
    assert.equal(1, #items)
    return items[1]
  end

  local function recognizes(kind, bytes)
    assert.equal(kind, one(bytes).kind)
    assert.equal(kind, one(core.base64.encode(bytes, 64)).kind)
    assert.equal(kind, one(core.base64.encode(bytes)).kind)
  end

  local function der_of(command)
    pki.sh(command .. " -outform DER -out " .. ca:path "der")
    return pki.read(ca:path "der")
  end

  it("shows a CMC message with its controls, its requests and whose signature it has", function()
    local content = assert(core.cmc.content { kind = "request", controls = {
      { id = 2, name = "identification", value = "device\n1" },
      { id = 3, name = "senderNonce", value = "\1\2" },
      { id = 4, name = "statusInfoV2", value = { status = "failed", failure = "badRequest",
        bodies = { 0, 1 }, text = "no" } },
      { id = 5, name = "revokeRequest", value = { issuer_der = root.cert.subject_der,
        serial = "0a", reason = 1, passphrase = "secret" } },
    }, requests = { { id = 1, csr = csr:der() } } })
    local function message(key)
      return one(assert(core.cmc.sign { kind = "request", key = core.key.load(key),
        cert = leaf.cert, certificates = { leaf.cert }, content = content }))
    end
    local text = inspect.text(message(leaf.key))
    for _, line in ipairs { "2 identification: device\\x0a1", "3 senderNonce: 0102",
      "4 statusInfoV2: failed %(badRequest%), of 0, 1: no",
      "5 revokeRequest: 0a of CN=root, reason 1, with a passphrase",
      "0a1b of CN=root, .*; the signature is that certificate's",
      "Request 1 %(body part 1%)\n +Subject +serialNumber=77,CN=device 1" } do
      assert.matches(line, text)
    end
    assert.not_matches("secret", text .. cjson.encode(inspect.table(message(leaf.key))))
    assert.matches("NOT that certificate's", inspect.text(message(root.key)))
    assert.equal("0102", inspect.table(message(leaf.key)).controls[2].value)
  end)

  it("names the flaws of what others made, and shows what stands for nothing", function()
    local odd = ca:issue("odd", { by = root, ext = "subjectAltName = DNS:odd-one,DNS:good" })
    ca:forge(odd, root, function(tbs) return (tbs:gsub("odd%-one", "odd one")) end)
    local text = inspect.text(one(odd.cert:der()))
    assert.matches("Alternative names  DNS:good\n", text)
    assert.matches("Unusable names     DNS:odd one\n", text)
    assert.matches("Flaws +an alternative name cannot be used", text)
    local shown = inspect.table(one(odd.cert:der()))
    assert.same({ { "DNS:good" }, { "DNS:odd one" }, odd.cert.flaws },
      { shown.san, shown.san_unusable, shown.flaws })
    assert.same({}, inspect.table(one(leaf.cert:der())).flaws)
  end)

  it("shows a request whose key OpenSSL does not know, and one without attributes", function()
    local made = csr:der()
    local strange = made:gsub("%\x2a\x86\x48\xce\x3d\x02\x01",
      "\x2a\x86\x48\xce\x3d\x02\x09")
    local text = inspect.text(one(strange))
    assert.matches("Public key      1%.2%.840%.10045%.2%.9 %(0 bits", text)
    assert.matches("Self%-signature  cannot be checked: .*unknown", text)
    assert.same({ 0, {}, {} }, { inspect.table(one(made)).version,
      inspect.table(one(made)).key_usage, inspect.table(one(made)).eku })
    local parts = der.split(der.body(made))
    local info = der.split(der.body(parts[1]))
    recognizes("csr", der.seq(der.seq(info[1], info[2], info[3]), parts[2], parts[3]))
  end)

  it("shows the good blocks of a text beside one that is bad, and names that", function()
    local good, empty = leaf.cert:pem(), "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"
    for what, text in pairs {
      ["block 2 %(line " .. 2 + select(2, good:gsub("\n", "")) .. "%): certificate: "] =
        "first\n" .. good .. empty .. crl:pem(),
      ["block 2 %(line 4%): PEM: the END line of 'CERTIFICATE' is missing"] =
        "-----BEGIN X-----\nAAAA\n-----END X-----\n-----BEGIN CERTIFICATE-----\nAAAA\n"
          .. crl:pem(),
    } do
      local items = assert(inspect.recognize(text))
      assert.same({ 3, "malformed", "crl" }, { #items, items[2].kind, items[3].kind })
      assert.matches("^" .. what, tostring(items[2].problem))
      assert.equal(items[2].line, inspect.table(items[2]).line)
      local result = shell.run(shell.line("inspect", "-"), text)
      assert.matches("PEM block that cannot be read\n.*\n\nCertificate revocation list", result.out)
      assert.matches(what, result.err)
      assert.not_equal(0, result.code)
    end
    local certs, err = core.cert.parse_all(good .. empty .. good)
    assert.is_nil(certs)
    assert.matches("^block 2 %(line %d+%): certificate: ", err.message)
    local bytes = good:gsub("\n$", "") .. good
    assert.same({ 2, 2 }, { #assert(inspect.recognize(bytes)), #core.cert.parse_all(bytes) })
    local marked = "\xef\xbb\xbf" .. good .. "\xef\xbb\xbf" .. crl:pem()
    assert.equal(2, #assert(inspect.recognize(marked)))
    assert.equal("certificate", one("\xef\xbb\xbf" .. core.base64.encode(leaf.cert:der(), 64)).kind)
  end)

  it("writes the JSON of a CRL with many entries as it goes", function()
    local oid, time = "1.2.840.10045.4.3.2", der.tlv(0x17, "260101000000Z")
    local entries, reason = {}, der.seq(der.seq(der.oid "2.5.29.21",
      der.octets(der.tlv(0x0a, "\1"))))
    for i = 1, 3000 do
      entries[i] = der.seq(der.tlv(2, string.pack(">I3", 0x10000 + i)), time,
        i == 2500 and reason or "")
    end
    local tbs = der.seq(der.int(1), der.seq(der.oid(oid)), root.cert.subject_der, time,
      der.seq(table.concat(entries)))
    local big = der.seq(tbs, der.seq(der.oid(oid)), der.bits "x")
    local parts = {}
    stream.write({ one(big), one(leaf.cert:der()), one(crl:der()) },
      function(text) parts[#parts + 1] = text end)
    local list = cjson.decode(table.concat(parts))
    assert.same({ 3000, "010001", "010bb8" },
      { #list[1].entries, list[1].entries[1].serial, list[1].entries[3000].serial })
    assert.same({ date = 1767225600, serial = "0109c4", reason = "keyCompromise" },
      list[1].entries[2500])
    assert.same({ "0a1b", leaf.cert.serial }, { list[3].entries[1].serial, list[2].serial })
    assert.is_true(#parts > 5)
    assert.same({}, core.crl.parse(big):page(0, 0))
    assert.has_error(function() core.crl.parse(big):page(#big, 1) end)
  end)

  it("names formats that it knows and does not read", function()
    pki.sh(("openssl pkcs12 -export -in %s -inkey %s -passout pass:x -out %s"):format(leaf.path,
      leaf.key, ca:path "p12"))
    pki.sh(("openssl ocsp -issuer %s -cert %s -reqout %s"):format(root.path, leaf.path,
      ca:path "ocsp"))
    for what, bytes in pairs {
      ["an OCSP request"] = pki.read(ca:path "ocsp"),
      ["an OCSP response"] = der.seq(der.tlv(0x0a, "\6")),
    } do
      for _, err in ipairs { select(2, core.key.parse(bytes)), select(2, core.cert.parse(bytes)),
        select(2, core.csr.parse(bytes)) } do
        assert.truthy(err.message:find(what, 1, true), err.message)
      end
    end
    for what, bytes in pairs {
      ["a PKCS#12 file"] = pki.read(ca:path "p12"),
      ["an SSH public key"] = "ssh-ed25519 AAAA",
      ["a Java key store"] = "\xfe\xed\xfe\xed\0\0\0\2",
    } do
      for _, err in ipairs { select(2, inspect.recognize(bytes)), select(2, core.key.parse(bytes)),
        select(2, core.cert.parse(bytes)), select(2, core.csr.parse(bytes)) } do
        assert.truthy(err.message:find(what, 1, true), err.message)
      end
    end
    local _, err = core.key.load(ca:path "p12")
    assert.matches("openssl pkcs12 %-in FILE", err.message)
    _, err = core.key.load("file://" .. ca:path "p12")
    assert.matches("openssl pkcs12 %-in FILE", err.message)
  end)

  it("shows an OCSP request and what answers it", function()
    local file, reply = ca:path "request", ca:path "response"
    pki.sh(("openssl ocsp -issuer %s -sha256 -cert %s -serial 7 -reqout %s"):format(root.path,
      leaf.path, file))
    recognizes("ocsp_request", pki.read(file))
    local text = inspect.text(one(pki.read(file)))
    for _, line in ipairs { "OCSP request", "Serial number  0a1b", "Serial number  07",
      "Issuer's key   sha256 ", "Nonce ", "Signed  no" } do
      assert.truthy(text:find(line, 1, true), line .. "\n" .. text)
    end
    pki.write(ca:path "index.txt", ("R\t400101000000Z\t260102000000Z,keyCompromise\t0A1B\tunknown\t"
      .. "/CN=device 1\n"))
    pki.sh(("openssl ocsp -index %s -CA %s -rsigner %s -rkey %s -reqin %s -respout %s -ndays 7 "
      .. "-resp_no_certs"):format(ca:path "index.txt", root.path, root.path, root.key, file, reply))
    recognizes("ocsp_response", pki.read(reply))
    text = inspect.text(one(pki.read(reply)))
    for _, line in ipairs { "Status       successful", "Responder    ",
      "revoked since 2026-01-02 00:00:00 UTC, keyCompromise", "State          unknown",
      "Good until " } do
      assert.truthy(text:find(line, 1, true), line .. "\n" .. text)
    end
    local all = inspect.table(one(pki.read(reply)))
    assert.same({ "revoked", "0a1b", "unknown", "07" }, { all.responses[1].state,
      all.responses[1].serial, all.responses[2].state, all.responses[2].serial })
    assert.equal("OCSP response\n  Status  unauthorized",
      inspect.text(one(der.seq(der.tlv(0x0a, "\6")))))
  end)

  it("tells everything of the field apart by looking, in DER and base64", function()
    recognizes("certificate", leaf.cert:der())
    recognizes("certificate", root.cert:der())
    recognizes("csr", csr:der())
    recognizes("crl", crl:der())
    recognizes("crl", ca:crl(ca:root("empty"), {}):der())
    recognizes("pkcs7", assert(core.pkcs7.encode { leaf.cert }))
    recognizes("cmc", assert(core.cmc.sign { kind = "request", key = core.key.load(leaf.key),
      cert = leaf.cert, content = core.cmc.content { kind = "request" } }))
    recognizes("key", der_of("openssl pkcs8 -topk8 -nocrypt -in " .. leaf.key))
    recognizes("key", der_of("openssl ec -in " .. leaf.key))
    recognizes("key", der_of("openssl rsa -traditional -in " .. ca:issue("rsa", { by = root,
      key = "rsa:2048" }).key))
    recognizes("encrypted_key", der_of("openssl pkcs8 -topk8 -passout pass:x -in " .. leaf.key))
    recognizes("public_key", der_of("openssl pkey -pubout -in " .. leaf.key))
    recognizes("csrattrs", assert(core.csrattrs.encode { "ecdsa-with-SHA256" }))
    for _, name in ipairs { "7030-4.5.2-csrattrs", "7030-a2-csrattrs", "csrattrs-empty-derived",
      "9908-5.1-acp-san", "9908-5.4-rsa4096", "9908-3.4-template-derived",
        "7894-csrattrs-derived" } do
      recognizes("csrattrs", vectors.get(name))
    end
  end)

  it("reads several PEM blocks, with text around them", function()
    local encrypted = pki.sh("openssl ec -aes128 -passout pass:x -in " .. leaf.key)
    local text = "bag\n" .. leaf.cert:pem() .. "between\r\n" .. pki.read(leaf.key) .. crl:pem() ..
      csr:pem()
      .. encrypted:match "%-%-%-%-%-BEGIN.*" .. pki.sh("openssl pkey -pubout -in " .. leaf.key)
      .. pki.sh "openssl ecparam -name prime256v1" ..
        "-----BEGIN FOO-----\nAAAA\n-----END FOO-----\n"
    local kinds = {}
    for i, item in ipairs(assert(inspect.recognize(text))) do
      kinds[i] = item.kind
      assert.equal("string", type(inspect.text(item)))
      assert.equal(item.kind, inspect.table(item).kind)
    end
    assert.equal("certificate key crl csr encrypted_key public_key unknown", table.concat(kinds,
      " "))
  end)

  it("says what is wrong with what it does not know", function()
    for _, bytes in ipairs { "", "\n", "hello", "0", "0hello", "-----BEGIN FOO-----\nx", "\x30",
      "\x04\0",
      leaf.cert:der():sub(1, 100), leaf.cert:der() .. "\0", "MAA", "-----BEGIN X-----\n" } do
      local items, err = inspect.recognize(bytes)
      assert.is_nil(items)
      assert.is_true(core.error.is(err))
    end
    assert.error_matches(function() inspect.text(1) end, "neither an object")
    assert.error_matches(function() inspect.text {} end, "neither an object")
  end)

  it("takes no garbage for a key, and what is cut off for nothing else", function()
    local function refused(bytes, pattern)
      local items, err = inspect.recognize(bytes)
      assert.is_nil(items, items and items[1].kind)
      assert.matches(pattern, err.message)
    end
    local function block(label, bytes)
      return ("-----BEGIN %s-----\n%s-----END %s-----\n"):format(label,
        core.base64.encode(bytes, 64), label)
    end
    local public = der_of("openssl pkey -pubout -in " .. leaf.key)
    local encrypted = der_of("openssl pkcs8 -topk8 -passout pass:x -in " .. leaf.key)
    refused(block("ENCRYPTED PRIVATE KEY", "garbage"), "private key: the key has tag")
    refused(block("ENCRYPTED PRIVATE KEY", encrypted:sub(1, 60)), "the key is cut off")
    refused(block("ENCRYPTED PRIVATE KEY", encrypted .. "\0"), "followed by more data")
    refused(block("ENCRYPTED PRIVATE KEY", assert(core.key.load(leaf.key)):der()), "is not$")
    refused(block("PUBLIC KEY", "\0\0\0"), "the public key has tag")
    refused(public:sub(1, 60), "the public key is cut off")
    refused(public .. "x", "followed by more data")
    refused(public:gsub("^\x30\x59", "\x30\x5b") .. "\5\0", "followed by more data")
    for length = 4, #encrypted - 1 do
      refused(encrypted:sub(1, length), "cut off")
    end
    refused(core.base64.encode(encrypted:sub(1, 60)), "cut off: 60 bytes of %d+$")
  end)

  it("shows a certificate as a person reads it, with how long is left", function()
    local text = inspect.text(leaf.cert, { now = leaf.cert.not_after - 3 * DAY - 3600 })
    for _, part in ipairs { "Subject +serialNumber=77,CN=device 1\n",
      "names +DNS:a.example.com, IP:::1\n",
      "Issuer +CN=root\n", "Serial number +0a1b\n",
        "Valid until +%d+%-%d%d%-%d%d %d%d:%d%d:%d%d UTC %(3d1h left%)",
      "Public key +ec:P%-256 %(128 bits", "CA +no\n", "keyUsage %(critical%): digitalSignature\n",
      "extendedKeyUsage: clientAuth\n", "subjectAltName: DNS:a.example.com, IP:::1\n",
      "crlDistributionPoints: .*URI:http://crl.example.com/1\n",
        "Fingerprint +sha256 %x%x:%x%x:" } do
      assert.matches(part, text)
    end
    assert.matches("expired 2d ago", inspect.text(leaf.cert, { now =
      leaf.cert.not_after + 2 * DAY }))
    assert.matches("begins in 5d", inspect.text(leaf.cert, { now =
      leaf.cert.not_before - 5 * DAY }))
    text = inspect.text(root.cert)
    assert.matches("CN=root %(itself%)", text)
    assert.matches("CA +yes\n", text)
    assert.matches("\n +1.2.3.4 %(critical%): " .. ("x"):rep(60) .. "\n", text)
  end)

  it("gives the same as plain data", function()
    local data = inspect.table(leaf.cert)
    assert.equal("certificate", data.kind)
    assert.equal("0a1b", data.serial)
    assert.equal(leaf.cert.not_after, data.not_after)
    assert.same({ "clientAuth" }, data.eku)
    assert.equal("ec:P-256", data.public_key.type)
    assert.equal(core.secret.sha256(leaf.cert.public_key.der), data.public_key.sha256)
    assert.equal(leaf.cert.fingerprint, data.fingerprint)
    local bag = inspect.table(one(assert(core.pkcs7.encode({ leaf.cert, root.cert }, { crl }))))
    assert.is_true(bag.certs_only)
    assert.equal("CN=root", bag.certificates[2].subject)
    assert.equal("0a1b", bag.crls[1].entries[1].serial)
  end)

  it("shows whether a request's signature verifies, and its attributes", function()
    assert.matches("Self%-signature +verifies\n?", inspect.text(csr))
    local renaming = assert(core.csr.build { key = assert(core.key.generate "ec:P-256"),
      subject = "CN=old", change = { subject = "CN=new", san = { "DNS:new" } } })
    assert.matches("Asks for other names +CN=new\n +DNS:new\n", inspect.text(renaming))
    assert.same({ subject = "CN=new", san = { "DNS:new" } }, inspect.table(renaming).change)
    local bytes = csr:der()
    local broken = assert(core.csr.parse(bytes:sub(1, -2) .. string.char(bytes:byte(-1) ~ 1)))
    assert.matches("does NOT verify", inspect.text(broken))
    assert.is_false(inspect.table(broken).signature_verifies)
    local weak = one(vectors.get "7030-a3-simpleenroll-req")
    assert.matches("verifies, but is weak", inspect.text(weak))
    assert.matches("challengePassword: %+rrCir/7%+EYu50T4", inspect.text(weak))
  end)

  it("shows a CRL and CSR attributes", function()
    assert.matches("Revoked +0a1b since .*UTC, keyCompromise\n", inspect.text(crl))
    local text = inspect.text(one(vectors.get "7030-4.5.2-csrattrs"))
    assert.matches("Key wished for +ec:P%-384\n", text)
    assert.matches("extReq is ignored: its value is not one list of extensions", text)
    assert.matches("subjectAltName %(critical%): otherName", inspect.text(one(
      vectors.get "9908-5.1-acp-san")))
    assert.equal("rsa:4096", inspect.table(one(vectors.get "9908-5.4-rsa4096")).key)
  end)

  it("7030-6-o shows nothing secret of a private key", function()
    local key = assert(core.key.load(leaf.key))
    local text = inspect.text(key) .. inspect.text(one(pki.read(leaf.key)))
      .. require("lest.json").encode(inspect.table(key))
    local private = pki.sh("openssl pkey -noout -text -in " .. leaf.key):match "priv:%s*(.-)%s*pub:"
    private = private:gsub("[%s:]", "")
    assert.equal(64, #private)
    assert.is_nil(text:find(private:sub(1, 16), 1, true))
    assert.is_nil(text:find(key:pem():sub(40, 60), 1, true))
    assert.matches("ec:P%-256", text)
    assert.matches(core.secret.sha256(key:public_der()), text)
  end)

  it("shows an extension in one line, and spaces without end in no time", function()
    local COMMENT <const> = "2.16.840.1.113730.1.13"
    local function shown(text)
      local made = assert(core.csr.build { key = assert(core.key.generate "ec:P-256"),
        subject = "CN=x", extensions = { { oid = COMMENT, value = der.tlv(0x16, text) } } })
      local before = os.clock()
      local all = inspect.text(assert(core.csr.parse(made:der())))
      assert.is_true(os.clock() - before < 1)
      return all:match "nsComment: ([^\n]*)"
    end
    assert.equal("a", shown "a")
    for _, text in ipairs { "x" .. (" "):rep(60000) .. "x", (" "):rep(60000) .. "x" } do
      assert.matches("x$", shown(text))
    end
  end)

  it("escapes what could play with a terminal", function()
    local name = assert(core.name.encode { { "CN", "a\27[31m\r\nSubject: b" } })
    local evil = ca:issue("evil", { by = root, ext = "nsComment = \"x\\r\\nFingerprint: 00\"" })
    assert.not_matches("[\r\27]", inspect.text(evil.cert))
    assert.not_matches("\n *Fingerprint: 00", inspect.text(evil.cert))
    local data = { kind = "csrattrs", object = assert(core.csrattrs.decode(assert(
      core.csrattrs.encode {
      { oid = "1.2.3", values = { "\x0c\6\27[31m\n", name } } }))) }
    assert.not_matches("[\r\27]", inspect.text(data))
  end)

  it("shows values that OpenSSL has no words for by what they are in DER", function()
    local attributes = { { oid = "1.2.3", values = { "\x1e\4\0\xfc\x4e\x2d", "\x14\1\xfc",
      "\x0c\1\xff", "\x17\x0d260102030405Z" } } }
    local text = inspect.text { kind = "csrattrs", object = assert(core.csrattrs.decode(assert(
      core.csrattrs.encode(attributes)))) }
    for _, value in ipairs { "ü中", "ü", "ff", "260102030405Z" } do
      assert.matches("1.2.3: .*%f[^ ]" .. value .. "%f[,\n\0]", text)
    end
    local responder = ca:issue("responder", { by = root,
      ext = "noCheck = ignored\n1.2.3.5 = ASN1:SEQUENCE:s\n[s]\na = INTEGER:5\nb = UTF8:hi" })
    text = inspect.text(responder.cert)
    assert.matches("noCheck: null\n", text)
    assert.matches("1.2.3.5: {5, hi}\n", text)
  end)

  it("escapes what is no UTF-8, and what hides or reorders the text beside it", function()
    local key = assert(core.key.generate "ec:P-256")
    local cert = assert(core.issuer.root { key = key, not_before = os.time() - 60,
      not_after = os.time() + DAY,
      subject = { { "CN", "a\u{202e}b\u{200b}c\u{2028}d" } } })
    local evil = assert(assert(core.issuer.new { cert = cert, key = key }):issue {
      public_key = key:public_der(), subject = { { "CN", "x" } }, not_before = cert.not_before,
      not_after = cert.not_after,
      extensions = {
        { oid = "2.16.840.1.113730.1.13", value = "\x16\x08\x9b31mX\xff\xfe\xfd" },
        { oid = "2.5.29.18", value = "\x30\x08\x86\x06a:\x9bmX\xff" },
      } })
    local text = inspect.text(assert(core.cert.parse(evil)))
    assert(utf8.len(text), "no UTF-8")
    assert.not_matches("[\128-\255]", text)
    assert.matches("CN=a\\u{202e}b\\u{200b}c\\u{2028}d", text, 1, true)
  end)
end)

describe("lest inspect", function()
  local ca, leaf

  setup(function()
    ca = pki.new()
    leaf = ca:root("leaf")
  end)

  teardown(function() pki.__close(ca) end)

  it("shows a file, and standard input", function()
    local result = shell.lest("inspect", leaf.path)
    assert.equal(0, result.code)
    assert.matches("^Certificate\n  Subject +CN=leaf\n", result.out)
    assert.equal("", result.err)
    result = shell.run(shell.line("inspect", "-"), leaf.cert:pem() .. pki.read(leaf.key))
    assert.equal(0, result.code)
    assert.matches("\n\nPrivate key\n  Public key +ec:P%-256", result.out)
  end)

  it("prints JSON", function()
    local result = shell.lest("inspect", "--json", leaf.path)
    assert.equal(0, result.code)
    local list = cjson.decode(result.out)
    assert.equal(1, #list)
    assert.equal(leaf.cert.fingerprint, list[1].fingerprint)
    assert.same({}, list[1].san)
  end)

  it("says with --trust whether a certificate is trusted, and why not", function()
    local sub = ca:sub("sub", { by = leaf, subject = "/CN=sub" })
    local device = ca:issue("device", { by = sub, ext = "subjectAltName = DNS:a.example.com" })
    local sent = pki.write(ca:path "sent.pem", device.cert:pem() .. sub.cert:pem())
    local result = shell.lest("inspect", sent, "--trust", leaf.path, "--name", "a.example.com")
    assert.same({ 0, "" }, { result.code, result.err })
    assert.matches("\n\nCN=device is trusted:\n +CN=device  <%-  CN=sub  <%-  CN=leaf "
      .. "%(anchor%)\n$", result.out)
    result = shell.lest("inspect", device.path, "--trust", leaf.path)
    assert.equal(3, result.code)
    assert.matches("its issuer CN=sub is not at hand", result.out)
    assert.matches("^lest inspect: .*device%.pem: certificate CN=device [^\n]+\n$", result.err)
    local _, crl = ca:crl(sub, { device })
    local trusted = pki.write(ca:path "trusted.pem", leaf.cert:pem() .. pki.read(crl))
    result = shell.lest("inspect", sent, "--trust", trusted, "--json")
    assert.equal(3, result.code)
    local list = cjson.decode(result.out)
    assert.equal(3, #list)
    assert.is_false(list[3].ok)
    assert.same({ "CN=device", "CN=sub", "CN=leaf" }, list[3].paths[1].chain)
    local fault = list[3].paths[1].faults[1]
    assert.same({ "revoked", 0, device.cert.fingerprint }, { fault.code, fault.depth,
      fault.fingerprint })
    result = shell.lest("inspect", sent, "--trust", leaf.path, "--name", "b.example.com")
    assert.equal(3, result.code)
    assert.matches("it is not for b%.example%.com", result.out)
  end)

  it("ends with 2 where --trust has nothing to do, or nothing to trust", function()
    assert.equal(2, shell.lest("inspect", leaf.path, "--name", "x").code)
    for _, line in ipairs { { leaf.key, leaf.path }, { leaf.path, leaf.key },
      { leaf.path, ca:path "missing" } } do
      local result = shell.lest("inspect", line[1], "--trust", line[2])
      assert.equal(2, result.code)
      assert.not_equal("", result.err)
    end
  end)

  it("ends with 2 for a mistake on its line, 1 for what it does not know, and says why", function()
    assert.equal(2, shell.lest("inspect").code)
    assert.equal(2, shell.lest("inspect", "--jsn", leaf.path).code)
    local result = shell.lest("inspect", ca:path "missing")
    assert.equal(2, result.code)
    assert.matches("^lest inspect: .*missing.*cannot be opened", result.err)
    result = shell.lest("inspect", pki.write(ca:path "text", "hello"))
    assert.equal(1, result.code)
    assert.matches("^lest inspect: .*text: the data is nothing that lest knows[^\n]*\n$",
      result.err)
  end)
end)
