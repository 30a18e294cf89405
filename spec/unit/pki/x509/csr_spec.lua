-- PKCS#10 requests are read, verified and written as openssl does, and hostile ones are refused
-- (RFC 2986).
local core = require "lest.core"
local pki = require "support.pki"
local der = require "support.der"
local vectors = require "support.vectors"
local csr, key = core.csr, core.key

local EXTENSION_REQUEST <const> = "1.2.840.113549.1.9.14"
local MS_EXTENSION_REQUEST <const> = "1.3.6.1.4.1.311.2.1.14"
local CHALLENGE_PASSWORD <const> = "1.2.840.113549.1.9.7"
local CHANGE_SUBJECT_NAME <const> = "1.3.6.1.5.5.7.7.36"

local function fails(code, value, err)
  assert.is_nil(value)
  assert.equal(code, err.code, tostring(err))
  return tostring(err)
end

local function flip(bytes, at, bit)
  return bytes:sub(1, at - 1) .. string.char(bytes:byte(at) ~ (1 << bit)) .. bytes:sub(at + 1)
end

local function attribute(oid, ...)
  return der.seq(der.oid(oid), der.set(...))
end

local function san_extension(name)
  return der.seq(der.oid "2.5.29.17", der.octets(der.seq(der.tlv(0x82, name))))
end

describe("csr", function()
  local tmp, ec
  setup(function()
    tmp = pki.new()
    ec = assert(key.generate "ec:P-256")
    assert(ec:save(tmp:path "ec.key"))
  end)
  teardown(function() getmetatable(tmp).__close(tmp) end)

  --- A request with other parts; see lest.csr_raw. `subject` is DER, too.
  local function forge(change)
    local parts = {}
    change(parts)
    local subject = parts.subject or assert(core.name.encode "CN=device")
    parts.subject = nil
    return assert(csr.build { key = ec, subject_der = subject, raw = parts })
  end

  local function with_attributes(...)
    local bytes = table.concat { ... }
    return forge(function(parts) parts.attributes = der.tlv(0xa0, bytes) end)
  end

  local function malformed(words, bytes)
    local text = fails("csr_malformed", csr.parse(bytes))
    assert.truthy(text:find(words, 1, true), text)
    assert.truthy(text:find("^CSR: .* at byte %d+$"), text)
  end

  it("gives what is wrong on purpose as DER, whatever it is, and nothing wrong unasked", function()
    local plan = { key = ec, subject = "CN=device", san = { "DNS:x.example" }, raw = {} }
    local c = assert(csr.parse(csr.build(plan)))
    assert(c:verify())
    assert.same({ "DNS:x.example" }, c.san)
    plan.raw = { version = "v", spki = "s", attributes = "a", signature_algorithm = "l",
      signature = "b" }
    assert.equal(der.seq(der.seq("v", core.name.encode "CN=device", "sa"), "lb"), csr.build(plan))
    plan.raw = { info = "anything", signature = "" }
    assert.equal(der.seq("anything", der.seq(der.oid "1.2.840.10045.4.3.2")), csr.build(plan))
    plan.raw = { sign_with = assert(key.generate "ed25519") }
    c = assert(csr.parse(csr.build(plan)))
    assert.equal("ED25519", c.signature_algorithm)
    assert.equal(ec:public_der(), c.public_key.der)
    fails("csr_signature", c:verify())
    plan.raw = { info = ("x"):rep(70000) }
    fails("too_large", csr.build(plan))
    for words, raw in pairs { ["unknown option 'sing_with'"] = { sing_with = ec },
      ["'version' is a number"] = { version = 1 }, ["lest.key expected"] = { sign_with = "x" },
      ["'raw' is no table"] = "x" } do
      plan.raw = raw
      assert.error_matches(function() csr.build(plan) end, words)
    end
  end)

  it("reads what `openssl req` writes, for each kind of key", function()
    for i, kind in ipairs {
      { "ec:P-256", "-newkey ec -pkeyopt ec_paramgen_curve:P-256", 128 },
      { "ec:P-384", "-newkey ec -pkeyopt ec_paramgen_curve:P-384 -sha384", 192 },
      { "ec:P-521", "-newkey ec -pkeyopt ec_paramgen_curve:P-521 -sha512", 256 },
      { "ec:brainpoolP256r1", "-newkey ec -pkeyopt ec_paramgen_curve:brainpoolP256r1", 128 },
      { "rsa:2048", "-newkey rsa:2048 -sha384", 112 },
      { "rsa:2048", "-newkey rsa:2048 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32",
        112 },
      { "rsa-pss:2048", "-newkey rsa-pss -pkeyopt rsa_keygen_bits:2048", 112 },
      { "ed25519", "-newkey ed25519", 128 },
      { "ed448", "-newkey ed448", 224 },
      { "ec:P-256",
        "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:named_curve -sha512",
        128 },
    } do
      local path = tmp:path("theirs" .. i)
      pki.sh(("openssl req -new %s -nodes -keyout /dev/null -subj /C=DE/O=Example/CN=device%d " ..
        "-addext subjectAltName=DNS:a.example,IP:::1 -addext keyUsage=critical,digitalSignature " ..
        "-addext extendedKeyUsage=clientAuth -out %s"):format(kind[2], i, path))
      local c = assert(csr.parse(pki.read(path)))
      assert.equal(kind[1], c.public_key.type)
      assert.equal(kind[3], c.public_key.security_bits)
      assert.equal("CN=device" .. i .. ",O=Example,C=DE", tostring(c.subject))
      assert.same({ "DNS:a.example", "IP:::1" }, c.san)
      assert.same({ "digitalSignature" }, c.key_usage)
      assert.same({ "clientAuth" }, c.eku)
      assert.equal(3, #c.extensions)
      assert.equal(0, c.version)
      assert.is_nil(c.challenge_password)
      assert.is_true(c:verify())
      assert.is_true(c == assert(csr.parse(c:der())))
      assert.is_true(c == assert(csr.parse(c:pem())))
    end
  end)

  it("7030-4.2.1-a writes what `openssl req -verify` takes, for each kind of key", function()
    for i, spec in ipairs { "ec:P-256", "ec:P-384", "ec:P-521", "rsa:2048", "rsa-pss:2048",
      "ed25519",
      "ed448" } do
      local c = assert(csr.build { key = assert(key.generate(spec)),
        subject = "O=Example,CN=device",
        san = { "DNS:a.example", "email:a@b.example" }, key_usage = { "digitalSignature",
          "keyAgreement" },
        eku = { "clientAuth", "1.2.3.4" }, challenge_password = "secret" })
      local path = pki.write(tmp:path("ours" .. i), c:pem())
      local text = pki.sh("openssl req -verify -noout -text -in " .. path)
      assert.truthy(text:find("verify OK", 1, true), text)
      assert.truthy(text:find("DNS:a.example, email:a@b.example", 1, true))
      assert.truthy(text:find("Digital Signature, Key Agreement", 1, true))
      assert.truthy(text:find("TLS Web Client Authentication, 1.2.3.4", 1, true))
      assert.truthy(text:find("challengePassword%s*:secret"))
      assert.is_true(c:verify())
      assert.equal("secret", c.challenge_password)
      assert.equal(spec, c.public_key.type)
    end
  end)

  it("signs with the digest asked for, and refuses weak ones", function()
    local c = assert(csr.build { key = ec, subject = "CN=a", digest = "sha384" })
    assert.equal("ecdsa-with-SHA384", c.signature_algorithm)
    assert.is_true(c:verify())
    assert.equal("ecdsa-with-SHA512", assert(csr.build { key = assert(key.generate "ec:P-521") })
      .signature_algorithm)
    -- An algorithm that takes no digest but its own.
    local sm2 = assert(csr.build { key = assert(key.generate "SM2"), subject = "CN=x" })
    assert.equal("SM2-SM3", sm2.signature_algorithm)
    for _, digest in ipairs { "sha1", "md5", "nothing" } do
      fails("key_unsupported", csr.build { key = ec, subject = "CN=a", digest = digest })
    end
    local ed = assert(key.generate "ed25519")
    fails("key_unsupported", csr.build { key = ed, subject = "CN=a", digest = "sha256" })
    fails("key_unsupported", csr.build { key = assert(key.generate "X25519"), subject = "CN=a" })
  end)

  it("2986-4.1-a has version 0 and the attributes, also if there are none", function()
    local c = assert(csr.build { key = ec, subject = "CN=device" })
    assert.truthy(c:der():find("\xa0\x00\x30", 1, true))
    assert.same({}, c.attributes)
    assert.same({}, c.extensions)
    assert.same({}, c.san)
    assert.is_nil(c.san_der)
    for _, version in ipairs { 1, 2 } do
      local odd = assert(csr.parse(forge(function(parts) parts.version = der.int(version) end)))
      assert.is_true(odd:verify())
      assert.equal(version, odd.version)
      assert.same({ "the version is not 0 (RFC 2986 4.1)" }, odd.flaws)
    end
    assert.same({}, c.flaws)
    malformed("the version is negative", forge(function(parts) parts.version = der.int(255) end))
    local absent = assert(csr.parse(forge(function(parts) parts.attributes = "" end)))
    assert.is_true(absent:verify())
    assert.same({}, absent.attributes)
    malformed("the attributes has tag 0xa1",
      forge(function(parts) parts.attributes = der.tlv(0xa1) end))
  end)

  it("carries byte-exact names, extensions and attributes", function()
    local subject = "0\x0c1\x0a0\x08\x06\x03\x55\x04\x03\x13\x01A"
    local san = assert(core.san.encode { "DNS:x.example" })
    local c = assert(csr.build { key = ec, subject_der = subject, san_der = san,
      extensions = { { oid = "1.2.3.4", critical = true, value = "\5\0" } },
      attributes = { { oid = "1.2.3.5", values = { der.utf8 "bb", der.utf8 "a" } } } })
    assert.equal(subject, c.subject_der)
    assert.equal(san, c.san_der)
    assert.same({ oid = "1.2.3.4", critical = true, value = "\5\0" }, c.extensions[2])
    assert.same({ oid = "1.2.3.5", values = { der.utf8 "a", der.utf8 "bb" } },
      c.attributes[1].oid == "1.2.3.5" and c.attributes[1] or c.attributes[2])
    assert.is_true(c:verify())
  end)

  it("makes the names critical where the subject is empty (RFC 5280 4.2.1.6)", function()
    local c = assert(csr.build { key = ec, san = { "DNS:x.example" } })
    assert.equal(0, #c.subject)
    assert.is_true(c.extensions[1].critical)
    assert.is_false(assert(csr.build { key = ec, subject = "CN=a",
      san = { "DNS:x" } }).extensions[1].critical)
  end)

  it("7030-4.2.1-h refuses a request with any one byte changed", function()
    local c = assert(csr.build { key = ec, subject = "CN=device", san = { "DNS:x.example" },
      challenge_password = "secret" })
    local bytes = c:der()
    for at = 1, #bytes do
      local other, err = csr.parse(flip(bytes, at, at % 8))
      if other then
        local ok, why = other:verify()
        assert.is_nil(ok, "byte " .. at)
        assert(why.code == "csr_signature" or why.code == "csr_weak", why.code)
      else
        assert(err.code == "csr_malformed" or err.code == "key_unsupported", err.code)
      end
    end
  end)

  it("5967-2.1-c refuses what is cut off, empty or followed by more", function()
    local bytes = assert(csr.build { key = ec, subject = "CN=device", san = { "DNS:x" } }):der()
    for len = 0, #bytes - 1 do fails("csr_malformed", csr.parse(bytes:sub(1, len))) end
    malformed("is followed by more data", bytes .. "\0")
    malformed("is followed by more data", bytes .. bytes)
    local pem = assert(csr.parse(bytes)):pem()
    assert(csr.parse("some words\n" .. pem .. "\n"))
    fails("csr_malformed", csr.parse(pem .. pem))
    fails("pem", csr.parse(pem:sub(1, -20)))
    fails("csr_malformed", csr.parse "-----BEGIN X-----\n-----END X-----\n")
    fails("csr_malformed", csr.parse "GET / HTTP/1.1\r\n\r\n")
    fails("csr_malformed", csr.parse(("x"):rep(70000)))
    fails("too_large", csr.parse(der.seq(("x"):rep(70000))))
    fails("too_large", csr.parse(("x"):rep(300000)))
    malformed("the signature is followed by more data", forge(function(p)
      p.signature = der.bits "x" .. "\5\0"
    end))
    malformed("request info is followed by more data", forge(function(p)
      p.attributes = "\xa0\0\5\0"
    end))
  end)

  it("2986-4.2-a verifies over the bytes as received, also in a wrong order", function()
    local b, a = attribute("1.2.3.5", der.utf8 "b"), attribute("1.2.3.4", der.utf8 "a")
    local c = assert(csr.parse(with_attributes(b, a)))
    assert.equal("1.2.3.5", c.attributes[1].oid)
    assert.is_true(c:verify())
  end)

  it("2985-5.4.2-a takes one extensionRequest, also under Microsoft's identifier", function()
    local extensions = der.seq(san_extension "x.example")
    for _, oid in ipairs { EXTENSION_REQUEST, MS_EXTENSION_REQUEST } do
      local c = assert(csr.parse(with_attributes(attribute(oid, extensions))))
      assert.same({ "DNS:x.example" }, c.san)
      assert.is_true(c:verify())
      malformed("extensionRequest stands twice", with_attributes(attribute(EXTENSION_REQUEST,
        extensions),
        attribute(oid, extensions)))
      malformed("extensionRequest has no value", with_attributes(attribute(oid)))
      malformed("extensionRequest has more than one value", with_attributes(attribute(oid,
        extensions,
        extensions)))
      malformed("extensionRequest is no list", with_attributes(attribute(oid, der.utf8 "x")))
    end
    malformed("an extension stands twice", with_attributes(attribute(EXTENSION_REQUEST,
      der.seq(san_extension "a", san_extension "b"))))
    malformed("an alternative name is empty", with_attributes(attribute(EXTENSION_REQUEST,
      der.seq(san_extension "a\0b"))))
    local private = assert(csr.parse(with_attributes(attribute(EXTENSION_REQUEST,
      der.seq(der.seq(der.oid "1.2.3", der.tlv(1, "\1"), der.octets "serial-0042"))))))
    assert.same({ oid = "1.2.3", critical = true, value = "serial-0042" }, private.extensions[1])
    assert.equal(2, #private.flaws)
    assert.is_true(private:verify())
    malformed("keyUsage", with_attributes(attribute(EXTENSION_REQUEST,
      der.seq(der.seq(der.oid "2.5.29.15", der.octets(der.utf8 "x"))))))
    malformed("extendedKeyUsage is empty", with_attributes(attribute(EXTENSION_REQUEST,
      der.seq(der.seq(der.oid "2.5.29.37", der.octets(der.seq()))))))
  end)

  it("reads every attribute of EST as it would come", function()
    local seen, text = {}, vectors.text "csr-attributes-derived"
    for name, hex in text:gmatch "\n\n([^\n]+)\n.-\n  (30%x+)" do
      local bytes = vectors.unhex(hex)
      seen[name] = true
      if name:find "invalid" then
        malformed("ChangeSubjectName names nothing", with_attributes(bytes))
      else
        local c = assert(csr.parse(with_attributes(bytes)))
        local found = c.attributes[1]
        assert.equal(1, #c.attributes)
        assert.equal(bytes, attribute(found.oid, table.unpack(found.values)))
        assert.equal(name:find "^challengePassword" ~= nil, c.challenge_password ~= nil)
        assert.equal(name:find "^changeSubjectName" ~= nil, c.change ~= nil)
        local built = assert(csr.build { key = ec, attributes = { found } })
        assert(built:der():find(bytes, 1, true), name)
      end
    end
    local count = 0
    for _ in pairs(seen) do count = count + 1 end
    assert.equal(14, count)
  end)

  it("2985-5.4.1-c reads challengePassword in every string type, once and with one value",
    function()
    for _, value in ipairs { der.utf8 "ü", "\x14\1\xfc", "\x1e\2\0\xfc", "\x1c\4\0\0\0\xfc" } do
      assert.equal("ü", assert(csr.parse(with_attributes(attribute(CHALLENGE_PASSWORD, value))))
        .challenge_password)
    end
    assert.equal("+rr/7+E", assert(csr.parse(with_attributes(attribute(CHALLENGE_PASSWORD,
      der.tlv(0x13, "+rr/7+E"))))).challenge_password)
    assert.equal("", assert(csr.parse(with_attributes(attribute(CHALLENGE_PASSWORD, der.utf8 ""))))
      .challenge_password)
    local one = attribute(CHALLENGE_PASSWORD, der.utf8 "x")
    malformed("challengePassword stands twice", with_attributes(one, one))
    malformed("challengePassword has no value", with_attributes(attribute(CHALLENGE_PASSWORD)))
    malformed("challengePassword has more than one value",
      with_attributes(attribute(CHALLENGE_PASSWORD, der.utf8 "x", der.utf8 "y")))
    malformed("challengePassword is no readable string",
      with_attributes(attribute(CHALLENGE_PASSWORD, der.octets "x")))
    malformed("challengePassword is longer",
      with_attributes(attribute(CHALLENGE_PASSWORD, der.utf8(("x"):rep(1025)))))
  end)

  it("hides challengePassword in a copy that parses, in every string type", function()
    for stars, value in pairs { ["******"] = der.utf8 "secret", ["***"] = "\x1e\6\0a\0b\0\xfc",
      ["**"] = "\x1c\8\0\0\0a\0\0\0\xfc", ["*"] = "\x14\1\xfc", [""] = der.utf8 "" } do
      local bytes = with_attributes(attribute(CHALLENGE_PASSWORD, value))
      local parsed = assert(csr.parse(bytes))
      local masked = assert(csr.parse(parsed:masked "challenge_password"))
      assert.equal(stars, masked.challenge_password)
      assert.equal(parsed:der(), bytes)
      assert.equal(#bytes, #masked:der())
      assert.equal(parsed.subject_der, masked.subject_der)
    end
    local none = assert(csr.parse(with_attributes()))
    assert.equal(none:der(), none:masked("challenge_password", "otp_challenge"))
    assert.equal(none:der(), none:masked())
    assert.has_error(function() none:masked "subject" end)
  end)

  -- RFC 7894 3: the attribute, its field, the last byte of its identifier.
  local ALTERNATIVES <const> = { { "otpChallenge", "otp_challenge", 56 },
    { "revocationChallenge", "revocation_challenge", 57 },
    { "estIdentityLinking", "identity_linking", 58 } }

  it("7894-3-c 7894-3-d 7894-3-e reads the attributes of RFC 7894, each once, with one text",
    function()
    for _, case in ipairs(ALTERNATIVES) do
      local name, field, last = table.unpack(case)
      local oid = "1.2.840.113549.1.9.16.2." .. last
      local function read(...) return with_attributes(attribute(oid, ...)) end
      for _, value in ipairs { der.utf8 "ü", "\x14\1\xfc", "\x1e\2\0\xfc", "\x1c\4\0\0\0\xfc" } do
        local parsed = assert(csr.parse(read(value)))
        assert.equal("ü", parsed[field])
        assert.equal(name, parsed.attributes[1].name)
        assert.is_nil(parsed.challenge_password)
      end
      assert.equal("a b", assert(csr.parse(read(der.tlv(0x13, "a b"))))[field])
      assert.equal("", assert(csr.parse(read(der.utf8 "")))[field])
      local most = ("ü"):rep(255)
      assert.equal(most, assert(csr.parse(read(der.utf8(most))))[field])
      malformed(name .. " is longer than 255 characters", read(der.utf8(most .. "x")))
      malformed(name .. " stands twice",
        with_attributes(attribute(oid, der.utf8 "x"), attribute(oid, der.utf8 "y")))
      malformed(name .. " has no value", read())
      malformed(name .. " has more than one value", read(der.utf8 "x", der.utf8 "y"))
      malformed(name .. " is no readable string", read(der.octets "x"))
      local two = assert(csr.parse(with_attributes(attribute(oid, der.utf8 "secret"),
        attribute(CHALLENGE_PASSWORD, der.utf8 "other"))))
      local masked = assert(csr.parse(two:masked(field)))
      assert.same({ "******", "other" }, { masked[field], masked.challenge_password })
    end
  end)

  it("7894-3-a 7894-3-b 7894-3-e writes them, as PrintableString where that can be", function()
    local mine = assert(key.generate "ec:P-256")
    for _, case in ipairs(ALTERNATIVES) do
      local name, field = table.unpack(case)
      for text, tag in pairs { ["+/= 0Az"] = "\x13", ["grün"] = "\x0c", ["a@b"] = "\x0c" } do
        local built = assert(csr.build { key = mine, subject = "CN=x", [field] = text })
        assert.equal(text, built[field])
        assert.same({ { oid = built.attributes[1].oid, name = name,
          values = { tag .. string.char(#text) .. text } } }, built.attributes)
        assert(built:verify())
      end
      local built, err = csr.build { key = mine, [field] = ("x"):rep(256) }
      assert.is_nil(built)
      assert.equal("csr_malformed", err.code)
    end
  end)

  it("6402-2.8-d tells the names of ChangeSubjectName apart by what is in them", function()
    local name = assert(core.name.encode "CN=new-name.example.com")
    local san = assert(core.san.encode { "DNS:new-name.example.com" })
    for _, case in ipairs { { name .. san, "CN=new-name.example.com", "DNS:new-name.example.com" },
      { name, "CN=new-name.example.com", nil }, { san, "", "DNS:new-name.example.com" },
      { der.seq(), "", nil } } do
      local change = assert(csr.parse(with_attributes(
        attribute(CHANGE_SUBJECT_NAME, der.seq(case[1]))))).change
      assert.equal(case[2], tostring(change.subject))
      assert.same({ case[3] }, change.san)
    end
    assert.is_nil(assert(csr.parse(with_attributes())).change)
    for words, values in pairs { ["names nothing"] = { der.seq() },
      ["is no sequence of names"] = { "\5\0" },
      ["the names of ChangeSubjectName"] = { der.seq "\5\0" },
      ["more than a subject and alternative names"] = { der.seq(san, name) },
      ["has no value"] = {}, ["has more than one value"] = { der.seq(name), der.seq(san) },
      ["an RDN of the name"] = { der.seq(der.seq(der.utf8 "x")) } } do
      malformed(words, with_attributes(attribute(CHANGE_SUBJECT_NAME, table.unpack(values))))
    end
    for _, value in ipairs { der.seq(name, name), der.seq(san, san), der.seq(name, san, san) } do
      malformed("more than a subject", with_attributes(attribute(CHANGE_SUBJECT_NAME, value)))
    end
    local one = attribute(CHANGE_SUBJECT_NAME, der.seq(name))
    malformed("ChangeSubjectName stands twice", with_attributes(one, one))
    malformed("", with_attributes(attribute(CHANGE_SUBJECT_NAME,
      der.seq(der.seq(der.tlv(0x82, "a\0b"))))))
  end)

  it("7030-4.2.2-b writes ChangeSubjectName as it reads it", function()
    for _, change in ipairs { { subject = "CN=new" }, { san = { "DNS:new", "IP:::1" } },
      { subject = "CN=new,O=x", san = { "DNS:new" } } } do
      local built = assert(csr.build { key = ec, subject = "CN=old", change = change })
      assert.equal("CN=old", tostring(built.subject))
      assert.equal(core.name.encode(change.subject or {}), core.name.encode(built.change.subject))
      assert.same(change.san or {}, built.change.san)
    end
    assert.has_error(function() csr.build { key = ec, change = {} } end,
      "option 'change' has neither 'subject' nor 'san'")
    assert.has_error(function() csr.build { key = ec, change = { name = "CN=x" } } end)
  end)

  it("reads a subject and extensions whole", function()
    local function extension(oid, value, more)
      return attribute(EXTENSION_REQUEST, der.seq(der.seq(der.oid(oid), der.octets(value),
        more or "")))
    end
    malformed("the name has characters", forge(function(parts)
      parts.subject = der.seq(der.set(der.seq(der.oid "2.5.4.3", der.utf8 "\xff")))
    end))
    local purpose = der.oid "1.3.6.1.5.5.7.3.2"
    assert(csr.parse(with_attributes(extension("2.5.29.37", der.seq(purpose)))))
    malformed("an extension is followed by more data",
      with_attributes(extension("2.5.29.37", der.seq(purpose), "\5\0")))
    malformed("extendedKeyUsage is empty", with_attributes(extension("2.5.29.37", der.seq())))
    for _, wrong in ipairs { der.seq(purpose, der.int(1)), der.seq("\6\1\x80") } do
      malformed("a purpose of extendedKeyUsage", with_attributes(extension("2.5.29.37", wrong)))
    end
  end)

  it("names a key by its one encoding, however its point was sent", function()
    local point = ec:public_der():sub(-65)
    local compressed = string.char(2 + point:byte(65) % 2) .. point:sub(2, 33)
    local parsed = assert(csr.parse(forge(function(parts)
      parts.spki = der.seq(der.seq(der.oid "1.2.840.10045.2.1", der.oid "1.2.840.10045.3.1.7"),
        der.bits(compressed))
    end)))
    assert.equal(ec:public_der(), parsed.spki)
    assert.is_true(parsed:verify())
  end)

  it("knows a key by one encoding, and reads none of any size", function()
    local path = tmp:path "dsa"
    pki.sh(("openssl dsaparam -genkey -out %s.key 1024; openssl pkey -in %s.key -pubout "
      .. "-outform DER -out %s.der"):format(path, path, path))
    local parts = der.split(der.body(pki.read(tmp:path "dsa.der")))
    local number = der.body(der.body(parts[2]):sub(2))
    local function parse(key_bits)
      return csr.parse(forge(function(made) made.spki = der.seq(parts[1], key_bits) end))
    end
    assert.equal("DSA", assert(parse(parts[2])).public_key.type)
    local other = "\2\x84" .. string.pack(">I4", #number) .. number
    fails("csr_malformed", parse(der.bits(other)))
    malformed("the public key is longer than 16384 bytes", forge(function(made)
      made.spki = der.seq(der.seq(der.oid "1.2.3"), der.bits(("x"):rep(16384)))
    end))
  end)

  it("7030-6-j bounds counts and depth", function()
    local many = {}
    for i = 1, 64 do many[i] = attribute("1.2.3." .. i, der.utf8 "x") end
    assert.equal(64, #assert(csr.parse(with_attributes(table.unpack(many)))).attributes)
    many[65] = many[1]
    malformed("more than 64 attributes", with_attributes(table.unpack(many)))
    local extensions = {}
    for i = 1, 65 do extensions[i] = der.seq(der.oid("1.2.3." .. i), der.octets "\5\0") end
    malformed("more than 64 extensions", with_attributes(attribute(EXTENSION_REQUEST,
      der.seq(table.concat(extensions)))))
    local deep = "\5\0"
    for _ = 1, 100 do deep = der.seq(deep) end
    malformed("nested too deeply", with_attributes(attribute("1.2.3", deep)))
    malformed("too many elements", with_attributes(attribute("1.2.3", der.seq(("\5\0"):rep(5000)))))
    malformed("more than 64 values", with_attributes(attribute("1.2.3", ("\5\0"):rep(65))))
    malformed("an attribute's value has an indefinite length",
      with_attributes(attribute("1.2.3", "\x30\x80\0\0")))
    malformed("beyond all bounds", "\x30\x88\x80\0\0\0\0\0\0\0")
    malformed("is cut off", "\x30\x84\x80\0\0\0")
    malformed("shortest form", "\x30\x81\x01\0")
  end)

  it("takes only keys that are what they say", function()
    local function with_key(spki) return forge(function(parts) parts.spki = spki end) end
    local point = der.split(der.body(ec:public_der()))[2]
    local ec_oid, p256 = der.oid "1.2.840.10045.2.1", der.oid "1.2.840.10045.3.1.7"
    malformed("no point on a known curve", with_key(der.seq(der.seq(ec_oid, p256), flip(point,
      #point, 0))))
    malformed("no point on a known curve", with_key(der.seq(der.seq(ec_oid, p256), der.bits "\0")))
    malformed("no point on a known curve", with_key(der.seq(der.seq(ec_oid,
      der.oid "1.3.132.0.34"), point)))
    malformed("no point on a known curve", with_key(der.seq(der.seq(ec_oid, der.oid "1.2.3"),
      point)))
    malformed("curve is not given by its identifier", with_key(der.seq(der.seq(ec_oid, der.seq()),
      point)))
    malformed("curve is not given by its identifier", with_key(der.seq(der.seq(ec_oid), point)))
    malformed("Ed25519) is malformed", with_key(der.seq(der.seq(der.oid "1.3.101.112"),
      der.bits "x")))
    malformed("(rsaEncryption) is malformed",
      with_key(der.seq(der.seq(der.oid "1.2.840.113549.1.1.1", "\5\0"),
      der.bits "x")))
    fails("key_unsupported", csr.parse(with_key(der.seq(der.seq(der.oid "1.2.3"), der.bits "x"))))
    malformed("whole bytes", with_key(der.seq(der.seq(ec_oid, p256), der.tlv(3, "\1\4\2"))))
    -- a compressed point is another form of the same key
    local x, y = point:sub(5, 36), point:byte(#point)
    local compressed = der.seq(der.seq(ec_oid, p256), der.bits(string.char(2 + y % 2) .. x))
    assert.is_true(assert(csr.parse(with_key(compressed))):verify())
  end)

  it("refuses a signature that is not by the request's algorithm or key", function()
    local other = assert(csr.build { key = assert(key.generate "ec:P-256"), subject = "CN=device" })
    local signature = der.split(der.body(other:der()))[3]
    local function verify(change) return assert(csr.parse(forge(change))):verify() end
    fails("csr_signature", verify(function(p) p.signature = signature end))
    fails("csr_signature", verify(function(p) p.signature = der.bits "" end))
    local _, err = verify(function(p)
      p.signature_algorithm = der.seq(der.oid "1.3.101.112")
    end)
    assert.truthy(err.detail and #err.detail > 0)
    fails("csr_signature", verify(function(p)
      p.signature_algorithm = der.seq(der.oid "1.3.101.112")
    end))
    fails("csr_signature",
      verify(function(p) p.signature_algorithm = der.seq(der.oid "1.2.840.10045.4.3.3") end))
    fails("csr_signature", verify(function(p)
      p.signature_algorithm = der.seq(der.oid "1.2.840.113549.1.1.11", "\5\0")
    end))
    fails("csr_weak", verify(function(p) p.signature_algorithm = der.seq(der.oid "1.2.3.4") end))
    malformed("the signature algorithm", forge(function(p)
      p.signature_algorithm = der.seq(der.utf8 "x")
    end))
    malformed("whole bytes", forge(function(p) p.signature = der.tlv(3, "\1\2") end))
  end)

  it("7030-6-r refuses RSA keys that are too large or sign for everybody", function()
    local function with_rsa(modulus, exponent)
      local spki = der.seq(der.seq(der.oid "1.2.840.113549.1.1.1", "\5\0"),
        der.bits(der.seq(der.tlv(2, "\0", modulus), der.tlv(2, exponent))))
      return assert(csr.parse(forge(function(parts) parts.spki = spki end)))
    end
    for _, exponent in ipairs { "\1", "\2", "\1\0" } do
      local c = with_rsa(("\xff"):rep(256), exponent)
      assert.truthy(fails("csr_weak", c:verify { allow_weak = true }):find("exponent", 1, true))
    end
    fails("csr_weak", with_rsa(("\xff"):rep(1025), "\3"):verify())
    fails("csr_signature", with_rsa(("\xff"):rep(256), "\3"):verify())
  end)

  it("reads a key for RSASSA-PSS as strictly, in the encoding that OpenSSL writes", function()
    local pss = der.oid "1.2.840.113549.1.1.10"
    local function parse(parameters, ...)
      local spki = der.seq(der.seq(pss, parameters), der.bits(...))
      return csr.parse(forge(function(parts) parts.spki = spki end))
    end
    local n, three = der.tlv(2, "\0" .. ("\xff"):rep(256)), der.tlv(2, "\3")
    assert.equal("rsa-pss:2048", assert(parse("", der.seq(n, three))).key_type)
    for _, bytes in ipairs { der.seq(n, three) .. "junk", der.seq(n, three, three),
      der.seq(der.tlv(2, "\0\0" .. ("\xff"):rep(256)), three), der.seq(n, der.tlv(2, "\0")) } do
      fails("csr_malformed", parse("", bytes))
    end
    fails("csr_malformed", parse("\x30\x81\0", der.seq(n, three))) -- a length in BER
    fails("csr_weak", assert(parse("", der.seq(n, der.tlv(2, "\1")))):verify())
  end)

  it("knows an RSA key as the same with and without the restriction to PSS", function()
    local n = der.seq(der.tlv(2, "\0" .. ("\xff"):rep(256)), der.tlv(2, "\3"))
    local other = der.seq(der.tlv(2, "\0" .. ("\xfe"):rep(256)), der.tlv(2, "\3"))
    local function request(oid, parameters, bits)
      local spki = der.seq(der.seq(der.oid(oid), parameters), der.bits(bits))
      return assert(csr.parse(forge(function(parts) parts.spki = spki end)))
    end
    local plain = request("1.2.840.113549.1.1.1", "\5\0", n)
    local PSS <const> = "1.2.840.113549.1.1.10"
    local pss = request(PSS, "", n)
    assert.not_equal(plain.spki, pss.spki)
    assert.equal(core.secret.sha256(plain.spki), plain.key_hash)
    assert.equal(plain.key_hash, pss.key_hash)
    assert.not_equal(plain.key_hash, request(PSS, "", other).key_hash)
  end)

  it("reads an RSA key in its one encoding, within bounds", function()
    local null, rsa = "\5\0", der.oid "1.2.840.113549.1.1.1"
    local function parse(parameters, ...)
      local spki = der.seq(der.seq(rsa, parameters), der.bits(...))
      return csr.parse(forge(function(parts) parts.spki = spki end))
    end
    local function key_of(modulus, exponent)
      return der.seq(der.tlv(2, modulus), der.tlv(2, exponent))
    end
    local function ff(count) return ("\xff"):rep(count) end
    local n = "\0" .. ff(256)
    local good = assert(parse(null, key_of(n, "\1\0\1")))
    assert.equal("rsa:2048", good.key_type)
    assert.equal("rsa:2048", good.public_key.type)
    assert.equal("rsa:1024", assert(parse(null, key_of("\0" .. ff(128), "\3"))).key_type)
    assert.equal("rsa:16384", assert(parse(null, key_of("\0" .. ff(2048), "\3"))).key_type)
    assert(parse(null, key_of(n, "\0" .. ff(8))))
    for what, bytes in pairs {
      ["not in its shortest form"] = key_of("\0" .. n, "\3"),
      ["modulus is not positive"] = key_of("\xff", "\3"),
      ["exponent is not positive"] = key_of(n, "\0"),
      ["exponent has more than 64 bits"] = key_of(n, ("\1"):rep(9)),
      ["has not 1024 to 16384 bits"] = key_of("\x7f" .. ff(127), "\3"),
      ["not 1024"] = key_of("\1" .. ff(2048), "\3"),
      ["followed by more data"] = key_of(n, "\3") .. null,
      ["the key is followed"] = der.seq(der.tlv(2, n), der.tlv(2, "\3"), der.tlv(2, "\3")),
      ["exponent is missing"] = der.seq(der.tlv(2, n)),
    } do
      assert.matches(what, fails("csr_malformed", parse(null, bytes)), 1, true)
    end
    for _, parameters in ipairs { "", "\5\1\0", null .. null, der.seq() } do
      assert.matches("not NULL", fails("csr_malformed", parse(parameters, key_of(n, "\3"))), 1,
        true)
    end
  end)

  it("can leave making the key for later, but not looking at its encoding", function()
    local made = assert(csr.build { key = ec, subject = "CN=device" })
    local later = assert(csr.parse(made:der(), { key_later = true }))
    assert.equal("ec:P-256", later.key_type)
    assert.equal(made.public_key.der, later.spki)
    assert.same(made.public_key, later.public_key)
    assert.is_true(later:verify())
    local p256 = der.seq(der.oid "1.2.840.10045.2.1", der.oid "1.2.840.10045.3.1.7")
    local function with_bits(bits)
      return forge(function(parts) parts.spki = der.seq(p256, bits) end)
    end
    local off_curve = with_bits(der.bits("\4" .. ("\1"):rep(64)))
    fails("csr_malformed", csr.parse(off_curve))
    fails("csr_malformed", assert(csr.parse(off_curve, { key_later = true })):verify())
    fails("csr_malformed", csr.parse(with_bits(der.tlv(3, "\1\2")), { key_later = true }))
    -- What was refused leaves nothing behind for the next.
    assert.is_true(assert(csr.parse(made:der())):verify())
  end)

  it("verifies each request by its own key, however many are open", function()
    local open = {}
    for i = 1, 8 do
      open[i] = assert(csr.build { key = assert(key.generate "ec:P-256"), subject = "CN=" .. i })
    end
    for round = 1, 3 do
      for i = 1, 8 do assert.is_true(open[i]:verify()) end
      for i = 1, 8, round do open[i] = assert(csr.parse(open[i]:der())) end
      collectgarbage()
    end
    local parts = der.split(der.body(open[1]:der()))
    local stolen = der.seq(der.split(der.body(open[2]:der()))[1], parts[2], parts[3])
    fails("csr_signature", assert(csr.parse(stolen)):verify())
  end)

  it("7030-6-r refuses weak keys and digests unless told otherwise", function()
    local path = tmp:path "weak"
    for _, kind in ipairs { "-newkey rsa:1024", "-newkey rsa:2048 -sha1", "-newkey rsa:2048 -md5",
      "-newkey ec -pkeyopt ec_paramgen_curve:prime192v1",
      "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -sha1",
      "-newkey rsa:2048 -sha1 -sigopt rsa_padding_mode:pss" } do
      pki.sh(("openssl req -new %s -nodes -keyout /dev/null -subj /CN=weak -out %s"):format(kind,
        path))
      local c = assert(csr.parse(pki.read(path)))
      local text = fails("csr_weak", c:verify())
      assert.truthy(text:find("too weak", 1, true), kind)
      assert.is_true(c:verify { allow_weak = true })
    end
  end)

  it("reads the requests of RFC 7030 A.3 and A.4 and RFC 9148 A.2 and A.3", function()
    local c = assert(csr.parse(vectors.get "7030-a3-simpleenroll-req"))
    assert.equal("+rrCir/7+EYu50T4", c.challenge_password)
    assert.equal("rsa:2048", c.public_key.type)
    assert.equal("RSA-SHA1", c.signature_algorithm)
    fails("csr_weak", c:verify())
    assert.is_true(c:verify { allow_weak = true })
    c = assert(csr.parse(vectors.get "7030-a4-serverkeygen-req"))
    assert.is_true(c:verify { allow_weak = true })
    c = assert(csr.parse(vectors.get "9148-a2-sen-req"))
    assert.is_true(c:verify())
    assert.equal("ec:P-256", c.public_key.type)
    assert.truthy(c.san[1]:find("otherName:1.3.6.1.5.5.7.8.4;", 1, true))
    assert.is_true(assert(csr.parse(vectors.get "9148-a3-skg-req")):verify())
  end)

  it("says what is wrong with an attribute or an extension that it is to write", function()
    local function build(attributes) return csr.build { key = ec, attributes = attributes } end
    for bytes, words in pairs { zz = "cut off", ["\5\0\5\0"] = "followed by more data",
      [""] = "missing", ["\x30\2\5\1"] = "cut off" } do
      local text = fails("csr_malformed", build { { oid = "1.2.3.4", values = { "\5\0", bytes } } })
      assert.matches("CSR attributes: a value .*" .. words, text)
      text = fails("malformed", csr.build { key = ec,
        extensions = { { oid = "1.2.3.4", value = bytes } } })
      assert.matches("extensions: a value .*" .. words, text)
    end
    local many, values = {}, {}
    for i = 1, 65 do
      many[i] = { oid = "1.2.3." .. i, values = { "\5\0" } }
      values[i] = der.int(i)
    end
    assert.matches("more than 64 attributes", fails("csr_malformed", build(many)))
    assert.matches("more than 64 values",
      fails("csr_malformed", build { { oid = "1.2.3", values = values } }))
    many[65], values[65] = nil, nil
    assert.equal(64, #assert(build(many)).attributes)
    assert.equal(64, #assert(build { { oid = "1.2.3", values = values } }).attributes[1].values)
    assert.error_matches(function() build { { oid = "1.2.3", values = {} } } end, "has no value")
  end)

  it("raises for a programmer's mistakes", function()
    assert.has_error(function() csr.build { subject = "CN=x" } end)
    assert.has_error(function() csr.build { key = ec, subjct = "CN=x" } end)
    assert.has_error(function() csr.build { key = ec, subject = "CN=x", subject_der = "0\0" } end)
    assert.has_error(function() csr.build { key = ec, key_usage = { "signing" } } end)
    assert.has_error(function() csr.build { key = ec, extensions = { { oid = "1.2.3" } } } end)
    fails("name_malformed", csr.build { key = ec, subject = "x" })
    fails("san_malformed", csr.build { key = ec, san = { "x" } })
    fails("malformed", csr.build { key = ec, eku = { "clientAut" } })
    fails("csr_malformed", csr.build { key = ec, subject_der = "\5\0" })
    fails("csr_malformed", csr.build { key = ec, subject = "CN=x", san = { "DNS:a" },
      extensions = { { oid = "subjectAltName", value = assert(core.san.encode { "DNS:b" }) } } })
  end)
end)
