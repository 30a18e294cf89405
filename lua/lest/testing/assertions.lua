--- The assertions of lest.testing, for busted: assert.approves, rejects, holds, unavailable. What
--- they say of a failure is what a person would ask next: expected, actual, and the rules' trace.
local core = require "lest.core"
local duration = require "lest.duration"
local policies = require "lest.testing.policy"
local schema = require "lest.base.schema"
local terminal = require "lest.base.terminal"
local trace = require "lest.testing.trace"

local M = {}

--- Whether a text is what is expected: it has it in it as it is, or as a pattern of Lua.
local function has(text, expected)
  if type(text) ~= "string" or type(expected) ~= "string" then return false end
  if text:find(expected, 1, true) then return true end
  local ok, found = pcall(string.find, text, expected)
  return ok and found ~= nil
end

-- A text may have the order in which names are printed, too.
local function same_name(actual, expected)
  local der, other = core.name.encode(actual or {}), core.name.encode(expected)
  return der ~= nil and (der == other or tostring(core.name.decode(der)) == expected)
end

-- In any order: that of alternative names means nothing.
local function same_names(actual, expected)
  if type(expected) == "string" then expected = { expected } end
  local left = {}
  for _, name in ipairs(actual or {}) do left[name] = (left[name] or 0) + 1 end
  for _, name in ipairs(expected) do left[name] = (left[name] or 0) - 1 end
  for _, count in pairs(left) do
    if count ~= 0 then return false end
  end
  return true
end

local function list_text(names)
  if type(names) == "string" then return names end
  return #(names or {}) > 0 and table.concat(names, " ") or "none"
end

local function plain(value) return value == nil and "none" or tostring(value) end
local function name_text(value) return trace.names(value) end
local function time_text(value)
  return value and duration.format(duration.parse(value) or 0) or "none"
end

-- What may be expected: the actual value of a decision, how the two are compared and shown.
local FIELDS <const> = {
  subject = { name_text, same_name, function(each)
    return each.outcome.subject or each.verdict.subject
  end },
  san = { list_text, same_names, function(each) return each.outcome.san or each.verdict.san end },
  lifetime = { time_text, function(actual, expected)
    return actual == duration.parse(expected)
  end, function(each) return each.outcome.lifetime or each.verdict.lifetime end },
  profile = { plain, rawequal, function(each) return each.verdict.profile end },
  key = { plain, rawequal, function(each) return each.outcome.key or each.verdict.key end },
  renewal = { plain, function(actual, expected) return (actual or false) == expected end,
    function(each) return each.verdict.renewal end },
  reason = { plain, has, function(each) return each.outcome.reason or each.verdict.reason end },
  detail = { plain, has, function(each) return each.verdict.detail end },
  rule = { plain, has, function(each) return each.verdict.rule end },
  retry_after = { time_text, function(actual, expected)
    return actual == duration.parse(expected)
  end, function(each) return each.verdict.retry_after end },
  needed = { plain, rawequal, function(each) return each.verdict.needed end },
}
local ORDER <const> = { "subject", "san", "renewal", "profile", "lifetime", "key", "reason",
  "detail", "rule", "retry_after", "needed" }

--- What is not as expected, a line each.
local function differences(decision, expected)
  local lines = {}
  for _, name in ipairs(ORDER) do
    local wanted = expected[name]
    if wanted ~= nil then
      local show, is_same, actual_of = table.unpack(FIELDS[name])
      local actual = actual_of(decision)
      if not is_same(actual, wanted) then
        lines[#lines + 1] = ("%s: expected %s\n%s  actual %s"):format(name,
          terminal.line(show(wanted), 400), (" "):rep(#name), terminal.line(show(actual), 400))
      end
    end
  end
  return table.concat(lines, "\n")
end

-- A question without an answer says so, whatever the policy made of that.
local function unanswered(decision)
  local lines = {}
  for _, each in ipairs(decision.unanswered) do
    local kind, question = each[1], terminal.line(each[2], 400)
    lines[#lines + 1] = ("the policy asked something for which the test has no answer: give "
      .. "testing.policy(FILE, { %s = { [%q] = ... } })"):format(kind, question)
  end
  return table.concat(lines, "\n")
end

local WORDS <const> = { approve = "approves", reject = "rejects", pending = "holds",
  unavailable = "unavailable" }

local function check_arguments(name, policy, expected)
  if getmetatable(policy) ~= policies.class then
    return ("assert.%s takes a policy of testing.policy, and a request"):format(name)
  end
  for key in pairs(expected) do
    if not FIELDS[key] then
      return ("assert.%s: nothing is called '%s'%s"):format(name, tostring(key),
        schema.hint(key, FIELDS))
    end
  end
end

--- Whether a decision is as expected, and what to say where it is not.
---@param name string "approves"
---@param verdict string "approve"
---@param policy lest.testing.policy
---@param request lest.testing.request
---@param expected? table|string fields, or what is in the reason
---@return boolean
---@return string message
---@return boolean? is_unanswered the test has no answer to what the policy asked
function M.judge(name, verdict, policy, request, expected)
  if type(expected) == "string" then expected = { reason = expected } end
  expected = expected or {}
  local problem = check_arguments(name, policy, expected)
  if problem then error(problem, 0) end
  local decision = policy:decide(request)
  local missing = unanswered(decision)
  if missing ~= "" then return false, missing .. "\n" .. trace.text(decision), true end
  if decision.outcome.verdict ~= verdict then
    return false, ("expected: %s\nactual:   %s\n%s"):format(verdict,
      terminal.line(trace.outcome(decision), 400), trace.text(decision))
  end
  local wrong = differences(decision, expected)
  return wrong == "", wrong .. "\n" .. trace.text(decision)
end

--- Make the assertions known to busted, where that runs.
function M.install()
  local ok, luassert = pcall(require, "luassert")
  if not ok then return end
  local say = require "say"
  say:set("assertion.lest.negative", "the policy decides so, and should not")
  for verdict, name in pairs(WORDS) do
    luassert:register("assertion", name, function(state, arguments)
      local is_so, message, is_unanswered = M.judge(name, verdict, arguments[1], arguments[2],
        arguments[3])
      -- assert.is_not.approves does not hold because of that.
      if is_unanswered and not state.mod then error(message, 0) end
      if not is_so or not state.mod then state.failure_message = message end
      return is_so
    end, nil, "assertion.lest.negative")
  end
end

return M
