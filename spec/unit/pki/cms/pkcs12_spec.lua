-- A key and its certificates in one file, as `openssl pkcs12` and Java's keytool read them.
local core = require "lest.core"
local pki = require "support.pki"
local process = require "support.process"

describe("pkcs12.build", function()
  local ca, root, leaf, key
  setup(function()
    ca = pki.new()
    root = ca:root "root"
    leaf = ca:issue("leaf", { by = root })
    key = assert(core.key.load(leaf.key))
  end)
  teardown(function() pki.sh("rm -rf " .. process.quote(ca.folder)) end)

  local function build(more)
    local options = { key = key, cert = leaf.cert, chain = { root.cert }, password = "s3cret",
      name = "dev9" }
    for name, value in pairs(more or {}) do options[name] = value end
    local bytes, err = core.pkcs12.build(options)
    return bytes and pki.write(ca:path "made.p12", bytes), err
  end

  local function read(path, ...)
    return process.must { "openssl", "pkcs12", "-in", path, "-nodes", "-passin", "pass:s3cret",
      ... }
  end

  for name, algorithms in pairs { modern = { legacy = false, "PBES2, PBKDF2, AES%-256%-CBC",
      "MAC: sha256" }, legacy = { legacy = true, "pbeWithSHA1And3%-KeyTripleDES%-CBC",
      "MAC: sha1" } } do
    it("writes what openssl reads, with algorithms that are " .. name, function()
      local path = build { legacy = algorithms.legacy }
      local text = read(path)
      assert.equal(key, core.key.parse(text))
      local certs = assert(core.cert.parse_all(text))
      assert.same({ leaf.cert:pem(), root.cert:pem() }, { certs[1]:pem(), certs[2]:pem() })
      assert.matches("friendlyName: dev9", text)
      local _, _, info = process.run { "openssl", "pkcs12", "-in", path, "-info", "-noout",
        "-passin", "pass:s3cret" }
      for _, pattern in ipairs(algorithms) do assert.matches(pattern, info) end
    end)
  end

  it("writes what keytool reads", function()
    local out = process.must { "keytool", "-list", "-storetype", "PKCS12", "-storepass", "s3cret",
      "-keystore", build() }
    assert.matches("dev9.*PrivateKeyEntry", out)
  end)

  it("refuses a certificate of another key, and no password", function()
    local none, err = build { cert = root.cert }
    assert.is_nil(none)
    assert.equal("usage", err.code)
    assert.has_error(function() build { password = "" } end)
    assert.has_error(function() build { password = "a\0b" } end)
    assert.has_error(function() build { chain = { "x" } } end)
  end)
end)
