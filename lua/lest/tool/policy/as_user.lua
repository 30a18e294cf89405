--- Policies and their specs do not run as root where root types the command and a configuration
--- says who they are to be.
local account = require "lest.desk.account"
local core = require "lest.core"
local load_config = require "lest.server.config.load"
local support = require "lest.tool.command.support"

local M = {}

--- Give up root's rights for those of the configuration's `user`, or say that root keeps them.
---@param command string for the warning
---@param path? string the configuration
---@return boolean|nil ok
---@return lest.error|nil err
function M.enter(command, path)
  if not path then
    if core.process.uid == 0 then
      support.complain(command, "policies and specs run as root: --config SERVER.lua runs them as "
        .. "its user")
    end
    return true
  end
  local config, err = load_config.load(path)
  if not config then return nil, err end
  return account.become(config)
end

return M
