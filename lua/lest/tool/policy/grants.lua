--- Approvals in a policy's text that no profile of its label can ever grant.
local duration = require "lest.duration"
local flow = require "lest.tool.policy.flow"
local list = require "lest.base.list"
local schema = require "lest.base.schema"
local shapes = require "lest.policy.shapes"

local M = {}

-- The kit's functions that approve.
local APPROVES <const> = { approve = true, consent = true, names = true,
  renew = true }

local ATTRIBUTES <const> = list.set(shapes.ATTRIBUTES)

-- The fields of a table that are written with their names.
local function fields_of(node)
  local fields = {}
  for _, each in ipairs(node and node.tag == "Table" and node or {}) do
    local name = each.tag == "Pair" and flow.text(each[1])
    if name then fields[name] = each[2] end
  end
  return fields
end

-- The texts of a list, or a text alone, and where a text ends in what is not known, its beginning.
local function texts_of(node, into)
  into = into or {}
  if not node then return into end
  if node.tag == "Op" and node[1] == "concat" then return texts_of(node[2], into) end
  if flow.text(node) then table.insert(into, { node[1], node = node }) end
  for _, each in ipairs(node.tag == "Table" and node or {}) do
    if each.tag ~= "Pair" then texts_of(each, into) end
  end
  return into
end

-- The attributes of `subject = { { "CN", x }, ... }`.
local function subject_of(node, into)
  for _, pair in ipairs(node and node.tag == "Table" and node or {}) do
    local name = pair.tag == "Table" and flow.text(pair[1])
    if name then table.insert(into, { name, node = pair }) end
  end
end

local function lifetime_of(node)
  local value = node and (flow.text(node) or node.tag == "Number" and tonumber(node[1]))
  return value and duration.parse(value) or nil
end

--- What an approval states, as far as the text says it.
local function stated(name, call)
  local fields = fields_of(call[2])
  local attributes = {}
  subject_of(fields.subject, attributes)
  if name == "names" then
    for each, node in pairs(fields) do
      if ATTRIBUTES[each] then table.insert(attributes, { each, node = node }) end
    end
  end
  return { node = call, has_profile = fields.profile ~= nil, profile = flow.text(fields.profile),
    attributes = attributes, san = texts_of(fields.san), lifetime = lifetime_of(fields.lifetime),
    is_renewal = name == "renew" or fields.renewal ~= nil }
end

-- Why a profile never grants what is stated; nil where it may.
local function why_never(approval, profile)
  if profile.names == "renewal" and not approval.is_renewal then
    return "it takes names from the certificate being renewed only (names = \"renewal\")"
  elseif approval.lifetime and approval.lifetime > profile.lifetime then
    return ("%s is longer than its lifetime, %s"):format(duration.format(approval.lifetime),
      duration.format(profile.lifetime))
  end
  for _, each in ipairs(approval.attributes) do
    if not list.has(profile.subject, each[1]) then
      return ("its subject has no %s (it has: %s)"):format(each[1],
        table.concat(profile.subject, ", "))
    end
  end
  for _, each in ipairs(approval.san) do
    local kind = each[1]:match "^(%a+):"
    if kind and not list.has(profile.san, kind) then
      return ("its san has no %s (it has: %s)"):format(kind,
        #profile.san > 0 and table.concat(profile.san, ", ") or "none")
    end
  end
end

-- The profiles that may be meant.
local function candidates(approval, label)
  if approval.profile then return { approval.profile } end
  if approval.has_profile or approval.is_renewal then return label.profiles end
  return { label.profiles[1] }
end

local function problem_of(approval, label, profiles)
  if approval.profile and not list.has(label.profiles, approval.profile) then
    return ("the label does not have the profile '%s'%s: it has %s"):format(approval.profile,
      schema.hint(approval.profile, list.set(label.profiles)), table.concat(label.profiles, ", "))
  end
  local first
  for _, name in ipairs(candidates(approval, label)) do
    local why = why_never(approval, profiles[name])
    if not why then return nil end
    first = first or ("the profile '%s' never grants this: %s"):format(name, why)
  end
  return first
end

--- Approvals that a label can never grant.
---@param source lest.policy.source
---@param follow lest.policy.flow
---@param config table
---@param label_name string
---@return lest.policy.finding[]
function M.of(source, follow, config, label_name)
  local found = {}
  flow.walk(source.ast, function(node)
    local name = follow:kit_call(node)
    if not name or not APPROVES[name] then return end
    local problem = problem_of(stated(name, node), config.labels[label_name], config.profiles)
    if problem then
      table.insert(found, { level = "error", kind = "grant", line = node.line,
        message = ("label %s: %s"):format(label_name, problem) })
    end
  end)
  return found
end

return M
