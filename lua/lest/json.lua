--- JSON for people and scripts to read: keys sorted, indented, UTF-8 throughout.
--- (lua-cjson, used between processes, keeps no order.)
---
---   json.encode { serial = "0a", san = {} } --> { "san": [], "serial": "0a" }, over several lines
local M = {}

local Object <const> = { __name = "lest.json.object" }

--- A table that is encoded as {} also when it is empty.
---@param value? table
---@return table
function M.object(value)
  return setmetatable(value or {}, Object)
end

--- What null is written from.
M.null = setmetatable({}, { __name = "lest.json.null", __tostring = function() return "null" end })

local ESCAPES <const> = { ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f",
  ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

local function escape(c)
  return ESCAPES[c] or ("\\u%04x"):format(c:byte())
end

-- Bytes that are no UTF-8 become U+FFFD, so that the text is valid JSON for any input of a peer.
local function valid_utf8(text)
  local parts, start = {}, 1
  while true do
    local length, bad = utf8.len(text, start)
    if length then break end
    parts[#parts + 1] = text:sub(start, bad - 1)
    parts[#parts + 1] = "\u{fffd}"
    start = bad + 1
  end
  parts[#parts + 1] = text:sub(start)
  return table.concat(parts)
end

local function quote(text)
  return '"' .. valid_utf8(text):gsub('[%z\1-\31\127"\\]', escape) .. '"'
end

local encode

local function encode_list(list, indent, seen)
  if #list == 0 then return "[]" end
  local inner, items = indent .. "  ", {}
  for i, item in ipairs(list) do items[i] = inner .. encode(item, inner, seen) end
  return "[\n" .. table.concat(items, ",\n") .. "\n" .. indent .. "]"
end

local function encode_object(object, indent, seen)
  local inner, keys = indent .. "  ", {}
  for key in pairs(object) do
    if type(key) ~= "string" then error("a JSON key is a string, not a " .. type(key), 0) end
    keys[#keys + 1] = key
  end
  if #keys == 0 then return "{}" end
  table.sort(keys)
  for i, key in ipairs(keys) do
    keys[i] = inner .. quote(key) .. ": " .. encode(object[key], inner, seen)
  end
  return "{\n" .. table.concat(keys, ",\n") .. "\n" .. indent .. "}"
end

function encode(value, indent, seen)
  local kind = type(value)
  if value == nil or value == M.null then return "null" end
  if kind == "string" then return quote(value) end
  if kind == "boolean" or math.type(value) == "integer" then return tostring(value) end
  local finite = kind == "number" and value == value and math.abs(value) ~= math.huge
  if finite then return ("%.17g"):format(value) end
  if kind ~= "table" then error("no JSON for a " .. kind, 0) end
  if seen[value] then error("no JSON for a table within itself", 0) end
  seen[value] = true
  local is_object = getmetatable(value) == Object or (#value == 0 and next(value) ~= nil)
  local text = (is_object and encode_object or encode_list)(value, indent, seen)
  seen[value] = nil
  return text
end

local function without_null(value, null)
  if type(value) ~= "table" then return value end
  for key, inner in pairs(value) do
    if inner == null then
      value[key] = nil
    else
      without_null(inner, null)
    end
  end
  return value
end

--- Read a JSON text; null is nil.
---@param text string
---@return any value
---@return string? problem
function M.decode(text)
  local cjson = require "cjson.safe"
  local value, problem = cjson.decode(text)
  if value == nil then return nil, tostring(problem) end
  if value == cjson.null then return nil end
  return without_null(value, cjson.null)
end

--- Encode a value; raises for what JSON has no words for. A table with an element 1 is a list.
---@param value any
---@return string
function M.encode(value)
  return encode(value, "", {})
end

return M
