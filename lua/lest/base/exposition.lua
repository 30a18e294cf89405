--- Prometheus' text format, version 0.0.4.
---
---   local text = exposition.new()
---   text:family("lest_ready", "gauge", "Whether requests may be sent here.")
---   text:sample("lest_ready", {}, 1)
---   text:get()
local core = require "lest.core"

local M = {}

M.CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

local Exposition = {}
Exposition.__index = Exposition

function M.new()
  return setmetatable({ parts = {} }, Exposition)
end

local ESCAPES <const> = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }

--- A label's value: the format wants UTF-8, and a name in a certificate may be anything.
local function escape(value)
  if not core.utf8.is_text(value) then value = value:gsub("[^\x20-\x7e]", "?") end
  return (value:gsub('[\\"\n]', ESCAPES))
end

--- Names and values in pairs, as the format writes them.
---@param labels string[] { "role", "tls", "name", "" }
---@return string "" for none
function M.labels(labels)
  local parts = {}
  for i = 1, #labels, 2 do
    table.insert(parts, ('%s="%s"'):format(labels[i], escape(labels[i + 1])))
  end
  return #parts > 0 and "{" .. table.concat(parts, ",") .. "}" or ""
end

local function number(value)
  local whole = math.tointeger(value)
  local short = whole and tostring(whole) or ("%.15g"):format(value)
  return tonumber(short) == value and short or ("%.17g"):format(value)
end

--- Begin a family: what its samples are.
---@param name string
---@param kind "counter"|"gauge"|"histogram"
---@param help string
function Exposition:family(name, kind, help)
  table.insert(self.parts, ("# HELP %s %s\n# TYPE %s %s\n"):format(name, help, name, kind))
end

---@param name string that of the family; a histogram's has an ending
---@param labels string[]|string as labels() takes or gives them
---@param value number
function Exposition:sample(name, labels, value)
  if type(labels) == "table" then labels = M.labels(labels) end
  table.insert(self.parts, ("%s%s %s\n"):format(name, labels, number(value)))
end

---@return string
function Exposition:get()
  return table.concat(self.parts)
end

return M
