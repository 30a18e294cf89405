--- What CAs elsewhere are asked for. An order is a row of the ledger before anybody is asked: it is
--- asked again, by its id, until it is known what came of it, whichever process ends when; where a
--- CA cannot tell that it was asked before, it is not asked twice.
---
---   orders:place(request, finish, plan, issuer)    -- within the unit that approves
---   orders:answer(id, function(answer) ... end)    -- when it has come, or its time is over
---
--- The backend is asked over a channel of its own, for each CA so many orders at a time. What has
--- no place, and what waits for a CA that is away, is taken up by the pump, in the order in which
--- it was approved.
local asking = require "lest.server.authority.orders.asking"
local core = require "lest.core"
local limiter = require "lest.server.wire.limiter"
local lines = require "lest.server.wire.lines"
local pump = require "lest.server.authority.orders.pump"
local record = require "lest.server.authority.record"
local refusal = require "lest.server.wire.refusal"
local rows = require "lest.server.authority.orders.rows"
local waiting = require "lest.server.authority.orders.waiting"

local M = {}

local TICK_MS <const> = 1000
local STOP_MS <const> = 4000

---@class lest.authority.orders.ca
---@field name string in cas; "" is `ca`
---@field options table of the configuration
---@field issuer table of authority.issuers
---@field running integer orders that the backend has
---@field away_until? integer monotonic ms: it was found to be away, and is not asked before
---@field failures integer how often in a row
---@field is_behind boolean orders wait that were approved before a new one
---@field rate lest.limiter of the pump

---@class lest.authority.orders
---@field authority lest.authority
---@field cas table<string, lest.authority.orders.ca>
---@field backend lest.authority.backend
---@field number integer of the last message
---@field under_way table<integer, table> what the backend has: row, ca
---@field asking table<string, boolean> ids of these, and of what it gets once that is on disk
---@field waiting table<string, table[]> who waits for an order, by its id
---@field failures lest.lines
local Orders = {}
Orders.__index = Orders

local function now_ms() return core.clock.monotonic_ms() end

---@param authority lest.authority
---@return lest.authority.orders
function M.new(authority)
  local self = setmetatable({ authority = authority, turn = authority.turn, cas = {}, number = 0,
    under_way = {}, asking = {}, waiting = {}, backend = authority.backend,
    failures = lines.new "order failed" }, Orders)
  for name, issuer in pairs(authority.issuers) do
    if issuer.options then
      self.cas[name] = { name = name, options = issuer.options, issuer = issuer, running = 0,
        failures = 0, is_behind = true,
        rate = limiter.new { per_minute = issuer.options.per_minute, now_ms = now_ms } }
    end
  end
  asking.listen(self)
  return self
end

--- Look for what is due.
function Orders:pump()
  if self.is_stopping or not self.backend.is_up then return end
  for _, ca in pairs(self.cas) do
    local ok, problem = pcall(pump.ca, self, ca)
    if not ok then self.failures:write("error", { "ca", ca.name, "message", tostring(problem) }) end
  end
end

--- Look for it after this turn.
function Orders:soon()
  self.next = self.next or core.loop.timer(0, function()
    self.next = nil
    self:pump()
  end)
end

--- Look for it each second.
function Orders:start()
  self:pump()
  self.ticker = core.loop.timer(TICK_MS, function() self:start() end)
end

--- Ask for nothing more, take back what no CA was sent yet, and wait a little for the rest: what
--- was claimed and is not on disk, too.
function Orders:stop()
  self.is_stopping = true
  if self.ticker then self.ticker:close() end
  asking.recall(self)
  local late = false
  local timer <close> = core.loop.timer(STOP_MS, function() late = true end) -- luacheck: ignore 211
  while next(self.asking) and not (late or self.turn.failed) do core.loop.turn() end
end

--- Open orders, for the meters: by CA.
---@return table<string, integer>
function Orders:depths()
  local depths = {}
  for name, ca in pairs(self.cas) do
    local found = self.authority.ledger:rows("order_count", { ca = name, most = ca.options.queue })
    depths[name] = found and found[1].count
  end
  return depths
end

--- What a request that was approved comes to; within the unit. Its CA is asked once that is on
--- disk.
---@param request lest.authority.request
---@param finish table
---@param plan table of the profile
---@param what { issuer: table, profile: string, refuse: function, refuse_used: function }
---@return table answer
function Orders:place(request, finish, plan, what)
  local authority, ca = self.authority, self.cas[what.issuer.name]
  local now, label = authority.clock(), request.label
  local open = rows.find(authority, request)
  if open then return { order = open } end
  -- The ledger has it masked, and its signature with it.
  if request.begin.csr ~= request.csr:der() then
    return what.refuse({ status = 400,
      reason = "no CSR with a secret in it is sent to the CA, which is elsewhere" },
      { profile = what.profile })
  end
  local count = record.rows(authority.ledger, "order_count",
    { ca = ca.name, most = ca.options.queue })[1].count
  if count >= ca.options.queue then
    return what.refuse({ status = 503, reason = "too many requests wait for the CA",
      retry_after = label.retry_after }, { profile = what.profile, detail = "queue is reached" })
  end
  local expires = now + ca.options.expires
  if not record.consume(authority, request, "reserve", expires) then return what.refuse_used() end
  local is_asked = not self.is_stopping and ca.running < ca.options.at_once
    and not (label.when_away == "hold" and (ca.away_until or ca.is_behind))
  rows.name_device(request, plan)
  record.request(authority, request, finish, "approve", { profile = what.profile })
  plan.now = now
  local order = rows.add(authority, request, { issuer = what.issuer, plan = plan,
    profile = what.profile, facts = finish.facts, expires = expires,
    state = is_asked and "asked" or "held", tries = is_asked and 1 or 0,
    next_at = is_asked and now + asking.lease_of(ca) or now })
  if is_asked then
    self.asking[order.id] = true
    self.turn:when_durable(function(durable)
      self.asking[order.id] = nil
      if durable then asking.ask(self, ca, order.id) end
    end)
  elseif not ca.away_until then
    self:soon()
  end
  return { order = order }
end

--- The open order of a request that was approved before, and has come again; nil for none.
---@param request lest.authority.request
---@return table|nil order
function Orders:find(request)
  local order = rows.find(self.authority, request)
  if not order then return nil end
  local csr = rows.request(self.authority, order).csr
  if not record.is_same(csr, request.csr) then
    refusal.raise(403, "another request with this key waits for its CA: repeat that, or make a "
      .. "new one with a new key")
  end
  request.verdict = "approve"
  return order
end

--- Answer who has asked for an order, when there is something to say.
---@param order table its row, as it was found or written
---@param reply fun(answer: table)
function Orders:answer(order, reply) waiting.answer(self, order, reply) end

return M
