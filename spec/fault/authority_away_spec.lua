-- A server whose authority is away: what needs it is 503 at once, all else goes on, it recovers.
local core = require "lest.core"
local fleet = require "support.fleet"
local process = require "support.process"
local support = require "support.server"
local all = require "lest.all"

describe("while there is no authority", function()
  local server

  before_each(function() server = support.start() end)
  after_each(function() server:stop() end)

  --- End the authority; the next ones cannot start.
  local function take_away()
    process.must { "chmod", "000", server:ledger() }
    process.kill(server:pids("authority")[1], "KILL")
    process.wait_for(function() return server:logged("child ended")[1] end, "the authority's end")
  end

  it("enrollments are 503 with Retry-After, however many, and /cacerts goes on", function()
    local devices = fleet.new(server, 200, "away").devices
    take_away()
    local started = core.clock.monotonic_ms()
    local answers = all(devices, { limit = 100, each = function(device)
      return assert(fleet.post(server, device))
    end })
    for _, answer in ipairs(answers) do
      assert.equal(503, answer.status)
      assert.matches("^%d+$", answer:header "retry-after")
    end
    -- All of them take less time than one whose connection would wait for an authority.
    assert.is_true(core.clock.monotonic_ms() - started < 20000)
    assert.equal(200, (server:curl "/cacerts"))
    process.must { "chmod", "600", server:ledger() }
    process.wait_for(function()
      return assert(fleet.post(server, devices[1])).status == 200
    end, "recovery", 60)
  end)

  it("a worker that starts serves /cacerts", function()
    take_away()
    local before = {}
    for _, pid in ipairs(server:pids "worker") do
      before[pid] = true
      process.kill(pid, "KILL")
    end
    process.wait_for(function()
      for _, pid in ipairs(server:pids "worker") do
        if not before[pid] and server:curl "/cacerts" == 200 then return true end
      end
    end, "a new worker", 30)
  end)
end)
