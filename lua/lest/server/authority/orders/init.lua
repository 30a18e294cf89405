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
local core = require "lest.core"
local foreign = require "lest.server.authority.orders.foreign"
local limiter = require "lest.server.wire.limiter"
local lines = require "lest.server.wire.lines"
local message = require "lest.server.wire.message"
local record = require "lest.server.authority.record"
local refusal = require "lest.server.wire.refusal"
local rows = require "lest.server.authority.orders.rows"

local M = {}

local TICK_MS <const> = 1000
-- A worker waits for an answer no longer than 20 seconds.
local WAIT_MS <const> = 15000
-- What a message takes besides the CA's time; a backend says by itself when that is over.
local MARGIN_S <const> = 5
local BACKOFF_MOST_S <const> = 60
local STOP_MS <const> = 4000
local OUTCOMES <const> = { outcome = true, hello = true }

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
---@field channel? lest.channel the backend's
---@field is_up boolean it has said hello
---@field number integer of the last message
---@field under_way table<integer, table> what the backend has: row, ca
---@field asking table<string, boolean> ids of these
---@field waiting table<string, table[]> who waits for an order, by its id
local Orders = {}
Orders.__index = Orders

local function now_ms() return core.clock.monotonic_ms() end

---@param authority lest.authority
---@return lest.authority.orders
function M.new(authority)
  local self = setmetatable({ authority = authority, turn = authority.turn, cas = {}, number = 0,
    under_way = {}, asking = {}, waiting = {}, is_up = false }, Orders)
  for name, issuer in pairs(authority.issuers) do
    if issuer.options then
      self.cas[name] = { name = name, options = issuer.options, issuer = issuer, running = 0,
        failures = 0, is_behind = true,
        rate = limiter.new { per_minute = issuer.options.per_minute, now_ms = now_ms } }
    end
  end
  return self
end

-- ---- answers

local function later(row, label, now)
  return math.max(1, row.next_at - now, row.state == "later" and row.retry_after or 0,
    row.state == "held" and label.retry_after or 0)
end

--- What a client is told of an order as it is.
local function answer_of(self, row)
  local authority = self.authority
  local label = authority.config.labels[row.label] or { retry_after = 60 }
  local now = authority.clock()
  local state = row.state
  if state == "issued" then
    local cert = record.rows(authority.ledger, "certificate_get",
      { serial = row.serial, issuer = row.issuer })[1]
    if not cert.revoked_at then return { certificate = cert.der, serial = row.serial } end
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
local function tell(self, row)
  local waiting = self.waiting[row.id]
  self.waiting[row.id] = nil
  if not waiting then return end
  for _, each in ipairs(waiting) do
    each.timer:close()
    each.reply(answer_of(self, row))
  end
end

local function await(self, id, reply)
  local each = { reply = reply }
  self.waiting[id] = self.waiting[id] or {}
  table.insert(self.waiting[id], each)
  each.timer = core.loop.timer(WAIT_MS, function()
    local waiting = self.waiting[id] or {}
    for i, other in ipairs(waiting) do
      if other == each then table.remove(waiting, i) end
    end
    if not waiting[1] then self.waiting[id] = nil end
    local ok, answer = pcall(function() return answer_of(self, rows.get(self.authority, id)) end)
    reply(ok and answer or { status = 503, reason = "the ledger cannot be read now",
      retry_after = 5 })
  end)
end

-- ---- the backend

--- For how long an order is this authority's to ask about.
local function lease_of(ca) return ca.options.timeout + MARGIN_S end

local settle

--- The message of an order.
local function packet_of(self, row, number)
  local request = rows.request(self.authority, row)
  local is_issue = row.kind == "issue"
  local plan = is_issue and rows.plan(row, request.csr) or {}
  local certificate = not is_issue and record.rows(self.authority.ledger, "certificate_get",
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

local failures <const> = lines.new "order failed"

--- Have the backend ask. The row says that it was asked, on disk.
local function ask(self, ca, id)
  local row = rows.get(self.authority, id)
  if not row or row.state ~= "asked" then return end
  ca.running = ca.running + 1
  self.number, self.asking[row.id] = self.number + 1, true
  local entry = { row = row, ca = ca, number = self.number }
  self.under_way[entry.number] = entry
  if not self.is_up then return settle(self, entry, { outcome = "away", detail = "no backend" }) end
  local packet, problem = packet_of(self, row, entry.number)
  if not packet then return settle(self, entry, { outcome = "failed", detail = problem }) end
  if not self.channel:send(packet) then
    return settle(self, entry, { outcome = "away", detail = "the backend is busy" })
  end
  entry.timer = core.loop.timer(lease_of(ca) * 1000, function()
    settle(self, entry, { outcome = "unknown", detail = "the backend says nothing" })
  end)
end

local function backoff_s(tries)
  return math.min(1 << math.min(math.max(tries, 1) - 1, 12), BACKOFF_MOST_S)
end

-- ---- outcomes, each within a unit

local on <const> = {}

--- The CA may have issued, and it is not known what.
function on.unknown(self, ca, row, outcome)
  local authority = self.authority
  if row.kind == "issue" and not ca.options.repeats then
    return rows.close(authority, row, "lost", outcome.detail)
  end
  rows.put_off(authority, row, { state = "asked", problem = outcome.detail,
    next_at = authority.clock() + backoff_s(row.tries) })
end

--- The CA was not asked.
function on.away(self, ca, row, outcome)
  local authority, now = self.authority, self.authority.clock()
  ca.failures = ca.failures + 1
  local wait = backoff_s(ca.failures)
  ca.away_until, ca.is_behind = now_ms() + wait * 1000, true
  local label = authority.config.labels[row.label]
  -- What it was asked before, it may have done.
  local is_kept = row.kind == "revoke" or row.doubt == 1 or label and label.when_away == "hold"
  if not is_kept then return rows.close(authority, row, "away", outcome.detail) end
  rows.put_off(authority, row, { state = "held", next_at = now + wait, problem = outcome.detail })
end

function on.later(self, _, row, outcome)
  local authority = self.authority
  local wait = math.max(1, outcome.retry_after or 60)
  rows.put_off(authority, row, { state = "later", next_at = authority.clock() + wait,
    retry_after = wait, note = outcome.note, problem = outcome.detail })
end

function on.refused(self, _, row, outcome)
  rows.close(self.authority, row, "refused", outcome.detail)
end

function on.failed(self, _, row, outcome)
  rows.close(self.authority, row, "failed", outcome.detail)
end

function on.revoked(self, _, row)
  rows.close(self.authority, row, "revoked")
end

--- Whether the ledger has a certificate already: then it is another order's.
local function is_known(authority, row, cert)
  return record.rows(authority.ledger, "certificate_get",
    { serial = cert.serial, issuer = row.issuer })[1] ~= nil
end

function on.issued(self, ca, row, outcome)
  local authority = self.authority
  local request = rows.request(authority, row)
  local plan = rows.plan(row, request.csr)
  local cert, problem = foreign.check(ca.issuer, plan, outcome.certificate or "", authority.clock())
  if cert and is_known(authority, row, cert) then
    cert, problem = nil, "it was issued for another request"
  end
  if not cert then return on.failed(self, ca, row, { detail = "the certificate: " .. problem }) end
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

-- What an operator should know.
local LOUD <const> = { failed = "error", lost = "error", away = "warning", expired = "error" }

local function log_end(row, outcome)
  if not LOUD[row.state] then return end
  failures:write(LOUD[row.state], { "id", row.request_id, "order", row.id, "ca", row.ca, "state",
    row.state, "message", lines.short(row.problem or outcome.detail or "") })
end

--- An outcome of the backend, or what stands for one.
function settle(self, entry, outcome)
  local ca, row = entry.ca, entry.row
  if not self.under_way[entry.number] then return end
  self.under_way[entry.number], self.asking[row.id] = nil, nil
  ca.running = ca.running - 1
  if entry.timer then entry.timer:close() end
  if outcome.outcome ~= "away" then ca.failures, ca.away_until = 0, nil end
  local kind = outcome.outcome
  if (kind == "issued") ~= (row.kind == "issue") and (kind == "issued" or kind == "revoked") then
    outcome = { outcome = "failed", detail = "the backend has answered something else" }
  end
  local ok, now = pcall(self.turn.unit, self.turn, function()
    local fresh = rows.get(self.authority, row.id)
    if not rows.is_open(fresh) then return fresh end
    on[outcome.outcome](self, ca, fresh, outcome)
    return rows.get(self.authority, row.id)
  end)
  if not ok then
    -- The row says "asked" still, and so it is asked again.
    return failures:write("error", { "id", row.request_id, "order", row.id, "message",
      tostring(now) })
  end
  log_end(now, outcome)
  tell(self, now)
  if ca.is_behind then self:soon() end
end

-- ---- the pump

--- End what is over, within a unit. True: the order may be asked.
local function may_ask(self, ca, row)
  local authority = self.authority
  if row.expires <= authority.clock() then
    rows.close(authority, row, "expired", row.problem)
  elseif row.kind == "issue" and row.state == "asked" and not ca.options.repeats then
    rows.close(authority, row, "lost", "a process ended while the CA was asked")
  else
    local problem = row.kind == "issue"
      and rows.vetoed(authority, row, rows.request(authority, row))
    if not problem then return rows.claim(authority, row, lease_of(ca)) end
    rows.close(authority, row, "refused", problem)
  end
  return false
end

--- Claim an order and ask once that is on disk.
local function take(self, ca, row)
  local ok, may = pcall(self.turn.unit, self.turn, may_ask, self, ca, row)
  if not ok then error(may, 0) end
  if not may then
    local over = rows.get(self.authority, row.id)
    log_end(over, {})
    if not rows.is_open(over) then tell(self, over) end
    return
  end
  self.asking[row.id] = true
  self.turn:when_durable(function(durable)
    self.asking[row.id] = nil
    if durable then ask(self, ca, row.id) end
  end)
end

--- How many orders a CA may be asked now.
local function room(ca)
  local free = ca.options.at_once - ca.running
  if not ca.away_until then return free end
  return now_ms() >= ca.away_until and math.min(free, 1) or 0
end

local function pump_ca(self, ca)
  local authority = self.authority
  local free, now = room(ca), authority.clock()
  if free <= 0 then return end
  local due = record.rows(authority.ledger, "order_due",
    { ca = ca.name, now = now, limit = free + 1 })
  ca.is_behind = #due > free or ca.away_until ~= nil and due[1] ~= nil
  for i = 1, math.min(#due, free) do
    if not self.asking[due[i].id] then
      if ca.rate:take "all" then
        ca.is_behind = true
        return
      end
      take(self, ca, due[i])
    end
  end
end

--- Look for what is due.
function Orders:pump()
  if self.is_stopping or not self.is_up then return end
  for _, ca in pairs(self.cas) do
    local ok, problem = pcall(pump_ca, self, ca)
    if not ok then failures:write("error", { "ca", ca.name, "message", tostring(problem) }) end
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

--- Ask for nothing more, and wait a little for what the backend has.
function Orders:stop()
  self.is_stopping = true
  if self.ticker then self.ticker:close() end
  local late = false
  local timer <close> = core.loop.timer(STOP_MS, function() late = true end) -- luacheck: ignore 211
  while next(self.under_way) and not (late or self.turn.failed) do core.loop.turn() end
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

-- ---- the channel

local function lose(self)
  self.channel, self.is_up = nil, false
  for _, entry in pairs(self.under_way) do
    settle(self, entry, { outcome = "unknown",
      detail = "the backend ended while the CA was asked" })
  end
end

--- A channel to the backend, in place of the one before.
---@param socket lest.channel
function Orders:take(socket)
  if self.channel then
    self.channel:close()
    lose(self)
  end
  self.channel = socket
  socket:on_message(function(packet)
    local received, problem = message.decode(packet, OUTCOMES)
    if not received then
      core.log.write("error", "bad message of the backend", { "message", problem })
      socket:close()
      return lose(self)
    end
    if received.type == "hello" then
      self.is_up = true
      return self:soon()
    end
    local entry = self.under_way[received.number]
    if entry then settle(self, entry, received) end
  end)
  socket:on_close(function()
    if self.channel == socket then lose(self) end
  end)
end

-- ---- requests

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
    next_at = is_asked and now + lease_of(ca) or now })
  if is_asked then
    self.asking[order.id] = true
    self.turn:when_durable(function(durable)
      self.asking[order.id] = nil
      if durable then ask(self, ca, order.id) end
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
function Orders:answer(order, reply)
  self.turn:when_durable(function(durable)
    if not durable then
      return reply { status = 503, reason = "the ledger cannot be written now", retry_after = 5 }
    end
    local ok, problem = pcall(function()
      local ca, row = self.cas[order.ca], rows.get(self.authority, order.id)
      local is_due = rows.is_open(row) and row.next_at <= self.authority.clock() and self.is_up
        and ca and not ca.away_until
      if self.asking[row.id] or is_due then
        self:soon()
        return await(self, row.id, reply)
      end
      reply(answer_of(self, row))
    end)
    if ok then return end
    failures:write("error", { "order", order.id, "message", tostring(problem) })
    reply { status = 503, reason = "the ledger cannot be read now", retry_after = 5 }
  end)
end

return M
