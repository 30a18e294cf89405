-- Random secrets, hashes, scrypt and the comparison in constant time, by published vectors.
local core = require "lest.core"
local secret = core.secret

local function hex(bytes)
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

describe("secret", function()
  it("makes texts of 128 random bits that people can type and no option parser mistakes", function()
    local seen = {}
    for _ = 1, 200 do
      local text = assert(secret.random(16))
      assert.matches("^[a-z2-7]+$", text)
      assert.equal(26, #text)
      assert.is_nil(seen[text])
      seen[text] = true
    end
    assert.equal(2, #secret.random(1))
    assert.equal(8, #secret.random(5))
    assert.equal(24, #secret.random_bytes(24))
    assert.error_matches(function() secret.random(0) end, "between 1 and 1024")
  end)

  it("hashes as FIPS 180-4 and RFC 4231 say", function()
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
      secret.sha256 "abc")
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      secret.sha256 "")
    assert.equal("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
      hex(secret.hmac_sha256("Jefe", "what do ya want for nothing?")))
    assert.equal(32, #secret.hmac_sha256("", ""))
    -- RFC 2202 3, and FIPS 180-1
    assert.equal("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
      hex(secret.hmac_sha1("Jefe", "what do ya want for nothing?")))
    assert.equal("a9993e364706816aba3e25717850c26c9cd0d89d", hex(secret.sha1 "abc"))
  end)

  it("compares whole strings", function()
    assert.is_true(secret.equal("", ""))
    assert.is_true(secret.equal("a\0b", "a\0b"))
    assert.is_false(secret.equal("a\0b", "a\0c"))
    assert.is_false(secret.equal("a", "ab"))
  end)

  it("computes scrypt as RFC 7914 section 12 has it", function()
    assert.equal("77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442",
      hex(secret.scrypt("", "", { n = 16, r = 1, p = 1 })))
    assert.equal("fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162",
      hex(secret.scrypt("password", "NaCl", { n = 1024, r = 8, p = 16 })))
    assert.equal("7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2",
      hex(secret.scrypt("pleaseletmein", "SodiumChloride")))
  end)

  -- The name, password and salt of RFC 5054 appendix B, in groups of appendix A that are large.
  it("computes verifiers as RFC 5054 2.4 has it, in groups of 2048 bits and up", function()
    local salt = ("BEB25379D1A8581EB5A727673A2441EE"):gsub("%x%x", function(pair)
      return string.char(tonumber(pair, 16))
    end)
    local function verifier(group, more)
      local of = { name = "alice", password = "password123", salt = salt, group = group }
      for key, value in pairs(more or {}) do of[key] = value end
      return secret.srp_verifier(of)
    end
    for group, hash in pairs {
      [2048] = "1a60a3e5e2f7f869622b56a6a33d46f0e53b2c8cb48700b867cd734015bacb7a",
      [3072] = "435a92d655411665fdb58e0f4cc9ef70c4b72a09211b6c4373c8394daa9cc20e",
    } do
      local found = assert(verifier(group))
      assert.equal(group // 8, #found)
      assert.equal(hash, secret.sha256(found))
    end
    assert.equal(1024, #verifier(8192))
    for _, group in ipairs { 0, -2048, 1024, 1536, 2047, 2049, 1 << 40 } do
      local found, err = verifier(group)
      assert.is_nil(found)
      assert.equal("usage", err.code)
    end
    assert.is_nil((verifier(2048, { salt = ("s"):rep(65) })))
    assert.error_matches(function() secret.srp_verifier { name = "a", salt = "s" } end,
      "a name and a password")
  end)

  it("computes scrypt beyond OpenSSL's default memory, and not beyond ours", function()
    assert.equal(32, #assert(secret.scrypt("x", "y", { n = 1 << 16 })))
    local costs = { { n = -2 }, { n = 1 }, { n = 1000 }, { n = 1 << 19 }, { n = 1 << 25 },
      { r = 0 }, { p = 17 } }
    for _, cost in ipairs(costs) do
      assert.error_matches(function() secret.scrypt("x", "y", cost) end, "out of bounds")
    end
  end)
end)
