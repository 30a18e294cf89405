-- CSR attributes are decoded and encoded as RFC 8951 and RFC 9908 say, and give wishes for a key.
local core = require "lest.core"
local asn1 = require "support.der"
local vectors = require "support.vectors"

local csrattrs = core.csrattrs
local unhex, hex = vectors.unhex, vectors.hex

local function names(list)
  local out = {}
  for i, item in ipairs(list) do out[i] = item.name or item.oid end
  return table.concat(out, " ")
end

local function refused(bytes, pattern, code)
  local value, err = csrattrs.decode(bytes)
  assert.is_nil(value)
  assert.equal(code or "csrattrs_malformed", err.code)
  assert.matches(pattern or "", err.message)
end

local function unwritable(list, pattern, code)
  local value, err = csrattrs.encode(list)
  assert.is_nil(value)
  assert.equal(code or "csrattrs_malformed", err.code)
  assert.matches(pattern, err.message)
end

local SAN <const> = "\x30\x0d\x82\x0bexample.com"

describe("csrattrs", function()
  it("8951-4-a decodes every vector", function()
    local expected = {
      ["7030-4.5.2-csrattrs"] = "challengePassword id-ecPublicKey extReq ecdsa-with-SHA384",
      ["8951-4-csrattrs"] = "challengePassword id-ecPublicKey extReq ecdsa-with-SHA384",
      ["7030-a2-csrattrs"] =
        "1.3.6.1.1.1.1.22 2.999.1 challengePassword 2.999.2 brainpoolP384r1 SHA384",
      ["9148-a4-att-resp"] =
        "1.3.6.1.1.1.1.22 2.999.1 challengePassword 2.999.2 brainpoolP384r1 SHA384",
      ["9908-5.1-acp-san"] = "extReq",
      ["9908-5.2-rfc7030-corrected"] =
        "challengePassword id-ecPublicKey ecdsa-with-SHA384 1.3.6.1.1.1.1.22",
      ["9908-5.4-rsa4096"] = "challengePassword rsaEncryption RSA-SHA256",
      ["9908-3.2-keytype-empty-set-derived"] = "id-ecPublicKey",
      ["7894-csrattrs-derived"] =
        "otpChallenge revocationChallenge estIdentityLinking challengePassword",
      ["csrattrs-empty-derived"] = "",
      ["9908-3.4-minimal-derived"] = "1.2.840.113549.1.9.16.2.61",
      ["9908-3.4-template-derived"] = "1.2.840.113549.1.9.16.2.61",
    }
    for name, list in pairs(expected) do
      local got = names(assert(csrattrs.decode(vectors.get(name)), name))
      local function words(text)
        local set = {}
        for word in text:gmatch "%S+" do set[word] = true end
        return set
      end
      assert.same(words(list), words(got), name)
    end
    for _, name in ipairs { "9908-5.3-as-published", "9908-5.3-from-prose-derived",
      "9908-5.5-p384-serial",
      "9908-5.6-p521-attrs", "9908-4-coexistence-derived" } do
      assert(csrattrs.decode(vectors.get(name)), name)
    end
  end)

  it("writes again what each vector says, but for what RFC 9908 calls wrong", function()
    for _, name in ipairs { "7030-a2-csrattrs", "9148-a4-att-resp", "9908-5.1-acp-san",
      "9908-5.2-rfc7030-corrected", "9908-5.3-as-published", "9908-5.3-from-prose-derived",
      "9908-5.4-rsa4096", "9908-5.5-p384-serial", "9908-5.6-p521-attrs", "csrattrs-empty-derived",
      "7894-csrattrs-derived", "9908-3.4-minimal-derived", "9908-3.4-template-derived",
      "9908-4-coexistence-derived" } do
      local bytes = vectors.get(name)
      assert.equal(hex(bytes), hex(csrattrs.encode(csrattrs.decode(bytes))), name)
    end
    for _, name in ipairs { "7030-4.5.2-csrattrs", "9908-3.2-keytype-empty-set-derived" } do
      unwritable(csrattrs.decode(vectors.get(name)), "")
    end
  end)

  it("tells a bare OID from an attribute, and gives values as DER", function()
    local list = assert(csrattrs.decode(vectors.get "7030-a2-csrattrs"))
    assert.equal(6, #list)
    assert.is_nil(list[1].values)
    assert.same({ unhex "1319" .. "Parse SET as 2.999.1 data" }, list[2].values)
    assert.same({ unhex "0603883703", unhex "0603883704", unhex "1319" ..
      "Parse SET as 2.999.2 data" },
      list[4].values)
    assert.same({}, csrattrs.decode(vectors.get "9908-3.2-keytype-empty-set-derived")[1].values)
  end)

  it("8951-4-a refuses a SET around it, other elements, and anything after it", function()
    refused(unhex "310b06092a864886f70d010907", "tag 0x31")
    refused(unhex "3003020107", "neither an OID nor an attribute")
    refused(unhex "30053103020107", "neither an OID")
    refused(vectors.get "7030-4.5.2-csrattrs" .. "\0", "followed by more data")
    refused("\x30\0\x30\0", "followed by more data")
    refused("", "missing")
    refused("MAA=", "")
    refused(unhex "3080" .. "\0\0", "indefinite")
    refused(unhex "300406022a80", "")
    refused(unhex "300630040602" .. unhex "2a03", "")
    refused(unhex "300730050601" .. unhex "2a0500", "tag 0x05")
    refused(unhex "300930070601" .. unhex "2a3102" .. unhex "0402", "cut off")
    refused(unhex "300930070601" .. unhex "2a3100" .. unhex "0500", "followed by more data")
    local whole = vectors.get "9908-4-coexistence-derived"
    for cut = 0, #whole - 1 do refused(whole:sub(1, cut)) end
  end)

  it("7030-6-j bounds size, count and depth", function()
    local function der(tag, body)
      if #body > 65535 then return tag .. "\x83" .. (">I3"):pack(#body) .. body end
      return tag .. "\x82" .. (">I2"):pack(#body) .. body
    end
    refused(der("\x30", ("\6\1\x2a"):rep(257)), "more than 256 elements")
    refused(der("\x30", ("\6\1\x2a"):rep(22000)), "more than 65536 bytes", "too_large")
    local nested = ""
    for _ = 1, 20 do nested = "\x30" .. string.char(#nested) .. nested end
    local attribute = "\6\1\x2a\x31" .. string.char(#nested) .. nested
    refused("\x30" .. string.char(#attribute + 2) .. "\x30" .. string.char(#attribute) .. attribute,
      "nested too deeply")
    refused("\x30\x84\xff\xff\xff\xff", "cut off")
  end)

  it("7030-4.5.2-f encodes and decodes nothing", function()
    assert.equal("\x30\0", csrattrs.encode {})
    assert.same({}, csrattrs.decode("\x30\0"))
  end)

  it("7030-4.5.2-i writes what the examples of RFC 9908 say", function()
    assert.equal(hex(vectors.get "9908-5.2-rfc7030-corrected"), hex(assert(csrattrs.encode {
      "challengePassword", { key = "ec:P-384" }, "1.3.6.1.1.1.1.22", { digest = "sha384" } })))
    assert.equal(hex(vectors.get "9908-5.4-rsa4096"),
      hex(assert(csrattrs.encode { "challengePassword", { key = "rsa:4096", digest = "sha256" } })))
    local acp = assert(csrattrs.decode(vectors.get "9908-5.1-acp-san"))
    local wishes = assert(csrattrs.wishes(acp))
    assert.equal(hex(vectors.get "9908-5.1-acp-san"),
      hex(assert(csrattrs.encode { { extensions = wishes.extensions } })))
    assert.equal(vectors.get "9908-5.6-p521-attrs",
      csrattrs.encode(assert(csrattrs.decode(vectors.get "9908-5.6-p521-attrs"))))
  end)

  it("7030-4.5.2-j understands key type and signature algorithm", function()
    local function wish(name)
      local it = assert(csrattrs.wishes(vectors.get(name)))
      local signature = it.signatures[1]
      return { it.key or "-", signature and signature.digest or "-", it.challenge_password,
        #it.extensions, names(it.unknown) }
    end
    assert.same({ "ec:P-384", "sha384", true, 0, "extReq" }, wish "7030-4.5.2-csrattrs")
    assert.same({ "ec:P-384", "sha384", true, 0, "1.3.6.1.1.1.1.22" },
      wish "9908-5.2-rfc7030-corrected")
    assert.same({ "rsa:4096", "sha256", true, 0, "" }, wish "9908-5.4-rsa4096")
    assert.same({ "ec:P-521", "sha512", true, 1, "" }, wish "9908-5.3-from-prose-derived")
    assert.same({ "-", "-", false, 1, "" }, wish "9908-5.1-acp-san")
    assert.same({ "-", "-", false, 0, "" }, wish "csrattrs-empty-derived")
    assert.same({ "ec:P-256", "-", false, 0, "" }, wish "9908-3.4-template-derived")
    assert.same({ { name = "ecdsa-with-SHA384", digest = "sha384", key = "ec" } },
      csrattrs.wishes(vectors.get "7030-4.5.2-csrattrs").signatures)
    assert.same({ { name = "RSA-SHA256", digest = "sha256", key = "rsa" },
      { name = "ED25519", key = "ed25519" } },
      csrattrs.wishes({ "RSA-SHA256", "ED25519" }).signatures)
  end)

  it("9908-3.2-g takes an empty set as any curve or size", function()
    assert.equal("ec", csrattrs.wishes(vectors.get "9908-3.2-keytype-empty-set-derived").key)
    assert.equal("rsa", csrattrs.wishes { { oid = "rsaEncryption", values = {} } }.key)
  end)

  it("9908-3.2-j ignores the wrong example of RFC 7030 and says why", function()
    local wishes = assert(csrattrs.wishes(vectors.get "8951-4-csrattrs"))
    assert.same({}, wishes.extensions)
    assert.equal("1.2.840.113549.1.9.14", wishes.unknown[1].oid)
    assert.equal("its value is not one list of extensions", wishes.unknown[1].problem)
  end)

  it("7030-4.5.2-e ignores what it does not know", function()
    local wishes = assert(csrattrs.wishes(vectors.get "7030-a2-csrattrs"))
    assert.is_true(wishes.challenge_password)
    assert.is_nil(wishes.key)
    assert.equal("1.3.6.1.1.1.1.22 2.999.1 2.999.2 brainpoolP384r1 SHA384", names(wishes.unknown))
    assert.is_nil(wishes.unknown[1].problem)
  end)

  it("7894-4-b reads and writes what RFC 7894 lets a server name", function()
    local all = assert(csrattrs.wishes(vectors.get "7894-csrattrs-derived"))
    assert.same({ true, true, true, true, 0 }, { all.challenge_password, all.otp_challenge,
      all.revocation_challenge, all.identity_linking, #all.unknown })
    local one = assert(csrattrs.wishes(assert(csrattrs.encode { "estIdentityLinking" })))
    assert.same({ false, false, false, true, 0 }, { one.challenge_password, one.otp_challenge,
      one.revocation_challenge, one.identity_linking, #one.unknown })
  end)

  it("8295-b-a ignores a template in the form of a PKCS #7 message", function()
    -- A PKIData with a certification request that has no names and no key.
    local request = asn1.tlv(0xa0, asn1.int(0), asn1.seq(asn1.int(0), asn1.seq(), asn1.seq()))
    local message = asn1.seq(asn1.oid "1.3.6.1.5.5.7.12.2", asn1.tlv(0xa0, asn1.seq(
      asn1.seq(), asn1.seq(request), asn1.seq(), asn1.seq())))
    local wishes = assert(csrattrs.wishes(assert(csrattrs.encode { "challengePassword",
      { oid = "1.2.840.113549.1.9.25.5", values = { message } }, { key = "ec:P-256" } })))
    assert.same({ true, "ec:P-256", "1.2.840.113549.1.9.25.5" },
      { wishes.challenge_password, wishes.key, wishes.unknown[1].oid })
    assert.is_nil(wishes.unknown[1].problem)
  end)

  it("names other kinds of keys as OpenSSL does", function()
    local function key(...)
      return csrattrs.wishes({ ... }).key
    end
    assert.equal("ec:brainpoolP384r1", key { key = "ec:brainpoolP384r1" })
    assert.equal("ec:secp256k1", key { key = "ec:secp256k1" })
    assert.equal("ed25519", key { key = "ed25519" })
    assert.equal("ed448", key("ED448"))
    assert.equal("ec:1.2.3.4", key { oid = "id-ecPublicKey", values = { "\6\3\x2a\3\4" } })
    assert.equal("ed25519", csrattrs.wishes({ "ecdsa-with-SHA256", "ED25519" }).key)
    assert.is_nil(key("RSASSA-PSS"))
    assert.is_nil(key { oid = "id-ecPublicKey", values = { "\6\3\x2a\3\4", "\5\0" } })
    assert.is_nil(key { oid = "rsaEncryption", values = { "\5\0" } })
  end)

  it("takes the first of two wishes", function()
    local wishes = assert(csrattrs.wishes { { key = "ec:P-256" }, { oid = "rsaEncryption",
      values = { "\2\2\x10\0" } }, "ecdsa-with-SHA256", "ecdsa-with-SHA512" })
    assert.same({ "ec:P-256", "sha256" }, { wishes.key, wishes.signatures[1].digest })
  end)

  it("9908-3.2-a 9908-3.2-b 9908-3.2-c writes all extensions into one attribute", function()
    local der = assert(csrattrs.encode { { extensions = {
      { oid = "subjectAltName", critical = true, value = SAN }, { oid = "2.5.29.15",
        value = "\3\2\7\x80" } } } })
    local list = assert(csrattrs.decode(der))
    assert.equal("1.2.840.113549.1.9.14", list[1].oid)
    assert.equal(1, #list[1].values)
    local wishes = assert(csrattrs.wishes(list))
    assert.same({ { oid = "2.5.29.17", name = "subjectAltName", critical = true, value = SAN },
      { oid = "2.5.29.15", name = "keyUsage", critical = false, value = "\3\2\7\x80" } },
        wishes.extensions)
    local extensions = { { oid = "subjectAltName", value = SAN } }
    unwritable({ { extensions = extensions }, { extensions = extensions } }, "twice")
  end)

  it("9908-3.2-e refuses two extensions of one kind", function()
    unwritable({ { extensions = { { oid = "subjectAltName", value = SAN },
      { oid = "2.5.29.17", value = SAN } } } }, "not one list")
    unwritable({ { extensions = {} } }, "not one list")
  end)

  it("9908-3.2-f refuses two kinds of keys, and empty sets", function()
    unwritable({ { key = "ec:P-384" }, { key = "rsa:4096" } }, "second kind of key")
    unwritable({ { oid = "id-ecPublicKey", values = {} } }, "without a value")
    unwritable({ "challengePassword", "challengePassword" }, "twice")
    unwritable({ { oid = "1.2.3", values = { "\5" } } }, "cut off")
    unwritable({ { oid = "1.2.3", values = { "\5\0\5\0" } } }, "followed by more")
    unwritable({ "noSuchName" }, "noSuchName", "malformed")
    for _, key in ipairs { "ec:P-999", "ec", "rsa", "rsa:x", "rsa:", "rsa:04096", "nonsense",
      "ec:CN", "ec:SHA256", "CN", "SHA256", "rsa:1", "rsa:2047", "rsa:8193", "RSASSA-PSS",
      "id-ecPublicKey", "rsaEncryption" } do
      unwritable({ { key = key } }, "cannot be asked for", "key_unsupported")
    end
    for _, key in ipairs { "ec:P-521", "ec:brainpoolP256r1", "rsa:2048", "rsa:8192", "ed448" } do
      assert.equal(key, csrattrs.wishes(assert(csrattrs.encode { { key = key } })).key)
    end
    unwritable({ { key = "ec:P-256", digest = "sha9" } }, "no signature", "key_unsupported")
  end)

  it("sorts the values of a set", function()
    local list = assert(csrattrs.decode(assert(csrattrs.encode {
      { oid = "1.2.3.4", values = { "\5\0", "\2\1\1", "\1\1\xff" } } })))
    assert.same({ "\1\1\xff", "\2\1\1", "\5\0" }, list[1].values)
  end)

  it("writes extensions whose values are one DER element each, and no others", function()
    for _, value in ipairs { "", "x", "\5", "\5\0\5\0" } do
      local der, err = csrattrs.encode { { extensions = { { oid = "1.2.3", value = value } } } }
      assert.is_nil(der)
      assert.equal("malformed", err.code)
    end
    local good = { oid = "1.2.3", value = "\5\0", critical = true }
    assert(csrattrs.encode { { extensions = { good } } })
    assert.equal("csrattrs_malformed", select(2, csrattrs.encode { { extensions = {} } }).code)
  end)

  it("raises for a programmer's mistakes", function()
    assert.error_matches(function() csrattrs.encode { 1 } end, "entry 1 is a number")
    assert.error_matches(function() csrattrs.encode { {} } end, "has one of oid")
    assert.error_matches(function() csrattrs.encode { { keys = "x" } } end, "did you mean 'key'")
    assert.error_matches(function() csrattrs.encode { { digest = "sha256" } } end, "needs a key")
    assert.error_matches(function() csrattrs.encode { { oid = "1.2", values = { 1 } } } end,
      "value 1")
  end)
end)
