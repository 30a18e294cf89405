--- Tests of tests: all, any, none.
local rule = require "lest.policy.rule"

---@class lest.module.policy
local M = {}

local holds <const> = rule.holds -- a policy may put something else into a module

--- A test of tests: asked in their order until one is `found`.
local function of_tests(name, list, found)
  local tests, problem = rule.list(name, list, rule.as_test)
  if not tests then return nil, problem end
  return function(request)
    for _, each in ipairs(tests) do
      if holds(each, request) == found then return true end
    end
    return false
  end
end

--- The opposite of a test that the kit has just made.
local function opposite(test, problem)
  if not test then return nil, problem end
  return function(request) return not test(request) end
end

--- A test: whether every one of some tests holds.
---@param list (fun(request: lest.request): boolean?)[]
---@return fun(request: lest.request): boolean test
function M.all(list)
  return opposite(of_tests("all", list, false))
end

--- A test: whether one of some tests holds.
---@param list (fun(request: lest.request): boolean?)[]
---@return fun(request: lest.request): boolean test
function M.any(list)
  return of_tests("any", list, true)
end

--- A test: whether none of some tests holds.
---@param list (fun(request: lest.request): boolean?)[]
---@return fun(request: lest.request): boolean test
function M.none(list)
  return opposite(of_tests("none", list, true))
end

return M
