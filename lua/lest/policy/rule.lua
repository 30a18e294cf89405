--- What the kit's rules and tests are: functions of a request. A rule returns a verdict, or nothing
--- where it is not for this request; a test returns whether something holds. A function that a
--- policy writes is as good as one that the kit makes.
---
--- Each has a name (known.lua) for whoever asks later which rule decided; what each said is noted
--- in the decision's journal.
local journal = require "lest.policy.journal"
local known = require "lest.policy.known"
local schema = require "lest.base.schema"
local verdicts = require "lest.policy.verdicts"

local M = {}

local enter, leave = journal.take()
-- A local: a policy may put something else into a module.
local is_verdict <const> = verdicts.is_verdict

M.register, M.is_known, M.name = known.register, known.is_known, known.name

--- What a policy gave where a rule is wanted, as a rule. A verdict is one for every request.
---@param value any
---@return function|nil rule
---@return string|nil problem
function M.as_rule(value)
  if verdicts.is_verdict(value) then
    local function always() return verdicts.copy(value) end
    known.set(always, "rule", "policy." .. tostring(value.verdict))
    return always
  elseif type(value) ~= "function" then
    return nil, ("must be a rule or a verdict, not %s"):format(schema.kind(value))
  elseif known.kind(value) == "test" then
    return nil, "is a test, not a rule: write policy.when(test, verdict)"
  end
  return value
end

--- What a policy gave where a test is wanted, as a test.
---@param value any
---@return function|nil test
---@return string|nil problem
function M.as_test(value)
  if verdicts.is_verdict(value) then return nil, "is a verdict, not a test" end
  if type(value) ~= "function" then
    return nil, ("must be a test, as policy.principal { kind = \"basic\" }, not %s"):format(
      schema.kind(value))
  elseif known.kind(value) == "rule" then
    return nil, "is a rule, not a test"
  end
  return value
end

--- The entries of a list as rules or tests.
---@param name string "first"
---@param values any
---@param as fun(value: any): function|nil, string|nil
---@return function[]|nil
---@return string|nil problem
function M.list(name, values, as)
  if type(values) ~= "table" or verdicts.is_verdict(values) then
    local kind = as == M.as_rule and "rule" or "test"
    return nil, ("policy.%s takes a list, as { %s, %s }, not %s"):format(name, kind, kind,
      verdicts.is_verdict(values) and "a verdict" or schema.kind(values))
  end
  local count, last = 0, 0
  for key in next, values do
    if math.type(key) ~= "integer" or key < 1 then
      return nil, ("policy.%s: '%s': a list has no named entries"):format(name, tostring(key))
    end
    count, last = count + 1, math.max(last, key)
  end
  if count == 0 then return nil, ("policy.%s: the list is empty"):format(name) end
  local result = {}
  for i = 1, last do
    local problem
    result[i], problem = as(values[i])
    if not result[i] then return nil, ("policy.%s: [%d]: %s"):format(name, i, problem) end
  end
  return result
end

--- A function that says nil and an error, as lest.http.get does, knows neither yes nor no: that
--- must not count as no, which may be what an approval waits for.
local function refuse_failure(fn, result, problem)
  if result == nil and problem ~= nil then
    error(("%s: %s"):format(M.name(fn), tostring(problem)), 0)
  end
end

--- Ask a rule.
---@param rule function
---@param request lest.request
---@return lest.verdict|nil verdict nil where the rule is not for this request
local function follow(rule, request)
  local state, step = enter("rule", rule)
  local result, problem = rule(request)
  if is_verdict(result) then
    if state then leave(state, step, result.verdict, nil, result) end
    return result
  end
  refuse_failure(rule, result, problem)
  if result then
    error(("%s: a rule returns a verdict or nil, not a %s"):format(M.name(rule), type(result)), 0)
  end
  if state then leave(state, step, "-") end
  return nil
end
M.follow = follow

--- Ask a hook, as the first step of its decision's journal.
---@param hook function
---@param request lest.request
---@return any verdict what it returned
---@return any second what it returned behind that
function M.begin(hook, request)
  local state, step = enter("rule", hook)
  local verdict, second = hook(request)
  if state then
    leave(state, step, is_verdict(verdict) and verdict.verdict or "error", nil, verdict)
  end
  return verdict, second
end

--- Ask a rule that decides in its own name, unless one within it has.
---@param rule function
---@param request lest.request
---@return lest.verdict|nil verdict a table of its own; nil where the rule is not for this request
function M.decide(rule, request)
  local verdict = follow(rule, request)
  return verdict and verdicts.copy(verdict, M.name(rule))
end

--- Ask a test. What it returns besides is what it saw, short, for the journal.
---@param test function
---@param request lest.request
---@return boolean
function M.holds(test, request)
  local state, step = enter("test", test)
  local result, saw = test(request)
  refuse_failure(test, result, saw)
  if verdicts.is_verdict(result) then
    error(("%s: a test returns true or false, not a verdict"):format(M.name(test)), 0)
  end
  result = result and true or false
  if state then leave(state, step, result and "yes" or "no", saw, result) end
  return result
end

--- The same under another name.
---@param name string
---@param fn function
---@return function
function M.named(name, fn)
  local function named(request)
    local result, problem = fn(request)
    -- Where a rule inside has decided, its name stays.
    if verdicts.is_verdict(result) then result = verdicts.copy(result, name) end
    return result, problem
  end
  known.set(named, known.kind(fn), name)
  return named
end

return M
