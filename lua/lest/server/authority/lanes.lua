--- Who waits for slow work, in a lane for each network: lanes are served in turn, so that a network
--- that asks for much waits behind itself.
---
---   local lanes = lanes_module.new { running = 2, waiting = 64, run = run, drop = drop }
---   lanes:add("192.0.2.0/24", job)      --> true; false where there is no place for it
local M = {}

---@class lest.lanes
local Lanes = {}
Lanes.__index = Lanes

--- running, waiting: jobs at once. run(job, done) begins with one and has done() called at its end;
--- drop(job) is told that one which waited has lost its place.
---@param options { running: integer, waiting: integer, run: fun(job: any, done: fun()),
--- drop: fun(job: any) }
---@return lest.lanes
function M.new(options)
  return setmetatable({
    run = options.run, drop = options.drop, running_max = options.running,
    waiting_max = options.waiting, running = 0, waiting = 0, by_key = {}, order = {},
  }, Lanes)
end

-- The first lane's oldest job; the lane goes behind the others while it has more.
local function take(self)
  local lane = table.remove(self.order, 1)
  local job = table.remove(lane, 1)
  self.waiting = self.waiting - 1
  if lane[1] then
    table.insert(self.order, lane)
  else
    self.by_key[lane.key] = nil
  end
  return job
end

local function run_next(self)
  while self.running < self.running_max and self.waiting > 0 do
    local job, is_done = take(self), false
    self.running = self.running + 1
    self.run(job, function()
      if is_done then return end
      is_done = true
      self.running = self.running - 1
      run_next(self)
    end)
  end
end

-- A place for one more of this lane is taken from the longest lane, if that stays the longer one.
local function make_room(self, lane)
  local longest = lane
  for _, each in ipairs(self.order) do
    if #each > #longest then longest = each end
  end
  if #longest <= #lane + 1 then return false end
  self.waiting = self.waiting - 1
  self.drop(table.remove(longest))
  return true
end

--- Run a job when it is its lane's turn; false: there is no place for it.
---@param key string
---@param job any
---@return boolean
function Lanes:add(key, job)
  local lane = self.by_key[key] or { key = key }
  if self.waiting >= self.waiting_max and not make_room(self, lane) then return false end
  if not self.by_key[key] then
    self.by_key[key] = lane
    table.insert(self.order, lane)
  end
  table.insert(lane, job)
  self.waiting = self.waiting + 1
  run_next(self)
  return true
end

return M
