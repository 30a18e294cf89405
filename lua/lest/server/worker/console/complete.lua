--- Which names can follow what is typed at the console. Nothing of the policy runs for it: a path
--- is followed through what a statement would see.
local M = {}

local MOST <const> = 200
local WORD <const> = "[%a_][%w_]*"

local function add(keys, value)
  local meta = type(value) == "table" and debug.getmetatable(value)
  if type(value) ~= "table" then return end
  local iterate, state, key = next, value, nil
  if meta and rawget(meta, "__pairs") then iterate, state, key = pairs(value) end
  for name in iterate, state, key do
    if type(name) == "string" and name:find("^" .. WORD .. "$") then keys[name] = true end
  end
end

-- The fields of an object of the core, as lest.cert: upvalues of its __index.
local function add_object(keys, value)
  local meta = debug.getmetatable(value)
  local index = type(meta) == "table" and rawget(meta, "__index")
  if type(index) ~= "function" or debug.getinfo(index, "S").what ~= "C" then return end
  for i = 1, 2 do add(keys, select(2, debug.getupvalue(index, i))) end
end

local function value_at(env, path)
  local value = env
  for name in path:gmatch(WORD) do
    local ok, found = pcall(function() return value[name] end)
    if not ok or found == nil then return nil end
    value = found
  end
  return value
end

--- The words that begin as the last one of `before` does.
---@param env table a statement's globals
---@param words string[] the names in it, but for those of `session`
---@param session table<string, any>[] tables of further names
---@param before string
---@return string[] candidates sorted, each with what stands before its last dot
---@return string word
function M.candidates(env, words, session, before)
  local word = before:match "[%a_][%w_.:]*$" or ""
  local path, sign, last = word:match "^(.*)([.:])([%w_]*)$"
  local keys = {}
  if path then
    local value = value_at(env, path)
    if type(value) == "userdata" then add_object(keys, value) else add(keys, value) end
  else
    path, sign, last = "", "", word
    for _, name in ipairs(words) do keys[name] = true end
    for _, names in ipairs(session) do add(keys, names) end
  end
  local found = {}
  for key in pairs(keys) do
    if #found < MOST and key:sub(1, #last) == last then found[#found + 1] = path .. sign .. key end
  end
  table.sort(found)
  return found, word
end

return M
