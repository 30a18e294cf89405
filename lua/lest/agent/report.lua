--- What an agent tells to those who look after this machine: its service manager (sd_notify), and
--- Prometheus by a textfile.
---
---   local report = reports.new(agent, "/var/lib/node_exporter/lest.prom")
---   report:start()   report:turn()   report:stop()
local core = require "lest.core"
local deployment = require "lest.agent.deployment"
local textfile = require "lest.agent.textfile"

local M = {}

-- How often at most the textfile is written, and the manager told a sentence.
local EVERY_S <const> = 10

---@class lest.agent.report
---@field agent lest.agent.loop
---@field path? string of the textfile
local Report = { __name = "lest.agent.report" }
Report.__index = Report

---@param agent lest.agent.loop
---@param path? string of the textfile
---@return lest.agent.report
function M.new(agent, path)
  return setmetatable({ agent = agent, path = path, next_ms = 0 }, Report)
end

local function notify(...)
  if core.process then core.process.notify(...) end
end

-- "3 certificates, 1 failing".
local function sentence(agent)
  local failing, missing = 0, 0
  for _, name in ipairs(agent.names) do
    local identity = agent.identities[name]
    if not identity.life then missing = missing + 1 end
    if identity.memory.error or deployment.problem(identity) then failing = failing + 1 end
  end
  local count = #agent.names - missing
  local text = ("%d certificate%s"):format(count, count == 1 and "" or "s")
  if missing > 0 then text = ("%s, %d to come"):format(text, missing) end
  return failing > 0 and ("%s, %d failing"):format(text, failing) or text
end

--- Write the textfile; a failure is a line of the log, once.
function Report:write()
  if not self.path then return end
  local ok, err = textfile.write(self.path, self.agent)
  if not ok and not self.failed then
    core.log.write("warning", "textfile not written", { "message", tostring(err) })
  end
  self.failed = not ok
end

--- The agent works from now on.
function Report:start()
  self.said = "started"
  notify("ready", self.said)
end

--- The loop turns. changed: a step has ended.
---@param changed? boolean
function Report:turn(changed)
  notify "turn"
  self.dirty = self.dirty or changed
  local now_ms = core.clock.monotonic_ms()
  if not self.dirty or now_ms < self.next_ms then return end
  self.dirty, self.next_ms = false, now_ms + EVERY_S * 1000
  self:write()
  local said = sentence(self.agent)
  if said ~= self.said then notify("status", said) end
  self.said = said
end

--- The agent ends.
function Report:stop()
  notify "stopping"
  self:write()
end

return M
