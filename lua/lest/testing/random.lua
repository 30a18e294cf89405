--- Numbers that look random and are the same for the same seed, whatever else asks math.random.
local M = {}

---@class lest.testing.random
local Random = {}
Random.__index = Random

---@param seed integer
---@return lest.testing.random
function M.new(seed)
  return setmetatable({ state = seed * 2862933555777941757 + 3037000493 }, Random)
end

--- A number from 1 to `most`.
---@param most integer
---@return integer
function Random:up_to(most)
  self.state = self.state * 6364136223846793005 + 1442695040888963407
  return (self.state >> 33) % most + 1
end

--- Whether something that happens once in `often` times happens now.
---@param often integer
---@return boolean
function Random:once_in(often)
  return self:up_to(often) == 1
end

--- One of a list.
---@param list any[]
---@return any
function Random:one_of(list)
  return list[self:up_to(#list)]
end

return M
