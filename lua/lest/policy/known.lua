--- What is known of the functions that the kit has made: which are rules and which tests, and what
--- they are called where it is told which of them decided. It is kept beside the function, so that
--- a hook stays a function whoever made it.
local M = {}

-- Kind, "rule" or "test", and name by function.
local known <const> = setmetatable({}, { __mode = "k" })
-- The names of a policy's own functions, once they were asked for.
local places <const> = setmetatable({}, { __mode = "k" })

--- A place without its folders: "/etc/lest/policy.lua:12" is "policy.lua:12".
local function short(place)
  return place:match "[^/]*$"
end

---@param fn function
---@param kind? "rule"|"test"
---@param name string
function M.set(fn, kind, name)
  known[fn] = { kind = kind, name = name }
end

--- Name a rule or test after where it was made.
---@param fn function
---@param kind "rule"|"test"
---@param what string "own_name"
---@param place string where a policy made it, as origin.here() has it
function M.register(fn, kind, what, place)
  M.set(fn, kind, ("%s at %s"):format(what, short(place)))
end

--- Whether a function has a name already.
---@param fn function
---@return boolean
function M.is_known(fn)
  return known[fn] ~= nil
end

--- Whether a function is a rule or a test; nil where that is not known.
---@param fn function
---@return "rule"|"test"|nil
function M.kind(fn)
  return known[fn] and known[fn].kind
end

--- The name of a rule or a test: its own, or else where it was made.
---@param fn function
---@return string
function M.name(fn)
  if known[fn] then return known[fn].name end
  local name = places[fn]
  if not name then
    local info = debug.getinfo(fn, "S")
    name = short(("%s:%d"):format(info.short_src, info.linedefined))
    places[fn] = name
  end
  return name
end

return M
