--- A fleet over simulated years: its devices, its server, and what happens to both.
local core = require "lest.core"
local devices = require "lest.fleet.device"
local duration = require "lest.duration"
local engines = require "lest.fleet.engine"
local servers = require "lest.fleet.server"
local tallies = require "lest.fleet.tally"

local M = {}

-- Chance has so many steps from 0 to 1.
local SHARES <const> = 1 << 31

---@class lest.fleet.simulation
---@field tally lest.fleet.tally
---@field devices lest.fleet.device[]
---@field server lest.fleet.server
local Simulation = { __name = "lest.fleet.simulation" }
Simulation.__index = Simulation

-- The log of thousands of devices is nothing that anybody reads; what is counted is told later.
local function silent() end

local function random()
  return math.random(0, SHARES - 1) / SHARES
end

local function options_of(fleet, name, secret, url, trust)
  local options = {}
  for key, value in pairs(fleet.identity) do options[key] = value end
  options.url, options.trust, options.subject = url, trust, "CN=" .. name
  options.username, options.password, options.password_file = name, secret, nil
  return options
end

--- Names of the devices of a fleet.
---@param fleet table
---@return string[]
function M.names(fleet)
  local names, digits = {}, #tostring(fleet.devices)
  for i = 1, fleet.devices do
    names[i] = ("%s%0" .. digits .. "d"):format(fleet.name, i)
  end
  return names
end

-- Devices are told their group by chance: which ones are in it is no matter of their number.
local function give_habits(fleet, list)
  local order = table.move(list, 1, #list, 1, {})
  for i = #order, 2, -1 do
    local j = math.random(i)
    order[i], order[j] = order[j], order[i]
  end
  local given = 0
  for _, group in ipairs(fleet.groups) do
    local count = math.floor(group.share * #list + 0.5)
    for i = given + 1, math.min(given + count, #order) do order[i].habit = group end
    given = given + count
  end
end

--- The devices of a fleet, which ask a server.
---@param fleet table
---@param how { url: string, trust: string, secrets: table, tally: lest.fleet.tally }
---@return lest.fleet.device[]
function M.devices(fleet, how)
  local world = { clock = engines.now, random = random, log = silent }
  local list = {}
  for i, name in ipairs(M.names(fleet)) do
    list[i] = devices.new(name, options_of(fleet, name, how.secrets[name], how.url, how.trust),
      world, how.tally)
  end
  return list
end

local function add_devices(self, engine)
  for i, device in ipairs(self.devices) do
    local at = engine.from + math.floor((i - 1) * self.fleet.arrival / #self.devices)
    device:plan_absence(at)
    engine:add(at, function() return device:step() end)
    local habit = device.habit
    if habit.hammer or habit.wrong_secret or habit.broken_csr then
      engine:add(at + 1, function() return device:misbehave() end)
    end
  end
end

-- What keeps an event from happening ends the simulation: its figures would be another story's.
local function run_event(self, event)
  local words, folders = {}, { folder = self.fleet.folder, server = self.server.folder }
  for i, word in ipairs(event.run) do words[i] = word:gsub("{(%l+)}", folders) end
  if words[1] == "lest" then words = self.server:command(table.move(words, 2, #words, 1, {})) end
  local output, err = servers.run(words)
  if not output then error(err, 0) end
end

local function restart(self)
  local ok, err = self.server:start()
  if not ok then error(err, 0) end
end

local function name_of(event)
  if event.name then return event.name end
  if event.outage then return "outage, " .. duration.format(event.outage) end
  return table.concat(event.run, " ", 1, math.min(3, #event.run))
end

local function add_events(self, engine)
  for _, event in ipairs(self.fleet.events) do
    local at = engine.from + event.at
    local mark = { at = at, to = event.outage and at + event.outage, name = name_of(event) }
    table.insert(self.tally.marks, mark)
    if event.outage then
      engine:add_event(at, function() self.server:stop() end)
      engine:add_event(mark.to, function() restart(self) end)
    else
      engine:add_event(at, function() run_event(self, event) end)
    end
  end
end

-- Those who are expired at the end were not counted yet.
local function close(self)
  local states = { valid = 0, away = 0, expired = 0, never = 0 }
  for _, device in ipairs(self.devices) do
    local state = device:state(self.tally.to)
    states[state] = states[state] + 1
    local life = device.identity.life
    if life and life.not_after <= self.tally.to then
      self.tally:span("expired", life.not_after)
    end
  end
  self.states = states
end

--- Begin: a clock, the server, its devices.
---@param fleet table of lest.fleet.load
---@return lest.fleet.simulation?
---@return lest.error? err
function M.new(fleet)
  math.randomseed(fleet.seed)
  local ok, err = core.folder.ensure(fleet.out, 493) -- 0755
  if not ok then return nil, err end
  local clock, log, server = fleet.out .. "/clock", fleet.out .. "/server.log", fleet.server
  os.remove(clock)
  os.remove(log)
  ok, err = core.process.make_clock(clock, core.clock.wall_us())
  if ok and not server then server, err = servers.make(fleet.out, clock) end
  if not server then return nil, err end
  local now = engines.now()
  return setmetatable({ fleet = fleet, tally = tallies.new(now, now + fleet.duration),
    server = servers.new(server, { clock = clock, log = log, start = fleet.start }) }, Simulation)
end

local function run(self, tell)
  local fleet, server = self.fleet, self.server
  local ok, err = server:start()
  if not ok then return nil, err end
  local secrets
  secrets, err = server:credentials(M.names(fleet))
  if not secrets then return nil, err end
  self.devices = M.devices(fleet, { url = server.url, secrets = secrets, tally = self.tally,
    trust = fleet.trust or server.folder .. "/ca.pem" })
  give_habits(fleet, self.devices)
  local engine = engines.new(fleet)
  self.tally.from, self.tally.to = engine.from, engine.over
  add_devices(self, engine)
  add_events(self, engine)
  engine:run(tell)
  self.cpu_s = server:cpu()
  close(self)
  return true
end

--- Go through all of it.
---@param tell? fun(share: number)
---@return true?
---@return lest.error? err
function Simulation:run(tell)
  local began_us = core.clock.monotonic_us()
  local ok, done, err = xpcall(run, function(problem)
    return core.error.is(problem) and problem or debug.traceback(problem, 2)
  end, self, tell)
  self.server:stop()
  if not ok and core.error.is(done) then return nil, done end
  if not ok then error(done, 0) end
  if not done then return nil, err end
  self.took_s = (core.clock.monotonic_us() - began_us) / 1000000
  return true
end

--- How many devices have no certificate at the end that could have had one: they are not away.
---@return integer
function Simulation:lost()
  return self.states.expired + self.states.never
end

return M
