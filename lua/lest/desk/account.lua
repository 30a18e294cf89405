--- The account that policies run as outside of a server: `user` of the configuration, as they do in
--- a worker, and never root.
local core = require "lest.core"
local hooks = require "lest.server.worker.hooks"

local M = {}

--- Where root started this process: become that account, for good. What it cannot read is to be
--- read before.
---@param config? { user?: string } absent, or without `user`: nobody
---@return boolean|nil ok
---@return lest.error|nil err
function M.become(config)
  if core.process.uid ~= 0 then return true end
  hooks.preload()
  return core.process.drop(config and config.user or "nobody")
end

return M
