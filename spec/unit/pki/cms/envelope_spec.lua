-- A private key in an envelope (RFC 7030 4.4.2): made for each kind of recipient, read by openssl,
-- and opened again, unless it is anything else.
local core = require "lest.core"
local der = require "support.der"
local pki_world = require "support.pki"
local process = require "support.process"

local envelope = core.envelope

describe("an envelope", function()
  local pki, root, root_key, key

  setup(function()
    pki = pki_world.new()
    root = pki:root "root"
    root_key = assert(core.key.load(root.key))
    key = assert(core.key.generate "ec:P-256")
  end)
  teardown(function() pki:__close() end)

  local function recipient(kind, usage)
    local it = pki:issue("to-" .. kind:gsub("%W", "") .. (usage or ""), { by = root, key = kind,
      ext = usage and "keyUsage = " .. usage .. "\n" })
    it.secret = assert(core.key.load(it.key))
    return it
  end

  --- SMIMECapabilities of these dotted identifiers, or of DER.
  local function capabilities(...)
    local list = {}
    for i, each in ipairs { ... } do list[i] = type(each) == "table" and each[1]
      or der.seq(der.oid(each)) end
    return der.seq(table.concat(list))
  end

  local AES256, AES128 = "2.16.840.1.101.3.4.1.42", "2.16.840.1.101.3.4.1.2"
  local WRAP256, WRAP128 = "2.16.840.1.101.3.4.1.45", "2.16.840.1.101.3.4.1.5"
  local OAEP, RSA, ECDH = "1.2.840.113549.1.1.7", "1.2.840.113549.1.1.1", "1.3.132.1.11.1"
  local RC2 = "1.2.840.113549.3.2"

  local function seal(options)
    local all = { key = key, signer_cert = root.cert, signer_key = root_key }
    for name, value in pairs(options) do all[name] = value end
    return envelope.seal(all)
  end

  local function printed(bytes)
    pki_world.write(pki:path "m.der", bytes)
    return process.must { "openssl", "cms", "-cmsout", "-print", "-inform", "DER", "-noout", "-in",
      pki:path "m.der" }
  end

  it("7030-4.4.2-g 7030-4.4.2-h 7030-4.4.2-e is ktri for RSA, by OAEP or as in PKCS#1 1.5",
    function()
    local to = recipient("rsa:2048", "keyEncipherment")
    for _, case in ipairs {
      { { RSA, OAEP, AES256 }, "rsaesOaep", "aes%-256%-cbc" },
      { { RC2, RSA, AES128 }, "rsaEncryption", "aes%-128%-cbc" },
      { { OAEP }, "rsaesOaep", "aes%-256" },
    } do
      local sealed = assert(seal { cert = to.cert,
        capabilities = capabilities(table.unpack(case[1])) })
      local text = printed(sealed)
      assert.matches("d.ktri", text)
      assert.matches("subjectKeyIdentifier", text)
      assert.matches("keyEncryptionAlgorithm:%s+algorithm: " .. case[2], text)
      assert.matches("contentEncryptionAlgorithm:%s+algorithm: " .. case[3], text)
      assert.matches("contentType: pkcs7%-signedData", text)
      local opened, signers = assert(envelope.open(sealed, { key = to.secret }))
      assert.equal(key, opened)
      assert.equal(key:der(), opened:der())
      assert.same({ root.cert }, signers)
    end
  end)

  it("7030-4.4.2-i 7030-4.4.2-j 7030-4.4.2-f is kari for EC, with the wrap that is asked for",
    function()
    local to = recipient("ec:P-384", "keyAgreement")
    local within = { der.seq(der.oid(ECDH) .. der.seq(der.oid(WRAP128))) }
    for _, case in ipairs {
      { { ECDH, WRAP256, AES256, WRAP128 }, "id%-aes256%-wrap", "aes%-256" },
      { { ECDH, WRAP128, AES128 }, "id%-aes128%-wrap", "aes%-128" },
      { { within }, "id%-aes128%-wrap", "aes%-128" },
      { { ECDH, WRAP256 }, "id%-aes256%-wrap", "aes%-256" },
    } do
      local sealed = assert(seal { cert = to.cert,
        capabilities = capabilities(table.unpack(case[1])) })
      local text = printed(sealed)
      assert.matches("d.kari", text)
      assert.matches("version: 3", text)
      assert.matches("dhSinglePass%-stdDH%-sha256kdf%-scheme", text)
      assert.matches("contentEncryptionAlgorithm:%s+algorithm: " .. case[3], text)
      assert.is_truthy(sealed:find(der.oid(case[2]:find "256" and WRAP256 or WRAP128), 1, true))
      assert.equal(key, (assert(envelope.open(sealed, { key = to.secret }))))
    end
  end)

  it("7030-4.4.2-d is kekri for a shared key, and called as the client calls it", function()
    for length, wrap in pairs { [32] = WRAP256, [16] = WRAP128 } do
      local shared = core.secret.random_bytes(length)
      local sealed = assert(seal { shared = shared, id = "line 7",
        capabilities = capabilities(wrap) })
      local text = printed(sealed)
      assert.matches("d.kekri", text)
      assert.matches("version: 4", text)
      assert.matches("line 7", text)
      assert.equal(key, (assert(envelope.open(sealed, { shared = shared, id = "line 7" }))))
      for _, other in ipairs { { core.secret.random_bytes(length), "line 7" },
        { shared, "line 8" } } do
        local opened, err = envelope.open(sealed, { shared = other[1], id = other[2] })
        assert.is_nil(opened)
        assert.equal("pkcs7_malformed", err.code)
      end
      -- The wrap goes with the key's length.
      local made, err = seal { shared = shared, id = "x",
        capabilities = capabilities(length == 32 and WRAP128 or WRAP256) }
      assert.is_nil(made)
      assert.equal("key_unsupported", err.code)
    end
    assert.is_nil((seal { shared = "short", id = "x", capabilities = capabilities(WRAP128) }))
  end)

  it("7030-4.4.2-c holds a signed AsymmetricKeyPackage, as openssl sees it", function()
    local to = recipient("rsa:2048", "keyEncipherment")
    pki_world.write(pki:path "m.der", assert(seal { cert = to.cert,
      capabilities = capabilities(OAEP) }))
    process.must { "openssl", "cms", "-decrypt", "-inform", "DER", "-in", pki:path "m.der",
      "-inkey", to.key, "-recip", to.path, "-binary", "-out", pki:path "content" }
    pki_world.write(pki:path "signed.der", der.seq(der.oid "1.2.840.113549.1.7.2"
      .. der.tlv(0xa0, pki_world.read(pki:path "content"))))
    process.must { "openssl", "cms", "-verify", "-inform", "DER", "-in", pki:path "signed.der",
      "-CAfile", root.path, "-purpose", "any", "-binary", "-out", pki:path "package" }
    assert.equal(der.seq(key:der()), pki_world.read(pki:path "package"))
    assert.matches("2%.16%.840%.1%.101%.2%.1%.2%.78%.5", process.must { "openssl", "cms", "-cmsout",
      "-print", "-noout", "-inform", "DER", "-in", pki:path "signed.der" })
  end)

  it("7030-4.4.1.2-c is made for a certificate whose usage allows it, or is unrestricted",
    function()
    for _, case in ipairs { { "rsa:2048", "digitalSignature" }, { "rsa:2048", "keyAgreement" },
      { "ec:P-256", "digitalSignature" }, { "ec:P-256", "keyEncipherment" } } do
      local made, err = seal { cert = recipient(case[1], case[2]).cert,
        capabilities = capabilities(OAEP, ECDH, WRAP256) }
      assert.is_nil(made)
      assert.equal("refused", err.code)
    end
    for _, kind in ipairs { "rsa:2048", "ec:P-256" } do
      assert(seal { cert = recipient(kind).cert, capabilities = capabilities(OAEP, ECDH, WRAP256) })
    end
  end)

  it("is made with nothing that the recipient does not say that it can", function()
    local rsa, ec, ed = recipient "rsa:2048", recipient "ec:P-256", recipient "ed25519"
    for _, case in ipairs {
      { rsa, capabilities(ECDH, WRAP256, AES256) }, { rsa, capabilities() },
      { ec, capabilities(OAEP, RSA, WRAP256, AES256) }, { ec, capabilities(ECDH, AES256) },
      { ec, capabilities(ECDH, WRAP128, AES256) }, { ed, capabilities(OAEP, ECDH, WRAP256) },
    } do
      local made, err = seal { cert = case[1].cert, capabilities = case[2] }
      assert.is_nil(made)
      assert.equal("key_unsupported", err.code)
    end
    for _, bad in ipairs { "", "\x30", "\x31\x00", der.seq(der.oid(OAEP)),
      capabilities(OAEP) .. "\0", der.seq(der.seq ""),
      der.seq(der.seq(der.oid(OAEP) .. der.seq "" .. der.seq "")),
      der.seq(der.seq(der.oid(ECDH) .. der.seq "\x06\x00")),
      der.seq((der.seq(der.oid(RC2))):rep(65)) } do
      local made, err = seal { cert = rsa.cert, capabilities = bad }
      assert.is_nil(made)
      assert.equal("malformed", err.code)
    end
  end)

  it("is signed by an RSA and a P-384 key, too", function()
    local to = recipient "ec:P-256"
    for _, kind in ipairs { "rsa:2048", "ec:P-384" } do
      local signer = pki:root("root-" .. kind:gsub("%W", ""), { key = kind })
      local sealed = assert(seal { cert = to.cert, capabilities = capabilities(ECDH, WRAP256),
        signer_cert = signer.cert, signer_key = assert(core.key.load(signer.key)) })
      local opened, signers = assert(envelope.open(sealed, { key = to.secret }))
      assert.equal(key, opened)
      assert.equal(signer.cert, signers[1])
    end
  end)

  it("is not opened where it is cut, changed, for another, unsigned, or no envelope", function()
    local to, other = recipient("rsa:2048", "keyEncipherment"), recipient "ec:P-256"
    local sealed = assert(seal { cert = to.cert, capabilities = capabilities(OAEP) })
    local function refused(bytes, how)
      local opened, err = envelope.open(bytes, how or { key = to.secret })
      assert.is_nil(opened)
      return err.code
    end
    assert.equal("pkcs7_malformed", refused(sealed, { key = other.secret }))
    assert.equal("pkcs7_malformed", refused(sealed, { key = assert(core.key.generate "rsa:2048") }))
    assert.equal("pkcs7_malformed", refused(sealed, { shared = ("k"):rep(32), id = "x" }))
    for _, bytes in ipairs { "", "\x30\x00", sealed:sub(1, -2), sealed .. "\0",
      key:der(), assert(core.pkcs7.encode { root.cert }) } do
      assert.equal("pkcs7_malformed", refused(bytes))
    end
    -- Some bytes say nothing; of the others each is seen.
    local seen = 0
    for i = 1, #sealed, 7 do
      local opened = envelope.open(sealed:sub(1, i - 1) .. string.char(sealed:byte(i) ~ 0x41)
        .. sealed:sub(i + 1), { key = to.secret })
      assert.is_true(opened == nil or opened == key)
      seen = seen + (opened and 0 or 1)
    end
    assert.is_true(seen > #sealed // 7 * 0.9, seen)
    -- Made by openssl: a key without a signature, and one that is signed as others do.
    pki_world.write(pki:path "package", der.seq(key:der()))
    local function enveloped(file)
      process.must { "openssl", "cms", "-encrypt", "-aes256", "-binary", "-outform", "DER", "-in",
        pki:path(file), "-out", pki:path "e.der", to.path }
      return pki_world.read(pki:path "e.der")
    end
    assert.is_truthy(({ trust = true, pkcs7_malformed = true })[refused(enveloped "package")])
    pki_world.write(pki:path "pkcs8", key:der())
    process.must { "openssl", "cms", "-sign", "-nodetach", "-binary", "-outform", "DER", "-in",
      pki:path "pkcs8", "-signer", root.path, "-inkey", root.key, "-out", pki:path "s.der" }
    assert.equal(key, (assert(envelope.open(enveloped "s.der", { key = to.secret }))))
    pki_world.write(pki:path "pkcs8", der.seq(key:der() .. key:der()))
    process.must { "openssl", "cms", "-sign", "-nodetach", "-binary", "-outform", "DER", "-in",
      pki:path "pkcs8", "-signer", root.path, "-inkey", root.key, "-out", pki:path "s.der",
      "-econtent_type", "2.16.840.1.101.2.1.2.78.5" }
    assert.equal("key_malformed", refused(enveloped "s.der"))
    local signed = pki_world.read(pki:path "s.der")
    pki_world.write(pki:path "s.der", signed:sub(1, -2) .. string.char(signed:byte(-1) ~ 1))
    assert.equal("trust", refused(enveloped "s.der"))
  end)

  it("has identifiers that are read and written, and capabilities of its own", function()
    local to = recipient "ec:P-256"
    local id = assert(envelope.key_id(to.secret))
    assert.equal(to.cert.ski, (id:gsub(".", function(c) return ("%02x"):format(c:byte()) end)))
    assert.equal(id, envelope.read_identifier(envelope.identifier(id)))
    for _, bad in ipairs { "", "\x04\x00", "\x04\x01", "\x04\x01a\0", "\x05\x00",
      "\x24\x03\x04\x01a", "\x04\x82\x01\x01" .. ("x"):rep(257) } do
      assert.is_nil((envelope.read_identifier(bad)))
    end
    assert.has_error(function() envelope.identifier "" end)
    for kind, it in pairs { rsa = recipient "rsa:2048", ec = to } do
      local sealed = assert(seal { cert = it.cert, capabilities = envelope.capabilities(kind) })
      assert.equal(key, (assert(envelope.open(sealed, { key = it.secret }))))
    end
    for length, kind in pairs { [16] = "wrap128", [32] = "wrap256" } do
      assert(seal { shared = ("k"):rep(length), id = "x",
        capabilities = envelope.capabilities(kind) })
    end
  end)
end)
