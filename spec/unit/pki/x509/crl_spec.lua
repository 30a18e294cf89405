-- CRLs are read, searched and verified with their issuer.
local core = require "lest.core"
local pki = require "support.pki"

describe("crl", function()
  local ca, root, gone, kept, crl, path

  setup(function()
    ca = pki.new()
    root = ca:root("root", { subject = "/O=Example/CN=root" })
    gone = ca:issue("gone", { by = root, serial = "0x00c0ffee" })
    kept = ca:issue("kept", { by = root })
    crl, path = ca:crl(root, { gone }, { days = 2 })
  end)

  teardown(function() pki.__close(ca) end)

  local function fails(bytes, code, pattern)
    local value, err = core.crl.parse(bytes)
    assert.is_nil(value)
    assert.equal(code, err.code)
    if pattern then assert.matches(pattern, err.message) end
  end

  it("has every field", function()
    assert.equal(root.cert.subject, crl.issuer)
    assert.equal(root.cert.subject_der, crl.issuer_der)
    assert.equal(2 * 86400, crl.next_update - crl.this_update)
    assert.is_true(math.abs(crl.this_update - os.time()) < 60)
    assert.equal("0f", crl.number)
    assert.equal(root.cert.ski, crl.aki)
    assert.equal("ecdsa-with-SHA256", crl.signature_algorithm)
    assert.equal(2, crl.version)
    assert.equal(1, crl.count)
    assert.equal("crlNumber", crl.extensions[2].name)
  end)

  it("lists and finds what is revoked", function()
    local entry = crl.entries[1]
    assert.same({ "c0ffee", "keyCompromise" }, { entry.serial, entry.reason })
    assert.is_true(math.abs(entry.date - os.time()) < 60)
    assert.same(entry, crl:find(gone.cert.serial))
    assert.same(entry, crl:find("00C0FFEE"))
    assert.is_nil(crl:find(kept.cert.serial))
    assert.error_matches(function() crl:find("xyz") end, "serial number in hex")
    assert.error_matches(function() crl:find("") end, "serial number in hex")
  end)

  it("may be empty", function()
    local empty = ca:crl(ca:root("empty"), {})
    assert.same({}, empty.entries)
    assert.is_nil(empty:find("01"))
  end)

  it("verifies with its issuer only", function()
    assert.is_true(crl:verify(root.cert))
    local _, err = crl:verify(kept.cert)
    assert.equal("cert_untrusted", err.code)
    assert.matches("another issuer", err.message)
    local false_root = ca:root("false", { subject = "/O=Example/CN=root" })
    _, err = crl:verify(false_root.cert)
    assert.matches("signature does not verify", err.message)
    local no_crls = ca:root("no-crls", { subject = "/O=Example/CN=root", same_key = root,
      ext = "basicConstraints = CA:TRUE\nkeyUsage = keyCertSign" })
    _, err = crl:verify(no_crls.cert)
    assert.matches("key usage does not allow", err.message)
  end)

  it("tells PEM and DER apart by looking", function()
    assert.equal(crl, assert(core.crl.parse(crl:der())))
    assert.equal(crl, assert(core.crl.parse(crl:pem())))
    assert.equal(pki.read(path), crl:pem())
    assert.equal(crl, assert(core.crl.load(path)))
    local text = pki.sh("openssl crl -text -in " .. path)
    assert.equal(crl, assert(core.crl.parse(text)))
  end)

  it("refuses what is no CRL", function()
    local der = crl:der()
    fails("", "crl_malformed")
    fails("hello", "crl_malformed", "neither DER nor PEM")
    fails(root.cert:der(), "crl_malformed")
    fails(root.cert:pem(), "crl_malformed", "the data is a certificate")
    fails(crl:pem():rep(2), "crl_malformed", "more than one")
    fails(der .. "\0", "crl_malformed", "followed by more data")
    for cut = 1, #der - 1, 3 do fails(der:sub(1, cut), "crl_malformed") end
    for i = 1, #der do
      local changed = core.crl.parse(der:sub(1, i - 1) .. string.char(der:byte(i) ~ 0xff) ..
        der:sub(i + 1))
      if changed then
        local _ = { changed.issuer, changed.entries, changed.number, changed.extensions }
        assert.is_nil(changed:verify(root.cert))
      end
    end
    local _, err = core.crl.load(ca:path "missing.crl")
    assert.equal("not_found", err.code)
  end)
end)
