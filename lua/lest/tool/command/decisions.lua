--- What the commands share that show decisions: `lest request`, `lest log`, `lest explain`.
local terminal = require "lest.base.terminal"

local M = {}

M.VERDICTS = { "approve", "reject", "pending", "unavailable", "error" }

local REASON_MAX <const> = 200

--- What the client was told; of an error, which tells it nothing, the first line of what went
--- wrong. The folder of a policy says nothing new: `request show` has it.
---@param row table
---@return string?
function M.reason(row)
  if row.reason and row.reason ~= "" or row.verdict ~= "error" then return row.reason end
  local first = row.detail and row.detail:match "^[^\n]*":gsub("^[^:]*/([^/:]+:%d+:)", "%1")
  return first and terminal.line(first, REASON_MAX)
end

--- What became of a request that was to wait; nil where it still does.
---@param row table
---@return string?
function M.outcome(row)
  return row.pending_state ~= "waiting" and row.pending_state or nil
end

return M
