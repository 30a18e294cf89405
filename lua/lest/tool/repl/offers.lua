--- What a call takes by name, and where a text stops: within a string, or within the table of a
--- call. For completion; code that is typed is not whole yet, so it is read as far as it goes.
---
---   offers.call 'lest.client { url = "x", tr'   --> "lest.client", "tr", { url = true }
---   offers.options "lest.client"                --> { "url", "label", "trust", ... }
local api = require "lest.tool.manual.api"
local help = require "lest.tool.repl.help"

local M = {}

-- What is called: the name right before a bracket.
local PATH <const> = "([%a_][%w_.:]*)%s*$"
local TEXT_MAX <const> = 65536

local OPENING <const> = { ["{"] = "}", ["("] = ")", ["["] = "]" }
local CLOSING <const> = { ["}"] = true, [")"] = true, ["]"] = true }

--- Where the brackets are that are not closed, and the string, if the text ends within one. Long
--- brackets are read as brackets: in a string of these nothing is offered that fits.
---@param text string
---@return integer[] open positions
---@return integer? quote position
local function read(text)
  local open, at = {}, 1
  while at <= #text do
    local char = text:sub(at, at)
    if text:find("^%-%-", at) then
      at = text:find("\n", at, true) or #text
    elseif char == '"' or char == "'" then
      local start = at
      repeat
        at = text:find("[\\\n" .. char .. "]", at + 1)
        local escaped = at and text:sub(at, at) == "\\"
        if escaped then at = at + 1 end
      until not escaped
      if not at or at > #text then return open, start end
    elseif OPENING[char] then
      open[#open + 1] = at
    elseif CLOSING[char] then
      open[#open] = nil
    end
    at = at + 1
  end
  return open
end

--- What is typed of a string that the text ends within.
---@param text string
---@return string?
function M.open_string(text)
  if #text > TEXT_MAX then return nil end
  local _, quote = read(text)
  return quote and text:sub(quote + 1) or nil
end

--- The call whose table the text ends within, where a name is to follow.
---@param text string
---@return string? path "client:enroll"; nil: no such table
---@return string? word what is typed of the name
---@return table<string, boolean>? given the names that the table has already
function M.call(text)
  if #text > TEXT_MAX then return nil end
  local open = read(text)
  local last = open[#open]
  if not last or text:sub(last, last) ~= "{" then return nil end
  local inner = text:sub(last + 1)
  local word = inner:match "^%s*([%w_]*)$" or inner:match "[,;]%s*([%w_]*)$"
  local path = text:sub(1, last - 1):match(PATH)
  local outer = open[#open - 1]
  if not path and outer and text:sub(outer, outer) == "(" then
    path = text:sub(1, outer - 1):match(PATH)
  end
  if not word or not path then return nil end
  local given = {}
  for name in inner:gmatch "([%a_][%w_]*)%s*=%f[^=]" do given[name] = true end
  return path, word, given
end

local function add_names(list, type)
  for name in type:gmatch "lest%.[%w_.]+" do
    local class = api.class(name)
    for _, field in ipairs(class and #class.methods == 0 and class.fields or {}) do
      if field.name:find "^[%a_]" then list[#list + 1] = field.name end
    end
  end
  for inner in type:gmatch "%b{}" do
    for name in inner:gmatch "([%a_][%w_]*)%??:%s" do list[#list + 1] = name end
  end
end

--- The names of the options that a function takes.
---@param callee function|string as help.find takes it
---@return string[]
function M.options(callee)
  local found, list = help.find(callee), {}
  for _, parameter in ipairs(found and found.parameters or {}) do
    add_names(list, parameter.type)
  end
  return list
end

return M
