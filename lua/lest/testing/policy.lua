--- A policy in a spec: the deployed file, loaded and asked as a worker does, with the clock and the
--- outside world of the spec.
local answers = require "lest.testing.answers"
local core = require "lest.core"
local desk = require "lest.desk.policy"
local events = require "lest.testing.event"
local requests = require "lest.testing.request"
local schema = require "lest.base.schema"
local seeds = require "lest.testing.seeds"
local shapes = require "lest.testing.shapes"
local vocabulary = require "lest.policy.shapes"

local M = {}

--- The time of a spec that states none.
M.NOW = 1767268800 -- 2026-01-01 12:00:00 UTC, a Thursday

---@class lest.testing.policy
---@field file string
---@field given_file string as the spec says it
---@field options table those of the spec
---@field given table<string, table|function> answers by the kind of question
---@field now integer
local Policy = { __name = "lest.testing.policy" }
Policy.__index = Policy
M.class = Policy

-- What policies ask outside, by the option that answers it.
local OUTSIDE <const> = { "http", "history", "rate", "csv", "sqlite" }

local s <const> = schema
local fields = { now = s.optional(shapes.time), options = s.optional(shapes.any_table),
  profile = s.optional(shapes.any_table), config = s.optional(shapes.text),
  label = s.optional(shapes.text), outside = s.optional(shapes.any_table),
  with = s.optional(s.list(s.custom('a file, { file = "x.lua", options = { ... } } or a rule',
    function(value)
      if type(value) == "function" then return value end
      if type(value) == "string" then value = { file = value } end
      return type(value) == "table" and type(value.file) == "string" and value or nil
    end), { single = true })) }
for _, kind in ipairs(OUTSIDE) do
  fields[kind] = s.optional(s.custom("a table of answers, or a function", function(value)
    if type(value) == "table" or type(value) == "function" then return value end
    if kind == "rate" and type(value) == "boolean" then return value end
  end))
end
shapes.define("policy", fields)

-- What is approved where a spec states no profile: all that a profile could be made to allow.
local ANY <const> = { lifetime = "100y", names = "policy", subject = vocabulary.ATTRIBUTES,
  keys = { "ec:P-256", "ec:P-384", "ec:P-521", "rsa:2048..16384", "ed25519", "ed448" },
  san = core.san.types(), eku = { "clientAuth", "serverAuth" } }

local CALLER <const> = 3

-- Beside the file of whoever calls.
local function path_of(file)
  if file:sub(1, 1) == "/" then return file end
  local source = debug.getinfo(CALLER + 1, "S").source:match "^@(.+)"
  return (source and source:match "^(.*/)[^/]*$" or "") .. file
end

--- Load a file; who measures what specs reach puts something else here.
M.load = desk.load

--- As lest.testing.policy.
function M.new(file, options)
  if type(file) ~= "string" then error("testing.policy takes the policy's file", CALLER) end
  options = shapes.check("policy", options, CALLER)
  local given = options.outside or {}
  for _, kind in ipairs(OUTSIDE) do
    if options[kind] ~= nil then given[kind] = options[kind] end
  end
  local path, with = path_of(file), {}
  for i, each in ipairs(options.with or {}) do
    with[i] = type(each) == "function" and each
      or { file = path_of(each.file), options = each.options }
  end
  local loaded, err = M.load(path, { with = with,
    config = options.config and path_of(options.config),
    label = options.label, options = options.options,
    profile = options.profile or not options.config and ANY or nil })
  if not loaded then
    error(("testing.policy: %s%s"):format(err.option and ("options.%s: "):format(err.option) or "",
      tostring(err)), CALLER)
  end
  return setmetatable({ desk = loaded, given_file = file, options = options,
    file = loaded.file, now = options.now or M.NOW, given = given,
    has_profile = (options.profile or options.config) ~= nil }, Policy)
end

--- What a hook is called with for a decision.
---@param decision lest.testing.decision
---@return lest.request
function M.request_of(decision)
  return desk.request(decision.facts)
end

--- What became of a request.
---@class lest.testing.decision
---@field verdict lest.verdict as the policy gave it; "error" with its detail where it failed
---@field outcome lest.desk.outcome as the client would have it, once the profile has seen it
---@field journal lest.journal
---@field facts table the request
---@field unanswered { [1]: string, [2]: string }[] questions for which the spec has no answer

--- Decide a request.
---@param request lest.testing.request
---@param source? fun(kind: string, question: string): any, any answers in place of the spec's
---@return lest.testing.decision
function Policy:decide(request, source)
  if getmetatable(request) ~= requests.class then
    error("a request is made by testing.request { ... }", 2)
  end
  local facts, unanswered = request:facts(self.now), {}
  if not source then seeds.note(self.file, request) end
  local verdict, journal, outcome = self.desk:decide(facts,
    { outside = source or answers.source(self.given, unanswered) })
  -- How long what any profile allows would last is said by nobody.
  if not self.has_profile then outcome.lifetime = verdict.lifetime end
  return { verdict = verdict, outcome = outcome, journal = journal, facts = facts,
    unanswered = unanswered }
end

-- Tell the policy's hooks what happened.
local function hear(self, kind, event)
  if getmetatable(event) ~= events.class then
    error("an event is made by testing.event { ... }", 3)
  end
  local unanswered = {}
  local told, problem = self.desk:hear(event:facts(kind, self.now),
    answers.source(self.given, unanswered))
  if told == 0 then error(("the policy has no hook '%s'"):format(kind), 3) end
  local first = unanswered[1]
  if first then error(("the test has no answer to %s: %s"):format(first[1], first[2]), 3) end
  return problem == nil, problem
end

--- Call the hook `issued`, as a worker does: for a spec of what it tells whom.
---
---   assert.is_true(policy:issued(testing.event { label = "plant" }))
---@param event lest.testing.event
---@return boolean heard false: it is to be called again
---@return string|nil problem why
function Policy:issued(event)
  local heard, problem = hear(self, "issued", event)
  return heard, problem
end

--- Call the hook `revoked`, likewise.
---@param event lest.testing.event
---@return boolean heard
---@return string|nil problem
function Policy:revoked(event)
  local heard, problem = hear(self, "revoked", event)
  return heard, problem
end

return M
