--- What becomes of an order by what its CA has answered: it is over, or is asked about again.
local core = require "lest.core"
local foreign = require "lest.server.authority.orders.foreign"
local lines = require "lest.server.wire.lines"
local record = require "lest.server.authority.record"
local rows = require "lest.server.authority.orders.rows"

local M = {}

local BACKOFF_MOST_S <const> = 60

local function backoff_s(tries)
  return math.min(1 << math.min(math.max(tries, 1) - 1, 12), BACKOFF_MOST_S)
end

--- By the outcome; each within a unit.
local on <const> = {}

--- The CA may have issued, and it is not known what.
function on.unknown(orders, ca, row, outcome)
  local authority = orders.authority
  if row.kind == "issue" and not ca.options.repeats then
    return rows.close(authority, row, "lost", outcome.detail)
  end
  rows.put_off(authority, row, { state = "asked", problem = outcome.detail,
    next_at = authority.clock() + backoff_s(row.tries) })
end

--- The CA was not asked. Of an authority that ends, its successor asks.
function on.away(orders, ca, row, outcome)
  if orders.is_stopping then
    return rows.put_back(orders.authority, row, outcome.detail)
  end
  local authority, now = orders.authority, orders.authority.clock()
  ca.failures = ca.failures + 1
  local wait = backoff_s(ca.failures)
  ca.away_until, ca.is_behind = core.clock.monotonic_ms() + wait * 1000, true
  local label = authority.config.labels[row.label]
  -- What it was asked before, it may have done.
  local is_kept = row.kind == "revoke" or row.doubt == 1 or label and label.when_away == "hold"
  if not is_kept then return rows.close(authority, row, "away", outcome.detail) end
  rows.put_off(authority, row, { state = "held", next_at = now + wait, problem = outcome.detail })
end

function on.later(orders, _, row, outcome)
  local authority = orders.authority
  local wait = math.max(1, outcome.retry_after or 60)
  rows.put_off(authority, row, { state = "later", next_at = authority.clock() + wait,
    retry_after = wait, note = outcome.note, problem = outcome.detail })
end

function on.refused(orders, _, row, outcome)
  rows.close(orders.authority, row, "refused", outcome.detail)
end

function on.failed(orders, _, row, outcome)
  rows.close(orders.authority, row, "failed", outcome.detail)
end

function on.revoked(orders, _, row)
  rows.close(orders.authority, row, "revoked")
end

--- Whether the ledger has a certificate already: then it is another order's.
local function is_known(authority, row, cert)
  return record.rows(authority.ledger, "certificate_get",
    { serial = cert.serial, issuer = row.issuer })[1] ~= nil
end

function on.issued(orders, ca, row, outcome)
  local authority = orders.authority
  local request = rows.request(authority, row)
  local plan = rows.plan(row, request.csr)
  local cert, problem = foreign.check(ca.issuer, plan, outcome.certificate or "",
    authority.clock())
  if cert and is_known(authority, row, cert) then
    cert, problem = nil, "it was issued for another request"
  end
  if not cert then
    return on.failed(orders, ca, row, { detail = "the certificate: " .. problem })
  end
  local veto = rows.vetoed(authority, row, request)
  rows.issued(authority, row, request, plan, cert, outcome.certificate)
  if not veto then
    return authority.outbox:issued({ begin = { label = row.label } }, row.issuer, cert.serial)
  end
  -- It is there, and nobody gets it.
  local now = authority.clock()
  local key = { serial = cert.serial, issuer = row.issuer }
  record.run(authority.ledger, "order_add_revocation", { serial = key.serial, issuer = key.issuer,
    plan = row.plan, now = now, expires = now + ca.options.expires })
  record.run(authority.ledger, "certificate_revoke", { serial = key.serial, issuer = key.issuer,
    reason = "cessationOfOperation", now = now })
end

--- Write what became of an order; within a unit.
---@param orders lest.authority.orders
---@param ca lest.authority.orders.ca
---@param row table as it is now
---@param outcome table of the backend, or what stands for one
function M.apply(orders, ca, row, outcome) on[outcome.outcome](orders, ca, row, outcome) end

-- What an operator should know.
local LOUD <const> = { failed = "error", lost = "error", away = "warning", expired = "error" }

--- Say in the log how an order has ended.
---@param orders lest.authority.orders
---@param row table as it is now
---@param detail? string where the row has none
function M.log(orders, row, detail)
  if not LOUD[row.state] then return end
  orders.failures:write(LOUD[row.state], { "id", row.request_id, "order", row.id, "ca", row.ca,
    "state", row.state, "message", lines.short(row.problem or detail or "") })
end

return M
