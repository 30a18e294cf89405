--- The log from Lua: one line an event on standard error, JSON where that is no terminal.
---
---   local log = require "lest.log"
---   log.info("device renewed", { name = name, serial = cert.serial })
local core = require "lest.core"

local M = {}

local function write(level, event, fields)
  if type(event) ~= "string" or fields ~= nil and type(fields) ~= "table" then
    error(("write log.%s(\"what happened\", { key = value })"):format(level), 3)
  end
  local list, keys = {}, {}
  for key in pairs(fields or {}) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do
    local value = fields[key]
    if math.type(value) ~= "integer" and type(value) ~= "boolean" then value = tostring(value) end
    list[#list + 1] = key
    list[#list + 1] = value
  end
  core.log.write(level, event, list)
end

for _, level in ipairs { "debug", "info", "warning", "error" } do
  ---@param event string a short stable group of words
  ---@param fields? table<string, string|integer|boolean> bytes from outside are escaped
  M[level] = function(event, fields) write(level, event, fields) end
end

--- Lines below this level are left out; "info" at the start.
M.set_level = core.log.set_level

return M
