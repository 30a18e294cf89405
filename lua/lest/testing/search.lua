--- Searches a request for which a property of a policy does not hold: from those of its spec, at
--- random from the words of the policy, its spec and its data, and on from requests that reached a
--- rule or an outcome that none reached before. What is found is made smaller.
local answers = require "lest.testing.answers"
local journals = require "lest.policy.journal"
local plans = require "lest.testing.plan"
local random_numbers = require "lest.testing.random"
local seeds = require "lest.testing.seeds"
local words_of = require "lest.testing.words"

local M = {}

local KEPT_MAX <const> = 200 -- plans to go on from
local SHRINK_MAX <const> = 2000 -- looks at smaller plans

---@class lest.testing.property
---@field name string a sentence: "never approves ..."
---@field policy lest.testing.policy
---@field holds fun(decision: lest.testing.decision): boolean, string? a reason where it does not
---@field needs lest.testing.need[] without which it was not tried
---@field spec_text? string of the spec that states it

---@class lest.testing.need
---@field text string "no request was approved": where it was not met
---@field is_met fun(decision: lest.testing.decision): boolean

---@class lest.testing.counterexample
---@field property lest.testing.property
---@field plan lest.testing.plan
---@field decision lest.testing.decision
---@field asked table what the policy was told, as lest.testing.answers.world notes it
---@field why? string

---@class lest.testing.search
---@field count integer requests that were decided
---@field verdicts table<string, integer> how they were
---@field met table<lest.testing.need, boolean>
---@field reached table<string, boolean> names of rules and tests
local Search = {}
Search.__index = Search

--- A policy that consents and states no names is for others of its label to complete.
---@param decision lest.testing.decision
---@return boolean
function M.consents(decision)
  local first = journals.steps(decision.journal)[1]
  return decision.verdict.verdict == "error" and first ~= nil and first.outcome == "approve"
end

--- A search for one property.
---@param property lest.testing.property
---@param seed integer
---@param reached? table<string, boolean> shared by several searches
---@param first? lest.testing.plan[] those to begin with
---@return lest.testing.search
function M.new(property, seed, reached, first)
  local policy = property.policy
  local begin = seeds.of(policy.file)
  table.move(first or {}, 1, #(first or {}), #begin + 1, begin)
  return setmetatable({ property = property, random = random_numbers.new(seed), count = 0,
    verdicts = {}, met = {}, words = words_of.policy(policy, property.spec_text),
    reached = reached or {}, seen = {}, kept = table.move(begin, 1, #begin, 1, {}), first = begin,
    next = 1 }, Search)
end

function Search:count_decision(decision)
  local verdict = M.consents(decision) and "approve" or decision.outcome.verdict
  self.count = self.count + 1
  self.verdicts[verdict] = (self.verdicts[verdict] or 0) + 1
  for _, need in ipairs(self.property.needs) do
    if not self.met[need] then
      local ok, is_met = pcall(need.is_met, decision)
      self.met[need] = ok and is_met or nil
    end
  end
end

--- Why the property was not tried, though it holds for all that was; nil where it was tried.
---@return string|nil
function Search:untried()
  for _, need in ipairs(self.property.needs) do
    if not self.met[need] then return need.text end
  end
end

--- How the requests were decided, in words.
---@return string
function Search:summary()
  local parts = {}
  for _, verdict in ipairs { "approve", "reject", "pending", "unavailable", "error" } do
    local count = self.verdicts[verdict] or 0
    if count > 0 or verdict == "approve" then parts[#parts + 1] = verdict .. " " .. count end
  end
  return table.concat(parts, ", ")
end

-- Decide a plan: nil where it makes no request, or where the property holds.
function Search:try(plan)
  local made, request = pcall(plans.request, plan)
  if not made then return nil end
  local asked = {}
  local policy = self.property.policy
  local decided, decision = pcall(policy.decide, policy, request,
    answers.world(policy.given, plan.world or 1, asked, function(number)
      return words_of.row(self.words, number)
    end))
  if not decided then return nil end
  self:count_decision(decision)
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
