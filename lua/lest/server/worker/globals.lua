--- The globals of a worker, closed before a policy is loaded: one process decides for all devices,
--- and a forgotten `local`, in whatever file or chunk, would hand one device's name to another.
local M = {}

-- Where Lua keeps what a chunk that is loaded has as globals (LUA_RIDX_GLOBALS).
local PLACE <const> = 2

--- Make every assignment of a global raise, from whichever file, chunk or library that is loaded
--- from now on, that of a name which Lua has itself too. What is there is read as before. For good.
--- What was loaded before, the server itself, keeps the table that it has: to ask a metamethod for
--- each name costs a request more than its rules do.
function M.close()
  local own, closed = _G, {}
  -- The locale is the whole process's as well, and numbers are written with its comma.
  own.os.setlocale = nil
  -- A table that has a key asks no metamethod: this one is left empty.
  setmetatable(closed, {
    __index = own,
    __newindex = function(_, key)
      error(("global '%s' is assigned: put 'local' before it"):format(tostring(key)), 2)
    end,
    __pairs = function() return pairs(own) end,
    __metatable = false,
  })
  own._G, package.loaded._G = closed, closed
  debug.getregistry()[PLACE] = closed
end

return M
