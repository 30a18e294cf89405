-- JSON Web Tokens whose keys are at an address (RFC 7517 5): who fetches them, for how long they
-- are good, and what an address that misbehaves comes to.
local core = require "lest.core"
local est = require "support.est"
local host = require "support.host"
local jwt = require "support.jwt"
local process = require "support.process"
local raw_client = require "support.raw_client"
local support = require "support.server"

local POLICY <const> = [[
local policy = require "lest.policy"
return { enroll = function(request)
  return policy.approve { subject = { { "CN", "device" } }, detail = request.principal.name }
end }
]]
local ISSUER <const> = "https://idp.example/a"
local BODY <const> = core.est.body_encode(assert(core.csr.build { subject = "CN=device",
  key = assert(core.key.generate "ec:P-256") }):der())
local UNKNOWN <const> = "the token is signed with a key that is not known here"

describe("keys of tokens at an address", function()
  local world, idp, server, client, old, new

  local function claims()
    return { iss = ISSUER, aud = "lest", sub = "pump", exp = os.time() + 600 }
  end

  local function answer(text, headers, status)
    idp:answer(est.http(status or 200, headers or {}, text))
  end

  --- A server whose label takes tokens by the address.
  local function make(more)
    return support.make { policy = POLICY, config = function(text)
      text = text:gsub('auth = { "certificate", "basic" }', ([[auth = "bearer", bearer = {
        jwks = %q, jwks_trust = %q, issuer = %q, audience = "lest", %s }]]):format(
        idp.url .. "/jwks.json", world.root.path, ISSUER, more or ""), 1)
      text = text:gsub('names = "principal"', 'names = "policy"', 1)
      return (text:gsub("\n}%s*$", function(line)
        return "\n  " .. (host.is_root and "backend_user = 54321," or "") .. line
      end, 1))
    end }
  end

  local function start(more)
    server = make(more)
    server:run()
    client = raw_client.new()
  end

  --- A device with a token: status, and why it was refused.
  local function enroll(token)
    local response = server:ask(client, "/simpleenroll", { "Bearer " .. token },
      { body = BODY })
    return response.status, response.headers["x-reason"] or response.body,
      response.headers["retry-after"]
  end

  before_each(function()
    world = est.world()
    os.execute("chmod -R a+rX " .. world.root.path:match "^(.*)/")
    idp = world:serve()
    old, new = jwt.key("ec:P-256", "old"), jwt.key("rsa:2048", "new")
  end)
  after_each(function()
    if client then client:close() end
    if server then server:stop() end
    client, server = nil, nil
    idp:stop()
    world:close()
  end)

  it("are fetched at the start, and for a key that is missing", function()
    answer(jwt.set { old }, { ETag = '"1"' })
    start()
    assert.equal(200, (enroll(old:sign(claims()))))
    local request = idp:request()
    assert.same({ "GET", "/jwks.json" }, { request.method, request.target })
    assert.is_nil(request.headers["if-none-match"])
    assert.is_nil(request.headers.authorization)
    -- The issuer has another key now: the first token with it is good already.
    answer(jwt.set { old, new }, { ETag = '"2"' })
    assert.equal(200, (enroll(new:sign(claims()))))
    assert.equal('"1"', idp:request().headers["if-none-match"])
    -- And strangers have it asked no more than that.
    local stranger = jwt.key("ec:P-256", "stranger")
    for _ = 1, 3 do
      local status, reason = enroll(stranger:sign(claims()))
      assert.same({ 401, UNKNOWN }, { status, reason })
    end
    assert.equal(2, #idp:requests())
    assert.equal(idp.url .. "/jwks.json", server:logged("jwks read")[2].url)
    assert.equal("pump", (server:sql "SELECT detail FROM requests ORDER BY seq DESC LIMIT 1"))
  end)

  it("are those of before where what is there cannot be used", function()
    answer(jwt.set { old })
    start()
    answer '{"keys":[]}'
    local status, reason = enroll(new:sign(claims()))
    assert.same({ 401, UNKNOWN }, { status, reason })
    assert.matches("no key for signatures", server:logged("jwks kept as they were")[1].message)
    assert.equal(200, (enroll(old:sign(claims()))))
  end)

  it("are had by a token of a file, which may change", function()
    local path = world.root.path:match "^(.*)/" .. "/token"
    process.write(path, "first.token\n")
    os.execute("chmod a+r " .. path)
    answer(jwt.set { old })
    start(("jwks_token_file = %q"):format(path))
    assert.equal("Bearer first.token", idp:request().headers.authorization)
    process.write(path, "second.token")
    answer(nil, {}, 304)
    assert.equal(401, (enroll(new:sign(claims()))))
    assert.equal("Bearer second.token", idp:request().headers.authorization)
    local log = process.read(server.folder .. "/log")
    assert.is_nil(log:find("first.token", 1, true))
    assert.is_nil(log:find("second.token", 1, true))
  end)

  it("are good for a while where the address is away, and then nothing is judged", function()
    answer(jwt.set { old })
    start [[jwks_keep = "8s"]]
    local token = old:sign(claims())
    idp:answer(est.http(500, {}, ""), 3)
    assert.equal(200, (enroll(token)))
    process.wait_for(function() return server:logged("jwks not fetched")[1] end, "a warning", 10)
    assert.matches("answers with 500", server:logged("jwks not fetched")[1].message)
    assert.equal(200, (enroll(token)))
    process.wait_for(function() return (enroll(token)) == 503 end, "their end", 20)
    answer(jwt.set { old })
    process.wait_for(function() return (enroll(token)) == 200 end, "new ones", 20)
  end)

  it("are needed: without any there is 503, until they can be had", function()
    for _, each in ipairs { { est.http(302, { Location = idp.url .. "/other" }), "with 302" },
      { est.http(200, {}, ("x"):rep(200000)), "too large" }, { "drop", "" } } do
      idp:answer(each[1])
      start()
      -- It is asked again soon: that request has no answer yet, and the client none either.
      process.wait_for(function() return server:logged("jwks not fetched")[1] end, "a warning", 10)
      assert(server:logged("jwks not fetched")[1].message:find(each[2], 1, true),
        server:logged("jwks not fetched")[1].message)
      assert.equal("labels.default.bearer.jwks", server:logged("jwks not fetched")[1].key)
      answer(jwt.set { old })
      process.wait_for(function() return (enroll(old:sign(claims()))) == 200 end, "keys", 10)
      client:close()
      server:stop()
      client, server = nil, nil
    end
  end)

  it("are of no use from another than the one that is trusted", function()
    local other <close> = est.world()
    idp:stop()
    idp = other:serve()
    start()
    local status, reason, after = enroll(old:sign(claims()))
    assert.same({ 503, "the keys of the token's issuer cannot be had now\n", "10" },
      { status, reason, after })
    assert.matches("is not trusted", server:logged("jwks not fetched")[1].message)
    assert.equal(0, #idp:requests())
  end)

  it("are there still when either process is killed", function()
    answer(jwt.set { old })
    start()
    local token = old:sign(claims())
    assert.equal(200, (enroll(token)))
    for _, role in ipairs { "authority", "backend" } do
      if role == "backend" then answer(jwt.set { old }) end
      local pid = server:pids(role)[1]
      process.kill(pid, "KILL")
      process.wait_for(function()
        local now = server:pids(role)[1]
        return now and now ~= pid and (enroll(token)) == 200
      end, "the new " .. role, 20)
    end
  end)
end)

describe("the configuration of keys at an address", function()
  it("is checked as far as that is done without asking", function()
    local world <close> = est.world()
    os.execute("chmod -R a+rX " .. world.root.path:match "^(.*)/")
    local function checked(more)
      local server <close> = support.make { policy = POLICY, config = function(text)
        text = text:gsub('auth = { "certificate", "basic" }', [[auth = "bearer", bearer = {
          jwks = "https://localhost:1/jwks", issuer = "https://idp.example", audience = "lest",
          ]] .. more .. "}", 1)
        return (text:gsub("\n}%s*$", "\n  "
          .. (host.is_root and "backend_user = 54321," or "") .. "}", 1))
      end }
      local code, out, err = process.run { server.lest, "serve", server.dir .. "/server.lua",
        "--check", "--listen", "127.0.0.1:0" }
      return code, out .. err
    end
    local code, said = checked(("jwks_trust = %q"):format(world.root.path))
    assert.equal(0, code, said)
    code, said = checked [[jwks_trust = "none.pem"]]
    assert.equal(2, code)
    assert.matches("labels%.default%.bearer%.jwks_trust: .*none%.pem", said)
    code, said = checked [[jwks_token_file = "none.token"]]
    assert.equal(2, code)
    assert.matches("labels%.default%.bearer%.jwks_token_file: .*none%.token", said)
  end)
end)

