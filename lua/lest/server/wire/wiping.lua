--- Private keys on their way through a process: Lua has them as strings, which are overwritten when
--- the collector gives them back.
---
---   wiping.start()   where a profile has server_keys, or the server's certificate renews itself
---   wiping.soon()    after a message with a key
local core = require "lest.core"

local M = {}

-- Collecting takes some milliseconds: once for all keys of so long.
local SOON_MS <const> = 100

--- Whether a configuration has the server make keys for clients.
---@param config table
---@return boolean
function M.makes_keys(config)
  for _, label in pairs(config.labels) do
    if label.makes_keys then return true end
  end
  return false
end

--- Whether a configuration has the server make keys at all.
---@param config table
---@return boolean
function M.is_needed(config)
  return M.makes_keys(config) or config.tls ~= nil and config.tls.auto ~= nil
end

--- From now on, overwrite what is given back.
function M.start()
  core.secret.wipe_freed()
end

local timer

--- Give back what nobody holds any more.
function M.soon()
  timer = timer or core.loop.timer(SOON_MS, function()
    timer = nil
    collectgarbage()
  end)
end

return M
