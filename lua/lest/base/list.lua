--- What is often asked of a list.
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

return M
