--- Searches a request for which a property of a policy does not hold: at random, from the words of
--- the policy's text, and on from requests that reached a rule or an outcome that none reached
--- before. What is found is made smaller.
local answers = require "lest.testing.answers"
local core = require "lest.core"
local journals = require "lest.policy.journal"
local plans = require "lest.testing.plan"
local random_numbers = require "lest.testing.random"
local words_of = require "lest.testing.words"

local M = {}

local KEPT_MAX <const> = 200 -- plans to go on from
local SHRINK_MAX <const> = 2000 -- looks at smaller plans

---@class lest.testing.property
---@field name string a sentence: "never approves ..."
---@field policy lest.testing.policy
---@field holds fun(decision: lest.testing.decision): boolean, string? a reason where it does not

---@class lest.testing.counterexample
---@field property lest.testing.property
---@field plan lest.testing.plan
---@field decision lest.testing.decision
---@field asked table what the policy was told, as lest.testing.answers.world notes it
---@field why? string

---@class lest.testing.search
---@field count integer requests that were decided
---@field reached table<string, boolean> names of rules and tests
local Search = {}
Search.__index = Search

--- A search for one property.
---@param property lest.testing.property
---@param seed integer
---@param reached? table<string, boolean> shared by several searches
---@param first? lest.testing.plan[] those to begin with
---@return lest.testing.search
function M.new(property, seed, reached, first)
  local text = core.file.read(property.policy.file) or ""
  return setmetatable({ property = property, random = random_numbers.new(seed), count = 0,
    words = words_of.of(text), reached = reached or {}, seen = {},
    kept = table.move(first or {}, 1, #(first or {}), 1, {}), first = first or {}, next = 1 },
    Search)
end

-- Decide a plan: nil where it makes no request, or where the property holds.
function Search:try(plan)
  local made, request = pcall(plans.request, plan)
  if not made then return nil end
  local asked = {}
  local policy = self.property.policy
  local decided, decision = pcall(policy.decide, policy, request,
    answers.world(policy.given, plan.world or 1, asked))
  if not decided then return nil end
  self.count = self.count + 1
  local ok, holds, why = pcall(self.property.holds, decision)
  local found = { property = self.property, plan = plan, decision = decision, asked = asked,
    why = ok and why or not ok and tostring(holds) or nil }
  return (not ok or not holds) and found or nil, decision
end

-- Whether a decision went where none went before.
function Search:is_new(decision)
  local is_new = false
  local function see(what)
    is_new = is_new or not self.seen[what]
    self.seen[what] = true
  end
  for _, step in ipairs((journals.steps(decision.journal))) do
    self.reached[step.name] = true
    see(step.name .. " " .. step.outcome)
  end
  see(decision.outcome.verdict .. " " .. tostring(decision.verdict.rule))
  return is_new
end

--- Try some requests.
---@param most integer how many plans
---@return lest.testing.counterexample|nil
function Search:go_on(most)
  for _ = 1, most do
    local first = self.first[self.next]
    self.next = first and self.next + 1 or self.next
    local from = self.kept[1] and not self.random:once_in(3) and self.random:one_of(self.kept)
    local plan = first or from and plans.changed(self.random, self.words, from)
      or plans.fresh(self.random, self.words)
    local found, decision = self:try(plan)
    if found then return self:shrink(found) end
    if decision and self:is_new(decision) and #self.kept < KEPT_MAX then
      table.insert(self.kept, plan)
    end
  end
end

--- The smallest plan that can be found for which the property does not hold either.
---@param found lest.testing.counterexample
---@return lest.testing.counterexample
function Search:shrink(found)
  local looks, is_smaller = 0, true
  while is_smaller and looks < SHRINK_MAX do
    is_smaller = false
    for _, plan in ipairs(plans.smaller(found.plan)) do
      looks = looks + 1
      local smaller = self:try(plan)
      if smaller then
        found, is_smaller = smaller, true
        break
      end
    end
  end
  return found
end

-- A counterexample as code

local ANSWERED <const> = { http = true, history = true, rate = true, csv = true, sqlite = true }

local function options_code(found)
  local given, policy = {}, found.property.policy
  for _, name in ipairs { "options", "profile", "config", "label", "with" } do
    given[name] = policy.options[name]
  end
  for _, each in ipairs(found.asked) do
    local kind, question, written = table.unpack(each)
    local into = given
    if not ANSWERED[kind] then
      given.outside = given.outside or {}
      into = given.outside
    end
    into[kind] = into[kind] or {}
    into[kind][question] = written
  end
  return next(given) and ", " .. plans.literal(given) or ""
end

local ASSERTIONS <const> = { approve = "approves", reject = "rejects", pending = "holds",
  unavailable = "unavailable" }

local function names_of(name)
  local parts = {}
  for i, pair in ipairs(name) do parts[i] = { pair[1], pair[2] } end
  return parts
end

-- What must not come out; of a policy that fails: what it is to say instead.
local function assertion(found)
  local outcome = found.decision.outcome
  local name = ASSERTIONS[outcome.verdict]
  if not name then return "assert.rejects(policy, %s) -- it fails: write what it is to say" end
  local expected = {}
  if outcome.verdict == "approve" then
    local subject = names_of(outcome.subject or {})
    expected.subject = #subject > 0 and subject or nil
    expected.san = outcome.san and #outcome.san > 0 and outcome.san or nil
    expected.lifetime = outcome.lifetime
  end
  return "assert.is_not." .. name .. "(policy, %s" .. (next(expected) and ",\n    "
    .. plans.literal(expected):gsub("%%", "%%%%") or "") .. ")"
end

--- A counterexample as a test, to be pasted into a spec.
---@param found lest.testing.counterexample
---@return string
function M.code(found)
  return ("it(%s, function()\n  local policy = testing.policy(%s%s)\n  %s\nend)"):format(
    plans.literal(found.property.name), plans.literal(found.property.policy.given_file),
    options_code(found), (assertion(found):gsub("%%s", function()
      return plans.code(found.plan, "  ")
    end):gsub("%%%%", "%%")))
end

return M
