-- Certificates are read whole and strictly, and match host names as RFC 6125 says.
local core = require "lest.core"
local pki = require "support.pki"
local vectors = require "support.vectors"

local cert = core.cert

describe("cert", function()
  local ca, root, leaf

  setup(function()
    ca = pki.new()
    root = ca:root("root", { subject = "/C=DE/O=Example/CN=root", more = "1.2.3.4 = ASN1:NULL" })
    leaf = ca:issue("leaf", { by = root, serial = "0x00fe01",
      subject = "/CN=device 1/serialNumber=77",
      ext = "subjectAltName = DNS:a.example.com,DNS:*.w.example.com,IP:127.0.0.1,IP:::1\n" ..
        "extendedKeyUsage = clientAuth,1.3.6.1.5.5.7.3.28\n" ..
        "keyUsage = critical,digitalSignature,keyAgreement,decipherOnly\n" ..
        "basicConstraints = CA:FALSE" })
  end)

  teardown(function() pki.__close(ca) end)

  local function fails(bytes, code, pattern)
    local value, err = cert.parse(bytes)
    assert.is_nil(value)
    assert.equal(code, err.code)
    if pattern then assert.matches(pattern, err.message) end
  end

  it("has every field of a leaf", function()
    local c = leaf.cert
    assert.equal("device 1", c.subject.CN)
    assert.equal("77", c.subject.serialNumber)
    assert.equal("CN=root,O=Example,C=DE", tostring(c.issuer))
    assert.equal(root.cert.subject_der, c.issuer_der)
    assert.equal(c.subject, core.name.decode(c.subject_der))
    assert.same({ "DNS:a.example.com", "DNS:*.w.example.com", "IP:127.0.0.1", "IP:::1" }, c.san)
    assert.same(c.san, core.san.decode(c.san_der))
    assert.equal("fe01", c.serial)
    assert.equal(30 * 86400, c.not_after - c.not_before)
    assert.is_true(math.abs(c.not_before - os.time()) < 60)
    assert.equal("ec:P-256", c.public_key.type)
    assert.equal(128, c.public_key.security_bits)
    assert.is_true(c:der():find(c.public_key.der, 1, true) ~= nil)
    assert.is_false(c.is_ca)
    assert.is_nil(c.path_len)
    assert.same({ "digitalSignature", "keyAgreement", "decipherOnly" }, c.key_usage)
    assert.same({ "clientAuth", "cmcRA" }, c.eku)
    assert.equal(root.cert.ski, c.aki)
    assert.equal(40, #c.ski)
    assert.equal("ecdsa-with-SHA256", c.signature_algorithm)
    assert.equal(3, c.version)
    assert.is_false(c.self_issued)
    assert.same({}, c.chain)
  end)

  it("has every field of a root", function()
    local c = root.cert
    assert.is_true(c.is_ca)
    assert.is_true(c.self_issued)
    assert.same({ "keyCertSign", "cRLSign" }, c.key_usage)
    assert.same({}, c.eku)
    assert.same({}, c.san)
    assert.is_nil(c.san_der)
    assert.is_nil(c.aki)
    local short = ca:root("short", { ext = "basicConstraints = CA:TRUE,pathlen:2" })
    assert.equal(2, short.cert.path_len)
  end)

  it("lists extensions, known and unknown", function()
    local list = root.cert.extensions
    local by_oid = {}
    for _, extension in ipairs(list) do by_oid[extension.oid] = extension end
    assert.same({ oid = "1.2.3.4", critical = false, value = "\5\0" }, by_oid["1.2.3.4"])
    assert.same({ oid = "2.5.29.19", name = "basicConstraints", critical = true,
      value = "\x30\3\1\1\xff" },
      by_oid["2.5.29.19"])
  end)

  it("agrees with openssl about fingerprint, serial and names", function()
    local text = pki.sh("openssl x509 -noout -fingerprint -sha256 -serial -in " .. leaf.path)
    assert.equal(leaf.cert.fingerprint, text:match("Fingerprint=(%S+)"):gsub(":", ""):lower())
    assert.equal(leaf.cert.serial, text:match("serial=(%S+)"):lower())
  end)

  it("writes a serial number of any size and sign", function()
    local function with(serial)
      return ca:issue("serial", { by = root, serial = serial }).cert.serial
    end
    assert.equal("00", with("0"))
    assert.equal("80", with("0x80"))
    assert.equal("-80", with("-128"))
    assert.equal("-0100", with("-256"))
    assert.equal("-01", with("-1"))
    assert.equal("0123456789abcdef0123456789abcdef01234567",
      with("0x0123456789abcdef0123456789abcdef01234567"))
  end)

  it("tells PEM and DER apart by looking", function()
    local c = leaf.cert
    assert.equal(c, assert(cert.parse(c:der())))
    assert.equal(c, assert(cert.parse(c:pem())))
    assert.equal(c, assert(cert.parse(pki.sh("openssl x509 -text -in " .. leaf.path))))
    assert.equal(c, assert(cert.parse((c:pem():gsub("\n", "\r\n")))))
    assert.equal(c, assert(cert.parse(pki.read(leaf.key) .. c:pem())))
    assert.equal(pki.read(leaf.path), c:pem())
  end)

  it("has the rest of a bundle as its chain", function()
    local bundle = leaf.cert:pem() .. "\nan explanation\n" .. root.cert:pem()
    local c = assert(cert.parse(bundle))
    assert.equal(leaf.cert, c)
    assert.equal(root.cert, c.chain[1])
    assert.equal(2, #assert(cert.parse_all(bundle)))
    assert.same({}, leaf.cert.chain)
    local chain = c.chain
    chain[1] = nil
    assert.equal(1, #c.chain)
    assert.equal(root.cert, leaf.cert:with_chain({ root.cert }).chain[1])
  end)

  it("saves the leaf, then its chain, for everybody to read", function()
    local path = ca:path "saved.pem"
    assert(leaf.cert:with_chain({ root.cert }):save(path))
    assert.equal(leaf.cert:pem() .. root.cert:pem(), pki.read(path))
    assert.equal("644\n", pki.sh("stat -c %a " .. path))
    assert.equal(1, #assert(cert.load(path)).chain)
    assert.same({ leaf.cert, root.cert }, cert.load_all(path))
    local ok, err = leaf.cert:save(ca:path "no/such/folder")
    assert.is_nil(ok)
    assert.equal("io", err.code)
  end)

  it("names the file that cannot be loaded", function()
    local path = pki.write(ca:path "broken.pem", "hello")
    local value, err = cert.load(path)
    assert.is_nil(value)
    assert.equal("cert_malformed", err.code)
    assert.matches("broken.pem: certificate: the data is neither DER nor PEM", err.message)
    value, err = cert.load_all(path)
    assert.is_nil(value)
    assert.matches("broken.pem: certificate: the data is neither DER nor PEM", err.message)
    value, err = cert.load(ca:path "missing.pem")
    assert.is_nil(value)
    assert.equal("not_found", err.code)
  end)

  it("refuses what is no certificate, or more than one", function()
    local der = leaf.cert:der()
    fails("", "cert_malformed", "no data")
    fails("hello", "cert_malformed", "neither DER nor PEM")
    fails(der .. "\0", "cert_malformed", "followed by more data")
    fails(der .. der, "cert_malformed")
    for cut = 1, #der - 1, 5 do fails(der:sub(1, cut), "cert_malformed") end
    fails("-----BEGIN CERTIFICATE-----\nAAAA\n", "pem")
    fails("-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", "pem")
    fails("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "cert_malformed",
      "the data is a public key$")
    fails("-----BEGIN MESSAGE-----\nAAAA\n-----END MESSAGE-----\n", "cert_malformed",
      "no PEM block CERTIFICATE, but MESSAGE$")
    fails("\x30\x83\x01\0\0" .. ("\0"):rep(65536), "too_large")
    fails(("x"):rep(5 * 1024 * 1024), "too_large")
  end)

  it("refuses every byte changed into nonsense without a crash", function()
    local der = leaf.cert:der()
    for i = 1, #der do
      local changed = der:sub(1, i - 1) .. string.char(der:byte(i) ~ 0xff) .. der:sub(i + 1)
      local c, err = cert.parse(changed)
      assert(c or err.code == "cert_malformed", err)
      if c then
        local _ = { c.subject, c.san, c.extensions, c.public_key, c.eku, c.serial, c.key_usage,
          c.fingerprint }
      end
    end
  end)

  it("5280-4.2-a refuses an extension that stands twice", function()
    local twice = vectors.replace(leaf.cert:der(), "\6\3\x55\x1d\x25", "\6\3\x55\x1d\x11")
    fails(twice, "cert_malformed", "stands twice")
  end)

  it("has times that there are, in the one form that DER has (RFC 5280 4.1.2.5)", function()
    local good = leaf.cert:der()
    local at = assert(good:find "\x17\x0d%d%d%d%d%d%d%d%d%d%d%d%dZ")
    local function with(time)
      return good:sub(1, at + 1) .. time .. good:sub(at + 2 + #time)
    end
    assert.equal(1893456000, assert(cert.parse(with "300101000000Z")).not_before)
    for _, wrong in ipairs { "300101000060Z", "300101006000Z", "300101240000Z", "300132000000Z",
      "301301000000Z", "300001000000Z", "300100000000Z", "300229000000Z", "3001010000000",
      "300101000000z", "30010100000 Z" } do
      fails(with(wrong), "cert_malformed", "valid time")
    end
  end)

  it("refuses two different signature algorithms (RFC 5280 4.1.1.2)", function()
    local der = leaf.cert:der()
    local oid = "\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"
    local first = der:find(oid, 1, true)
    local second = der:find(oid, first + 1, true)
    fails(der:sub(1, second + 8) .. "\x03" .. der:sub(second + 10), "cert_malformed",
      "algorithms differ")
  end)

  it("reads the kinds of keys, and keys that nobody knows", function()
    for _, key in ipairs { "ec:P-384", "rsa:2048", "ed25519" } do
      assert.equal(key, ca:issue("kind", { by = root, key = key }).cert.public_key.type)
    end
    local unknown = vectors.replace(leaf.cert:der(), "\x2a\x86\x48\xce\x3d\2\1",
      "\x2a\x86\x48\xce\x3d\2\9")
    local public_key = assert(cert.parse(unknown)).public_key
    assert.same({ "1.2.840.10045.2.9", 0 }, { public_key.type, public_key.security_bits })
  end)

  it("6125-6.4.1-a 6125-6.4.3-a 6125-6.4.3-b matches names label by label", function()
    local c = leaf.cert
    for _, host in ipairs { "a.example.com", "A.Example.COM", "a.example.com.",
      "x.w.example.com" } do
      assert.is_true(c:matches_host(host), host)
    end
    for _, host in ipairs { "b.example.com", "example.com", "w.example.com", "x.y.w.example.com",
      "", ".", ".example.com", ".w.example.com", "a.example.com\0", ("a"):rep(300), "device 1",
      "*.w.example.com.x" } do
      assert.is_false(c:matches_host(host), host)
    end
  end)

  it("6125-6.4.4-b 2818-3.1-a uses neither CN nor a DNS name for an address", function()
    local plain = ca:issue("plain.example.com", { by = root })
    assert.is_false(plain.cert:matches_host("plain.example.com"))
    assert.is_true(leaf.cert:matches_host("127.0.0.1"))
    assert.is_true(leaf.cert:matches_host("::1"))
    assert.is_true(leaf.cert:matches_host("0:0:0:0:0:0:0:1"))
    assert.is_false(leaf.cert:matches_host("127.0.0.2"))
    local text = ca:issue("text", { by = root, ext = "subjectAltName = DNS:127.0.0.1" })
    assert.is_false(text.cert:matches_host("127.0.0.1"))
  end)

  it("6125-6.4.3-c matches no wildcard inside a label", function()
    local part = ca:issue("part", { by = root,
      ext = "subjectAltName = DNS:xn--*.example.com,DNS:a*.example.com" })
    assert.is_false(part.cert:matches_host("xn--bcher-kva.example.com"))
    assert.is_false(part.cert:matches_host("ab.example.com"))
  end)

  it("is equal by value, and closed when closed", function()
    local copy = assert(cert.parse(leaf.cert:der()))
    assert.is_true(copy == leaf.cert)
    assert.is_false(copy == root.cert)
    copy:close()
    copy:close()
    assert.is_false(copy == leaf.cert)
    assert.equal("lest.cert (closed)", tostring(copy))
    assert.error_matches(function() return copy.subject end, "closed lest.cert")
    assert.error_matches(function() return leaf.cert.no_such end, "no field 'no_such'")
  end)
end)
