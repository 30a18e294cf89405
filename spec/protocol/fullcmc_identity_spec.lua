-- Who asks by fullcmc is told by a shared secret that is not sent (RFC 5272 6.2, 6.3).
local cmc = require "support.cmc"
local core = require "lest.core"
local der = require "support.der"
local lest = require "lest"
local process = require "support.process"
local shell = require "support.shell"
local support = require "support.server"

local RANDOM <const> = ("R"):rep(64)

describe("an identity proof", function()
  local server

  setup(function()
    server = support.start { config = function(text)
      text = text:gsub("%-%- fullcmc = true", "fullcmc = true", 1)
      text = text:gsub('"certificate", "basic" }', '"certificate", "challenge" }', 1)
      text = text:gsub("profiles = {", [[profiles = {
        ra = { lifetime = "90d", keys = { "ec:P-256" }, names = "principal",
          eku = { "clientAuth", "cmcRA" } },]], 1)
      return (text:gsub("labels = {", [[labels = {
        ra = { policy = "policy.lua", profile = "ra", auth = { "challenge" } },
        old = { policy = "policy.lua", profile = "device", fullcmc = true, auth = "challenge",
          cmc_sha1 = true },
        closed = { policy = "policy.lua", profile = "device", fullcmc = true },]], 1))
    end }
  end)
  teardown(function() server:stop() end)

  local function made(name, ...)
    return server:credential(name, { "--kind", "challenge", ... })
  end

  -- Ask as a name, by its key; how: the CSR's plan, another secret or name in the proof, controls.
  local function ask(name, secret, how)
    how = how or {}
    local plan = { key = how.key or core.key.generate "ec:P-256", subject = how.subject
      or "CN=" .. name, attributes = how.attributes }
    local csr, key_id = cmc.csr_with_key_id(plan)
    local csrs = { csr, table.unpack(how.others or {}) }
    local said = cmc.post(server, cmc.request { key = plan.key, key_id = key_id, csrs = csrs,
      certificates = {}, controls = how.controls or cmc.identity(how.name or name, secret, csrs,
        how.more) })
    return said, csr
  end

  local function failed(said, failure, bodies)
    assert.is_true(said.status >= 400, said.status)
    assert.same({ "failed", failure, bodies }, { said.statuses[1].status,
      said.statuses[1].failure, said.statuses[1].bodies })
  end

  it("5272-6.2-b 5272-6.2.3-b 5272-6.2.1-c enrolls whose it is, once", function()
    local secret = made "device01"
    assert.is_true(#secret >= 16)
    local said, csr = ask("device01", secret)
    assert.equal(200, said.status, said.statuses[1] and said.statuses[1].text)
    assert.equal(csr.spki, said.message.certificates[1].public_key.der)
    assert.equal("challenge|device01|used", server:sql([[SELECT principal_kind, principal_name,
      (SELECT state FROM credentials WHERE name = 'device01') FROM certificates
      ORDER BY seq DESC LIMIT 1]]))
    failed(ask("device01", secret), "badIdentity", { 0 })
    assert.is_nil(process.read(server.folder .. "/log"):find(secret, 1, true))
  end)

  it("5272-6.2.1-b 5272-6.2.3-a is of the right secret, name and requests", function()
    local secret = made("device02", "--reusable")
    failed(ask("device02", secret .. "x"), "badIdentity", { 0 })
    failed(ask("device02", secret, { name = "device99" }), "badIdentity", { 0 })
    local other = core.csr.build { key = core.key.generate "ec:P-256", subject = "CN=device02" }
    failed(ask("device02", secret, { controls = cmc.identity("device02", secret, { other }) }),
      "badIdentity", { 0 })
    local proof = cmc.identity("device02", secret, { other })
    for _, half in ipairs(proof) do
      local said = ask("device02", secret, { controls = { half } })
      failed(said, "badIdentity", { 0 })
      assert.equal("identification and an identity proof go together", said.statuses[1].text)
    end
    assert.equal(200, ask("device02", secret).status)
  end)

  it("5272-6.2.1-b is right, also where a certificate tells who asks", function()
    local secret, key = made("device08", "--reusable"), core.key.generate "ec:P-256"
    local cert = ask("device08", secret, { key = key }).message.certificates[1]
    local csr = core.csr.build { key = core.key.generate "ec:P-256", subject = "CN=device08" }
    local function post(said_secret)
      return cmc.post(server, cmc.request { key = key, cert = cert, csrs = { csr },
        controls = cmc.identity("device08", said_secret, { csr }) })
    end
    local said = post(secret .. "x")
    failed(said, "badIdentity", { 0 })
    assert.equal("the identity proof is not right", said.statuses[1].text)
  end)

  it("5272-6.3.1.1-d 6402-2.3-a links each request by its witness", function()
    local secret = made("device03", "--reusable")
    local link = { cmc.link(secret, RANDOM) }
    local more = { { name = "popLinkRandom", value = RANDOM } }
    assert.equal(200, ask("device03", secret, { attributes = link, more = more }).status)
    local function other(attributes)
      return core.csr.build { key = core.key.generate "ec:P-256", subject = "CN=device03",
        attributes = attributes }
    end
    assert.equal(200, ask("device03", secret, { attributes = link, more = more,
      others = { other(link) } }).status)
    -- In CRMF it is a control.
    local function crmf(attributes)
      return core.csr.build { form = "crmf", id = 2, key = core.key.generate "ec:P-256",
        subject = "CN=device03", attributes = attributes }
    end
    assert.equal(200, ask("device03", secret, { attributes = link, more = more,
      others = { crmf(link) } }).status)
    failed(ask("device03", secret, { attributes = link, more = more, others = { crmf() } }),
      "popFailed", { 1, 2 })
    failed(ask("device03", secret, { attributes = link, more = more, others = { other() } }),
      "popFailed", { 1, 2 })
    failed(ask("device03", secret, { more = more }), "popFailed", { 1 })
    failed(ask("device03", secret, { attributes = { cmc.link(secret .. "x", RANDOM) },
      more = more }), "popFailed", { 1 })
    -- Without witnesses, nothing says that the second key is of who has the secret.
    failed(ask("device03", secret, { others = { other() } }), "popFailed", { 1, 2 })
  end)

  it("5274-4.1-a 5274-4.1-b is of SHA-1 too, where the label says so", function()
    local secret = made("device08", "--reusable")
    local function ask_by(label, how)
      local client <close> = lest.client { url = server.url, label = label, trust = server.root,
        notify = function() end }
      local requests = {}
      for i = 1, 2 do
        requests[i] = { key = core.key.generate "ec:P-256", subject = "CN=device08" }
      end
      how.name = "device08"
      return client:fullcmc { requests = requests, identity = how, csrattrs = false }
    end
    assert.equal(2, #assert(ask_by("old", { secret = secret, sha1 = true })))
    assert.equal(2, #assert(ask_by("old", { secret = secret })))
    local _, err = ask_by("old", { secret = secret .. "x", sha1 = true })
    assert.equal("unauthenticated", err.code)
    assert.matches("^badIdentity", err.reason)
    _, err = ask_by(nil, { secret = secret, sha1 = true })
    assert.matches("^badAlg: a witness is of SHA%-256", err.reason)
    -- The newer controls with the older algorithms, and a link by the older attribute.
    local function mac(witness)
      return der.seq(der.seq(der.oid "1.3.14.3.2.26"), der.seq(der.oid "1.3.6.1.5.5.8.1.2"),
        der.octets(witness))
    end
    local function hmac(key, over)
      return assert(core.secret.hmac_sha1(core.secret.sha1(key), over))
    end
    for code, link in pairs {
      success = { oid = "1.3.6.1.5.5.7.7.33", values = { mac(hmac(secret, RANDOM)) } },
      popFailed = { oid = "1.3.6.1.5.5.7.7.23", values = { der.octets(hmac("x", RANDOM)) } },
    } do
      local key = core.key.generate "ec:P-256"
      local csr, key_id = cmc.csr_with_key_id { key = key, subject = "CN=device08",
        attributes = { link } }
      local over = assert(core.cmc.request_sequence { { id = 1, csr = csr:der() } })
      local path = server:file("old.cmc", core.est.body_encode(cmc.request { key = key,
        key_id = key_id, csrs = { csr }, certificates = {}, controls = {
          { name = "identification", value = "device08" },
          { name = "popLinkRandom", value = RANDOM },
          { id = 50, oid = "1.3.6.1.5.5.7.7.34",
            values = { mac(hmac(secret .. "device08", over)) } },
        } }, 64))
      local _, body = server:curl("/old/fullcmc", "-H", "Content-Type: application/pkcs7-mime",
        "--data-binary", "@" .. path)
      local status = cmc.find(core.cmc.parse(core.base64.decode(body)), "statusInfoV2")
      assert.equal(code, status.failure or status.status, status.text)
    end
  end)

  it("5272-6.17-a tells who asks also in a message of an RA's batch", function()
    local ra = { key = core.key.generate "ec:P-256" }
    local client = lest.client { url = server.url, label = "ra", trust = server.root,
      challenge = made "reg01" }
    ra.cert = assert(client:enroll { key = ra.key, subject = "CN=reg01", csrattrs = false })
    local secret = made "device09"
    local function batch(said_secret)
      local key = core.key.generate "ec:P-256"
      local csr, key_id = cmc.csr_with_key_id { key = key, subject = "CN=device09" }
      local inner = cmc.request { key = key, key_id = key_id, csrs = { csr }, certificates = {},
        controls = cmc.identity("device09", said_secret, { csr }) }
      local said = cmc.post(server, cmc.request { key = ra.key, cert = ra.cert,
        controls = { { id = 7, name = "batchRequests", value = { 21 } } },
        contents = { { id = 21, der = inner } } })
      local answer = assert(core.cmc.parse(said.message.contents[1].der))
      return cmc.find(answer, "statusInfoV2")
    end
    local status = batch(secret .. "x")
    assert.same({ "badIdentity", "the credentials are not accepted" },
      { status.failure, status.text })
    status = batch(secret)
    assert.equal("success", status.status, status.text)
    assert.equal("challenge|device09", server:sql
      "SELECT principal_kind, principal_name FROM certificates ORDER BY seq DESC LIMIT 1")
  end)

  it("5274-4.1-a 5274-4.1-b is of SHA-256, and nothing else elsewhere", function()
    local secret = made("device04", "--reusable")
    local function mac(digest, witness)
      return der.seq(der.seq(der.oid(digest)), der.seq(der.oid "1.3.6.1.5.5.8.1.2"),
        der.octets(witness))
    end
    failed(ask("device04", secret, { controls = { { id = 7, name = "identification",
      value = "device04" }, { id = 8, oid = "1.3.6.1.5.5.7.7.34",
      values = { mac("1.3.14.3.2.26", ("w"):rep(20)) } } } }), "badAlg", { 8 })
    failed(ask("device04", secret, { more = { { name = "popLinkRandom", value = RANDOM } },
      attributes = { { oid = "1.3.6.1.5.5.7.7.33",
        values = { mac("1.3.14.3.2.26", ("w"):rep(20)) } } } }), "badAlg", { 1 })
  end)

  it("is not taken by a label that takes no such secret, nor of one that a person chose", function()
    local secret = made("device05", "--reusable")
    local key = core.key.generate "ec:P-256"
    local client = lest.client { url = server.url, label = "closed", trust = server.root }
    local _, err = client:fullcmc { requests = { { key = key, subject = "CN=device05" } },
      identity = { name = "device05", secret = secret }, csrattrs = false }
    assert.equal("unauthenticated", err.code)
    process.write(server.folder .. "/password", "correct horse battery\n")
    made("device06", "--password-file", server.folder .. "/password")
    failed(ask("device06", "correct horse battery"), "badIdentity", { 0 })
  end)

  it("5272-6.2-a 5272-3.1-d 5272-6.3.1.1-a 5272-6.3.1.1-b 5272-6.3.1.1-c is made by the client",
  function()
    local secret = made("device07", "--reusable")
    local client = lest.client { url = server.url, trust = server.root, notify = function() end }
    local requests = {}
    for i = 1, 2 do
      requests[i] = { key = core.key.generate "ec:P-256", subject = "CN=device07" }
    end
    local got = assert(client:fullcmc { requests = requests,
      identity = { name = "device07", secret = secret } })
    for i = 1, 2 do assert.equal(requests[i].key:public_der(), got[i].public_key.der) end
    local _, err = client:fullcmc { requests = requests,
      identity = { name = "device07", secret = secret .. "x" } }
    assert.equal("unauthenticated", err.code)
    assert.matches("^badIdentity", err.reason)
    process.write(server.folder .. "/secret", secret .. "\n")
    local out = shell.lest("fullcmc", server.url, "--trust", server.root, "--identity", "device07",
      "--challenge-file", server.folder .. "/secret", "--subject", "CN=device07", "--new-key",
      "ec:P-256", "--key-out", server.folder .. "/new.key", "--out", server.folder .. "/new.pem")
    assert.equal(0, out.code, out.err)
    assert.equal("CN=device07", tostring(core.cert.load(server.folder .. "/new.pem").subject))
  end)
end)
