-- Chains are built and verified to an anchor, with CRLs, as RFC 5280 6 says.
local core = require "lest.core"
local pki = require "support.pki"

local DAY <const> = 86400

describe("store", function()
  local ca, root, sub, leaf, now

  setup(function()
    ca = pki.new()
    now = os.time()
    root = ca:root("root", { subject = "/O=Example/CN=root", days = 60 })
    sub = ca:sub("sub", { by = root, days = 60 })
    leaf = ca:issue("leaf", { by = sub,
      ext = "extendedKeyUsage = clientAuth\nkeyUsage = digitalSignature" })
  end)

  teardown(function() pki.__close(ca) end)

  local function store(...)
    local list = {}
    for i, it in ipairs { ... } do list[i] = it.cert end
    return assert(core.store.new { anchors = list })
  end

  local function refused(reason, trust, cert, options)
    local chain, err = trust:verify(cert, options)
    assert.is_nil(chain)
    assert.equal("cert_untrusted", err.code)
    assert.equal(3, err.exit_code)
    assert.matches(reason, err.message)
    return err
  end

  it("gives the chain from the leaf to the anchor", function()
    local chain = assert(store(root):verify(leaf.cert, { untrusted = { sub.cert } }))
    assert.equal(3, #chain)
    assert.equal(leaf.cert, chain[1])
    assert.equal(sub.cert, chain[2])
    assert.equal(root.cert, chain[3])
  end)

  it("uses the chain of the leaf where no others are given", function()
    assert(store(root):verify(leaf.cert:with_chain { sub.cert }))
    refused("its issuer is not among the trust anchors", store(root), leaf.cert)
    refused("its issuer", store(root), leaf.cert:with_chain { sub.cert }, { untrusted = {} })
  end)

  it("has intermediates at hand for who sends none, and does not trust them", function()
    local trust = assert(core.store.new { anchors = { root.cert },
      intermediates = { sub.cert, sub.cert, root.cert } })
    for _, sent in ipairs { {}, { sub.cert } } do
      assert.equal(3, #assert(trust:verify(leaf.cert, { untrusted = sent })))
    end
    refused("its issuer", assert(core.store.new { intermediates = { sub.cert } }), leaf.cert)
    refused("not among the trust anchors", assert(core.store.new {
      intermediates = { sub.cert, root.cert } }), leaf.cert)
    local many = {}
    for i = 1, 64 do many[i] = root.cert end
    assert(trust:verify(leaf.cert, { untrusted = many })) -- they count for nobody's share
  end)

  it("takes an anchor that is no root, and a leaf as an anchor", function()
    assert.equal(2, #assert(store(sub):verify(leaf.cert)))
    assert.equal(1, #assert(store(leaf):verify(leaf.cert)))
  end)

  it("trusts nobody when empty", function()
    local trust = assert(core.store.new {})
    refused("self%-signed and not among the trust anchors", trust, root.cert)
    refused("CN=sub %(depth 1%) is not trusted: its issuer", trust, leaf.cert,
      { untrusted = { sub.cert } })
  end)

  it("forgives a leaf that it has expired, for so many seconds, and nothing else of its path",
    function()
    local trust, untrusted = store(root), { sub.cert }
    local ends = leaf.cert.not_after
    local function at(seconds, expired)
      return { untrusted = untrusted, at = ends + seconds, expired = expired }
    end
    assert(trust:verify(leaf.cert, at(100, 100)))
    assert(trust:verify(leaf.cert, at(0, 0)))
    for _, case in ipairs { { 101, 100 }, { 1, 0 }, { 1 }, { 1, -1 }, { 1, math.mininteger } } do
      refused("CN=leaf %(depth 0%) is not trusted: certificate has expired", trust, leaf.cert,
        at(case[1], case[2]))
    end
    refused("not yet valid", trust, leaf.cert, { untrusted = untrusted, expired = 10 * DAY,
      at = leaf.cert.not_before - 1 })
    refused("purpose", trust, leaf.cert, { untrusted = untrusted, expired = 100, at = ends + 1,
      purpose = "server" })
    -- The CAs end later, and are forgiven nothing.
    refused("%(depth [12]%) is not trusted: certificate has expired", trust, leaf.cert,
      { untrusted = untrusted, at = sub.cert.not_after + 1, expired = 400 * DAY })
    refused("CN=sub %(depth 0%) is not trusted: certificate has expired", store(sub), sub.cert,
      { at = sub.cert.not_after + 1 })
  end)

  it("forgives that where CRLs are looked at, and no CA, and none that is revoked", function()
    local late = ca:issue("late-fine", { by = sub, days = -1, ext = "keyUsage = digitalSignature" })
    local lost = ca:issue("late-lost", { by = sub, days = -1, ext = "keyUsage = digitalSignature" })
    local crl = ca:crl(sub, { lost })
    local trust = assert(core.store.new { anchors = { root.cert }, crls = { crl } })
    local how = { untrusted = { sub.cert }, expired = 400 * DAY }
    assert(trust:verify(late.cert, how))
    refused("revoked", trust, lost.cert, how)
    how.expired = nil
    refused("has expired", trust, late.cert, how)
    local old = ca:sub("old-sub", { by = root, days = -1 })
    local under = ca:issue("under-old", { by = old, days = -1 })
    local of_root = ca:crl(root, {})
    trust = assert(core.store.new { anchors = { root.cert }, crls = { of_root } })
    refused("CN=old%-sub %(depth 1%) is not trusted: certificate has expired", trust, under.cert,
      { untrusted = { old.cert }, expired = 400 * DAY })
  end)

  it("7030-3.3.1-b refuses what is expired or not yet valid, and names it", function()
    local trust, others = store(root), { sub.cert }
    assert(trust:verify(leaf.cert, { untrusted = others, at = now + 29 * DAY }))
    local err = refused("^certificate CN=leaf %(depth 0%) is not trusted: .*has expired %(2",
      store(sub), leaf.cert, { at = now + 31 * DAY })
    assert.matches("Z%)$", err.message)
    refused("not yet valid", trust, leaf.cert, { untrusted = others, at = now - DAY })
  end)

  it("7030-3.3.1-b refuses a wrong extended key usage", function()
    local others = { sub.cert }
    assert(store(root):verify(leaf.cert, { untrusted = others, purpose = "client" }))
    assert(store(root):verify(leaf.cert, { untrusted = others, purpose = "any" }))
    refused("not meant for this purpose", store(root), leaf.cert, { untrusted = others,
      purpose = "server" })
    local plain = ca:issue("plain", { by = root })
    assert(store(root):verify(plain.cert, { purpose = "server" }))
    local any = ca:issue("any", { by = root, ext = "extendedKeyUsage = anyExtendedKeyUsage" })
    assert(store(root):verify(any.cert))
    refused("not meant for this purpose", store(root), any.cert, { purpose = "client" })
  end)

  it("7030-3.3.1-b refuses a broken signature", function()
    local der = leaf.cert:der()
    local last = der:byte(-1)
    local broken = assert(core.cert.parse(der:sub(1, -2) .. string.char(last ~ 1)))
    refused("signature failure", store(root), broken, { untrusted = { sub.cert } })
  end)

  it("7030-3.3.1-b refuses another CA of the same name", function()
    local other = ca:root("other", { subject = "/O=Example/CN=root" })
    refused("", store(other), leaf.cert, { untrusted = { sub.cert } })
  end)

  it("7030-3.3.1-b refuses an issuer that is no CA", function()
    local from_leaf = ca:issue("from-leaf", { by = leaf })
    refused("", store(root), from_leaf.cert, { untrusted = { leaf.cert, sub.cert } })
    local no_sign = ca:sub("no-sign", { by = root,
      ext = "basicConstraints = CA:TRUE\nkeyUsage = cRLSign" })
    local below = ca:issue("below", { by = no_sign })
    refused("CN=no%-sign", store(root), below.cert, { untrusted = { no_sign.cert } })
  end)

  it("7030-3.3.1-b refuses a path longer than allowed", function()
    local short = ca:sub("short", { by = root,
      ext = "basicConstraints = critical,CA:TRUE,pathlen:0" })
    local deeper = ca:sub("deeper", { by = short })
    local deep = ca:issue("deep", { by = deeper })
    assert(store(root):verify(ca:issue("shallow", { by = short }).cert,
      { untrusted = { short.cert } }))
    refused("CN=short %(depth 2%) is not trusted: path length", store(root), deep.cert,
      { untrusted = { deeper.cert, short.cert } })
  end)

  it("7030-3.3.1-b refuses what name constraints exclude", function()
    local bound = ca:sub("bound", { by = root,
      more = "nameConstraints = critical,permitted;DNS:.example.com" })
    local inside = ca:issue("inside", { by = bound, ext = "subjectAltName = DNS:a.example.com" })
    local outside = ca:issue("outside", { by = bound, ext = "subjectAltName = DNS:a.example.org" })
    assert(store(root):verify(inside.cert, { untrusted = { bound.cert } }))
    refused("CN=outside .*permitted subtree", store(root), outside.cert,
      { untrusted = { bound.cert } })
  end)

  -- Two CAs of one name, as a maker has that changed its key, without key identifiers.
  local NO_IDS <const> = "subjectKeyIdentifier = none\nauthorityKeyIdentifier = none\n"

  it("tries every anchor and every intermediate of a name, in any order (RFC 4158 2.4)", function()
    local makers, devices = {}, {}
    for i = 1, 3 do
      makers[i] = ca:root("maker" .. i, { subject = "/CN=Maker", more = NO_IDS })
      devices[i] = ca:issue("made" .. i, { by = makers[i], ext = NO_IDS })
    end
    for _, order in ipairs { { 1, 2, 3 }, { 3, 2, 1 }, { 2, 3, 1 } } do
      local trust = store(makers[order[1]], makers[order[2]], makers[order[3]])
      for i = 1, 3 do
        local chain = assert(trust:verify(devices[i].cert))
        assert.equal(makers[i].cert, chain[2])
      end
    end
    refused("", store(makers[1], makers[2]), devices[3].cert)
    local subs = {}
    for i = 1, 2 do
      subs[i] = ca:sub("maker-sub" .. i, { by = makers[i], subject = "/CN=Sub", more = NO_IDS })
      devices[i] = ca:issue("sub-made" .. i, { by = subs[i], ext = NO_IDS })
    end
    for _, order in ipairs { { 1, 2 }, { 2, 1 } } do
      for i = 1, 2 do
        assert.equal(3, #assert(store(makers[1], makers[2]):verify(devices[i].cert,
          { untrusted = { subs[order[1]].cert, subs[order[2]].cert } })))
      end
    end
  end)

  it("finds the cross-signed path that leads to an anchor (RFC 4158 2.4)", function()
    local other = ca:root("elsewhere")
    local known = ca:sub("crossed", { by = root })
    local unknown = ca:sub("crossed-too", { by = other, subject = "/CN=crossed",
      same_key = known })
    local crossed_leaf = ca:issue("crossed-leaf", { by = known })
    for _, order in ipairs { { known, unknown }, { unknown, known } } do
      local chain = assert(store(root):verify(crossed_leaf.cert,
        { untrusted = { order[1].cert, order[2].cert } }))
      assert.equal(known.cert, chain[2])
    end
    refused("its issuer is not among", store(root), crossed_leaf.cert,
      { untrusted = { unknown.cert } })
    local past = ca:sub("crossed-past", { by = root, subject = "/CN=crossed", same_key = known,
      days = -1 })
    assert(store(root):verify(crossed_leaf.cert, { untrusted = { past.cert, known.cert } }))
    refused("has expired", store(root), crossed_leaf.cert, { untrusted = { past.cert,
      unknown.cert } })
  end)

  it("uses intermediates that nobody sent, and trusts none of them", function()
    local trust = assert(core.store.new { anchors = { root.cert }, intermediates = { sub.cert } })
    assert.equal(3, #assert(trust:verify(leaf.cert)))
    trust = assert(core.store.new { intermediates = { root.cert, sub.cert } })
    refused("", trust, leaf.cert)
  end)

  it("7030-6-j bounds the search among many certificates of one name", function()
    -- Each of them has signed all others: there are more paths than anybody can try.
    local twin = ca:sub("twin", { by = ca:root "stranger", subject = "/CN=Twin", more = NO_IDS })
    local twins = { twin.cert }
    for i = 1, 12 do
      twins[i + 1] = ca:sub("twin" .. i, { by = twin, subject = "/CN=Twin", same_key = twin,
        more = NO_IDS }).cert
    end
    local lost = ca:issue("lost", { by = twin, ext = NO_IDS })
    refused("", store(root), lost.cert, { untrusted = twins })
  end)

  it("uses no key that no anchor vouches for (RFC 4158 2.4)", function()
    -- They are in nobody's way, and cost nothing.
    local maze = {}
    local nobody = ca:root("nobody", { more = NO_IDS })
    local lone = ca:sub("lone", { by = root, days = 30, more = NO_IDS })
    for i = 1, 8 do
      table.insert(maze, ca:sub("nobody" .. i, { by = nobody, subject = "/CN=nobody",
        same_key = nobody, days = 50, more = NO_IDS }).cert)
      table.insert(maze, ca:sub("lone" .. i, { by = nobody, subject = "/CN=lone",
        same_key = lone, days = 50, more = NO_IDS }).cert)
    end
    table.insert(maze, lone.cert)
    local known = ca:issue("known", { by = lone, ext = NO_IDS })
    assert.equal(3, #assert(store(root):verify(known.cert, { untrusted = maze })))
  end)

  it("5280-4.1.2.5 takes a certificate to the last second of its validity", function()
    local trust, last = store(root), leaf.cert.not_after
    assert(trust:verify(leaf.cert, { untrusted = { sub.cert }, at = last }))
    refused("has expired", trust, leaf.cert, { untrusted = { sub.cert }, at = last + 1 })
    assert(trust:verify(leaf.cert, { untrusted = { sub.cert }, at = leaf.cert.not_before }))
    refused("not yet valid", trust, leaf.cert, { untrusted = { sub.cert },
      at = leaf.cert.not_before - 1 })
    local crl = ca:crl(sub, {}, { days = 50 })
    trust = assert(core.store.new { anchors = { root.cert }, crls = { crl } })
    assert(trust:verify(leaf.cert, { untrusted = { sub.cert }, at = last }))
  end)

  it("5280-4.2.1.10 refuses a wildcard that covers what a CA excludes (RFC 9525 6.3)", function()
    local bound = ca:sub("excluding", { by = root,
      more = "nameConstraints = critical,excluded;DNS:bar.example.com" })
    local function leaf_for(name, san)
      return ca:issue(name, { by = bound, ext = "subjectAltName = " .. san }).cert
    end
    local how = { untrusted = { bound.cert } }
    assert(store(root):verify(leaf_for("far", "DNS:*.example.org,DNS:foo.example.com"), how))
    assert(store(root):verify(leaf_for("deeper", "DNS:*.foo.example.com"), how))
    for i, san in ipairs { "DNS:bar.example.com", "DNS:a.bar.example.com", "DNS:*.example.com",
      "DNS:foo.example.com,DNS:*.Example.COM", "DNS:*.bar.example.com" } do
      refused("depth 0.*excluded subtree", store(root), leaf_for("near" .. i, san), how)
    end
  end)

  it("takes what others made with its flaws, and names them", function()
    local old = ca:root "old"
    assert.same({}, old.cert.flaws)
    ca:forge(old, old, function(tbs) return (tbs:gsub("\1\1\xff", "\1\1\1")) end)
    assert.matches("BOOLEAN", old.cert.flaws[1])
    assert.is_true(old.cert.is_ca)
    assert.is_true(old.cert.extensions[2].critical)
    local device = ca:issue("odd-device", { by = old,
      ext = "subjectAltName = DNS:device-001,DNS:good.example,email:a@b" })
    ca:forge(device, old, function(tbs) return (tbs:gsub("device%-001", "device 001")) end)
    assert.same({ "DNS:good.example", "email:a@b" }, device.cert.san)
    assert.same({ "DNS:device 001" }, device.cert.san_unusable)
    assert.same({ "an alternative name cannot be used (RFC 5280 4.2.1.6)" }, device.cert.flaws)
    assert.is_true(device.cert:matches_host "good.example")
    assert.is_false(device.cert:matches_host "device 001")
    assert(store(old):verify(device.cert))
    ca:forge(device, old, function(tbs) return (tbs:gsub("device 001", "device\0\xff01")) end)
    assert.same({ "DNS:#64657669636500ff3031" }, device.cert.san_unusable)
  end)

  it("takes a name in the wrong letters as bytes, which are never signed", function()
    local device = ca:issue("wrong-letters", { by = root, subject = "/serialNumber=Mxller/CN=w" })
    ca:forge(device, root, function(tbs) return (tbs:gsub("Mxller", "M\xfcller")) end)
    local subject = device.cert.subject
    assert.same({ "serialNumber", "#13064dfc6c6c6572", der = true }, subject[1])
    assert.equal("w", subject.CN)
    assert.equal("CN=w,serialNumber=#13064dfc6c6c6572", tostring(subject))
    assert.same({ "a name has characters that their type does not allow (RFC 5280 4.1.2.4)" },
      device.cert.flaws)
    assert(store(root):verify(device.cert))
    local issuer = assert(core.issuer.new { cert = root.cert, key = core.key.load(root.key) })
    local made, err = issuer:issue { public_key = core.key.generate("ec:P-256"):public_der(),
      subject = subject, not_before = os.time(), not_after = os.time() + 60 }
    assert.is_nil(made)
    assert.matches("name has characters", err.message)
  end)

  it("takes the largest path length", function()
    local large = ca:root("large", {
      ext = "basicConstraints = critical,CA:TRUE,pathlen:2147483647\n" })
    assert.equal(2147483647, large.cert.path_len)
    local below = ca:sub("below-large", { by = large })
    assert(store(large):verify(ca:issue("leaf-large", { by = below }).cert,
      { untrusted = { below.cert } }))
  end)

  it("refuses an unknown critical extension (RFC 5280 4.2)", function()
    local odd = ca:issue("odd", { by = root, ext = "1.2.3.4 = critical,ASN1:NULL" })
    refused("unhandled critical extension", store(root), odd.cert)
    local odd_sub = ca:sub("odd-sub", { by = root, more = "1.2.3.4 = critical,ASN1:NULL" })
    refused("CN=odd%-sub %(depth 1%) is not trusted: unhandled critical", store(root),
      ca:issue("under-odd", { by = odd_sub }).cert, { untrusted = { odd_sub.cert } })
  end)

  it("7030-6-r refuses weak keys and digests", function()
    local weak = ca:issue("weak", { by = root, key = "rsa:1024" })
    refused("key too weak", store(root), weak.cert)
    local sha1 = ca:issue("sha1", { by = root, digest = "sha1" })
    refused("digest algorithm too weak", store(root), sha1.cert)
  end)

  it("checks the leaf against the CRLs of its issuer", function()
    local gone = ca:issue("gone", { by = sub })
    local fine = ca:issue("fine", { by = sub })
    local crl = ca:crl(sub, { gone }, { days = 2 })
    local trust = assert(core.store.new { anchors = { root.cert }, crls = { crl } })
    local how = { untrusted = { sub.cert } }
    assert.equal(3, #assert(trust:verify(fine.cert, how)))
    refused("CN=gone %(depth 0%) is not trusted: certificate revoked", trust, gone.cert, how)
    refused("CRL has expired", trust, fine.cert, { untrusted = { sub.cert }, at = now + 3 * DAY })
    -- The anchor may be the issuer itself.
    local partial = assert(core.store.new { anchors = { sub.cert }, crls = { crl } })
    assert(partial:verify(fine.cert))
    refused("revoked", partial, gone.cert)
  end)

  it("accepts a leaf without a CRL of its issuer, unless one is required", function()
    local crl = ca:crl(sub, {})
    local direct = ca:issue("direct", { by = root })
    local options = { anchors = { root.cert }, crls = { crl } }
    assert(assert(core.store.new(options)):verify(direct.cert))
    refused("no CRL of its issuer, and one is required", assert(core.store.new(options)),
      direct.cert,
      { crl_required = true })
    options.crl_required = true
    local strict = assert(core.store.new(options))
    refused("no CRL of its issuer, and one is required", strict, direct.cert)
    local how = { untrusted = { sub.cert } }
    refused("CN=sub %(depth 1%) is not trusted: there is no CRL of its issuer", strict, leaf.cert,
      how)
    options.crls[2] = ca:crl(root, {})
    assert(assert(core.store.new(options)):verify(leaf.cert, how))
    -- The anchor ends the path and needs none.
    options.anchors, options.crls = { sub.cert }, { crl }
    assert(assert(core.store.new(options)):verify(leaf.cert))
  end)

  it("checks every CA below the anchor against the CRLs of its issuer", function()
    local lost = ca:sub("lost", { by = root })
    local under = ca:issue("under-lost", { by = lost })
    local crls = { (ca:crl(root, { lost }, { days = 2 })), (ca:crl(lost, {}, { days = 9 })) }
    local trust = assert(core.store.new { anchors = { root.cert }, crls = crls })
    local how = { untrusted = { lost.cert } }
    refused("CN=lost %(depth 1%) is not trusted: certificate revoked", trust, under.cert, how)
    how.crl_required = true
    refused("CN=lost %(depth 1%) is not trusted: certificate revoked", trust, under.cert, how)
    refused("CN=sub %(depth 1%) is not trusted: CRL has expired", trust, leaf.cert,
      { untrusted = { sub.cert }, at = now + 3 * DAY })
    -- Two below each other, the upper one revoked.
    local inner = ca:sub("inner", { by = lost })
    local deep = ca:issue("deep-under-lost", { by = inner })
    refused("CN=lost %(depth 2%)", trust, deep.cert, { untrusted = { inner.cert, lost.cert } })
    -- Whoever makes a revoked CA an anchor trusts it.
    local anchored = assert(core.store.new { anchors = { lost.cert }, crls = crls })
    assert(anchored:verify(under.cert))
  end)

  it("does not believe a CRL that the issuer did not sign", function()
    local other = ca:root("false-sub", { subject = "/CN=sub" })
    local forged = ca:crl(other, { leaf })
    local trust = assert(core.store.new { anchors = { root.cert }, crls = { forged } })
    refused("CN=leaf", trust, leaf.cert, { untrusted = { sub.cert } })
  end)

  it("raises for a programmer's mistakes", function()
    assert.error_matches(function() core.store.new { anchor = {} } end, "did you mean 'anchors'")
    assert.error_matches(function() core.store.new { anchors = { "x" } } end, "entry 1 is a string")
    assert.error_matches(function() core.store.new { crls = { root.cert } } end, "entry 1")
    assert.error_matches(function() store(root):verify(leaf.cert, { purpose = "sever" }) end,
      "sever")
    assert.error_matches(function() store(root):verify(leaf.cert, { untrusted = leaf.cert }) end,
      "untrusted")
  end)

  it("refuses more certificates than a chain can have", function()
    local many = {}
    for i = 1, 65 do many[i] = sub.cert end
    local chain, err = store(root):verify(leaf.cert, { untrusted = many })
    assert.is_nil(chain)
    assert.equal("too_large", err.code)
  end)
end)
