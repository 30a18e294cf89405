--- Tables for a policy to read: closed, where it is known what they may have, and read-only.
local schema = require "lest.base.schema"

local M = {}

-- The values of each: it is empty itself, so that rawset() and next() reach none.
local values_of <const> = setmetatable({}, { __mode = "k" })

--- The metatable of tables of one kind. With `known`, reading another field raises.
---@param name string for __name
---@param what string for messages: "a row"
---@param known? table<string, any>
---@return table class for view()
function M.class(name, what, known)
  return {
    __name = name, __metatable = false,
    __index = function(self, key)
      local value = values_of[self][key]
      if value == nil and known and known[key] == nil then
        error(("%s has no '%s'%s"):format(what, tostring(key), schema.hint(key, known)), 2)
      end
      return value
    end,
    __newindex = function(_, key)
      error(("%s is read-only: '%s' cannot be set"):format(what, tostring(key)), 2)
    end,
    __pairs = function(self) return next, values_of[self], nil end,
  }
end

---@param class table of class()
---@param values table
---@return table
function M.view(class, values)
  local made = setmetatable({}, class)
  values_of[made] = values
  return made
end

return M
