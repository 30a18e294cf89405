--- Which requests an operator wants to see: the closed shape of trace{} and break_at{}.
---
---   local wanted = filter.check("break_at", { principal = "dev*", verdict = "reject" }, labels)
---   filter.matches(wanted, request)
local glob = require "lest.policy.glob"
local operations = require "lest.server.wire.operations"
local schema = require "lest.base.schema"

local M = {}

local s <const> = schema

local HELD_MAX <const> = 1000000

local function pattern(text)
  local parsed = type(text) == "string" and text ~= "" and glob.parse(text)
  if parsed then return parsed end
  return nil, "must be a pattern of 1 to 1024 bytes, as \"dev*\""
end

local decided = {}
for name, row in pairs(operations) do
  if row.hook and row.hook ~= "csrattrs" then decided[#decided + 1] = name end
end
table.sort(decided)

local function one_of(words)
  return s.optional(s.one_of(words))
end

local function shape_of(labels)
  return s.record {
    principal = s.optional(s.custom("a pattern", pattern)),
    rule = s.optional(s.custom("a pattern", pattern)),
    verdict = one_of { "approve", "reject", "pending", "unavailable", "error" },
    operation = one_of(decided),
    label = one_of(labels),
    times = s.optional(s.integer { min = 1, max = HELD_MAX }, 1),
  }
end

--- Check what was typed.
---@param options any
---@param labels string[]
---@return table|nil wanted
---@return string|nil problem
function M.check(options, labels)
  local wanted, problems = s.check(shape_of(labels), options == nil and {} or options)
  if wanted then return wanted end
  local first = problems[1]
  return nil, first.path and first.path ~= "" and ("%s: %s"):format(first.path, first.problem)
    or first.problem
end

--- Whether a request is one of them, as far as that can be said before it is decided.
---@param wanted table
---@param request lest.worker.request
---@return boolean
function M.matches(wanted, request)
  return (not wanted.label or wanted.label == request.label.name)
    and (not wanted.operation or wanted.operation == request.operation)
    and (not wanted.principal or glob.matches(wanted.principal, request.who or ""))
end

--- Whether a rule has the name that is wanted: with or without where it stands.
---@param wanted table
---@param name? string "own_name at policy.lua:12"
---@return boolean
function M.has_rule(wanted, name)
  if not wanted.rule then return true end
  if type(name) ~= "string" then return false end
  return glob.matches(wanted.rule, name)
    or glob.matches(wanted.rule, (name:gsub(" at [^ ]*$", "")))
end

return M
