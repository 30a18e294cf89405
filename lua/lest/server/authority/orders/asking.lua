--- The backend, as the authority sees it: what it is asked over its channel, and what it says came
--- of that.
local core = require "lest.core"
local message = require "lest.server.wire.message"
local outcomes = require "lest.server.authority.orders.outcomes"
local record = require "lest.server.authority.record"
local rows = require "lest.server.authority.orders.rows"
local waiting = require "lest.server.authority.orders.waiting"

local M = {}

-- What a message takes besides the CA's time; a backend says by itself when that is over.
local MARGIN_S <const> = 5

--- For how long an order is this authority's to ask about.
---@param ca lest.authority.orders.ca
---@return integer seconds
function M.lease_of(ca) return ca.options.timeout + MARGIN_S end

--- The message of an order.
local function packet_of(orders, row, number)
  local request = rows.request(orders.authority, row)
  local is_issue = row.kind == "issue"
  local plan = is_issue and rows.plan(row, request.csr) or {}
  local certificate = not is_issue and record.rows(orders.authority.ledger, "certificate_get",
    { serial = row.serial, issuer = row.issuer })[1]
  return message.encode { type = "order", number = number, id = row.id, kind = row.kind,
    ca = row.ca ~= "" and row.ca or nil, again = row.tries > 1, note = row.note,
    csr = is_issue and request.csr or nil, subject = plan.subject_der,
    san = plan.san_der, lifetime = plan.lifetime, key_usage = plan.key_usage, eku = plan.eku,
    profile = plan.profile, label = row.label, operation = row.operation,
    request_id = row.request_id,
    principal = { kind = row.principal_kind, name = row.principal_name:sub(1, 1024) },
    device = #request.device <= 1024 and request.device or nil,
    certificate = certificate and certificate.der or nil,
    reason = certificate and certificate.revocation_reason or nil }
end

--- An outcome of the backend, or what stands for one.
local function settle(orders, entry, outcome)
  local ca, row = entry.ca, entry.row
  if not orders.under_way[entry.number] then return end
  orders.under_way[entry.number], orders.asking[row.id] = nil, nil
  ca.running = ca.running - 1
  if entry.timer then entry.timer:close() end
  if outcome.outcome ~= "away" then ca.failures, ca.away_until = 0, nil end
  local kind = outcome.outcome
  if (kind == "issued") ~= (row.kind == "issue") and (kind == "issued" or kind == "revoked") then
    outcome = { outcome = "failed", detail = "the backend has answered something else" }
  end
  local ok, now = pcall(orders.turn.unit, orders.turn, function()
    local fresh = rows.get(orders.authority, row.id)
    if not rows.is_open(fresh) then return fresh end
    outcomes.apply(orders, ca, fresh, outcome)
    return rows.get(orders.authority, row.id)
  end)
  if not ok then
    -- The row says "asked" still, and so it is asked again.
    return orders.failures:write("error", { "id", row.request_id, "order", row.id, "message",
      tostring(now) })
  end
  outcomes.log(orders, now, outcome.detail)
  waiting.tell(orders, now)
  if ca.is_behind then orders:soon() end
end

--- Have the backend ask. The row says that it was asked, on disk.
---@param orders lest.authority.orders
---@param ca lest.authority.orders.ca
---@param id string
function M.ask(orders, ca, id)
  local row = rows.get(orders.authority, id)
  if not row or row.state ~= "asked" then return end
  ca.running = ca.running + 1
  orders.number, orders.asking[row.id] = orders.number + 1, true
  local entry = { row = row, ca = ca, number = orders.number }
  orders.under_way[entry.number] = entry
  if orders.is_stopping then
    return settle(orders, entry, { outcome = "away", detail = "the server ends" })
  elseif not orders.backend.is_up then
    return settle(orders, entry, { outcome = "away", detail = "no backend" })
  end
  local packet, problem = packet_of(orders, row, entry.number)
  if not packet then return settle(orders, entry, { outcome = "failed", detail = problem }) end
  if not orders.backend:send(packet) then
    return settle(orders, entry, { outcome = "away", detail = "the backend is busy" })
  end
  entry.timer = core.loop.timer(M.lease_of(ca) * 1000, function()
    settle(orders, entry, { outcome = "unknown", detail = "the backend says nothing" })
  end)
end

--- Have the backend give back what no CA was sent yet.
---@param orders lest.authority.orders
function M.recall(orders)
  orders.backend:send(assert(message.encode { type = "recall" }))
end

--- Hear what the backend says of orders.
---@param orders lest.authority.orders
function M.listen(orders)
  local backend = orders.backend
  backend:on("hello", function() orders:soon() end)
  backend:on("outcome", function(received)
    local entry = orders.under_way[received.number]
    if entry then settle(orders, entry, received) end
  end)
  backend:on("lost", function()
    for _, entry in pairs(orders.under_way) do
      settle(orders, entry, { outcome = "unknown",
        detail = "the backend ended while the CA was asked" })
    end
  end)
end

return M
