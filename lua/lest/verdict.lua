--- The options of verdicts: their shapes, and what is said of a mistake. A policy is written by a
--- person, who is told the right word.
local duration = require "lest.duration"
local schema = require "lest.base.schema"

local M = {}

--- How names are written, for messages.
M.NAME = '{ { "CN", "device001" } }'
M.SAN = '{ "DNS:device001" }'

-- Of a request's parts, as request.principal, nothing is to be seen here: they are no names.
local function is_name(value)
  if type(value) ~= "table" or getmetatable(value) == false then return false end
  for key, part in next, value do
    if math.type(key) ~= "integer" or type(part) ~= "table" or type(part[1]) ~= "string"
      or type(part[2]) ~= "string" then
      return false
    end
  end
  return true
end

local s <const> = schema
-- What a policy repeats of a client's may be no text; server/worker/decision makes it one.
local reason = s.optional(s.string { max = 1000, any_bytes = true })
local detail = s.optional(s.custom("a value", function(value)
  return tostring(value):sub(1, 8000)
end))
local subject = s.optional(s.custom("a name in parts, as " .. M.NAME, function(value)
  if is_name(value) then return value end
  if type(value) == "table" then return nil, "must be a name in parts, as " .. M.NAME end
end))
local san = s.optional(s.list(s.string { max = 1024, pattern = "^%a[%w]*:",
  what = "a kind and a value, as DNS:device001" }, { max = 128, as = M.SAN }))
local facts = s.optional(s.custom('a table, as { site = "Berlin" }', function(value)
  if type(value) == "table" then return value end
end))
local profile = s.optional(s.string { max = 64 })
local key_kind = s.optional(s.string { max = 64, what = 'a kind of key, as "ec:P-256"' })
local ca = s.optional(s.string { max = 64 })
local period = s.optional(duration.field { min = 1 })

local shapes <const> = {
  approve = s.record {
    reason = reason, detail = detail, profile = profile, ca = ca, lifetime = period,
    subject = subject, san = san, facts = facts, renewal = s.optional(s.boolean()), key = key_kind,
  },
  consent = s.record { reason = reason, detail = detail, profile = profile, ca = ca,
    lifetime = period, key = key_kind },
  reject = s.record { reason = reason, detail = detail },
  pending = s.record { reason = reason, detail = detail, retry_after = period, expires = period,
    needed = s.optional(s.integer { min = 1, max = 64 }) },
  unavailable = s.record { reason = reason, detail = detail, retry_after = period },
  renew = s.record { window = s.optional(duration.field()), profile = profile, ca = ca,
    lifetime = period },
}

-- What others call an option, in small letters, and how it is written here.
local OTHER_OPTIONS <const> = {
  subject = { as = "subject = " .. M.NAME, "cn", "o", "ou", "c", "st", "l", "dc", "uid", "name",
    "names", "dn", "serialnumber", "emailaddress", "common_name", "commonname" },
  san = { as = "san = " .. M.SAN, "dns", "ip", "email", "uri", "sans", "altnames", "alt_names",
    "subject_alt_name", "subjectaltname" },
  lifetime = { as = 'lifetime = "90d"', "days", "duration", "expires", "not_after", "ttl",
    "validity" },
  retry_after = { as = 'retry_after = "10m"', "after", "delay", "retry", "wait" },
  key = { as = 'key = "ec:P-256"', "key_type", "keytype", "key_kind", "server_key" },
  expires = { as = 'expires = "7d"', "lifetime", "timeout", "ttl" },
  needed = { as = "needed = 2", "approvals", "count", "operators", "required" },
  reason = { as = 'reason = "..."', "message", "msg", "text", "why", "error" },
}
local OF_PROFILE <const> = { key_usage = true, eku = true, keys = true, extensions = true,
  extended_key_usage = true }

--- How an option that a function does not have is written, as far as that can be told.
local function right_option(kind, key)
  if kind == "approve" and OF_PROFILE[key] then return "unknown: the profile says it" end
  for option, others in pairs(OTHER_OPTIONS) do
    for _, other in ipairs(shapes[kind].fields[option] and others or {}) do
      if other == key:lower() then return "unknown: write " .. others.as end
    end
  end
end

local function problem_of(kind, argument, problem)
  if getmetatable(argument) == false then
    return ("policy.%s takes a table of its own, not a part of the request"):format(kind)
  end
  local text = problem.problem
  if text:find "^unknown" then text = right_option(kind, problem.path) or text end
  return ("policy.%s: %s: %s"):format(kind, problem.path, text)
end

--- Check the options that a function of lest.policy was called with.
---@param kind "approve"|"consent"|"reject"|"pending"|"unavailable"|"renew"
---@param options table
---@param argument any what they were made from
---@return table|nil options as they are to be used
---@return string|nil problem the first, as a sentence
function M.check(kind, options, argument)
  local result, problems = schema.check(shapes[kind], options)
  if result then return result end
  return nil, problem_of(kind, argument, problems[1])
end

return M
