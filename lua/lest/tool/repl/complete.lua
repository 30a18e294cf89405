--- Tab completion: which names can follow the text before the cursor. Within the table of a call
--- these are its options too, within a string files, and where no name fits, words of the history.
---
---   complete.candidates(session.locals, "lest.ke") --> { "lest.key" }, "lest.ke"
local api = require "lest.tool.manual.api"
local core = require "lest.core"
local offers = require "lest.tool.repl.offers"
local terminal = require "lest.base.terminal"

local M = {}

local HISTORY_MAX <const> = 200

local function value_of(cell)
  return select(2, debug.getupvalue(cell.fn, cell.index))
end

local function add_keys(keys, from)
  if type(from) ~= "table" then return end
  for key in next, from do
    if type(key) == "string" and key:find "^[%a_][%w_]*$" then keys[key] = true end
  end
end

-- What a policy sees is lest's own, and shows its fields to nobody but who knows them.
local VIEW <const> = "^lest%.request"

local function class_of(value)
  local meta = debug.getmetatable(value)
  local name = type(meta) == "table" and rawget(meta, "__name")
  return type(name) == "string" and name or ""
end

local function add_view(keys, value)
  local class = class_of(value):find(VIEW) and api.class(class_of(value))
  for _, each in ipairs(class and class.fields or {}) do keys[each.name] = true end
end

-- What can be written after `value.`: its own keys, and those of its class. A class of the core has
-- methods and getters as upvalues of its __index.
local function add_fields(keys, value)
  add_keys(keys, value)
  add_view(keys, value)
  local meta = debug.getmetatable(value)
  for _ = 1, 5 do
    add_keys(keys, type(meta) == "table" and rawget(meta, "__names"))
    local index = type(meta) == "table" and rawget(meta, "__index")
    if type(index) == "table" then
      add_keys(keys, index)
      meta = debug.getmetatable(index)
    else
      if type(index) == "function" and debug.getinfo(index, "S").what == "C" then
        add_keys(keys, select(2, debug.getupvalue(index, 1)))
        add_keys(keys, select(2, debug.getupvalue(index, 2)))
      end
      return
    end
  end
end

-- A field without calling anything, but for a module that loads its fields when they are used.
local function field(value, name)
  local meta = debug.getmetatable(value)
  local names = type(meta) == "table" and rawget(meta, "__names")
  if type(names) == "table" and names[name] or class_of(value):find(VIEW) then
    local ok, loaded = pcall(function() return value[name] end)
    return ok and loaded or nil
  end
  return rawget(value, name)
end

-- The value before the last dot.
local function resolve(locals, path, env)
  local value
  for segment in path:gmatch "[%a_][%w_]*" do
    if value == nil then
      value = locals[segment] and value_of(locals[segment])
      if value == nil then value = rawget(env, segment) end
    elseif type(value) == "table" then
      value = field(value, segment)
    else
      return nil
    end
    if value == nil then return nil end
  end
  return value
end

-- What is called as `client:enroll`, as help has it: its class is that of the value.
local function callee(locals, path, env)
  local before, method = path:match "^(.*):([%w_]+)$"
  if not before then
    local value = resolve(locals, path, env)
    return type(value) == "function" and value or path
  end
  local meta = debug.getmetatable(resolve(locals, before, env))
  local name = type(meta) == "table" and rawget(meta, "__name")
  return type(name) == "string" and name .. ":" .. method or path
end

-- The names of a folder that go on with a path that is typed.
local function files(path)
  local folder, start = path:match "^(.*/)([^/]*)$"
  local list = {}
  for _, name in ipairs(core.system.entries(folder or ".") or {}) do
    local is_hidden = name:sub(1, 1) == "." and (start or path) == ""
    if not is_hidden and name:sub(1, #(start or path)) == (start or path)
      and terminal.safe(name) == name and not name:find "[\\\"']" then
      list[#list + 1] = (folder or "") .. name
    end
  end
  table.sort(list)
  return list
end

-- The names that begin so in what was typed before.
local function typed_before(entries, word)
  local seen, list = {}, {}
  for i = #entries, math.max(1, #entries - HISTORY_MAX), -1 do
    for name in entries[i]:gmatch "[%a_][%w_.:]*" do
      if not seen[name] and name ~= word and name:sub(1, #word) == word then
        seen[name], list[#list + 1] = true, name
      end
    end
  end
  table.sort(list)
  return list
end

local function options(locals, before, env)
  local path, word, given = offers.call(before)
  local list = {}
  for _, name in ipairs(path and offers.options(callee(locals, path, env)) or {}) do
    if name:sub(1, #word) == word and not given[name] then list[#list + 1] = name .. " = " end
  end
  table.sort(list)
  return list, word
end

-- Names that are there.
local function names(locals, word, env)
  local path, sign, last = word:match "^(.*)([.:])([%w_]*)$"
  local keys = {}
  if path then
    local value = resolve(locals, path, env)
    if value == nil then return {} end
    add_fields(keys, value)
  else
    path, sign, last = "", "", word
    add_keys(keys, env)
    for name in pairs(locals) do keys[name] = true end
  end
  local list = {}
  for key in pairs(keys) do
    if key:sub(1, #last) == last and (last ~= "" or key:sub(1, 2) ~= "__") then
      list[#list + 1] = path .. sign .. key
    end
  end
  table.sort(list)
  return list
end

--- The words that begin as the last word of `before` does.
---@param locals table<string, table> a session's locals
---@param before string what is typed up to the cursor, with the lines before it
---@param entries? string[] of the history
---@param env? table the globals; absent: _G
---@return string[] candidates sorted, each with what stands before its last dot or colon
---@return string word
function M.candidates(locals, before, entries, env)
  env = env or _G
  local path = offers.open_string(before)
  if path then return files(path), path end
  local list, word = options(locals, before, env)
  if #list > 0 then return list, word end
  word = before:match "[%a_][%w_.:]*$" or ""
  list = names(locals, word, env)
  if #list == 0 and word ~= "" then list = typed_before(entries or {}, word) end
  return list, word
end

--- What Tab adds to the line, and what it lists if it adds nothing.
---@param locals table<string, table>
---@param before string
---@param entries? string[] of the history
---@param env? table the globals; absent: _G
---@return string addition
---@return string[] list
function M.complete(locals, before, entries, env)
  local list, word = M.candidates(locals, before, entries, env)
  if #list == 0 then return "", {} end
  local common = list[1]
  for _, each in ipairs(list) do
    while each:sub(1, #common) ~= common do common = common:sub(1, -2) end
  end
  return common:sub(#word + 1), list
end

return M
