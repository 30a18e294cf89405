-- A certificate and its key, as a configuration names them: what is wrong is told with both keys.
local core = require "lest.core"
local keypair = require "lest.server.config.keypair"
local temporary = require "support.temporary"

describe("a certificate and key of a configuration", function()
  local folder, options, key

  before_each(function()
    folder = temporary.folder()
    options = { cert = folder .. "/ca.pem", key = folder .. "/ca.key" }
    key = assert(core.key.generate "ec:P-256")
    local now = os.time()
    local cert = assert(core.issuer.root { key = key, subject = "CN=ca", not_before = now,
      not_after = now + 60 })
    assert(cert:save(options.cert))
    assert(key:save(options.key))
  end)
  after_each(temporary.clean)

  local function fails(expected)
    local cert, err = keypair.load("ca", options)
    assert.is_nil(cert)
    assert.equal(expected:gsub("%%", folder), tostring(err))
    assert.equal(2, err.exit_code)
  end

  it("says how the passphrase of an encrypted key is named", function()
    assert(key:save(options.key, { passphrase = "secret" }))
    fails("ca.key: %/ca.key: the key is encrypted and needs a passphrase: name it with "
      .. "ca.passphrase_file or ca.passphrase_command")
    options.passphrase_file = temporary.file(folder, "phrase", "wrong\n")
    fails "ca.key: %/ca.key: the key's passphrase is wrong"
    temporary.file(folder, "phrase", "a\0b")
    fails "ca.passphrase_file: it has a NUL byte, which no passphrase has"
    temporary.file(folder, "phrase", "secret\n")
    assert(keypair.load("ca", options))
  end)

  it("says what stands in place of a key or a certificate", function()
    options.key = options.cert
    fails "ca.key: %/ca.pem: private key: the data is a certificate"
    options.key = folder .. "/ca.key"
    options.cert = options.key
    fails "ca.cert: %/ca.key: certificate: the data is a private key"
  end)

  it("names both where they are no pair, and a URI, which may have a PIN, not", function()
    local cert, other = core.cert.load(options.cert), assert(core.key.generate "ec:P-384")
    local function blame(with)
      local issuer, err = core.issuer.new { cert = cert, key = with }
      assert.is_nil(issuer)
      return tostring(select(2, keypair.blame("ca", options, cert, with, err)))
    end
    local words = "the key (ec:P-384) is not that of the certificate " .. options.cert
      .. " (ec:P-256)"
    assert.equal("ca.key: " .. options.key .. ": " .. words, blame(other))
    options.key = "pkcs11:object=x?pin-value=1234"
    assert.equal("ca.key: " .. words, blame(other))
  end)
end)
