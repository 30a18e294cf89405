--- JSON (RFC 8259), for people and scripts: names sorted, UTF-8 throughout, whatever the locale.
---
---   json.line { serial = "0a", san = {} } --> {"san":[],"serial":"0a"}
---   json.decode('{"id": 42}').id          --> 42, an integer
---
--- A whole number is an integer, however it is written; one that does not fit is refused, since its
--- neighbours would be the same. So are NaN, hexadecimals, a name that comes twice in an object,
--- and more than 64 levels. A text of an inventory is a stranger's: csrc/base/json.h reads it.
local core = require "lest.core"

---@class lest.module.json
---@field null table what null is written from, and an item of a list that is null; a member that is
--- null is absent
local M = {}

M.null = core.json.null

--- A table that is written as {} also when it is empty.
---@param value? table
---@return table
function M.object(value)
  return core.json.object(value)
end

--- Read a JSON text; null is nil.
---@param text string
---@return any value
---@return string? problem
function M.decode(text)
  return core.json.decode(text)
end

--- Write a value, indented. Raises for what JSON has no words for: a list with holes or names, a
--- function, a number that is not finite. A table with nothing in it is a list.
---@param value any
---@return string
function M.encode(value)
  return core.json.encode(value, true)
end

--- The same in one line.
---@param value any
---@return string
function M.line(value)
  return core.json.encode(value)
end

return M
