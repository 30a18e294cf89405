-- Killed processes: of 200 enrollments under way none that was answered is lost, and no secret is
-- used twice.
local fleet = require "support.fleet"
local process = require "support.process"
local support = require "support.server"

local COUNT <const> = 200

-- As the one that `lest ca init` writes, but it takes a while, so that there is always something
-- under way.
local POLICY <const> = [[
local lest, policy = require "lest", require "lest.policy"
return { enroll = function(request)
  lest.sleep(0.1)
  return policy.approve { subject = { { "CN", request.principal.name } } }
end }
]]

describe("in the middle of 200 enrollments", function()
  local server

  before_each(function()
    server = support.start { policy = POLICY, config = function(text)
      return (text:gsub("labels = {", "workers = 2, drain = \"60s\",\n  labels = {", 1))
    end }
  end)
  after_each(function() server:stop() end)

  --- Kill the processes of a role `times` over, spread over the enrollments.
  local function kill(devices, running, role, times)
    local killed = {}
    for round = 1, times do
      devices:wait_answers(round * COUNT // (times + 2))
      local pids = process.wait_for(function()
        local found = server:pids(role)
        return #found > 0 and found
      end, "a " .. role, 30)
      process.kill(pids[1], "KILL")
      table.insert(killed, pids[1])
    end
    running:wait()
    return killed
  end

  local function expect_back(role, count, killed)
    process.wait_for(function()
      local pids = server:pids(role)
      for _, pid in ipairs(pids) do
        for _, old in ipairs(killed) do assert.not_equal(old, pid) end
      end
      return #pids == count
    end, "the " .. role .. "s", 30)
    for _, line in ipairs(server:logged "child ended") do assert.equal(9, line.signal) end
  end

  it("a killed worker loses nothing that was answered, and comes back", function()
    local devices = fleet.new(server, COUNT)
    local killed = kill(devices, devices:start(), "worker", 4)
    devices:check()
    expect_back("worker", 2, killed)
  end)

  it("a killed authority loses nothing that was answered, and comes back", function()
    local devices = fleet.new(server, COUNT)
    local killed = kill(devices, devices:start(), "authority", 3)
    devices:check()
    expect_back("authority", 1, killed)
    assert.is_true(devices.retries > 0)
  end)

  it("everything killed at once comes back, and the ledger is sound", function()
    local devices = fleet.new(server, COUNT)
    local running = devices:start()
    devices:wait_answers(COUNT // 4)
    for _, role in ipairs { "authority", "worker" } do
      for _, pid in ipairs(server:pids(role)) do process.kill(pid, "KILL") end
    end
    running:wait()
    devices:check()
    assert.equal("ok", server:sql "PRAGMA integrity_check")
  end)

  it("a killed supervisor loses nothing that was answered, and the next one goes on", function()
    local devices = fleet.new(server, COUNT)
    local running = devices:start()
    devices:wait_answers(COUNT // 4)
    local children = { server.pid, table.unpack(server:pids "worker") }
    table.move(server:pids "authority", 1, 1, #children + 1, children)
    assert.equal(4, #children)
    process.kill(server.pid, "KILL")
    process.wait_for(function()
      for _, pid in ipairs(children) do
        if process.alive(pid) then return false end
      end
      return true
    end, "the end of its children", 30)
    assert.is_true(devices.answers < COUNT)
    server:run()
    running:wait()
    devices:check()
    assert.is_true(devices.retries > 0)
    assert.equal("ok", server:sql "PRAGMA integrity_check")
  end)

  it("a reload drops no request, and uses no secret twice", function()
    local devices = fleet.new(server, COUNT)
    local running = devices:start()
    for round = 1, 3 do
      devices:wait_answers(round * COUNT // 5)
      process.kill(server.pid, "HUP")
    end
    running:wait()
    devices:check()
    assert.equal(0, devices.retries, tostring(devices.last_error))
    process.wait_for(function() return #server:logged "ready" >= 2 end, "the new generation", 30)
    for _, line in ipairs(server:logged "request") do assert.equal(200, line.status) end
    for _, line in ipairs(server:logged "child ended") do assert.equal(0, line.status) end
  end)
end)
