-- The client's Full PKI Requests against a real server, and answers that are lies.
local cmc = require "support.cmc"
local core = require "lest.core"
local der = require "support.der"
local est = require "support.est"
local lest = require "lest"
local process = require "support.process"
local raw_server = require "support.raw_server"
local shell = require "support.shell"
local support = require "support.server"
local vectors = require "support.vectors"

local POLICY <const> = [[
local policy = require "lest.policy"
return {
  enroll = function(request)
    local name = request.csr.subject.CN
    if name:find "^bad" then return policy.reject "not this one" end
    if name:find "^wait" and #request.approvals == 0 then
      return policy.pending { "wait for it", retry_after = "1s" }
    end
    return policy.approve { subject = request.csr.subject, san = request.csr.san }
  end,
  reenroll = policy.renew {},
}
]]

describe("client:fullcmc", function()
  local server, device, key

  local function client_of(options)
    local all = { url = server.url, trust = server.root, notify = function() end }
    for name, value in pairs(options or {}) do all[name] = value end
    return lest.client(all)
  end

  local function me(options)
    options = options or {}
    options.cert, options.key = device, key
    return client_of(options)
  end

  setup(function()
    server = support.start { policy = POLICY, config = function(text)
      text = text:gsub("%-%- fullcmc = true", "fullcmc = true", 1)
      text = text:gsub("labels = {", [[labels = {
        confirmed = { policy = "policy.lua", profile = "device", fullcmc = true, confirm = "2s",
          renews = { "default", "confirmed" } },]], 1)
      return (text:gsub('names = "principal"', 'names = "policy"', 1))
    end }
    local secret = server:credential "device01"
    key = core.key.generate "ec:P-256"
    device = assert(client_of({ username = "device01", password = secret }):enroll { key = key,
      subject = "CN=device01" })
  end)

  teardown(function() server:stop() end)

  it("5272-4.2-a 5272-3.2-f renews, by the certificate that the client has", function()
    local fresh = core.key.generate "ec:P-256"
    local got = assert(me():fullcmc { requests = { { key = fresh } } })
    assert.equal(fresh:public_der(), got[1].public_key.der)
    assert.equal(device.subject, got[1].subject)
    assert.same({}, got.errors)
    assert.equal("response", got.message.kind)
    local row = server:sql("SELECT operation, renews FROM certificates WHERE serial = '"
      .. got[1].serial .. "'")
    assert.equal("fullcmc|" .. device.serial, row)
  end)

  it("5274-4-b asks by CRMF, signed by the certificate or by the new key", function()
    local fresh = core.key.generate "ec:P-256"
    local got = assert(me():fullcmc { requests = { { key = fresh, form = "crmf" } } })
    assert.equal(fresh:public_der(), got[1].public_key.der)
    assert.equal(device.subject, got[1].subject)
    local client = client_of { username = "device12", password = server:credential("device12",
      { "--reusable" }) }
    got = assert(client:fullcmc { requests = {
      { key = fresh, form = "crmf", subject = "CN=device12" },
      core.csr.build { key = core.key.generate "ec:P-256", form = "crmf", id = 2,
        subject = "CN=device12" } } })
    assert.same({ "CN=device12", "CN=device12" },
      { tostring(got[1].subject), tostring(got[2].subject) })
    local crmf = core.csr.build { key = fresh, form = "crmf", id = 5, subject = "CN=device12" }
    local _, err = client:fullcmc { requests = { crmf }, sign = { key = key, cert = device } }
    assert.equal("usage", err.code)
    assert.matches("CRMF with the id 5", err.message)
    _, err = client:enroll(crmf)
    assert.equal("usage", err.code)
  end)

  it("5272-3.2-b 5272-3.2-d enrolls, signed by the new key, as whom HTTP proves", function()
    local fresh = core.key.generate "ec:P-256"
    local client = client_of { username = "device02", password = server:credential "device02" }
    local got = assert(client:fullcmc { requests = { { key = fresh, subject = "CN=device02" } } })
    assert.equal("CN=device02", tostring(got[1].subject))
    local _, err = client_of():fullcmc { requests = { { key = fresh, subject = "CN=x" } } }
    assert.equal("unauthenticated", err.code)
    assert.equal(4, err.exit_code)
  end)

  it("says of each request what became of it, and fails where nothing came of any", function()
    local client = client_of { username = "device03", password = server:credential("device03",
      { "--reusable" }) }
    local keys = {}
    for i = 1, 2 do keys[i] = core.key.generate "ec:P-256" end
    local got = assert(client:fullcmc { requests = { { key = keys[1], subject = "CN=bad" },
      { key = keys[2], subject = "CN=good" } } })
    assert.is_nil(got[1])
    assert.equal("refused", got.errors[1].code)
    assert.matches("badRequest: not this one", got.errors[1].reason)
    assert.equal("CN=good", tostring(got[2].subject))
    local none, err = client:fullcmc { requests = { { key = keys[1], subject = "CN=bad" } } }
    assert.is_nil(none)
    assert.same({ "refused", 403, 7 }, { err.code, err.status, err.exit_code })
    assert.matches("not this one", err.reason)
  end)

  it("5272-6.13-b 5272-6.6-a waits for what is pending, and asks again by its token", function()
    local client = client_of { username = "device04", password = server:credential "device04" }
    local fresh = core.key.generate "ec:P-256"
    local _, err = client:fullcmc { requests = { { key = fresh, subject = "CN=wait4" } } }
    assert.same({ "pending", 202, 1 }, { err.code, err.status, err.retry_after })
    local row = server:sql "SELECT id FROM pending WHERE operation = 'fullcmc'"
    process.must { server.lest, "pending", "approve", row, "--config", server.dir .. "/server.lua" }
    local got = assert(client:fullcmc { requests = { { key = fresh, subject = "CN=wait4" } },
      wait = "20s" })
    assert.equal("CN=wait4", tostring(got[1].subject))
  end)

  it("5272-6.11-a asks for other things by controls, such as to revoke its own", function()
    local old = assert(me():fullcmc { requests = { { key = core.key.generate "ec:P-256" } } })[1]
    local control = { name = "revokeRequest", value = { issuer_der = old.issuer_der,
      serial = old.serial, reason = 4 } }
    assert(me():fullcmc { controls = { control } })
    assert.equal("superseded", server:sql(
      "SELECT revocation_reason FROM certificates WHERE serial = '" .. old.serial .. "'"))
    control.value.serial = "0badc0de"
    local _, err = me():fullcmc { controls = { control } }
    assert.equal("refused", err.code)
    assert.matches("^badCertId", err.reason)
  end)

  it("7030-4.3.2-f sends a finished message, and tells what its answer says", function()
    local csr = assert(core.csr.build { key = core.key.generate "ec:P-256",
      subject = "CN=device01" })
    local answer = assert(me():cmc(cmc.request { key = key, cert = device, csrs = { csr } }))
    assert.equal(csr.spki, answer.certificates[1].public_key.der)
    local none, err = me():cmc(cmc.request { key = key, cert = device,
      controls = { { id = 7, oid = "1.2.3", values = { "\5\0" } } } })
    assert.is_nil(none)
    assert.matches("^badRequest: the control 1.2.3", err.reason)
    assert.same({ 7 }, err.answer.message.controls[1].value.bodies)
  end)

  it("5272-6.14-a 5272-6.14-c confirms what is to be confirmed; else that is revoked", function()
    local fresh = core.key.generate "ec:P-256"
    local client = client_of { label = "confirmed", cert = device, key = key }
    local got = assert(client:fullcmc { requests = { { key = fresh } }, csrattrs = false })
    assert.equal(fresh:public_der(), got[1].public_key.der)
    assert.equal("0", server:sql "SELECT count(*) FROM confirmations")
    local csr = assert(core.csr.build { key = core.key.generate "ec:P-256",
      subject = "CN=device01" })
    local message = cmc.request { key = key, cert = device, csrs = { csr } }
    local answer = assert(client:cmc(message))
    local status = cmc.find(answer.message, "statusInfoV2")
    assert.same({ "confirmRequired", { 1 } }, { status.status, status.bodies })
    local cert = answer.certificates[1]
    assert.equal("1", server:sql "SELECT count(*) FROM confirmations")
    -- The same request, asked again, is to be confirmed still.
    answer = assert(client:cmc(message))
    assert.equal("confirmRequired", cmc.find(answer.message, "statusInfoV2").status)
    process.wait_for(function()
      return server:sql("SELECT revocation_reason FROM certificates WHERE serial = '"
        .. cert.serial .. "'") == "cessationOfOperation"
    end, "the revocation", 30)
    assert.equal("0", server:sql "SELECT count(*) FROM confirmations")
    assert.equal(1, #server:logged "revoked unconfirmed")
    assert.equal("", server:sql("SELECT coalesce(revocation_reason, '') FROM certificates "
      .. "WHERE serial = '" .. got[1].serial .. "'"))
  end)

  it("7030-4.3.2-e tells a server without fullcmc from one that refuses", function()
    local _, err = client_of({ label = "none" }):fullcmc { sign = { key = key, cert = device } }
    assert.equal("http", err.code)
    assert.equal(404, err.status)
  end)

  it("has a command", function()
    local folder <close> = setmetatable({ path = process.folder() }, { __close = function(self)
      os.execute("rm -r " .. self.path)
    end })
    assert(device:save(folder.path .. "/device.pem"))
    assert(key:save(folder.path .. "/device.key"))
    local out = shell.lest("fullcmc", server.url, "--trust", server.root, "--cert",
      folder.path .. "/device.pem", "--key", folder.path .. "/device.key", "--new-key", "ec:P-256",
      "--key-out", folder.path .. "/next.key", "--out", folder.path .. "/next.pem", "--crmf")
    assert.equal(0, out.code, out.err)
    local kept = vectors.unhex(server:sql
      "SELECT hex(csr) FROM requests WHERE csr IS NOT NULL ORDER BY seq DESC LIMIT 1")
    assert.equal("crmf", core.csr.parse(kept).form)
    local cert = core.cert.load(folder.path .. "/next.pem")
    assert.equal(core.key.load(folder.path .. "/next.key"):public_der(), cert.public_key.der)
    process.write(folder.path .. "/message.der", cmc.request { key = key, cert = device,
      csrs = { (core.csr.build { key = key, subject = "CN=other" }) } })
    out = shell.lest("fullcmc", server.url, "--trust", server.root, "--message",
      folder.path .. "/message.der")
    assert.equal(7, out.code)
    assert.matches("the names of the request are not those", out.err)
    out = shell.lest("fullcmc", server.url, "--trust", server.root)
    assert.equal(2, out.code)
  end)

  it("5272-6.11-a revokes by a command, and gets a certificate once more", function()
    local folder <close> = setmetatable({ path = process.folder() }, { __close = function(self)
      os.execute("rm -r " .. self.path)
    end })
    assert(device:save(folder.path .. "/device.pem"))
    assert(key:save(folder.path .. "/device.key"))
    local function fullcmc(...)
      return shell.lest("fullcmc", server.url, "--trust", server.root, "--cert",
        folder.path .. "/device.pem", "--key", folder.path .. "/device.key", ...)
    end
    local function reason_of(cert)
      return server:sql("SELECT coalesce(revocation_reason, '') FROM certificates WHERE serial = '"
        .. cert.serial .. "'")
    end
    local old = assert(me():fullcmc { requests = { { key = core.key.generate "ec:P-256" } } })[1]
    local spelt = old.serial:upper():gsub("..", "%0:"):sub(1, -2)
    local out = fullcmc("--get-cert", spelt, "--out", folder.path .. "/old.pem")
    assert.equal(0, out.code, out.err)
    assert.equal(old.fingerprint, core.cert.load(folder.path .. "/old.pem").fingerprint)
    assert.equal("", reason_of(old))
    out = fullcmc("--revoke", spelt, "--reason", "superseded")
    assert.same({ 0, "revoked " .. old.serial .. "\n" }, { out.code, out.out }, out.err)
    assert.equal("superseded", reason_of(old))
    out = fullcmc("--revoke", old.serial, "--json", "--issuer", server.root)
    assert.equal(0, out.code, out.err)
    assert.same({ revoked = { old.serial } }, lest.json.decode(out.out))
    -- Of others, by another CA, or of nobody: one answer.
    local client = client_of { username = "device40", password = server:credential "device40" }
    local other = assert(client:enroll { key = core.key.generate "ec:P-256",
      subject = "CN=device40" })
    assert(other:save(folder.path .. "/other.pem"))
    for _, words in ipairs { { "--revoke", other.serial }, { "--revoke", "0badc0de" },
      { "--get-cert", other.serial },
      { "--revoke", device.serial, "--issuer", folder.path .. "/other.pem" } } do
      out = fullcmc(table.unpack(words))
      assert.equal(7, out.code)
      assert.equal("", out.out)
      assert.matches("badCertId: the asker has no such certificate", out.err)
    end
    assert.same({ "", "" }, { reason_of(other), reason_of(device) })
    for expected, words in pairs {
      ["pairs of hex digits"] = { "--revoke", "0xyz" },
      ["take no option of one"] = { "--revoke", "0a", "--subject", "CN=a" },
      ["%-%-reason is of %-%-revoke"] = { "--get-cert", "0a", "--reason", "superseded" },
      ["must be one of"] = { "--revoke", "0a", "--reason", "certificateHold" },
      ["can not be used together"] = { "--revoke", "0a", "--get-cert", "0b" },
      ["%-%-issuer is of"] = { "--csr-key", folder.path .. "/device.key", "--issuer",
        server.root },
    } do
      out = fullcmc(table.unpack(words))
      assert.equal(2, out.code)
      assert.matches(expected, out.err)
    end
    out = shell.lest("fullcmc", server.url, "--trust", server.root, "--revoke", "0a")
    assert.equal(2, out.code)
    assert.matches("give %-%-cert and %-%-key", out.err)
    out = fullcmc("--revoke", "0a", "--issuer", folder.path .. "/nowhere.pem")
    assert.is_true(out.code ~= 0)
    assert.matches("nowhere.pem", out.err)
  end)
end)

describe("lest fullcmc --get-crl", function()
  local server, folder

  setup(function()
    server = support.start { policy = POLICY, config = function(text)
      return (text:gsub("%-%- fullcmc = true", "fullcmc = true", 1))
    end }
    server:enroll "device01"
    folder = server.folder
  end)
  teardown(function() server:stop() end)

  local function get(...)
    return shell.lest("fullcmc", server.url, "--trust", server.root, "--cert",
      folder .. "/device01.pem", "--key", folder .. "/device01.key", "--get-crl", ...)
  end

  it("5272-6.10-a writes the CRL of the CA that issued --cert, for openssl", function()
    local file = folder .. "/crl.pem"
    local function verify(name)
      local code, out, err = process.run { "openssl", "verify", "-crl_check", "-CAfile",
        server.root, "-CRLfile", file, folder .. "/" .. name .. ".pem" }
      return code == 0 and "good" or (out .. err):match "certificate revoked" or out .. err
    end
    local out = get("--out", file)
    assert.equal(0, out.code, out.err)
    assert.matches("crl.pem: CRL of CN=[^,]+, number %x+, entries: 0, until ", out.err)
    assert.equal("good", verify "device01")
    server:enroll "other"
    process.must { server.lest, "cert", "revoke", core.cert.load(folder .. "/other.pem").serial,
      "--yes", "--config", server.dir .. "/server.lua" }
    process.wait_for(function()
      return get("--out", file, "--issuer", server.root).err:find "entries: 1"
    end, "the next CRL", 60)
    assert.same({ "good", "certificate revoked" }, { verify "device01", verify "other" })
    out = get "--json"
    assert.equal(0, out.code, out.err)
    local crl = lest.json.decode(out.out)[1]
    assert.equal(process.read(file), crl.pem)
    assert.matches("^%-%-%-%-%-BEGIN X509 CRL", get().out)
  end)

  it("5272-6.10-c says what there is no CRL of, and takes no options of others", function()
    local out = get("--issuer", folder .. "/device01.pem")
    assert.equal(7, out.code)
    assert.matches("noSupport: there is no CRL of this issuer here", out.err)
    for expected, words in pairs { ["take no option of one"] = { "--subject", "CN=a" },
      ["can not be used together"] = { "--revoke", "0a" },
      ["%-%-reason is of %-%-revoke"] = { "--reason", "superseded" } } do
      out = get(table.unpack(words))
      assert.equal(2, out.code)
      assert.matches(expected, out.err)
    end
  end)
end)

describe("lest fullcmc --get-crl, of a server that lies,", function()
  local world, now

  setup(function()
    world, now = est.world(), os.time()
  end)
  teardown(function() world:close() end)

  --- A CRL of the root's name.
  local function crl_of(plan)
    local root = core.issuer.new { cert = plan.cert or world.root.cert, key = plan.key
      or core.key.load(world.root.key) }
    local draft <close> = core.crl.draft()
    local sealed <close> = assert(root:sign_crl(draft, { number = 1, this_update = now - 7200,
      next_update = plan.next_update or now + 3600 }))
    return assert(core.crl.parse(sealed:bytes()))
  end

  -- What the command says of an answer with these CRLs, which is a Simple PKI Response as RFC 5272
  -- 6.10 has it: nobody has signed that.
  local function get(crl, ca)
    local server <close> = world:serve()
    server:answer(est.ok("simpleenroll", assert(core.pkcs7.encode({ ca or world.root.cert },
      { crl }))))
    return shell.lest("fullcmc", ("https://localhost:%d"):format(server.port), "--trust",
      world.root.path, "--cert", world.device.path, "--key", world.device.key, "--get-crl")
  end

  local function refused(out, pattern)
    assert.not_equal(0, out.code)
    assert.equal("", out.out)
    assert.matches(pattern, out.err)
  end

  it("takes one that the CA has signed", function()
    local crl = crl_of {}
    local out = get(crl)
    assert.equal(0, out.code, out.err)
    assert.equal(crl:pem(), out.out)
  end)

  it("5272-6.10-e refuses one by another key, of another issuer, one that is over, and none",
    function()
      local key = core.key.generate "ec:P-256"
      local function ca_of(subject)
        return { key = key, cert = assert(core.issuer.root { key = key, subject = subject,
          not_before = now - 60, not_after = now + 86400 }) }
      end
      local twin = ca_of(world.root.cert.subject)
      refused(get(crl_of(twin)), "signed by no key of its CA")
      refused(get(crl_of(twin), twin.cert), "signed by no key of its CA")
      refused(get(crl_of(ca_of "CN=other")), "no CRL of the CA that was asked for")
      refused(get(crl_of { next_update = now - 3600 }), "is over since")
      refused(get(), "no CRL of the CA that was asked for")
    end)
end)

describe("an answer of CMC", function()
  local world, signer, stranger

  setup(function()
    world = est.world()
    signer = world.pki:issue("signer", { by = world.root,
      ext = "extendedKeyUsage = 1.3.6.1.5.5.7.3.27" })
    stranger = world.pki:root "stranger"
  end)
  teardown(function() world:close() end)

  -- A PKIResponse as bytes of HTTP. how: status, entity (who signs), controls, sent (a request).
  local function response(how)
    local entity = how.entity or signer
    local controls = {}
    for i, control in ipairs(how.controls) do
      controls[i] = { id = i, name = control[1], value = control[2] }
    end
    local bytes = how.bytes or assert(core.cmc.sign { kind = "response",
      key = core.key.load(entity.key), cert = entity.cert, certificates = how.certificates
        or { entity.cert },
      content = assert(core.cmc.content { kind = "response", controls = controls,
        contents = how.contents }) })
    return raw_server.http(how.status or 200, {
      ["Content-Type"] = "application/pkcs7-mime; smime-type=CMC-response" },
      core.est.body_encode(bytes))
  end

  local SUCCESS <const> = { "statusInfoV2", { status = "success", bodies = { 0 } } }

  local function ask(how)
    local server <close> = world:serve()
    server:answer(response(how))
    server:answer(est.cacerts { world.root.cert })
    local client <close> = world:client(server)
    return client:cmc(cmc.request { key = world.key, cert = world.device.cert,
      controls = how.asked or { { name = "senderNonce", value = cmc.NONCE },
        { name = "transactionId", value = "\1" } } })
  end

  local RIGHT <const> = { SUCCESS, { "recipientNonce", cmc.NONCE }, { "transactionId", "\1" } }

  it("7030-3.1-b 7030-4.3.1-b is asked for by POST, a Full PKI Request of that media type",
    function()
      local server <close> = world:serve()
      server:answer(raw_server.http(500), 3)
      local client <close> = world:client(server, { cert = world.device.cert, key = world.key })
      local _, err = client:fullcmc { requests = { { key = core.key.generate "ec:P-256" } },
        csrattrs = false }
      assert.equal("http", err.code)
      local request = server:request()
      assert.equal("POST /.well-known/est/fullcmc", request.method .. " " .. request.target)
      assert.equal("application/pkcs7-mime; smime-type=CMC-request",
        request.headers["content-type"])
      local message = assert(core.cmc.parse(core.est.body_decode(request.body)))
      assert.same({ "request", 1 }, { message.kind, #message.requests })
      assert.is_true(message:verify(world.device.cert.public_key.der))
    end)

  it("is believed where signature, nonce and transaction are right", function()
    assert(ask { controls = RIGHT })
  end)

  for what, how in pairs {
    ["another nonce"] = { pattern = "recipientNonce is not that", controls = { SUCCESS,
      { "recipientNonce", ("x"):rep(16) }, { "transactionId", "\1" } } },
    ["no nonce"] = { pattern = "recipientNonce is not that", controls = { SUCCESS,
      { "transactionId", "\1" } } },
    ["another transaction"] = { pattern = "transactionId is not that", controls = { SUCCESS,
      { "recipientNonce", cmc.NONCE }, { "transactionId", "\2" } } },
    ["a stranger's signature"] = { pattern = "signer's certificate is not accepted",
      entity = "stranger" },
    ["the signature of a certificate for something else"] = { pattern = "for no answers of CMC",
      entity = "device" },
    ["no certificate of the signer"] = { pattern = "certificate is not with it",
      certificates = {} },
  } do
    it("5272-6.6-c 5272-4.2-b is not believed with " .. what, function()
      how.entity = how.entity == "stranger" and stranger or how.entity == "device" and world.device
        or nil
      how.controls = how.controls or RIGHT
      local answer, err = ask(how)
      assert.is_nil(answer)
      assert.equal("trust", err.code)
      assert.equal(3, err.exit_code)
      assert.matches(how.pattern, err.message)
    end)
  end

  -- Ask for a certificate of a server that answers message n by answers[n](message), which gives
  -- what response() takes; the last one goes on. Nonce and transaction are right.
  local function enroll(answers, options)
    local seen = {}
    local tls = assert(core.tls.server { cert = core.cert.load(world.server.path),
      key = core.key.load(world.server.key) })
    local server = assert(core.server.new { listen = "127.0.0.1:0", tls = tls,
      on_request = function(exchange)
        local bytes = core.est.body_decode(exchange.body or "")
        local message = bytes and core.cmc.parse(bytes)
        if not message then -- cacerts
          return exchange:respond { raw = est.cacerts { world.root.cert } }
        end
        seen[#seen + 1] = message
        local how = answers[math.min(#seen, #answers)](message)
        table.insert(how.controls, { "recipientNonce", cmc.find(message, "senderNonce") })
        table.insert(how.controls, { "transactionId", cmc.find(message, "transactionId") })
        exchange:respond { raw = response(how) }
      end })
    local client <close> = world:client({ url = "https://localhost:"
      .. server.address:match "%d+$" }, { cert = options and options.cert or world.device.cert,
      key = options and options.key or world.key })
    options = options or {}
    options.cert, options.key = nil, nil
    options.csrattrs = false
    options.requests = options.requests or { { key = world.key } }
    local got, err = client:fullcmc(options)
    server:close()
    return got, err, seen
  end

  -- A certificate for the key of the message's request, and what is said of it.
  local function issue(status, key)
    return function(message)
      local csr = message.requests[1] and core.csr.parse(message.requests[1].der)
      local now = os.time()
      local bytes = assert(core.issuer.new { cert = world.root.cert,
        key = core.key.load(world.root.key) }:issue { subject_der = csr.subject_der,
        san_der = csr.san_der, public_key = key or csr.spki, not_before = now - 60,
        not_after = now + 3600, key_usage = { "digitalSignature" }, eku = { "clientAuth" } })
      local cert = core.cert.parse(bytes)
      return { controls = { { "statusInfoV2", { status = status, bodies = { 1 },
        failure = status == "failed" and "badRequest" or nil } } },
        certificates = { signer.cert, cert } }
    end
  end

  local function say(status)
    return function() return { controls = { { "statusInfoV2", status } } } end
  end

  it("5272-6.6-d 5273-4-a 5272-3.2.1.2.1-a is asked for with a nonce of its own, and no other",
    function()
      local got, _, seen = enroll { issue "success" }
      assert.equal(world.key:public_der(), got[1].public_key.der)
      assert.equal(1, #seen)
      assert.is_true(#cmc.find(seen[1], "senderNonce") >= 16)
      assert.is_nil(cmc.find(seen[1], "recipientNonce"))
      local csr = core.csr.parse(seen[1].requests[1].der)
      assert.same({ world.device.cert.subject_der, world.key:public_der() },
        { csr.subject_der, csr.spki })
      assert.is_true(csr:verify())
    end)

  it("5272-6.14-a 5272-6.14-b is confirmed where that is wanted, and none before", function()
    local got, err, seen = enroll { issue "confirmRequired", say { status = "success",
      bodies = { 0 } } }
    assert(got, err)
    assert.equal(2, #seen)
    local named = cmc.find(seen[2], "confirmCertAcceptance")
    assert.same({ got[1].serial, got[1].issuer_der }, { named.serial, named.issuer_der })
    assert.equal(cmc.find(seen[1], "transactionId"), cmc.find(seen[2], "transactionId"))
    assert.is_true(seen[2]:verify(world.device.cert.public_key.der))
    -- Not acknowledged: there is none.
    got, err = enroll { issue "confirmRequired", say { status = "failed", bodies = { 0 },
      failure = "badCertId" } }
    assert.is_nil(got)
    assert.equal("refused", err.code)
    assert.matches("badCertId", err.reason)
  end)

  it("6402-2.6-a takes what came of a CA within the answer of an RA", function()
    local function within(entity, path)
      return function(message)
        local inner = issue "success"(message)
        inner.certificates[1] = entity.cert
        local der_of = assert(core.cmc.sign { kind = "response", key = core.key.load(entity.key),
          cert = entity.cert, certificates = inner.certificates, content = assert(core.cmc.content {
            kind = "response", controls = { { id = 1, name = "statusInfoV2",
              value = SUCCESS[2] } } }) })
        return { controls = { SUCCESS, { "responseBody", path } },
          contents = { { id = 50, der = der_of } } }
      end
    end
    local got, err = enroll { within(signer, { 50 }) }
    assert(got, err)
    assert.equal(world.key:public_der(), got[1].public_key.der)
    for _, wrong in ipairs { within(world.device, { 50 }), within(signer, { 51 }),
      within(signer, { 50, 1 }) } do
      got, err = enroll { wrong }
      assert.is_nil(got)
      assert.equal("trust", err.code)
    end
  end)

  it("brings no certificate for another key, nor one that is said to have failed", function()
    local got, err = enroll { issue("success", core.key.generate("ec:P-256"):public_der()) }
    assert.is_nil(got)
    assert.equal("trust", err.code)
    got, err = enroll { issue "failed" }
    assert.is_nil(got)
    assert.same({ "refused", "badRequest" }, { err.code, err.reason })
  end)

  it("ends with what waits, however long that is said to", function()
    local pending = say { status = "pending", bodies = { 0 }, token = "t", time = os.time() }
    local started = core.clock.monotonic_ms()
    local got, err, seen = enroll({ pending }, { wait = "2s" })
    assert.is_nil(got)
    assert.equal("pending", err.code)
    assert.equal(5, err.exit_code)
    assert.is_true(core.clock.monotonic_ms() - started < 30000)
    assert.is_true(#seen <= 5, #seen)
  end)

  it("is not believed where nobody signed it", function()
    local content = assert(core.cmc.content { kind = "response", controls = {
      { id = 1, name = "statusInfoV2", value = SUCCESS[2] } } })
    local bytes = der.seq(der.oid "1.2.840.113549.1.7.2", der.tlv(0xa0, der.seq(der.int(3),
      der.set(), der.seq(der.oid "1.3.6.1.5.5.7.12.3", der.tlv(0xa0, der.octets(content))),
      der.set())))
    local answer, err = ask { bytes = bytes, controls = {} }
    assert.is_nil(answer)
    assert.equal("trust", err.code)
    assert.matches("certificate is not with it", err.message)
  end)

  it("is not believed where its content was changed", function()
    local content = assert(core.cmc.content { kind = "response", controls = {
      { id = 1, name = "statusInfoV2", value = { status = "failed", failure = "badAlg",
        bodies = { 0 }, text = "aaaa" } } } })
    local bytes = assert(core.cmc.sign { kind = "response", key = core.key.load(signer.key),
      cert = signer.cert, content = content, certificates = { signer.cert } })
    local _, err = ask { bytes = (bytes:gsub("aaaa", "bbbb")), controls = {}, status = 400 }
    assert.equal("trust", err.code)
    assert.matches("content is not what was signed", err.message)
  end)

  it("5272-6.1-b 5272-6.1.1-c is a failure where any status is, and a success without any",
    function()
      local failed = { "statusInfo", { status = "noSupport", bodies = { 1 } } }
      local _, err = ask { controls = { SUCCESS, failed, table.unpack(RIGHT, 2) } }
      assert.equal("refused", err.code)
      assert(ask { controls = { table.unpack(RIGHT, 2) } })
    end)

  it("7030-4.3.2-f is read by every call: why it failed, and a failure in a 200", function()
    local failed = { { "statusInfoV2", { status = "failed", failure = "popFailed", bodies = { 1 },
      text = "the proof is wrong" } } }
    for status, code in pairs { [400] = "http", [403] = "refused", [200] = "refused" } do
      local server <close> = world:serve()
      server:answer(response { status = status, controls = failed })
      local client <close> = world:client(server)
      local _, err = client:enroll(assert(core.csr.build { key = world.key, subject = "CN=x" }))
      assert.equal(code, err.code)
      assert.equal("popFailed: the proof is wrong", err.reason)
      assert.equal(status, err.status)
    end
  end)
end)
