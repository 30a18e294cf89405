-- The memory of a role: given back after a storm, and what happens where there is none.
local host = require "support.host"
local process = require "support.process"
local support = require "support.server"

-- An allocator of a sanitizer keeps what is free, and aborts where there is nothing.
local IS_SANITIZED <const> = LEST_PREFIX:find "asan" ~= nil

describe("the memory of a role", function()
  it("is given back when what needed it is over", function()
    if IS_SANITIZED then return pending "needs a build without sanitizers" end
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

  describe("when there is no more", function()
    local server

    setup(function()
      server = support.start {
        config = function(text)
          return (text:gsub("return {",
            'return { workers = 1, limits = { decision_memory = "1024MiB" },', 1))
        end,
        policy = [[
          local policy = require "lest.policy"
          return { enroll = function(request)
            local name = request.principal.name
            local text = name == "hungry" and ("x"):rep(400 * 1024 * 1024) or ""
            return policy.approve { subject = { { "CN", name } }, detail = text:sub(1, 1) }
          end }]],
      }
    end)
    teardown(function() server:stop() end)

    --- Let a process have no more than this besides what it has.
    local function starve(pid, mebibytes)
      local size = tonumber(host.status(pid, "VmSize"):match "^%d+") * 1024
      host.limit(pid, ("--as=%d"):format(size + mebibytes * 1024 * 1024))
    end

    it("answers 503, and another worker takes its place", function()
      if IS_SANITIZED or not host.is_root then return pending "needs root and no sanitizer" end
      local worker = server:pids("worker")[1]
      starve(worker, 100)
      local secret = server:credential "hungry"
      local status = server:post("/simpleenroll", server:csr "hungry", "--user",
        "hungry:" .. secret)
      assert.equal(503, status)
      process.wait_for(function() return not process.alive(worker) end, "its end")
      assert.equal(1, #server:logged "out of memory")
      assert.equal("error", server:sql
        "SELECT verdict FROM requests WHERE principal_name = 'hungry'")
      process.wait_for(function() return server:curl "/cacerts" == 200 end, "another worker")
      server:enroll "frugal"
    end)
  end)
end)
