--- A CA that is elsewhere, as a configuration has it: what each backend needs beside what all have.
--- A row of KINDS is a backend; lest/server/backend has a file of the same name for it.
local duration = require "lest.duration"
local list = require "lest.base.list"
local schema = require "lest.base.schema"

local M = {}

local s <const> = schema
local path = s.string { max = 4000, pattern = "^[^%z]+$", what = "a path" }
local word = s.string { max = 4000, pattern = "^[^%z]+$", what = "a text without NUL" }

local function option_value(value)
  local kind = math.type(value) or type(value)
  if kind == "string" or kind == "boolean" or kind == "integer" then return value end
end

--- What every backend has.
local function with_common(fields)
  fields.backend = s.string()
  fields.cert = path
  fields.chain = s.optional(path)
  fields.timeout = s.optional(duration.field { min = 1, max = 600 }, "30s")
  fields.at_once = s.optional(s.integer { min = 1, max = 64 }, 4)
  fields.per_minute = s.optional(s.integer { min = 1, max = 100000 }, 600)
  fields.queue = s.optional(s.integer { min = 1, max = 100000 }, 10000)
  fields.expires = s.optional(duration.field { min = 60, max = 31536000 }, "7d")
  return fields
end

--- repeats: whether the CA, asked again with the same id, gives what it gave before.
local KINDS <const> = {
  command = { repeats = true, fields = {
    command = s.list(word, { min = 1, max = 32, as = '{ "/usr/local/sbin/issue" }' }),
  } },
  lua = { repeats = true, fields = {
    file = path,
    options = s.optional(s.map(s.custom("a text, a whole number, true or false", option_value),
      { max = 64 }), {}),
  } },
  cfssl = { repeats = false, fields = {
    url = s.string { max = 4000, pattern = "^https?://%S+$",
      what = "a URL, as https://ca.example:8888" },
    trust = s.optional(word),
    auth_key_file = path,
    profile = s.optional(word),
    label = s.optional(s.string { max = 128 }),
  } },
  est = { repeats = false, fields = {
    url = s.string { max = 4000, pattern = "^https://%S+$",
      what = "a URL, as https://est.example" },
    label = s.optional(s.string { max = 128 }),
    trust = word,
    identity = s.optional(s.record({ cert = path, key = word, passphrase_file = s.optional(path),
      passphrase_command = s.optional(s.list(word, { min = 1, max = 32 })) },
      '{ cert = "ra.pem", key = "ra.key" }')),
    username = s.optional(word),
    password_file = s.optional(path),
    bearer_file = s.optional(path),
    repeats = s.optional(s.boolean(), false),
  } },
}

local records <const>, all <const> = {}, {}
for kind, row in pairs(KINDS) do
  records[kind] = s.record(with_common(row.fields))
  for key, field in pairs(row.fields) do
    all[key] = (key == "cert" or field.optional) and field or s.optional(field)
  end
end
local kinds <const> = s.one_of(list.sorted_keys(KINDS))
all.backend = s.optional(kinds)

--- All keys that any backend has, for who describes them.
M.fields = all

--- Check a CA that names its backend.
---@param value table with `backend`
---@return table|nil ca
---@return any problem as of a schema's accept()
function M.accept(value)
  local kind, problem = kinds.accept(value.backend)
  if not kind then return nil, { { problem = problem or "must be a string", "backend" } } end
  local ca
  ca, problem = records[kind].accept(value)
  if not ca then return nil, problem end
  if ca.repeats == nil then ca.repeats = KINDS[kind].repeats end
  return ca
end

--- Whether any CA of a configuration is elsewhere.
---@param config table
---@return boolean
function M.any(config)
  if config.ca.backend then return true end
  for _, ca in pairs(config.cas) do
    if ca.backend then return true end
  end
  return false
end

return M
