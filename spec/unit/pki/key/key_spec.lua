-- Private keys of each kind: made, saved, encrypted and read in every usual form.
local core = require "lest.core"
local der = require "support.der"
local pki = require "support.pki"
local vectors = require "support.vectors"
local key = core.key

local function fails(code, value, err)
  assert.is_nil(value)
  assert.equal(code, err.code)
  return tostring(err)
end

-- spec, what `openssl genpkey` wants, security bits
local kinds = {
  { "ec:P-256", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256", 128 },
  { "ec:P-384", "-algorithm EC -pkeyopt ec_paramgen_curve:P-384", 192 },
  { "ec:P-521", "-algorithm EC -pkeyopt ec_paramgen_curve:P-521", 256 },
  { "ec:brainpoolP256r1", "-algorithm EC -pkeyopt ec_paramgen_curve:brainpoolP256r1", 128 },
  { "rsa:2048", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048", 112 },
  { "rsa-pss:2048", "-algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048", 112 },
  { "ed25519", "-algorithm ED25519", 128 },
  { "ed448", "-algorithm ED448", 224 },
}

describe("key", function()
  local tmp
  setup(function() tmp = pki.new() end)
  teardown(function() getmetatable(tmp).__close(tmp) end)

  it("makes keys of each kind that OpenSSL reads, and reads OpenSSL's", function()
    for i, kind in ipairs(kinds) do
      local spec, options, bits = table.unpack(kind)
      local ours = assert(key.generate(spec))
      assert.equal(spec, ours.type)
      assert.equal(bits, ours.security_bits)
      local path = tmp:path("ours" .. i)
      assert(ours:save(path))
      local public = pki.sh(("openssl pkey -in %s -pubout -outform DER | base64"):format(path))
      assert.equal(ours:public_der(), assert(core.base64.decode(public)))
      pki.sh(("openssl genpkey %s -out %s.theirs"):format(options, path))
      local theirs = assert(key.load(path .. ".theirs"))
      assert.equal(spec, theirs.type)
      assert.is_false(ours == theirs)
      assert.is_true(ours == assert(key.parse(ours:der())))
      assert.is_true(ours == assert(key.parse(ours:pem())))
      assert.equal("lest.key " .. spec, tostring(ours))
    end
  end)

  it("has one public key for a private key, also where its file has a compressed point", function()
    for i, curve in ipairs { "prime256v1", "secp384r1", "secp521r1", "brainpoolP256r1" } do
      local path = tmp:path("point" .. i)
      pki.sh(("openssl ecparam -name %s -genkey -noout -out %s"):format(curve, path))
      pki.sh(("openssl ec -in %s -conv_form compressed -out %s.short"):format(path, path))
      assert.truthy(#assert(core.base64.decode(pki.sh(("openssl pkey -in %s.short -pubout "
        .. "-outform DER | base64"):format(path)))) < #assert(key.load(path)):public_der())
      local long, short = assert(key.load(path)), assert(key.load(path .. ".short"))
      assert.is_true(long == short)
      assert.equal(long:der(), short:der())
      pki.sh(("openssl req -x509 -key %s.short -subj /CN=x -out %s.pem"):format(path, path))
      local cert = assert(core.cert.load(path .. ".pem"))
      assert.equal(long:public_der(), cert.public_key.der)
      assert.falsy(cert:der():find(long:public_der(), 1, true))
      pki.sh(("openssl req -new -key %s.short -subj /CN=x -out %s.csr"):format(path, path))
      local csr = assert(core.csr.parse(pki.read(path .. ".csr")))
      assert.same({ long:public_der(), long:public_der() }, { csr.spki, csr.public_key.der })
      assert.is_true(csr:verify())
      assert(core.issuer.new { cert = cert, key = long })
    end
  end)

  it("keeps the form of an EC key with the curve's parameters", function()
    for i, curve in ipairs { "prime256v1", "secp384r1", "secp521r1" } do
      local path = tmp:path("form" .. i)
      pki.sh(("openssl ecparam -name %s -genkey -noout | openssl ec -param_enc explicit -out %s")
        :format(curve, path))
      local public = pki.sh(("openssl pkey -in %s -pubout -outform DER | base64"):format(path))
      assert.equal(assert(key.load(path)):public_der(), assert(core.base64.decode(public)))
    end
  end)

  -- RFC 5915 3: a number, a curve and a point, of which the last two may be missing.
  it("reads EC keys of every form as OpenSSL does, and none with a point off its curve", function()
    local oids = { ["P-256"] = "1.2.840.10045.3.1.7", ["P-384"] = "1.3.132.0.34",
      ["P-521"] = "1.3.132.0.35" }
    local function named(oid) return der.tlv(0xa0, der.oid(oid)) end
    local function pkcs8(oid, inner)
      return der.seq(der.int(0), der.seq(der.oid "1.2.840.10045.2.1", der.oid(oid)),
        der.octets(inner))
    end
    for curve, oid in pairs(oids) do
      local k = assert(key.generate("ec:" .. curve))
      local length = ({ ["P-256"] = 32, ["P-384"] = 48, ["P-521"] = 66 })[curve]
      local whole, head = k:der(), "\2\1\1\4" .. string.char(length)
      local _, at = whole:find(head, 1, true)
      local number, point = whole:sub(at + 1, at + length), k:public_der():sub(-2 * length - 1)
      local public = der.tlv(0xa1, der.bits(point))
      for _, inner in ipairs {
        der.seq(der.int(1), der.octets(number), public),
        der.seq(der.int(1), der.octets(number), named(oid), public),
        der.seq(der.int(1), der.octets(number), named(oid)),
        der.seq(der.int(1), der.octets(number)),
        der.seq(der.int(1), der.octets("\0" .. number), public),
      } do
        local read = assert(key.parse(pkcs8(oid, inner)))
        assert.is_true(read == k)
        if inner:find(public, 1, true) then assert.equal(whole, read:der()) end
        assert(assert(core.csr.build { key = read, subject = "CN=x" }):verify())
      end
      local traditional = der.seq(der.int(1), der.octets(number), named(oid), public)
      assert.is_true(k == assert(key.parse(traditional)))
      fails("key_malformed", key.parse(traditional .. "\0"))
      local off = point:sub(1, -2) .. string.char(point:byte(-1) ~ 1)
      local wrong = der.seq(der.int(1), der.octets(number), der.tlv(0xa1, der.bits(off)))
      fails("key_malformed", key.parse(pkcs8(oid, wrong)))
      for _, other in ipairs { ("\0"):rep(length), ("\255"):rep(length), number:reverse() } do
        local no_pair = pkcs8(oid, der.seq(der.int(1), der.octets(other), public))
        local read = key.parse(no_pair)
        if read then fails("key_malformed", core.csr.build { key = read, subject = "CN=x" }) end
      end
    end
  end)

  it("signs with no key whose halves are no pair, as a CA or for a request", function()
    for i, curve in ipairs { "prime256v1", "brainpoolP256r1" } do
      local path = tmp:path("pair" .. i)
      pki.sh(("openssl ecparam -name %s -genkey -noout -out %s"):format(curve, path))
      pki.sh(("openssl req -x509 -key %s -subj /CN=x -out %s.pem"):format(path, path))
      local whole = assert(key.load(path)):der()
      local _, at = whole:find("\2\1\1\4\32", 1, true)
      local flipped = whole:sub(1, at + 31) .. string.char(whole:byte(at + 32) ~ 1)
        .. whole:sub(at + 33)
      local wrong, cert = assert(key.parse(flipped)), assert(core.cert.load(path .. ".pem"))
      local said = fails("key_malformed", core.issuer.new { cert = cert, key = wrong })
      assert.truthy(said:find("no pair", 1, true))
      fails("key_malformed", core.csr.build { key = wrong, subject = "CN=x" })
    end
  end)

  it("knows the curves by all their names", function()
    assert.equal("ec:P-256", assert(key.generate "ec:prime256v1").type)
    assert.equal("ec:P-384", assert(key.generate "EC:secp384r1").type)
    assert.equal("ed25519", assert(key.generate "ED25519").type)
  end)

  it("7030-6-m refuses what is too small, too large or unknown", function()
    for _, spec in ipairs { "rsa:1024", "rsa:2047", "rsa:8193", "rsa:99999999999", "rsa:",
      "rsa:-1", "rsa:0x800",
      "rsa", "ec", "ec:", "ec:P-1", "nothing", "" } do
      fails("key_unsupported", key.generate(spec))
    end
    assert.truthy(fails("key_unsupported", key.generate "rsa:512"):find("2048 to 8192", 1, true))
    assert.error_matches(function() key.generate "ec:P-256\0x" end, "NUL")
  end)

  it("7030-6-o saves whole, as 0600, and a new one only if asked so", function()
    local k, path = assert(key.generate "ec:P-256"), tmp:path "private"
    assert(k:save(path, { new = true }))
    assert.equal("600\n", pki.sh("stat -c %a " .. path))
    fails("exists", k:save(path, { new = true }))
    assert(assert(key.generate "ed25519"):save(path))
    assert.equal("ed25519", assert(key.load(path)).type)
    fails("io", k:save(tmp:path "no/folder"))
  end)

  it("7030-6-j bounds what opening an encrypted key costs", function()
    local secret = der.octets(("x"):rep(48))
    local function number(n)
      return der.tlv(2, (string.pack(">i4", n):gsub("^\0+([\0-\x7f])", "%1")))
    end
    local function encrypted(...) return der.seq(der.seq(...), secret) end
    local pbes2, aes = der.oid "1.2.840.113549.1.5.13",
      der.seq(der.oid "2.16.840.1.101.3.4.1.42", der.octets(("i"):rep(16)))
    local function kdf(oid, ...)
      local parameters = der.seq(der.octets "saltsalt", ...)
      return encrypted(pbes2, der.seq(der.seq(der.oid(oid), parameters), aes))
    end
    local function ber_seq(...)
      local contents = table.concat { ... }
      return "\x30\x81" .. string.char(#contents) .. contents
    end
    local PBKDF2 <const>, SCRYPT <const> = "1.2.840.113549.1.5.12", "1.3.6.1.4.1.11591.4.11"
    for _, bytes in ipairs {
      kdf(PBKDF2, number(10000001)), kdf(PBKDF2, der.tlv(2, "\1" .. ("\0"):rep(12))),
      kdf(SCRYPT, number(1 << 14), number(8), number(1 << 20)),
      kdf(SCRYPT, number(1 << 20), number(8), number(2)),
      encrypted(der.oid "1.2.840.113549.1.12.1.3", der.seq(der.octets "saltsalt", number(1 << 30))),
      encrypted(der.oid "1.2.840.113549.1.12.1.3", ber_seq(der.octets "saltsalt", number(1 << 24))),
    } do
      local began = core.clock.monotonic_ms()
      assert.matches("more than 10000000 rounds",
        fails("key_unsupported", key.parse(bytes, { passphrase = "x" })))
      assert.is_true(core.clock.monotonic_ms() - began < 10000)
    end
    local as_legacy = ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nProc-Type: 4,CLEAR\n\n%s\n"
      .. "-----END ENCRYPTED PRIVATE KEY-----\n"):format(core.base64.encode(
        kdf(PBKDF2, number(1 << 24))))
    fails("pem", key.parse(as_legacy, { passphrase = "x" }))
    fails("key_passphrase", key.parse(kdf(PBKDF2, number(1000)), { passphrase = "x" }))
    local path = tmp:path "scrypt"
    pki.sh(("openssl genpkey -algorithm ED25519 | openssl pkcs8 -topk8 -scrypt -passout pass:x "
      .. "-out %s"):format(path))
    assert(key.load(path, { passphrase = "x" }))
    assert(key.load("file://" .. path, { passphrase = "x" }))
  end)

  it("encrypts and never asks for a passphrase", function()
    local k, path = assert(key.generate "ec:P-256"), tmp:path "encrypted"
    assert(k:save(path, { passphrase = "söcret" }))
    assert.truthy(pki.read(path):find("BEGIN ENCRYPTED PRIVATE KEY", 1, true))
    assert.is_true(k == assert(key.load(path, { passphrase = "söcret" })))
    pki.sh(("openssl pkey -in %s -passin pass:söcret -noout"):format(path))
    local text = fails("key_passphrase", key.load(path))
    assert.equal(path .. ": the key is encrypted and needs a passphrase", (text:gsub(" %(.*", "")))
    for i = 1, 8 do fails("key_passphrase", key.load(path, { passphrase = "wrong" .. i })) end
    local encrypted = tmp:path "encrypted.der"
    pki.sh(("openssl pkcs8 -topk8 -in %s -passin pass:söcret -outform DER -passout pass:x -out %s")
      :format(path, encrypted))
    assert.is_true(k == assert(key.load(encrypted, { passphrase = "x" })))
    fails("key_passphrase", key.load(encrypted))
    assert.has_error(function() k:pem "a\0b" end)
    assert.has_error(function() key.load(path, { passphrase = "a\0b" }) end)
  end)

  it("reads the traditional forms", function()
    local path = tmp:path "old"
    for _, kind in ipairs { { "ec", "P-256", "ec:P-256" }, { "rsa", "2048", "rsa:2048" } } do
      local k = assert(key.generate(kind[3]))
      assert(k:save(path))
      pki.sh(("openssl %s -in %s -out %s.pem %s"):format(kind[1], path, path,
        kind[1] == "rsa" and "-traditional" or ""))
      assert.truthy(pki.read(path .. ".pem"):find("BEGIN " .. kind[1]:upper() .. " PRIVATE KEY",
        1, true))
      assert.is_true(k == assert(key.load(path .. ".pem")))
      pki.sh(("openssl %s -in %s -outform DER -out %s.der %s"):format(kind[1], path, path,
        kind[1] == "rsa" and "-traditional" or ""))
      assert.is_true(k == assert(key.load(path .. ".der")))
      pki.sh(("openssl %s -in %s -aes256 -passout pass:abcd -out %s.enc %s"):format(kind[1], path,
        path,
        kind[1] == "rsa" and "-traditional" or ""))
      assert.truthy(pki.read(path .. ".enc"):find("Proc-Type:", 1, true))
      assert.is_true(k == assert(key.load(path .. ".enc", { passphrase = "abcd" })))
      fails("key_passphrase", key.load(path .. ".enc"))
      fails("key_passphrase", key.load(path .. ".enc", { passphrase = "abce" }))
    end
    pki.sh(("openssl ecparam -name prime256v1 -genkey -out %s.params"):format(path))
    assert.equal("ec:P-256", assert(key.load(path .. ".params")).type)
  end)

  it("5958-2-a reads OneAsymmetricKey version 2 (the vector of RFC 8410 10.3)", function()
    local v1, v2 = vectors.get "8410-10.3-ed25519-v1", vectors.get "8410-10.3-ed25519-v2-pub-attr"
    assert.is_true(assert(key.parse(v1)) == assert(key.parse(v2)))
    assert.equal(v1, assert(key.parse(v2)):der())
    local pem = "-----BEGIN PRIVATE KEY-----\n" .. core.base64.encode(v2,
      64) .. "-----END PRIVATE KEY-----\n"
    assert.equal("ed25519", assert(key.parse(pem)).type)
    fails("key_malformed", key.parse(v2 .. "\0"))
    fails("key_malformed", key.parse((v2:gsub("\2\1\1", "\2\1\2", 1))))
  end)

  it("reads the key of RFC 7030 A.4", function()
    assert.equal("rsa:2048", assert(key.parse(vectors.get "7030-a4-serverkeygen-key")).type)
  end)

  it("loads by URI, and says when there is no such store or key", function()
    local k, path = assert(key.generate "ec:P-256"), tmp:path "uri"
    assert(k:save(path))
    assert.is_true(k == assert(key.load("file:" .. path)))
    assert(k:save(path, { passphrase = "abcd" }))
    assert.is_true(k == assert(key.load("file:" .. path, { passphrase = "abcd" })))
    fails("key_passphrase", key.load("file:" .. path))
    local text = fails("key_unsupported", key.load "nosuch:object=k;pin-value=1234")
    assert.is_nil(text:find("1234", 1, true))
    fails("not_found", key.load(tmp:path "absent"))
    fails("not_found", key.load("file:" .. tmp:path "absent"))
    fails("not_found", key.load "file:absent.pem")
    local bare = assert(key.generate "ec:P-256")
    assert(bare:save "relative.key")
    local found = key.load "file:relative.key"
    os.remove "relative.key"
    assert.is_true(bare == found)
  end)

  it("reads all keys of a file", function()
    local a, b = assert(key.generate "ec:P-256"), assert(key.generate "ed25519")
    local path = tmp:path "both.key"
    pki.write(path, "about it\n" .. a:pem() .. "and\n" .. b:pem "abcd")
    fails("key_passphrase", key.load_all(path))
    local both = assert(key.load_all(path, { passphrase = "abcd" }))
    assert.equal(2, #both)
    assert.is_true(both[1] == a and both[2] == b)
    pki.write(path, "nothing")
    assert.matches("both.key: there is no private key", fails("key_malformed", key.load_all(path)))
    pki.write(path, a:pem() .. "-----BEGIN PRIVATE KEY-----\n!!!\n-----END PRIVATE KEY-----\n")
    fails("pem", key.load_all(path))
    pki.write(path, a:pem():rep(16))
    fails("too_large", key.load_all(path))
    fails("not_found", key.load_all(tmp:path "absent"))
  end)

  it("says what OpenSSH's own format is", function()
    local text64 = core.base64.encode("openssh-key-v1\0" .. ("x"):rep(100), 64)
    local text = fails("key_unsupported", key.parse("-----BEGIN OPENSSH PRIVATE KEY-----\n"
      .. text64 .. "-----END OPENSSH PRIVATE KEY-----\n"))
    assert.matches("OpenSSH's own format %(ssh%-keygen", text)
  end)

  it("reads a file with a byte order mark", function()
    local k = assert(key.generate "ec:P-256")
    assert.is_true(k == assert(key.parse("\xef\xbb\xbf" .. k:pem())))
    assert.is_true(k == assert(key.parse("text\n\xef\xbb\xbf" .. k:pem())))
    local items = assert(require("lest.tool.inspect").recognize("\xef\xbb\xbf" .. k:pem()))
    assert.is_true(k == items[1].object)
    for length = 0, 30 do key.parse(("\xef\xbb\xbf" .. k:pem()):sub(1, length)) end
  end)

  it("refuses what is no key", function()
    for _, bytes in ipairs { "", "x", "0\0", "0\3\2\1\0",
      "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" } do
      fails("key_malformed", key.parse(bytes))
    end
    fails("pem", key.parse "-----BEGIN PRIVATE KEY-----\nAAAA\n")
    fails("pem", key.parse "-----BEGIN PRIVATE KEY-----\n!!!\n-----END PRIVATE KEY-----\n")
    fails("too_large", key.parse(("x"):rep(300000)))
    assert.has_error(function() key.parse("x", { password = "y" }) end)
  end)

  it("7030-6-j survives cut and flipped keys", function()
    local ec, ed = assert(key.generate "ec:P-256"):der(), vectors.get
      "8410-10.3-ed25519-v2-pub-attr"
    for _, bytes in ipairs { ec, ed } do
      for len = 0, #bytes - 1 do assert.is_nil(key.parse(bytes:sub(1, len))) end
      for at = 1, #bytes, 2 do
        local bit = 1 << (at % 8)
        local k, err = key.parse(bytes:sub(1,
          at - 1) .. string.char(bytes:byte(at) ~ bit) .. bytes:sub(at + 1))
        assert(k or err.code:find "^key_")
      end
    end
  end)

  it("is closed once", function()
    local k = assert(key.generate "ed25519")
    k:close()
    k:close()
    assert.equal("lest.key (closed)", tostring(k))
    assert.has_error(function() return k.type end)
  end)
end)
