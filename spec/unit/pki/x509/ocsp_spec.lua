-- OCSP requests are read strictly, and what the responder signs is what openssl takes (RFC 6960).
local core = require "lest.core"
local der = require "support.der"
local pki = require "support.pki"

local DAY <const> = 86400

describe("ocsp", function()
  local tmp, key, root, other, issuer, leaf, now

  setup(function()
    tmp = pki.new()
    now = core.clock.wall_us() // 1000000
    key = assert(core.key.generate "ec:P-256")
    local function ca_of(its_key)
      return assert(core.issuer.root { key = its_key, subject = "CN=Root", not_before = now - 60,
        not_after = now + 3650 * DAY })
    end
    root, other = ca_of(key), ca_of(assert(core.key.generate "ec:P-256"))
    issuer = assert(core.issuer.new { cert = root, key = key })
    leaf = assert(core.cert.parse(assert(issuer:issue { public_key = key:public_der(),
      subject = "CN=leaf", not_before = now - 60, not_after = now + DAY })))
    pki.write(tmp:path "root.pem", root:pem())
    pki.write(tmp:path "other.pem", other:pem())
    pki.write(tmp:path "leaf.pem", leaf:pem())
  end)
  teardown(function() getmetatable(tmp).__close(tmp) end)

  -- What openssl asks.
  local function ask(options)
    pki.sh(("openssl ocsp -issuer %s %s -reqout %s"):format(tmp:path "root.pem", options,
      tmp:path "request"))
    return pki.read(tmp:path "request")
  end

  local function by_cert() return "-cert " .. tmp:path "leaf.pem" end

  local function hashes_of(ca, digest)
    for _, each in ipairs(assert(core.ocsp.hashes(ca))) do
      if each.digest == digest then return each end
    end
  end

  it("names a CA by its name and its key, as openssl does, with each digest", function()
    for _, digest in ipairs { "sha1", "sha256", "sha384", "sha512" } do
      local asked = assert(core.ocsp.parse_request(ask("-" .. digest .. " " .. by_cert())))
      local one, ours = asked.certificates[1], hashes_of(root, digest)
      assert.same({ digest, ours.name_hash, ours.key_hash, leaf.serial },
        { one.digest, one.name_hash, one.key_hash, one.serial })
      local theirs = hashes_of(other, digest)
      assert.equal(ours.name_hash, theirs.name_hash)
      assert.are_not.equal(ours.key_hash, theirs.key_hash)
    end
    assert.equal(ask(by_cert() .. " -no_nonce"), core.ocsp.request(root, leaf))
  end)

  -- A request of one CertID; `more` stands after it, `last` after the list.
  local function hash(algorithm, length)
    return der.seq(der.seq(der.oid(algorithm), der.tlv(5, "")), der.tlv(4, ("h"):rep(length or 20)),
      der.tlv(4, ("k"):rep(length or 20)), der.tlv(2, "\7"))
  end
  local SHA1 <const> = "1.3.14.3.2.26"
  local function request(id, more, last)
    return der.seq(der.seq(der.seq(der.seq(id, more or "")), last or ""))
  end
  local function extensions(tag, oid, value, critical)
    return der.tlv(tag, der.seq(der.seq(der.oid(oid), critical and der.tlv(1, "\xff") or "",
      der.tlv(4, value))))
  end
  local NONCE <const> = "1.3.6.1.5.5.7.48.1.2"

  local function fails(code, bytes)
    local parsed, err = core.ocsp.parse_request(bytes)
    assert.is_nil(parsed)
    assert.equal(code, err.code, tostring(err))
  end

  it("takes a nonce of 1 to 128 bytes, and no other", function()
    for length, code in pairs { [0] = "malformed", [1] = "ok", [32] = "ok", [128] = "ok",
      [129] = "malformed" } do
      local bytes = request(hash(SHA1), nil, extensions(0xa2, NONCE, der.tlv(4, ("n"):rep(length))))
      if code == "ok" then
        assert.equal(("n"):rep(length), assert(core.ocsp.parse_request(bytes)).nonce)
      else
        fails(code, bytes)
      end
    end
    fails("malformed", request(hash(SHA1), nil, extensions(0xa2, NONCE, "no octet string")))
  end)

  it("ignores an extension that it does not know, unless it is critical", function()
    assert(core.ocsp.parse_request(request(hash(SHA1), extensions(0xa0, "1.2.3", "\5\0"),
      extensions(0xa2, "1.2.3", "\5\0"))))
    fails("refused", request(hash(SHA1), extensions(0xa0, "1.2.3", "\5\0", true)))
    fails("refused", request(hash(SHA1), nil, extensions(0xa2, "1.2.3", "\5\0", true)))
  end)

  it("takes at most 16 certificates and 4096 bytes, to the last byte", function()
    local one = der.seq(hash(SHA1))
    local function many(count) return der.seq(der.seq(der.seq(one:rep(count)))) end
    assert.equal(16, #assert(core.ocsp.parse_request(many(16))).certificates)
    fails("too_large", many(17))
    fails("malformed", many(0))
    fails("malformed", many(1) .. "\0")
    fails("too_large", ("\0"):rep(core.ocsp.REQUEST_MAX + 1))
    fails("malformed", "")
    -- A digest that is not known is for the caller to see.
    assert.is_nil(assert(core.ocsp.parse_request(request(hash "1.2.3"))).certificates[1].digest)
    fails("malformed", request(hash(SHA1, 65)))
    fails("malformed", der.seq(der.seq(der.tlv(0xa0, der.tlv(2, "\1")), der.seq(one))))
  end)

  it("notes that a request is signed, and reads it all the same", function()
    pki.write(tmp:path "key.pem", assert(key:pem()))
    local bytes = ask(("%s -signer %s -signkey %s"):format(by_cert(), tmp:path "root.pem",
      tmp:path "key.pem"))
    assert.is_true(assert(core.ocsp.parse_request(bytes)).is_signed)
  end)

  -- A responder that the CA has made, as the authority makes one.
  local function responder(options)
    local its_key = assert(core.key.generate "ec:P-256")
    local cert = assert(core.cert.parse(assert(issuer:issue { public_key = its_key:public_der(),
      subject = "CN=OCSP", not_before = now - 60, not_after = now + DAY,
      eku = options.eku or { "OCSPSigning" },
      extensions = { { oid = "1.3.6.1.5.5.7.48.1.5", value = "\5\0" } } })))
    return assert(core.ocsp_responder.new { cert = cert, key = its_key }), its_key, cert
  end

  local function verify(request_bytes, response)
    pki.write(tmp:path "request", request_bytes)
    pki.write(tmp:path "response", response)
    return pki.sh(("openssl ocsp -issuer %s -reqin %s -respin %s -CAfile %s 2>&1 || true"):format(
      tmp:path "root.pem", tmp:path "request", tmp:path "response", tmp:path "root.pem"))
  end

  it("signs what openssl verifies: good, revoked, unknown, with the nonce", function()
    local bytes = ask(by_cert() .. " -serial 5 -serial 6 -serial 7")
    local asked = assert(core.ocsp.parse_request(bytes))
    local list = {}
    for i, each in ipairs {
      { state = "good" }, { state = "revoked", revoked_at = 1767312000, reason = "keyCompromise" },
      { state = "revoked", revoked_at = 1767312001, reason = "unspecified" }, { state = "unknown" },
    } do
      each.id = asked.certificates[i].id
      list[i] = each
    end
    local signer = responder {}
    local response = assert(signer:respond { certificates = list, produced_at = now,
      this_update = now - 1, next_update = now + 3600, nonce = asked.nonce })
    local text = verify(bytes, response)
    assert.matches("Response verify OK", text)
    assert.is_nil(text:find "[Nn]once in response" or text:find "Nonce Verify error")
    local read = assert(core.ocsp.parse_response(response))
    assert.equal(asked.nonce, read.nonce)
    local said = {}
    for i, each in ipairs(read.responses) do
      said[i] = { each.state, each.serial, each.revoked_at or 0, each.reason or "" }
    end
    assert.same({ { "good", leaf.serial, 0, "" }, { "revoked", "05", 1767312000, "keyCompromise" },
      { "revoked", "06", 1767312001, "" }, { "unknown", "07", 0, "" } }, said)
    assert.same({ "successful", now, now - 1, now + 3600, 1 }, { read.status, read.produced_at,
      read.responses[1].this_update, read.responses[1].next_update, #read.certificates })
  end)

  it("is not believed where its certificate is not for OCSP", function()
    local bytes = ask(by_cert())
    local signer = responder { eku = { "clientAuth" } }
    local response = assert(signer:respond {
      certificates = {
        { id = core.ocsp.parse_request(bytes).certificates[1].id, state = "good" } },
      produced_at = now, this_update = now, next_update = now + 60 })
    assert.matches("missing ocspsigning usage", verify(bytes, response))
  end)

  it("makes no responder of a key that is not the certificate's", function()
    local _, err = core.ocsp_responder.new { cert = root,
      key = assert(core.key.generate "ec:P-256") }
    assert.equal("issue", err.code)
  end)

  it("says what failed with a response that nobody has signed", function()
    for name, number in pairs { malformedRequest = 1, internalError = 2, tryLater = 3,
      unauthorized = 6 } do
      local bytes = core.ocsp.failure(name)
      assert.equal(der.seq(der.tlv(0x0a, string.char(number))), bytes)
      assert.same({ status = name }, core.ocsp.parse_response(bytes))
    end
    assert.has_error(function() core.ocsp.failure "successful" end)
    assert.has_error(function() core.ocsp.failure "no such" end)
  end)
end)
