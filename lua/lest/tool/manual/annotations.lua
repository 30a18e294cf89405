--- Reads the annotations of a Lua file, as the Lua language server does: classes with their fields,
--- functions with what they take and give.
---
---   annotations.of "lest.policy".functions["approve"].text
---   annotations.of("lest.meta.core").classes["lest.csr"].fields[1].name
local core = require "lest.core"

local M = {}

---@class lest.manual.value
---@field name string
---@field type string
---@field text string
---@field optional boolean

---@class lest.manual.function
---@field name string the last word of it
---@field defined string as it is defined: "M.approve", "Client:enroll"; "" of a file's result
---@field parameters lest.manual.value[]
---@field returns lest.manual.value[]
---@field text string
---@field line integer of the file, where it is defined

---@class lest.manual.class
---@field name string
---@field text string
---@field fields lest.manual.value[]
---@field line integer of the file, below its annotation
---@field methods lest.manual.function[] those that are called with ":"
---@field functions lest.manual.function[] those that are called with "."

---@class lest.manual.annotations
---@field classes table<string, lest.manual.class>
---@field functions table<string, lest.manual.function> of the module, by their name alone
---@field by_line table<integer, lest.manual.function> every function, by the line that defines it
---@field head string what the file says of itself
---@field result? lest.manual.function what the file returns, where that is a function
---@field module? lest.manual.class of the module's own table, M

-- How a type goes on: brackets are balanced, "|" joins two, "fun(...)" may have ": result" behind.
local OPENING <const>, CLOSING <const> = "[%({<%[]", "[%)}>%]]"

--- The position after one type that begins at `at`.
local function type_end(text, at)
  local depth = 0
  while at <= #text do
    local char = text:sub(at, at)
    if char == '"' then
      at = text:find('"', at + 1, true) or #text
    elseif char:find(OPENING) then
      depth = depth + 1
    elseif char:find(CLOSING) then
      depth = depth - 1
      if depth == 0 and char == ")" and text:find("^:%s*", at + 1) then
        return type_end(text, select(2, text:find("^:%s*", at + 1)) + 1)
      end
    elseif depth == 0 and char == "," then
      return at
    elseif depth == 0 and char == " " then
      local _, last = text:find("^%s*|%s*", at)
      if not last then return at end
      at = last
    end
    at = at + 1
  end
  return at
end

--- "type text" or "type, type" in parts.
local function split_types(text)
  local types, at = {}, 1
  repeat
    local after = type_end(text, at)
    types[#types + 1] = text:sub(at, after - 1)
    local _, comma = text:find("^,%s*", after)
    at = comma and comma + 1 or after
  until not comma
  return types, text:sub(at):gsub("^%s+", "")
end

-- A type that ends with "?" is one that may be nil.
local function plain_type(text)
  local inner = text:match "^(.*)%?$"
  if not inner then inner = text:match "^(.*)|nil$" end
  return inner or text, inner ~= nil
end

local function value_of(rest, name)
  local types, text = split_types(rest) -- several are the results of a function
  local type, optional = table.concat(types, ", "), false
  if #types == 1 then type, optional = plain_type(type) end
  local plain = name:gsub("%?$", "")
  return { name = plain, type = type, text = text, optional = optional or plain ~= name }
end

local tags <const> = {}

function tags.field(block, rest)
  local name, more = rest:match "^(%[.-%]%??)%s+(.*)$"
  if not name then name, more = rest:match "^(%S+)%s+(.*)$" end
  table.insert(block.fields, value_of(more, name))
end

function tags.param(block, rest)
  local name, more = rest:match "^(%S+)%s+(.*)$"
  table.insert(block.parameters, value_of(more, name))
end

tags["return"] = function(block, rest)
  local types, text = split_types(rest)
  for i, each in ipairs(types) do
    local type, optional = plain_type(each)
    local name = i == #types and text:match "^[%a_][%w_]*" or ""
    table.insert(block.returns, { name = name, type = type, optional = optional,
      text = i == #types and text:sub(#name + 1):gsub("^%s+", "") or "" })
  end
end

function tags.class(block, rest)
  block.class = rest:match "^[%w_.]+"
end

--- One run of comment lines: its text, and its tags. Lines after a tag go on with that tag.
local function read_block(lines)
  local block = { fields = {}, parameters = {}, returns = {} }
  local text, tag, rest = {}, nil, nil
  local function close()
    if tag and tags[tag] then tags[tag](block, rest) end
    tag = nil
  end
  for _, line in ipairs(lines) do
    local name, more = line:match "^@(%a+)%s*(.*)$"
    if name then
      close()
      tag, rest = name, more
    elseif tag then
      rest = rest .. " " .. line:gsub("^%s+", "")
    else
      text[#text + 1] = line:gsub("^ ", "")
    end
  end
  close()
  block.text = table.concat(text, "\n")
  return block
end

local function function_of(found, block, name, number)
  local fn = { name = name, defined = name, text = block.text, line = number,
    parameters = block.parameters, returns = block.returns }
  found.by_line[number] = fn
  return fn
end

--- What the line after a block defines.
local function define(found, block, line, number)
  if block.class then
    local class = { name = block.class, text = block.text, fields = block.fields, methods = {},
      functions = {}, line = number }
    found.classes[block.class] = class
    local owner = line:match "^local ([%w_]+)"
    if owner == "M" then
      found.module = class
    elseif owner then
      found.owners[owner] = class
    end
    return
  end
  if line:find "^return function%(" then
    found.result = function_of(found, block, "", number)
    return
  end
  local name = line:match "^local function ([%w_]+)%(" or line:match "^function ([%w_.:]+)%("
  if not name then return end
  local fn = function_of(found, block, name, number)
  local owner, sign, short = name:match "^([%w_]+)([.:])([%w_]+)$"
  local class = owner and found.owners[owner]
  if not owner or short:find "^__" then return end -- of a file alone, or Lua's
  if class then
    fn.name = short
    table.insert(sign == ":" and class.methods or class.functions, fn)
  elseif owner == "M" then
    fn.name = short
    found.functions[short] = fn
  end
end

--- Read a file's text.
---@param text string
---@return lest.manual.annotations
function M.read(text)
  local found = { classes = {}, functions = {}, by_line = {}, owners = {}, head = "" }
  local lines, is_first, number = nil, true, 0
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    number = number + 1
    local comment = line:match "^%s*%-%-%-(.*)$"
    if comment then
      lines = lines or {}
      lines[#lines + 1] = comment
    elseif lines or line:find "^function " then
      local block = read_block(lines or {})
      if is_first then found.head = block.text end
      define(found, block, line, number)
      lines, is_first = nil, false
    end
  end
  return found
end

local kept <const> = {}

--- The annotations of a module.
---@param module string
---@return lest.manual.annotations
function M.of(module)
  if not kept[module] then
    kept[module] = M.read(assert(core.file.read(assert(package.searchpath(module, package.path)))))
  end
  return kept[module]
end

return M
