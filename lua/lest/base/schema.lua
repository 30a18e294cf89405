--- Closed schemas for tables: the configuration, the options of a verdict.
---
--- A shape's accept(value) returns the value as it is to be used, or nil and what is wrong. Nothing
--- is kept while all is well, since a verdict is checked in each request: a problem gets its path
--- on the way out, from the containers that its value stands in. Compose shapes:
---
---   local s = require "lest.base.schema"
---   local shape = s.record { name = s.string(), age = s.optional(s.integer { min = 0 }) }
---   local value, problems = s.check(shape, { name = "x", agee = 3 })
---   --> nil, { { path = "agee", problem = "unknown, did you mean 'age'?" } }
local list = require "lest.base.list"

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
      if candidate:lower() == name:lower() then return candidate end
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

--- What a value is, in words: "a string", "nil".
---@param value any
---@return string
function M.kind(value)
  return value == nil and "nil" or "a " .. type(value)
end

---@class lest.schema.shape
---@field accept fun(value: any): any, any result, or nil and a sentence or lest.schema.problem[]
---@field wanted string what is said of a value of another type
---@field optional? boolean
---@field default? any
---@field inner? lest.schema.shape of an optional one
---@field fields? table<string, lest.schema.shape> of a record
---@field element? lest.schema.shape of a list and a map
---@field options? table how it was made: min, max and the like
---@field choices? string[] all that are taken

---@class lest.schema.problem
---@field problem string
---@field [integer] string|integer the keys that lead to it, the innermost first

--- What is wrong with a value that accept() did not take, as a list. An error object is a sentence.
local function problems_of(shape, value, found)
  if type(found) == "table" and found[1] then return found end
  found = found or ("must be %s, not %s"):format(shape.wanted, M.kind(value))
  return { { problem = tostring(found) } }
end

--- Add to `problems` (nil: none yet) what is wrong with the value at `key`.
local function add(problems, key, found)
  problems = problems or {}
  for _, each in ipairs(found) do
    table.insert(each, key)
    table.insert(problems, each)
  end
  return problems
end

--- The keys of a problem as a person writes them.
local function path_of(problem)
  local path = ""
  for i = #problem, 1, -1 do
    local key = problem[i]
    if type(key) == "number" then
      path = ("%s[%d]"):format(path, key)
    else
      key = tostring(key):sub(1, 64)
      path = path == "" and key or path .. "." .. key
    end
  end
  return path
end

--- A field that may be absent; `default` is what it is then.
function M.optional(inner, default)
  return { optional = true, default = default, wanted = inner.wanted, accept = inner.accept,
    inner = inner }
end

local function simple(wanted, accept, options)
  return { wanted = wanted, accept = accept, options = options }
end

---@param options? { max: integer, pattern: string, what: string, any_bytes: boolean } max bytes
--- (default 4096), which are UTF-8 unless any_bytes
function M.string(options)
  options = options or {}
  local max = options.max or 4096
  return simple("a string", function(value)
    if type(value) ~= "string" then return nil end
    if #value > max then return nil, ("longer than %d bytes"):format(max) end
    if not options.any_bytes and not utf8.len(value) then return nil, "not UTF-8" end
    if options.pattern and not value:find(options.pattern) then
      return nil, ("'%s' is not %s"):format(value:sub(1, 60), options.what or "of the right form")
    end
    return value
  end, options)
end

local function out_of_range(value, min, max)
  if not max then return ("%s is out of range (at least %d)"):format(value, min) end
  return ("%s is out of range (%d to %d)"):format(value, min, max)
end

---@param options? { min: integer, max: integer }
function M.integer(options)
  options = options or {}
  return simple("a whole number", function(value)
    local number = type(value) == "number" and math.tointeger(value)
    if not number then return nil end
    if number < (options.min or 0) or number > (options.max or math.maxinteger) then
      return nil, out_of_range(number, options.min or 0, options.max)
    end
    return number
  end, options)
end

function M.boolean()
  return simple("true or false", function(value)
    if type(value) == "boolean" then return value end
  end)
end

--- A size in bytes: a number, or "64KiB", "10MiB".
---@param options? { min: integer, max: integer } bytes
function M.size(options)
  options = options or {}
  return simple("a size", function(value)
    local size = math.type(value) == "integer" and value
    if not size then
      local number, unit = tostring(value):match("^(%d+)([KM]iB)$")
      if not number or #number > 9 then
        return nil, ("'%s' is no size: write one as 65536 or \"64KiB\""):format(tostring(value))
      end
      size = tonumber(number) * (unit == "KiB" and 1024 or 1048576)
    end
    if size < (options.min or 1) or size > (options.max or math.maxinteger) then
      return nil, out_of_range(value, options.min or 1, options.max)
    end
    return size
  end, options)
end

---@param choices string[]
function M.one_of(choices)
  local set = list.set(choices)
  local shape = simple("a string", function(value)
    if set[value] then return value end
    if set[tostring(value)] then -- 1.3 for "1.3"
      return nil, ("must be a string: write \"%s\""):format(tostring(value))
    end
    return nil, ("'%s' is not one of %s%s"):format(tostring(value):sub(1, 60),
      table.concat(choices, ", "), M.hint(value, set))
  end)
  shape.choices = choices
  return shape
end

--- A list of up to max (default 256) elements; with `single`, one element may stand for a list of
--- one. `as` shows one to a person who wrote something else.
---@param options? { min: integer, max: integer, single: boolean, as: string }
function M.list(element, options)
  options = options or {}
  local accept, single = element.accept, options.single
  local min, max = options.min or 0, options.max or 256
  local as = options.as and ": write " .. options.as or ""
  local shape = simple(options.as and "a list, as " .. options.as or "a list", function(value)
    if type(value) ~= "table" then
      if not single then return nil end
      value = { value }
    end
    local count = 0
    for key in next, value do
      count = count + 1
      if math.type(key) ~= "integer" or key < 1 then
        return nil, { { problem = "a list has no named entries" .. as, key } }
      end
    end
    if count ~= #value then return nil, "must be a list without gaps" end
    if count > max then return nil, "too many entries" end
    if count < min then return nil, "too few entries" end
    local result, problems = {}, nil
    for i = 1, count do
      local item, problem = accept(value[i])
      if item == nil then
        problems = add(problems, i, problems_of(element, value[i], problem))
      end
      result[i] = item
    end
    if problems then return nil, problems end
    return result
  end, options)
  shape.element = element
  return shape
end

--- A table from names to values; `as` shows one to a person who wrote something else.
---@param options? { max: integer, key: (fun(key: string): boolean, string?), as: string }
function M.map(element, options)
  options = options or {}
  local accept, good_key, max = element.accept, options.key, options.max or 1024
  local as = options.as and ", as " .. options.as or ""
  local shape = simple("a table" .. as, function(value)
    if type(value) ~= "table" then return nil end
    local result, problems, count = {}, nil, 0
    for key, item in next, value do
      count = count + 1
      if count > max then return nil, "too many entries" end
      local good, problem, accepted = type(key) == "string", "must have a name" .. as, nil
      if good and good_key then good, problem = good_key(key) end
      if good then
        accepted, problem = accept(item)
      end
      if accepted == nil then
        problem = problem or not good and "not a right name" or nil
        problems = add(problems, key, problems_of(element, item, problem))
      end
      result[key] = accepted
    end
    if problems then return nil, problems end
    return result
  end, options)
  shape.element = element
  return shape
end

--- A table with just these fields; `as` shows one to a person who wrote something else.
---@param fields table<string, lest.schema.shape>
---@param as? string
function M.record(fields, as)
  local required, defaults = {}, {}
  for key, field in pairs(fields) do
    if not field.optional then
      table.insert(required, key)
    elseif field.default ~= nil then
      defaults[key] = field
    end
  end
  local shape = simple(as and "a table, as " .. as or "a table", function(value)
    if type(value) ~= "table" then return nil end
    local result, problems, unknown = {}, nil, 0
    for key, item in next, value do
      local field = fields[key]
      if field then
        local accepted, problem = field.accept(item)
        if accepted == nil then
          problems = add(problems, key, problems_of(field, item, problem))
        end
        result[key] = accepted
      else
        problems = add(problems, key, { { problem = "unknown" .. M.hint(key, fields) } })
        unknown = unknown + 1
        if unknown == UNKNOWN_MAX then break end
      end
    end
    for i = 1, #required do
      if value[required[i]] == nil then
        problems = add(problems, required[i], { { problem = "is missing" } })
      end
    end
    for key, field in next, defaults do
      if value[key] == nil then result[key] = field.accept(field.default) end
    end
    if problems then return nil, problems end
    return result
  end)
  shape.fields = fields
  return shape
end

--- Any value that the function accepts: function(value) -> result | nil, problem. The options are
--- for who describes the shape.
function M.custom(wanted, accept, options)
  return simple(wanted, accept, options)
end

--- Check a value against a schema.
---@param shape lest.schema.shape
---@param value any
---@return any|nil value with defaults filled in
---@return { path: string, problem: string }[]|nil problems
function M.check(shape, value)
  local result, found = shape.accept(value)
  if result ~= nil then return result end
  local problems = {}
  for i, each in ipairs(problems_of(shape, value, found)) do
    problems[i] = { path = path_of(each), problem = each.problem }
  end
  table.sort(problems, function(a, b) return a.path < b.path end)
  return nil, problems
end

return M
