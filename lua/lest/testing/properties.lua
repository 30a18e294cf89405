--- What must hold of a policy for every request: lest.testing.always and never. In a spec, some
--- requests are tried each time that it runs; `lest policy fuzz` searches for longer.
local core = require "lest.core"
local duration = require "lest.duration"
local glob = require "lest.policy.glob"
local policies = require "lest.testing.policy"
local schema = require "lest.base.schema"
local search = require "lest.testing.search"
local shapes = require "lest.testing.shapes"
local trace = require "lest.testing.trace"

local M = {}

-- In a spec: so many requests, the same each time; more while it was not tried.
local TRIED <const>, TRIED_MOST <const>, SEED <const> = 200, 1000, 1

--- Where `lest policy fuzz` wants the properties of a spec, instead of what they do in one.
---@type lest.testing.property[]|nil
M.collected = nil

--- A counterexample in words, and as a test.
---@param found lest.testing.counterexample
---@return string
function M.text(found)
  return ("%s, but not for this request%s\n%s\n\n%s"):format(found.property.name,
    found.why and ": " .. found.why or "", trace.text(found.decision), search.code(found))
end

local CALLER <const> = 3
local s <const> = schema

local function check(property)
  local source = debug.getinfo(CALLER + 1, "S").source:match "^@(.+)"
  property.spec_text = source and core.file.read(source)
  if M.collected then
    table.insert(M.collected, property)
    return
  end
  local running, tried = search.new(property, SEED), 0
  repeat
    local found = running:go_on(TRIED)
    if found then error(M.text(found), CALLER + 1) end
    tried = tried + TRIED
  until not running:untried() or tried >= TRIED_MOST
  local why = running:untried()
  if why then
    error(("%s, but was never tried: %s (%d requests: %s); say `vacuous = true` if that is meant")
      :format(property.name, why, running.count, running:summary()), CALLER + 1)
  end
end

-- That a verdict was reached at all.
local function reaches(verdict)
  return { text = verdict == "approve" and "no request was approved"
    or "no request came to " .. verdict, is_met = function(decision)
    return decision.outcome.verdict == verdict
      or verdict == "approve" and search.consents(decision)
  end }
end

shapes.define("always", { vacuous = s.optional(s.boolean(), false) })

--- As lest.testing.always.
function M.always(policy, name, fn, options)
  if type(name) == "function" then
    name, fn, options = "the property always holds", name, fn
  end
  if getmetatable(policy) ~= policies.class then
    error("testing.always takes a policy of testing.policy, and a function", CALLER)
  elseif type(fn) ~= "function" or type(name) ~= "string" then
    error("testing.always takes a function of the request and what came of it", CALLER)
  end
  options = shapes.check("always", options, CALLER)
  local needs = options.vacuous and {} or { reaches "approve" }
  check { name = name, policy = policy, needs = needs, holds = function(decision)
    local holds, why = fn(policies.request_of(decision), decision.outcome)
    if type(holds) ~= "boolean" then
      error(("a property returns true or false, not a %s"):format(type(holds)), 0)
    end
    return holds, why
  end }
end

-- The names of an approval as they are compared with patterns: "CN=x", "DNS:x".
local function names_of(outcome)
  local names = {}
  for _, pair in ipairs(outcome.subject or {}) do
    names[#names + 1] = ("%s=%s"):format(pair[1], pair[2])
  end
  for _, name in ipairs(outcome.san or {}) do names[#names + 1] = name end
  return names
end

-- What a search may be told not to find, as a test of a decision and in words.
local CLAUSES <const> = {
  verdict = function(wanted)
    return function(_, outcome) return outcome.verdict == wanted end
  end,
  when = function(test)
    return function(request) return (test(request)) and true or false end
  end,
  unless = function(test)
    return function(request) return not test(request) end
  end,
  names_outside = function(patterns)
    local parsed = {}
    for i, each in ipairs(patterns) do parsed[i] = glob.parse(each) end
    return function(_, outcome)
      for _, name in ipairs(names_of(outcome)) do
        if not glob.any(parsed, name) then return true, "it has the name " .. name end
      end
      return false
    end
  end,
  lifetime_over = function(most)
    return function(_, outcome) return (outcome.lifetime or 0) > most end
  end,
}

local a_function <const> = s.optional(shapes.any_function)
shapes.define("never", {
  policy = shapes.object(policies.class, "a policy of testing.policy"),
  name = s.optional(shapes.text), when = a_function, unless = a_function,
  verdict = s.optional(s.one_of { "approve", "reject", "pending", "unavailable", "error" }),
  names_outside = s.optional(s.list(s.custom('a pattern, as "DNS:*.example.com"', function(value)
    return type(value) == "string" and glob.parse(value) and value or nil
  end), { min = 1, single = true })),
  lifetime_over = s.optional(duration.field()), vacuous = s.optional(s.boolean(), false),
})

-- What must be so for some request, or what is stated holds for none because none comes near to it.
-- That a verdict is never reached may be all that is stated.
local function needs_of(options)
  local needs = {}
  if options.vacuous then return needs end
  for _, row in ipairs { { "when", true, "`when` held for no request" },
    { "unless", false, "`unless` held for every request" } } do
    local test = options[row[1]]
    if test then
      table.insert(needs, { text = row[3], is_met = function(decision)
        return ((test(policies.request_of(decision))) and true or false) == row[2]
      end })
    end
  end
  local is_narrowed = needs[1] or options.names_outside or options.lifetime_over
  if is_narrowed and options.verdict ~= "error" then
    table.insert(needs, 1, reaches(options.verdict))
  end
  return needs
end

--- As lest.testing.never.
function M.never(options)
  if type(options) == "table" and options[1] ~= nil then
    local given = {}
    for key, value in pairs(options) do given[key == 1 and "policy" or key] = value end
    options = given
  end
  options = shapes.check("never", options, CALLER)
  options.verdict = options.verdict or "approve"
  local clauses = {}
  for name, make in pairs(CLAUSES) do
    if options[name] ~= nil then table.insert(clauses, make(options[name])) end
  end
  local name = options.name or ("it never comes to %s%s"):format(options.verdict,
    options.names_outside and " with a name outside "
      .. table.concat(options.names_outside, ", ") or options.lifetime_over
      and " for more than " .. duration.format(options.lifetime_over) or " so")
  check { name = name, policy = options.policy, needs = needs_of(options),
    holds = function(decision)
    local request, why = policies.request_of(decision), nil
    for _, clause in ipairs(clauses) do
      local is_so, said = clause(request, decision.outcome)
      if not is_so then return true end
      why = said or why
    end
    return false, why
  end }
end

--- The property that a policy has without a spec: it never fails.
---@param policy lest.testing.policy
---@return lest.testing.property
function M.never_fails(policy)
  return { name = "the policy never fails", policy = policy, needs = {}, holds = function(decision)
    return decision.outcome.verdict ~= "error" or search.consents(decision), decision.verdict.detail
      and core.utf8.is_text(decision.verdict.detail) and decision.verdict.detail:match "^[^\n]*"
      or decision.outcome.problem
  end }
end

return M
