--- Tables for a policy to read: closed, where it is known what they may have, and read-only.
local schema = require "lest.base.schema"

local M = {}

-- The values of each: it is empty itself, so that rawset() and next() reach none.
local values_of <const> = setmetatable({}, { __mode = "k" })

local function no_field(what, known, key)
  error(("%s has no field '%s'%s"):format(what, tostring(key), schema.hint(key, known)), 3)
end

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
      if value == nil and known and known[key] == nil then no_field(what, known, key) end
      return value
    end,
    __newindex = function(_, key)
      error(("%s is read-only: '%s' cannot be set"):format(what, tostring(key)), 2)
    end,
    __len = function(self) return #values_of[self] end,
    __pairs = function(self) return pairs(values_of[self]) end,
  }
end

--- The same where a key stands for another one, as a name in any case.
---@param name string
---@param what string
---@param key_of fun(key: any): any
---@return table class for view()
function M.class_by(name, what, key_of)
  local class = M.class(name, what)
  function class:__index(key) return values_of[self][key_of(key)] end
  return class
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
