-- What stands in a file where a key, a certificate, a CSR or a CRL is wanted is named as it is.
local core = require "lest.core"
local pki = require "support.pki"

describe("a file of another kind than is wanted", function()
  local ca

  local BAG <const> = "a PKCS#7 bag (`openssl pkcs7 -in FILE -print_certs` takes it apart)"
  local IS <const> = "the data is "

  -- What is said of each file; those with both forms are in FORMS.
  local SAID <const> = {
    ["old.der"] = IS .. "a certificate", ["rsa.der"] = IS .. "a private key",
    ["bag.p12"] = IS .. "a PKCS#12 file (`openssl pkcs12 -in FILE -nodes` takes it apart), which is"
      .. " not read",
    ["parameters.pem"] = IS .. "the parameters of a key",
    text = IS .. "neither DER nor PEM", empty = "there is no data",
  }
  local FORMS <const> = {
    cert = { "a certificate", "openssl x509 -in {cert}" },
    csr = { "a certificate request", "openssl req -new -key {key} -subj /CN=x" },
    public = { "a public key", "openssl pkey -in {key} -pubout" },
    key = { "a private key", "openssl pkcs8 -topk8 -nocrypt -in {key}" },
    ec = { "a private key", "openssl ec -in {key}" },
    encrypted = { "an encrypted private key", "openssl pkcs8 -topk8 -in {key} -passout pass:x" },
    crl = { "a CRL", "openssl crl -in {crl}" },
    bag = { BAG, "openssl crl2pkcs7 -nocrl -certfile {cert}" },
  }

  setup(function()
    ca = pki.new()
    local root = ca:root "root"
    local leaf = ca:issue("leaf", { by = root })
    local _, crl = ca:crl(root, { leaf })
    local function make(command)
      pki.sh(("cd %s && %s"):format(ca.folder, (command:gsub("{(%w+)}", { cert = leaf.path,
        key = leaf.key, crl = crl }))))
    end
    for name, what in pairs(FORMS) do
      for _, form in ipairs { "pem", "der" } do
        make(("%s -outform %s -out %s.%s"):format(what[2], form, name, form))
        SAID[name .. "." .. form] = IS .. what[1]
      end
    end
    make "openssl genrsa 2048 | openssl rsa -traditional -outform der -out rsa.der"
    make "openssl x509 -req -in csr.pem -key {key} -outform der -out old.der" -- of version 1
    make "openssl pkcs12 -export -in {cert} -inkey {key} -passout pass:x -out bag.p12"
    make "openssl ecparam -name P-256 -out parameters.pem"
    make "echo hello > text; : > empty"
  end)
  teardown(function() pki.__close(ca) end)

  local function expect(noun, load, own)
    for name, said in pairs(SAID) do
      local made, err = load(ca:path(name))
      if own[name] then
        assert.truthy(made or err.code == "key_passphrase", name)
      else
        assert.is_nil(made)
        said = noun .. said
        assert.equal(said, err.message:sub(-#said), name)
      end
    end
  end

  local function reader(parse)
    return function(path) return parse(pki.read(path)) end
  end

  it("is named where a certificate is wanted", function()
    expect("certificate: ", core.cert.load,
      { ["cert.pem"] = true, ["cert.der"] = true, ["old.der"] = true })
  end)

  it("is named where a CSR is wanted", function()
    expect("CSR: ", reader(core.csr.parse), { ["csr.pem"] = true, ["csr.der"] = true })
  end)

  it("is named where a CRL is wanted", function()
    expect("CRL: ", core.crl.load, { ["crl.pem"] = true, ["crl.der"] = true })
  end)

  it("is named where a private key is wanted", function()
    expect("", core.key.load, { ["key.pem"] = true, ["key.der"] = true, ["ec.pem"] = true,
      ["ec.der"] = true, ["rsa.der"] = true, ["encrypted.pem"] = true, ["encrypted.der"] = true })
  end)

  it("is no such file where a key is encrypted", function()
    for _, name in ipairs { "encrypted.pem", "encrypted.der" } do
      local key, err = core.key.load(ca:path(name))
      assert.is_nil(key)
      assert.equal(ca:path(name) .. ": the key is encrypted and needs a passphrase", tostring(err))
      key, err = core.key.load(ca:path(name), { passphrase = "wrong" })
      assert.is_nil(key)
      assert.equal(ca:path(name) .. ": the key's passphrase is wrong", tostring(err))
    end
  end)
end)
