--- What operators do with events that a hook is still to hear of: operations of lest.operator. An
--- event is called by its kind and its certificate's serial number; each policy that is to hear of
--- it has an entry.
---
---   local rows = operator.run(ledger, "outbox_list", { state = "failed" })
local fail = require "lest.base.fail"
local page = require "lest.server.ledger.page"

local M = {}

--- The problem of an entry whose policy is not there any more, or has lost its hook.
M.NO_HOOK = "no policy of the label has this hook any more"

---@type table<string, fun(operator: lest.operator, arguments: table): table?, any>
M.operations = {}

local operations <const> = M.operations

--- What an event is called, at each try and for each policy.
---@param row { kind: string, serial: string }
---@return string
function M.id_of(row) return row.kind .. "-" .. row.serial end

local function with_ids(rows)
  for _, row in ipairs(rows or {}) do row.id = M.id_of(row) end
  return rows
end

--- A page of the entries, the newest first.
function operations.outbox_list(operator, arguments)
  local rows, last = page.read(operator.ledger, "outbox_list",
    { state = arguments.state, label = arguments.label }, arguments)
  return with_ids(rows), last
end

--- The entries of a certificate.
---@param operator lest.operator
---@param serial string
---@return table[]?
---@return lest.error? err
function M.of_certificate(operator, serial)
  local rows, err = operator.ledger:rows("outbox_of", { serial = serial })
  return with_ids(rows), err
end

--- Change all entries of an event by a statement.
local function change(operator, id, statement, parameters)
  parameters.kind, parameters.serial = id:match "^(%l+)%-(%x+)$"
  local changed, err = 0, nil
  if parameters.kind then changed, err = operator.ledger:run(statement, parameters) end
  if not changed then return nil, err end
  if changed == 0 then
    return fail("not_found", ("there is no event '%s' that a hook is still to hear of"):format(id))
  end
  return { id = id, entries = changed }
end

--- Begin anew, at once. The result has the problem of an entry that no hook can hear of.
function operations.outbox_retry(operator, arguments)
  local parameters = { now = operator.clock() }
  local result, err = change(operator, arguments.id, "outbox_retry", parameters)
  local rows
  if result then
    rows, err = operator.ledger:rows("outbox_of",
      { serial = parameters.serial, kind = parameters.kind })
  end
  if not rows then return nil, err end
  for _, row in ipairs(rows) do
    if row.problem == M.NO_HOOK then result.problem = row.problem end
  end
  return result
end

--- No hook is to hear of it any more. What waited for that is due.
function operations.outbox_drop(operator, arguments)
  local parameters = {}
  local result, err = change(operator, arguments.id, "outbox_drop", parameters)
  if not result or parameters.kind ~= "issued" then return result, err end
  local followed
  followed, err = operator.ledger:run("outbox_follow",
    { serial = parameters.serial, now = operator.clock() })
  return followed and result, err
end

--- Begin anew with all that was given up, of a label or of all: { entries = N }.
function operations.outbox_retry_failed(operator, arguments)
  local changed, err = operator.ledger:run("outbox_retry_failed",
    { label = arguments.label, now = operator.clock() })
  return changed and { entries = changed }, err
end

--- Forget all that was given up, of a label or of all. Nothing waits for that.
function operations.outbox_drop_failed(operator, arguments)
  local changed, err = operator.ledger:run("outbox_drop_failed", { label = arguments.label })
  return changed and { entries = changed }, err
end

return M
