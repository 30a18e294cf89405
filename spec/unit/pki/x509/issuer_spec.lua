-- The issuer makes certificates that openssl verifies, and never another CA (RFC 5280 4).
local core = require "lest.core"
local pki = require "support.pki"
local der = require "support.der"

local DAY <const> = 86400

local function fails(code, value, err)
  assert.is_nil(value)
  assert.equal(code, err.code, tostring(err))
  return tostring(err)
end

describe("issuer", function()
  local tmp, ca_key, ca, issuer, leaf_key, now
  setup(function()
    tmp = pki.new()
    now = core.clock.wall_us() // 1000000
    ca_key = assert(core.key.generate "ec:P-256")
    ca = assert(core.issuer.root { key = ca_key, subject = "O=Example,CN=Root", not_before = now -
      60,
      not_after = now + 3650 * DAY })
    issuer = assert(core.issuer.new { cert = ca, key = ca_key })
    leaf_key = assert(core.key.generate "ec:P-256")
    pki.write(tmp:path "ca.pem", ca:pem())
  end)
  teardown(function() getmetatable(tmp).__close(tmp) end)

  local function plan(more)
    local p = { public_key = leaf_key:public_der(), subject = "CN=device", not_before = now - 60,
      not_after = now + 90 * DAY }
    for k, v in pairs(more or {}) do p[k] = v or nil end
    return p
  end

  local function issue(more) return issuer:issue(plan(more)) end

  it("makes a CA certificate that openssl takes", function()
    local text = pki.sh(("openssl x509 -in %s -noout -text"):format(tmp:path "ca.pem"))
    assert.truthy(text:find("Basic Constraints: critical\n%s+CA:TRUE\n"))
    assert.truthy(text:find("Key Usage: critical\n%s+Certificate Sign, CRL Sign\n"))
    pki.sh(("openssl verify -x509_strict -CAfile %s %s"):format(tmp:path "ca.pem", tmp:path
      "ca.pem"))
    assert.is_true(ca.is_ca)
    assert.is_true(ca.self_issued)
    local limited = assert(core.issuer.root { key = ca_key, subject = "CN=x", not_before = now,
      not_after = now + DAY, path_len = 0 })
    assert.equal(0, limited.path_len)
    fails("issue", core.issuer.root { key = ca_key, subject = "", not_before = now, not_after = now
      })
    fails("issue", core.issuer.root { key = ca_key, not_before = now, not_after = now })
    fails("issue", core.issuer.root { key = ca_key, subject = "CN=x", not_before = now, not_after =
      now - 1 })
  end)

  it("issues certificates that openssl verifies, for each kind of CA and leaf", function()
    for i, spec in ipairs { "ec:P-256", "ec:P-384", "ec:P-521", "rsa:2048", "rsa-pss:2048",
      "ed25519", "ed448" } do
      local key = assert(core.key.generate(spec))
      local root = assert(core.issuer.root { key = key, subject = "CN=Root" .. i, not_before = now
        - 60,
        not_after = now + 90 * DAY })
      local leaf = assert(assert(core.issuer.new { cert = root, key = key }):issue(plan {
        public_key = assert(core.key.generate(spec)):public_der(), san = { "DNS:x.example" },
        eku = { "clientAuth" } }))
      local path = tmp:path("kind" .. i)
      pki.write(path .. ".ca", root:pem())
      pki.write(path, assert(core.cert.parse(leaf)):pem())
      pki.sh(("openssl verify -x509_strict -purpose sslclient -CAfile %s.ca %s"):format(path, path))
    end
  end)

  it("5280-4.2.1.1-a 5280-4.2.1.2-a fills in every field", function()
    local bytes = assert(issue { subject = { { "O", "Example" }, { "CN", "device" } }, serial =
      "00ff01",
      san = { "DNS:x.example", "IP:192.0.2.1" }, key_usage = { "digitalSignature", "keyAgreement" },
      eku = { "clientAuth", "1.2.3.4" }, crl_urls = { "http://c.example/1", "http://c.example/2" },
      ocsp_urls = { "http://o.example" }, ca_issuer_urls = { "http://i.example" },
      extensions = { { oid = "1.2.3.5", critical = true, value = "\5\0" } } })
    local path = pki.write(tmp:path "full", assert(core.cert.parse(bytes)):pem())
    -- Before OpenSSL 3.2 there were blanks around the signs of a name.
    local text = pki.sh(("openssl x509 -in %s -noout -text"):format(path)):gsub(" = ", "=")
    for _, words in ipairs { "Version: 3", "Serial Number: 65281 (0xff01)",
      "Issuer: O=Example, CN=Root", "Subject: O=Example, CN=device", "CA:FALSE",
      "Digital Signature, Key Agreement",
      "TLS Web Client Authentication, 1.2.3.4", "DNS:x.example, IP Address:192.0.2.1",
      "URI:http://c.example/1", "URI:http://c.example/2", "OCSP - URI:http://o.example",
      "CA Issuers - URI:http://i.example", "1.2.3.5: critical" } do
      assert.truthy(text:find(words, 1, true), words)
    end
    local c = assert(core.cert.parse(bytes))
    assert.equal("ff01", c.serial)
    assert.equal(ca.subject_der, c.issuer_der)
    assert.equal(ca.ski, c.aki)
    assert.equal(now - 60, c.not_before)
    assert.equal(now + 90 * DAY, c.not_after)
    assert.equal(leaf_key:public_der(), c.public_key.der)
    assert.is_false(c.is_ca)
    local ski = pki.sh(("openssl x509 -in %s -noout -pubkey | openssl pkey -pubin -outform DER |" ..
      " tail -c 65 | openssl sha1"):format(path)):match "(%x+)\n"
    assert.equal(ski, c.ski)
    assert.is_nil(bytes:find("\x01\x01\x00", 1, true)) -- no FALSE is written out
  end)

  it("always has what a leaf must have, whatever is asked", function()
    local c = assert(core.cert.parse(assert(issue())))
    assert.same({ "digitalSignature" }, c.key_usage)
    assert.same({}, c.eku)
    assert.is_false(c.is_ca)
    for _, ext in ipairs(c.extensions) do
      if ext.oid == "2.5.29.19" or ext.oid == "2.5.29.15" then assert.is_true(ext.critical) end
    end
    assert.equal(4, #c.extensions)
  end)

  it("never makes a CA certificate", function()
    local ca_true = der.seq "\1\1\xff"
    fails("issue", issue { extensions = { { oid = "basicConstraints", critical = true, value =
      ca_true } } })
    fails("issue", issue { key_usage = { "keyCertSign" } })
    fails("issue", issue { key_usage = { "digitalSignature", "cRLSign" } })
    fails("issue", issue { extensions = { { oid = "keyUsage", value = "\3\2\2\4" } } })
    fails("issue", issue { san = { "DNS:a" }, extensions = { { oid = "2.5.29.17", value = der.seq()
      } } })
  end)

  it("5280-4.1.2.2-a numbers by the second of issue and 96 random bits, positive", function()
    local seen, longest = {}, 0
    local began = core.clock.wall_us() // 1000000
    for _ = 1, 64 do
      local serial = assert(core.cert.parse(assert(issue()))).serial
      local second = tonumber(serial:sub(1, 8), 16)
      assert.is_true(second >= began and second <= core.clock.wall_us() // 1000000)
      assert.is_nil(seen[serial:sub(9)])
      seen[serial:sub(9)] = true
      longest = math.max(longest, #serial)
    end
    assert.equal(32, longest)
    local most = "7f" .. ("ff"):rep(19)
    assert.equal(most, assert(core.cert.parse(assert(issue { serial = most }))).serial)
    for _, serial in ipairs { "00", ("ff"):rep(20), "01" .. ("00"):rep(20) } do
      fails("issue", issue { serial = serial })
    end
    assert.has_error(function() issue { serial = "abc" } end)
    assert.has_error(function() issue { serial = "zz" } end)
    assert.has_error(function() issue { serial = ("00"):rep(22) } end)
  end)

  it("5280-4.1.2.5-a writes UTCTime through 2049 and GeneralizedTime after", function()
    local y2050, last = 2524608000, 253402300799
    local root = assert(core.issuer.root { key = ca_key, subject = "CN=Root", not_before =
      -631152000,
      not_after = last })
    assert.equal(last, root.not_after)
    assert.equal(-631152000, root.not_before)
    local long = assert(core.issuer.new { cert = root, key = ca_key })
    local bytes = assert(long:issue(plan { not_before = y2050 - 1, not_after = y2050 }))
    assert.truthy(bytes:find("\x17\x0d491231235959Z\x18\x0f20500101000000Z", 1, true))
    bytes = assert(long:issue(plan { not_before = 951827696, not_after = last }))
    assert.truthy(bytes:find("\x17\x0d000229123456Z\x18\x0f99991231235959Z", 1, true))
    fails("issue", long:issue(plan { not_after = last + 1 }))
    fails("issue", long:issue(plan { not_before = -631152001 }))
    for _ = 1, 200 do
      local at = math.random(-631152000, last)
      local c = assert(core.cert.parse(assert(long:issue(plan { not_before = at, not_after = last
        }))))
      assert.equal(at, c.not_before)
    end
  end)

  it("refuses a validity past the CA's, or one that ends before it begins", function()
    assert(issue { not_after = ca.not_after })
    assert.truthy(fails("issue", issue { not_after = ca.not_after + 1 }):find("past", 1, true))
    fails("issue", issue { not_before = now + 2, not_after = now + 1 })
    assert.has_error(function() issuer:issue { public_key = leaf_key:public_der(), subject = "CN=x"
      } end)
  end)

  it("5280-4.2.1.6-a wants a name, and makes the alternative one critical if it stands alone",
    function()
    local c = assert(core.cert.parse(assert(issue { subject = "", san = { "DNS:x.example" } })))
    for _, ext in ipairs(c.extensions) do
      if ext.oid == "2.5.29.17" then assert.is_true(ext.critical) end
    end
    fails("issue", issue { subject = "" })
    fails("name_malformed", issue { subject = "x" })
    fails("san_malformed", issue { san = { "x" } })
    fails("malformed", issue { eku = { "x" } })
  end)

  it("signs no malformed key and no malformed extension", function()
    for _, bytes in ipairs { "zz", "", "\5\0\5\0" } do
      fails("malformed", issue { extensions = { { oid = "1.2.3", value = bytes } } })
    end
    local spki = leaf_key:public_der()
    for _, bytes in ipairs { spki .. "zz", (spki:gsub("^\x30\x59", "\x30\x5b")) .. "\5\0", "zz" } do
      fails("issue", issue { public_key = bytes })
    end
  end)

  it("7030-4.2.2-a copies names byte for byte", function()
    local subject = "0\x0c1\x0a0\x08\x06\x03\x55\x04\x03\x14\x01\xfc"
    local san = der.seq(der.tlv(0x82, "B.example"), der.tlv(0xa3, "\5\0"))
    local p = plan { subject_der = subject, san_der = san }
    p.subject = nil
    local c = assert(core.cert.parse(assert(issuer:issue(p))))
    assert.equal(subject, c.subject_der)
    assert.equal(san, c.san_der)
    p.subject_der = subject .. "\0"
    fails("issue", issuer:issue(p))
    p.subject_der, p.san_der = subject, "\5\0"
    fails("issue", issuer:issue(p))
    p.san_der, p.public_key = nil, "junk"
    fails("issue", issuer:issue(p))
  end)

  it("signs no subject that is malformed or no text, and for no CA without a name", function()
    local function named(value)
      return der.seq(der.set(der.seq(der.oid "2.5.4.45", value)))
    end
    for words, subject in pairs { ["no character string"] = named(der.octets "abc"),
      ["the name"] = named(der.utf8 "\xff") } do
      assert.matches(words, fails("issue", issue { subject_der = subject, subject = false }))
    end
    local nameless = tmp:root("nameless", { subject = "/" })
    local text = fails("issue", core.issuer.new { cert = nameless.cert,
      key = assert(core.key.load(nameless.key)) })
    assert.matches("an empty subject", text)
  end)

  it("checks URLs", function()
    for _, url in ipairs { "", "x", "http://a b", "http://\xc3\xbc/", ":x" } do
      fails("issue", issue { crl_urls = { url } })
      fails("issue", issue { ocsp_urls = { url } })
      fails("issue", issue { ca_issuer_urls = { url } })
    end
    assert.has_error(function() issue { crl_urls = "http://x" } end)
  end)

  it("wants a CA's certificate and its key", function()
    fails("issue", core.issuer.new { cert = ca, key = leaf_key })
    local leaf = assert(core.cert.parse(assert(issue())))
    assert.truthy(fails("issue", core.issuer.new { cert = leaf, key = leaf_key }):find("not a CA",
      1, true))
    assert.has_error(function() core.issuer.new { cert = ca } end)
    assert.is_true(issuer.cert == ca)
    local sub <const> = tmp:root("nosign", { ext =
      "basicConstraints = critical,CA:TRUE\nkeyUsage = cRLSign\n" })
    assert.truthy(fails("issue", core.issuer.new { cert = sub.cert, key =
      assert(core.key.load(sub.key)) })
      :find("keyCertSign", 1, true))
    local bare = tmp:root("bare", { ext =
      "basicConstraints = critical,CA:TRUE\nsubjectKeyIdentifier = none\n" })
    local by_bare = assert(core.issuer.new { cert = bare.cert, key =
      assert(core.key.load(bare.key)) })
    assert.equal(40, #assert(core.cert.parse(assert(by_bare:issue(plan { not_after = now + DAY
      })))).aki)
  end)

  it("links two roots of one name, each to the other (RFC 4210 4.4)", function()
    local subject, first = "CN=Changing", assert(core.key.generate "ec:P-256")
    local second = assert(core.key.generate "ed25519")
    local function root(key, until_s)
      return assert(core.issuer.root { key = key, subject = subject, not_before = now - 60,
        not_after = until_s, path_len = 0 })
    end
    local old, new = root(first, now + 10 * DAY), root(second, now + 100 * DAY)
    local by_old = assert(core.issuer.new { cert = old, key = first })
    local by_new = assert(core.issuer.new { cert = new, key = second })
    local times = { not_before = now - 60, not_after = old.not_after }
    local new_with_old, old_with_new = assert(by_old:link(new, times)), assert(by_new:link(old,
      times))
    local leaf = assert(core.cert.parse(assert(by_new:issue(plan { not_after = now + DAY }))))
    local before = assert(core.cert.parse(assert(by_old:issue(plan { not_after = now + DAY }))))
    for name, cert in pairs { old = old, new = new, newold = new_with_old, oldnew = old_with_new,
      leaf = leaf, before = before } do
      pki.write(tmp:path(name .. ".pem"), cert:pem())
    end
    for _, words in ipairs { "old newold leaf", "new oldnew before", "new newold leaf",
      "old oldnew before" } do
      local anchor, link, last = words:match "(%S+) (%S+) (%S+)"
      pki.sh(("openssl verify -x509_strict -CAfile %s -untrusted %s %s"):format(tmp:path(anchor
        .. ".pem"), tmp:path(link .. ".pem"), tmp:path(last .. ".pem")))
    end
    assert.same({ new.ski, old.ski, new.subject_der, 0 },
      { new_with_old.ski, new_with_old.aki, new_with_old.subject_der, new_with_old.path_len })
    assert.is_true(new_with_old.is_ca)
    assert.is_false(new_with_old.self_signed)
    assert.is_nil((require "lest.base.rollover").missing({ old, new, new_with_old, old_with_new
      })[1])
  end)

  it("links no CA of another name, no end entity, not itself, and not for longer", function()
    local other = assert(core.issuer.root { key = leaf_key, subject = "CN=Other", not_before = now,
      not_after = now + DAY })
    local same = assert(core.issuer.root { key = leaf_key, subject = ca.subject, not_before = now,
      not_after = now + DAY })
    local by_ca = { not_before = now, not_after = now + DAY }
    local named = assert(core.cert.parse(assert(issuer:issue(plan { subject = ca.subject }))))
    fails("issue", issuer:link(other, by_ca))
    fails("issue", issuer:link(named, by_ca))
    fails("issue", issuer:link(ca, by_ca))
    fails("issue", issuer:link(same, { not_before = now, not_after = now + DAY + 1 }))
    fails("issue", issuer:link(same, { not_before = now + DAY, not_after = now }))
    assert(issuer:link(same, by_ca))
    assert.has_error(function() issuer:link(same, { not_before = now }) end)
    local brief = assert(core.issuer.new { cert = same, key = leaf_key })
    fails("issue", brief:link(ca, { not_before = now, not_after = now + 2 * DAY }))
  end)
end)
