--- The pump: takes up orders that have had no place, or wait for a CA that is away, in the order in
--- which they were approved.
local asking = require "lest.server.authority.orders.asking"
local core = require "lest.core"
local outcomes = require "lest.server.authority.orders.outcomes"
local record = require "lest.server.authority.record"
local rows = require "lest.server.authority.orders.rows"
local waiting = require "lest.server.authority.orders.waiting"

local M = {}

--- End what is over, within a unit. True: the order may be asked.
local function may_ask(orders, ca, row)
  local authority = orders.authority
  if row.expires <= authority.clock() then
    rows.close(authority, row, "expired", row.problem)
  elseif row.kind == "issue" and row.state == "asked" and not ca.options.repeats then
    rows.close(authority, row, "lost", "a process ended while the CA was asked")
  else
    local problem = row.kind == "issue"
      and rows.vetoed(authority, row, rows.request(authority, row))
    if not problem then return rows.claim(authority, row, asking.lease_of(ca)) end
    rows.close(authority, row, "refused", problem)
  end
  return false
end

--- Claim an order and ask once that is on disk.
local function take(orders, ca, row)
  local ok, may = pcall(orders.turn.unit, orders.turn, may_ask, orders, ca, row)
  if not ok then error(may, 0) end
  if not may then
    local over = rows.get(orders.authority, row.id)
    outcomes.log(orders, over)
    if not rows.is_open(over) then waiting.tell(orders, over) end
    return
  end
  orders.asking[row.id] = true
  orders.turn:when_durable(function(durable)
    orders.asking[row.id] = nil
    if durable then asking.ask(orders, ca, row.id) end
  end)
end

--- How many orders a CA may be asked now.
local function room(ca)
  local free = ca.options.at_once - ca.running
  if not ca.away_until then return free end
  return core.clock.monotonic_ms() >= ca.away_until and math.min(free, 1) or 0
end

--- Take up what is due at a CA.
---@param orders lest.authority.orders
---@param ca lest.authority.orders.ca
function M.ca(orders, ca)
  local authority = orders.authority
  local free, now = room(ca), authority.clock()
  if free <= 0 then return end
  local due = record.rows(authority.ledger, "order_due",
    { ca = ca.name, now = now, limit = free + 1 })
  ca.is_behind = #due > free or ca.away_until ~= nil and due[1] ~= nil
  for i = 1, math.min(#due, free) do
    if not orders.asking[due[i].id] then
      if ca.rate:take "all" then
        ca.is_behind = true
        return
      end
      take(orders, ca, due[i])
    end
  end
end

return M
