-- Clients that leave, or stay and do not read, once their request has been understood: what they
-- held comes back, and the ledger says what became of them.
local core = require "lest.core"
local fleet = require "support.fleet"
local process = require "support.process"
local raw_client = require "support.raw_client"
local support = require "support.server"

local POLICY <const> = [[
local lest, policy = require "lest", require "lest.policy"
return { enroll = function(request)
  local name = request.principal.name
  lest.log.info("thinking", { id = request.id, name = name })
  lest.sleep(tonumber(name:match "^slow%-(%d+)" or 0) / 1000)
  return policy.approve { subject = { { "CN", name } } }
end }
]]

-- So few that a request that is not given back would be missed at once.
local REQUESTS <const> = 3

describe("a client that", function()
  local server, client, idle

  --- Sockets of all workers.
  local function sockets()
    local count = 0
    for _, pid in ipairs(server:pids "worker") do
      local _, out = process.run(("cd /proc/%d/fd && for f in *; do readlink $f; done"):format(pid))
      count = count + select(2, out:gsub("socket:", ""))
    end
    return count
  end

  setup(function()
    server = support.start { policy = POLICY, config = function(text)
      return (text:gsub("labels = {", ([[workers = 1,
  limits = { requests = %d, write = "2s", requests_per_connection = 1000000 },
  labels = {]]):format(REQUESTS), 1))
    end }
    client = raw_client.new()
    idle = sockets()
  end)
  teardown(function()
    client:close()
    server:stop()
  end)
  after_each(function()
    server.http = nil
    process.wait_for(function() return sockets() <= idle end, "the connections' end", 30)
    assert.same({}, server:logged "child ended")
    assert.same({}, server:logged "request failed")
  end)

  local function request(device)
    return ("POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: localhost\r\n"
      .. "Content-Type: application/pkcs10\r\nAuthorization: Basic %s\r\n"
      .. "Content-Length: %d\r\n\r\n%s"):format(
      core.base64.encode(device.name .. ":" .. device.secret), #device.body, device.body)
  end

  local function thinking(name)
    return process.wait_for(function()
      for _, line in ipairs(server:logged "thinking") do
        if line.name == name then return line end
      end
    end, "the policy", 30)
  end

  local function certificates(name)
    return tonumber(server:sql("SELECT count(*) FROM certificates WHERE principal_name = '" .. name
      .. "'"))
  end

  local function logged_for(id)
    for _, line in ipairs(server:logged "request") do
      if line.id == id then return line end
    end
  end

  for _, how in ipairs { "close", "reset", "drop" } do
    it("leaves (" .. how .. ") while the policy waits ends its request, and its secret is unused",
      function()
      local devices = fleet.new(server, REQUESTS + 2, "slow-20000-" .. how).devices
      for _, device in ipairs(devices) do
        local connection = assert(client:connect { port = server.port })
        assert(connection:send(request(device)))
        local line = thinking(device.name)
        connection[how](connection)
        local entry = process.wait_for(function() return logged_for(line.id) end, "the end", 10)
        assert.equal("the client left", entry.reason)
      end
      for _, device in ipairs(devices) do
        assert.equal(0, certificates(device.name))
        assert.equal("unused", server:sql("SELECT state FROM credentials WHERE name = '"
          .. device.name .. "'"))
      end
      server:enroll("after-" .. how)
    end)

    it("leaves (" .. how .. ") before it reads the answer gets the same certificate again",
      function()
      local devices = fleet.new(server, REQUESTS + 2, "slow-100-" .. how)
      for _, device in ipairs(devices.devices) do
        local connection = assert(client:connect { port = server.port })
        assert(connection:send(request(device)))
        process.wait_for(function() return certificates(device.name) == 1 end, "its issue", 30)
        connection[how](connection)
      end
      devices:start():wait()
      devices:check()
    end)
  end

  it("sends its body slowly takes no place from others", function()
    local connections = {}
    local device = fleet.new(server, 1, "half").devices[1]
    for i = 1, REQUESTS + 2 do
      connections[i] = assert(client:connect { port = server.port })
      assert(connections[i]:send(request(device):sub(1, -20)))
    end
    server:enroll "quick"
    for _, connection in ipairs(connections) do connection:close() end
    assert.equal(0, certificates(device.name))
  end)

  it("never reads is cut off, and others are served meanwhile", function()
    local get = "GET /.well-known/est/cacerts HTTP/1.1\r\nHost: localhost\r\n\r\n"
    local connections = {}
    -- More than one, so that they would take every request that may be under way.
    for i = 1, REQUESTS + 2 do
      connections[i] = assert(client:connect { port = server.port, rcvbuf = 2048 })
      -- Until nothing more is taken: the answers fill every buffer on the way.
      local taken, how
      repeat taken, how = connections[i]:send(get:rep(40000), 300) until not taken
      assert.is_true(how == "timeout" or how == "reset", how)
    end
    server:enroll "reader"
    process.wait_for(function() return sockets() <= idle end, "the end of who does not read", 60)
    for _, connection in ipairs(connections) do connection:close() end
  end)
end)
