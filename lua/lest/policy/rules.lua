--- Rules of rules and tests: which one decides, and under what condition.
local core = require "lest.core"
local rule = require "lest.policy.rule"
local schema = require "lest.base.schema"
local verdicts = require "lest.policy.verdicts"

---@class lest.module.policy
local M = {}

local NAME_MAX <const> = 100

-- Locals: a policy may put something else into a module.
local decide <const>, follow <const>, holds <const> = rule.decide, rule.follow, rule.holds

--- A rule: ask rules in their order; the first that has a verdict decides. Where none has one, the
--- request is refused: one within another leaves nothing to the rules after it.
---
---   enroll = policy.first {
---     policy.unless(policy.key { type = "ec:P-256" },
---       policy.reject "use P-256"),
---     policy.own_name(),
---   }
---@param list (fun(request: lest.request): lest.verdict?|lest.verdict)[] rules; a verdict is one
--- that always decides
---@return fun(request: lest.request): lest.verdict rule
function M.first(list)
  local rules, problem = rule.list("first", list, rule.as_rule)
  if not rules then return nil, problem end
  return function(request)
    for _, each in ipairs(rules) do
      local verdict = decide(each, request)
      if verdict then return verdict end
    end
    return verdicts.reject { "no rule allows this request",
      detail = ("none of %d rules has decided"):format(#rules) }
  end
end

--- A rule of a test and what follows where it is `expected`.
local function on(name, expected, test, consequence)
  local asked, problem = rule.as_test(test)
  if not asked then return nil, ("policy.%s: the test %s"):format(name, problem) end
  local next_rule
  next_rule, problem = rule.as_rule(consequence)
  if not next_rule then
    return nil, ("policy.%s: what follows the test %s"):format(name, problem)
  end
  -- A verdict is no step of its own.
  if next_rule ~= consequence then
    return function(request)
      if holds(asked, request) == expected then return next_rule(request) end
    end
  end
  return function(request)
    if holds(asked, request) == expected then return follow(next_rule, request) end
  end
end

--- A rule: a verdict, or another rule, for the requests for which a test holds.
---@param test (fun(request: lest.request): boolean?) what the request must pass
---@param consequence lest.verdict|(fun(request: lest.request): lest.verdict?) what follows then
---@return fun(request: lest.request): lest.verdict? rule
function M.when(test, consequence)
  return on("when", true, test, consequence)
end

--- A rule: a verdict, or another rule, for the requests for which a test does not hold.
---@param test (fun(request: lest.request): boolean?) what the request must not pass
---@param consequence lest.verdict|(fun(request: lest.request): lest.verdict?) what follows then
---@return fun(request: lest.request): lest.verdict? rule
function M.unless(test, consequence)
  return on("unless", false, test, consequence)
end

--- The same rule or test with a name of its own, by which the log calls the rule that decided. One
--- without is called by its place, as `when at policy.lua:12`.
---@param name string printable
---@param what fun(request: lest.request): any a rule or a test
---@return fun(request: lest.request): any same
function M.named(name, what)
  if type(name) ~= "string" or name == "" or #name > NAME_MAX or name:find "%c"
    or not core.utf8.is_text(name) then
    return nil, ("policy.named: the name must be a printable text of 1 to %d bytes"):format(
      NAME_MAX)
  end
  if type(what) ~= "function" then
    return nil, ("policy.named takes a name and a rule or test, not %s"):format(
      verdicts.is_verdict(what) and "a verdict: write policy.named(name, policy.first { verdict })"
      or schema.kind(what))
  end
  return rule.named(name, what)
end

return M
