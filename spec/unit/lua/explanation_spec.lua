-- cert:explain says why a certificate does not verify, with a real chain for each cause.
local core = require "lest.core"
local pki = require "support.pki"

local DAY <const> = 86400

describe("cert:explain", function()
  local ca, root, sub, leaf

  setup(function()
    ca = pki.new()
    root = ca:root("root", { subject = "/O=Example/CN=root", days = 60 })
    sub = ca:sub("sub", { by = root, days = 60 })
    leaf = ca:issue("leaf", { by = sub, ext = "extendedKeyUsage = clientAuth\n"
      .. "keyUsage = digitalSignature\nsubjectAltName = DNS:leaf.example.com" })
  end)

  teardown(function() pki.__close(ca) end)

  local function store(...)
    local list = {}
    for i, it in ipairs { ... } do list[i] = it.cert end
    return assert(core.store.new { anchors = list })
  end

  local function explain(it, trust, options)
    return assert(it.cert:explain(trust, options))
  end

  --- The one path's one fault has this code and depth, and the report says so.
  local function faulted(code, depth, pattern, why)
    assert.is_false(why.ok)
    assert.equal("cert_untrusted", why.error.code)
    local path = why.paths[1]
    local codes = {}
    for i, fault in ipairs(path.faults) do codes[i] = fault.code end
    assert.same({ code }, codes)
    local fault = path.faults[1]
    assert.equal(depth, fault.depth)
    assert.equal(path.chain[depth + 1], fault.cert)
    assert.matches(pattern, fault.text)
    assert.is_truthy(tostring(why):find(fault.text, 1, true))
    return fault, why
  end

  local function below(...)
    local chain = {}
    for i, it in ipairs { ... } do chain[i] = it.cert end
    return { chain = chain }
  end

  it("says of one that verifies along which path", function()
    local why = explain(leaf, store(root), below(sub))
    assert.is_true(why.ok)
    assert.equal(3, #why.chain)
    assert.is_nil(why.error)
    assert.same({}, why.paths)
    assert.equal("CN=leaf is trusted:\n  CN=leaf  <-  CN=sub  <-  CN=root,O=Example (anchor)",
      tostring(why))
  end)

  it("uses the chain that the certificate brings along", function()
    assert.is_true(leaf.cert:with_chain { sub.cert }:explain(store(root)).ok)
  end)

  it("says which certificate expired when, and what else is wrong with the others", function()
    local at = os.time() + 31 * DAY
    local fault = faulted("expired", 0, "^it expired on %d+%-%d%d%-%d%d .* ago$",
      explain(leaf, store(root), { chain = { sub.cert }, at = at }))
    assert.matches("get a new one", fault.advice)
    local why = explain(leaf, store(root), { chain = { sub.cert }, at = at + 40 * DAY })
    local depths = {}
    for i, each in ipairs(why.paths[1].faults) do
      assert.equal("expired", each.code)
      depths[i] = each.depth
    end
    assert.same({ 0, 1, 2 }, depths)
    local early = explain(leaf, store(root), { chain = { sub.cert },
      at = leaf.cert.not_before - 1 })
    assert.equal("not_yet_valid", early.paths[1].faults[1].code)
    assert.matches("^it begins on %d.*, in ", early.paths[1].faults[1].text)
  end)

  it("names the issuer that is missing", function()
    local fault = faulted("issuer_unknown", 0, "its issuer CN=sub is not at hand",
      explain(leaf, store(root), { chain = {} }))
    assert.same({}, fault.misses)
    local why = explain(leaf, store(ca:root "stranger"), below(sub))
    faulted("issuer_unknown", 1, "its issuer CN=root,O=Example is not at hand", why)
    assert.is_false(why.paths[1].is_anchored)
  end)

  it("says that an anchor of the issuer's name has another key, and both key ids", function()
    local twin = ca:root("twin", { subject = "/O=Example/CN=root" })
    local fault = faulted("issuer_unknown", 1, "CN=root,O=Example", explain(leaf, store(twin),
      below(sub)))
    assert.equal(1, #fault.misses)
    local miss = fault.misses[1]
    assert.equal("key_id", miss.code)
    assert.is_true(miss.is_anchor)
    assert.equal(twin.cert, miss.cert)
    assert.is_truthy(miss.text:find(twin.cert.ski, 1, true))
    assert.is_truthy(miss.text:find(sub.cert.aki, 1, true))
  end)

  it("says that a signature is not of the key that it should be of", function()
    local der = leaf.cert:der()
    local broken = assert(core.cert.parse(der:sub(1, -2) .. string.char(der:byte(-1) ~ 1)))
    local fault = faulted("issuer_unknown", 0, "CN=sub", explain({ cert = broken }, store(sub)))
    assert.equal("signature", fault.misses[1].code)
    assert.matches("^an anchor of that name did not sign it", fault.misses[1].text)
    fault = faulted("issuer_unknown", 0, "CN=sub", explain({ cert = broken }, store(root),
      below(sub)))
    assert.matches("^a certificate of that name did not sign it", fault.misses[1].text)
  end)

  it("says that a root is not trusted", function()
    faulted("root_unknown", 2, "self%-signed", explain(leaf, store(ca:root "other"),
      below(sub, root)))
    faulted("root_unknown", 0, "self%-signed", explain(root, store()))
  end)

  it("says that a path is too long, and that an issuer is no CA", function()
    local short = ca:sub("short", { by = root,
      ext = "basicConstraints = critical,CA:TRUE,pathlen:0" })
    local deeper = ca:sub("deeper", { by = short })
    local deep = ca:issue("deep", { by = deeper })
    faulted("path_length", 2, "it allows 0 CAs below it, and there are 1",
      explain(deep, store(root), below(deeper, short)))
    local plain = ca:issue("plain", { by = root })
    local child = ca:issue("child", { by = plain })
    faulted("not_a_ca", 1, "it is no CA, and has signed CN=child", explain(child, store(root),
      below(plain)))
    local no_sign = ca:sub("no-sign", { by = root,
      ext = "basicConstraints = CA:TRUE\nkeyUsage = cRLSign" })
    local fault = faulted("issuer_unknown", 0, "CN=no%-sign", explain(ca:issue("under",
      { by = no_sign }), store(root), below(no_sign)))
    assert.matches("may not sign certificates: its key usage is cRLSign", fault.misses[1].text)
  end)

  it("says which names a CA does not allow, and which it does", function()
    local bound = ca:sub("bound", { by = root,
      more = "nameConstraints = critical,permitted;DNS:.example.com" })
    local outside = ca:issue("outside", { by = bound, ext = "subjectAltName = DNS:a.example.org" })
    faulted("name_constraints", 0, "DNS:a%.example%.org.* not allowed by CN=bound.*example%.com",
      explain(outside, store(root), below(bound)))
    local without = ca:sub("without", { by = root,
      more = "nameConstraints = critical,excluded;DNS:bar.example.com" })
    local wild = ca:issue("wild", { by = without, ext = "subjectAltName = DNS:*.example.com" })
    faulted("name_constraints", 0, "not allowed by CN=without", explain(wild, store(root),
      below(without)))
  end)

  it("says for what it is, and for which names", function()
    local how = { chain = { sub.cert }, purpose = "server" }
    faulted("purpose", 0, "its extended key usage allows clientAuth, not serverAuth",
      explain(leaf, store(root), how))
    how = { chain = { sub.cert }, purpose = "client", name = "leaf.example.com" }
    assert.is_true(explain(leaf, store(root), how).ok)
    how.name = "other.example.com"
    faulted("name", 0, "it is not for other%.example%.com; its names are DNS:leaf%.example%.com",
      explain(leaf, store(root), how))
    how.purpose = "server"
    local codes = {}
    for i, fault in ipairs(explain(leaf, store(root), how).paths[1].faults) do
      codes[i] = fault.code
    end
    assert.same({ "purpose", "name" }, codes)
    local only_mail = ca:sub("only-mail", { by = root,
      more = "extendedKeyUsage = emailProtection" })
    faulted("purpose", 1, "allows emailProtection, not clientAuth below it",
      explain(ca:issue("mailed", { by = only_mail }), store(root),
        { chain = { only_mail.cert }, purpose = "client" }))
  end)

  it("says that a key or a digest is weak", function()
    faulted("weak_key", 0, "too weak: rsa:1024, 80 bits", explain(ca:issue("weak",
      { by = root, key = "rsa:1024" }), store(root)))
    faulted("weak_digest", 0, "too weak: .*SHA1", explain(ca:issue("sha1", { by = root,
      digest = "sha1" }), store(root)))
  end)

  it("says what CRLs say, and which is missing or over", function()
    local gone = ca:issue("gone", { by = sub })
    local fine = ca:issue("fine", { by = sub })
    local crl = ca:crl(sub, { gone }, { days = 2 })
    local trust = assert(core.store.new { anchors = { root.cert }, crls = { crl } })
    local fault = faulted("revoked", 0, "^it was revoked on %d.* ago", explain(gone, trust,
      below(sub)))
    assert.matches("new key", fault.advice)
    faulted("crl_expired", 0, "the CRL of its issuer CN=sub is over since %d.*1d", explain(fine,
      trust, { chain = { sub.cert }, at = os.time() + 3 * DAY }))
    local early = explain(fine, trust, { chain = { sub.cert }, at = crl.this_update - 30 })
    assert.matches("the CRL of its issuer CN=sub is not yet valid: from %d", tostring(early))
    faulted("crl_missing", 1, "there is no CRL of its issuer CN=root,O=Example", explain(fine,
      trust, { chain = { sub.cert }, crl_required = true }))
    local other = ca:root("sub-too", { subject = "/CN=sub" })
    local foreign = assert(core.store.new { anchors = { root.cert },
      crls = { (ca:crl(other, {})) } })
    faulted("crl_missing", 0, "there is no CRL of its issuer CN=sub", explain(fine, foreign,
      below(sub)))
    local der = crl:der()
    local broken = assert(core.crl.parse(der:sub(1, -2) .. string.char(der:byte(-1) ~ 1)))
    faulted("crl_signature", 0, "was signed by another key", explain(fine, assert(core.store.new {
      anchors = { root.cert }, crls = { broken } }), below(sub)))
  end)

  it("names a critical extension that nothing understands", function()
    faulted("critical_extension", 0, "not understood: 1%.2%.3%.4", explain(ca:issue("odd",
      { by = root, ext = "1.2.3.4 = critical,ASN1:NULL" }), store(root)))
  end)

  it("tells of every path, the nearest to a good one first", function()
    local other = ca:root "elsewhere"
    local known = ca:sub("crossed", { by = root, days = -1 })
    local unknown = ca:sub("crossed-too", { by = other, subject = "/CN=crossed", same_key = known })
    local crossed = ca:issue("crossed-leaf", { by = unknown })
    local why = explain(crossed, store(root), below(unknown, known))
    assert.equal(2, #why.paths)
    assert.is_true(why.paths[1].is_anchored)
    assert.equal("expired", why.paths[1].faults[1].code)
    assert.equal("issuer_unknown", why.paths[2].faults[1].code)
    assert.is_false(why.is_cut)
    assert.matches("\n  path 2: CN=crossed%-leaf  <%-  CN=crossed  <%-  %?\n", tostring(why))
  end)

  it("ends among many certificates of one name, and says that it did", function()
    local none = "subjectKeyIdentifier = none\nauthorityKeyIdentifier = none\n"
    local twin = ca:sub("maze", { by = ca:root "nobody", subject = "/CN=Maze", more = none })
    local twins = { twin }
    for i = 1, 8 do
      twins[i + 1] = ca:sub("maze" .. i, { by = twin, subject = "/CN=Maze", same_key = twin,
        more = none })
    end
    local why = explain(ca:issue("lost", { by = twin, ext = none }), store(root),
      below(table.unpack(twins)))
    assert.is_false(why.ok)
    assert.is_true(why.is_cut)
    assert.is_true(#why.paths <= 16)
    assert.matches("There may be more paths", tostring(why))
  end)

  it("lets no name of a stranger reach the terminal or make a line of its own", function()
    local odd = ca:issue("hostile", { by = root, subject = "/CN=a\27[2J\nis trusted",
      ext = "subjectAltName = DNS:x.example.com" })
    for _, options in ipairs { { name = "h\27]0;t\7\nx" }, {} } do
      local text = tostring(explain(odd, store(sub), options))
      assert.is_nil(text:find("[\0-\9\11-\31\127]"))
      assert.is_nil(text:find "\nis trusted")
    end
    local long = ca:issue("long", { by = root,
      subject = ("/O=" .. ("x"):rep(60)):rep(20) .. "/CN=l" })
    for line in tostring(explain(long, store(sub))):gmatch "[^\n]+" do
      assert.is_true(#line < 700)
    end
  end)

  it("raises for options that there are not, and without a store", function()
    assert.has_error(function() leaf.cert:explain(store(root), { nam = "x" }) end,
      "explain: unknown option 'nam'")
    assert.has_error(function() leaf.cert:explain(store(root), { name = 1 }) end,
      "explain: name is a number, not a string")
    local HERE <const> = "explanation_spec.lua:%d+: bad argument "
    for _, wrong in ipairs { false, "root", {}, leaf.cert } do
      local ok, message = pcall(function() leaf.cert:explain(wrong or nil) end)
      assert.is_false(ok)
      assert.matches(HERE .. "#1 to 'explain' %(lest.store expected", message)
    end
    local ok, message = pcall(function() leaf.cert:explain(store(root), 1) end)
    assert.is_false(ok)
    assert.matches(HERE .. "#2 to 'explain' %(table expected", message)
  end)
end)
