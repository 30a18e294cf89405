--- Which CAs have certificates that are good still, by the command that asks the server, or becomes
--- the ledger's owner: the process that wants to know may have to stay who it is.
---
---   local rows, err = in_use.issuers "/etc/lest/server.lua"
---   print(rows[1].issuer, rows[1].count, rows[1].last)
local core = require "lest.core"
local json = require "lest.json"

local M = {}

--- What `lest cert issuers --json` says.
---@param config string the server's configuration, a file
---@return table[]? rows issuer: the SHA-256 of its key; count; last: when the last one ends
---@return any err
function M.issuers(config)
  local text, err = core.process.read_command { "/proc/self/exe", "cert", "issuers", "--json",
    "--config", config }
  if not text then return nil, err end
  return json.decode(text)
end

return M
