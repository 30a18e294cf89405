--- What `files` and `hooks` of an identity may say.
---
---   files = { { path = "/etc/mosquitto/certs/dev9.pem", content = "fullchain" },
---     { folder = "/run/tls/dev9", group = "www-data", mode = "0640" } },
---   hooks = { { command = { "systemctl", "reload", "mosquitto" } } },
---
--- shape.files and shape.hooks are shapes of lest.base.schema; what they give has its defaults.
local duration = require "lest.duration"
local list = require "lest.base.list"
local schema = require "lest.base.schema"

local M = {}

-- Whether a file with this in it has the private key in it.
local PARTS <const> = { cert = false, chain = false, fullchain = false, anchors = false, key = true,
  combined = true, pkcs12 = true }
local ALONE <const> = list.set { "combined", "pkcs12" }
local FOR_PKCS12 <const> = { "password_file", "alias", "legacy" }

local PUBLIC_MODE <const>, SECRET_MODE <const> = tonumber("644", 8), tonumber("600", 8)
local OTHERS <const> = 7
local TIMEOUT_S <const>, TIMEOUT_MAX_S <const> = 30, 600

local path = schema.string { max = 4000, pattern = "^[^%z]*[^/%z]$", what = "a path" }
local name = schema.string { max = 64, pattern = "^[%w_][%w_.-]*$", what = "a name" }

local mode = schema.custom("a mode, as \"0640\"", function(value)
  if type(value) ~= "string" then return nil end
  local octal = value:match "^0?([0-7][0-7][0-7])$"
  return octal and tonumber(octal, 8), ("'%s' is no mode: write one as \"0640\""):format(value)
end)

local entry = schema.record {
  path = schema.optional(path),
  folder = schema.optional(path),
  content = schema.optional(schema.list(schema.one_of(list.sorted_keys(PARTS)),
    { min = 1, max = 8, single = true })),
  owner = schema.optional(name),
  group = schema.optional(name),
  mode = schema.optional(mode),
  password_file = schema.optional(path),
  alias = schema.optional(schema.string { max = 128 }),
  legacy = schema.optional(schema.boolean()),
}

--- Why a file cannot be made so; nil where it can.
local function content_problem(file)
  if not file.content then
    return "is missing `content`: fullchain, key, combined, pkcs12 or others"
  end
  local has_pkcs12 = file.content[1] == "pkcs12"
  for _, each in ipairs(file.content) do
    if ALONE[each] and #file.content > 1 then return ("%s stands alone"):format(each) end
  end
  if has_pkcs12 and not file.password_file then return "pkcs12 needs a `password_file`" end
  for _, key in ipairs(FOR_PKCS12) do
    if file[key] ~= nil and not has_pkcs12 then return ("`%s` is for pkcs12"):format(key) end
  end
end

local function has_key(file)
  if file.folder then return true end
  for _, each in ipairs(file.content) do
    if PARTS[each] then return true end
  end
  return false
end

local function folder_problem(file)
  for _, key in ipairs { "content", table.unpack(FOR_PKCS12) } do
    if file[key] ~= nil then return ("`%s` is for a `path`"):format(key) end
  end
end

local file_shape = schema.custom(entry.wanted, function(value)
  local file, problems = entry.accept(value)
  if not file then return nil, problems end
  if (file.path == nil) == (file.folder == nil) then
    return nil, "needs a `path` or a `folder`, one of the two"
  end
  local problem = (file.folder and folder_problem or content_problem)(file)
  if problem then return nil, problem end
  local is_secret = has_key(file)
  file.mode = file.mode or (is_secret and SECRET_MODE or PUBLIC_MODE)
  if is_secret and file.mode & OTHERS ~= 0 then
    return nil, ("the key is in it, and mode %04o lets every account in"):format(file.mode)
  end
  return file
end)
file_shape.fields = entry.fields

--- Files as their readers want them.
M.files = schema.list(file_shape, { max = 64 })

local hook = schema.record {
  command = schema.optional(schema.list(schema.string { max = 4000, pattern = "^[^%z]*$",
    what = "without NUL" }, { min = 1, max = 64 })),
  run = schema.optional(schema.custom("a function", function(value)
    return type(value) == "function" and value or nil
  end)),
  timeout = schema.optional(duration.field { min = 1, max = TIMEOUT_MAX_S }, TIMEOUT_S),
}

local hook_shape = schema.custom("a function, or a table, as { command = { \"systemctl\", "
  .. "\"reload\", \"nginx\" } }", function(value)
  if type(value) == "function" then value = { run = value } end
  if type(value) ~= "table" then return nil end
  local accepted, problems = hook.accept(value)
  if not accepted then return nil, problems end
  if (accepted.command == nil) == (accepted.run == nil) then
    return nil, "needs a `command` or a function `run`, one of the two"
  end
  return accepted
end)
hook_shape.fields = hook.fields

--- What is run after the files are in their places.
M.hooks = schema.list(hook_shape, { max = 16 })

return M
