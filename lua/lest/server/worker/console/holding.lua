--- A request that an operator looks at while it is decided. It is parked where a break asks for it,
--- in its own coroutine, and goes on by its own rules as soon as nobody holds it: when the prompt
--- goes away, and before the answer is due.
local core = require "lest.core"
local frames = require "lest.server.worker.console.frames"
local task = require "lest.task"
local terminal = require "lest.base.terminal"

local M = {}

-- Raised in a policy whose decision is given up for another. Its verdict counts for nothing.
local GIVEN_UP <const> = "the operator has given up this decision"
local STEPS_MAX <const> = 200
-- Bytes of what a test saw.
local SAW_MAX <const> = 200

---@class lest.console.holding
---@field request lest.worker.request
---@field seen table what the policy sees
---@field policy table its hooks, file and hash: that of the label, or one for this request only
---@field session? lest.console.session who holds it
---@field is_free? boolean it was let go for good
---@field place? { at: "start"|"rule"|"outside"|"verdict", name?: string } where it is parked
---@field verdict? table that is pending
---@field answered? table the operator's verdict
local Holding = {}
Holding.__index = Holding

---@param parking lest.console.parking
---@param request lest.worker.request
---@param seen table
---@return lest.console.holding
function M.new(parking, request, seen)
  return setmetatable({
    parking = parking, request = request, seen = seen, policy = request.label.policy,
    started_us = core.clock.monotonic_us(), is_stepping = false, steps = {}, told = 0, left_out = 0,
  }, Holding)
end

-- A step of the journal as the prompt shows it.
local function line_of(event)
  local outcome = event.outcome or event.err ~= nil and "error" or "answered"
  local saw = event.saw
  saw = (type(saw) == "string" or math.type(saw) == "integer")
    and ", saw " .. terminal.line(tostring(saw), SAW_MAX) or ""
  return ("%s%s %s: %s%s (%d us)"):format(("  "):rep(math.min(event.depth, 20)), event.kind,
    tostring(event.name or event.question), tostring(outcome), saw, event.us or 0)
end

local function note(self, event)
  if #self.steps >= STEPS_MAX then
    self.left_out = self.left_out + 1
  else
    self.steps[#self.steps + 1] = line_of(event)
  end
end

-- The lines that the prompt was not told yet.
local function news(self)
  local lines = table.move(self.steps, self.told + 1, #self.steps, 1, {})
  self.told = #self.steps
  return lines
end

--- What the prompt shows of it.
---@return table
function Holding:describe()
  local place, request, verdict = self.place or {}, self.request, self.verdict or {}
  return { id = request.id, principal = request.who, operation = request.operation,
    label = request.label.name, at = place.at, name = place.name, verdict = verdict.verdict,
    rule = verdict.rule, reason = verdict.reason }
end

-- Tell who holds it, and a statement that waits for what becomes of it.
local function tell(self, event)
  if self.session then self.session:tell(event) end
  local on_change = self.on_change
  self.on_change = nil
  if on_change then on_change(event) end
end

--- Wait for its next stop, its end, or the loss of it.
---@return table event as the prompt is told
function Holding:await_change()
  return task.await(function(callback)
    self.on_change = callback
    return { close = function() self.on_change = nil end }
  end)
end

-- Wait until it may go on.
local function wait(self, release_ms)
  local due = core.loop.timer(math.max(0, release_ms - core.clock.monotonic_ms()), function()
    self:release "its answer is due soon"
  end)
  local closing <close> = setmetatable({}, { __close = function() -- luacheck: ignore 211
    due:close()
    if self.waking then self.waking:close() end
    self.parking:leave(self)
    self.place, self.co, self.wake, self.waking = nil, nil, nil, nil
  end })
  task.await(function(callback)
    self.wake = callback
    return { close = function() self:lose "it has ended" end }
  end)
end

--- Park here until it may go on. The decision's time stands still meanwhile, the answer's does not.
---@param place table
function Holding:park(place)
  local release_ms, since = self.parking:release_ms(self.request), core.clock.monotonic_ms()
  if not coroutine.isyieldable() or since >= release_ms or not self.parking:enter(self) then
    if not self.was_parked then self.session = nil end
    return
  end
  self.was_parked = true
  local limit = self.limit
  local deadline_ms = limit and limit.deadline_ms
  if limit then limit:defer(math.max(deadline_ms, release_ms + 1000)) end
  self.place, self.co, self.is_stepping = place, coroutine.running(), false
  tell(self, { event = "parked", number = self.number, request = self:describe(),
    steps = news(self) })
  wait(self, release_ms)
  if limit then limit:defer(deadline_ms + core.clock.monotonic_ms() - since) end
end

--- Let it go on, to its next stop where it is stepped through. It does so in a turn of its own.
---@param is_stepping boolean
function Holding:go_on(is_stepping)
  self.is_stepping = is_stepping
  local wake = self.wake
  self.wake = nil
  if wake then self.waking = core.loop.timer(0, function() wake() end) end
end

--- Nobody holds it any more.
---@param why string
function Holding:lose(why)
  if self.is_free then return end
  self.is_free = true
  tell(self, { event = "released", id = self.request.id, reason = why })
  self.session = nil
end

--- Its own rules decide, from their beginning where another policy was tried on it.
---@param why string
function Holding:release(why)
  self:lose(why)
  if self.policy ~= self.request.label.policy then
    self.policy, self.is_given_up = self.request.label.policy, true
  end
  self:go_on(false)
end

--- Decide with another policy, this request only, and stop at its first rule.
---@param policy table
function Holding:try(policy)
  self.policy, self.is_given_up = policy, true
  self:go_on(true)
end

--- Answer with a verdict of the operator's.
---@param verdict table as M.of_operator makes it
function Holding:answer(verdict)
  self.answered = verdict
  self:go_on(false)
end

local function stops(self, at, name)
  if self.is_free then return false end
  return self.is_stepping or self.parking:claims(self, at, name)
end

local function is_over(self)
  return self.is_given_up or self.answered ~= nil
end

--- What the journal calls before and after each step.
---@param event lest.journal.event
function Holding:watch(event)
  if event.at == "after" then return note(self, event) end
  if event.kind == "test" then return end
  local at, name = event.kind == "rule" and "rule" or "outside", event.name or event.question
  if stops(self, at, name) then self:park { at = at, name = name } end
  if is_over(self) then error(GIVEN_UP, 0) end
end

--- Its decision, with the stops that were asked for.
---@param run fun(policy: table, holding: lest.console.holding): table
---@return table verdict
---@return table policy the one that decided
function Holding:decide(run)
  if stops(self, "start") then self:park { at = "start" } end
  local verdict
  while not self.answered do
    self.is_given_up, self.verdict = false, nil
    verdict = run(self.policy, self)
    self.limit = nil
    if not is_over(self) then
      self.verdict = verdict
      if stops(self, "verdict", verdict) then self:park { at = "verdict" } end
    end
    if not is_over(self) then break end
  end
  verdict = self.answered or verdict
  self.parking:tell_traces(self, verdict)
  tell(self, { event = "decided", id = self.request.id, verdict = verdict.verdict,
    rule = verdict.rule, reason = verdict.reason, steps = news(self) })
  self.is_free, self.session = true, nil
  return verdict, self.answered and self.request.label.policy or self.policy
end

--- The functions of the policy that it is in, the innermost first.
---@return table[] frames
function Holding:frames()
  return self.co and frames.of(self.co, self.policy.file) or {}
end

--- The variables around the policy's functions, by name.
---@return table<string, any>
function Holding:around()
  local hook = self.policy.hooks[self.request.row.hook]
  return hook and frames.around(hook, self.policy.file) or {}
end

--- The operator's verdict, which says whose it is wherever it is kept.
---@param verdict table of lest.policy
---@param who string
---@return table
function M.of_operator(verdict, who)
  local said = "answered at the console by " .. who
  verdict.detail = verdict.detail and ("%s\n%s"):format(said, verdict.detail) or said
  verdict.rule = "operator"
  if verdict.verdict == "approve" then
    local facts = {}
    for key, value in next, verdict.facts or {} do facts[key] = value end
    facts.operator = who
    verdict.facts = facts
  end
  return verdict
end

return M
