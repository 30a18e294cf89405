--- Reads Lua source as tokens, as far as the REPL must: which names a piece of code uses, and which
--- locals its outermost block declares. read() takes only what load() has accepted.
---
---   scan.read "local a <close>, b = f()"
---   --> { names = { a = true, ... }, locals = { { name = "a", attribute = "close", ... }, ... } }
local M = {}

---@class lest.repl.local
---@field name string
---@field position integer
---@field attribute? string "const" or "close"
---@field attribute_position? integer

local OPENERS <const> = { ["function"] = true, ["do"] = true, ["if"] = true, ["repeat"] = true }
local CLOSERS <const> = { ["end"] = true, ["until"] = true }

-- The position after a string in quotes that starts at `at`.
local function after_string(source, at)
  local mark = source:sub(at, at)
  at = at + 1
  while true do
    local found = source:find("[\\" .. mark .. "]", at)
    if not found then return #source + 1 end
    if source:sub(found, found) == mark then return found + 1 end
    at = found + 2
  end
end

-- The position after a long bracket that starts at `at`, or nil if none does.
local function after_long(source, at)
  local level = source:match("^%[(=*)%[", at)
  if not level then return nil end
  local _, stop = source:find("]" .. level .. "]", at, true)
  return (stop or #source) + 1
end

local function after_comment(source, at)
  local long = after_long(source, at + 2)
  if long then return long end
  return source:find("\n", at, true) or #source + 1
end

--- Every token as { kind, text, position }; kind is "name", "string", "number" or "sign".
local function tokens(source)
  local at = source:find "^#" and (source:find("\n", 1, true) or #source + 1) or 1
  return function()
    while true do
      at = source:find("%S", at)
      if not at then return nil end
      if source:sub(at, at + 1) ~= "--" then break end
      at = after_comment(source, at)
    end
    local start, c = at, source:sub(at, at)
    if c:find "[%a_]" then
      at = source:match("^[%w_]+()", at)
      return "name", source:sub(start, at - 1), start
    elseif c:find "%d" or source:find("^%.%d", at) then
      at = source:match("^0[xX][%x.]*[pP]?[+-]?%x*()", at) or source:match("^[%w.]+()", at)
      return "number", source:sub(start, at - 1), start
    elseif c == '"' or c == "'" then
      at = after_string(source, at)
      return "string", "", start
    end
    local long = after_long(source, at)
    at = long or at + 1
    return long and "string" or "sign", source:sub(start, start), start
  end
end

-- After `local` in the outermost block: a function's name, or a list of names with attributes.
local function declared(list, i, found)
  local token = list[i]
  if token and token.text == "function" then
    local name = list[i + 1]
    found[#found + 1] = { name = name.text, position = name.position }
    return
  end
  while token and token.kind == "name" do
    local each = { name = token.text, position = token.position }
    found[#found + 1] = each
    i = i + 1
    if list[i] and list[i].text == "<" then
      each.attribute, each.attribute_position = list[i + 1].text, list[i + 1].position
      i = i + 3
    end
    if not (list[i] and list[i].text == ",") then return end
    i = i + 1
    token = list[i]
  end
end

--- Names and outermost locals of a piece of code that compiles.
---@param source string
---@return { names: table<string, boolean>, locals: lest.repl.local[] }
function M.read(source)
  local list, names, locals, depth = {}, {}, {}, 0
  for kind, text, position in tokens(source) do
    list[#list + 1] = { kind = kind, text = text, position = position }
    if kind == "name" then names[text] = true end
  end
  for i, token in ipairs(list) do
    if token.kind == "name" then
      if OPENERS[token.text] then depth = depth + 1 end
      if CLOSERS[token.text] then depth = depth - 1 end
      if token.text == "local" and depth == 0 then declared(list, i + 1, locals) end
    end
  end
  return { names = names, locals = locals }
end

--- Whether code goes on in the next line: no statement and no expression yet, for want of an end.
---@param source string
---@return boolean
function M.is_unfinished(source)
  local _, as_statement = load(source, "=console", "t")
  local _, as_expression = load("return " .. source, "=console", "t")
  if not (as_statement and as_expression) then return false end
  return (as_statement:find "<eof>'?$" or as_expression:find "<eof>'?$") ~= nil
end

return M
