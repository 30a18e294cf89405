--- What is often asked of a list, and of a table.
---
---   list.has({ "CN", "O" }, "O")   --> true
local M = {}

---@param values any[]
---@param value any
---@return boolean
function M.has(values, value)
  for _, each in ipairs(values) do
    if each == value then return true end
  end
  return false
end

--- The values as the keys of a table.
---@param values any[]
---@return table<any, boolean>
function M.set(values)
  local set = {}
  for _, value in ipairs(values) do set[value] = true end
  return set
end

--- The keys of a table of names, in an order that is the same in each process and at each start:
--- that of pairs() is not.
---@param map table<string, any>
---@return string[]
function M.sorted_keys(map)
  local keys = {}
  for key in pairs(map) do table.insert(keys, key) end
  table.sort(keys)
  return keys
end

--- A table with what is in it, tables too, as it is now; anything else is itself.
---@generic T
---@param value T a tree
---@return T
function M.copy(value)
  if type(value) ~= "table" then return value end
  local result = {}
  for key, each in pairs(value) do result[key] = M.copy(each) end
  return result
end

return M
