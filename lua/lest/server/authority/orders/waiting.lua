--- Who waits for an order, and what a client is told of it: what came, or how it stands when the
--- client has waited long enough.
local core = require "lest.core"
local record = require "lest.server.authority.record"
local rows = require "lest.server.authority.orders.rows"

local M = {}

-- A worker waits for an answer no longer than 20 seconds.
local WAIT_MS <const> = 15000

local function later(row, label, now)
  return math.max(1, row.next_at - now, row.state == "later" and row.retry_after or 0,
    row.state == "held" and label.retry_after or 0)
end

--- What a client is told of an order as it is.
local function answer_of(orders, row)
  local authority = orders.authority
  local label = authority.config.labels[row.label] or { retry_after = 60 }
  local now = authority.clock()
  local state = row.state
  if state == "issued" then
    local cert = record.rows(authority.ledger, "certificate_get",
      { serial = row.serial, issuer = row.issuer })[1]
    if not cert.revoked_at then
      return { certificate = cert.der, serial = row.serial, profile = cert.profile }
    end
    state = "refused"
  end
  if state == "later" then
    return { status = 202, reason = "the CA has not decided yet",
      retry_after = math.max(1, row.next_at - now) }
  elseif rows.is_open(row) and label.when_away == "hold" then
    return { status = 202, reason = "the request is approved, and waits for its CA",
      retry_after = later(row, label, now) }
  elseif state == "asked" then
    return { status = 504, reason = "the CA has not answered in time",
      retry_after = later(row, label, now) }
  elseif state == "refused" then
    return { status = 403, reason = "the CA refuses the request" }
  elseif state == "lost" then
    return { status = 504, reason = "it is not known whether the CA has issued a certificate",
      retry_after = label.retry_after }
  elseif state == "failed" then
    return { status = 502, reason = "the CA's answer cannot be used" }
  end
  return { status = 503, reason = "the CA is not available now", retry_after = label.retry_after }
end

--- Tell who waits for an order what it came to.
---@param orders lest.authority.orders
---@param row table
function M.tell(orders, row)
  local waiting = orders.waiting[row.id]
  orders.waiting[row.id] = nil
  if not waiting then return end
  for _, each in ipairs(waiting) do
    each.timer:close()
    each.reply(answer_of(orders, row))
  end
end

local function await(orders, id, reply)
  local each = { reply = reply }
  orders.waiting[id] = orders.waiting[id] or {}
  table.insert(orders.waiting[id], each)
  each.timer = core.loop.timer(WAIT_MS, function()
    local waiting = orders.waiting[id] or {}
    for i, other in ipairs(waiting) do
      if other == each then table.remove(waiting, i) end
    end
    if not waiting[1] then orders.waiting[id] = nil end
    local ok, answer = pcall(function()
      return answer_of(orders, rows.get(orders.authority, id))
    end)
    reply(ok and answer or { status = 503, reason = "the ledger cannot be read now",
      retry_after = 5 })
  end)
end

--- Answer who has asked for an order, when there is something to say.
---@param orders lest.authority.orders
---@param order table its row, as it was found or written
---@param reply fun(answer: table)
function M.answer(orders, order, reply)
  orders.turn:when_durable(function(durable)
    if not durable then
      return reply { status = 503, reason = "the ledger cannot be written now", retry_after = 5 }
    end
    local ok, problem = pcall(function()
      local ca, row = orders.cas[order.ca], rows.get(orders.authority, order.id)
      local is_due = rows.is_open(row) and row.next_at <= orders.authority.clock()
        and orders.backend.is_up and ca and not ca.away_until
      if orders.asking[row.id] or is_due then
        orders:soon()
        return await(orders, row.id, reply)
      end
      reply(answer_of(orders, row))
    end)
    if ok then return end
    orders.failures:write("error", { "order", order.id, "message", tostring(problem) })
    reply { status = 503, reason = "the ledger cannot be read now", retry_after = 5 }
  end)
end

return M
