-- Messages of CMC are written as RFC 5272 says, read strictly, and their signatures checked.
local core = require "lest.core"
local der = require "support.der"
local pki = require "support.pki"
local vectors = require "support.vectors"

local cmc = core.cmc
local NONCE <const> = ("n"):rep(16)

describe("cmc", function()
  local ca, root, signer, key, csr

  setup(function()
    ca = pki.new()
    root = ca:root("root")
    signer = ca:issue("signer", { by = root })
    key = assert(core.key.load(signer.key))
    csr = assert(core.csr.build { key = key, subject = "CN=device" })
  end)

  teardown(function() pki.__close(ca) end)

  local function request(controls, requests)
    return assert(cmc.content { kind = "request", controls = controls,
      requests = requests or { { id = 1, csr = csr:der() } } })
  end

  local function sign(content, kind)
    return assert(cmc.sign { kind = kind or "request", content = content, key = key,
      cert = signer.cert, certificates = { signer.cert } })
  end

  -- A message around content that is made by hand; nobody signed it.
  local function unsigned(content, kind)
    return der.seq(der.oid "1.2.840.113549.1.7.2", der.tlv(0xa0, der.seq(der.int(3), der.set(),
      der.seq(der.oid(kind or "1.3.6.1.5.5.7.12.2"), der.tlv(0xa0, der.octets(content))),
      der.set())))
  end

  local function fails(bytes, pattern, code)
    local message, err = cmc.parse(bytes)
    assert.is_nil(message)
    assert.equal(code or "cmc_malformed", err.code)
    assert.matches(pattern, err.message)
  end

  it("5274-4-a 5652-5.1-c writes a request that it reads again, version 3", function()
    local bytes = sign(request { { id = 2, name = "senderNonce", value = NONCE },
      { id = 4294967295, name = "transactionId", value = "\x01\x02" } })
    local message = assert(cmc.parse(bytes))
    assert.equal("request", message.kind)
    assert.same({ { id = 1, form = "tcr", der = csr:der() } }, message.requests)
    assert.equal(NONCE, message.controls[1].value)
    assert.equal("senderNonce", message.controls[1].name)
    assert.equal("1.3.6.1.5.5.7.7.6", message.controls[1].oid)
    assert.equal(4294967295, message.controls[2].id)
    assert.equal(signer.cert, message.signer_certificate)
    assert.equal(bytes, message:der())
    assert.truthy(bytes:find("\x02\x01\x03\x31", 1, true))
    assert.is_true(message:verify(signer.cert.public_key.der))
  end)

  for _, kind in ipairs { "ec:P-256", "ec:P-384", "rsa:2048", "ed25519" } do
    it("5272-3.2.1.3.4-a verifies what " .. kind .. " has signed, and nothing else", function()
      local own = assert(core.key.generate(kind))
      local bytes = assert(cmc.sign { kind = "request", content = request {}, key = own,
        key_id = ("k"):rep(20) })
      local message = assert(cmc.parse(bytes))
      assert.same({ key_id = ("k"):rep(20) }, message.signer)
      assert.is_nil(message.signer_certificate)
      assert.is_true(message:verify(own:public_der()))
      local good, err = message:verify(key:public_der())
      assert.is_nil(good)
      assert.equal("cmc_signature", err.code)
      -- in the content, in what is signed, in the signature
      for _, at in ipairs { assert(bytes:find("device", 1, true)), #bytes - 90, #bytes - 3 } do
        local other = bytes:sub(1, at - 1) .. string.char(bytes:byte(at) ~ 1) .. bytes:sub(at + 1)
        local read = cmc.parse(other)
        assert.is_nil(read and read:verify(own:public_der()))
      end
    end)
  end

  it("reads what openssl cms signs, and OpenSSL verifies what is signed here", function()
    local content = assert(cmc.content { kind = "response", controls = { { id = 1,
      name = "statusInfoV2", value = { status = "success", bodies = { 1 } } } } })
    local path = pki.write(ca:path "response.der", sign(content, "response"))
    pki.sh(("openssl cms -verify -inform DER -in %s -CAfile %s -purpose any -out %s"):format(path,
      root.path, ca:path "content"))
    assert.equal(content, pki.read(ca:path "content"))
    for _, digest in ipairs { "sha256", "sha512" } do
      for _, how in ipairs { "", "-keyid" } do
        pki.sh(("openssl cms -sign -nodetach -binary -econtent_type 1.3.6.1.5.5.7.12.3 -md %s %s "
          .. "-in %s -signer %s -inkey %s -outform DER -out %s"):format(digest, how,
          ca:path "content", signer.path, signer.key, ca:path "theirs.der"))
        local message = assert(cmc.parse(pki.read(ca:path "theirs.der")))
        assert.equal(signer.cert, message.signer_certificate)
        assert.is_true(message:verify(signer.cert.public_key.der))
      end
    end
  end)

  it("does not believe SHA-1, a weak key, or a message without attributes", function()
    local content = pki.write(ca:path "content1", request {})
    local weak = ca:issue("weak", { by = root, key = "rsa:1024" })
    local function theirs(options, who)
      pki.sh(("openssl cms -sign -nodetach -binary -econtent_type 1.3.6.1.5.5.7.12.2 %s -in %s "
        .. "-signer %s -inkey %s -outform DER -out %s"):format(options, content, who.path, who.key,
        ca:path "theirs.der"))
      return pki.read(ca:path "theirs.der")
    end
    for pattern, bytes in pairs { ["none of SHA%-2"] = theirs("-md sha1", signer),
      ["too weak"] = theirs("", weak) } do
      local message = assert(cmc.parse(bytes))
      local good, err = message:verify(message.signer_certificate.public_key.der)
      assert.is_nil(good)
      assert.equal("cmc_signature", err.code)
      assert.matches(pattern, err.message)
    end
    fails(theirs("-noattr", signer), "the signed attributes has tag")
    fails(theirs("-signer " .. weak.path .. " -inkey " .. weak.key, signer), "2 signers, not one")
    local good, err = assert(cmc.parse(unsigned(request {}))):verify(key:public_der())
    assert.is_nil(good)
    assert.matches("not signed", err.message)
  end)

  it("5272-6.1.1-b gives statuses back as they were written, in both versions", function()
    local failed = { status = "failed", bodies = { 0, 7 }, text = "no", failure = "popFailed" }
    local waits = { status = "pending", bodies = { 3 }, token = "token", time = 1796067356 }
    local message = assert(cmc.parse(sign(assert(cmc.content { kind = "response", controls = {
      { id = 1, name = "statusInfoV2", value = failed },
      { id = 2, name = "statusInfo", value = waits } } }), "response")))
    assert.same(failed, message.controls[1].value)
    assert.same(waits, message.controls[2].value)
  end)

  it("6402-a-a 5272-6.1.3-a reads extended failures in both forms, and numbers that have no name",
    function()
      local extended = { der.oid "1.2.3", der.utf8 "x" }
      for _, other in ipairs { der.seq(extended[1], extended[2]),
        der.tlv(0xa1, extended[1], extended[2]) } do
        local status = der.seq(der.int(2), der.seq(der.int(0), der.seq(der.int(4), der.int(5))),
          other)
        local content = der.seq(der.seq(der.seq(der.int(1), der.oid "1.3.6.1.5.5.7.7.25",
          der.set(status))), der.seq(), der.seq())
        local message = assert(cmc.parse(unsigned(content, "1.3.6.1.5.5.7.12.3")))
        assert.same({ status = "failed", bodies = { 0, 5 }, extended = "1.2.3" },
          message.controls[1].value)
      end
      local strange = der.seq(der.int(1), der.seq(der.int(0)), der.int(99))
      local message = assert(cmc.parse(unsigned(der.seq(der.seq(der.seq(der.int(1),
        der.oid "1.3.6.1.5.5.7.7.25", der.set(strange))), der.seq(), der.seq()),
        "1.3.6.1.5.5.7.12.3")))
      assert.same({ status = 1, bodies = { 0 }, failure = 99 }, message.controls[1].value)
    end)

  it("gives every control back as it was written", function()
    local name = { issuer_der = root.cert.subject_der, serial = "0abc" }
    local values = {
      identification = "client-42", dataReturn = "\0\1", regInfo = "r", responseInfo = "i",
      queryPending = "token", popLinkRandom = ("R"):rep(64), recipientNonce = NONCE,
      lraPOPWitness = { 1, 2 }, raIdentityWitness = { 1 }, batchRequests = { 9 },
      responseBody = { 8 },
    }
    local controls = {}
    for control, value in pairs(values) do
      controls[#controls + 1] = { id = #controls + 10, name = control, value = value }
    end
    for _, control in ipairs { "getCert", "confirmCertAcceptance" } do
      controls[#controls + 1] = { id = #controls + 10, name = control, value = name }
    end
    controls[#controls + 1] = { id = 100, name = "getCRL",
      value = { issuer_der = name.issuer_der } }
    controls[#controls + 1] = { id = 104, name = "getCRL",
      value = { issuer_der = name.issuer_der, time = 1796128868 } }
    controls[#controls + 1] = { id = 101, name = "revokeRequest", value = { serial = "0abc",
      issuer_der = name.issuer_der, reason = 1, passphrase = "p", comment = "c" } }
    controls[#controls + 1] = { id = 102, name = "identityProofV2", value = { witness = "w" } }
    controls[#controls + 1] = { id = 103, oid = "1.2.3.4", values = { der.utf8 "own" } }
    local message = assert(cmc.parse(sign(request(controls))))
    assert.equal(#controls, #message.controls)
    for i, control in ipairs(message.controls) do
      assert.equal(controls[i].id, control.id)
      local wrote, value = controls[i].value, control.value
      if type(value) == "table" and value.issuer then
        assert.same({ wrote.issuer_der, wrote.serial, wrote.reason, wrote.comment, wrote.time },
          { value.issuer_der, value.serial, value.reason, value.comment, value.time })
        assert.equal("CN=root", tostring(value.issuer))
      elseif control.name == "identityProofV2" then
        assert.same({ digest = "2.16.840.1.101.3.4.2.1", mac = "1.2.840.113549.2.9",
          witness = "w" }, value)
      elseif control.name then
        assert.same(wrote, value)
      else
        assert.same({ "1.2.3.4", { der.utf8 "own" } }, { control.oid, control.values })
      end
    end
  end)

  it("5272-6.10-d reads which CRL is asked for, and nothing behind it", function()
    local issuer, uri = root.cert.subject_der, der.tlv(0x86, "http://a/b.crl")
    local time, reasons = der.tlv(0x18, "20261201000000Z"), der.tlv(0x03, "\5\x60")
    local function message_of(...)
      return sign(request { { id = 9, oid = "1.3.6.1.5.5.7.7.16", values = { der.seq(...) } } })
    end
    for _, parts in ipairs { { issuer }, { issuer, uri }, { issuer, reasons },
      { issuer, uri, reasons } } do
      local control = assert(cmc.parse(message_of(table.unpack(parts)))).controls[1]
      assert.same({ "getCRL", issuer }, { control.name, control.value.issuer_der })
      assert.is_nil(control.value.time)
    end
    for _, parts in ipairs { { issuer, time }, { issuer, uri, time, reasons } } do
      local control = assert(cmc.parse(message_of(table.unpack(parts)))).controls[1]
      assert.equal(1796083200, control.value.time)
    end
    for _, parts in ipairs { { issuer, time, uri }, { issuer, uri, uri }, { issuer, reasons, time },
      { issuer, der.int(1) }, { issuer, der.tlv(0x18, "2026") } } do
      fails(message_of(table.unpack(parts)), "CRL's")
    end
  end)

  it("5272-6.2.1-a 5272-6.2.3-b has the request sequence that proofs are over", function()
    local example = assert(core.csr.parse(vectors.get "7030-a3-simpleenroll-req"))
    local message = assert(cmc.parse(sign(request({}, { { id = 1, csr = example:der() } }))))
    local sequence = message.request_sequence
    assert.equal(vectors.hex(vectors.get "cmc-reqsequence-derived"), vectors.hex(sequence))
    local function witness(secret, over)
      local hashed = vectors.unhex(core.secret.sha256(secret))
      return vectors.hex(assert(core.secret.hmac_sha256(hashed, over)))
    end
    local known = vectors.text "cmc-known-answers-derived"
    for _, computed in ipairs { witness("correct horse battery", sequence),
      witness("correct horse batteryclient-42", sequence) } do
      assert.truthy(known:find(computed, 1, true))
    end
  end)

  it("5272-3.2.1-a 5272-4.2-d wants all sequences, and nothing after them", function()
    local empty = der.seq()
    assert(cmc.parse(unsigned(der.seq(empty, empty, empty, empty))))
    assert(cmc.parse(unsigned(der.seq(empty, empty, empty), "1.3.6.1.5.5.7.12.3")))
    fails(unsigned(der.seq(empty, empty, empty)), "the other messages is missing")
    fails(unsigned(der.seq(empty, empty)), "the messages within is missing")
    fails(unsigned(der.seq(empty, empty), "1.3.6.1.5.5.7.12.3"), "the other messages is missing")
    fails(unsigned(der.seq(empty, empty, empty, empty, empty)), "is followed by more data")
    fails(unsigned(der.seq(empty, empty, empty, empty) .. "\0"), "has tag 0")
    fails(unsigned "", "is missing")
    fails(unsigned(der.seq(empty), "1.2.840.113549.1.7.1"), "neither PKIData nor PKIResponse")
    fails(assert(core.pkcs7.encode {}), "neither PKIData nor PKIResponse")
    fails("no message", "", "pkcs7_malformed")
  end)

  it("5272-3.2.2-a 5272-3.2.2-b takes an id once, and none of 0 or beyond 4294967295", function()
    local function control(id)
      return der.seq(id, der.oid "1.2.3", der.set())
    end
    local function message(...)
      return unsigned(der.seq(der.seq(...), der.seq(), der.seq(), der.seq()))
    end
    assert(cmc.parse(message(control(der.int(1)), control "\x02\x05\x00\xff\xff\xff\xff")))
    fails(message(control(der.int(1)), control(der.int(1))), "two body parts have the id 1")
    fails(message(control(der.int(0))), "out of bounds")
    fails(message(control "\x02\x05\x01\x00\x00\x00\x00"), "out of bounds")
    fails(message(control "\x02\x01\xff"), "negative")
    fails(unsigned(der.seq(der.seq(control(der.int(1))), der.seq(der.tlv(0xa0, der.int(1),
      csr:der())), der.seq(), der.seq())), "two body parts have the id 1")
  end)

  it("is bounded in controls, requests, values and bytes", function()
    local many, requests = {}, {}
    for i = 1, 65 do many[i] = der.seq("\x02\x01" .. string.char(i), der.oid "1.2.3", der.set()) end
    for i = 1, 17 do requests[i] = der.tlv(0xa0, der.int(i), csr:der()) end
    local empty = der.seq()
    fails(unsigned(der.seq(der.seq(table.unpack(many)), empty, empty, empty)),
      "more than 64 controls")
    fails(unsigned(der.seq(empty, der.seq(table.unpack(requests)), empty, empty)),
      "more than 16 requests")
    local bodies = {}
    for i = 1, 65 do bodies[i] = der.int(i) end
    fails(unsigned(der.seq(der.seq(der.seq(der.int(1), der.oid "1.3.6.1.5.5.7.7.28",
      der.set(der.seq(table.unpack(bodies))))), empty, empty, empty)), "more than 64 body parts")
    fails(unsigned(der.seq(der.seq(der.seq(der.int(1), der.oid "1.2.3",
      der.set(der.octets(("x"):rep(1024 * 1024))))), empty, empty, empty)), "more than 1048576",
      "too_large")
    local deep = der.int(1)
    for _ = 1, 40 do deep = der.seq(deep) end
    fails(unsigned(der.seq(der.seq(der.seq(der.int(1), der.oid "1.2.3", der.set(deep))), empty,
      empty, empty)), "nested too deeply")
  end)

  it("refuses a known control whose value is of another type, or that has two", function()
    local function control(number, ...)
      return unsigned(der.seq(der.seq(der.seq(der.int(1), der.oid("1.3.6.1.5.5.7.7." .. number),
        der.set(...))), der.seq(), der.seq(), der.seq()))
    end
    fails(control(6, der.utf8 "x"), "has tag 0x0c instead of 0x04")
    fails(control(6), "is missing")
    fails(control(6, der.octets "a", der.octets "b"), "followed by more data")
    fails(control(2, der.utf8 "\xff"), "no UTF%-8 text")
    fails(control(2, der.octets "x"), "has tag 0x04 instead of 0x0c")
    fails(control(25, der.seq(der.int(2), der.seq())), "list of body parts is empty")
    fails(control(17, der.seq(der.seq(), der.int(1), der.tlv(0x0a, "\x63"))), "the reason is none")
    fails(control(34, der.seq(der.octets "w")), "an algorithm has tag")
    fails(control(11, der.seq(der.int(0), der.seq())), "is empty")
  end)

  it("reads requests of other forms as far as their ids", function()
    local empty = der.seq()
    local crmf = der.tlv(0xa1, der.seq(der.int(7), der.seq()))
    local crm = der.seq(der.seq(der.int(7), der.seq()))
    local other = der.tlv(0xa2, der.int(8), der.oid "1.2.3", der.utf8 "x")
    local message = assert(cmc.parse(unsigned(der.seq(empty, der.seq(crmf, other), empty, empty))))
    assert.same({ { id = 7, form = "crm", der = crm },
      { id = 8, form = "orm", oid = "1.2.3", der = der.utf8 "x" } }, message.requests)
    fails(unsigned(der.seq(empty, der.seq(der.tlv(0xa3, der.int(1))), empty, empty)),
      "of no kind that there is")
  end)

  it("raises for what only a programmer gets wrong", function()
    local function build(control)
      return cmc.content { kind = "request", controls = { control } }
    end
    assert.has_error(function() build { id = 1, name = "senderNounce", value = "" } end,
      "there is no control 'senderNounce'")
    assert.has_error(function() build { id = 0, name = "senderNonce", value = NONCE } end)
    assert.has_error(function()
      build { id = 1, name = "statusInfoV2", value = { status = "good", bodies = { 1 } } }
    end, "there is no status 'good'")
    local content, err = build { id = 1, name = "identification", value = "\xff" }
    assert.is_nil(content)
    assert.equal("cmc_malformed", err.code)
  end)
end)
