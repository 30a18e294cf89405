--- Closed schemas for tables: configuration, options of a verdict, messages between processes.
---
--- A schema's check(value, at) returns the value as it is to be used, or reports at its place and
--- returns nil. A place is a stack of keys, since a path in words is wanted by failures only, and
--- messages are checked several times a request. Compose them:
---
---   local s = require "lest.schema"
---   local shape = s.record { name = s.string(), age = s.optional(s.integer { min = 0 }) }
---   local value, problems = s.check(shape, { name = "x", agee = 3 })
---   --> nil, { { path = "agee", problem = "unknown, did you mean 'age'?" } }
local duration = require "lest.duration"

local M = {}

-- Looking for the nearest name costs; a hostile table may have any number of unknown ones.
local UNKNOWN_MAX <const> = 16

local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      local best = math.min(diagonal + cost, row[j] + 1, row[j - 1] + 1)
      diagonal, row[j] = row[j], best
    end
  end
  return row[#b]
end

--- The name in `names` (a table whose keys are names) that is nearest to `name`, or nil.
---@param name string
---@param names table<string, any>
---@return string|nil
function M.nearest(name, names)
  local nearest, best = nil, #name // 3 + 2
  for candidate in pairs(names) do
    if type(candidate) == "string" then
      local d = distance(name:sub(1, 64), candidate)
      if d < best or (d == best and nearest and candidate < nearest) then
        nearest, best = candidate, d
      end
    end
  end
  return nearest
end

--- ", did you mean 'x'?" or "".
---@param name any
---@param names table<string, any>
---@return string
function M.hint(name, names)
  local nearest = type(name) == "string" and M.nearest(name, names)
  return nearest and (", did you mean '%s'?"):format(nearest) or ""
end

---@class lest.schema.place
---@field depth integer keys [1] to [depth] lead to the value that is checked
---@field problems { path: string, problem: string }[]|nil
local Place = {}
Place.__index = Place

--- The path in words, with `key` below the value or without.
function Place:path(key)
  local path = ""
  for i = 1, key ~= nil and self.depth + 1 or self.depth do
    local part = i > self.depth and key or self[i]
    if type(part) == "number" then
      path = ("%s[%d]"):format(path, part)
    else
      path = path == "" and tostring(part) or path .. "." .. tostring(part)
    end
  end
  return path
end

function Place:report(problem, key)
  self.problems = self.problems or {}
  table.insert(self.problems, { path = self:path(key), problem = problem })
end

--- A field that may be absent; `default` is what it is then.
function M.optional(inner, default)
  return { optional = true, default = default, check = inner.check }
end

local function simple(wanted, accept)
  return { check = function(value, at)
    local result, problem = accept(value)
    if result == nil then
      at:report(problem or ("must be %s, not %s"):format(wanted, type(value)))
    end
    return result
  end }
end

---@param options? { max: integer, pattern: string, what: string } max bytes (default 4096)
function M.string(options)
  options = options or {}
  local max = options.max or 4096
  return simple("a string", function(value)
    if type(value) ~= "string" then return nil end
    if #value > max then return nil, ("longer than %d bytes"):format(max) end
    if options.pattern and not value:find(options.pattern) then
      return nil, ("'%s' is not %s"):format(value:sub(1, 60), options.what or "of the right form")
    end
    return value
  end)
end

---@param options? { min: integer, max: integer }
function M.integer(options)
  options = options or {}
  return simple("a whole number", function(value)
    local number = type(value) == "number" and math.tointeger(value)
    if not number then return nil end
    if number < (options.min or 0) or number > (options.max or math.maxinteger) then
      return nil, ("%d is out of range (%d to %s)"):format(number, options.min or 0, options.max
        or "any")
    end
    return number
  end)
end

function M.boolean()
  return simple("true or false", function(value)
    if type(value) == "boolean" then return value end
  end)
end

--- A duration ("90d", or seconds); its value is seconds.
---@param options? { min: integer, max: integer } seconds
function M.duration(options)
  options = options or {}
  return simple("a duration", function(value)
    local seconds, problem = duration.parse(value)
    if not seconds then return nil, problem end
    if seconds < (options.min or 0) or seconds > (options.max or math.maxinteger) then
      return nil, ("%s is out of range (%s to %s)"):format(value, duration.format(options.min or 0),
        options.max and duration.format(options.max) or "any")
    end
    return seconds
  end)
end

--- A size in bytes: a number, or "64KiB", "10MiB".
function M.size()
  return simple("a size", function(value)
    if math.type(value) == "integer" and value > 0 then return value end
    local number, unit = tostring(value):match("^(%d+)([KM]iB)$")
    if not number then
      return nil, ("'%s' is no size: write one as 65536 or \"64KiB\""):format(tostring(value))
    end
    return tonumber(number) * (unit == "KiB" and 1024 or 1048576)
  end)
end

---@param choices string[]
function M.one_of(choices)
  local set = {}
  for _, choice in ipairs(choices) do set[choice] = true end
  return simple("a string", function(value)
    if set[value] then return value end
    return nil, ("'%s' is not one of %s%s"):format(tostring(value):sub(1, 60),
      table.concat(choices, ", "), M.hint(value, set))
  end)
end

--- A list of up to max (default 256) elements; with `single`, one element may stand for a list of
--- one.
---@param options? { min: integer, max: integer, single: boolean }
function M.list(element, options)
  options = options or {}
  return { check = function(value, at)
    if options.single and type(value) ~= "table" then value = { value } end
    if type(value) ~= "table" then return at:report("must be a list, not " .. type(value)) end
    local count = 0
    for key in pairs(value) do
      count = count + 1
      if math.type(key) ~= "integer" or key < 1 then
        return at:report("a list has no named entries", key)
      end
    end
    if count ~= #value then return at:report "must be a list without gaps" end
    if count > (options.max or 256) then return at:report "too many entries" end
    if count < (options.min or 0) then return at:report "too few entries" end
    local result, depth = {}, at.depth + 1
    at.depth = depth
    for i, item in ipairs(value) do
      at[depth] = i
      result[i] = element.check(item, at)
    end
    at.depth = depth - 1
    return result
  end }
end

--- A table from names to values.
---@param options? { max: integer, key: fun(key: string): boolean, string? }
function M.map(element, options)
  options = options or {}
  return { check = function(value, at)
    if type(value) ~= "table" then return at:report("must be a table, not " .. type(value)) end
    local result, count, depth = {}, 0, at.depth
    for key, item in pairs(value) do
      count = count + 1
      local good, problem = type(key) == "string", "names are strings"
      if good and options.key then good, problem = options.key(key) end
      if count > (options.max or 1024) then return at:report "too many entries" end
      if good then
        at.depth, at[depth + 1] = depth + 1, key
        result[key] = element.check(item, at)
        at.depth = depth
      else
        at:report(problem or "not a right name", key)
      end
    end
    return result
  end }
end

--- A table with just these fields.
---@param fields table<string, table>
function M.record(fields)
  local required, defaults = {}, {}
  for key, field in pairs(fields) do
    if not field.optional then
      table.insert(required, key)
    elseif field.default ~= nil then
      defaults[key] = field
    end
  end
  return { fields = fields, check = function(value, at)
    if type(value) ~= "table" then return at:report("must be a table, not " .. type(value)) end
    local result, unknown, depth = {}, 0, at.depth
    for key, item in pairs(value) do
      local field = fields[key]
      if field then
        at.depth, at[depth + 1] = depth + 1, key
        result[key] = field.check(item, at)
        at.depth = depth
      else
        at:report("unknown" .. M.hint(key, fields), key)
        unknown = unknown + 1
        if unknown == UNKNOWN_MAX then break end
      end
    end
    for _, key in ipairs(required) do
      if value[key] == nil then at:report("is missing", key) end
    end
    for key, field in pairs(defaults) do
      if value[key] == nil then
        at.depth, at[depth + 1] = depth + 1, key
        result[key] = field.check(field.default, at)
        at.depth = depth
      end
    end
    return result
  end }
end

--- Any value that the function accepts: function(value) -> result | nil, problem.
function M.custom(wanted, accept)
  return simple(wanted, accept)
end

--- Check a value against a schema.
---@return any|nil value with defaults filled in
---@return { path: string, problem: string }[]|nil problems
function M.check(shape, value)
  local at = setmetatable({ depth = 0 }, Place)
  local result = shape.check(value, at)
  local problems = at.problems
  if problems then
    table.sort(problems, function(a, b) return a.path < b.path end)
    return nil, problems
  end
  return result
end

return M
