-- Reloads, the end, and the watchdog, with requests under way in a real server.
local fleet = require "support.fleet"
local process = require "support.process"
local raw_client = require "support.raw_client"
local support = require "support.server"
local all = require "lest.all"
local task = require "lest.task"

-- Names say how long to think, and one of them thinks for ever where no hook reaches.
local POLICY <const> = [[
local lest, policy = require "lest", require "lest.policy"
return { enroll = function(request)
  local name = request.principal.name
  lest.log.info("thinking", { id = request.id })
  if name:find "^stuck" then
    return ("a"):rep(253):find("a*a*a*a*b")
  end
  lest.sleep(tonumber(name:match "^slow%-(%d+)" or 0) / 1000)
  return policy.approve { subject = { { "CN", name } } }
end }
]]

describe("a server with requests under way", function()
  local server

  before_each(function()
    server = support.start { policy = POLICY, config = function(text)
      return (text:gsub("labels = {",
        'workers = 2, watchdog = "2s", drain = "60s",\n  labels = {', 1))
    end }
  end)
  after_each(function() server:stop() end)

  local function sorted(role)
    local pids = server:pids(role)
    table.sort(pids)
    return pids
  end

  --- Wait until the policy is being asked about all of them.
  local function wait_thinking(devices)
    process.wait_for(function() return #server:logged "thinking" == #devices.devices end,
      "requests", 30)
  end

  it("says once what keeps all workers from starting", function()
    process.write(server.dir .. "/policy.lua", "return {")
    process.kill(server.pid, "HUP")
    process.wait_for(function() return server:logged("reload failed")[1] end, "the end of it", 30)
    assert.equal(1, #server:logged "cannot start")
    assert.equal(2, #server:pids "worker")
  end)

  it("answers them before it ends on SIGTERM, with exit code 0", function()
    local devices = fleet.new(server, 20, "slow-2000-")
    local running = devices:start(20)
    wait_thinking(devices)
    process.kill(server.pid, "TERM")
    running:wait()
    assert.equal(0, server:exit_code())
    assert.equal(0, devices.retries)
    devices:check()
    for _, line in ipairs(server:logged "child ended") do assert.equal(0, line.status) end
    -- Nobody listens any more.
    local answer, err = fleet.post(server, devices.devices[1])
    assert.is_nil(answer)
    assert.equal("network", err.code)
  end)

  it("answers what comes just then on an idle connection, and closes that", function()
    local client <close> = raw_client.new()
    local idle = assert(client:connect { port = server.port })
    local get = raw_client.http("GET", "/cacerts")
    assert(idle:send(get))
    assert.equal(200, idle:response().status)
    process.kill(server.pid, "HUP")
    process.wait_for(function() return #server:logged "ready" == 2 end, "a generation", 30)
    assert(idle:send(get))
    local response = assert(idle:response())
    assert.equal(200, response.status)
    assert.equal("close", response.headers.connection)
  end)

  it("answers them from the old generation after SIGHUP, and new ones from the new", function()
    local slow = fleet.new(server, 10, "slow-3000-")
    local workers, authority = sorted "worker", sorted "authority"
    local running = slow:start(10)
    wait_thinking(slow)
    process.write(server.dir .. "/policy.lua", [[
      local policy = require "lest.policy"
      return { enroll = function() return policy.reject "the new policy" end }]])
    process.kill(server.pid, "HUP")
    process.wait_for(function() return #server:logged "ready" == 2 end, "a generation", 30)
    local answer = assert(fleet.post(server, fleet.new(server, 1, "later").devices[1]))
    assert.equal(403, answer.status)
    assert.equal("the new policy\n", answer.body)
    running:wait()
    assert.equal(0, slow.retries)
    slow:check()
    process.wait_for(function()
      for _, pid in ipairs { workers[1], workers[2], authority[1] } do
        if process.alive(pid) then return false end
      end
      return true
    end, "the old generation's end", 30)
    for _, line in ipairs(server:logged "child ended") do assert.equal(0, line.status) end
  end)

  it("uses no secret twice with two authorities at once", function()
    -- Each secret is tried with two keys, at the old generation and at the new one.
    local one = fleet.new(server, 15, "slow-2500-")
    local two = setmetatable({ server = server, devices = {} }, getmetatable(one))
    for i, device in ipairs(one.devices) do
      two.devices[i] = fleet.device(device.name)
      two.devices[i].secret = device.secret
    end
    local tally = {}
    local function enroll_all(devices)
      return task.start({ quiet = true }, function()
        all(devices, { limit = #devices, each = function(device)
          local answer = assert(fleet.post(server, device))
          tally[device.name] = (tally[device.name] or "") .. answer.status .. " "
        end })
      end)
    end
    local first = enroll_all(one.devices)
    wait_thinking(one)
    process.kill(server.pid, "HUP")
    process.wait_for(function() return #server:logged "ready" == 2 end, "a generation", 30)
    server.http = nil -- new connections, to the new generation
    local second = enroll_all(two.devices)
    first:wait()
    second:wait()
    for _, device in ipairs(one.devices) do
      local answers = tally[device.name]
      assert.is_true(answers == "200 401 " or answers == "401 200 ", answers)
      assert.equal("1", server:sql("SELECT count(*) FROM certificates WHERE principal_name = '"
        .. device.name .. "'"))
    end
  end)

  it("stays as it is after SIGHUP with a broken configuration", function()
    local workers, authority = sorted "worker", sorted "authority"
    local good = process.read(server.dir .. "/server.lua")
    local policy = process.read(server.dir .. "/policy.lua")
    local slow = fleet.new(server, 5, "slow-2000-")
    local running = slow:start(5)
    local failures = 0
    local function reload()
      process.kill(server.pid, "HUP")
      failures = failures + 1
      process.wait_for(function() return #server:logged "reload failed" == failures end,
        "the failure", 30)
      assert.same(workers, sorted "worker")
      assert.same(authority, sorted "authority")
    end
    for _, broken in ipairs { "return {", "return { listen = 5 }", "error 'x'",
      (good:gsub("profile = \"device\"", "profile = \"devise\"")),
      (good:gsub("ca%.key", "absent.key")), (good:gsub("policy%.lua", "absent.lua")),
      (good:gsub("server%.pem", "ca.pem")) } do
      assert.not_equal(good, broken)
      process.write(server.dir .. "/server.lua", broken)
      reload()
    end
    process.write(server.dir .. "/server.lua", good)
    process.write(server.dir .. "/policy.lua", "return {")
    reload()
    running:wait()
    slow:check()
    assert.equal(0, slow.retries)
    server:enroll "still"
    process.write(server.dir .. "/policy.lua", policy)
    process.kill(server.pid, "HUP")
    process.wait_for(function() return #server:logged "ready" == 2 end, "a generation", 30)
  end)

  it("replaces a worker whose policy is stuck, names the request, and others go on", function()
    local stuck = fleet.new(server, 1, "stuck").devices[1]
    local before = sorted "worker"
    local lost
    task.start({ quiet = true }, function() lost = table.pack(fleet.post(server, stuck)) end)
    local thinking = process.wait_for(function() return server:logged("thinking")[1] end,
      "the policy", 30)
    server.http = nil
    -- The listening socket is shared: the other worker takes what comes.
    local others = fleet.new(server, 30, "slow-10-")
    others:start(5):wait()
    others:check()
    local line = process.wait_for(function() return server:logged("child stuck")[1] end,
      "the watchdog", 30)
    assert.equal(thinking.id, line.request)
    assert.equal(thinking.role, line.child)
    process.wait_for(function() return lost and #server:pids "worker" == 2 end, "a worker", 30)
    assert.is_nil(lost[1])
    local after = sorted "worker"
    local kept = 0
    for _, pid in ipairs(after) do
      for _, old in ipairs(before) do if pid == old then kept = kept + 1 end end
    end
    assert.equal(1, kept)
    assert.equal("0", server:sql
      "SELECT count(*) FROM certificates WHERE principal_name LIKE 'stuck%'")
    assert.equal("unused", server:sql "SELECT state FROM credentials WHERE name LIKE 'stuck%'")
  end)
end)
