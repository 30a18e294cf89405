-- Certs-only bags are written as RFC 5272 says, and read also as other programs write them.
local core = require "lest.core"
local pki = require "support.pki"
local vectors = require "support.vectors"

local pkcs7 = core.pkcs7
local unhex, hex = vectors.unhex, vectors.hex

describe("pkcs7", function()
  local ca, root, leaf, crl

  setup(function()
    ca = pki.new()
    root = ca:root("root")
    leaf = ca:issue("leaf", { by = root })
    crl = ca:crl(root, { leaf })
  end)

  teardown(function() pki.__close(ca) end)

  local function fails(bytes, pattern, code)
    local value, err = pkcs7.decode(bytes)
    assert.is_nil(value)
    assert.equal(code or "pkcs7_malformed", err.code)
    if pattern then assert.matches(pattern, err.message) end
  end

  it("5652-5.1-a writes version 1, no digests, id-data without content, no signers", function()
    local bag = assert(pkcs7.encode { leaf.cert, root.cert })
    local body = "020101" .. "3100" .. "300b06092a864886f70d010701" .. "a0"
    assert.truthy(hex(bag):find(body, 1, true))
    assert.equal("3100", hex(bag:sub(-2)))
    local path = pki.write(ca:path "bag.der", bag)
    local parsed = pki.sh("openssl asn1parse -inform DER -in " .. path)
    assert.matches("pkcs7%-signedData", parsed)
    local printed = pki.sh("openssl pkcs7 -inform DER -print_certs -in " .. path)
    assert.truthy(printed:find(leaf.cert:pem(), 1, true))
    assert.truthy(printed:find(root.cert:pem(), 1, true))
    pki.sh("openssl cms -cmsout -noout -inform DER -in " .. path)
  end)

  it("writes what OpenSSL would write, and reads what openssl crl2pkcs7 writes", function()
    local bag = assert(pkcs7.encode({ leaf.cert, root.cert }, { crl }))
    pki.write(ca:path "ours.der", bag)
    pki.sh(("openssl pkcs7 -inform DER -in %s -outform DER -out %s"):format(ca:path "ours.der",
      ca:path "again.der"))
    assert.equal(hex(bag), hex(pki.read(ca:path "again.der")))
    pki.write(ca:path "both.pem", leaf.cert:pem() .. root.cert:pem())
    pki.sh(("openssl crl2pkcs7 -nocrl -certfile %s -outform DER -out %s"):format(ca:path "both.pem",
      ca:path "theirs.der"))
    local certs, crls = pkcs7.decode(pki.read(ca:path "theirs.der"))
    assert.same({ 2, 0 }, { #certs, #crls })
    assert.equal(leaf.cert, certs[1])
  end)

  it("5272-4.1-a gives back what was put in, in its order, with CRLs", function()
    local certs, crls = pkcs7.decode(assert(pkcs7.encode({ root.cert, leaf.cert:der(),
      root.cert }, { crl })))
    assert.same({ 3, 1 }, { #certs, #crls })
    assert.equal(root.cert, certs[1])
    assert.equal(leaf.cert, certs[2])
    assert.equal(crl, crls[1])
    certs, crls = pkcs7.decode(assert(pkcs7.encode({}, { crl:der() })))
    assert.same({ 0, 1 }, { #certs, #crls })
    certs = pkcs7.decode(assert(pkcs7.encode {}))
    assert.same({}, certs)
  end)

  it("5272-4.1-b reads the examples of RFC 7030 and RFC 9148", function()
    local certs, crls = pkcs7.decode(vectors.get "7030-a1-cacerts")
    assert.same({ 4, 0 }, { #certs, #crls })
    assert.equal("estExampleCA OwO", certs[1].subject.CN)
    assert.equal(1, #pkcs7.decode(vectors.get "7030-a3-simpleenroll-resp"))
    assert.equal(1, #pkcs7.decode(vectors.get "7030-a4-serverkeygen-cert"))
    assert.equal("802.1AR CA", pkcs7.decode(vectors.get "9148-a2-sen-resp")[1].issuer.CN)
    assert.equal(253402300799, pkcs7.decode(vectors.get "9148-a2-sen-resp")[1].not_after)
    assert.equal(1, #pkcs7.decode(vectors.get "9148-a1-crts-resp"))
    certs = pkcs7.decode(vectors.get "9148-a3-skg-cert")
    assert.equal(1, #certs)
    assert.equal("b3313e8f3fc9538e", certs[1].serial)
    assert.equal("skg example", certs[1].subject.O)
    local key = assert(core.key.parse(vectors.get "9148-a3-skg-key"))
    assert.equal(key:public_der(), certs[1].public_key.der)
  end)

  -- The bag with every length around the certificates indefinite.
  local function ber(contents, crls)
    return unhex "308006092a864886f70d010702a08030800201013180" .. "\0\0" ..
      unhex "308006092a864886f70d010701" .. "\0\0" .. unhex "a080" .. contents .. "\0\0" ..
      (crls or "") .. unhex "3180" .. "\0\0" .. ("\0\0"):rep(3)
  end

  it("5652-5.1-b accepts BER, CRLs and duplicates", function()
    local der = leaf.cert:der()
    local certs, crls = pkcs7.decode(ber(der .. root.cert:der() .. der, unhex "a180" .. crl:der()
      .. "\0\0"))
    assert.same({ 3, 1 }, { #certs, #crls })
    assert.equal(leaf.cert, certs[3])
    certs, crls = pkcs7.decode(ber(der, unhex "a100"))
    assert.same({ 1, 0 }, { #certs, #crls })
    -- Lengths that are longer than need be.
    local long = assert(pkcs7.encode { leaf.cert }):gsub("^\x30\x82", "\x30\x84\0\0")
    assert.equal(1, #pkcs7.decode(long))
  end)

  it("refuses BER that no rule allows", function()
    -- A primitive element of indefinite length, and an octet string in pieces that are none.
    local version = "\2\1\1"
    local function body(first, content, signers)
      local der = require "support.der"
      local data = der.oid "1.2.840.113549.1.7.1"
      return der.seq(der.oid "1.2.840.113549.1.7.2", der.tlv(0xa0, der.seq(first, der.set(),
        der.seq(data, content or ""), der.set(signers or ""))))
    end
    assert.same({}, pkcs7.decode(body(version)))
    local _, problem = pkcs7.decode(body(version, "", "\x30\0"))
    assert.matches("has signers", problem.message)
    local _, err = pkcs7.decode(body("\2\x80\1\0\0"))
    assert.matches("an indefinite length where none can be", err.message)
    local found
    found, err = pkcs7.decode(body(version, "\xa0\x80\x24\x80\4\1x\0\0\0\0"))
    assert.is_nil(found)
    assert.matches("has content", err.message)
    found, err = pkcs7.decode(body(version, "\xa0\x80\x24\x80\2\1\1\0\0\0\0"))
    assert.is_nil(found)
    assert.matches("an octet string with something else in it", err.message)
  end)

  it("reads PEM", function()
    local text = "-----BEGIN PKCS7-----\n" .. core.base64.encode(assert(pkcs7.encode {
      leaf.cert }), 64) ..
      "-----END PKCS7-----\n"
    assert.equal(leaf.cert, pkcs7.decode(text)[1])
    assert.equal(leaf.cert, pkcs7.decode((text:gsub("PKCS7", "CMS")))[1])
    fails("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
      "the data is a certificate")
  end)

  it("refuses what is no bag of certificates", function()
    fails("", "no data")
    fails("hello", "neither DER nor PEM")
    fails(leaf.cert:der())
    local bag = assert(pkcs7.encode { leaf.cert })
    fails(bag .. "\0", "followed by more data")
    for cut = 1, #bag - 1, 7 do fails(bag:sub(1, cut)) end
    fails(ber(leaf.cert:der()):sub(1, -3))
    fails(unhex "300f" .. unhex "06092a864886f70d010701" .. unhex "a0020400", "not SignedData")
    fails(unhex "3080a08002", "")
    fails(ber "\x30\x00", nil, "cert_malformed")
  end)

  it("refuses a message that is signed or has content", function()
    pki.write(ca:path "text", "hello")
    pki.sh(("openssl cms -sign -nodetach -in %s -signer %s -inkey %s -outform DER -out %s"):format(
      ca:path "text", leaf.path, leaf.key, ca:path "signed.der"))
    local signed = pki.read(ca:path "signed.der")
    fails(signed, "signers")
    local it = assert(pkcs7.describe(signed))
    assert.same({ "pkcs7-signedData", "pkcs7-data", 1, 5 },
      { it.type, it.content_type, it.signers, it.content_len })
    assert.equal(leaf.cert, it.certificates[1])
    pki.sh(("openssl cms -sign -stream -indef -nodetach -in %s -signer %s -inkey %s " ..
      "-outform DER -out %s"):format(
      ca:path "text", leaf.path, leaf.key, ca:path "stream.der"))
    it = assert(pkcs7.describe(pki.read(ca:path "stream.der")))
    assert.same({ 1, 5 }, { it.signers, it.content_len })
    assert.same({ type = "pkcs7-data" },
      pkcs7.describe(unhex "300f" .. unhex "06092a864886f70d010701" .. unhex "a0020400"))
  end)

  it("7030-6-j bounds depth, length and count", function()
    fails(("\x30\x80"):rep(10000), "nested too deeply")
    fails("\x30\x84\xff\xff\xff\xff", "cut off")
    fails("\x30\x88\0\0\0\1\0\0\0\0", "beyond all bounds")
    local list = {}
    for i = 1, 64 do list[i] = leaf.cert end
    assert.equal(64, #pkcs7.decode(assert(pkcs7.encode(list))))
    fails(ber(leaf.cert:der():rep(65)), "more than 64 certificates", "too_large")
    list[65] = leaf.cert
    assert.error_matches(function() pkcs7.encode(list) end, "too many")
  end)

  it("refuses to write entries that are no single element", function()
    for _, entry in ipairs { "", "x", leaf.cert:der() .. "\0", leaf.cert:der():sub(1, -2) } do
      local bag, err = pkcs7.encode { entry }
      assert.is_nil(bag)
      assert.equal("pkcs7_malformed", err.code)
    end
    assert.error_matches(function() pkcs7.encode { 1 } end, "entry 1 is a number")
    assert.error_matches(function() pkcs7.encode { crl } end, "entry 1")
  end)
end)
