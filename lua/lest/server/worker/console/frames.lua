--- Where a policy stands: its functions that run, with their locals and upvalues. Those of lest
--- itself, which a policy's file calls and is called by, are not looked into.
local M = {}

local LEVELS_MAX <const> = 60

-- lest's own files lie below one folder.
local OWN <const> = debug.getinfo(1, "S").source:match "^@(.*/)server/worker/console/"

-- Whether a function is of a policy's file, or of one beside it; lest's own never are.
local function is_of(source, file)
  if OWN and source:sub(1, #OWN + 1) == "@" .. OWN then return false end
  for path in (file .. ", "):gmatch "(.-), " do
    local folder = path:match "^(.*/)[^/]*$"
    if source == "@" .. path or folder and source:sub(1, #folder + 1) == "@" .. folder then
      return true
    end
  end
  return false
end

--- The functions of a policy that a coroutine is in, the innermost first.
---@param co thread
---@param file string the policy's
---@return { level: integer, name: string, place: string, func: function }[]
function M.of(co, file)
  local frames = {}
  for level = 0, LEVELS_MAX do
    local info = debug.getinfo(co, level, "Slnf")
    if not info then break end
    if is_of(info.source, file) then
      frames[#frames + 1] = { level = level, name = info.name or "?", func = info.func,
        place = ("%s:%d"):format(info.short_src, info.currentline) }
    end
  end
  return frames
end

--- The locals of a function that runs, by name.
---@param co thread
---@param level integer
---@return table<string, any>
function M.locals(co, level)
  local found = {}
  for i = 1, 250 do
    local name, value = debug.getlocal(co, level, i)
    if not name then break end
    if name:sub(1, 1) ~= "(" then found[name] = value end
  end
  return found
end

--- The variables that a function has of what is around it.
---@param fn function
---@return table<string, any>
function M.upvalues(fn)
  local found = {}
  for i = 1, 255 do
    local name, value = debug.getupvalue(fn, i)
    if not name then break end
    if name ~= "" and name ~= "_ENV" then found[name] = value end
  end
  return found
end

-- How far a policy's functions are looked for.
local LOOKED_AT <const> = 2000

local function is_module(value)
  for _, module in next, package.loaded do
    if rawequal(module, value) then return true end
  end
  return false
end

--- The functions of a policy's file that a hook leads to: itself, and what the kit has kept of the
--- rules and tests that it was given.
---@param hook function
---@param file string
---@return function[]
function M.reached(hook, file)
  local found, queue, seen, at = {}, { hook }, { [hook] = true }, 0
  local function add(value)
    local kind = type(value)
    if kind ~= "function" and kind ~= "table" or seen[value] or #queue >= LOOKED_AT then return end
    seen[value] = true
    if kind == "function" or not is_module(value) then queue[#queue + 1] = value end
  end
  while at < #queue do
    at = at + 1
    local value = queue[at]
    if type(value) == "function" then
      if is_of(debug.getinfo(value, "S").source, file) then found[#found + 1] = value end
      for _, each in pairs(M.upvalues(value)) do add(each) end
    else
      for key, item in next, value do
        add(key)
        add(item)
      end
    end
  end
  return found
end

--- What the functions of a policy's file have of what is around them, by name.
---@param hook function
---@param file string
---@return table<string, any>
function M.around(hook, file)
  local found = {}
  for _, fn in ipairs(M.reached(hook, file)) do
    for name, value in pairs(M.upvalues(fn)) do
      if found[name] == nil then found[name] = value end
    end
  end
  return found
end

return M
