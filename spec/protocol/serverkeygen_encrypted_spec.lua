-- serverkeygen with encryption of its own (RFC 7030 4.4.1.2, 4.4.2): the server encrypts for a
-- certificate that it knows to be the client's, or gives no key; the client takes no other.
local core = require "lest.core"
local der = require "support.der"
local est = require "support.est"
local lest_client = require "lest.client"
local process = require "support.process"
local support = require "support.server"

local POLICY <const> = [[
local policy = require "lest.policy"
return {
  enroll = policy.own_name(), reenroll = policy.renew {},
  serverkeygen = function(request)
    local is_sealed = false
    for _, attribute in ipairs(request.csr.attributes) do
      is_sealed = is_sealed or attribute.oid == "1.2.840.113549.1.9.16.2.54"
    end
    if request.principal.name == "ecP256strict" and not is_sealed then
      return policy.reject "keys are given encrypted alone: name yours (lest: --decrypt-key)"
    end
    return policy.approve { subject = { { "CN", request.principal.name } } }
  end,
}
]]

local PROFILES <const> = [[profiles = {
    seals = { lifetime = "7d", keys = { "ec:P-256..", "rsa:2048" }, server_keys = "ec:P-384",
      key_usage = { "digitalSignature", "keyEncipherment", "keyAgreement" } },
    signs = { lifetime = "7d", keys = { "ec:P-256", "rsa:2048" }, server_keys = "ec:P-256" },]]
local LABELS <const> = [[labels = {
    seals = { policy = "policy.lua", profile = "seals", auth = { "certificate", "basic" } },
    strict = { policy = "policy.lua", profile = "seals", auth = { "certificate", "basic" } },
    signs = { policy = "policy.lua", profile = "signs", auth = { "certificate", "basic" } },]]

local ASYMMETRIC <const>, SYMMETRIC <const> = "1.2.840.113549.1.9.16.2.54",
  "1.2.840.113549.1.9.16.2.37"
local CAPABILITIES <const> = "1.2.840.113549.1.9.15"

describe("an encrypted key of the server", function()
  local server, devices

  setup(function()
    server = support.start { policy = POLICY, config = function(text)
      return (text:gsub("profiles = {", (PROFILES:gsub("P%-256%.%.", "P-256")), 1)
        :gsub("labels = {", LABELS, 1))
    end }
    devices = {}
  end)
  teardown(function() server:stop() end)

  local function client_for(name, label, options)
    local all = { url = server.url, label = label, trust = server.root, username = name,
      password = server:credential(name, { "--reusable" }), notify = function() end }
    for key, value in pairs(options or {}) do all[key] = value end
    return lest_client(all)
  end

  --- A device with a certificate of ours for a key of this kind.
  local function device(kind, label)
    local name = kind:gsub("%W", "") .. label
    if devices[name] then return devices[name] end
    local it = { name = name, key = assert(core.key.generate(kind)) }
    local c <close> = client_for(name, label)
    it.cert = assert(c:enroll { key = it.key, subject = "CN=" .. name, csrattrs = false })
    devices[name] = it
    return it
  end

  local function attribute(oid, value) return { oid = oid, values = { value } } end
  local function from_hex(text)
    return (text:gsub("..", function(digits) return string.char(tonumber(digits, 16)) end))
  end

  it("7030-4.4.1-d 7030-4.4.1-e 7030-4.4.1.2-a 7030-4.4.2-k is for the key of a certificate, "
    .. "of RSA and of EC, with and without that in TLS", function()
    for _, kind in ipairs { "rsa:2048", "ec:P-256" } do
      local it = device(kind, "seals")
      for _, options in ipairs { {}, { cert = it.cert, key = it.key } } do
        local c <close> = client_for(it.name, "seals", options)
        local warned = {}
        c.notify = function(_, message) warned[#warned + 1] = message end
        local seen
        c.trace = function(event) seen = event.response or seen end
        local cert, key = c:serverkeygen { subject = "CN=" .. it.name, decrypt = it.key,
          decrypt_cert = it.cert, csrattrs = false }
        assert.is_truthy(cert, tostring(key))
        assert.equal("ec:P-384", key.type)
        assert.equal(cert.public_key.der, key:public_der())
        assert.same({}, warned)
      end
    end
  end)

  it("7030-4.4.1-j is the only one that there is, where a policy says so", function()
    local it = device("ec:P-256", "strict")
    local c <close> = client_for(it.name, "strict")
    local cert, err = c:serverkeygen { subject = "CN=" .. it.name, csrattrs = false }
    assert.is_nil(cert)
    assert.same({ "refused", 403 }, { err.code, err.status })
    assert.matches("encrypted alone", err.reason)
    assert(c:serverkeygen { subject = "CN=" .. it.name, decrypt = it.key, decrypt_cert = it.cert,
      csrattrs = false })
  end)

  it("has the parts and the media type of RFC 7030, and openssl opens it", function()
    local it = device("rsa:2048", "seals")
    local csr = server:file("sealed.b64", (support.request(it.name, { attributes = {
      attribute(ASYMMETRIC, core.envelope.identifier(from_hex(it.cert.ski))),
      attribute(CAPABILITIES, core.envelope.capabilities "rsa") } })))
    local status, body, headers = server:post("/seals/serverkeygen", csr, "--user",
      it.name .. ":" .. server:credential(it.name))
    assert.equal(200, status, body)
    local parts = assert(core.est.mixed_decode(headers["content-type"], body))
    assert.equal("application/pkcs7-mime; smime-type=server-generated-key", parts[1].type)
    assert.equal("application/pkcs7-mime; smime-type=certs-only", parts[2].type)
    local path = server:file("sealed.der", (core.base64.decode((parts[1].body:gsub("%s", "")))))
    assert(it.key:save(server.folder .. "/it.key"))
    process.must { "openssl", "cms", "-decrypt", "-inform", "DER", "-in", path, "-inkey",
      server.folder .. "/it.key", "-out", server.folder .. "/content" }
  end)

  local function refused(it, label, attributes, pattern)
    local before = server:sql "SELECT count(*) FROM certificates"
    local csr = server:file("bad.b64", (support.request(it.name, { attributes = attributes })))
    local status, body, headers = server:post("/" .. label .. "/serverkeygen", csr, "--user",
      it.name .. ":" .. server:credential(it.name))
    assert.equal(400, status, body)
    assert.equal("text/plain; charset=utf-8", headers["content-type"])
    assert.matches(pattern, body)
    assert.equal(before, server:sql "SELECT count(*) FROM certificates")
  end

  it("7030-4.4.1.2-b 7030-4.4.1-i 7030-4.4.1.2-d 7030-4.4.1.1-b is given for a key that is known, "
    .. "with capabilities, or not at all", function()
    local it, other = device("rsa:2048", "seals"), device("ec:P-256", "seals")
    local id = attribute(ASYMMETRIC, core.envelope.identifier(from_hex(it.cert.ski)))
    local can = attribute(CAPABILITIES, core.envelope.capabilities "rsa")
    for _, case in ipairs {
      { { id }, "no SMIMECapabilities" },
      { { attribute(ASYMMETRIC, core.envelope.identifier "nobody"), can },
        "no certificate of yours" },
      { { attribute(ASYMMETRIC, core.envelope.identifier(from_hex(other.cert.ski))), can },
        "no certificate of yours" },
      { { attribute(SYMMETRIC, core.envelope.identifier "nobody"), can }, "no shared key" },
      { { id, attribute(SYMMETRIC, core.envelope.identifier "nobody"), can }, "two keys" },
      { { id, id, can }, "more than one value" },
      { { { oid = ASYMMETRIC, values = { "\x04\x01a", "\x04\x01b" } }, can },
        "more than one value" },
      { { attribute(ASYMMETRIC, "\x04\x00"), can }, "key identifier" },
      { { attribute(ASYMMETRIC, "\x05\x00"), can }, "key identifier" },
      { { id, attribute(CAPABILITIES, der.seq "") }, "none of the SMIMECapabilities" },
      { { id, attribute(CAPABILITIES, "\x05\x00") }, "SMIMECapabilities" },
    } do
      refused(it, "seals", case[1], case[2])
    end
  end)

  it("7030-4.4.1.2-c is for no certificate that only signs", function()
    local it = device("ec:P-256", "signs")
    refused(it, "signs", {
      attribute(ASYMMETRIC, core.envelope.identifier(from_hex(it.cert.ski))),
      attribute(CAPABILITIES, core.envelope.capabilities "ec") }, "lacks the usage keyAgreement")
  end)

  it("is for no certificate that was revoked", function()
    local it = device("rsa:2048", "seals")
    local name = "gone"
    local gone = { name = name, key = assert(core.key.generate "rsa:2048") }
    local c <close> = client_for(name, "seals")
    gone.cert = assert(c:enroll { key = gone.key, subject = "CN=gone", csrattrs = false })
    assert(c:serverkeygen { subject = "CN=gone", decrypt = gone.key, csrattrs = false })
    process.must { server.lest, "cert", "revoke", gone.cert.serial, "--config",
      server.dir .. "/server.lua" }
    local cert, err = c:serverkeygen { subject = "CN=gone", decrypt = gone.key, csrattrs = false }
    assert.is_nil(cert)
    assert.matches("no certificate of yours", err.reason)
    assert.is_truthy(it)
  end)

  it("7030-4.4.2-q 7030-4.4.2-p is taken encrypted, signed by who the anchors vouch for, or not at "
    .. "all", function()
    local world <close> = est.world()
    local own = world.pki:issue("own", { by = world.root, key = "rsa:2048" })
    local made = world.pki:issue("device", { by = world.root })
    local own_key, made_key = assert(core.key.load(own.key)), assert(core.key.load(made.key))
    local stranger = world.pki:root "stranger"
    local function answer(how)
      local key = how.key or core.envelope.seal { key = how.inner or made_key,
        signer_cert = how.by.cert, signer_key = core.key.load(how.by.key),
        cert = how.to or own.cert, capabilities = core.envelope.capabilities "rsa" }
      local body, media = core.est.mixed_encode { { der = key,
        type = how.key and "application/pkcs8"
          or "application/pkcs7-mime; smime-type=server-generated-key" },
        { type = "application/pkcs7-mime", der = core.pkcs7.encode { made.cert } } }
      return est.http(200, { ["Content-Type"] = media }, body)
    end
    for _, case in ipairs {
      { answer { by = world.root } },
      { answer { key = made_key:der() }, "protocol", "not encrypted, which was asked for" },
      { answer { by = stranger }, "trust", "signed by CN=stranger, which no anchor vouches for" },
      { answer { by = world.root, to = world.pki:issue("else", { by = world.root,
        key = "rsa:2048" }).cert }, "protocol", "cannot be opened" },
      { answer { by = world.root, inner = own_key }, "trust", "another key" },
      { answer { by = made }, nil },
    } do
      local rogue = world:serve()
      local c = world:client(rogue)
      rogue:answer(case[1])
      rogue:answer(est.cacerts { world.root.cert })
      local cert, err = c:serverkeygen { subject = "CN=device", decrypt = own_key,
        csrattrs = false }
      if case[2] then
        assert.is_nil(cert)
        assert.equal(case[2], err.code, tostring(err))
        assert.matches(case[3], tostring(err))
      else
        assert.is_truthy(cert, tostring(err))
        assert.equal(made_key, err)
      end
      c:close()
      rogue:stop()
    end
  end)

  it("7030-4.4.1.1-a 7030-4.4.2-d 7030-4.4.2-e is for a shared key of the device, by its name "
    .. "or id", function()
    local function add(name, ...)
      return (process.must({ server.lest, "credential", "add", name, "--kind", "key-wrap",
        "--config", server.dir .. "/server.lua", ... }):gsub("\n$", ""))
    end
    local text = add "shared"
    assert.matches("^%x+$", text)
    assert.equal(64, #text)
    local key = from_hex(text)
    local c <close> = client_for("shared", "seals")
    local id = server:sql "SELECT id FROM credentials WHERE name = 'shared' AND kind = 'key-wrap'"
    for _, called in ipairs { "shared", id } do
      local cert, made = c:serverkeygen { subject = "CN=shared", shared_key = key,
        shared_key_id = called, csrattrs = false }
      assert.is_truthy(cert, tostring(made))
      assert.equal(cert.public_key.der, made:public_der())
    end
    -- The newest of the name counts; one of 16 bytes may be given.
    process.write(server.folder .. "/short", ("0f"):rep(16) .. "\n")
    add("shared", "--password-file", server.folder .. "/short")
    assert(c:serverkeygen { subject = "CN=shared", shared_key = ("\x0f"):rep(16),
      shared_key_id = "shared", csrattrs = false })
    assert(c:serverkeygen { subject = "CN=shared", shared_key = key, shared_key_id = id,
      csrattrs = false })
    -- Not that of another device, and none that was removed.
    local other <close> = client_for("other", "seals")
    local function fails(client, called)
      local cert, err = client:serverkeygen { subject = "CN=x", shared_key = key,
        shared_key_id = called, csrattrs = false }
      assert.is_nil(cert)
      assert.matches("no shared key of yours", err.reason)
    end
    fails(other, "shared")
    fails(other, id)
    fails(c, "nobody")
    process.must { server.lest, "credential", "remove", id, "--config",
      server.dir .. "/server.lua" }
    fails(c, id)
    -- It proves nothing, and is shown to nobody.
    local status = server:post("/seals/simpleenroll", server:csr "shared", "--user",
      "shared:" .. text)
    assert.equal(401, status)
    for _, command in ipairs { "list", "show" } do
      local out = process.must { server.lest, "credential", command, "shared", "--json", "--config",
        server.dir .. "/server.lua" }
      assert.is_nil(out:find(text, 1, true))
      assert.is_nil(out:find("0f0f0f", 1, true))
      assert.matches("key%-wrap", out)
    end
    process.write(server.folder .. "/bad", "no hex at all\n")
    local code, _, err = process.run { server.lest, "credential", "add", "shared", "--kind",
      "key-wrap", "--config", server.dir .. "/server.lua", "--password-file",
      server.folder .. "/bad" }
    assert.equal(2, code)
    assert.matches("32 or 64 digits of hex", err)
  end)

  it("is asked for by lest serverkeygen --shared-key", function()
    local text = process.must { server.lest, "credential", "add", "line", "--kind", "key-wrap",
      "--config", server.dir .. "/server.lua" }
    process.write(server.folder .. "/shared", text)
    local function command(...)
      return process.run({ server.lest, "serverkeygen", server.url, "--label", "seals", "--trust",
        server.root, "--username", "line", "--password-file", "-", "--subject", "CN=line", ... },
        { stdin = server:credential "line" .. "\n" })
    end
    local code, _, err = command("--shared-key", server.folder .. "/shared", "--shared-key-id",
      "line", "--key-out", server.folder .. "/line.key", "--out", server.folder .. "/line.pem")
    assert.equal(0, code, err)
    assert.equal(core.cert.load(server.folder .. "/line.pem").public_key.der,
      core.key.load(server.folder .. "/line.key"):public_der())
    code, _, err = command("--shared-key", server.folder .. "/shared", "--key-out",
      server.folder .. "/x.key")
    assert.equal(2, code)
    assert.matches("go together", err)
    process.write(server.folder .. "/bad", "nothing\n")
    code, _, err = command("--shared-key", server.folder .. "/bad", "--shared-key-id", "line",
      "--key-out", server.folder .. "/x.key")
    assert.equal(2, code)
    assert.matches("digits of hex", err)
  end)

  it("7030-4.4.1-f is asked for by lest serverkeygen --decrypt-key", function()
    local it = device("ec:P-256", "seals")
    local folder = server.folder
    assert(it.key:save(folder .. "/own.key"))
    assert(it.cert:save(folder .. "/own.pem"))
    local words = { server.lest, "serverkeygen", server.url, "--label", "seals", "--trust",
      server.root, "--cert", folder .. "/own.pem", "--key", folder .. "/own.key", "--subject",
      "CN=" .. it.name, "--decrypt-key", folder .. "/own.key", "--decrypt-cert",
      folder .. "/own.pem", "--key-out", folder .. "/new.key", "--out", folder .. "/new.pem" }
    local code, _, err = process.run(words)
    assert.equal(0, code, err)
    assert.is_nil(err:find "without encryption")
    assert.equal(core.cert.load(folder .. "/new.pem").public_key.der,
      core.key.load(folder .. "/new.key"):public_der())
  end)
end)
