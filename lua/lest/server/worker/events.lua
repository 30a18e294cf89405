--- What happened, told to the hooks `issued` and `revoked` of a label's policies. The authority
--- chooses who is told what, and how much at once; a hook runs as a decision does, within its time
--- and memory, in slices between the turns of requests.
---
---   events.start(worker)   -- before there is a channel
---
--- A hook that raises, or returns nil and a reason, is called again later; anything else is done.
local core = require "lest.core"
local decision = require "lest.server.worker.decision"
local json = require "lest.json"
local message = require "lest.server.wire.message"
local task = require "lest.task"
local terminal = require "lest.base.terminal"
local view = require "lest.server.worker.view"

local M = {}

local SLICE_MS <const>, AFTER_MS <const> = 2, 2
local PROBLEM_MAX <const> = 900
-- Of what a hook gives as its reason: a table may be anything.
local SHOWN_MAX <const> = 200

--- What a hook is called with, as view.event takes it.
local function facts_of(event)
  return {
    id = event.id, kind = event.kind, time = event.time, try = event.try, label = event.label,
    certificate = assert(core.cert.parse(event.certificate)), principal = event.principal,
    device = event.device, operation = event.operation, profile = event.profile,
    request_id = event.request_id, renews = event.renews, facts = event.facts,
    reason = event.reason, by = event.operator,
  }
end

-- A reason in words, whatever a hook gives as one; none of it runs here.
local function words_of(reason)
  if type(reason) == "string" then return reason end
  if core.error.is(reason) then return tostring(reason) end
  if type(reason) == "table" and not getmetatable(reason) then
    return json.line(reason):sub(1, SHOWN_MAX)
  end
  return ("a %s"):format(type(reason))
end

---@class lest.event.bounds
---@field seconds integer
---@field memory integer bytes
---@field slice_ms? integer
---@field on_step? function
---@field journal? lest.journal

--- Call a hook with an event.
---@param hook function
---@param facts table as of view.event
---@param bounds lest.event.bounds
---@return boolean heard
---@return string|nil problem why it is to be called again
function M.call(hook, facts, bounds)
  local ok, result, _, reason = decision.call(hook, view.event(facts), bounds)
  if not ok then return false, result end
  if (result == nil or result == false) and reason ~= nil then
    local said, words = pcall(words_of, reason)
    return false, decision.at(hook, said and words or "no reason in words")
  end
  return true
end

local function find(worker, event)
  local label = worker.labels[event.label]
  for _, each in ipairs(label and label.policy.listeners or {}) do
    if each.name == event.policy then return each[event.kind] end
  end
end

local function hear(worker, event)
  local hook = find(worker, event)
  if not hook then return "the policy has no such hook" end
  local config = worker.config.limits
  local heard, problem = M.call(hook, facts_of(event), {
    seconds = config.decision, memory = config.decision_memory, slice_ms = SLICE_MS,
    on_step = function() core.process.beat(event.id) end,
  })
  return not heard and problem or nil
end

local function run(worker, event, channel)
  task.start({ quiet = true }, function()
    local ok, problem = pcall(hear, worker, event)
    core.process.beat(nil)
    if not ok or problem then
      problem = terminal.line(decision.text(tostring(problem):match "^[^\n]*"), PROBLEM_MAX)
    end
    worker.authority:tell(assert(message.encode { type = "heard", number = event.number,
      problem = problem }), channel)
  end)
end

-- Which hooks there are: the authority writes of nothing else.
local function tell_hooks(worker, channel)
  for name, label in pairs(worker.labels) do
    for _, each in ipairs(label.policy.listeners) do
      worker.authority:tell(assert(message.encode { type = "listens", label = name,
        policy = each.name, issued = each.issued ~= nil, revoked = each.revoked ~= nil }), channel)
    end
  end
  worker.authority:tell(assert(message.encode { type = "hello" }), channel)
end

--- Tell each authority what there is to be told, and hear what it tells.
---@param worker lest.worker
function M.start(worker)
  local link = worker.authority
  link.on_hello = function(channel) tell_hooks(worker, channel) end
  link.on_event = function(event, channel)
    core.loop.timer(AFTER_MS, function() run(worker, event, channel) end)
  end
end

return M
