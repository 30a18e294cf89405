-- CRMF requests (RFC 4211) are read as openssl makes them, verified, written, and refused where
-- they have what a message of CMC must not (RFC 5272 3.2.1.2.2).
local core = require "lest.core"
local der = require "support.der"
local pki = require "support.pki"

local csr = core.csr

describe("a CRMF request", function()
  local tmp, key
  setup(function()
    tmp = pki.new()
    key = assert(core.key.generate "ec:P-256")
    assert(key:save(tmp:path "crmf.key"))
  end)
  teardown(function() getmetatable(tmp).__close(tmp) end)

  local function made(plan)
    plan = plan or {}
    plan.form, plan.key, plan.subject = "crmf", plan.key or key, plan.subject or "CN=device"
    return assert(csr.build(plan))
  end

  -- The parts of a CertReqMsg: CertRequest, proof; and of the first its id, template, controls.
  local function parts_of(request)
    local whole = der.split(der.body(request:der()))
    return whole, der.split(der.body(whole[1]))
  end

  local function malformed(words, bytes)
    local found, err = csr.parse(bytes)
    assert.is_nil(found)
    assert.equal("csr_malformed", err.code)
    assert.truthy(err.message:find(words, 1, true), err.message)
  end

  it("5272-3.2.1.2.2-a is written so that it is read again, with subject and key", function()
    local request = made { id = 4294967295, san = { "DNS:device.example" },
      key_usage = { "digitalSignature" }, eku = { "clientAuth" }, challenge_password = "secret",
      attributes = { { oid = "1.2.3.4", values = { der.utf8 "x" } } },
      change = { subject = "CN=other" } }
    assert.same({ "crmf", 4294967295, "CN=device", key:public_der(), { "DNS:device.example" },
      { "digitalSignature" }, { "clientAuth" }, "secret", "CN=other", "ecdsa-with-SHA256" },
      { request.form, request.request_id, tostring(request.subject), request.spki, request.san,
        request.key_usage, request.eku, request.challenge_password,
        tostring(request.change.subject), request.signature_algorithm })
    assert.is_true(request:verify())
    local found = {}
    for _, attribute in ipairs(request.attributes) do found[attribute.oid] = attribute.values end
    assert.same({ der.utf8 "x" }, found["1.2.3.4"])
    der.check(request:der())
    assert.equal(request, assert(csr.parse(request:der())))
    assert.equal(request, assert(csr.parse(request:pem())))
    local masked = assert(csr.parse(request:masked "challenge_password"))
    assert.equal("******", masked.challenge_password)
    assert.is_nil(masked:verify())
    assert.is_true(made({ subject = {} }):verify())
  end)

  it("is no PKCS#10 request, which says so itself", function()
    local other = assert(csr.build { key = key, subject = "CN=device" })
    assert.same({ "pkcs10" }, { other.form, other.request_id })
    assert.equal("crmf", made().form)
  end)

  for _, kind in ipairs { "ec:P-384", "rsa:2048", "ed25519" } do
    it("5274-8-a proves possession by the signature of " .. kind .. ", and of no other key",
      function()
        local own = assert(core.key.generate(kind))
        local request = made { key = own }
        assert.is_true(request:verify())
        local whole, info = parts_of(request)
        local changed = whole[1]:gsub("device", "devicf")
        local read = assert(csr.parse(der.seq(changed, whole[2])))
        local good, err = read:verify()
        assert.same({ nil, "csr_signature" }, { good, err.code })
        -- another request's signature
        local other = parts_of(made { key = own, id = 2 })
        good, err = assert(csr.parse(der.seq(whole[1], other[2]))):verify()
        assert.same({ nil, "csr_signature" }, { good, err.code })
        assert.equal(der.int(1), info[1])
      end)
  end

  it("is read as openssl cmp makes it", function()
    local path = tmp:path "message.der"
    -- What the mock server answers with, which must be of the key.
    local issued = tmp:path "issued.pem"
    pki.sh(("openssl req -x509 -key %s -subj /CN=device -days 2 -out %s"):format(
      tmp:path "crmf.key", issued))
    pki.sh(("openssl cmp -cmd cr -use_mock_srv -srv_ref x -srv_secret pass:abcd -rsp_cert %s "
      .. "-ref x -secret pass:abcd -newkey %s -subject /CN=device -sans dev.example -reqout %s "
      .. "-certout %s -unprotected_errors"):format(issued, tmp:path "crmf.key", path,
      tmp:path "got.pem"))
    local message = der.split(der.body(pki.read(path)))
    local request = der.split(der.body(der.split(der.body(message[2]))[1]))[1]
    local read = assert(csr.parse(request))
    assert.same({ "crmf", 0, "CN=device", { "DNS:dev.example" }, key:public_der() },
      { read.form, read.request_id, tostring(read.subject), read.san, read.spki })
    assert.is_true(read:verify())
  end)

  it("5272-6.7-a proves nothing without a signature, or by another kind of proof", function()
    local whole = parts_of(made())
    for _, proof in ipairs { "", der.tlv(0x80), der.tlv(0xa2, der.tlv(0x81, "\1")),
      der.tlv(0xa3, der.tlv(0x81, "\0")) } do
      local request = assert(csr.parse(der.seq(whole[1], proof)))
      assert.is_nil(request.signature_algorithm)
      local good, err = request:verify { allow_weak = true }
      assert.same({ nil, "csr_unproven" }, { good, err.code })
    end
    local raw = assert(csr.build { key = key, subject = "CN=device", raw = {
      signature_algorithm = der.seq(der.oid "1.3.6.1.5.5.7.6.2"), signature = der.bits "x" } })
    local good, err = assert(csr.parse(raw)):verify()
    assert.same({ nil, "csr_unproven" }, { good, err.code })
  end)

  it("5272-3.2.1.2.2-a has neither regInfo nor a POPOSigningKeyInput", function()
    local whole = parts_of(made())
    malformed("regInfo is not for a request", der.seq(whole[1], whole[2], der.seq()))
    malformed("regInfo is not for a request", der.seq(whole[1], der.seq()))
    malformed("the signature is over a poposkInput",
      der.seq(whole[1], der.tlv(0xa1, der.tlv(0xa0), der.body(whole[2]))))
  end)

  it("is refused where a part is missing, or is for the CA to say", function()
    local whole, info = parts_of(made { san = { "DNS:a" } })
    local fields = der.split(der.body(info[2]))
    local function with(...)
      return der.seq(der.seq(info[1], der.seq(...)), whole[2])
    end
    local subject, spki, extensions = table.unpack(fields)
    assert(csr.parse(with(subject, spki, extensions)))
    local validity = der.tlv(0xa4, der.tlv(0xa0, der.tlv(0x17, "260101000000Z")))
    assert(csr.parse(with(der.tlv(0x80, "\2"), der.tlv(0xa3, der.seq()), validity, subject, spki)))
    malformed("the subject has tag", with(spki, extensions))
    malformed("the public key is missing", with(subject))
    malformed("the public key has tag", with(subject, extensions))
    malformed("the version is not 2", with(der.tlv(0x80, "\0"), subject, spki))
    malformed("the subject has tag 0x81", with(der.tlv(0x81, "\1"), subject, spki))
    malformed("the subject has tag 0xa2", with(der.tlv(0xa2, der.oid "1.2.3"), subject, spki))
    malformed("followed by more data", with(subject, spki, extensions, extensions))
    malformed("followed by more data", with(subject, spki, der.tlv(0x89, "\0")))
    malformed("is out of bounds", der.seq(der.seq("\x02\x05\x01\x00\x00\x00\x00",
      der.seq(subject, spki)), whole[2]))
    malformed("followed by more data", der.seq(whole[1], whole[2], der.int(1)))
    malformed("stands twice", der.seq(der.seq(info[1], info[2], der.seq(
      der.seq(der.oid "1.2.840.113549.1.9.7", der.utf8 "a"),
      der.seq(der.oid "1.2.840.113549.1.9.7", der.utf8 "b"))), whole[2]))
    local many = {}
    for i = 1, 65 do many[i] = der.seq(der.oid "1.2.3", der.utf8 "x") end
    malformed("more than 64 attributes", der.seq(der.seq(info[1], info[2],
      der.seq(table.unpack(many))), whole[2]))
    assert.has_error(function()
      csr.build { form = "crmf", key = key, raw = {} }
    end)
  end)
end)
