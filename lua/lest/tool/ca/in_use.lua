--- Which CAs have certificates that are good still, and what else of a ledger ends, by the commands
--- that ask the server, or become the ledger's owner: the process that wants to know may have to
--- stay who it is.
---
---   local rows, err = in_use.issuers "/etc/lest/server.lua"
---   print(rows[1].issuer, rows[1].count, rows[1].last)
local core = require "lest.core"
local json = require "lest.json"

local M = {}

local function ask(...)
  local text, err = core.process.read_command { "/proc/self/exe", ... }
  if not text then return nil, err end
  return json.decode(text)
end

--- What `lest cert issuers --json` says.
---@param config string the server's configuration, a file
---@return table[]? rows issuer: the SHA-256 of its key; count; last: when the last one ends
---@return any err
function M.issuers(config)
  return ask("cert", "issuers", "--json", "--config", config)
end

--- What `lest ledger ends --json` says.
---@param config string the server's configuration, a file
---@param within integer seconds
---@return table? ends of lest.server.ledger.ends
---@return any err
function M.ends(config, within)
  return ask("ledger", "ends", "--json", "--within", tostring(within), "--config", config)
end

return M
