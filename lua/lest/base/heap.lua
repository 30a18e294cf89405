--- A heap of tables with a field `due`: the earliest comes first.
---
---   heap.push(list, { due = 5 })
---   local first = heap.pop(list)   -- list[1] is the one that it gives
local M = {}

--- Add one.
---@param list table[]
---@param entry table
function M.push(list, entry)
  local i = #list + 1
  while i > 1 and list[i // 2].due > entry.due do
    list[i] = list[i // 2]
    i = i // 2
  end
  list[i] = entry
end

--- Take the earliest out.
---@param list table[]
---@return table? entry nil of none
function M.pop(list)
  local first, last = list[1], table.remove(list)
  local count, i = #list, 1
  if count == 0 then return first end
  while true do
    local child = 2 * i
    if child > count then break end
    if child < count and list[child + 1].due < list[child].due then child = child + 1 end
    if list[child].due >= last.due then break end
    list[i] = list[child]
    i = child
  end
  list[i] = last
  return first
end

return M
