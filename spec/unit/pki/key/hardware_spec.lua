-- Keys in hardware: by the scheme of a URI, and never out of it.
local hardware = require "support.hardware"
local process = require "support.process"

-- What both are asked: a signature, and whether the key gets out.
local COMMON <const> = [[
  local core = require "lest.core"
  local function show(...)
    local value, err = ...
    print(value == nil and err.code .. ": " .. tostring(err) or value)
    return value
  end
  local function try(key)
    local csr = assert(core.csr.build { key = key, subject = "CN=dev9" })
    io.write(csr:pem())
    show(key:der())
    show(key:pem "passphrase")
  end
]]

-- What tokens' libraries leave at their end is a leak to a sanitizer, and not ours.
local LEAKS <const> = LEST_PREFIX:find "asan" and "needs a build without sanitizers"

describe("a key in a token (PKCS#11)", function()
  local token, missing
  setup(function() token, missing = hardware.token "dev9" end)
  teardown(function() if token then token:stop() end end)

  local function run(script)
    local path = token.folder .. "/script.lua"
    process.write(path, COMMON .. script)
    local code, out, err = token:run { process.lest, "run", path }
    assert.equal(0, code, err)
    assert.equal("", err)
    return out
  end

  it("signs, and does not leave it", function()
    if not token or LEAKS then return pending(missing or LEAKS) end
    local out = run(([[
      local key = show(core.key.load("%s", { passphrase = "%s" }))
      try(key)
      show(key:pem())
      show(key:save "out.key")]]):format(token.uri, token.pin))
    assert.matches("^lest.key ec:P%-256\n", out)
    local _, count = out:gsub("crypto: the private key does not leave its token", "")
    assert.equal(4, count)
    assert.equal("", process.must({ "openssl", "req", "-verify", "-noout" },
      { stdin = out:match "%-%-%-%-%-BEGIN.*REQUEST%-%-%-%-%-\n" }))
  end)

  it("is given by its PIN alone", function()
    if not token or LEAKS then return pending(missing or LEAKS) end
    assert.equal("key_passphrase: the token needs its PIN\n",
      run(("show(core.key.load '%s')"):format(token.uri)))
    assert.equal("key_passphrase: the token does not take the PIN\n",
      run(("show(core.key.load('%s', { passphrase = '0000' }))"):format(token.uri)))
  end)

  it("that is not there is not found, and no error holds a PIN", function()
    if not token or LEAKS then return pending(missing or LEAKS) end
    local out = run "show(core.key.load 'pkcs11:token=lest;object=none;pin-value=1234')"
    assert.matches("^not_found: no private key found by 'pkcs11:...'", out)
    assert.not_matches("1234", out, 1, true)
  end)

  it("does not bring its engine in where no URI asks for it", function()
    if not token or LEAKS then return pending(missing or LEAKS) end
    local out = run(([[
      local function has_engine()
        return tostring(assert(core.file.read "/proc/self/maps"):find("pkcs11", 1, true) ~= nil)
      end
      show(core.key.generate "ec:P-256")
      print(has_engine())
      show(core.key.load("%s", { passphrase = "%s" }))
      print(has_engine())]]):format(token.uri, token.pin))
    assert.equal("lest.key ec:P-256\nfalse\nlest.key ec:P-256\ntrue\n", out)
  end)
end)

describe("a key of a TPM", function()
  local tpm, missing
  setup(function() tpm, missing = hardware.tpm() end)
  teardown(function() if tpm then tpm:stop() end end)

  local function run(script)
    local path = tpm.folder .. "/script.lua"
    process.write(path, COMMON .. script)
    local code, out, err = tpm:run({ process.lest, "run", path }, { dir = tpm.folder })
    assert.equal(0, code, err)
    assert.equal("", err)
    return out
  end

  it("is made by it, kept in a file that it alone reads, and signs", function()
    if not tpm or LEAKS then return pending(missing or LEAKS) end
    local out = run [[
      do
        local key <close> = show(core.key.generate "tpm2:ec:P-256")
        assert(key:save "key.pem")
      end
      local key = show(core.key.load "tpm2:key.pem")
      try(key)]]
    assert.matches("^lest.key ec:P%-256\nlest.key ec:P%-256\n", out)
    assert.equal("", process.must({ "openssl", "req", "-verify", "-noout" },
      { stdin = out:match "%-%-%-%-%-BEGIN.*REQUEST%-%-%-%-%-\n" }))
    local _, count = out:gsub("crypto: the private key does not leave its token", "")
    assert.equal(2, count)
    local path = tpm.folder .. "/key.pem"
    assert.matches("^%-%-%-%-%-BEGIN TSS2 PRIVATE KEY", process.read(path))
    assert.equal("600", process.capture("stat -c %a " .. path))
  end)

  it("is read as such where it is named so, and other files are not", function()
    if not tpm or LEAKS then return pending(missing or LEAKS) end
    local out = run [[
      show(core.key.load "key.pem")
      assert(assert(core.key.generate "ec:P-256"):save "soft.pem")
      show(core.key.load "tpm2:soft.pem")
      show(core.key.load "tpm2:none.pem")]]
    assert.matches("^key_unsupported: key.pem: .*name its file as 'tpm2:FILE'\n"
      .. "key_malformed: soft.pem holds no key of a TPM .*\nnot_found: ", out)
  end)

  it("is of a curve", function()
    if not tpm or LEAKS then return pending(missing or LEAKS) end
    local out = run "show(core.key.generate 'tpm2:ed25519') show(core.key.generate 'tpm2:rsa:2048')"
    assert.matches("^key_unsupported: .*\nkey_unsupported: .*as in tpm2:ec:P%-256\n", out)
  end)

  it("is an error where no TPM answers", function()
    if not tpm or LEAKS then return pending(missing or LEAKS) end
    process.write(tpm.folder .. "/script.lua", COMMON
      .. "show(core.key.generate 'tpm2:ec:P-256') show(core.key.generate 'ec:P-256')")
    local code, out, err = process.run { "env", "TPM2OPENSSL_TCTI=device:/dev/null", process.lest,
      "run", tpm.folder .. "/script.lua" }
    assert.same({ 0, "" }, { code, err })
    assert.matches("^key_unsupported: OpenSSL's provider tpm2 .* does not start .*\nlest.key", out)
  end)
end)
