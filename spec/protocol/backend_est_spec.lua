-- A CA elsewhere behind another EST server, a real one and one that does what it is told; and
-- behind a file of Lua.
local elsewhere = require "support.elsewhere"
local est = require "support.est"
local process = require "support.process"
local support = require "support.server"

--- A device that posts the same request again and again.
local function device_of(server, name)
  local secret, csr = server:credential(name), server:csr(name)
  return function(...)
    return server:post("/simpleenroll", csr, "--user", name .. ":" .. secret, ...)
  end, csr
end

local function readable(path) os.execute("chmod -R a+rX " .. path) end

describe("a CA behind lest", function()
  local upstream, server

  before_each(function()
    upstream = support.start { policy = [[
      local policy = require "lest.policy"
      return { enroll = function(request)
        local who = request.principal
        if request.csr.subject.CN == "wait" and #request.approvals == 0 then
          return policy.pending { "ask an operator", retry_after = "7s" }
        end
        if request.csr.subject.CN == "stranger" then return policy.reject "not that one" end
        if who.name ~= "ra" and who.name ~= request.csr.subject.CN then
          return policy.reject "you are no RA"
        end
        return policy.approve { subject = request.csr.subject, san = request.csr.san }
      end }]], config = function(text)
        text = text:gsub('names = "principal"', 'names = "policy"', 1)
        text = text:gsub("profiles = {", [[profiles = { ra = { lifetime = "9d", keys = {
          "ec:P-256" }, names = "policy", eku = { "clientAuth", "cmcRA" } },]], 1)
        text = text:gsub('profile = "device"', 'profile = "device", fullcmc = true, '
          .. 'renews = { "default", "ra" }', 1)
        return (text:gsub("labels = {", [[labels = { ra = { policy = "policy.lua", profile = "ra",
          auth = "basic" },]], 1))
      end }
  end)
  after_each(function()
    if server then server:stop() end
    server = nil
    upstream:stop()
  end)

  local function start(how, more)
    server = elsewhere.server { backend = ([[backend = "est", url = %q, trust = %q, cert = %q, %s]])
      :format(upstream.url, upstream.dir .. "/ca.pem", upstream.dir .. "/ca.pem", how),
      label = more }
    server:run()
  end

  local function as_ra(label)
    local secret = upstream:credential "ra"
    local status, body = upstream:post((label or "") .. "/simpleenroll", upstream:csr "ra",
      "--user", "ra:" .. secret)
    assert.equal(200, status, body)
    upstream:save(body, "ra")
    readable(upstream.folder)
    return ([[identity = { cert = %q, key = %q }, repeats = true]]):format(
      upstream.folder .. "/ra.pem", upstream.folder .. "/ra.key")
  end

  it("issues for its RA, by a certificate", function()
    start(as_ra())
    local status, body = device_of(server, "pump")()
    assert.equal(200, status, body)
    assert.equal("pump", support.issued(body).subject.CN)
    assert.equal("1", upstream:sql [[SELECT count(*) FROM certificates
      WHERE subject = 'CN=pump']])
    assert.equal("issued", server:sql "SELECT state FROM orders")
    assert.is_nil(server:logged("CA not reached")[1])
  end)

  it("P3 carries its 202 and its Retry-After through, and its refusal", function()
    start(as_ra())
    local ask = device_of(server, "wait")
    local status, _, headers = ask()
    assert.equal(202, status)
    assert.equal("7", headers["retry-after"])
    assert.equal(403, (device_of(server, "stranger")()))
    process.must { support.lest, "pending", "approve", upstream:sql "SELECT id FROM pending",
      "--as", "otto", "--config", upstream.dir .. "/server.lua" }
    process.wait_for(function() return ask() == 200 end, "the certificate", 40)
    assert.equal("1", upstream:sql "SELECT count(*) FROM certificates WHERE subject = 'CN=wait'")
  end)

  --- `lest enroll`, which links its CSR to its connection.
  local function enroll(name, ...)
    local file = server:file(name .. "-secret", server:credential(name))
    local trust = server:file("trust.pem", process.read(server.root)
      .. process.read(upstream.dir .. "/ca.pem"))
    return process.run { support.lest, "enroll", server.url, "--trust", trust, "--username",
      name, "--password-file", file, "--subject", "CN=" .. name, "--new-key", "ec:P-256",
      "--key-out", server.folder .. "/" .. name .. ".key", "--out",
      server.folder .. "/" .. name .. ".pem", ... }
  end

  it("7030-3.7-b takes of an RA alone what is linked to the connection of another", function()
    start(as_ra "/ra")
    local code, _, err = enroll "pump"
    assert.equal(0, code, err)
    assert.equal("CN=pump", upstream:sql
      "SELECT subject FROM certificates ORDER BY seq DESC LIMIT 1")
    server:stop()
    start(as_ra())
    code, _, err = enroll "valve"
    assert.equal(7, code, err)
    local problem = server:sql "SELECT problem FROM orders"
    assert.matches("linked to another TLS connection", problem)
    assert.matches("is for an RA to send on: give `identity` a certificate with id%-kp%-cmcRA",
      problem)
    code, _, err = enroll("motor", "--no-channel-binding")
    assert.equal(0, code, err)
  end)

  --- Revoke what was issued, and wait for what comes of it.
  local function revoke(name)
    process.must { support.lest, "cert", "revoke", server:sql(
      ("SELECT serial FROM certificates WHERE subject = 'CN=%s'"):format(name)), "--reason",
      "superseded", "--config", server.dir .. "/server.lua" }
    return process.wait_for(function()
      local state = server:sql "SELECT state FROM orders WHERE kind = 'revoke' ORDER BY seq DESC"
      return state ~= "held" and state ~= "asked" and state
    end, "the revocation", 30)
  end

  it("5272-6.11-a revokes for an RA, by CMC", function()
    start(as_ra "/ra")
    assert.equal(200, (device_of(server, "pump")()))
    assert.equal("revoked", revoke "pump")
    assert.equal("superseded", upstream:sql
      "SELECT revocation_reason FROM certificates WHERE subject = 'CN=pump'")
    server:stop()
    -- Another's certificate has no say there.
    start(as_ra())
    assert.equal(200, (device_of(server, "valve")()))
    assert.equal("failed", revoke "valve")
    assert.matches("no such certificate", server:sql
      "SELECT problem FROM orders WHERE kind = 'revoke'")
  end)

  it("P8 issues by a password; one that is wrong is no device's fault", function()
    upstream:credential("ra", { "--reusable", "--password-file",
      upstream:file("good", "correct horse battery") })
    upstream:file("bad", "wrong horse battery")
    readable(upstream.folder)
    start(([[username = "ra", password_file = %q]]):format(upstream.folder .. "/good"))
    assert.equal(200, (device_of(server, "pump")()))
    server:stop()
    start(([[username = "ra", password_file = %q]]):format(upstream.folder .. "/bad"))
    local status, reason = device_of(server, "pump")()
    assert.equal(502, status)
    assert.equal("the CA's answer cannot be used\n", reason)
  end)

  it("is sent no CSR whose names are not those that were approved", function()
    start(as_ra())
    local secret = server:credential "pump"
    local status = server:post("/simpleenroll", server:csr("pump", { subject = "/" }), "--user",
      "pump:" .. secret)
    assert.is_true(status == 502 or status == 403)
    assert.equal("0", upstream:sql "SELECT count(*) FROM certificates WHERE subject <> 'CN=ra'")
  end)

  it("is held for while it is away, and gives one certificate when it is back", function()
    start(as_ra(), [[ca = "far", when_away = "hold"]])
    local address = "127.0.0.1:" .. upstream.port
    process.kill(upstream.pid)
    upstream:exit_code()
    local ask = device_of(server, "pump")
    local status, _, headers = ask()
    assert.equal(202, status)
    assert.is_true(tonumber(headers["retry-after"]) > 0)
    upstream.listen = { address }
    upstream:run()
    process.wait_for(function() return ask() == 200 end, "the certificate", 60)
    assert.equal("1", upstream:sql "SELECT count(*) FROM certificates WHERE subject = 'CN=pump'")
  end)
end)

describe("a CA behind an EST server that misbehaves", function()
  local world, far, server

  local function start()
    server = elsewhere.server { backend = ([[backend = "est", url = %q, trust = %q, cert = %q,
      timeout = "2s"]]):format(far.url, world.root.path, world.root.path) }
    server:run()
  end

  before_each(function()
    world = est.world()
    readable(world.pki.folder or world.root.path:match "^(.*)/")
    far = world:serve()
    far:answer(est.cacerts { world.root.cert })
    start()
  end)
  after_each(function()
    server:stop()
    far:stop()
    world:close()
  end)

  it("wastes no more than its time and its size", function()
    local here = far.url .. "/.well-known/est/simpleenroll"
    local head = "HTTP/1.1 200 OK\r\nContent-Type: application/pkcs7-mime\r\n"
    for i, each in ipairs {
      { est.http(302, { Location = here }), 502, "failed" },
      { est.http(307, { Location = "https://localhost:1/.well-known/est/simpleenroll" }), 502,
        "failed" },
      -- It may have issued.
      { head .. "Content-Length: 99999999999\r\n\r\n", 504, "lost" },
      { { head .. "Content-Length: 5000\r\n\r\n", { trickle = ("A"):rep(5000), gap = 100 } }, 504,
        "lost" },
    } do
      far:answer(each[1])
      local status = device_of(server, "pump" .. i)()
      assert.same({ each[2], each[3] },
        { status, server:sql "SELECT state FROM orders ORDER BY seq DESC LIMIT 1" },
        i .. ": " .. server:sql "SELECT problem FROM orders ORDER BY seq DESC LIMIT 1")
    end
    assert.equal("0", server:sql "SELECT count(*) FROM certificates")
  end)

  it("is asked nothing where it is another", function()
    far:stop()
    local other <close> = est.world()
    far = other:serve()
    server:stop()
    start()
    local status = device_of(server, "pump")()
    assert.is_true(status == 502 or status == 503, status)
    assert.matches("is not trusted", server:sql "SELECT problem FROM orders")
    assert.same({}, far:requests())
  end)

  it("is told apart by what it may have done", function()
    for i, each in ipairs {
      { est.http(403, {}, "no"), 403, "refused" },
      { est.http(400, {}, "no"), 403, "refused" },
      { est.http(401, { ["WWW-Authenticate"] = 'Basic realm="x"' }), 502, "failed" },
      { est.http(404, {}, "no"), 502, "failed" },
      { est.http(503, { ["Retry-After"] = "9" }), 503, "away" },
      { est.http(202, { ["Retry-After"] = "9" }), 202, "later" },
      { est.http(200, { ["Content-Type"] = "text/html" }, "hello"), 502, "failed" },
      { est.issued { world.device.cert }, 502, "failed" },
      -- Nobody knows whether it has issued, and it would issue again.
      { "drop", 504, "lost" },
      { "stall", 504, "lost" },
    } do
      far:answer(each[1])
      local status = device_of(server, "pump" .. i)()
      assert.equal(each[2], status, each[3])
      assert.equal(each[3], server:sql "SELECT state FROM orders ORDER BY seq DESC LIMIT 1")
    end
    assert.equal("0", server:sql "SELECT count(*) FROM certificates")
    assert.is_true(#server:logged "order failed" >= 7)
  end)
end)

describe("a CA behind a file of Lua", function()
  it("is a dozen lines, and what it raises is in doubt", function()
    local ca <close> = elsewhere.ca()
    process.write(ca.folder .. "/far.lua", [[
      local lest, core = require "lest", require "lest.core"
      local options = ...
      local function issue(request)
        if request.subject_text == "CN=away" then return nil, "away", "gone" end
        if request.subject_text == "CN=no" then return nil, "refused", "not you" end
        if request.subject_text == "CN=bad" then error "oops" end
        if request.subject_text == "CN=odd" then return 7 end
        local key = request.csr:pem()
        local name = options.folder .. "/" .. request.id
        local file = assert(io.open(name, "w"))
        file:write(key)
        file:close()
        lest.sleep(0.1)
        return assert(core.process.read_command { "openssl", "x509", "-req", "-in", name, "-CA",
          options.folder .. "/ca.pem", "-CAkey", options.folder .. "/ca.key", "-days", "9",
          "-extfile", options.folder .. "/ext" })
      end
      return { issue = issue, revoke = function(request) return request.reason ~= nil end }]])
    process.write(ca.folder .. "/ext", "keyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n")
    readable(ca.folder)
    local server <close> = elsewhere.server { backend = ([[backend = "lua", file = %q,
      options = { folder = %q }, cert = %q]]):format(ca.folder .. "/far.lua", ca.folder,
      ca.folder .. "/ca.pem") }
    server:run()
    local status, body = device_of(server, "pump")()
    assert.equal(200, status, body)
    local serial = support.issued(body).serial
    for _, each in ipairs { { "away", 503 }, { "no", 403 }, { "odd", 502 } } do
      assert.equal(each[2], (device_of(server, each[1])()), each[1])
    end
    device_of(server, "bad")("--max-time", "1")
    assert.equal("asked", server:sql "SELECT state FROM orders ORDER BY seq DESC LIMIT 1")
    process.must { support.lest, "cert", "revoke", serial, "--config", server.dir .. "/server.lua" }
    process.wait_for(function()
      return server:sql "SELECT state FROM orders WHERE kind = 'revoke'" == "revoked"
    end, "the revocation", 30)
  end)

  it("names what is wrong with the file", function()
    local ca <close> = elsewhere.ca()
    for text, problem in pairs {
      ["return {}"] = "must return a function, or a table with `issue`",
      ["return { issue = print, isue = print }"] = "did you mean 'issue'?",
      ["return foo"] = "undeclared global 'foo'",
      ["x = 1"] = "put 'local' before it",
    } do
      process.write(ca.folder .. "/far.lua", text)
      readable(ca.folder)
      local server <close> = elsewhere.server { backend = ([[backend = "lua", file = %q,
        cert = %q]]):format(ca.folder .. "/far.lua", ca.folder .. "/ca.pem") }
      local code, _, err = process.run { support.lest, "serve", "--check",
        server.dir .. "/server.lua" }
      assert.equal(2, code, err)
      assert.truthy(err:find(problem, 1, true), err)
    end
  end)
end)
