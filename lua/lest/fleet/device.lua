--- A simulated device: an agent's identity (lest.agent.identity), with a place in memory, and the
--- life around it: it is switched on, goes away, loses its power, misbehaves.
local core = require "lest.core"
local identities = require "lest.agent.identity"
local keys = require "lest.agent.keys"
local lest_client = require "lest.client"
local places = require "lest.fleet.place"
local task = require "lest.task"

local M = {}

-- From a power cut to the next start.
local DARK_LEAST_S <const>, DARK_MOST_S <const> = 60, 3600
-- A cut comes so long after a step has begun at most, in real time: most steps take no longer.
local CUT_MOST_S <const> = 0.02

---@class lest.fleet.device
---@field name string
---@field habit table of its group
---@field identity lest.agent.identity
local Device = { __name = "lest.fleet.device" }
Device.__index = Device

---@param name string
---@param options table its identity's
---@param world lest.agent.world
---@param tally lest.fleet.tally
---@return lest.fleet.device
function M.new(name, options, world, tally)
  local self = setmetatable({ name = name, options = options, world = world, tally = tally,
    place = places.new(keys.keeper(options)), habit = {} }, Device)
  self.identity = identities.new(name, options, self.place, world)
  return self
end

--- Plan when it is away: every so often for so long, from some time in the first round on.
---@param now integer
function Device:plan_absence(now)
  local habit = self.habit
  if not habit.away then return end
  self.leaves = now + math.floor(self.world.random() * habit.every)
end

-- Whether it is away, and until when.
local function absence(self, now)
  local habit = self.habit
  while self.leaves and now >= self.leaves + habit.away do
    self.leaves = self.leaves + habit.every
  end
  if self.leaves and now >= self.leaves then
    if self.told ~= self.leaves then
      self.tally:span("away", self.leaves, self.leaves + habit.away)
      self.told = self.leaves
    end
    return self.leaves + habit.away
  end
end

-- What came of a step.
local function note(self, before, now)
  local tally, memory, life = self.tally, self.identity.memory, self.identity.life
  if life and (not before or before.fingerprint ~= life.fingerprint) then
    local late = before and before.not_after < now
    tally:count(not before and "first" or not late and "renewed"
      or memory.way == "bootstrap" and "by_bootstrap" or "by_expired", now)
    if not before then tally:span("enrolled", now) end
    if late then
      tally:span("expired", before.not_after, now)
      self.was_expired = true
    end
  elseif memory.pending then
    tally:count("pending", now)
  elseif memory.error and memory.error.at >= now - 1 then
    tally:count("failed", now)
    tally:failed_with(memory.error.code)
  end
end

-- The step, and the end of all that was not safe, at some moment of it.
local function step_without_power(self, forced)
  local identity = self.identity
  local running = task.start({ quiet = true }, function() identity:step(forced) end)
  task.sleep(self.world.random() * CUT_MOST_S)
  running:cancel()
  self.identity = identities.new(self.name, self.options, self.place, self.world)
  self.identity:open()
  local now = self.world.clock()
  self.tally:count("power_cuts", now)
  return now + DARK_LEAST_S
    + math.floor(self.world.random() * (DARK_MOST_S - DARK_LEAST_S))
end

--- Do what is due.
---@param forced? "renew"
---@return integer at when it is due again
function Device:step(forced)
  local now = self.world.clock()
  local back = absence(self, now)
  if back then return back end
  local before = self.identity.life
  local what = before and select(2, self.identity:plan(now))
  local started_us = core.clock.monotonic_us()
  local due
  if self.habit.power and self.world.random() < self.habit.power then
    due = step_without_power(self, forced)
  else
    due = self.identity:step(forced)
    local took = core.clock.monotonic_us() - started_us
    if not self.identity.memory.error then self.tally:took(took) end
  end
  if what == "anchors" and not self.identity.memory.error then self.tally:count("anchors", now) end
  note(self, before, now)
  return due
end

-- A CSR whose signature is not its key's.
local function broken_csr(name)
  local key = assert(core.key.generate "ec:P-256")
  local csr = assert(core.csr.build { key = key, subject = { { "CN", name } } })
  local der = csr:der()
  return assert(core.csr.parse(der:sub(1, -2) .. string.char(der:byte(-1) ~ 1)))
end

local function client_of(self, password)
  local each = self.options
  return lest_client { url = each.url, label = each.label, trust = each.trust,
    username = each.username, password = password, notify = function() end }
end

local function misbehave(self)
  local habit = self.habit
  local client <close> = client_of(self, habit.wrong_secret and "wrong" or self.options.password)
  if habit.broken_csr then return client:enroll(broken_csr(self.name)) end
  return client:enroll { key = assert(core.key.generate "ec:P-256"),
    subject = self.options.subject }
end

--- What a device does that is ill: it renews all the time, guesses secrets, sends nonsense.
---@return integer at when it does so again
function Device:misbehave()
  local now, habit = self.world.clock(), self.habit
  local every = habit.hammer or habit.wrong_secret or habit.broken_csr
  if habit.hammer and self.identity.life then
    self:step "renew"
  elseif not habit.hammer then
    local got, err = misbehave(self)
    if got then error(self.name .. ": what it sent should have been refused") end
    self.tally:count("refused", now)
    self.tally:failed_with("refused: " .. err.code)
  end
  return now + every
end

---@alias lest.fleet.state "valid"|"away"|"expired"|"never"

--- How it stands.
---@param now integer
---@return lest.fleet.state
function Device:state(now)
  local life = self.identity.life
  if life and life.not_after > now then return "valid" end
  if absence(self, now) then return "away" end
  return life and "expired" or "never"
end

return M
