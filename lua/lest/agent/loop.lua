--- An agent: its identities, each of which has its next step at some time, and who does these
--- steps. Wall time is looked at again and again, for it may jump; nothing is due by a timer alone.
local apart = require "lest.agent.apart"
local core = require "lest.core"
local fail = require "lest.base.fail"
local heap = require "lest.base.heap"
local identities = require "lest.agent.identity"
local keys = require "lest.agent.keys"
local list = require "lest.base.list"
local network = require "lest.agent.network"
local reports = require "lest.agent.report"
local store = require "lest.agent.store"
local task = require "lest.task"

local M = {}

-- Steps that wait for a server at once.
local LIMIT <const> = 16
-- How long nobody looks at the clock, and at the file that stands for SIGUSR1.
local LOOK_MS <const> = 5000
-- What is under way at SIGTERM has so long. Whatever ends it then: nothing is lost.
local GRACE_MS <const> = 5000

-- After a mistake of ours.
local AGAIN_S <const> = 60

local SIGNALS <const> = { stop = { 2, 15 }, try = { 10 } } -- INT, TERM; USR1

---@class lest.agent.loop
---@field identities table<string, lest.agent.identity>
local Loop = { __name = "lest.agent" }
Loop.__index = Loop

local function wall_clock()
  return core.clock.wall_us() // 1000000
end

--- What agents have of the world, unless they are given another.
---@return lest.agent.world
function M.world()
  return { clock = wall_clock, random = math.random, log = core.log.write }
end

--- The agent of a configuration. Nothing is done yet.
---@param config table of lest.agent.load
---@param world? lest.agent.world
---@return lest.agent.loop
function M.new(config, world)
  local self = setmetatable({ state = config.state, identities = {}, names = {}, running = 0,
    world = world or M.world() }, Loop)
  self.report = reports.new(self, config.textfile)
  for _, name in ipairs(list.sorted_keys(config.identities)) do
    self.names[#self.names + 1] = name
    self.identities[name] = identities.new(name, config.identities[name],
      store.new(config.state .. "/" .. name, keys.keeper(config.identities[name])), self.world)
  end
  return self
end

--- Take the state folder for this process alone.
---@return lest.lock?
---@return lest.error? err codes unavailable: another agent has it; usage: others may write there
function Loop:lock()
  local ok, err = core.folder.ensure(self.state, 448) -- 0700
  -- Who may write there could put anchors into it, or links.
  if ok then ok, err = core.folder.is_own(self.state) end
  if not ok then return nil, err end
  local lock
  lock, err = core.folder.lock(self.state .. "/lock")
  if lock then return lock end
  if err.code ~= "unavailable" then return nil, err end
  return fail("unavailable", ("another agent works in %s"):format(self.state), { cause = err })
end

-- One step, whose mistakes are no other identity's.
local function run_step(self, entry, forced)
  local ok, due, err = xpcall(entry.identity.step, debug.traceback, entry.identity, forced)
  if not ok then
    core.log.write("error", "step failed", { "identity", entry.identity.name, "message", due })
    due = self.world.clock() + AGAIN_S
    err = select(2, fail("internal", "a step failed"))
  end
  entry.due, entry.err = due, err
end

-- What makes a step due before its time, by the word that the step is told: when; nil: not at all.
local HASTE <const> = {
  try = function(identity)
    local memory = identity.memory
    return (memory.retry or memory.deploy and memory.deploy.retry_at) and 0
  end,
  network = function(identity) return identity:network_due() end,
}

local function hasten(entry, word)
  local at = HASTE[word](entry.identity)
  if not at or entry.forced == "try" then return end
  entry.due, entry.forced = math.min(at, entry.due), word
end

-- Start what is due, as far as there is room.
local function start_due(self)
  local due, now = self.due, self.world.clock()
  while due[1] and due[1].due <= now and self.running < LIMIT do
    local entry = heap.pop(due)
    local forced = entry.forced
    self.running, entry.forced = self.running + 1, nil
    self.tasks[entry] = true -- also where it ends at once
    local step = task.start({ quiet = true }, function()
      run_step(self, entry, forced)
      self.running = self.running - 1
      self.tasks[entry], self.changed = nil, true
      if entry.word then hasten(entry, entry.word) end
      entry.word = nil
      heap.push(due, entry)
      self:wake()
    end)
    if self.tasks[entry] then self.tasks[entry] = step end
  end
end

--- Whoever waits looks again.
function Loop:wake()
  local wake = self.waker
  self.waker = nil
  if wake then wake() end
end

local function wait(self, ms)
  task.await(function(callback)
    self.waker = callback
    return core.loop.timer(ms, callback)
  end)
  self.waker = nil
end

-- All steps, and those that are under way once they end.
local function hasten_all(self, word)
  local old, due = self.due, {}
  for _, entry in ipairs(old) do
    hasten(entry, word)
    heap.push(due, entry)
  end
  table.move(due, 1, #due, 1, old)
  for entry in pairs(self.tasks) do entry.word = word end
  self:wake()
end

--- Try now what waits or has failed, as when there is a network at last.
function Loop:try()
  if not self.due then return end
  self.world.log("info", "trying now", {})
  hasten_all(self, "try")
end

-- A network has appeared: whom it was missing to tries.
local function try_network(self, is_fresh)
  local count = 0
  for _, name in ipairs(self.names) do
    if self.identities[name]:hear_of_network(is_fresh) then count = count + 1 end
  end
  if count == 0 and self.running == 0 then return end
  self.world.log("info", "network appeared", { "waiting", count })
  hasten_all(self, "network")
end

-- STATE/try does what SIGUSR1 does, for who may write there and not send a signal.
local function look_for_try(self)
  local path = self.state .. "/try"
  if core.system.exists(path) and core.folder.remove(path) then self:try() end
end

local function fill(self)
  self.due, self.tasks = {}, {}
  for _, name in ipairs(self.names) do
    heap.push(self.due, { due = 0, identity = self.identities[name] })
  end
end

-- How long until the next is due, or the clock is looked at.
local function pause_ms(self)
  if self.running >= LIMIT then return LOOK_MS end
  local first = self.due[1]
  local left = first and (first.due - self.world.clock()) * 1000 or LOOK_MS
  return math.max(20, math.min(LOOK_MS, left))
end

local function watch(self)
  local watches = {}
  local routes, err = network.watch(self.world, function(is_fresh) try_network(self, is_fresh) end)
  if not routes then
    self.world.log("warning", "network not watched", { "message", tostring(err) })
  end
  watches[1] = routes
  for _, number in ipairs(SIGNALS.stop) do
    watches[#watches + 1] = core.loop.signal(number, function()
      self.stopping = true
      self:wake()
    end)
  end
  for _, number in ipairs(SIGNALS.try) do
    watches[#watches + 1] = core.loop.signal(number, function() self:try() end)
  end
  return watches
end

-- What is under way may end; then it is let go of where it waits.
local function drain(self)
  local until_ms = core.clock.monotonic_ms() + GRACE_MS
  while self.running > 0 and core.clock.monotonic_ms() < until_ms do
    wait(self, math.max(1, until_ms - core.clock.monotonic_ms()))
  end
  for _, each in pairs(self.tasks) do
    if each ~= true then each:cancel() end
  end
end

-- Everything once, as far as it is due: side by side, so many at a time.
local function run_once(self, forced)
  local code = 0
  require "lest.all"(self.names, { limit = LIMIT, each = function(name)
    local entry = { identity = self.identities[name] }
    run_step(self, entry, forced)
    local own = self:exit_code(entry.identity, entry.err)
    if code == 0 then code = own end
    return true
  end })
  self.report:write()
  return code
end

--- What `--once` ends with for an identity: 0 where its certificate is good and nothing has failed.
---@param identity lest.agent.identity
---@param err? lest.error of the disk
---@return integer
function Loop:exit_code(identity, err)
  local memory = identity.memory
  if err then return err.exit_code end
  if memory.operator then return 8 end
  if memory.error then return memory.error.exit_code or 1 end
  if memory.pending then return 5 end
  if memory.deploy and memory.deploy.problem then return 1 end
  return identity.life and identity.life.not_after > self.world.clock() and 0 or 5
end

---@class lest.agent.run
---@field once? boolean do what is due, and end
---@field try? boolean with `once`: try now what waits or has failed
---@field renew? boolean with `once`: renew everything now, whatever is due

--- Keep the identities alive until SIGTERM, or with `once` do what is due.
---@param options? lest.agent.run
---@return integer? exit_code
---@return lest.error? err
function Loop:run(options)
  options = options or {}
  local lock, err = self:lock()
  if not lock then return nil, err end
  local _ <close> = lock
  if options.once then
    return run_once(self, options.renew and "renew" or options.try and "try" or nil)
  end
  self.world.apart = apart.new(lock)
  local watches = watch(self)
  fill(self)
  self.world.log("info", "agent started", { "identities", #self.names, "state", self.state })
  self.report:start()
  while not self.stopping do
    look_for_try(self)
    start_due(self)
    self.report:turn(self.changed)
    self.changed = nil
    wait(self, pause_ms(self))
  end
  drain(self)
  self.world.apart = nil
  self.report:stop()
  for _, each in ipairs(watches) do each:close() end
  self.world.log("info", "agent stopped", {})
  return 0
end

return M
