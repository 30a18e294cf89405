--- Whether the CAs elsewhere answer: each is looked at now and then by what costs it nothing, and
--- by what comes of orders. The board has it, for /metrics and /healthz, and the log each change. A
--- CA that cannot be looked at, as a program, stands as its last order says.
local core = require "lest.core"
local list = require "lest.base.list"
local meters = require "lest.server.wire.meters"
local task = require "lest.task"
local terminal = require "lest.base.terminal"

local M = {}

local LOOK_S <const>, PROBLEM_MAX <const> = 60, 500
-- What an order that came to this says of its CA; the others may not have reached it.
local OUTCOMES <const> = { issued = true, revoked = true, later = true, refused = true,
  away = false }

---@class lest.backend.standing
---@field cas table<string, table> of lest.backend
---@field places table<string, integer> by the CA's name, for the board
local Standing = {}
Standing.__index = Standing

---@param cas table<string, table> of lest.backend
---@param config table
---@return lest.backend.standing
function M.new(cas, config)
  return setmetatable({ cas = cas, places = meters.cas(config).places }, Standing)
end

local function set(self, name, up, problem)
  local ca = self.cas[name]
  core.meter.set(core.meter.names.ca_up, up and 1 or 0, self.places[name])
  if ca.up == up then return end
  if not up then
    core.log.write("warning", "CA not reached",
      { "key", ca.where, "message", terminal.line(problem or "", PROBLEM_MAX) })
  elseif ca.up == false then
    core.log.write("info", "CA reached", { "key", ca.where })
  end
  ca.up = up
end

--- Take what came of an order.
---@param name string
---@param outcome table
function Standing:heard(name, outcome)
  local up = OUTCOMES[outcome.outcome]
  if up ~= nil then set(self, name, up, outcome.detail) end
end

-- What a CA issues by another certificate than the configuration's would be refused.
local function compare(ca, certs)
  local is_other = not list.has(certs, ca.cert)
  if is_other and not ca.is_other then
    core.log.write("error", "configuration", { "key", ca.where .. ".cert",
      "message", "the CA says that its certificate is another one: what it issues is refused" })
  end
  ca.is_other = is_other
end

--- Ask it what says whether it answers: its status(), or else for its certificates.
local function look(ca)
  if ca.backend.status then
    local up, err = ca.backend:status()
    if up ~= nil then return up, err end
  end
  local certs, err = ca.backend:cacerts()
  if err then return false, err end
  if not certs then return nil end
  compare(ca, certs)
  return true
end

local function watch(self, name)
  local ca = self.cas[name]
  local looking = task.start({ quiet = true }, look, ca)
  local timer <close> = core.loop.timer(ca.timeout * 1000, function() -- luacheck: ignore 211
    looking:cancel "the CA has not answered in time"
  end)
  local ok, up, problem = pcall(looking.wait, looking)
  if not ok then up, problem = false, up end
  if up ~= nil then set(self, name, up, problem and tostring(problem)) end
end

--- Look at each from now on.
function Standing:start()
  for _, name in ipairs(list.sorted_keys(self.cas)) do
    task.start({ quiet = true }, function()
      while true do
        watch(self, name)
        task.sleep(LOOK_S)
      end
    end)
  end
end

return M
