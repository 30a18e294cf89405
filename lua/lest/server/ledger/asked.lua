--- What the questions to a ledger share: texts that no row has, ways into a table, serials as
--- people copy them.
local core = require "lest.core"
local fail = require "lest.base.fail"

local M = {}

--- After every text that begins as another one does.
M.LAST = "\u{10ffff}"

--- No row has what no text can be.
---@param arguments table
---@return boolean
function M.are_texts(arguments)
  for _, value in pairs(arguments) do
    if type(value) == "string" and not core.utf8.is_text(value) then return false end
  end
  return true
end

--- The page of the first of these ways that what is asked for opens.
---@param ways { by: string?, read: function }[] by: the argument that opens it; the last has none
---@param ledger lest.ledger
---@param arguments table
---@param parameters table of the statement
---@return table[]?
---@return any last
function M.by_way(ways, ledger, arguments, parameters)
  for _, way in ipairs(ways) do
    if not way.by or arguments[way.by] then
      return way.read(ledger, arguments, parameters)
    end
  end
end

--- A serial number, or how it begins, as people copy it: "0A:1B", "a1b", "0xa1b".
---@param text string
---@return string? hex
---@return lest.error? err
function M.serial(text)
  local hex = text:gsub("[:%s]", ""):lower():gsub("^0x", "")
  if hex:find "^%x+$" then return hex end
  return fail("usage", ("'%s' is no serial number"):format(text))
end

return M
