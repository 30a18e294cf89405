-- serverkeygen (RFC 7030 4.4) at the server: who gets a key of the server, of which kind, in what,
-- and that nothing keeps it.
local core = require "lest.core"
local host = require "support.host"
local json = require "lest.json"
local process = require "support.process"
local support = require "support.server"

local POLICY <const> = [[
local policy = require "lest.policy"
return {
  enroll = policy.own_name(),
  reenroll = policy.renew {},
  serverkeygen = function(request)
    local name = request.principal.name
    if name == "waits" and #request.approvals == 0 then return policy.pending "by hand" end
    if name == "refused" then return policy.reject "no keys for you" end
    local kind = tostring(request.csr.subject):match "OU=([^,]+)"
    return policy.approve { subject = { { "CN", name } }, key = kind,
      detail = ("%s has a key of %s"):format(request.operation, request.csr.key_type) }
  end,
}
]]

local PROFILES <const> = [[
  profiles = {
    keys = { lifetime = "7d", keys = { "ed25519" }, names = "principal",
      server_keys = { "ec:P-256", "ec:P-384", "rsa:2048", "ed25519" },
      key_usage = { "digitalSignature", "keyEncipherment" } },
    changes = { lifetime = "7d", keys = { "ec:P-256" }, server_keys = "ec:P-256",
      key_change = "forbidden" },]]

local LABELS <const> = [[labels = {
    keys = { policy = "policy.lua", profile = "keys", auth = { "certificate", "basic" } },
    stays = { policy = "policy.lua", profile = "changes", auth = { "certificate", "basic" } },
    hookless = { policy = "plain.lua", profile = "keys", auth = "basic" },
    both = { policy = "two.lua", profiles = { "device", "keys" }, auth = "basic" },
    unwrapped = { policy = "policy.lua", profile = "keys", auth = "basic", wrap = 0,
      transfer_encoding = false },]]

local PLAIN <const> = [[return require("lest.policy").own_name()]]
local TWO <const> = [[
local policy = require "lest.policy"
return { serverkeygen = function(request)
  return policy.approve { subject = { { "CN", request.principal.name } },
    key = tostring(request.csr.subject):match "OU=([^,]+)" }
end }]]

local function configuration(text)
  return (text:gsub("profiles = {", PROFILES, 1):gsub("labels = {", LABELS, 1))
end

--- The parts of a 200: the key as it came, its media type, the certificate.
local function taken(headers, body)
  local parts = assert(core.est.mixed_decode(headers["content-type"], body))
  assert.equal(2, #parts)
  return assert(core.base64.decode((parts[1].body:gsub("%s", "")))), parts[1].type,
    support.issued((parts[2].body:gsub("%s", ""))), parts[2].type
end

describe("serverkeygen", function()
  local server

  setup(function()
    server = support.start { policy = POLICY, config = configuration,
      files = { ["plain.lua"] = PLAIN, ["two.lua"] = TWO } }
  end)
  teardown(function() server:stop() end)

  local function request(name, options)
    return server:file(name .. ".b64", (support.request(name, options)))
  end

  local function ask(name, options, ...)
    options = options or {}
    local secret = options.secret or server:credential(name, options.words)
    return server:post((options.label or "/keys") .. "/serverkeygen",
      options.csr or request(name, options.plan), "--user", name .. ":" .. secret, ...)
  end

  local function issued_to(name)
    return tonumber(server:sql(("SELECT count(*) FROM certificates WHERE principal_name = '%s'")
      :format(name)))
  end

  it("7030-4.4.2-a 7030-4.4.2-b 7030-3.2.4-d 7030-4.4.2-l 2046-5.1-b S22 S23 gives a key in the "
    .. "clear and its certificate", function()
    local status, body, headers = ask "device001"
    assert.equal(200, status, body)
    assert.matches("^multipart/mixed; boundary=[%w-]+$", headers["content-type"])
    assert.equal(#body, math.tointeger(headers["content-length"]))
    local der, media, cert, cert_media = taken(headers, body)
    assert.equal("application/pkcs8", media)
    assert.equal("application/pkcs7-mime; smime-type=certs-only", cert_media)
    local key = assert(core.key.parse(der))
    assert.equal("ec:P-256", key.type)
    assert.equal(cert.public_key.der, key:public_der())
    assert.equal("CN=device001", tostring(cert.subject))
    -- The first INTEGER is PrivateKeyInfo's version (RFC 5958 2).
    assert.equal("\x02\x01\x00", der:sub(4, 6))
    local file = server:file("key.der", der)
    assert.matches("ASN1 OID: prime256v1", (process.must { "openssl", "pkey", "-inform", "DER",
      "-in", file, "-noout", "-text" }))
    -- Clients read it line by line: CRLF (RFC 2046 5.1), lines of 64, the transfer encoding said.
    assert.is_nil(body:find("[^\r]\n"))
    for line in body:gmatch "[^\r\n]+" do assert.is_true(#line <= 76, line) end
    assert.equal(2, select(2, body:gsub("Content%-Transfer%-Encoding: base64\r\n", "")))
    assert.matches("^%-%-", body)
    assert.matches("%-%-\r\n$", body)
  end)

  it("8951-3.2.4-a writes as the label says", function()
    local status, body, headers = ask("narrow", { label = "/unwrapped" })
    assert.equal(200, status)
    assert.is_nil(body:find "Transfer")
    local der = taken(headers, body)
    assert.is_truthy(body:find("\r\n" .. core.base64.encode(der) .. "\r\n", 1, true))
  end)

  it("7030-4.4.1-c 7030-4.4.1-g takes the CSR's key for no more than a wish, and its signature "
    .. "for nothing", function()
    local other = assert(core.key.generate "ec:P-256")
    local made = {}
    for i, case in ipairs {
      { "ec:P-256", { key = other } },
      { "ec:P-256", { key = other, raw = { sign_with = assert(core.key.generate "ec:P-384") } } },
      { "ec:P-256", { key = other, raw = { signature = "\x03\x02\x00\x01" } } },
      { "ec:P-384", { key = assert(core.key.generate "ec:P-384") } },
      { "rsa:2048", { key = assert(core.key.generate "rsa:2048") } },
      { "ed25519", { key = assert(core.key.generate "ed25519") } },
      { "ec:P-256", { key = assert(core.key.generate "ec:P-521") } },
    } do
      local kind, plan = table.unpack(case)
      plan.subject = "CN=wish" .. i
      local built = assert(core.csr.build(plan))
      local der = type(built) == "string" and built or built:der()
      local status, body, headers = ask("wish" .. i, { csr = server:file("wish.der", der) })
      assert.equal(200, status, body)
      local key = assert(core.key.parse((taken(headers, body))))
      assert.equal(kind, key.type)
      assert.not_equal(plan.key:public_der(), key:public_der())
      assert.is_nil(made[key.hash])
      made[key.hash] = true
    end
    -- One that is too weak anywhere else.
    process.must { "openssl", "req", "-new", "-newkey", "rsa:1024", "-nodes", "-keyout",
      server.folder .. "/weak.key", "-subj", "/CN=weak", "-outform", "DER", "-out",
      server.folder .. "/weak.der" }
    local status, body = ask("weak", { csr = server.folder .. "/weak.der" })
    assert.equal(200, status, body)
  end)

  it("makes the kind that the policy states, and no other than the profile has", function()
    local status, body, headers = ask("stated", { plan = { subject = "CN=stated,OU=rsa:2048" } })
    assert.equal(200, status, body)
    assert.equal("rsa:2048", assert(core.key.parse((taken(headers, body)))).type)
    assert.equal("rsa:2048", json.decode(server:sql(
      "SELECT stated FROM requests ORDER BY seq DESC LIMIT 1")).key)
    status = ask("stated", { plan = { subject = "CN=stated,OU=rsa:4096" } })
    assert.equal(500, status)
    assert.matches("a key of type rsa:4096 is not made here", server:sql(
      "SELECT detail FROM requests ORDER BY seq DESC LIMIT 1"))
    -- A profile without server_keys beside one that has some.
    status = ask("stated", { label = "/both" })
    assert.equal(500, status)
    assert.matches("makes no keys", server:sql(
      "SELECT detail FROM requests ORDER BY seq DESC LIMIT 1"))
  end)

  it("7030-3.2.2-f 7030-6-f 7030-4.4-a is not there unless a profile and a hook say so", function()
    local status, body = ask("nobody", { label = "" })
    assert.equal(404, status)
    assert.matches("'serverkeygen' is not offered", body)
    status, body = ask("nobody", { label = "/hookless" })
    assert.equal(403, status)
    assert.equal("this operation is not offered here\n", body)
  end)

  it("7030-6-g is asked for by the command of that name alone", function()
    local path = server.folder .. "/own"
    process.write(path, server:credential("own", { "--reusable" }) .. "\n")
    local to = { server.url, "--label", "keys", "--trust", server.root }
    local function run(command, ...)
      process.must(table.move({ ... }, 1, select("#", ...), #to + 3,
        table.move(to, 1, #to, 3, { server.lest, command })))
    end
    run("enroll", "--username", "own", "--password-file", path, "--subject", "CN=own", "--new-key",
      "ed25519", "--key-out", path .. ".key", "--out", path .. ".pem")
    run("reenroll", "--cert", path .. ".pem", "--key", path .. ".key", "--new-key", "ed25519",
      "--key-out", path .. ".next", "--out", path .. ".pem")
    assert.equal("simpleenroll,simplereenroll", server:sql("SELECT group_concat(operation) FROM "
      .. "(SELECT operation FROM requests WHERE coalesce(device, principal_name) = 'own' "
      .. "ORDER BY seq)"))
  end)

  it("7030-4.4.1-b S24 7030-4.4-c 7030-4.4.2-m 7030-4.4.2-n 8951-5.2-a refuses as for an "
    .. "enrollment, in words", function()
    local csr = request "refused"
    local status = server:post("/keys/serverkeygen", csr)
    assert.equal(401, status)
    status = server:post("/keys/serverkeygen", csr, "--user", "refused:wrong")
    assert.equal(401, status)
    local body, headers
    status, body, headers = ask "refused"
    assert.equal(403, status)
    assert.equal("no keys for you\n", body)
    assert.equal("text/plain; charset=utf-8", headers["content-type"])
    status, body = ask("refused", { csr = server:file("bad", "no request") })
    assert.equal(400, status)
    assert.matches("%a", body)
    status, body = ask("refused", { plan = { key_usage = { "keyAgreement" } } })
    assert.equal(400, status)
    assert.matches("key usage", body)
    assert.equal(0, issued_to "refused")
  end)

  it("S24 holds a request for operators, and makes the key when they approve", function()
    local secret = server:credential "waits"
    local csr = request "waits"
    local status, _, headers = ask("waits", { secret = secret, csr = csr })
    assert.equal(202, status)
    assert.is_truthy(headers["retry-after"])
    local id = server:sql "SELECT id FROM pending WHERE operation = 'serverkeygen'"
    process.must { server.lest, "pending", "approve", id, "--config", server.dir .. "/server.lua" }
    local body
    status, body, headers = ask("waits", { secret = secret, csr = csr })
    assert.equal(200, status, body)
    assert(core.key.parse((taken(headers, body))))
  end)

  it("gives a new key each time, and none for a secret that is used up", function()
    local csr, hashes = request "again", {}
    local secret = server:credential("again", { "--reusable" })
    for _ = 1, 3 do
      local status, body, headers = ask("again", { secret = secret, csr = csr })
      assert.equal(200, status, body)
      hashes[assert(core.key.parse((taken(headers, body)))).hash] = true
    end
    local count = 0
    for hash in pairs(hashes) do
      count = count + 1
      assert.equal("1", server:sql(("SELECT count(*) FROM certificates WHERE key_hash = '%s'")
        :format(hash)))
    end
    assert.equal(3, count)
    secret, csr = server:credential "once", request "once"
    assert.equal(200, (ask("once", { secret = secret, csr = csr })))
    assert.equal(401, (ask("once", { secret = secret, csr = csr })))
    assert.equal(1, issued_to "once")
  end)

  it("7030-4.4-g gives the holder of a certificate a key, unless the key must stay", function()
    local secret = server:credential "holder"
    local status, body = server:post("/stays/simpleenroll", server:csr "holder", "--user",
      "holder:" .. secret)
    assert.equal(200, status, body)
    local path = server:save(body, "holder")
    local identity = { "--cert", path, "--key", server.folder .. "/holder.key" }
    local headers
    status, body, headers = server:post("/keys/serverkeygen", request "holder",
      table.unpack(identity))
    assert.equal(200, status, body)
    local _, _, cert = taken(headers, body)
    assert.equal("CN=holder", tostring(cert.subject))
    status, body = server:post("/stays/serverkeygen", request "holder", table.unpack(identity))
    assert.equal(403, status)
    assert.matches("the key must stay", body)
  end)

  it("7030-4.4-e returns a key only over a suite that is as strong", function()
    local weak = { "--tls-max", "1.3", "--tls13-ciphers", "TLS_AES_128_GCM_SHA256" }
    local status, body = ask("strong", { plan = { key = assert(core.key.generate "ec:P-384") } },
      table.unpack(weak))
    assert.equal(403, status, body)
    assert.matches("ec:P%-384 is stronger than the connection", body)
    assert.equal(0, issued_to "strong")
    assert.equal(200, (ask("strong", nil, table.unpack(weak))))
    assert.equal(200, (ask("strong", { plan = { key = assert(core.key.generate "ec:P-384") } })))
  end)

  it("7030-4.4-d takes no suite without encryption", function()
    for _, suite in ipairs { "eNULL", "aNULL", "NULL-SHA256", "ECDHE-ECDSA-NULL-SHA" } do
      local code = process.run { "openssl", "s_client", "-connect", "127.0.0.1:" .. server.port,
        "-tls1_2", "-cipher", suite .. ":@SECLEVEL=0" }
      assert.not_equal(0, code, suite)
    end
  end)

  --- How often any of these strings stands in the memory of the server's processes.
  local function in_memory(pid, needles)
    local count = 0
    local memory <close> = assert(io.open(("/proc/%d/mem"):format(pid), "rb"))
    for line in io.lines(("/proc/%d/maps"):format(pid)) do
      local from, to, mode = line:match "^(%x+)%-(%x+) (%S+)"
      local begin, size = tonumber(from, 16), tonumber(to, 16) - tonumber(from, 16)
      local bytes
      -- A sanitizer's shadow is terabytes, of which none is the server's.
      if mode:find "^rw" and size < 1 << 30 then
        memory:seek("set", begin)
        bytes = memory:read(size)
      end
      for _, needle in ipairs(bytes and needles or {}) do
        local at = 0
        repeat
          at = bytes:find(needle, at + 1, true)
          count = count + (at and 1 or 0)
        until not at
      end
    end
    return count
  end

  it("7030-4.4-f keeps the key nowhere, and wipes it in memory", function()
    if not host.is_root then return pending "needs root, to read another process" end
    local status, body, headers = ask "secret"
    assert.equal(200, status)
    local der = taken(headers, body)
    local scalar = assert(der:match "\x04\x20(................................)")
    local base64 = core.base64.encode(der)
    local needles = { scalar, base64:sub(50, 64), base64:sub(65, 120) }
    -- A certificate of the answer, to see that what is there is found.
    assert.is_true(in_memory(server:pids("authority")[1], { "CN=secret" }) > 0)
    process.wait_for(function()
      local count = 0
      for _, role in ipairs { "authority", "worker", "control" } do
        for _, pid in ipairs(server:pids(role)) do count = count + in_memory(pid, needles) end
      end
      return count == 0
    end, "the key to be wiped", 5)
    local files = 0
    for path in process.must({ "find", server.dir, "-type", "f" }):gmatch "[^\n]+" do
      local text = process.read(path)
      files = files + 1
      for _, needle in ipairs { scalar, base64:sub(70, 110) } do
        assert.is_nil(text:find(needle, 1, true), path)
      end
    end
    assert.is_true(files > 5)
  end)
end)
