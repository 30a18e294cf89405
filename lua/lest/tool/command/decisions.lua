--- What the commands share that show decisions: `lest request`, `lest log`, `lest explain`, or make
--- them again: `lest policy pin`, `lest repl --request`.
local fail = require "lest.base.fail"
local operator = require "lest.server.ledger.operator"
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

-- How a name may stand in the ledger, as lest.server.ledger.explain looks for it.
local WAYS <const> = {
  function(name) return { device = name } end,
  function(name) return { principal_name = name } end,
  function(name) return { device = "own:CN=" .. name } end,
  function(name) return { part = name } end,
}

--- The id of the last decision about a name until a time.
---@param ledger lest.ledger
---@param name string
---@param time integer seconds since 1970
---@return string|nil id
---@return lest.error|nil err
function M.id_at(ledger, name, time)
  for _, way in ipairs(WAYS) do
    local asked = way(name)
    asked.until_time, asked.limit = time + 1, 1
    local rows, err = operator.run(ledger, "request_list", asked)
    if not rows then return nil, err end
    if rows[1] then return rows[1].id end
  end
  return fail("not_found", ("there is no decision about '%s' until then"):format(name))
end

--- The id of what `lest explain` finds: a request by its id, or its certificate's serial; of a name
--- the last refusal.
---@param ledger lest.ledger
---@param what string
---@return string|nil id
---@return lest.error|string|nil name that it was found by; or an error
function M.id(ledger, what)
  local found, err = operator.run(ledger, "request_explain", { what = what })
  if not found then return nil, err end
  return found.request.id, found.name
end

return M
