--- The account that policies run as outside of a server: `user` of the configuration, as they do in
--- a worker, and never root.
local core = require "lest.core"
local globals = require "lest.server.worker.globals"
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

--- As become(), for who decides recorded requests: the process is closed off and has a worker's
--- globals, which nobody can set any more.
---@param config { user?: string }
---@return boolean|nil ok
---@return lest.error|nil err
function M.settle(config)
  hooks.preload()
  local ok, err = M.become(config)
  if ok then ok, err = core.process.harden() end
  if not ok then return nil, err end
  globals.close()
  return true
end

return M
