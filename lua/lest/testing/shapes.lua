--- What the functions of lest.testing take: closed shapes, whose mistakes are raised with the right
--- word.
local clock = require "lest.base.clock"
local core = require "lest.core"
local duration = require "lest.duration"
local schema = require "lest.base.schema"

local s <const> = schema

local M = {}

local function is_a(wanted, ...)
  local types = {}
  for _, type in ipairs { ... } do types[type] = true end
  return s.custom(wanted, function(value)
    if types[type(value)] then return value end
  end)
end

local text = s.string { max = 65536, any_bytes = true }
local texts = s.list(text, { single = true })
local name = s.custom('a name, as "CN=device001"', function(value)
  if type(value) ~= "string" and type(value) ~= "table" then return nil end
  local der, err = core.name.encode(value)
  return der and value, err and err.message
end)
local key = is_a('a kind of key, as "ec:P-256", or a key', "string", "userdata")
local table_of_texts = is_a("a table", "table")

--- A time: seconds since 1970, or a text as "2026-01-31 12:00" in UTC.
M.time = s.custom('a time, as "2026-01-31 12:00"', function(value)
  if math.type(value) == "integer" then return value end
  return type(value) == "string" and clock.parse(value) or nil
end)

--- What was made elsewhere.
M.pem = s.string { max = 65536, pattern = "^%s*%-%-%-%-%-BEGIN ", what = "PEM" }

--- One of the makers' own objects.
---@param class table
---@param wanted string
function M.object(class, wanted)
  return s.custom(wanted, function(value)
    if getmetatable(value) == class then return value end
  end)
end

local function certificate(fields)
  for field, shape in pairs {
    subject = name, san = texts, eku = texts, key = key, name = text, anchors = text,
    is_own = s.boolean(), not_before = M.time, not_after = M.time, age = duration.field(),
    left = duration.field(), expired = duration.field(), facts = is_a("a table", "table"),
    profile = text, pem = M.pem,
  } do
    fields[field] = s.optional(shape)
  end
  return s.record(fields)
end

local attributes = {}
for _, attribute in ipairs { "serialNumber", "CN", "O" } do
  attributes[attribute] = s.optional(text)
end

local extensions = is_a("a list", "table")

local user <const> = s.record { name = text, credential = s.optional(table_of_texts),
  claims = s.optional(table_of_texts) }

local shapes <const> = {
  basic = user, digest = user, bearer = user, challenge = user, psk = user, srp = user,
  cert = certificate {},
  idevid = certificate(attributes),
  csr = s.record {
    subject = s.optional(name), subject_der = s.optional(text), san = s.optional(texts),
    key = s.optional(key), pem = s.optional(M.pem),
    key_usage = s.optional(texts), eku = s.optional(texts), extensions = s.optional(extensions),
    attributes = s.optional(extensions), challenge_password = s.optional(text),
    otp_challenge = s.optional(text), revocation_challenge = s.optional(text),
    identity_linking = s.optional(text),
    change = s.optional(is_a("a table", "table")), digest = s.optional(text),
  },
  approval = s.record { operator = text, note = s.optional(text), time = s.optional(M.time) },
}

--- Add a shape that needs a class of another file.
---@param what string
---@param fields table
function M.define(what, fields)
  shapes[what] = s.record(fields)
end

--- Check what a function was called with; a mistake is raised at `level`.
---@param what string "cert"
---@param value any
---@param level integer as of error(), from the caller
---@return table
function M.check(what, value, level)
  local result, problems = s.check(shapes[what], value == nil and {} or value)
  if result then return result end
  local first = problems[1]
  error(("testing.%s: %s%s"):format(what, first.path ~= "" and first.path .. ": " or "",
    first.problem), level + 1)
end

M.text, M.approval = text, shapes.approval
M.any_table, M.any_function = is_a("a table", "table"), is_a("a function", "function")
M.csr = s.custom("a table or a request", function(value)
  if type(value) ~= "table" and type(value) ~= "userdata" then return nil end
  return value
end)

return M
