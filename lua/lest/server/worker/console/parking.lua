--- What operators asked of the decisions to come: breaks, which park a request, and traces, which
--- tell of it. A bounded number is parked at a time; all others go on, and are counted.
local core = require "lest.core"
local filter = require "lest.server.worker.console.filter"
local holding = require "lest.server.worker.console.holding"

local M = {}

--- How many requests one worker lets be parked, and of its share of those under way at most half.
local PARKED_MAX <const> = 8
-- Of breaks and traces of one session.
local WANTED_MAX <const> = 32

---@class lest.console.parking
---@field parked integer
---@field passed_by integer requests that a break was for, when no more could be parked
local Parking = {}
Parking.__index = Parking

---@param limits { answer: integer, decision: integer, share: integer } seconds, and the requests
--- that this worker lets be under way
---@return lest.console.parking
function M.new(limits)
  return setmetatable({
    most = math.max(1, math.min(PARKED_MAX, limits.share // 2)),
    -- Its own rules still get the time of a decision before the answer is due.
    hold_ms = math.max(limits.answer - limits.decision, limits.answer // 2) * 1000,
    parked = 0, passed_by = 0, breaks = {}, traces = {},
    holdings = setmetatable({}, { __mode = "k" }),
  }, Parking)
end

local function add(list, session, wanted)
  local own = 0
  for _, each in ipairs(list) do own = own + (each.session == session and 1 or 0) end
  if own >= WANTED_MAX then return nil, ("at most %d at a time"):format(WANTED_MAX) end
  wanted.session = session
  list[#list + 1] = wanted
  return true
end

--- Park the next requests that are wanted: as many as its `times`.
function Parking:add_break(session, wanted)
  return add(self.breaks, session, wanted)
end

function Parking:add_trace(session, wanted)
  return add(self.traces, session, wanted)
end

local function remove(list, session, number)
  for i = #list, 1, -1 do
    local each = list[i]
    if each.session == session and (not number or each.number == number) then
      table.remove(list, i)
    end
  end
end

--- Forget what a session asked for; what it holds it keeps.
---@param session lest.console.session
---@param what? "breaks"|"traces" absent: both
---@param number? integer only the break that its terminal calls so
function Parking:clear(session, what, number)
  if what ~= "traces" then remove(self.breaks, session, number) end
  if what ~= "breaks" then remove(self.traces, session) end
end

--- The end of a session, or of all: what it holds goes on by its own rules.
---@param session? lest.console.session
---@param why string
function Parking:release(session, why)
  for each in pairs(self.holdings) do
    if each.session and (not session or each.session == session) then each:release(why) end
  end
end

local function any(list, request)
  for _, wanted in ipairs(list) do
    if filter.matches(wanted, request) then return true end
  end
  return false
end

--- Whether an operator may want to see this request: nil where nobody does, which costs a look at
--- two empty lists.
---@param request lest.worker.request
---@param seen table
---@return lest.console.holding|nil
function Parking:look_at(request, seen)
  if not (any(self.breaks, request) or any(self.traces, request)) then return nil end
  local held = holding.new(self, request, seen)
  self.holdings[held] = true
  return held
end

-- Whether a break stops a request here.
local function is_for(wanted, at, what)
  if wanted.verdict then
    return at == "verdict" and what.verdict == wanted.verdict and filter.has_rule(wanted, what.rule)
  elseif wanted.rule then
    return at == "rule" and filter.has_rule(wanted, what)
  end
  return at == "start"
end

--- Whether a break of somebody stops it here; it is then theirs.
---@param held lest.console.holding
---@param at string
---@param what any the rule's name, or the verdict
---@return boolean
function Parking:claims(held, at, what)
  for _, wanted in ipairs(self.breaks) do
    local can = held.session == nil or held.session == wanted.session
    if can and is_for(wanted, at, what) and filter.matches(wanted, held.request) then
      held.session, held.by = wanted.session, wanted
      return true
    end
  end
  return false
end

--- Take a place for one that parks.
---@return boolean
function Parking:enter(held)
  local by = held.by
  held.by = nil
  if self.parked >= self.most then
    self.passed_by = self.passed_by + 1
    held.session:tell_full(self.passed_by)
    return false
  end
  self.parked = self.parked + 1
  held.number = by and by.number
  if not by then return true end
  by.times = by.times - 1
  if by.times > 0 then return true end
  for i, each in ipairs(self.breaks) do
    if each == by then table.remove(self.breaks, i) break end
  end
  return true
end

function Parking:leave()
  self.parked = self.parked - 1
end

--- When a parked request must go on, in milliseconds of the monotonic clock.
---@param request lest.worker.request
---@return integer
function Parking:release_ms(request)
  return request.delivered_ms + self.hold_ms
end

--- Tell who traces of a decision that is over.
---@param held lest.console.holding
---@param verdict table
function Parking:tell_traces(held, verdict)
  local request = held.request
  for _, wanted in ipairs(self.traces) do
    if filter.matches(wanted, request) and filter.has_rule(wanted, verdict.rule)
      and (not wanted.verdict or wanted.verdict == verdict.verdict) then
      wanted.session:tell { event = "decision", id = request.id, principal = request.who,
        label = request.label.name, operation = request.operation, verdict = verdict.verdict,
        rule = verdict.rule, reason = verdict.reason, steps = held.steps,
        more = held.left_out > 0 and held.left_out or nil,
        us = core.clock.monotonic_us() - held.started_us }
    end
  end
end

return M
