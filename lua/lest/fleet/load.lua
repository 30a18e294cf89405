--- FLEET.lua: a Lua file that returns a table, checked against a closed schema.
---
---   local fleet, err = load.file "fleet.lua"
local agent_load = require "lest.agent.load"
local configuration = require "lest.base.configuration"
local core = require "lest.core"
local fail = require "lest.base.fail"
local schema = require "lest.base.schema"
local shape = require "lest.fleet.shape"

local M = {}

local FILE_MAX <const> = 1024 * 1024
-- A template is checked as the identity of a device that is not there.
local TEMPLATE <const> = "template"
local PLACE_OF <const> = "identities." .. TEMPLATE .. "."

-- What each device has of its own.
local OWN <const> = { "url", "trust", "subject", "username", "password", "password_file" }
-- What is for others who read a certificate from a disk.
local DEPLOYED <const> = { "files", "hooks", "rollback" }

local function check_event(each, where, fleet, report)
  if (each.outage ~= nil) == (each.run ~= nil) then
    report(where, "needs one of 'outage' and 'run'")
  elseif each.run and not each.run[1] then
    report(where .. ".run", "names no program")
  end
  if fleet.duration and each.at + (each.outage or 0) > fleet.duration then
    report(where .. ".at", "ends after the whole")
  end
end

local function check_group(each, where, report)
  local habits = 0
  for _, name in ipairs(shape.HABITS) do
    if each[name] then habits = habits + 1 end
  end
  if habits ~= 1 then
    report(where, "needs one of " .. table.concat(shape.HABITS, ", "))
  elseif (each.away ~= nil) ~= (each.every ~= nil) then
    report(where, "'away' and 'every' go together")
  elseif each.away and each.every <= each.away then
    report(where .. ".every", "is from one time away to the next, and longer than 'away'")
  end
end

local function check_simulation(fleet, report)
  local shares = 0
  if not fleet.duration then report("duration", "is missing: for how long?") end
  if fleet.url then
    report("url", "is of 'load': a simulation starts its server, which must go by the fleet's "
      .. "clock")
  end
  for i, each in ipairs(fleet.groups or {}) do
    shares = shares + each.share
    check_group(each, ("groups[%d]"):format(i), report)
  end
  if shares > 1 then report("groups", "have more than all devices") end
  for i, each in ipairs(fleet.events or {}) do
    check_event(each, ("events[%d]"):format(i), fleet, report)
  end
end

local function check(fleet, report)
  if fleet.url and fleet.server then report("url", "stands beside 'server': give one of them") end
  if fleet.url and not fleet.trust then report("trust", "is missing: how is the server known?") end
  if fleet.url and not fleet.secrets then
    report("secrets", "is missing: a file with a name and its secret on each line")
  end
  if not fleet.load then return check_simulation(fleet, report) end
  for _, name in ipairs { "duration", "arrival", "groups", "events" } do
    if fleet[name] then report(name, "is nothing for 'load', which is in real time") end
  end
end

-- The identity that all devices have, but for their names.
local function template(fleet, file, folder, problems)
  local raw = { url = "https://localhost", trust = "ca.pem", subject = "CN=" .. TEMPLATE,
    username = TEMPLATE, password = TEMPLATE }
  for key, value in pairs(fleet.device or {}) do raw[key] = value end
  for _, key in ipairs(OWN) do
    if (fleet.device or {})[key] then
      problems[#problems + 1] = { path = "device." .. key, problem = "is each device's own" }
    end
  end
  for _, key in ipairs(DEPLOYED) do
    if (fleet.device or {})[key] then
      problems[#problems + 1] = { path = "device." .. key,
        problem = "is nothing for a device that is simulated, which has no disk" }
    end
  end
  local config, err = agent_load.check({ state = "state", identities = { [TEMPLATE] = raw } },
    file, folder)
  if config then return config.identities[TEMPLATE] end
  for line in (err --[[@as lest.error]]).message:gmatch "[^\n]+" do
    line = line:sub(#file + 3):gsub("^" .. PLACE_OF:gsub("%p", "%%%0"), "device.")
    problems[#problems + 1] = { path = "", problem = line }
  end
end

--- Check a table, and resolve its paths against a folder.
---@param raw any
---@param file string for messages
---@param folder string absolute
---@param source? string the file's text, for line numbers
---@return table|nil fleet
---@return lest.error|nil err code config
function M.check(raw, file, folder, source)
  local fleet, problems = schema.check(shape.fleet, raw)
  if fleet then
    problems = {}
    check(fleet, function(path, problem)
      problems[#problems + 1] = { path = path, problem = problem }
    end)
    fleet.identity = template(fleet, file, folder, problems)
  end
  if #problems > 0 then return configuration.error(file, source, problems) end
  for _, key in ipairs { "server", "trust", "secrets", "out" } do
    if fleet[key] then fleet[key] = configuration.absolute(folder, fleet[key]) end
  end
  fleet.folder, fleet.groups, fleet.events = folder, fleet.groups or {}, fleet.events or {}
  table.sort(fleet.events, function(a, b) return a.at < b.at end)
  if fleet.duration then
    fleet.arrival = math.min(fleet.arrival or 30 * 86400, fleet.duration)
  end
  return fleet
end

--- Load a file.
---@param file string
---@param instead? { devices?: integer, out?: string } of what the file says
---@return table|nil fleet
---@return lest.error|nil err
function M.file(file, instead)
  local source, err = core.file.read(file, FILE_MAX)
  if not source then return fail("config", "the fleet cannot be read", { cause = err }) end
  local folder = core.file.absolute(configuration.folder_of(file))
  local raw
  raw, err = configuration.run(source, file)
  if not raw then return nil, err end
  for key, value in pairs(instead or {}) do raw[key] = value end
  return M.check(raw, file, folder, source)
end

return M
