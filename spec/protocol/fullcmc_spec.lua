-- fullcmc (RFC 7030 4.3, RFC 5272, 5273, 5274, 6402), as a client sees it.
local cmc = require "support.cmc"
local core = require "lest.core"
local der = require "support.der"
local json = require "lest.json"
local pki = require "support.pki"
local process = require "support.process"
local revoked_rows = require "support.revoked"
local support = require "support.server"

local POLICY <const> = [[
local policy = require "lest.policy"
return {
  enroll = function(request)
    local name = request.csr.subject.CN
    if not name then return policy.reject "no name" end
    if request.cmc and request.cmc.reg_info == "\0no" then
      return policy.reject "the regInfo says no"
    end
    if name:find "^bad" then return policy.reject "not this one" end
    if name:find "^wait" and #request.approvals == 0 then
      return policy.pending { "wait for it", retry_after = "20s" }
    end
    return policy.approve { subject = request.csr.subject, san = request.csr.san }
  end,
  reenroll = policy.renew {},
}
]]

local function offered(text)
  text = text:gsub("%-%- fullcmc = true", "fullcmc = true", 1)
  return (text:gsub('names = "principal"', 'names = "policy"', 1))
end

describe("fullcmc", function()
  local server, device, ca, ra

  -- A certificate of the server's, and its key.
  local function enrolled(name)
    local path = server:enroll(name)
    return { cert = core.cert.load(path),
      key = core.key.load(server.folder .. "/" .. name .. ".key") }
  end

  local function new_csr(name, plan)
    plan = plan or {}
    plan.key, plan.subject = plan.key or core.key.generate "ec:P-256", plan.subject or "CN=" .. name
    return assert(core.csr.build(plan)), plan.key
  end

  local function post(what, ...)
    what.cert = what.cert or not what.key_id and device.cert or nil
    what.key = what.key or device.key
    return cmc.post(server, cmc.request(what), ...)
  end

  local function failed(said, failure, bodies, status)
    assert.equal(status or 400, said.status, said.body)
    assert.equal("application/pkcs7-mime; smime-type=CMC-response", said.headers["content-type"],
      said.body)
    assert.equal(1, #said.statuses)
    assert.same({ "failed", failure, bodies },
      { said.statuses[1].status, said.statuses[1].failure, said.statuses[1].bodies })
    assert.is_nil(said.statuses[1].extended)
  end

  setup(function()
    server = support.start { policy = POLICY, config = function(text)
      text = offered(text)
      text = text:gsub("profiles = {", [[profiles = {
        fresh = { lifetime = "90d", keys = { "ec:P-256" }, names = "policy",
          key_change = "required" },
        ra = { lifetime = "90d", keys = { "ec:P-256" }, names = "policy",
          eku = { "clientAuth", "cmcRA" } },]], 1)
      return (text:gsub("labels = {", [[labels = {
        ra = { policy = "policy.lua", profile = "ra", auth = { "basic" } },
        asks = { policy = "policy.lua", profile = "device", fullcmc = true,
          renews = { "asks", "default" }, csrattrs = { "serialNumber" }, csrattrs_enforced = true },
        fresh = { policy = "policy.lua", profile = "fresh", fullcmc = true,
          renews = { "default" } },
        off = { policy = "policy.lua", profile = "device" },]], 1))
    end }
    ca = core.cert.load(server.root)
    device = enrolled "device01"
  end)

  teardown(function() server:stop() end)

  it("7030-4.3.2-a 5272-4.2-c 5272-6.6-b 5272-6.1-a 5273-4-b renews by what signs, and says so",
    function()
      local csr = new_csr "device01"
      local said = post { csrs = { csr } }
      assert.equal(200, said.status, said.body)
      assert.equal("application/pkcs7-mime; smime-type=CMC-response", said.headers["content-type"])
      assert.equal("response", said.message.kind)
      assert.same({ { status = "success", bodies = { 1 } } }, said.statuses)
      local cert = said.message.certificates[1]
      assert.equal(csr.spki, cert.public_key.der)
      assert.equal(device.cert.subject, cert.subject)
      assert.equal(device.cert.serial, server:sql(
        "SELECT renews FROM certificates WHERE serial = '" .. cert.serial .. "'"))
      local found = {}
      for _, each in ipairs(said.message.certificates) do found[each.fingerprint] = true end
      assert.is_true(found[ca.fingerprint])
      local signer = said.message.signer_certificate
      assert.is_true(said.message:verify(signer.public_key.der))
      assert.same({ "cmcCA" }, signer.eku)
      local store = assert(core.store.new { anchors = { ca } })
      assert(store:verify(signer, {}))
      assert.equal("\x2a", cmc.find(said.message, "transactionId"))
      assert.equal(cmc.NONCE, cmc.find(said.message, "recipientNonce"))
      local nonce = cmc.find(said.message, "senderNonce")
      assert.is_true(#nonce >= 16 and nonce ~= cmc.NONCE)
    end)

  it("5272-6.1.1-a decides each request of several by itself, and records each", function()
    local ra_name = "reg01"
    ra = ra or (function()
      local secret = server:credential(ra_name)
      local csr = server:csr(ra_name)
      local status, body = server:post("/ra/simpleenroll", csr, "-u", ra_name .. ":" .. secret)
      assert.equal(200, status, body)
      return { cert = support.issued(body), key = core.key.load(server.folder .. "/reg01.key") }
    end)()
    local first, second, third = new_csr "sensor1", new_csr "bad2", new_csr "sensor3"
    local said = post { key = ra.key, cert = ra.cert, csrs = { first, second, third } }
    assert.equal(200, said.status, said.body)
    assert.same({ { status = "success", bodies = { 1 } },
      { status = "failed", failure = "badRequest", bodies = { 2 }, text = "not this one" },
      { status = "success", bodies = { 3 } } }, said.statuses)
    local names = {}
    for i = 1, 2 do names[tostring(said.message.certificates[i].subject)] = true end
    assert.same({ ["CN=sensor1"] = true, ["CN=sensor3"] = true }, names)
    assert.equal("approve|reject|approve", server:sql([[
      SELECT group_concat(verdict, '|') FROM (SELECT verdict FROM requests
      WHERE operation = 'fullcmc' ORDER BY seq DESC LIMIT 3)]]))
  end)

  it("7030-4.3.2-c 7030-4.3.2-d 5272-3.2-a 5274-4-d refuses with 4xx and a status", function()
    local csr = new_csr "bad1"
    local said = post { key = ra.key, cert = ra.cert, csrs = { csr } }
    failed(said, "badRequest", { 1 }, 403)
    assert.is_true(said.message:verify(said.message.signer_certificate.public_key.der))
    assert.equal(cmc.NONCE, cmc.find(said.message, "recipientNonce"))
  end)

  it("5272-3.2.1.3.4-b does not believe what was changed, or signed by a stranger", function()
    local bytes = cmc.request { key = device.key, cert = device.cert,
      csrs = { (new_csr "device01") } }
    local changed = bytes:sub(1, -4) .. string.char(bytes:byte(-3) ~ 1) .. bytes:sub(-2)
    failed(cmc.post(server, changed), "badMessageCheck", { 0 })
    local other = core.key.generate "ec:P-256"
    failed(post { key = other, csrs = { (new_csr "device01") } }, "badMessageCheck", { 0 })
    failed(post { key = other, key_id = ("x"):rep(20), csrs = { (new_csr "device01") },
      certificates = {} }, "badMessageCheck", { 0 })
    local made <close> = pki.new()
    local root = made:root "stranger"
    local stranger = made:issue("device01", { by = root, ext = "extendedKeyUsage = clientAuth" })
    failed(post { key = core.key.load(stranger.key), cert = stranger.cert,
      csrs = { (new_csr "device01") } }, "badRequest", { 0 }, 403)
    assert.equal(0, #server:logged "request failed")
  end)

  it("says that it cannot open what is encrypted", function()
    local path = server:file("inner.cmc", cmc.request { key = device.key, cert = device.cert,
      csrs = { (new_csr "device01") } })
    local sealed = server.folder .. "/sealed.cmc"
    process.must { "openssl", "cms", "-encrypt", "-binary", "-in", path, "-outform", "DER", "-out",
      sealed, server.dir .. "/ca.pem" }
    failed(cmc.post(server, process.read(sealed)), "badMessageCheck", { 0 })
  end)

  it("finds the signer's certificate in the ledger where it does not come along", function()
    local said = post { csrs = { (new_csr "device01") }, certificates = {} }
    assert.equal(200, said.status, said.body)
  end)

  it("5272-3.2-c takes what the new key signs, where TLS or HTTP tell who asks", function()
    local key = core.key.generate "ec:P-256"
    local csr, key_id = cmc.csr_with_key_id { key = key, subject = "CN=device02" }
    local what = { key = key, key_id = key_id, csrs = { csr }, certificates = {} }
    local said = post(what)
    failed(said, "badIdentity", { 0 }, 401)
    assert.matches("Basic", said.headers["www-authenticate"])
    said = post(what, "-u", "device02:" .. server:credential "device02")
    assert.equal(200, said.status, said.body)
    assert.equal(csr.spki, said.message.certificates[1].public_key.der)
  end)

  it("7030-4.3.1-a refuses what is no Full PKI Request", function()
    failed(post { controls = {} }, "badRequest", { 0 })
    for _, bytes in ipairs { (new_csr "device01"):der(), assert(core.pkcs7.encode { ca }),
      "garbage",
      assert(core.cmc.sign { kind = "response", key = device.key, cert = device.cert,
        content = core.cmc.content { kind = "response" } }) } do
      failed(cmc.post(server, bytes), "badRequest", { 0 })
    end
  end)

  it("5272-3.2.1.1-a 6402-2.6-c fails the whole for a control that it does not process", function()
    local csr = new_csr "device01"
    local before = server:sql "SELECT count(*) FROM requests"
    for _, control in ipairs { { id = 7, oid = "1.2.3.4", values = { der.utf8 "x" } },
      { id = 7, name = "responseBody", value = { 1 } },
      { id = 7, name = "encryptedPOP", value = der.utf8 "x" } } do
      failed(post { csrs = { csr }, controls = { control } }, "badRequest", { 7 })
    end
    assert.equal(before, server:sql "SELECT count(*) FROM requests")
  end)

  -- A message with one TaggedRequest that is made by hand.
  local function with_request(request)
    local content = der.seq(der.seq(), der.seq(request), der.seq(), der.seq())
    return cmc.post(server, assert(core.cmc.sign { kind = "request", key = device.key,
      cert = device.cert, content = content }))
  end

  it("5272-3.2.1-b has no support for requests of other forms, and says so", function()
    local said = with_request(der.tlv(0xa2, der.int(8), der.oid "1.2.3", der.utf8 "x"))
    assert.equal(400, said.status)
    assert.same({ status = "noSupport", bodies = { 8 } },
      { status = said.statuses[1].status, bodies = said.statuses[1].bodies })
  end)

  it("5274-4-b 5274-4-c takes CRMF and PKCS#10 in one message, and the ledger has both",
    function()
      local plain = new_csr "sensor21"
      local crmf = new_csr("sensor22", { form = "crmf", id = 2,
        key_usage = { "digitalSignature" } })
      local said = post { key = ra.key, cert = ra.cert, csrs = { plain, crmf } }
      assert.equal(200, said.status, said.body)
      assert.same({ { status = "success", bodies = { 1 } }, { status = "success",
        bodies = { 2 } } }, said.statuses)
      local keys = {}
      for i = 1, 2 do
        local cert = said.message.certificates[i]
        keys[cert.public_key.der] = cert
      end
      assert.is_truthy(keys[plain.spki])
      assert.equal("CN=sensor22", tostring(keys[crmf.spki].subject))
      local id = server:sql("SELECT request_id FROM certificates WHERE serial = '"
        .. keys[crmf.spki].serial .. "'")
      local shown = process.must { server.lest, "explain", id, "--config",
        server.dir .. "/server.lua" }
      assert.matches("sensor22", shown)
      -- a lost answer is found again, and another request with that key is none
      local again = post { key = ra.key, cert = ra.cert, csrs = { plain, crmf } }
      assert.equal(200, again.status)
      assert.equal("1", server:sql("SELECT count(*) FROM certificates WHERE subject = "
        .. "'CN=sensor22'"))
    end)

  it("5272-3.2.1.2.2-a 5272-6.7-a refuses CRMF without a proof, of another key, or malformed",
    function()
      local crmf = new_csr("device01", { form = "crmf", id = 8 })
      local whole = der.split(der.body(crmf:der()))
      local function said(...)
        return with_request(der.tlv(0xa1, ...))
      end
      failed(said(whole[1]), "popRequired", { 8 })
      failed(said(whole[1], der.tlv(0x80)), "popRequired", { 8 })
      local other = der.split(der.body((new_csr("device01", { form = "crmf", id = 8 })):der()))
      failed(said(whole[1], other[2]), "popFailed", { 8 })
      failed(said(whole[1], whole[2], der.seq()), "badRequest", { 8 })
      failed(said(der.seq(der.int(8), der.seq())), "badRequest", { 8 })
      -- each form in its own place
      failed(said(der.seq(der.int(8), der.seq(), der.seq())), "badRequest", { 8 })
      failed(with_request(der.tlv(0xa0, der.int(8), crmf:der())), "badRequest", { 8 })
      assert.equal(200, said(whole[1], whole[2]).status)
      local unsigned = assert(core.csr.build { key = device.key, subject = "CN=device01", raw = {
        signature_algorithm = der.seq(der.oid "1.3.6.1.5.5.7.6.2"), signature = der.bits "x" } })
      failed(post { requests = { { id = 1, csr = unsigned } } }, "popRequired", { 1 })
    end)

  it("takes no CRMF by the other operations", function()
    local path = server:file("crmf.b64", core.est.body_encode(new_csr("device01",
      { form = "crmf" }):der(), 64))
    local status, body = server:post("/simpleenroll", path, "-u", "device01:"
      .. server:credential "device01")
    assert.equal(400, status)
    assert.matches("the request is CRMF", body)
  end)

  it("5272-6.7-a 5274-8-a fails all requests where one lacks its proof of possession", function()
    local good = new_csr "device01"
    local raw = assert(core.csr.build { key = core.key.generate "ec:P-256", subject = "CN=device01",
      raw = { sign_with = core.key.generate "ec:P-256" } })
    local said = post { requests = { { id = 1, csr = good:der() }, { id = 2, csr = raw } } }
    failed(said, "popFailed", { 1, 2 })
    failed(post { requests = { { id = 5, csr = raw } } }, "popFailed", { 5 })
  end)

  it("5274-8-b 5272-8-a takes no key that is none, nor a signature of SHA-1", function()
    local csr = new_csr "device01"
    local off_curve = csr.spki:sub(1, -2) .. string.char(csr.spki:byte(-1) ~ 1)
    local function raw(parts)
      return { requests = { { id = 3, csr = assert(core.csr.build {
        key = core.key.generate "ec:P-256", subject = "CN=device01", raw = parts }) } } }
    end
    failed(post(raw { spki = off_curve }), "badRequest", { 3 })
    local even = der.seq(der.seq(der.oid "1.2.840.113549.1.1.1", "\5\0"),
      der.bits(der.seq(der.tlv(2, "\0" .. ("\xab"):rep(256)), der.int(2))))
    assert.equal(400, post(raw { spki = even }).status)
    failed(post(raw { signature_algorithm = der.seq(der.oid "1.2.840.10045.4.1") }), "badAlg",
      { 3 })
  end)

  it("5272-3.2.1.2.1-b leaves it to the policy whether a name may be empty", function()
    local said = post { key = ra.key, cert = ra.cert, csrs = { (new_csr("", { subject = {} })) } }
    failed(said, "badRequest", { 1 }, 403)
    assert.equal("no name", said.statuses[1].text)
  end)

  it("5272-3.2-g says that a key must be a new one", function()
    local path = server:file("same.cmc", core.est.body_encode(cmc.request { key = device.key,
      cert = device.cert, csrs = { (new_csr("device01", { key = device.key })) } }, 64))
    local status, body = server:curl("/fresh/fullcmc", "-H", "Content-Type: application/pkcs7-mime",
      "--data-binary", "@" .. path)
    assert.equal(403, status, body)
    local said = assert(core.cmc.parse(core.base64.decode(body))).controls[1].value
    assert.same({ "failed", "noKeyReuse", { 1 } }, { said.status, said.failure, said.bodies })
  end)

  it("5272-3.2.1-d passes over messages within that no control is about", function()
    local csr = new_csr "device01"
    local inner = der.seq(der.int(9), der.seq(der.oid "1.2.840.113549.1.7.1"))
    local other = der.seq(der.int(10), der.oid "1.2.3.4", der.utf8 "x")
    local content = der.seq(der.seq(), der.seq(der.tlv(0xa0, der.int(1), csr:der())),
      der.seq(inner), der.seq(other))
    local said = cmc.post(server, assert(core.cmc.sign { kind = "request", key = device.key,
      cert = device.cert, content = content }))
    assert.equal(200, said.status, said.statuses[1] and said.statuses[1].text)
  end)

  it("shows the regInfo to the policy, and the ledger decides it again", function()
    local function with(reg_info)
      return post { key = ra.key, cert = ra.cert, csrs = { (new_csr "sensor31") },
        controls = { { name = "regInfo", value = reg_info } } }
    end
    assert.equal(200, with("yes").status)
    local said = with "\0no"
    failed(said, "badRequest", { 1 }, 403)
    assert.equal("the regInfo says no", said.statuses[1].text)
    local id = server:sql [[SELECT id FROM requests WHERE reason = 'the regInfo says no']]
    local words = { server.lest, "explain", id, "--config", server.dir .. "/server.lua" }
    local explained = process.must(words)
    assert.matches("regInfo +no\n", explained)
    assert.matches("reject by policy.lua:%d+\n", explained)
    table.insert(words, "--json")
    local asked = json.decode((process.must(words))).request.asked
    assert.equal("\0no", core.base64.decode(asked.reg_info))
    failed(with(("x"):rep(4097)), "badRequest", { 0 })
    -- All that a policy has decided, as it did then.
    local result = json.decode((process.must { server.lest, "policy", "replay", "--config",
      server.dir .. "/server.lua", "--json" }))
    assert.same({ 0, server:sql "SELECT count(*) FROM requests WHERE policy_hash IS NOT NULL" },
      { result.different, tostring(result.same) })
  end)

  it("6402-2.4-a renews no other names than the signer's own", function()
    failed(post { csrs = { (new_csr "device77") } }, "badRequest", { 0 }, 403)
  end)

  it("5272-3.1-c refuses an extension that it cannot write and the client cannot do without",
    function()
      local unknown = { oid = "1.2.3.4", critical = true, value = der.utf8 "x" }
      failed(post { csrs = { (new_csr("device01", { extensions = { unknown } })) } },
        "unsupportedExt", { 1 })
    end)

  it("refuses what lacks the attributes that the label asks for, in its answer", function()
    local path = server:file("lacks.cmc", core.est.body_encode(cmc.request { key = device.key,
      cert = device.cert, csrs = { (new_csr "device01") } }, 64))
    local status, body = server:curl("/asks/fullcmc", "-H", "Content-Type: application/pkcs7-mime",
      "--data-binary", "@" .. path)
    assert.equal(403, status)
    local said = assert(core.cmc.parse(core.base64.decode(body))).controls[1].value
    assert.same({ "failed", "badRequest", { 1 } }, { said.status, said.failure, said.bodies })
    assert.matches("lacks what /csrattrs asks for: the attribute serialNumber", said.text)
  end)

  it("5272-6.4-a gives back the data that is to be returned", function()
    local said = post { csrs = { (new_csr "device01") },
      controls = { { name = "dataReturn", value = "\0\1\2" } } }
    assert.equal("\0\1\2", cmc.find(said.message, "dataReturn"))
    assert.is_nil(cmc.find(said.message, "recipientNonce"))
  end)

  it("gives the same certificate again where the answer was lost", function()
    local csr = new_csr "device01"
    local first = post { csrs = { csr } }
    local again = post { csrs = { csr } }
    assert.equal(first.message.certificates[1], again.message.certificates[1])
  end)

  it("7030-4.3.2-g 5272-6.13-a lets a request wait, and be asked for by its token", function()
    local csr = new_csr "wait1"
    local function wait(what)
      what.key, what.cert = ra.key, ra.cert
      local said = post(what)
      assert.equal(202, said.status, said.body)
      assert.equal("20", said.headers["retry-after"])
      assert.equal("pending", said.statuses[1].status)
      return said.statuses[1]
    end
    local first = wait { csrs = { csr } }
    assert.same({ { 1 }, "wait for it" }, { first.bodies, first.text })
    local poll = { { name = "queryPending", value = first.token },
      { name = "transactionId", value = "\x2a" } }
    local second = wait { controls = poll }
    assert.same({ first.token, first.time, { 101 } }, { second.token, second.time, second.bodies })
    -- nobody else's
    failed(post { controls = { { name = "queryPending", value = first.token } } }, "badIdentity",
      { 101 }, 403)
    failed(post { controls = { { name = "queryPending", value = "none" } } }, "badRequest", { 101 })
    process.must { server.lest, "pending", "approve", first.token, "--config",
      server.dir .. "/server.lua" }
    local said = post { key = ra.key, cert = ra.cert, controls = poll }
    assert.equal(200, said.status, said.body)
    assert.equal(csr.spki, said.message.certificates[1].public_key.der)
  end)

  it("5272-6.11-b 5272-6.11-c revokes the asker's own certificates, and no others", function()
    local old = post({ csrs = { (new_csr "device01") } }).message.certificates[1]
    local said
    local function revoke(cert, what)
      what = what or {}
      what.controls = { { id = 9, name = "revokeRequest", value = { issuer_der = cert.issuer_der,
        serial = cert.serial, reason = 1 } } }
      return post(what)
    end
    local other = enrolled "device03"
    failed(revoke(other.cert), "badCertId", { 9 }, 403)
    assert.same({ { status = "success", bodies = { 9 } } }, revoke(old).statuses)
    assert.equal("keyCompromise", server:sql(
      "SELECT revocation_reason FROM certificates WHERE serial = '" .. old.serial .. "'"))
    assert.equal(200, revoke(old).status)
    assert.equal(200, revoke(other.cert, { key = ra.key, cert = ra.cert }).status)
    -- Each has left a row, which no policy has decided.
    local rows = server:sql [[SELECT verdict || ' ' || detail || ' ' || coalesce(reason, '')
      FROM requests WHERE csr IS NULL ORDER BY seq]]
    local expected = {}
    for i, each in ipairs { { "reject", other.cert, "the asker has no such certificate" },
      { "approve", old, "" }, { "approve", old, "" }, { "approve", other.cert, "" } } do
      expected[i] = ("%s revokeRequest %s of %s %s"):format(each[1], each[2].serial,
        each[2].issuer, each[3])
    end
    assert.equal(table.concat(expected, "\n"), (rows:gsub("%s+$", "")) .. " ")
    local id = server:sql "SELECT id FROM requests WHERE csr IS NULL ORDER BY seq DESC LIMIT 1"
    assert.matches("revokeRequest " .. other.cert.serial, process.must { server.lest, "explain", id,
      "--config", server.dir .. "/server.lua" })
    -- One beside a request has a row of its own, whatever becomes of it.
    said = revoke(other.cert, { csrs = { (new_csr "device01") } })
    assert.equal(200, said.status, said.body)
    assert.same({ "failed", "success" }, { said.statuses[1].status, said.statuses[2].status })
    -- What is revoked signs nothing more.
    failed(post { key = other.key, cert = other.cert, csrs = { (new_csr "device03") } },
      "badRequest", { 0 }, 403)
  end)

  it("keeps what was issued at labels that it has nothing to do with from an asker, and an RA",
    function()
      local status, body = server:post("/off/simpleenroll",
        server:csr("there", { subject = "/CN=device01" }), "--cert",
        server.folder .. "/device01.pem", "--key", server.folder .. "/device01.key")
      assert.equal(200, status, body)
      local there = core.cert.load(server:save(body, "there"))
      local named = { issuer_der = there.issuer_der, serial = there.serial, reason = 1 }
      for _, asker in ipairs { device, ra } do
        for _, name in ipairs { "revokeRequest", "getCert", "confirmCertAcceptance" } do
          failed(post { key = asker.key, cert = asker.cert,
            controls = { { name = name, value = named } } }, "badCertId", { 101 }, 403)
        end
      end
      assert.equal("", server:sql(
        "SELECT revoked_at FROM certificates WHERE serial = '" .. there.serial .. "'"))
      local own = { issuer_der = device.cert.issuer_der, serial = device.cert.serial }
      failed(post { key = core.key.load(server.folder .. "/there.key"), cert = there,
        controls = { { name = "getCert", value = own } } }, "badCertId", { 101 }, 403)
    end)

  it("5272-6.14-c gives a certificate of the asker's, and notes that one was accepted", function()
    local named = { issuer_der = device.cert.issuer_der, serial = device.cert.serial }
    local said = post { controls = { { name = "getCert", value = named },
      { name = "confirmCertAcceptance", value = named } } }
    assert.equal(200, said.status, said.body)
    assert.equal(device.cert, said.message.certificates[1])
    assert.same({ "success", "success" }, { said.statuses[1].status, said.statuses[2].status })
    named.serial = "0badc0de"
    failed(post { controls = { { name = "getCert", value = named } } }, "badCertId", { 101 }, 403)
  end)

  describe("asked for a CRL", function()
    local function ask(...)
      local controls = {}
      for i, value in ipairs { ... } do controls[i] = { name = "getCRL", value = value } end
      return post { controls = controls }
    end

    it("5272-6.10-a gives the newest that the issuer's key has signed", function()
      local revoked = enrolled "device01"
      process.must { server.lest, "cert", "revoke", revoked.cert.serial, "--yes", "--config",
        server.dir .. "/server.lua" }
      local said, crl
      process.wait_for(function()
        said = ask { issuer_der = device.cert.issuer_der }
        assert.equal(200, said.status, said.body)
        assert.same({ { status = "success", bodies = { 101 } } }, said.statuses)
        assert.equal(1, #said.message.crls)
        crl = said.message.crls[1]
        return crl:find(revoked.cert.serial)
      end, "the next CRL", 60)
      assert.is_true(crl:verify(ca))
      local _, published = server:curl "/../../crl/ca.crl"
      assert.equal(published, crl:der())
      assert.matches("approve|getCRL of CN=", server:sql(
        "SELECT verdict, detail FROM requests WHERE csr IS NULL ORDER BY seq DESC LIMIT 1"))
    end)

    it("5272-6.10-b gives it once, however often it is asked for", function()
      local named, many = { issuer_der = device.cert.issuer_der }, {}
      for i = 1, 39 do many[i] = named end
      local said = ask(table.unpack(many))
      assert.equal(200, said.status, said.body)
      assert.same({ 39, 1 }, { #said.statuses, #said.message.crls })
    end)

    it("5272-6.10-c says of an earlier one, and of another issuer's, that there is none", function()
      local issuer = device.cert.issuer_der
      assert.equal(200, ask({ issuer_der = issuer, time = os.time() + 60 }).status)
      for text, value in pairs {
        ["only the newest CRL"] = { issuer_der = issuer, time = device.cert.not_before - 86400 },
        ["no CRL of this issuer"] = { issuer_der = device.cert.subject_der },
      } do
        local said = ask(value)
        assert.same({ 400, "noSupport", { 101 } }, { said.status, said.statuses[1].status,
          said.statuses[1].bodies })
        assert.matches(text, said.statuses[1].text)
        assert.equal(0, #said.message.crls)
      end
    end)

    it("is told where one is that a message has no room for", function()
      local named = { issuer_der = device.cert.issuer_der }
      revoked_rows.add(server, 2000)
      local said
      process.wait_for(function()
        said = ask(named)
        return said.status ~= 200
      end, "the next CRL", 60)
      assert.same({ 400, "noSupport", { 101 } }, { said.status, said.statuses[1].status,
        said.statuses[1].bodies })
      local path = said.statuses[1].text:match "fetch it at (/crl/%x+%.crl)$"
      local status, crl = server:curl("/../.." .. path)
      assert.equal(200, status)
      assert.is_true(assert(core.crl.parse(crl)).count > 2000)
    end)
  end)

  it("5272-6.8-a 6402-2.5-a 6402-2.12-a takes an RA's word from an RA alone", function()
    failed(post { csrs = { (new_csr "device01") }, controls = { { name = "lraPOPWitness",
      value = { 1 } } } }, "popFailed", { 101 }, 403)
    failed(post { csrs = { (new_csr "device01") }, controls = { { name = "raIdentityWitness",
      value = { 1 } } } }, "badRequest", { 101 }, 403)
    local said = post { key = ra.key, cert = ra.cert, csrs = { (new_csr "sensor9") },
      controls = { { name = "raIdentityWitness", value = { 1 } },
        { name = "lraPOPWitness", value = { 1 } } } }
    assert.equal(200, said.status, said.body)
  end)

  it("is bounded in what it asks for, so that the answer can be read", function()
    local named = { issuer_der = device.cert.issuer_der, serial = device.cert.serial }
    local controls = { { name = "transactionId", value = "\x2a" } }
    for _ = 1, 39 do controls[#controls + 1] = { name = "confirmCertAcceptance", value = named } end
    local said = post { controls = controls }
    assert.equal(200, said.status, said.body)
    assert.equal(39, #said.statuses)
    controls[#controls + 1] = { name = "getCert", value = named }
    failed(post { controls = controls }, "badRequest", { 0 })
  end)

  it("5272-6.17-a answers each message of an RA's batch by itself", function()
    local key = core.key.generate "ec:P-256"
    local crmf = new_csr("device01", { form = "crmf", key = key })
    local unproven, key_id = cmc.csr_with_key_id { key = key, subject = "CN=device01" }
    local nonce = ("i"):rep(16)
    local function renewal(csrs, signer)
      return cmc.request { key = (signer or device).key, cert = (signer or device).cert,
        csrs = csrs, controls = { { name = "senderNonce", value = nonce } } }
    end
    local messages = { renewal { (new_csr "device01") }, renewal { crmf },
      renewal { (new_csr "device77") }, -- not its names
      cmc.request { key = key, key_id = key_id, csrs = { unproven }, certificates = {} },
      renewal({ (new_csr "device01") }, { cert = device.cert, key = key }) }
    local function batch(ders, more)
      local what = { key = ra.key, cert = ra.cert, contents = {}, controls = {} }
      local ids = {}
      for i, each in ipairs(ders) do
        ids[i] = 20 + i
        what.contents[i] = { id = ids[i], der = each }
      end
      for name, value in pairs(more or {}) do what[name] = value end
      table.insert(what.controls, { id = 7, name = "batchRequests", value = what.ids or ids })
      what.ids = nil
      return post(what)
    end
    local said = batch(messages, { csrs = { (new_csr "sensor41") } })
    assert.equal(200, said.status, said.body)
    assert.same({ { status = "success", bodies = { 7 } }, { status = "success",
      bodies = { 1 } } }, said.statuses)
    local ids, found = cmc.find(said.message, "batchResponses"), {}
    assert.equal(#messages, #ids)
    for i, id in ipairs(ids) do
      for _, content in ipairs(said.message.contents) do
        if content.id == id then found[i] = assert(core.cmc.parse(content.der)) end
      end
      assert.is_true(found[i]:verify(found[i].signer_certificate.public_key.der))
    end
    local became = {}
    for i, each in ipairs(found) do
      local status = cmc.find(each, "statusInfoV2")
      became[i] = status.failure or status.status
    end
    assert.same({ "success", "success", "badRequest", "badIdentity", "badMessageCheck" }, became)
    assert.equal(nonce, cmc.find(found[1], "recipientNonce"))
    assert.equal(crmf.spki, found[2].certificates[1].public_key.der)
    local rows = server:sql [[SELECT group_concat(operation || ':' || principal_name, ' ') FROM
      (SELECT * FROM requests WHERE id LIKE '%.m%' ORDER BY seq)]]
    assert.matches("^fullcmc:own:CN=device01 fullcmc:own:CN=device01$", rows)
    -- of an RA alone, each once, and none within another
    failed(batch({ messages[1] }, { key = device.key, cert = device.cert }), "badRequest", { 7 },
      403)
    failed(batch({ messages[1] }, { ids = { 21, 21 } }), "badRequest", { 7 })
    failed(batch({ messages[1] }, { ids = { 1 } }), "badRequest", { 7 })
    local within = cmc.request { key = ra.key, cert = ra.cert, controls = {
      { id = 8, name = "batchRequests", value = { 9 } } },
      contents = { { id = 9, der = messages[1] } } }
    said = batch { within }
    assert.equal(200, said.status)
    local status = cmc.find(core.cmc.parse(said.message.contents[1].der), "statusInfoV2")
    assert.same({ "badRequest", { 8 }, "a batch stands within another one" },
      { status.failure, status.bodies, status.text })
  end)

  it("7030-4.3-a 7030-3.2.2-e is offered where the label says so, and by POST", function()
    local status, body = server:curl("/off/fullcmc", "--data-binary", "x", "-H",
      "Content-Type: application/pkcs7-mime")
    assert.same({ 404, "the operation 'fullcmc' is not offered here\n" }, { status, body })
    local wrong, _, headers = server:curl "/fullcmc"
    assert.same({ 405, "POST" }, { wrong, headers.allow })
    status = server:curl("/fullcmc", "--data-binary", "x", "-H", "Content-Type: application/pkcs10")
    assert.equal(415, status)
  end)
end)
