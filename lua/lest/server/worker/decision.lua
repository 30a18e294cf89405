--- One decision of a policy: a hook run within its limits of time and memory.
---
---   local verdict = decision.run(hook, request, { seconds = 10, memory = 64 * 1024 * 1024 })
---
--- Whatever goes wrong is the verdict "error", whose detail is for the log: nothing is issued.
local core = require "lest.core"
local journals = require "lest.policy.journal"
local json = require "lest.json"
local list = require "lest.base.list"
local policy = require "lest.policy"
local refusal = require "lest.server.wire.refusal"
local rule = require "lest.policy.rule"
local schema = require "lest.base.schema"
local stop = require "lest.policy.stop"
local task = require "lest.task"
local verdicts = require "lest.policy.verdicts"

local M = {}

local DETAIL_MAX <const> = 8000

-- The most of a table that was raised as an error, and the time in which an object says what it is.
local SHOWN_MAX <const> = 200
local DESCRIBE_S <const> = 1

--- What a policy raised, in words: it may be anything, and its __tostring may do anything.
---@param problem any
---@return string
function M.describe(problem)
  if policy.is_verdict(problem) then
    return ("a verdict was raised as an error: write `return policy.%s ...`"):format(
      tostring(problem.verdict))
  elseif problem == nil then
    return "error() was called without a message"
  elseif type(problem) == "table" and not getmetatable(problem) then
    return "a table was raised as an error: " .. json.line(problem):sub(1, SHOWN_MAX)
  end
  return tostring(problem)
end

--- Start a function within the limits of a hook.
local function start(seconds, limits, fn, ...)
  local limit = core.limit.new(core.clock.monotonic_ms() + seconds * 1000, limits.memory,
    limits.slice_ms)
  if limits.on_limit then limits.on_limit(limit) end
  return limit, task.start({ limit = limit, quiet = true, on_step = limits.on_step,
    context = limits.journal }, fn, ...)
end

local begin <const> = rule.begin -- a policy may put something else into a module

local function text_of_error(problem, limits)
  if type(problem) == "string" then return problem end
  local _, told = start(DESCRIBE_S, limits, M.describe, problem)
  told:cancel()
  local text = told.ok and told.results[1]
  return type(text) == "string" and text or ("an error of type " .. type(problem))
end

--- A sentence about what a hook did, with the line of its file where that can be told: a hook that
--- ends with `return other()` is gone from the stack.
---@param hook function
---@param text string
---@param stack? string of debug.traceback
---@return string
function M.at(hook, text, stack)
  if rule.is_known(hook) then return ("%s: %s"):format(rule.name(hook), text) end
  local info = debug.getinfo(hook, "S")
  local file = info.short_src
  if text:find(file, 1, true) then return text end
  local line = stack and stack:match("\n%s+" .. file:gsub("%p", "%%%0") .. ":(%d+):")
  if line then return ("%s:%s: %s"):format(file, line, text) end
  if info.what == "main" then return ("%s: %s"):format(file, text) end
  return ("%s:%d (the hook): %s"):format(file, info.linedefined, text)
end

local function why_failed(hook, running, limit, problem, limits)
  if limit.expired then return ("%s (at %s)"):format(problem, limit.where) end
  if limit.exhausted then return "the decision used more than its memory" end
  local stack = running.stack
  local text = M.at(hook, text_of_error(problem, limits), stack)
  return stack and text .. "\n" .. stack or text
end

-- A hook that runs is ended by its limit, at the deadline; one that waits, a little later.
local GRACE_MS <const> = 50

--- Cancel a hook that waits past its deadline, which moves while an operator has the request.
local function cancel_late(running, limit)
  local timer
  local function look()
    local left_ms = limit.deadline_ms + GRACE_MS - core.clock.monotonic_ms()
    if left_ms <= 0 then return running:cancel "the decision took too long" end
    timer = core.loop.timer(left_ms, look)
  end
  look()
  return setmetatable({}, { __close = function() if timer then timer:close() end end })
end

--- Wait for a hook that did not end at once: until its time is over, or its request.
local function wait_for(running, limit)
  local timer <close> = cancel_late(running, limit) -- luacheck: ignore 211
  -- Also where the caller is cancelled: a decision that no request waits for is over.
  local ending <close> = setmetatable({}, { __close = function() -- luacheck: ignore 211
    running:cancel "nobody waits for the decision"
  end })
  return pcall(running.wait, running)
end

---@class lest.decision.limits
---@field seconds integer
---@field memory integer bytes
---@field slice_ms? integer how long it runs before others have their turn
---@field on_step? function called before each piece of it runs
---@field on_limit? function called with the lest.limit before the hook is; it may keep it, to defer
--- its deadline
---@field journal? lest.journal what it does is noted there
---@field running? lest.task set where it waits

--- Call hook(argument) as a bounded task.
---@param hook function
---@param argument any
---@param limits lest.decision.limits
---@return boolean ok
---@return any result what the hook returned, or a sentence for the log
---@return lest.verdict|nil stopped where a test ended the decision: the verdict that it has
---@return any second what the hook returned behind its result
function M.call(hook, argument, limits)
  local limit, running
  if limits.journal then
    limit, running = start(limits.seconds, limits, begin, hook, argument)
  else
    limit, running = start(limits.seconds, limits, hook, argument)
  end
  local ok, result, second = running.ok, table.unpack(running.results or {}, 1, 2)
  if not running.done then
    limits.running = running
    ok, result, second = wait_for(running, limit)
  end
  if ok then return true, result, nil, second end
  if not limit.exhausted then refusal.raise_memory(result) end
  local stopped = not limit.expired and stop.verdict(result)
  if stopped then
    if limits.journal then journals.stop(limits.journal, stopped.verdict) end
    return false, tostring(result), stopped
  end
  return false, why_failed(hook, running, limit, result, limits):sub(1, DETAIL_MAX)
end

-- What a hook returned that is no verdict, in words.
local function no_verdict(value)
  if value == nil then
    return "the policy returned nil, not a verdict: write `return policy.approve { ... }`, say"
  elseif type(value) == "function" then
    return "the policy returned a function, not a verdict: call it, or make it the hook itself"
  end
  return ("the policy returned %s, not a verdict, as policy.approve { ... } makes one"):format(
    type(value) == "string" and ("'%s'"):format(value:sub(1, SHOWN_MAX)) or schema.kind(value))
end

local function mistake(hook, text)
  return { verdict = "error", detail = M.at(hook, text) }
end

---@param hook function|nil absent: the operation is refused
---@param request table
---@param limits lest.decision.limits
---@param profiles? string[] those of the label
---@return table verdict
function M.run(hook, request, limits, profiles)
  if not hook then return policy.reject "this operation is not offered here" end
  local ok, verdict, stopped = M.call(hook, request, limits)
  if stopped then return stopped end
  if not ok then return { verdict = "error", detail = verdict } end
  if not policy.is_verdict(verdict) then return mistake(hook, no_verdict(verdict)) end
  if verdict.verdict == "approve" and not verdicts.has_names(verdict) then
    return mistake(hook, "no policy of the label states names: policy.consent states none")
  end
  local profile = verdict.profile
  if not profile or not profiles or list.has(profiles, profile) then return verdict end
  return mistake(hook, ("the label does not have the profile '%s'%s: it has %s"):format(
    tostring(profile), schema.hint(profile, list.set(profiles)), table.concat(profiles, ", ")))
end

--- A name in parts, as the authority takes it, from a text or parts. Parts that cannot be written
--- go as they are: the authority knows whether the client asked for them.
local function parts_of(subject)
  local der, err = core.name.encode(subject)
  local name
  if der then name, err = core.name.decode(der) end
  if not name and type(subject) == "table" then return subject end
  if not name then error(err, 0) end
  return name
end

--- A policy's text without the bytes that the ledger does not take.
---@param value string?
---@return string?
function M.text(value)
  if not value or core.utf8.is_text(value) then return value end
  return (value:gsub("[^\x20-\x7e\n]", "?"))
end

-- Bytes of a rule's name; a message takes no more.
local RULE_MAX <const> = 200

--- Which rule decided, as the log and the ledger call it: the hook itself where it says no other.
---@param verdict table
---@param hook? function
---@return string?
function M.rule_of(verdict, hook)
  local name = type(verdict.rule) == "string" and verdict.rule or hook and rule.name(hook)
  return name and M.text(name:sub(1, RULE_MAX))
end

--- The fields of a `finish` message that a verdict fills. Names that cannot be written are an
--- error.
---@param verdict table
---@return table fields
function M.fields(verdict)
  for _, key in ipairs { "reason", "detail" } do
    if verdict[key] ~= nil and type(verdict[key]) ~= "string" then
      return { verdict = "error", detail = "a verdict was changed after it was made" }
    end
  end
  local ok, subject = true, nil
  if verdict.subject then ok, subject = pcall(parts_of, verdict.subject) end
  if not ok then
    refusal.raise_memory(subject)
    return { verdict = "error", detail = "approve: subject: " .. tostring(subject) }
  end
  return {
    verdict = verdict.verdict, reason = M.text(verdict.reason), detail = M.text(verdict.detail),
    retry_after = verdict.retry_after, expires = verdict.expires, needed = verdict.needed,
    profile = verdict.profile, ca = verdict.ca, lifetime = verdict.lifetime,
    renewal = verdict.renewal, key = verdict.key,
    facts = verdict.facts, subject = subject, san = verdict.san,
  }
end

return M
