--- A shape of lest.base.schema in words.
local duration = require "lest.duration"

local M = {}

local function size(bytes)
  if bytes % 1048576 == 0 then return bytes // 1048576 .. "MiB" end
  if bytes % 1024 == 0 then return bytes // 1024 .. "KiB" end
  return tostring(bytes)
end

-- How the bounds and the default of a type are written; those of a string are not for people.
local UNITS <const> = { ["a duration"] = duration.format, ["a size"] = size,
  ["a whole number"] = tostring }
-- More than a person would write.
local HUGE <const> = 1000000

local function range(shape)
  local unit, options = UNITS[shape.wanted], shape.options or {}
  if not unit then return "" end
  local min, max = options.min, options.max
  if min and max and max < HUGE then return (" from %s to %s"):format(unit(min), unit(max)) end
  if min and min > 0 then return " from " .. unit(min) end
  return max and max < HUGE and " up to " .. unit(max) or ""
end

local function quoted(choices)
  local words = {}
  for i, choice in ipairs(choices) do words[i] = ('`"%s"`'):format(choice) end
  return words
end

--- What a value is: "a duration from 1s", `"a"` or `"b"`.
---@param shape lest.schema.shape
---@return string
function M.type(shape)
  shape = shape.inner or shape
  local options = shape.options or {}
  if shape.choices then
    local words = quoted(shape.choices)
    local last = table.remove(words)
    return #words > 0 and table.concat(words, ", ") .. " or " .. last or last
  elseif shape.element then
    if shape.element.choices then return "a list of words" end
    local element = M.type(shape.element)
    if shape.wanted:find "^a table" then return element .. " for each name" end
    return options.single and element .. ", or a list" or "a list, each " .. element
  end
  return (options.what or shape.wanted):gsub(" %(.*$", "") .. range(shape)
end

--- The words of which a list may have any: "`a`, `b`"; nil for anything else.
---@param shape lest.schema.shape
---@return string|nil
function M.words(shape)
  local element = (shape.inner or shape).element
  return element and element.choices and table.concat(quoted(element.choices), ", ") or nil
end

--- A default as a configuration would have it; nil where there is none.
---@param shape lest.schema.shape
---@return string|nil
function M.default(shape)
  local value = shape.default
  if type(value) == "table" then
    if #value == 0 then return nil end
    return ('`{ "%s" }`'):format(table.concat(value, '", "'))
  elseif math.type(value) == "integer" then
    value = UNITS[(shape.inner or shape).wanted](value)
    return ("`%s`"):format(tonumber(value) and value or '"' .. value .. '"')
  elseif type(value) == "string" then
    return ('`"%s"`'):format(value)
  elseif math.type(value) == "float" then
    return ("`%.3g`"):format(value)
  end
  return value ~= nil and ("`%s`"):format(value) or nil
end

--- The fields of a record, or of the records that a list or a map is of; nil for anything else.
---@param shape lest.schema.shape
---@return table<string, lest.schema.shape>|nil
function M.fields(shape)
  shape = shape.inner or shape
  if shape.element then return M.fields(shape.element) end
  return shape.fields
end

return M
