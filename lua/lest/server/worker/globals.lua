--- The globals of a worker, closed before a policy is loaded: one process decides for all devices,
--- and a forgotten `local`, in whatever file or chunk, would hand one device's name to another.
local M = {}

--- Make every assignment of a global raise, from whichever file, chunk or library, that of a name
--- which Lua has itself too. What is there is read as before. For good.
function M.close()
  -- A table that has a key asks no metamethod: _G itself is left empty.
  local standard, all = {}, _G
  local error, pairs, setmetatable, tostring = error, pairs, setmetatable, tostring
  for key, value in pairs(all) do standard[key] = value end
  -- The locale is the whole process's as well, and numbers are written with its comma.
  standard.os.setlocale = nil
  for key in pairs(standard) do all[key] = nil end
  setmetatable(all, {
    __index = standard,
    __newindex = function(_, key)
      error(("global '%s' is assigned: put 'local' before it"):format(tostring(key)), 2)
    end,
    __pairs = function() return pairs(standard) end,
    __metatable = false,
  })
end

return M
