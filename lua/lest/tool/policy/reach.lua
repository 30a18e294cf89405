--- The rules and tests of the policies that are loaded, by their names, and which of them were
--- asked.
local policies = require "lest.testing.policy"
local rule = require "lest.policy.rule"

local M = {}

local names <const>, known <const> = {}, {}
local loading = 0

--- Take note of what every policy makes that is loaded from now on.
function M.start()
  local load, register = policies.load, rule.register
  function policies.load(...)
    loading = loading + 1
    local policy, err = load(...)
    loading = loading - 1
    return policy, err
  end
  function rule.register(fn, ...)
    register(fn, ...)
    local name = rule.name(fn)
    if loading > 0 and type(fn) == "function" and not known[name] then
      known[name] = true
      names[#names + 1] = name
    end
  end
end

--- Names that none of some is.
---@param reached table<string, boolean>
---@return string[]
function M.missing(reached)
  local missing = {}
  for _, name in ipairs(names) do
    if not reached[name] then missing[#missing + 1] = name end
  end
  return missing
end

--- How many were reached, in words.
---@param reached table<string, boolean>
---@return string
function M.text(reached)
  return ("%d of %d rules and tests asked"):format(#names - #M.missing(reached), #names)
end

return M
