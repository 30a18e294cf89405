-- The client asks for a key of the server (RFC 7030 4.4) and takes it only where it is the
-- certificate's; what is wrong with an answer is named, and nothing is stored.
local core = require "lest.core"
local est = require "support.est"
local lest_client = require "lest.client"
local process = require "support.process"
local support = require "support.server"

local http = est.http
local CERTS <const> = "application/pkcs7-mime; smime-type=certs-only"

describe("the client's serverkeygen", function()
  local world, server, client

  setup(function() world = est.world() end)
  teardown(function() world:close() end)
  before_each(function()
    server = world:serve()
    client = world:client(server)
  end)
  after_each(function()
    client:close()
    server:stop()
  end)

  --- A part's text.
  local function part(media, bytes, headers)
    return (media and "Content-Type: " .. media .. "\r\n" or "") .. (headers or "") .. "\r\n"
      .. bytes
  end

  local function base64(der) return core.est.body_encode(der, 64) end

  local function mixed(parts, how)
    how = how or {}
    local boundary = how.boundary or "b"
    local text = (how.before or "") .. "--" .. boundary .. "\r\n"
      .. table.concat(parts, "\r\n--" .. boundary .. "\r\n") .. "\r\n--" .. boundary
      .. (how.last or "--") .. "\r\n" .. (how.after or "")
    if how.edit then text = how.edit(text) end
    return http(200, { ["Content-Type"] = how.media or "multipart/mixed; boundary=" .. boundary },
      text)
  end

  local function key_part(entity, media)
    return part(media or "application/pkcs8", base64(assert(core.key.load(entity.key):der())))
  end
  local function cert_part(certs)
    return part(CERTS, base64(assert(core.pkcs7.encode(certs))))
  end

  local function ask(bytes, more)
    server:answer(est.csrattrs())
    server:answer(bytes)
    local all = { subject = "CN=device" }
    for key, value in pairs(more or {}) do all[key] = value end
    return client:serverkeygen(all)
  end

  local function fails(code, bytes, pattern)
    local cert, err = ask(bytes)
    assert.is_nil(cert)
    assert.equal(code, err.code, tostring(err))
    assert.equal("serverkeygen", err.operation)
    if pattern then assert.matches(pattern, tostring(err)) end
  end

  local function device()
    return world.pki:issue("device", { by = world.root, subject = "/CN=device" })
  end

  it("7030-4.4.1-a 7030-3.2.4-d 7030-6-i posts a request as enroll does, of a key for it alone",
    function()
    local it = device()
    local cert, key, changed = assert(ask(mixed { key_part(it), cert_part { it.cert } }))
    assert.equal(it.cert, cert)
    assert.equal(core.key.load(it.key), key)
    assert.same({}, changed)
    assert.equal("POST /.well-known/est/serverkeygen", est.lines(server)[2])
    local request = server:requests()[2]
    assert.equal("application/pkcs10", request.headers["content-type"])
    local csr = est.csr_of(request)
    assert.equal("CN=device", tostring(csr.subject))
    assert.is_true(csr:verify())
    assert.equal("ec:P-256", csr.key_type)
    assert.not_equal(key:public_der(), csr.spki)
    -- 7030-6-i: that nothing but TLS protects the key is said.
    assert.matches("without encryption of its own", table.concat(client.told, "\n"))
  end)

  it("7030-4.4.2-a 2046-5.1-a reads parts in any order, with and without what RFC 2046 allows",
    function()
    local it = device()
    local key, cert = key_part(it), cert_part { it.cert }
    local extra = part("text/plain", "hello")
    for i, bytes in ipairs {
      mixed { cert, key }, mixed { extra, key, part(nil, "x"), cert },
      mixed({ key, cert }, { before = "to be ignored\r\n", after = "and this\r\n--b\r\n" }),
      mixed({ key, cert }, { boundary = "a b:c=?", media = 'multipart/mixed; boundary="a b:c=?"' }),
      mixed({ key, cert }, { media = 'Multipart/Mixed ;Boundary="b"; charset=x' }),
      mixed({ key, cert }, { edit = function(text) return (text:gsub("\r\n", "\n")) end }),
      mixed({ key, cert }, { edit = function(text) return (text:gsub("%-%-b\r", "--b \t\r")) end }),
      mixed({ key, cert }, { edit = function(text) return text:sub(1, -3) end }),
      mixed { key_part(it, "Application/X-PKCS8"), cert },
      mixed { part("application/pkcs8 ; x=y", base64(core.key.load(it.key):der()),
        "content-transfer-encoding: binary\r\nX-Y: z\r\n"),
        part('application/pkcs7-mime;\r\n\tsmime-type="certs-only"',
          core.pkcs7.encode { it.cert }) },
      mixed { key, part("application/pkcs7-mime", base64(core.pkcs7.encode { it.cert })) },
    } do
      local got, made = ask(bytes)
      assert.equal(it.cert, got, i .. ": " .. tostring(made))
      assert.equal(it.cert.public_key.der, made:public_der())
    end
  end)

  it("C21 7030-4.4.2-o names what is wrong with the parts, and takes none of them", function()
    local it, other = device(), world.pki:issue("other", { by = world.root })
    local stranger = world.pki:issue("device", { by = world.pki:root "stranger" })
    local key, cert = key_part(it), cert_part { it.cert }
    for _, case in ipairs {
      { "trust", mixed { key_part(other), cert }, "for another key" },
      { "trust", mixed { key, cert_part {} }, "no certificate" },
      { "protocol", mixed { key }, "no certificate" },
      { "protocol", mixed { cert }, "no key" },
      { "protocol", mixed { key, key, cert }, "two parts of one kind" },
      { "protocol", mixed { key, cert, cert }, "two parts of one kind" },
      { "protocol", mixed { part("application/pkcs7-mime; smime-type=server-generated-key", "AA=="),
        cert }, "not asked for" },
      { "protocol", mixed { part("application/pkcs7-mime; smime-type=server-generated-key", "AA=="),
        key, cert }, "two keys" },
      { "protocol", mixed { part("application/pkcs8", "AAAA"), cert }, "cannot be read" },
      { "protocol", mixed { part("application/pkcs8", ""), cert }, "cannot be read" },
      { "protocol", mixed { part("application/pkcs8", base64 "0\x03\x02\x01\x00"), cert },
        "cannot be read" },
      { "protocol", mixed { key, part(CERTS, "AAAA") }, "cannot be read" },
      { "protocol", mixed({ key, cert }, { last = "" }), "cut off" },
      { "protocol", mixed({ key, cert }, { media = "multipart/mixed" }), "no good boundary" },
      { "protocol", mixed({ key, cert }, { media = 'multipart/mixed; boundary=""' }), "boundary" },
      { "protocol", mixed({ key, cert }, { media = "multipart/mixed; boundary=c" }), "cut off" },
      { "protocol", mixed({ key, cert }, { media = "multipart/x; boundary=b" }), "no answer" },
      { "protocol", est.issued({ it.cert }), "no answer to serverkeygen" },
      { "protocol", mixed { part("application/pkcs8", base64(core.key.load(it.key):der()),
        "Content-Type: application/pkcs8\r\n"), cert }, "two media types" },
      { "protocol", mixed { part("application/pkcs8", base64(core.key.load(it.key):der()),
        "no header\r\n"), cert }, "header of a part is malformed" },
      { "protocol", mixed { part("application/pkcs8; x=" .. ("x"):rep(300), ""), cert },
        "too long" },
      { "protocol", mixed { key, cert, "a: b\r\n\r\n", "a: b\r\n\r\n", "a: b\r\n\r\n",
        "a: b\r\n\r\n", "a: b\r\n\r\n", "a: b\r\n\r\n", "a: b\r\n\r\n" }, "more than 8 parts" },
      { "protocol", http(200, { ["Content-Type"] = "multipart/mixed; boundary=b" }, ""), "empty" },
      { "http", http(404, {}, "no"), "no" },
      { "refused", http(403, { ["Content-Type"] = "text/plain" }, "not you"), "not you" },
    } do
      fails(table.unpack(case))
    end
    server:answer(est.csrattrs())
    server:answer(mixed { key_part(stranger), cert_part { stranger.cert } })
    server:answer(est.cacerts { world.root.cert })
    local got, err = client:serverkeygen { subject = "CN=device" }
    assert.is_nil(got)
    assert.equal("trust", err.code)
    assert.matches("and ask again$", err.message)
  end)

  it("is told what the server changed, and picks the certificate of the key", function()
    local it, other = world.pki:issue("device2", { by = world.root, subject = "/CN=device2" }),
      world.pki:issue("other", { by = world.root })
    local cert, _, changed = assert(ask(mixed { cert_part { other.cert, it.cert }, key_part(it) }))
    assert.equal(it.cert, cert)
    assert.matches("the subject is CN=device2", changed[1])
  end)

  it("says of a lost answer that its key is lost", function()
    server:answer(est.csrattrs())
    server:answer ""
    local cert, err = client:serverkeygen { subject = "CN=device", wait = "20s" }
    assert.is_nil(cert)
    assert.is_true(err.unknown)
    assert.matches("its key is lost, and asking again gets another", err.message)
  end)

  it("7030-6-h asks no server that only the system's anchors vouch for", function()
    local it = device()
    local implicit = world:client(server)
    assert(implicit:open())
    implicit.trust.kind = "system"
    local cert, err = implicit:serverkeygen { subject = "CN=device" }
    assert.is_nil(cert)
    assert.equal("trust", err.code)
    assert.matches("system's trust anchors", err.message)
    assert.same({}, est.lines(server))
    implicit:close()
    assert.is_truthy(it)
  end)

  it("7030-4.4-b sends nothing to a server that is not trusted", function()
    local stranger = world:client(server, { trust = { world.pki:root("foreign").cert } })
    local cert, err = stranger:serverkeygen { subject = "CN=device" }
    assert.is_nil(cert)
    assert.equal("trust", err.code, tostring(err))
    assert.same({}, est.lines(server))
    stranger:close()
  end)

  it("checks its options", function()
    for _, case in ipairs {
      { { subjekt = "x" }, "did you mean 'subject'" },
      { { key = assert(core.key.generate "ec:P-256") }, "the option 'key' has the type lest.key" },
    } do
      local ok, problem = pcall(client.serverkeygen, client, case[1])
      assert.is_false(ok)
      assert.matches(case[2], problem)
    end
    local cert, err = client:serverkeygen { subject = "CN=x", key = "ec:P-999" }
    assert.is_nil(cert)
    assert.equal("key_unsupported", err.code)
  end)
end)

local POLICY <const> = [[
local policy = require "lest.policy"
return { serverkeygen = function(request)
  if request.principal.name == "waits" and #request.approvals == 0 then
    return policy.pending { "by hand", retry_after = "1s" }
  end
  return policy.approve { subject = { { "CN", request.principal.name } } }
end }
]]

describe("lest serverkeygen", function()
  local server

  setup(function()
    server = support.start { policy = POLICY, config = function(text)
      return (text:gsub("keys = {",
        'server_keys = { "ec:P-256", "rsa:2048", "ed25519" },\n      keys = {', 1))
    end }
  end)
  teardown(function() server:stop() end)

  local function command(name, ...)
    local words = { server.lest, "serverkeygen", server.url, "--trust", server.root, "--username",
      name, "--password-file", "-", ... }
    return process.run(words, { stdin = server:credential(name) .. "\n" })
  end

  local function path(name) return server.folder .. "/" .. name end

  it("writes a key and its certificate that belong together", function()
    for _, kind in ipairs { "ec:P-256", "rsa:2048", "ed25519" } do
      local name = kind:gsub("%W", "")
      local code, out, err = command(name, "--subject", "CN=" .. name, "--key-type", kind,
        "--key-out", path(name .. ".key"), "--out", path(name .. ".pem"))
      assert.equal(0, code, err)
      assert.equal("", out)
      assert.matches("warning: the key will come without encryption of its own", err)
      assert.matches(name .. "%.pem: CN=" .. name .. ", serial", err)
      assert.equal("600\n", process.must { "stat", "-c", "%a", path(name .. ".key") })
      local key = assert(core.key.load(path(name .. ".key")))
      assert.equal(kind, key.type)
      local cert = assert(core.cert.load(path(name .. ".pem")))
      assert.equal(cert.public_key.der, key:public_der())
      server:verify(name .. ".pem")
    end
  end)

  it("encrypts the key where there is a passphrase, and prints what it is asked for", function()
    process.write(path "pass", "correct horse\n")
    local code, out, err = command("sealed", "--subject", "CN=sealed", "--key-out",
      path "sealed.key", "--passphrase-file", path "pass", "--json")
    assert.equal(0, code, err)
    assert.matches("BEGIN ENCRYPTED PRIVATE KEY", process.read(path "sealed.key"))
    assert.matches('"subject"', out)
    assert.is_nil(out:find "PRIVATE")
    assert(core.key.load(path "sealed.key", { passphrase = "correct horse" }))
  end)

  it("asks for nothing where the key could not be kept", function()
    process.write(path "there", "not yours")
    local before = server:sql "SELECT count(*) FROM certificates"
    for pattern, words in pairs {
      ["is there already"] = { "--key-out", path "there" },
      ["say where the key goes"] = { },
      ["are the same file"] = { "--key-out", path "x", "--out", path "x" },
      ["cannot"] = { "--key-out", path "no/such/folder" },
      ["did you mean 'ec:P%-256'"] = { "--key-out", path "y", "--key-type", "prime256v1" },
      ["is a range"] = { "--key-out", path "y", "--key-type", "rsa:2048..4096" },
    } do
      local code, _, err = command("careful", "--subject", "CN=careful", table.unpack(words))
      assert.not_equal(0, code)
      assert.matches(pattern, err)
    end
    local code, _, err = command("careful", "--key-out", path "z")
    assert.equal(2, code)
    assert.matches("say for which name", err)
    assert.equal(before, server:sql "SELECT count(*) FROM certificates")
    assert.equal("not yours", process.read(path "there"))
    assert.is_false(process.exists(path "y"))
  end)

  it("waits for operators, also across runs with the same --csr-key", function()
    local secret = server:credential "waits"
    assert(assert(core.key.generate "ec:P-256"):save(path "csr.key"))
    local words = { server.lest, "serverkeygen", server.url, "--trust", server.root, "--username",
      "waits", "--password-file", "-", "--subject", "CN=waits", "--csr-key", path "csr.key",
      "--key-out", path "waits.key", "--out", path "waits.pem" }
    local code, _, err = process.run(words, { stdin = secret .. "\n" })
    assert.equal(5, code, err)
    assert.is_false(process.exists(path "waits.key"))
    local id = server:sql "SELECT id FROM pending WHERE principal_name = 'waits'"
    process.must { server.lest, "pending", "approve", id, "--config", server.dir .. "/server.lua" }
    code, _, err = process.run(words, { stdin = secret .. "\n" })
    assert.equal(0, code, err)
    assert.equal(core.cert.load(path "waits.pem").public_key.der,
      core.key.load(path "waits.key"):public_der())
  end)

  it("has nothing of the key in a trace or in a record", function()
    local code, _, err = command("traced", "--subject", "CN=traced", "--key-out",
      path "traced.key", "--out", path "traced.pem", "--trace")
    assert.equal(0, code, err)
    local base64 = core.base64.encode(core.key.load(path "traced.key"):der())
    for i = 40, #base64 - 40, 20 do
      assert.is_nil(err:find(base64:sub(i, i + 20), 1, true))
    end
    local c <close> = lest_client { url = server.url, trust = server.root, username = "recorded",
      password = server:credential "recorded", notify = function() end }
    assert(c:record(path "record.lua"))
    local cert, key = c:serverkeygen { subject = "CN=recorded" }
    assert.is_truthy(cert, tostring(key))
    local text = process.read(path "record.lua")
    base64 = core.base64.encode(key:der())
    for i = 40, #base64 - 40, 20 do
      assert.is_nil(text:find(base64:sub(i, i + 20), 1, true))
    end
  end)
end)
