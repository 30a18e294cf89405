--- What a statement of an operator can name. Lua's own libraries are here as far as they only
--- compute; there is no io, os.execute, debug, require, load, coroutine or metatable, and no way to
--- the tables that the worker itself runs on: what it shows of them are copies and views.
local json = require "lest.json"
local policy = require "lest.policy"
local schema = require "lest.base.schema"

local M = {}

--- The name of a statement in messages.
M.CHUNK = "=console"

local GLOBALS <const> = { "assert", "error", "ipairs", "next", "pairs", "pcall", "rawequal",
  "rawlen", "select", "tonumber", "tostring", "type", "xpcall", "_VERSION" }

local LIBRARIES <const> = {
  math = { "abs", "ceil", "floor", "fmod", "huge", "max", "maxinteger", "min", "mininteger", "modf",
    "pi", "sqrt", "tointeger", "type", "ult" },
  string = { "byte", "char", "find", "format", "gmatch", "gsub", "len", "lower", "match", "pack",
    "packsize", "rep", "reverse", "sub", "unpack", "upper" },
  table = { "concat", "insert", "move", "pack", "remove", "sort", "unpack" },
  utf8 = { "char", "charpattern", "codepoint", "codes", "len", "offset" },
  os = { "clock", "date", "difftime", "time" },
}

-- Of the kit, what makes verdicts, rules and tests of a request alone: nothing that reads a file,
-- asks another process, or counts.
local KIT <const> = { "address", "all", "any", "approve", "asks_for", "first", "is_verdict", "key",
  "named", "names", "none", "own_name", "pending", "principal", "reject", "renew", "time",
  "unavailable", "unless", "validity", "when" }

local function some(from, names)
  local taken = {}
  for _, name in ipairs(names) do taken[name] = rawget(from, name) end
  return taken
end

--- What every statement has, each session its own copy.
---@return table<string, any>
function M.plain()
  local names = some(_G, GLOBALS)
  for _, name in ipairs(GLOBALS) do names[name] = _G[name] end
  for name, fields in pairs(LIBRARIES) do names[name] = some(_G[name], fields) end
  names.policy = some(policy, KIT)
  names.json = { decode = json.decode, encode = json.encode, line = json.line }
  return names
end

local LEVELS <const> = 20

--- Raise a problem with the line of the statement that has it, where that has not been left.
---@param problem string
function M.raise(problem)
  for level = 2, LEVELS do
    local info = debug.getinfo(level, "Sl")
    if not info then break end
    if info.source == M.CHUNK then
      error(("%s:%d: %s"):format(M.CHUNK:sub(2), info.currentline, problem), 0)
    end
  end
  error(problem, 0)
end

local function hint(names, verbs, key)
  local known = {}
  for _, from in ipairs { names, verbs } do
    for name in next, from do known[name] = true end
  end
  return schema.hint(key, known)
end

--- The globals of a statement: what the session assigned, then the verbs of the console, Lua's own,
--- and the variables where the policy stands.
---@param session lest.console.session its `globals`, `plain` and `looker`
---@param verbs table<string, fun(): any> what makes the value of each
---@param variables fun(): table<string, any> those of the parked policy, by name
---@return table
function M.new(session, verbs, variables)
  local plain = session.plain
  return setmetatable({}, {
    __index = function(_, key)
      local value = session.globals[key]
      if value ~= nil then return value end
      if verbs[key] then return (verbs[key]()) end
      if plain[key] ~= nil then return plain[key] end
      local found = variables()
      if found[key] ~= nil then return session.looker:see(found[key]) end
      if type(key) ~= "string" then return nil end
      M.raise(("nothing is named '%s' here%s"):format(key:sub(1, 60), hint(plain, verbs, key)))
    end,
    __newindex = function(_, key, value)
      if verbs[key] then M.raise(("'%s' is the console's own"):format(tostring(key))) end
      session.globals[key] = value
    end,
    __metatable = false,
  })
end

-- What a session keeps from statement to statement.
local KEPT_VALUES <const>, KEPT_BYTES <const> = 10000, 1024 * 1024

local function weigh(value, state)
  local kind = type(value)
  state.values = state.values + 1
  state.bytes = state.bytes + (kind == "string" and #value or 16)
  if state.values > KEPT_VALUES or state.bytes > KEPT_BYTES then return false end
  if kind ~= "table" and kind ~= "function" or state.seen[value] then return true end
  state.seen[value] = true
  if kind == "table" then
    for key, item in next, value do
      if not (weigh(key, state) and weigh(item, state)) then return false end
    end
    return true
  end
  -- What the kit has made is not looked into.
  if debug.getinfo(value, "S").source ~= M.CHUNK then return true end
  for i = 1, 255 do
    local name, item = debug.getupvalue(value, i)
    if not name then return true end
    if name ~= "_ENV" and not weigh(item, state) then return false end
  end
  return true
end

--- Whether what a session has assigned is little enough to be kept.
---@param globals table
---@param plain table what is not its own
---@return boolean
function M.is_small(globals, plain)
  local seen = { [globals] = true, [plain] = true }
  for _, value in next, plain do seen[value] = true end
  local state = { values = 0, bytes = 0, seen = seen }
  for key, value in next, globals do
    if not (weigh(key, state) and weigh(value, state)) then return false end
  end
  return true
end

return M
