-- CRLs are written as RFC 5280 section 5 asks, and read alike by OpenSSL and by us.
local core = require "lest.core"
local pki = require "support.pki"
local process = require "support.process"

local NOW <const> = 1735689600 -- 2025-01-01

describe("a new CRL", function()
  local folder, key, cert, issuer

  setup(function()
    folder = process.folder()
    key = assert(core.key.generate "ec:P-256")
    cert = assert(core.issuer.root { key = key, subject = "O=Example,CN=root", not_before = NOW,
      not_after = NOW + 40 * 365 * 86400 })
    issuer = assert(core.issuer.new { cert = cert, key = key })
  end)
  teardown(function() os.execute("rm -r " .. folder) end)

  local function sign(draft, plan)
    local all = { number = 1, this_update = NOW, next_update = NOW + 86400 }
    for name, value in pairs(plan or {}) do all[name] = value end
    return issuer:sign_crl(draft, all)
  end

  local function draft_of(...)
    local draft = core.crl.draft()
    for _, entry in ipairs { ... } do assert(draft:add(table.unpack(entry, 1, 3))) end
    return draft
  end

  it("says what it was made of, and verifies", function()
    local draft <close> = draft_of({ "00c0ffee", NOW - 1, "keyCompromise" },
      { "80", NOW, "unspecified" }, { "7f", NOW + 1 }, { "01", NOW, "superseded" })
    assert.equal(4, draft.count)
    local sealed <close> = assert(sign(draft, { number = 1735689600 }))
    local crl = assert(core.crl.parse(sealed:bytes()))
    assert.is_true(crl:verify(cert))
    assert.same({ 2, NOW, NOW + 86400, 4, "ecdsa-with-SHA256", cert.ski, cert.subject_der },
      { crl.version, crl.this_update, crl.next_update, crl.count, crl.signature_algorithm, crl.aki,
        crl.issuer_der })
    assert.equal(("%08x"):format(1735689600), crl.number)
    assert.same({ { serial = "c0ffee", date = NOW - 1, reason = "keyCompromise" },
      { serial = "80", date = NOW }, { serial = "7f", date = NOW + 1 },
      { serial = "01", date = NOW, reason = "superseded" } }, crl.entries)
    assert.same({ "authorityKeyIdentifier", "crlNumber" },
      { crl.extensions[1].name, crl.extensions[2].name })
    for _, extension in ipairs(crl.extensions) do assert.is_falsy(extension.critical) end
  end)

  it("is read by openssl, with its number, and times after 2049", function()
    local late = 2556144000 -- 2051-01-01
    local draft <close> = draft_of { "c0ffee", late - 1, "cessationOfOperation" }
    local sealed <close> = assert(sign(draft, { this_update = late, next_update = late + 60 }))
    process.write(folder .. "/crl", sealed:bytes())
    process.write(folder .. "/ca.pem", cert:pem())
    local text = process.must { "openssl", "crl", "-inform", "DER", "-in", folder .. "/crl",
      "-noout", "-text", "-CAfile", folder .. "/ca.pem" }
    for _, part in ipairs { "Version 2 (0x1)", "Last Update: Jan  1 00:00:00 2051 GMT",
      "Next Update: Jan  1 00:01:00 2051 GMT", "X509v3 CRL Number: \n                1\n",
      "Serial Number: C0FFEE", "Cessation Of Operation" } do
      assert.truthy(text:find(part, 1, true), part)
    end
    local parsed = process.must { "openssl", "asn1parse", "-inform", "DER", "-in",
      folder .. "/crl" }
    assert.equal(3, select(2, parsed:gsub("GENERALIZEDTIME", "")))
  end)

  it("5280-5.1.2.6 has no list where nothing was revoked", function()
    local draft <close> = core.crl.draft()
    local sealed <close> = assert(sign(draft))
    local crl = assert(core.crl.parse(sealed:bytes()))
    assert.equal(0, crl.count)
    process.write(folder .. "/crl", sealed:bytes())
    assert.matches("No Revoked Certificates", process.must { "openssl", "crl", "-inform", "DER",
      "-in", folder .. "/crl", "-noout", "-text" })
  end)

  it("is the same for the same plan, but for the signature", function()
    local function content()
      local draft <close> = draft_of({ "01", NOW, "superseded" }, { "02", NOW })
      local sealed <close> = assert(sign(draft))
      local crl = assert(core.crl.parse(sealed:bytes()))
      local der = crl:der()
      return der:sub(5, der:find(cert.ski:gsub("..", function(hex)
        return string.char(tonumber(hex, 16))
      end), 1, true))
    end
    assert.is_true(content() == content())
  end)

  it("takes no entry that cannot be said", function()
    local draft <close> = core.crl.draft()
    for _, serial in ipairs { "", "0", "xy", "-01", ("ab"):rep(21), ("ab"):rep(40) } do
      local ok, err = draft:add(serial, NOW)
      assert.is_nil(ok, serial)
      assert.equal("issue", err.code, serial)
    end
    for _, reason in ipairs { "certificateHold", "removeFromCRL" } do
      local ok, err = draft:add("01", NOW, reason)
      assert.is_nil(ok)
      assert.equal("issue", err.code)
    end
    assert.has_error(function() draft:add("01", NOW, "unlucky") end)
    assert(draft:add(("ab"):rep(20), NOW))
    assert.equal(1, draft.count)
  end)

  it("is not made with times that say nothing, or by a CA that may not", function()
    local draft <close> = core.crl.draft()
    for _, plan in ipairs { { next_update = NOW }, { next_update = NOW - 1 }, { this_update = -1 },
      { number = -1 }, { next_update = 253402300800 } } do
      local sealed, err = sign(draft, plan)
      assert.is_nil(sealed)
      assert.equal("issue", err.code)
    end
    local ca <close> = pki.new()
    local other = ca:root("other", {
      ext = "basicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign\n" })
    local signer = assert(core.issuer.new { cert = other.cert,
      key = assert(core.key.load(other.key)) })
    local sealed, err = signer:sign_crl(draft, { number = 1, this_update = NOW,
      next_update = NOW + 1 })
    assert.is_nil(sealed)
    assert.matches("no cRLSign", err.message)
  end)
end)
