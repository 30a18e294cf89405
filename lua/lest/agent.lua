--- An agent inside a script: certificates that are kept alive from their bootstrap on, as
--- `lest agent` does (lest-agent.lua(5) has the keys).
---
---   local agent = lest.agent { state = "state", identities = { dev9 = {
---     url = "https://est.example.com", trust = "ca.pem", subject = "CN=dev9",
---     username = "dev9", password_file = "secret" } } }
---   assert(agent:run { once = true } == 0)
local core = require "lest.core"
local load = require "lest.agent.load"
local loop = require "lest.agent.loop"
local status = require "lest.agent.status"

---@class lest.agent
---@field inner lest.agent.loop
local Agent = { __name = "lest.agent" }
Agent.__index = Agent

--- Make one; a mistake in the options raises. Paths are relative to the working folder.
---@param options { state: string, identities: table<string, table> }
---@return lest.agent
local function new(options)
  local config, err = load.check(options, "lest.agent", core.file.absolute ".")
  if not config then error(tostring(err), 2) end
  return setmetatable({ inner = loop.new(config) }, Agent)
end

--- Keep the identities alive until SIGTERM; with `once`, do what is due and return.
---@param options? lest.agent.run
---@return integer? exit_code 0: every certificate is good, and nothing has failed
---@return lest.error? err
function Agent:run(options)
  return self.inner:run(options)
end

--- Try now what waits or has failed.
function Agent:try()
  self.inner:try()
end

--- What each identity is doing.
---@return lest.agent.status[]
function Agent:status()
  return status.of(self.inner)
end

return setmetatable({ new = new }, { __call = function(_, options) return new(options) end })
