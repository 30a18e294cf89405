--- One decision of a policy: a hook run within its limits of time and memory.
---
---   local verdict = decision.run(hook, request, { seconds = 10, memory = 64 * 1024 * 1024 })
---
--- Whatever goes wrong is the verdict "error", whose detail is for the log: nothing is issued.
local core = require "lest.core"
local policy = require "lest.policy"
local refusal = require "lest.server.wire.refusal"
local task = require "lest.task"

local M = {}

local DETAIL_MAX <const> = 8000

-- What a policy raises may be an object, and say nothing.
local function text_of_error(problem)
  local ok, text = pcall(tostring, problem)
  return ok and type(text) == "string" and text or ("an error of type " .. type(problem))
end

-- A hook that ends with `return policy.approve { ... }` is gone from the stack: a tail call.
local function with_place(hook, text)
  local info = debug.getinfo(hook, "S")
  if text:find(info.short_src, 1, true) then return text end
  return ("%s:%d (the hook): %s"):format(info.short_src, info.linedefined, text)
end

local function why_failed(hook, running, limit, problem)
  if limit.expired then return ("%s (at %s)"):format(problem, limit.where) end
  if limit.exhausted then return "the decision used more than its memory" end
  return with_place(hook, running.trace or text_of_error(problem))
end

--- Wait for a hook that did not end at once: until its time is over, or its request.
local function wait_for(running, limits)
  local timer <close> = core.loop.timer(limits.seconds * 1000 + 50, -- luacheck: ignore 211
    function() running:cancel "the decision took too long" end)
  -- Also where the caller is cancelled: a decision that no request waits for is over.
  local ending <close> = setmetatable({}, { __close = function() -- luacheck: ignore 211
    running:cancel "nobody waits for the decision"
  end })
  return pcall(running.wait, running)
end

--- Call hook(argument) as a bounded task.
---@param hook function
---@param argument any
---@param limits { seconds: integer, memory: integer, on_step?: function }
---@return boolean ok
---@return any result what the hook returned, or a sentence for the log
function M.call(hook, argument, limits)
  local limit = core.limit.new(core.clock.monotonic_ms() + limits.seconds * 1000, limits.memory)
  local running = task.start({ limit = limit, quiet = true, on_step = limits.on_step },
    hook, argument)
  local ok, result = running.ok, running.results and running.results[1]
  if not running.done then ok, result = wait_for(running, limits) end
  if ok then return true, result end
  if not limit.exhausted then refusal.raise_memory(result) end
  return false, why_failed(hook, running, limit, result):sub(1, DETAIL_MAX)
end

---@param hook function|nil absent: the operation is refused
---@param request table
---@param limits { seconds: integer, memory: integer }
---@return table verdict
function M.run(hook, request, limits)
  if not hook then return policy.reject "this operation is not offered here" end
  local ok, verdict = M.call(hook, request, limits)
  if not ok then return { verdict = "error", detail = verdict } end
  if policy.is_verdict(verdict) then return verdict end
  return { verdict = "error", detail = ("the policy returned %s, not a verdict"):format(
    type(verdict) == "table" and "a table" or tostring(verdict)) }
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
local function text_of(value)
  if not value or core.utf8.is_text(value) then return value end
  return (value:gsub("[^\x20-\x7e\n]", "?"))
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
    verdict = verdict.verdict, reason = text_of(verdict.reason), detail = text_of(verdict.detail),
    retry_after = verdict.retry_after, expires = verdict.expires, profile = verdict.profile,
    lifetime = verdict.lifetime, renewal = verdict.renewal, facts = verdict.facts,
    subject = subject, san = verdict.san,
  }
end

return M
