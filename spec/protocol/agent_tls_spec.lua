-- A server whose certificate an agent renews: `tls = { cert, key }` files that `lest agent` has
-- from another EST server, and a hook that has the server take them up.
local agents = require "support.agent"
local core = require "lest.core"
local process = require "support.process"
local raw_client = require "support.raw_client"
local support = require "support.server"

describe("a server whose certificate an agent renews", function()
  local above, server, agent
  setup(function()
    above = agents.server { lifetime = "1m", edit = function(text)
      return (text:gsub("eku = {[^}]*}", 'eku = { "serverAuth", "clientAuth" }'))
    end }
    server = support.make { config = function(text)
      return (text:gsub("tls = %b{}", 'tls = { cert = "tls/tls.crt", key = "tls/tls.key" }', 1))
    end }
    agent = agents.new(above, { subject = '"CN=localhost"',
      san = '{ "DNS:localhost", "IP:127.0.0.1" }',
      -- Some seconds after it is issued.
      renew_at = "0.52", spread = "0.0", rollback = "true",
      files = ('{ { folder = "%s/tls" } }'):format(server.dir),
      hooks = ('{ { command = { "%s", "policy", "reload", "--if-running", "--config", "%s" } } }')
        :format(server.lest, server.dir .. "/server.lua") })
  end)
  teardown(function()
    agent:stop()
    server:stop()
    above:stop()
  end)

  local function path(name) return server.folder .. "/" .. name end

  local function shown()
    return assert(core.cert.parse_all(process.must(("openssl s_client -connect 127.0.0.1:%s "
      .. "</dev/null 2>/dev/null"):format(server.port))))[1]
  end

  -- Requests without a pause, until the function is called: what failed.
  local function hammer()
    local stop, failed = path "stop", path "failed"
    process.write(failed, "")
    local pid = process.start({ "sh", "-c", ([[while [ ! -e %s ]; do
      curl -sS --fail -o /dev/null --cacert %s %s/.well-known/est/cacerts 2>>%s || echo >>%s
      done]]):format(stop, above.root, server.url, failed, failed) }, path "out1", path "err1")
    return function()
      process.write(stop, "")
      process.wait_for(function() return not process.alive(pid) end, "the requests' end", 60)
      return process.read(failed)
    end
  end

  it("has its first one before it starts", function()
    local result = agent:once()
    assert.equal(0, result.code, result.err)
    server:run()
    assert.equal(agent:cert().fingerprint, shown().fingerprint)
    assert.same({ "DNS:localhost", "IP:127.0.0.1" }, shown().san)
  end)

  it("shows each next one at once, while requests and connections go on", function()
    local finish, first = hammer(), shown()
    -- A request that is under way when the next one comes.
    local client <close> = raw_client.new()
    local connection = assert(client:connect { port = server.port })
    assert(connection:send(raw_client.http("POST", "/simpleenroll",
      { "Content-Type: application/pkcs10", "Content-Length: 4" }) .. "MI"))
    agent:start()
    process.wait_for(function() return shown() ~= first end, "the next certificate", 120)
    assert(connection:send "BB")
    assert.equal(401, connection:response().status)
    local seen, count = {}, 0
    process.wait_for(function()
      local cert = shown()
      if not seen[cert.fingerprint] then seen[cert.fingerprint], count = true, count + 1 end
      return count == 3
    end, "three more certificates", 180)
    agent:stop()
    assert.equal("", finish())
    process.wait_for(function() return agent:cert().fingerprint == shown().fingerprint end,
      "the last one", 60)
    local code = process.run { server.lest, "check", "--config", server.dir .. "/server.lua",
      "--within", "1s" }
    assert.equal(0, code)
  end)

  it("goes on with the one before where it cannot take the next, which comes later", function()
    local before, text = shown(), process.read(server.dir .. "/server.lua")
    process.write(server.dir .. "/server.lua", text .. "\nnonsense")
    agent:once "--renew"
    assert.equal("undeployed", agent:status().state)
    assert.equal(before.fingerprint, shown().fingerprint)
    -- The files are those before, too: a start would be with them.
    assert.equal(before.fingerprint, assert(core.cert.load(server.dir .. "/tls/tls.crt"))
      .fingerprint)
    process.write(server.dir .. "/server.lua", text)
    local result = agent:once "--try"
    assert.equal(0, result.code, result.err)
    assert.equal(agent:cert().fingerprint, shown().fingerprint)
    assert.is_true(agent:cert().fingerprint ~= before.fingerprint)
  end)
end)
