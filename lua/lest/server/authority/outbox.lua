--- What happened and a policy's hook is still to hear of: a row of the ledger, written with the
--- certificate or its revocation, and gone once a worker says that the hook has heard. So each is
--- told at least once, whichever process dies when; the hook may hear of it again.
---
---   outbox:issued(request, issuer, serial)   -- within the unit that issues
---   outbox:heard(channel, message)
---   outbox:lost(channel)
---
--- A try is a claim in the ledger that ends by itself, so that another authority, or this one's
--- successor, takes up what was under way. It leaves once the claim, and what it tells of, are on
--- disk. Nothing here is waited for by a request.
local core = require "lest.core"
local events = require "lest.server.ledger.outbox"
local json = require "lest.json"
local lines = require "lest.server.wire.lines"
local listeners = require "lest.server.authority.listeners"
local message = require "lest.server.wire.message"
local record = require "lest.server.authority.record"
local stranded = require "lest.server.authority.stranded"

local M = {}

-- What is new leaves soon, together with what else is; other processes' rows are looked for.
local SOON_MS <const>, TICK_MS <const> = 5, 1000
-- What no policy hears of any more is looked for so often.
local LATE_S <const> = 60
-- A hook's time, and what the messages take besides.
local MARGIN_S <const> = 5
local BACKOFF_MOST_S <const> = 3600
local NAME_MAX <const> = 1024
local PROBLEM_MAX <const> = 1000

---@class lest.authority.outbox
---@field turn lest.authority.turn
---@field listeners lest.authority.listeners
---@field keep integer seconds for which a hook is tried
---@field lease integer seconds that a try may take
---@field clock fun(): integer
---@field under_way table<integer, table> by number
local Outbox = {}
Outbox.__index = Outbox

---@param turn lest.authority.turn
---@param config table
---@param clock fun(): integer seconds since 1970
---@param workers integer
---@return lest.authority.outbox
function M.new(turn, config, clock, workers)
  return setmetatable({ turn = turn, ledger = turn.ledger, clock = clock,
    listeners = listeners.new(config, workers), stranded = stranded.new(turn.ledger, clock),
    keep = config.outbox.keep, lease = config.limits.decision + MARGIN_S,
    under_way = {}, number = 0, late_at = 0,
  }, Outbox)
end

local function now_ms() return core.clock.monotonic_ms() end

local function key_of(row, more)
  local key = { serial = row.serial, issuer = row.issuer, policy = row.policy, kind = row.kind }
  for name, value in pairs(more or {}) do key[name] = value end
  return key
end

--- A certificate is issued: within the unit that writes it.
---@param request lest.authority.request
---@param issuer string as the ledger has it
---@param serial string
function Outbox:issued(request, issuer, serial)
  local label = request.begin.label
  local wanting = self.listeners:of(label, "issued")
  for _, listener in ipairs(wanting) do
    record.run(self.ledger, "outbox_add", { kind = "issued", serial = serial, issuer = issuer,
      policy = listener.policy, label = label, time = self.clock() })
    self.listeners.due[listener] = true
  end
  if wanting[1] then self:wake() end
end

-- Who wants to hear of what an operator's command has written.
local function spread(self, rows)
  for _, row in ipairs(rows) do
    for _, listener in ipairs(self.listeners:of(row.label, row.kind)) do
      record.run(self.ledger, "outbox_add", { kind = row.kind, serial = row.serial,
        issuer = row.issuer, policy = listener.policy, label = row.label, time = row.time,
        operator = row.operator })
      self.listeners.due[listener] = true
    end
    record.run(self.ledger, "outbox_heard", key_of(row))
  end
end

-- ---- a try

--- What a hook is told: nil where there is no such certificate, or none that can be told of.
local function packet_of(self, row, number)
  local found = record.rows(self.ledger, "certificate_get",
    { serial = row.serial, issuer = row.issuer })[1]
  if not found then return nil, "there is no such certificate" end
  return message.encode { type = "event", id = events.id_of(row), number = number,
    kind = row.kind, label = row.label, policy = row.policy, time = row.time, try = row.tries + 1,
    certificate = found.der, device = #found.device <= NAME_MAX and found.device or nil,
    principal = { kind = found.principal_kind, name = found.principal_name:sub(1, NAME_MAX) },
    operation = found.operation, profile = found.profile, request_id = found.request_id,
    renews = found.renews, facts = json.decode(found.facts), operator = row.operator,
    reason = row.kind == "revoked" and found.revocation_reason or nil }
end

local function backoff_s(tries)
  local most = math.min(1 << math.min(tries - 1, 12), BACKOFF_MOST_S)
  return math.max(1, math.ceil(most * (1 + math.random()) / 2))
end

--- What has come after this is due.
local function follow(self, row)
  if row.kind ~= "issued" then return end
  record.run(self.ledger, "outbox_follow",
    { serial = row.serial, issuer = row.issuer, policy = row.policy, now = self.clock() })
end

--- The hook did not hear: another try later, or none any more. Within a unit.
local function put_off(self, row, tries, problem)
  problem = problem:sub(1, PROBLEM_MAX):gsub("[\xc0-\xff][\x80-\xbf]*$", "")
  if self.clock() - row.since < self.keep then
    record.run(self.ledger, "outbox_again", key_of(row,
      { next_at = self.clock() + backoff_s(tries), problem = problem }))
    return
  end
  if record.run(self.ledger, "outbox_give_up",
      key_of(row, { problem = problem, since = row.since })) == 0 then
    return
  end
  follow(self, row)
  core.meter.add(core.meter.names.given_up, 1)
  core.log.write("error", "event given up", { "id", events.id_of(row), "label", row.label,
    "policy", row.policy, "tries", tries, "message", lines.short(problem) })
end

--- Claim what a policy should hear of now; within a unit.
local function claim(self, listener, taken)
  local now = self.clock()
  for _, row in ipairs(record.rows(self.ledger, "outbox_due", { label = listener.label,
    policy = listener.policy, now = now, limit = listeners.room(listener, now_ms()) })) do
    local channel = self.listeners:pick(listener)
    if not channel then return end
    if record.run(self.ledger, "outbox_claim", key_of(row,
      { now = now, ["until"] = now + self.lease })) == 1 then
      self.number = self.number + 1
      local packet, problem = nil, "the policy has no such hook now"
      if listener.kinds[row.kind] then packet, problem = packet_of(self, row, self.number) end
      if packet then
        listeners.enter(listener, channel, now_ms())
        table.insert(taken, { number = self.number, row = row, listener = listener,
          channel = channel, packet = packet, is_late_at = now_ms() + self.lease * 1000 })
      else
        put_off(self, row, BACKOFF_MOST_S, problem)
      end
    end
  end
end

-- Rows of a statement; none where the ledger cannot be read now.
local function rows_of(self, statement, parameters)
  return self.ledger:rows(statement, parameters) or {}
end

--- Those of them for which something is due; the others are looked at no more until marked.
local function with_due(self, marked)
  local found, now = {}, self.clock()
  for _, listener in ipairs(marked) do
    local is_due = rows_of(self, "outbox_due", { label = listener.label, policy = listener.policy,
      now = now, limit = 1 })[1] ~= nil
    if is_due then table.insert(found, listener) end
    self.listeners.due[listener] = is_due or nil
  end
  return found
end

--- Mark all for whom anything waits; those for whom anything does longer than it can, and those
--- who do not listen.
local function mark_all(self)
  local at, ahead, deaf = { label = "", policy = "" }, {}, {}
  local most = self.clock() + BACKOFF_MOST_S + self.lease
  repeat
    at = rows_of(self, "outbox_next", { label = at.label, policy = at.policy })[1]
    if at and not self.listeners:mark(at.label, at.policy) and at.policy ~= "" then
      table.insert(deaf, at)
    end
    if at and at.last > most then table.insert(ahead, at) end
  until not at
  return ahead, most, deaf
end

--- The clock was set back: no event waits until it is there again.
local function take_back(self, ahead, most)
  for _, each in ipairs(ahead) do
    record.run(self.ledger, "outbox_ahead",
      { label = each.label, policy = each.policy, now = self.clock(), most = most })
  end
end

local function leave(self, taken, is_heard)
  self.under_way[taken.number] = nil
  self.listeners.due[taken.listener] = true
  listeners.leave(taken.listener, taken.channel, is_heard, now_ms())
end

local function send(durable, self, taken)
  for _, each in ipairs(taken) do
    self.under_way[each.number] = each
    if not durable then
      leave(self, each)
    elseif each.channel.closed then
      self:lost(each.channel)
    else
      each.channel.socket:send(each.packet)
    end
    each.packet = nil
  end
end

-- ---- at the loop

--- Do a step as one unit; where the ledger takes none of it, it is done later.
local function try(self, step, ...)
  local ok, problem = pcall(self.turn.unit, self.turn, step, self, ...)
  if not ok then core.log.write("warning", "outbox", { "message", tostring(problem) }) end
  return ok
end

local function claim_all(self, wanting, taken)
  for _, listener in ipairs(wanting) do claim(self, listener, taken) end
end

local function tell_stranded(self, deaf) self.stranded:tell(deaf) end

local function give_up_all(self, rows)
  for _, row in ipairs(rows) do
    put_off(self, row, row.tries, row.problem or events.NO_HOOK)
  end
end

--- What has waited for too long: also what is of a label or a policy that is no more.
local function give_up_late(self)
  local now = self.clock()
  if now - self.late_at < LATE_S and now >= self.late_at then return end
  self.late_at = now
  local rows = rows_of(self, "outbox_late", { before = now - self.keep, now = now })
  if rows[1] then try(self, give_up_all, rows) end
end

local function expire(self)
  for _, taken in pairs(self.under_way) do
    if now_ms() > taken.is_late_at then leave(self, taken, false) end
  end
end

--- Give workers what they may have.
function Outbox:pump()
  if self.is_stopped or self.turn:state() ~= "ok" then return end
  expire(self)
  if not self.listeners.is_known then return end
  local new = rows_of(self, "outbox_new")
  if new[1] then try(self, spread, new) end
  give_up_late(self)
  local wanting, taken = with_due(self, self.listeners:ready(now_ms())), {}
  if not wanting[1] then return end
  if try(self, claim_all, wanting, taken) then
    if taken[1] then self.turn:when_durable(send, self, taken) end
  else
    for _, each in ipairs(taken) do leave(self, each) end
  end
end

--- Look soon.
function Outbox:wake()
  self.soon = self.soon or core.loop.timer(SOON_MS, function()
    self.soon = nil
    self:pump()
  end)
end

--- Look at all that waits, also what other processes have written.
function Outbox:look()
  if not self.is_stopped and self.turn:state() == "ok" then
    local ahead, most, deaf = mark_all(self)
    if ahead[1] then try(self, take_back, ahead, most) end
    if deaf[1] and self.listeners.is_complete then try(self, tell_stranded, deaf) end
  end
  self:pump()
end

--- Do so now and then, from now on.
function Outbox:start()
  self:look()
  self.ticker = core.loop.timer(TICK_MS, function() self:start() end)
end

--- The end: what is under way is taken up by another authority.
function Outbox:stop()
  self.is_stopped = true
end

-- ---- workers

local bad_events <const>, unheard <const> = lines.new "bad event", lines.new "event not heard"

--- A worker has a policy with hooks.
---@param channel lest.authority.channel
---@param listens table the message
function Outbox:listens(channel, listens)
  if not self.listeners:add(channel, listens) then
    bad_events:write("warning", { "worker_pid", channel.pid, "message", "no such policy" })
  end
end

--- A worker has said all of its hooks.
---@param channel lest.authority.channel
function Outbox:hello(channel)
  self.listeners:complete(channel)
  self:wake()
end

local function close(self, taken, problem)
  if problem then return put_off(self, taken.row, taken.row.tries + 1, problem) end
  record.run(self.ledger, "outbox_heard", key_of(taken.row))
  follow(self, taken.row)
end

--- What became of an event.
---@param channel lest.authority.channel
---@param heard { number: integer, problem?: string }
function Outbox:heard(channel, heard)
  local taken = self.under_way[heard.number]
  if not taken and heard.number <= self.number then return end -- it is late
  if not taken or taken.channel ~= channel then
    return bad_events:write("warning", { "worker_pid", channel.pid, "message", "nobody asked" })
  end
  leave(self, taken, heard.problem == nil)
  try(self, close, taken, heard.problem)
  local row = taken.row
  local fields = { "id", events.id_of(row), "label", row.label, "policy", row.policy, "try",
    row.tries + 1, "message", lines.short(heard.problem) }
  if heard.problem then unheard:write("warning", fields)
  else core.log.write("info", "event heard", fields) end
  self:wake()
end

--- A worker is no more: others get what it had.
---@param channel lest.authority.channel
function Outbox:lost(channel)
  self.listeners:drop(channel)
  for _, taken in pairs(self.under_way) do
    if taken.channel == channel then
      leave(self, taken)
      if not self.is_stopped then try(self, close, taken, "the worker ended meanwhile") end
    end
  end
end

--- How many events wait, no more than can be counted at a look, and for how long the oldest does.
---@return integer count
---@return integer seconds
function Outbox:depth()
  local row = rows_of(self, "outbox_depth", { most = 100000 })[1]
  local oldest = row and row.oldest
  return row and row.count or 0, oldest and math.max(0, self.clock() - oldest) or 0
end

return M
