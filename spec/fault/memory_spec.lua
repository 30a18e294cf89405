-- The memory of a role: given back after a storm, and what happens where there is none.
local host = require "support.host"
local process = require "support.process"

describe("the memory of a role", function()
  it("is given back when what needed it is over", function()
    local server = host.start {}
    finally(function() server:stop() end)
    local pid = server:role_pid("worker", 1)
    local function resident() return tonumber(host.status(pid, "VmRSS"):match "^%d+") // 1024 end
    local before = resident()
    assert.equal("true", server:ask("worker", 1, [[
      storm = {}
      for i = 1, 100000 do storm[i] = ("x"):rep(500) .. i end
      stays = ("x"):rep(1000) -- at the end of the heap, behind all that
      return true]]))
    assert.is_true(resident() > before + 40)
    server:ask("worker", 1, "storm = nil; collectgarbage(); return true")
    server:wait("less memory", function() return resident() < before + 20 end)
    assert.equal(pid, server:role_pid("worker", 1))
    assert.is_true(process.alive(pid))
  end)
end)
