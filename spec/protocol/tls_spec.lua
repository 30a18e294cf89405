-- TLS of the whole server: versions, suites, and who may come in with which certificate (RFC 7030
-- 3.3 and 3.7; peers' rows S50, S51, S70 to S76). The chains come from a factory's PKI that one
-- label believes in.
local core = require "lest.core"
local lest_client = require "lest.client"
local pki = require "support.pki"
local process = require "support.process"
local raw_client = require "support.raw_client"
local rawtls = require "support.rawtls"
local support = require "support.server"
local two_tier = require "support.two_tier"

local http <const> = raw_client.http
local CSR_TYPE <const> = "Content-Type: application/pkcs10"
local GET <const> = http("GET", "/cacerts")
local CLIENT_AUTH <const> = "extendedKeyUsage = clientAuth"
local CMC_RA <const> = "1.3.6.1.5.5.7.3.28"

-- What a policy sees goes to the ledger's detail.
local POLICY <const> = [[
local policy = require "lest.policy"

return {
  enroll = function(request)
    local who, csr = request.principal, request.csr
    local seen = who.kind .. " " .. who.name .. " " .. tostring(who.anchors) .. " "
      .. request.tls.version
    if csr.subject.CN ~= who.name then
      return policy.reject { "that is somebody else's name", detail = seen }
    end
    return policy.approve { subject = csr.subject, detail = seen }
  end,
  reenroll = policy.renew {},
}
]]

-- At level debug no line about a handshake is left out, however many there are.
local function configuration(folder)
  return function(text)
    text = text:gsub("return {", 'return { log_level = "debug",', 1)
    text = text:gsub('names = "principal"', 'names = "policy"')
    text = text:gsub('anchors = { own = "ca.pem" }', function()
      return ('anchors = { own = "ca.pem", factory = %q, sub = %q }, crls = { %q, %q }'):format(
        folder .. "/root.pem", folder .. "/sub2.pem", folder .. "/root.crl", folder .. "/sub.crl")
    end)
    text = text:gsub("profiles = {", function(found)
      return found .. ('\n ra = { lifetime = "1d", names = "principal", keys = "ec:P-256", '
        .. 'eku = { "clientAuth", %q } },'):format(CMC_RA)
    end)
    return (text:gsub("labels = {", [[labels = {
      factory = { policy = "policy.lua", profile = "device", auth = { "certificate" },
        anchors = { "factory" }, renews = "default" },
      own = { policy = "policy.lua", profile = "device", auth = { "certificate" },
        anchors = { "own" }, renews = "default" },
      ra = { policy = "policy.lua", profile = "ra", auth = { "basic" } },
      site = { policy = "registration-authority.lua", profile = "device",
        auth = { "certificate" }, anchors = { "own", "factory" } },]], 1))
  end
end

describe("TLS of the server", function()
  local server, client, ca, root, sub, sub2, good, revoked

  setup(function()
    ca = pki.new()
    root = ca:root "root"
    sub = ca:sub("sub", { by = root })
    sub2 = ca:sub("sub2", { by = root })
    good = ca:issue("good", { by = sub, subject = "/CN=device001", ext = CLIENT_AUTH })
    revoked = ca:issue("revoked", { by = sub, ext = CLIENT_AUTH })
    ca:crl(root, {})
    ca:crl(sub, { revoked })
    server = support.start { policy = POLICY, config = configuration(ca.folder), files = {
      ["registration-authority.lua"] = process.read "policies/registration-authority.lua" } }
    client = raw_client.new()
  end)
  teardown(function()
    client:close()
    server:stop()
    pki.__close(ca)
  end)

  --- Files cert and key of an entity, with further certificates in the chain.
  local function identity(it, ...)
    local chain = process.read(it.path)
    for _, other in ipairs { ... } do chain = chain .. process.read(other.path) end
    return { cert = server:file(it.name .. "-chain.pem", chain), key = it.key }
  end

  local function connect(options)
    options.port = options.port or server.port
    return client:connect(options)
  end

  --- The answer to one request, or nil and how it ended.
  local function ask(options, bytes)
    local c, how, reason = connect(options)
    if not c then return nil, how .. " " .. (reason or "") end
    local answer
    answer, how = c:request(bytes or GET)
    c:close()
    return answer, how
  end

  local function enroll(who, name, path)
    return ask(who, http("POST", path or "/factory/simpleenroll", { CSR_TYPE },
      support.request(name)))
  end

  --- The handshake ends, or in TLS 1.3 the connection right after it; the log says why.
  local function refused(who, why)
    for _, version in ipairs { "1.2", "1.3" } do
      local before = #server:logged "handshake failed"
      local answer = ask { cert = who.cert, key = who.key, max = version,
        ciphers = "DEFAULT@SECLEVEL=0" }
      assert.is_nil(answer, why)
      local failures
      process.wait_for(function()
        failures = server:logged "handshake failed"
        return #failures > before
      end, "the line in the log")
      assert.matches(why, failures[#failures].message)
    end
  end

  -- Versions, suites, resumption

  it("8446-4.1-a S71 prefers TLS 1.3, and serves TLS 1.2", function()
    local me = identity(good, sub)
    for _, version in ipairs { "1.2", "1.3" } do
      local c <close> = assert(connect { max = version })
      assert.equal("TLSv" .. version, c.info.version)
      local answer = enroll({ cert = me.cert, key = me.key, max = version }, "device001")
      assert.equal(200, answer.status, answer.body)
      assert.equal("certificate device001 factory TLSv" .. version,
        server:sql "SELECT detail FROM requests ORDER BY time_us DESC LIMIT 1")
    end
    local c <close> = assert(connect {})
    assert.equal("TLSv1.3", c.info.version)
  end)

  it("8996-4-a 8996-5-a 7030-3.3-c refuses TLS 1.0 and TLS 1.1", function()
    for _, version in ipairs { "1.0", "1.1" } do
      local c, how = connect { min = version, max = version, ciphers = "ALL:@SECLEVEL=0" }
      assert.is_nil(c)
      assert.equal("alert", how)
    end
  end)

  it("7030-3.2.3-c 7030-6-e S72 refuses suites without authentication, encryption or strength",
    function()
    for _, suite in ipairs { "aNULL", "eNULL", "ADH-AES128-GCM-SHA256", "ECDHE-ECDSA-NULL-SHA",
      "PSK", "ECDHE-ECDSA-AES128-SHA", "AES128-GCM-SHA256" } do
      local c, how = connect { max = "1.2", ciphers = suite .. ":@SECLEVEL=0" }
      assert.is_nil(c, suite)
      assert.equal("alert", how)
    end
    -- OpenSSL has no name for EXPORT and single DES any more: 0x0003, 0x0009, 0x0014.
    local extensions <const> = { [10] = "\0\2\0\x17", [13] = "\0\2\4\3" }
    local function answer_to(suites)
      local c <close> = assert(connect { plain = true })
      assert(c:send(rawtls.hello(1, suites, extensions)))
      return (c:read { max = 7 })
    end
    assert.equal("\21\3\3\0\2\2\40", answer_to "\0\x03\0\x09\0\x14") -- handshake_failure
    assert.matches("^\22\3\3", answer_to "\0\x03\0\x09\0\x14\xc0\x2b")
  end)

  it("S73 agrees on the curve that a client has", function()
    local me = identity(good, sub)
    -- In TLS 1.2 the curve of the server's certificate is one of them, too.
    for groups, version in pairs { ["P-256"] = "1.3", ["P-384"] = "1.3", ["X25519"] = "1.3",
      ["P-384:P-256"] = "1.2", ["X25519:P-256"] = "1.2" } do
      local answer = enroll({ cert = me.cert, key = me.key, max = version, groups = groups },
        "device001")
      assert.equal(200, answer.status, groups)
    end
  end)

  it("S74 sends the chain of its certificate", function()
    local tiers <close> = two_tier.start()
    local device <close> = lest_client { url = tiers.url, trust = tiers.root }
    local connection <close> = assert(device:connect())
    assert.equal(2, #connection.tls.chain)
    assert.equal(core.cert.load(tiers.dir .. "/ca.pem"), connection.tls.chain[2])
  end)

  it("S64 8446-e.5-a gives no ticket and resumes nothing", function()
    for _, version in ipairs { "1.2", "1.3" } do
      local c <close> = assert(connect { max = version })
      assert.equal(200, c:request(GET).status)
      local again <close> = connect { max = version, session = c }
      if again then
        assert.is_false(again.info.reused)
        assert.equal(200, again:request(GET).status)
      end
    end
  end)

  it("7030-3.5-e 5929-3.1-a 9266-4.2-a refuses to renegotiate, and does not ask for it", function()
    local _, out, err = process.run(("openssl s_client -connect 127.0.0.1:%s -tls1_2")
      :format(server.port), { stdin = "R\nQ\n" })
    assert.matches("no renegotiation", out .. err)
    local me = identity(good, sub)
    local c <close> = assert(connect { cert = me.cert, key = me.key, max = "1.2" })
    local before = c:facts().finished
    assert.equal(200, c:request(http("POST", "/factory/simpleenroll", { CSR_TYPE },
      support.request "device001")).status)
    assert.equal(before, c:facts().finished)
  end)

  -- GnuTLS can do without RFC 5746, as OpenSSL cannot.
  it("7030-3.5-e refuses to renegotiate with who does not know how to do it securely", function()
    local _, out = process.run(("timeout 30 gnutls-cli -p %s --insecure --rehandshake --priority "
      .. "NORMAL:-VERS-ALL:+VERS-TLS1.2:%%DISABLE_SAFE_RENEGOTIATION 127.0.0.1 2>&1")
      :format(server.port))
    assert.matches("Handshake was completed", out)
    assert.is_nil(out:find "safe renegotiation")
    assert.matches("No renegotiation is allowed", out)
    assert.is_nil(out:find "ReHandshake was completed")
  end)

  it("7030-3.3-b 7030-3.2.3-b answers nothing to plain HTTP", function()
    local c <close> = assert(connect { plain = true })
    c:send(GET)
    local came = c:read { timeout = 2000 }
    assert.is_nil(came:find "HTTP")
    assert.equal(200, ask({}).status)
  end)

  it("7030-3.3-a 7030-3.3.1-a 7030-3.3.1-c shows a certificate of the profile of RFC 5280",
    function()
    local other, _, reason = connect { ca = root.path }
    assert.is_nil(other)
    assert.matches("certificate verify failed", reason)
    local c <close> = assert(connect { ca = server.dir .. "/ca.pem" })
    local leaf = assert(core.cert.parse(c.info.peer))
    assert.equal(3, leaf.version)
    assert.same({ "DNS:localhost", "IP:127.0.0.1" }, leaf.san)
    assert.same({ "digitalSignature" }, leaf.key_usage)
    assert.same({ "serverAuth" }, leaf.eku)
    assert.is_false(leaf.is_ca)
    assert.equal(assert(core.cert.load(server.dir .. "/ca.pem")).ski, leaf.aki)
  end)

  -- Who comes without a certificate

  it("7030-3.3-g 7030-3.3-f 8446-4.1.2-a asks for a certificate and serves who has none",
    function()
    local _, said = process.run(("openssl s_client -connect 127.0.0.1:%s </dev/null")
      :format(server.port))
    assert.matches("Requested Signature Algorithms", said)
    assert.equal(200, ask({}).status)
    assert.equal(204, ask({}, http("GET", "/csrattrs")).status)
    assert.equal(401, enroll({}, "device001", "/simpleenroll").status)
    assert.equal(403, enroll({}, "device001").status)
  end)

  it("8446-4.6.2-a refuses a request without a certificate, and the connection goes on", function()
    local c <close> = assert(connect { max = "1.3" })
    assert.equal(403, c:request(http("POST", "/factory/simpleenroll", { CSR_TYPE }, "MAA=")).status)
    assert.equal(200, c:request(GET).status)
  end)

  -- Certificates

  it("7030-3.3.2-c 7030-3.3.2-f 7030-3.7-a S50 takes a third party's certificate if the label does",
    function()
    local me = identity(good, sub)
    local answer = enroll(me, "device001")
    assert.equal(200, answer.status, answer.body)
    local cert = support.issued(answer.body)
    assert.equal("device001", cert.subject.CN)
    assert.equal("certificate device001 factory TLSv1.3",
      server:sql "SELECT detail FROM requests ORDER BY time_us DESC LIMIT 1")
    answer = enroll(me, "device001", "/own/simpleenroll")
    assert.equal(403, answer.status)
    assert.equal("the client certificate is not accepted here\n", answer.body)
  end)

  it("7030-3.3.2-j 7030-4.2-g refuses a good certificate that may not, with a text", function()
    local answer = enroll(identity(good, sub), "device002")
    assert.equal(403, answer.status)
    assert.equal("that is somebody else's name\n", answer.body)
    assert.equal("text/plain; charset=utf-8", answer.headers["content-type"])
  end)

  it("7030-3.3.2-i renews no certificate of a third party", function()
    local answer = enroll(identity(good, sub), "device001", "/factory/simplereenroll")
    assert.equal(403, answer.status)
    assert.matches("not issued by this CA", answer.body)
  end)

  it("7030-3.3.2-i takes an own certificate for nobody's where only the factory is believed",
    function()
    server:enroll "device009"
    local me = { cert = server.folder .. "/device009.pem", key = server.folder .. "/device009.key" }
    assert.equal(403, enroll(me, "device009", "/factory/simplereenroll").status)
    assert.equal(200, enroll(me, "device009", "/own/simplereenroll").status)
  end)

  it("7030-3.7-b lets an RA of the own CA ask for others, and nobody else", function()
    local function holder(name, path)
      local secret = server:credential(name)
      local status, body = server:post(path, server:csr(name), "--user", name .. ":" .. secret)
      assert.equal(200, status, body)
      return { cert = server:save(body, name), key = server.folder .. "/" .. name .. ".key" }
    end
    local answer = enroll(holder("ra001", "/ra/simpleenroll"), "device042", "/site/simpleenroll")
    assert.equal(200, answer.status, answer.body)
    assert.equal("device042", support.issued(answer.body).subject.CN)
    assert.equal("RA ra001", server:sql "SELECT detail FROM requests ORDER BY time_us DESC LIMIT 1")
    local device = holder("device010", "/simpleenroll")
    assert.equal(403, enroll(device, "device042", "/site/simpleenroll").status)
    assert.equal(200, enroll(device, "device010", "/site/simpleenroll").status)
  end)

  it("7030-3.7-d gives a third party's id-kp-cmcRA no rights", function()
    local ra = ca:issue("ra", { by = sub, ext = "extendedKeyUsage = clientAuth," .. CMC_RA })
    assert.equal(403, enroll(identity(ra, sub), "device042", "/site/simpleenroll").status)
    assert.equal(200, enroll(identity(ra, sub), "ra", "/site/simpleenroll").status)
  end)

  it("8446-4.2.4-a minds no trusted_ca_keys in a ClientHello of TLS 1.3", function()
    local record = client:hello { min = "1.3" }
    local head, rest = record:match "^(.....)()"
    local hello = record:sub(rest)
    -- The extensions are the last of it; an empty list of authorities is put before them.
    local place = 4 + 2 + 32 + 1
    local _, _, after = (">s1s2"):unpack(hello, place)
    _, after = (">s1"):unpack(hello, after)
    local list = "\0\3\0\2\0\0" .. (">s2"):unpack(hello, after)
    local body = hello:sub(5, after - 1) .. (">s2"):pack(list)
    hello = "\1" .. (">I3"):pack(#body) .. body
    local c <close> = assert(connect { plain = true })
    c:send(head:sub(1, 3) .. (">s2"):pack(hello))
    local came = c:read { max = 6 }
    assert.same({ 22, 2 }, { came:byte(1), came:byte(6) }) -- a handshake record, its ServerHello
  end)

  it("7030-3.3.2-g completes a chain only with what the client sends or the anchors hold",
    function()
    refused(identity(good), "unable to get")
    local under2 = ca:issue("under2", { by = sub2, ext = CLIENT_AUTH })
    assert.equal(200, ask(identity(under2)).status)
    assert.equal(200, ask(identity(under2, sub2)).status)
    assert.equal(200, ask(identity(good, root, sub)).status)
  end)

  it("S52 accepts a certificate whose issuer has none of the CRLs that are configured", function()
    local me = identity(ca:issue("device020", { by = sub2, ext = CLIENT_AUTH }), sub2)
    assert.equal(200, ask(me).status)
    server:enroll "device021"
    assert.equal(200, enroll({ cert = server.folder .. "/device021.pem",
      key = server.folder .. "/device021.key" }, "device021", "/own/simplereenroll").status)
  end)

  describe("refuses a certificate", function()
    it("7030-3.3.2-g S51 whose time is over", function()
      local late = ca:issue("late", { by = sub, days = -1, ext = CLIENT_AUTH })
      refused(identity(late, sub), "expired")
    end)

    it("7030-3.3.2-g whose time has not come", function()
      local issuer = assert(core.issuer.new { cert = sub.cert,
        key = assert(core.key.load(sub.key)) })
      local key = assert(core.key.generate "ec:P-256")
      local now = core.clock.wall_us() // 1000000
      local der = assert(issuer:issue { public_key = key:public_der(), subject = "CN=early",
        not_before = now + 3600, not_after = now + 7200, eku = { "clientAuth" } })
      local early = { name = "early", path = server:file("early.pem",
        assert(core.cert.parse(der)):pem()), key = server:file("early.key", key:pem()) }
      refused(identity(early, sub), "not yet valid")
    end)

    it("7030-3.3.2-g S51 that the CRL of its issuer revokes", function()
      refused(identity(revoked, sub), "revoked")
    end)

    it("7030-3.3.2-g with a signature that is not right", function()
      local der = good.cert:der()
      der = der:sub(1, -2) .. string.char(der:byte(-1) ~ 1)
      local broken = { name = "broken", key = good.key, path = server:file("broken.pem",
        "-----BEGIN CERTIFICATE-----\n" .. core.base64.encode(der, 64)
        .. "-----END CERTIFICATE-----\n") }
      refused(identity(broken, sub), "signature")
    end)

    it("7030-3.3.2-g of an issuer that only has the name", function()
      local liar = ca:root("liar", { subject = "/CN=sub" })
      local lie = ca:issue("lie", { by = liar, ext = CLIENT_AUTH })
      refused(identity(lie, sub), "unable to get local issuer")
      refused(identity(lie, liar), "self.signed certificate in certificate chain")
    end)

    it("7030-3.3.2-g S51 that it has signed itself", function()
      refused(identity(ca:root("self", { ext = CLIENT_AUTH })), "self.signed")
    end)

    it("7030-3.3.2-g of an issuer that is no CA", function()
      local under = ca:issue("under", { by = good, ext = CLIENT_AUTH })
      refused(identity(under, good, sub), "invalid CA certificate")
    end)

    it("7030-3.3.2-g under more CAs than its root allows", function()
      local short = ca:sub("short", { by = root,
        ext = "basicConstraints = critical,CA:TRUE,pathlen:0\nkeyUsage = critical,keyCertSign" })
      local deep = ca:sub("deep", { by = short })
      local leaf = ca:issue("leaf", { by = deep, ext = CLIENT_AUTH })
      refused(identity(leaf, deep, short), "path length")
    end)

    it("7030-3.3.2-g for another purpose", function()
      refused(identity(ca:issue("tls-server", { by = sub,
        ext = "extendedKeyUsage = serverAuth" }), sub), "purpose")
    end)

    it("7030-3.3.2-g with a critical extension that is not known", function()
      refused(identity(ca:issue("critical", { by = sub,
        ext = CLIENT_AUTH .. "\n1.2.3.4 = critical,ASN1:NULL" }), sub), "critical extension")
    end)

    it("7030-3.3.2-g with a weak key or a weak signature", function()
      local small = ca:issue("small", { by = sub, key = "rsa:1024", ext = CLIENT_AUTH })
      refused(identity(small, sub), "key too weak")
      local sha1 = ca:issue("sha1", { by = sub, digest = "sha1", ext = CLIENT_AUTH })
      refused(identity(sha1, sub), "digest algorithm too weak")
    end)
  end)

  it("7030-4.2-f issued to none of them", function()
    assert.equal("", server:sql("SELECT subject FROM certificates WHERE subject NOT IN "
      .. "('CN=device001', 'CN=device009', 'CN=device010', 'CN=device021', "
      .. "'CN=ra001', 'CN=ra', 'CN=device042')"))
  end)
end)
