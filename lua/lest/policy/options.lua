--- The options of a policy: what a label's configuration gives one, as its file declares them.
---
--- Who loads a policy says what it is given by load(); policy.options takes that for the file that
--- is loaded, and for this file alone: what it requires is given nothing, and has its defaults.
local closed = require "lest.policy.closed"
local core = require "lest.core"
local duration = require "lest.duration"
local files = require "lest.policy.files"
local list = require "lest.base.list"
local schema = require "lest.base.schema"

local M = {}

local s <const> = schema

-- The most bytes of a secret.
local SECRET_MAX <const> = 4096

--- A path, where the file can be read.
local function readable(given, folder)
  if type(given) ~= "string" or given == "" or given:find("\0", 1, true) then
    return nil, "must be the name of a file"
  end
  local path = files.path(folder, given)
  local problem = files.problem(path)
  return not problem and path or nil, problem
end

--- The first line of a file.
local function secret(given, folder)
  local path, problem = readable(given, folder)
  if not path then return nil, problem end
  local text, err = core.file.read(path, SECRET_MAX)
  if not text then return nil, err.message end
  local line = text:match "^[^\r\n]*"
  if line == "" or line:find "%c" then
    return nil, ("the first line of %s is no secret"):format(path)
  end
  return line
end

--- A URL as it is, or a path.
local function file_or_url(given, folder)
  if type(given) == "string" and given:find "^https?://" then return given end
  return readable(given, folder)
end

--- A shape of what names a file of the configuration's folder.
local function of_file(accept)
  return function(_, folder)
    return s.custom("the name of a file", function(value) return accept(value, folder) end)
  end
end

-- A type by its name: the shape of its values, made of the bounds that the declaration states.
local TYPES <const> = {
  string = function() return s.string() end,
  integer = function(bounds) return s.integer(bounds) end,
  boolean = function() return s.boolean() end,
  duration = function(bounds) return duration.field(bounds) end,
  strings = function() return s.list(s.string()) end,
  file = of_file(readable), source = of_file(file_or_url), secret = of_file(secret),
}

-- Those without a default: a file that is not there would be none that is not given.
local STATED <const> = { file = true, source = true, secret = true }

-- Those that have a smallest and a largest value, and how one is read.
local BOUNDED <const> = { integer = math.tointeger, duration = duration.parse }

local any <const> = s.optional(s.custom("a value", function(value) return value end))

local declaration <const> = s.record {
  type = s.optional(s.one_of(list.sorted_keys(TYPES))),
  one_of = s.optional(s.list(s.string { max = 64 }, { min = 1 })),
  default = any, optional = s.optional(s.boolean()), min = any, max = any,
}

local function bounds_of(row)
  local parse, bounds = BOUNDED[row.type], {}
  for _, key in ipairs { "min", "max" } do
    local value = row[key]
    if value ~= nil and not parse then return nil, key .. ": is for an integer or a duration" end
    bounds[key] = value ~= nil and parse(value) or nil
    if value ~= nil and not bounds[key] then
      return nil, ("%s: is no %s"):format(key, row.type)
    end
  end
  return bounds
end

--- The field of one option, from its declaration.
local function field_of(declared, folder)
  local row, problems = schema.check(declaration, declared)
  if not row then
    local found = problems[1]
    return nil, (found.path ~= "" and found.path .. ": " or "") .. found.problem
  elseif (row.type == nil) == (row.one_of == nil) then
    return nil, "state its type, as type = \"string\", or its values, as one_of = { \"a\", \"b\" }"
  end
  local bounds, problem = bounds_of(row)
  if not bounds then return nil, problem end
  local shape = row.one_of and s.one_of(row.one_of) or TYPES[row.type](bounds, folder)
  local default = declared.default
  if default == nil then return row.optional and s.optional(shape) or shape end
  if STATED[row.type] then return nil, ("default: a %s has none"):format(row.type) end
  local _, found = schema.check(shape, default)
  if found then return nil, "default: " .. found[1].problem end
  return s.optional(shape, default)
end

local function shape_of(declared, folder)
  if type(declared) ~= "table" then
    return nil, ("takes a table, as { prefix = { type = \"string\" } }, not %s"):format(
      schema.kind(declared))
  end
  local fields = {}
  for name, row in next, declared do
    if type(name) ~= "string" or not name:find "^[%a_][%w_]*$" then
      return nil, ("'%s' is no name of an option"):format(tostring(name))
    end
    local field, problem = field_of(row, folder)
    if not field then return nil, ("%s: %s"):format(name, problem) end
    fields[name] = field
  end
  return s.record(fields)
end

---@class lest.policy.loading
---@field source string the chunk that is loaded, "@FILE"
---@field given table<string, any> the options of the configuration
---@field folder string where their files are
---@field place? string where the file declares its options
---@field problem? { option: string, text: string } what is wrong with those given

local loading ---@type lest.policy.loading|nil

--- Run the chunk of a policy file, which takes its options meanwhile.
---@param state lest.policy.loading
---@param run function which raises nothing
---@return any ... its results
function M.load(state, run)
  local before = loading
  loading = state
  local results = table.pack(run())
  loading = before
  if not state.place and next(state.given) ~= nil then
    state.problem = state.problem or { option = list.sorted_keys(state.given)[1],
      text = "the policy takes no options: it does not call policy.options" }
  end
  return table.unpack(results, 1, results.n)
end

--- The values of the options that a chunk declares.
---@param declared table
---@param source string of the chunk
---@param place string "policy.lua:3"
---@return table|nil values
---@return string|nil problem
function M.take(declared, source, place)
  local state = loading and loading.source == source and loading or nil
  local folder = state and state.folder or files.folder_of(source) or "."
  local shape, problem = shape_of(declared, folder)
  if not shape then return nil, "policy.options: " .. problem end
  if state and state.place then
    return nil, ("policy.options: they were declared at %s already"):format(state.place)
  elseif state then
    state.place = place
  end
  local values, problems = schema.check(shape, state and state.given or {})
  if values then
    return closed.view(closed.class("lest.policy.options", "the policy's options", shape.fields),
      values)
  end
  local found = problems[1]
  if state then state.problem = { option = found.path, text = found.problem } end
  return nil, ("policy.options: %s: %s"):format(found.path, found.problem)
end

return M
