--- Simulated time: devices that are due at some moment, and events, in their order. The clock is
--- set to the next moment at which something is to be done (it is an injected clock, which the
--- server follows); that is done, in real time, and the clock is set again.
local all = require "lest.all"
local core = require "lest.core"
local heap = require "lest.base.heap"
local task = require "lest.task"

local M = {}

local DAY <const> = 86400
-- A server looks at its clock now and then when nobody asks it: a day lasts so long at least.
local DAY_MS <const> = 10
-- Moments that are nearer to each other than a step are one: a part of the whole time, in bounds.
local PARTS <const>, LEAST_S <const>, MOST_S <const> = 8000, 60, 7200

---@class lest.fleet.engine
---@field from integer
---@field over integer when it ends
local Engine = { __name = "lest.fleet.engine" }
Engine.__index = Engine

--- Seconds since 1970, by the fleet's clock.
---@return integer
function M.now()
  return core.clock.wall_us() // 1000000
end

---@param options { duration: integer, concurrency: integer, step?: integer }
---@return lest.fleet.engine
function M.new(options)
  local from = M.now()
  return setmetatable({ from = from, over = from + options.duration, due = {}, events = {},
    concurrency = options.concurrency, owed_ms = 0,
    step = options.step or math.max(LEAST_S, math.min(options.duration // PARTS, MOST_S)) },
    Engine)
end

--- Have a function called at a time, or a little later; it returns when to call it again, or nil.
---@param at integer
---@param call fun(): integer?
function Engine:add(at, call)
  heap.push(self.due, { due = at, call = call })
end

--- Have a function called at a time while nothing else is under way.
---@param at integer
---@param call fun()
function Engine:add_event(at, call)
  heap.push(self.events, { due = at, call = call })
end

local function first_due(list)
  return list[1] and list[1].due or math.huge
end

-- Set the clock forward. The server is given the time to see it, as far as the work has not taken
-- as long.
local function go(self, target)
  local now = M.now()
  if target <= now then return end
  local work_ms = (core.clock.monotonic_us() - self.set_us) / 1000
  self.owed_ms = math.max(0, self.owed_ms - work_ms) + (target - now) * DAY_MS / DAY
  core.process.set_clock(target * 1000000)
  self.set_us = core.clock.monotonic_us()
  if self.owed_ms >= 1 then task.sleep(self.owed_ms / 1000) end
end

local function run_due(self)
  local now, batch = M.now(), {}
  while first_due(self.due) <= now do batch[#batch + 1] = heap.pop(self.due) end
  if not batch[1] then return end
  all(batch, { limit = self.concurrency, each = function(entry)
    local due = entry.call()
    if due then
      entry.due = math.max(due, M.now() + 1)
      heap.push(self.due, entry)
    end
    return true
  end })
end

--- Go through all of it.
---@param tell? fun(share: number) is called now and then with how far it is
function Engine:run(tell)
  self.set_us = core.clock.monotonic_us()
  while M.now() < self.over do
    local target = math.min(first_due(self.due) + self.step, first_due(self.events),
      M.now() + DAY, self.over)
    go(self, target)
    if first_due(self.events) <= M.now() then
      heap.pop(self.events).call()
    else
      run_due(self)
    end
    if tell then tell((M.now() - self.from) / (self.over - self.from)) end
  end
end

return M
