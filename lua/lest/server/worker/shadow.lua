--- A label's shadow: a second policy that sees the requests once they are answered, and decides
--- nothing. What it says goes to the ledger, for `lest policy shadow`.
---
---   worker.shadows = shadows.new(worker)
---   worker.shadows:take(request)         -- after its answer
---
--- It costs no request more than a short turn of the loop: so many requests wait for it and no
--- more, it runs in slices between others' turns, for a short time in all, within a decision's
--- memory, and a busy loop drops what waits. One that runs out of time or memory rests. Its
--- failures are its own, and it issues nothing: what it says is no `finish`, and has no handle.
local core = require "lest.core"
local decision = require "lest.server.worker.decision"
local journals = require "lest.policy.journal"
local lines = require "lest.server.wire.lines"
local message = require "lest.server.wire.message"
local meters = require "lest.server.wire.meters"
local recorded = require "lest.policy.recorded"
local task = require "lest.task"
local view = require "lest.server.worker.view"

local M = {}

local WAITING_MAX <const>, UNDER_WAY_MAX <const> = 32, 4
local SECONDS <const>, SLICE_MS <const> = 2, 2
-- The answer is written in the turn that follows it; a loop that is so late then is busy.
local AFTER_MS <const>, LATE_MS <const> = 2, 250
local REST_MS <const> = 10000

-- Locals: a policy may put something else into a module.
local new_journal <const>, calls_of <const> = journals.new, journals.calls
local undecidable <const> = journals.undecidable

-- What may be asked again since that changes nothing. `history` and `rate` are the authority's: a
-- request counts once.
local function always() return true end
local ASKED_AGAIN <const> = {
  csv = always, sqlite = always,
  http = function(question) return question:find "^GET " or question:find "^HEAD " end,
}

local SHADOWS <const> = core.meter.names.shadows
local RESULTS <const> = meters.shadows.places

local function count(request, result)
  core.meter.add(SHADOWS, 1, request.label.number, RESULTS[result])
end

---@class lest.worker.shadows
---@field worker lest.worker
---@field waiting lest.worker.request[] the oldest first
---@field under_way integer
---@field rests_until table<string, integer> monotonic ms by label
---@field late_ms integer
local Shadows = {}
Shadows.__index = Shadows

---@param worker lest.worker
---@return lest.worker.shadows
function M.new(worker)
  return setmetatable({ worker = worker, waiting = {}, under_way = 0, rests_until = {},
    late_ms = LATE_MS }, Shadows)
end

local function is_resting(self, request)
  return core.clock.monotonic_ms() < (self.rests_until[request.label.name] or 0)
end

--- A request is answered: its label's shadow may have it.
---@param request lest.worker.request with what its policy has seen, in `decided`
function Shadows:take(request)
  if #self.waiting >= WAITING_MAX or is_resting(self, request) then
    return count(request, "dropped")
  end
  table.insert(self.waiting, request)
  self:go_on()
end

--- Begin with the next one, if there is room, in a turn of its own.
function Shadows:go_on()
  if self.timer or not self.waiting[1] or self.under_way >= UNDER_WAY_MAX then return end
  local due_ms = core.clock.monotonic_ms() + AFTER_MS
  self.timer = core.loop.timer(AFTER_MS, function()
    self.timer = nil
    if core.clock.monotonic_ms() > due_ms + self.late_ms then
      for _, request in ipairs(self.waiting) do count(request, "dropped") end
      self.waiting = {}
      return
    end
    self:start(table.remove(self.waiting, 1))
    self:go_on()
  end)
end

--- What the shadow learns from outside: what the policy was told where it asked the same, else what
--- may be asked again.
local function source_of(decided, noted)
  local answers
  return function(kind, question, ask)
    answers = answers or recorded.new(calls_of(decided.journal))
    local found, answer, err = answers:find(kind, question)
    if found then return answer, err end
    local may_ask = ASKED_AGAIN[kind]
    if may_ask and may_ask(question) then return ask() end
    noted.missing = noted.missing or ("%s %s"):format(kind, question)
    return undecidable(kind, question)
  end
end

local function decide(self, request)
  local label, decided = request.label, request.decided
  local noted, config = {}, self.worker.config.limits
  local started_us = core.clock.monotonic_us()
  local verdict = decision.run(label.shadow.hooks[request.row.hook], view.new(decided.facts), {
    seconds = math.min(SECONDS, config.decision), memory = config.decision_memory,
    slice_ms = SLICE_MS, on_step = function() core.process.beat("shadow of " .. request.id) end,
    on_limit = function(limit) noted.limit = limit end,
    journal = new_journal { outside = source_of(decided, noted), keeps_answers = false },
  }, label.options.profiles)
  noted.duration_us = core.clock.monotonic_us() - started_us
  return verdict, noted
end

--- The message of what it said; nil where the authority would take none such.
local function packet_of(request, verdict, noted)
  local fields = decision.fields(verdict)
  fields.type, fields.id = "shadow", request.id
  fields.policy_file, fields.policy_hash = request.label.shadow.file, request.label.shadow.hash
  fields.rule = decision.rule_of(verdict, request.label.shadow.hooks[request.row.hook])
  fields.missing = noted.missing and decision.text(noted.missing)
  fields.duration_us = noted.duration_us
  fields.facts, fields.expires, fields.needed, fields.retry_after = nil, nil, nil, nil
  return message.encode(fields)
end

local failures <const> = lines.new "shadow failed"

local function fail(request, text)
  count(request, "failed")
  failures:write("warning", { "id", request.id, "policy", request.label.shadow.file, "message",
    text })
end

-- Decide, and tell the authority.
local function run(self, request)
  local verdict, noted = decide(self, request)
  local limit = noted.limit
  if limit and (limit.expired or limit.exhausted) then
    self.rests_until[request.label.name] = core.clock.monotonic_ms() + REST_MS
  end
  local packet, problem = packet_of(request, verdict, noted)
  if not packet then return fail(request, problem) end
  if noted.missing then count(request, "not decidable")
  elseif verdict.verdict == "error" then fail(request, lines.short(verdict.detail))
  else count(request, "decided") end
  self.worker.authority:tell(packet, request.channel)
end

--- Begin with a request.
---@param request lest.worker.request
function Shadows:start(request)
  self.under_way = self.under_way + 1
  task.start({ quiet = true }, function()
    local ok, problem = pcall(run, self, request)
    if not ok then fail(request, lines.short(tostring(problem))) end
    core.process.beat(nil)
    self.under_way = self.under_way - 1
    request.decided = nil
    self:go_on()
  end)
end

return M
