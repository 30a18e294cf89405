--- The log from Lua: one line an event on standard error, JSON where that is no terminal.
---
---   local log = require "lest.log"
---   log.info("device renewed", { name = name, serial = cert.serial })
local core = require "lest.core"

---@class lest.module.log
---@field debug fun(event: string, fields?: table<string, string|integer|boolean>) for who looks
--- for a mistake
---@field info fun(event: string, fields?: table<string, string|integer|boolean>) what happens; the
--- event is a short stable group of words, and of the fields bytes from outside are escaped; one
--- that has the name of a line's own (time, level, role, pid, event) gets a "_"
---@field warning fun(event: string, fields?: table<string, string|integer|boolean>) what should be
--- looked at
---@field error fun(event: string, fields?: table<string, string|integer|boolean>) what went wrong
---@field set_level fun(level: "debug"|"info"|"warning"|"error") lines below it are left out;
--- "info" at the start
local M = {}

-- What each line has of itself, and once.
local OWN <const> = { time = true, level = true, role = true, pid = true, event = true }

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
    list[#list + 1] = OWN[key] and key .. "_" or key
    list[#list + 1] = value
  end
  core.log.write(level, event, list)
end

for _, level in ipairs { "debug", "info", "warning", "error" } do
  M[level] = function(event, fields) write(level, event, fields) end
end

M.set_level = core.log.set_level

return M
