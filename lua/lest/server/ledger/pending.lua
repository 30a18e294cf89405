--- What operators do with requests that wait for them: operations of lest.operator.
---
--- A row's `expires` is the end of its state, and so of the one-time credential's hold: a request
--- waits until then, an approval must be used until then, a rejection holds until then.
local clock = require "lest.base.clock"
local core = require "lest.core"
local fail = require "lest.base.fail"
local json = require "lest.json"
local page = require "lest.server.ledger.page"
local terminal = require "lest.base.terminal"

local M = {}

---@type table<string, fun(operator: lest.operator, arguments: table): table?, lest.error?>
M.operations = {}

local operations <const> = M.operations

-- An order's states at which its CA is still to be asked.
local OPEN <const> = { asked = true, held = true, later = true }
local LIVE <const> = { waiting = true, approved = true, rejected = true }
-- Bytes of what an operator writes; the words for a device go into one line of an answer.
local LENGTHS <const> = { operator = 255, note = 1000, tell = 300 }
-- So many the authority can tell a policy of (csrc/wire/message.c).
local OPERATORS_MAX <const> = 64
local HOLD_MAX_S <const> = 10 * 365 * 86400

--- Do all of it in one transaction, or nothing.
local function unit(ledger, work)
  local ok, err = ledger:begin()
  if not ok then return nil, err end
  local result
  result, err = work()
  if result then
    ok, err = ledger:commit()
    if ok then return result end
  end
  ledger:rollback()
  return nil, err
end

--- What is over is expired, whether or not anything has marked it.
local function state_of(operator, row)
  return LIVE[row.state] and row.expires <= operator.clock() and "expired" or row.state
end

--- A row as it is now, with what operators said of it.
local function describe(operator, row)
  local err
  row.state = state_of(operator, row)
  row.approvals, err = operator.ledger:rows("approval_list", { pending_id = row.id })
  if not row.approvals then return nil, err end
  return row
end

--- Note that the one-time credential which it holds was removed, if so: the device is a stranger.
local function note_removed(operator, row)
  local rows, err = { row }, nil
  if row.credential_id then
    rows, err = operator.ledger:rows("credential_get", { id = row.credential_id })
  end
  if not rows then return nil, err end
  row.credential_removed = rows[1] == nil or nil
  return row
end

--- What a CA elsewhere is asked for, or was; nil for none.
local function find_order(operator, id)
  if not core.utf8.is_text(id) then return nil end
  local rows, err = operator.ledger:rows("order_get", { id = id })
  if not rows then return nil, err end
  return rows[1] and rows[1].kind == "issue" and rows[1] or nil
end

local function find(operator, id)
  local rows, err = {}, nil
  if core.utf8.is_text(id) then rows, err = operator.ledger:rows("pending_get", { id = id }) end
  if not rows then return nil, err end
  if not rows[1] then
    local order
    order, err = find_order(operator, id)
    if err then return nil, err end
    return fail("not_found", (order and "'%s' is approved, and is its CA's matter: there is "
      .. "nothing to decide" or "there is no pending request '%s'"):format(id))
  end
  local row
  row, err = describe(operator, rows[1])
  if not row then return nil, err end
  return note_removed(operator, row)
end

--- An order that is open at a CA elsewhere, as a row of pending: no operator decides about it.
local function as_pending(order)
  local plan = json.decode(order.plan) or {}
  local der = plan.subject and core.base64.decode(plan.subject)
  local subject = der and core.name.decode(der)
  return { id = order.id, state = order.state, principal_name = order.principal_name,
    principal_kind = order.principal_kind, label = order.label, operation = order.operation,
    subject = subject and tostring(subject) or "", key_hash = order.key_hash,
    request_id = order.request_id, created = order.created, updated = order.updated,
    expires = order.expires, tries = order.tries, ca = order.ca, approvals = {},
    reason = order.problem or "it waits for its CA", seq = order.seq }
end

local function list_orders(operator, arguments)
  local rows, last = page.read(operator.ledger, "order_list", {}, arguments)
  local orders = {}
  for _, row in ipairs(rows or {}) do
    if row.kind == "issue" then table.insert(orders, as_pending(row)) end
  end
  return rows and orders, last
end

function operations.pending_list(operator, arguments)
  local state = arguments.state
  if state == "held" then return list_orders(operator, arguments) end
  local statement = not state and "pending_list" or state == "expired" and "pending_list_expired"
    or "pending_list_state"
  local rows, last = page.read(operator.ledger, statement, { now = operator.clock(),
    state = statement == "pending_list_state" and state or nil }, arguments)
  for _, row in ipairs(rows or {}) do
    local described, err = describe(operator, row)
    if not described then return nil, err end
  end
  -- What waits for a CA stands before what waits for a person.
  if not rows or state or arguments.before then return rows, last end
  local orders, err = list_orders(operator, { limit = arguments.limit })
  if not orders then return nil, err end
  return table.move(rows, 1, #rows, #orders + 1, orders), last
end

--- An order with the request that it is of.
local function show_order(operator, order)
  local requests, err = operator.ledger:rows("request_get", { id = order.request_id })
  if not requests then return nil, err end
  local row, request = as_pending(order), requests[1] or {}
  row.csr, row.device, row.serial = request.csr, request.device, order.serial
  row.next = OPEN[order.state] and order.next_at or nil
  row.reason = order.problem or OPEN[order.state] and "it waits for its CA" or nil
  return row
end

function operations.pending_show(operator, arguments)
  local order, err = find_order(operator, arguments.id)
  if err then return nil, err end
  local row
  if order then
    row, err = show_order(operator, order)
  else
    row, err = find(operator, arguments.id)
  end
  if not row then return nil, err end
  row.csr = core.base64.encode(row.csr)
  return row
end

--- Say of requests that were to wait what became of that, as pending_state.
---@param operator lest.operator
---@param requests table[] rows
---@return true?
---@return lest.error? err
function M.add_states(operator, requests)
  local states = {}
  for _, request in ipairs(requests) do
    local id = request.verdict == "pending" and request.pending_id
    if id and not states[id] then
      local rows, err = operator.ledger:rows("pending_get", { id = id })
      if not rows then return nil, err end
      states[id] = rows[1] and state_of(operator, rows[1])
    end
    request.pending_state = id and states[id] or nil
  end
  return true
end

-- Operators and devices read it on terminals, so it is one line of what can be seen.
local function text_problem(what, text)
  local most = LENGTHS[what]
  if not core.utf8.is_text(text) then return ("the %s is no UTF-8 text"):format(what) end
  if #text > most then return ("the %s has more than %d bytes"):format(what, most) end
  if terminal.safe(text) ~= text then
    return ("the %s has characters that cannot be seen; it is one line of text"):format(what)
  end
end

local function problem_of(arguments)
  for what in pairs(LENGTHS) do
    local problem = arguments[what] and text_problem(what, arguments[what])
    if problem then return problem end
  end
  local hold = arguments.hold_s
  if arguments.operator == "" then return "the operator needs a name" end
  if hold and (hold < 1 or hold > HOLD_MAX_S) then
    return "a rejection holds for a second at least and ten years at most"
  end
end

local function why_over(row)
  if row.state == "issued" then
    return ("the request '%s' waits no longer: the certificate %s was issued for it"):format(row.id,
      row.serial)
  end
  return ("the request '%s' waits no longer: it expired at %s, and the device has to ask again")
    :format(row.id, clock.text(row.expires))
end

local function has_room(row, name)
  for _, approval in ipairs(row.approvals) do
    if approval.operator == name then return true end
  end
  return #row.approvals < OPERATORS_MAX
end

--- As long as is said; else as long as a request of the label may wait.
local function hold_s(operator, row, arguments)
  local label = operator.labels[row.label]
  return arguments.hold_s or label and label.pending_expires or row.waits_until - row.created
end

local function record(operator, row, arguments, verdict)
  local ledger, now = operator.ledger, operator.clock()
  local changed, err = ledger:run("approval_put", {
    pending_id = row.id, operator = arguments.operator, verdict = verdict, now = now,
    note = arguments.note, tell = arguments.tell,
    holds_until = verdict == "reject" and now + hold_s(operator, row, arguments) or nil,
  })
  if changed then
    changed, err = ledger:run("pending_settle", { id = row.id, seen = 0, now = now })
  end
  if not changed then return nil, err end
  row, err = find(operator, row.id)
  if not row then return nil, err end
  if row.credential_id then
    changed, err = ledger:run("credential_hold", { id = row.credential_id,
      key_hash = row.key_hash, label = row.label, operation = row.operation,
      bound_until = row.expires })
    if not changed then return nil, err end
  end
  return row
end

--- An operator's say and what it comes to.
local function decide(operator, arguments, verdict)
  local problem = problem_of(arguments)
  if problem then return fail("usage", problem) end
  return unit(operator.ledger, function()
    local row, err = find(operator, arguments.id)
    if not row then return nil, err end
    if not LIVE[row.state] then return fail("refused", why_over(row)) end
    if not has_room(row, arguments.operator) then
      return fail("refused", ("%d operators have decided about '%s', and no more can"):format(
        OPERATORS_MAX, row.id))
    end
    row, err = record(operator, row, arguments, verdict)
    if row then row.csr = core.base64.encode(row.csr) end
    return row, err
  end)
end

--- arguments: id, operator, and perhaps note (for the record).
function operations.pending_approve(operator, arguments)
  return decide(operator, arguments, "approve")
end

--- Besides: tell (for the device), hold_s (how long the same request is refused).
function operations.pending_reject(operator, arguments)
  return decide(operator, arguments, "reject")
end

return M
