--- Work in a process of its own, which ends with it. What a request leaves behind (libcurl with its
--- thirty libraries, sessions, pieces of the heap) is given back, and what breaks there breaks
--- nothing here. All that the work is for is on the disk then; of what it returns only whether it
--- has succeeded comes back.
---
---   local apart = apart_module.new(lock)       -- of the state folder: both hold it
---   local ok, err = apart(function() return obtain(identity, now) end)
local core = require "lest.core"
local fail = require "lest.base.fail"
local json = require "lest.json"
local task = require "lest.task"

local M = {}

-- No request takes so long: each has a timeout.
local LATE_MS <const> = 3600 * 1000
local OUTPUT_MAX <const> = 65536

-- In the new process, whose loop has nothing else to do.
local function run(work)
  math.randomseed(core.clock.wall_us(), core.process.pid)
  local running = task.start({ quiet = true }, work)
  while not running.done and core.loop.turn() do end -- luacheck: ignore 542
  local ok, err = running:wait()
  return json.encode { ok = ok and true or nil, code = err and err.code,
    message = err and tostring(err), exit_code = err and err.exit_code }
end

local function result_of(ended)
  local result = ended.code == 0 and json.decode(ended.output)
  if not result then
    return false, select(2, fail("internal", ended.late and "an attempt took longer than an hour"
      or ("the process of an attempt has ended with %s"):format(ended.signal
        and "signal " .. ended.signal or ended.code or "too much to say")))
  elseif result.ok then
    return true
  end
  return nil, core.error.new(result)
end

--- Where work is done: nil without the lest binary, since a stock lua5.4 cannot fork.
---@param lock lest.lock
---@return (fun(work: fun(): true?, lest.error?): boolean?, lest.error?)|nil apart its result is
--- that of the work; false, where the process has died and nobody knows how far it was
function M.new(lock)
  if not core.process then return nil end
  return function(work)
    local ended = task.await(function(callback)
      local program = core.process.program(function() return run(work) end, { input = "",
        timeout_ms = LATE_MS, max = OUTPUT_MAX, keep = lock, callback = callback })
      if not program then callback(nil) end
      return program
    end)
    -- Where there is no room for another process, there is for this.
    if not ended then return work() end
    return result_of(ended)
  end
end

return M
