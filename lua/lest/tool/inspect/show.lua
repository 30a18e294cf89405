--- Any value as a person wants to read it: tables with sorted keys, strings escaped, certificates
--- and the like decoded, errors with their cause.
---
---   show.text { b = 2, a = { 1, 2 } }   --> { a = { 1, 2 }, b = 2 }
local core = require "lest.core"
local inspect = require "lest.tool.inspect"
local origin = require "lest.base.origin"
local terminal = require "lest.base.terminal"

local M = {}

--- Bounds, so that a huge value does not flood a terminal.
M.DEPTH = 6
M.ITEMS = 100
M.STRING = 2000
M.WIDTH = 78

local KEYWORDS <const> = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat
  return then true until while]]):gmatch "%a+" do
  KEYWORDS[word] = true
end

local NAMED <const> = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\\"] = "\\\\",
  ['"'] = '\\"' }

-- As in a string of Lua; \ddd is ambiguous to readers.
local function escape(text)
  return terminal.safe((text:gsub('[\n\r\t\\"]', NAMED)))
end

local ENDS <const> = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }

-- A text that stands by itself, as a message: it has no quotes around it that its own could end.
local function words(text)
  return terminal.safe((text:gsub("[\n\r\t]", ENDS)))
end

local function quote(text)
  if #text <= M.STRING then return '"' .. escape(text) .. '"' end
  return ('"%s"... (%d bytes)'):format(escape(text:sub(1, M.STRING)), #text)
end

-- An object keeps these for later; a screen is no place for them.
local SECRETS <const> = { password = true, passphrase = true, secret = true }

local function key_text(key, render)
  if type(key) == "string" and key:find "^[%a_][%w_]*$" and not KEYWORDS[key] then return key end
  return "[" .. (type(key) == "string" and quote(key) or render(key)) .. "]"
end

local ORDER <const> = { number = 1, string = 2, boolean = 3 }

local function before(a, b)
  local ta, tb = type(a), type(b)
  if ta ~= tb then return (ORDER[ta] or 9) < (ORDER[tb] or 9) end
  if ta == "number" or ta == "string" then return a < b end
  return tostring(a) < tostring(b)
end

-- Keys beyond the sequence part, sorted.
local function other_keys(value, length)
  local keys = {}
  for key in next, value do
    local listed = math.type(key) == "integer" and key >= 1 and key <= length
    if not listed then keys[#keys + 1] = key end
  end
  table.sort(keys, before)
  return keys
end

local function join(items, indent, prefix)
  local one_line = prefix .. "{ " .. table.concat(items, ", ") .. " }"
  if #one_line + #indent <= M.WIDTH and not one_line:find "\n" then return one_line end
  local inner = "\n" .. indent .. "  "
  return prefix .. "{" .. inner .. table.concat(items, "," .. inner) .. "\n" .. indent .. "}"
end

local render

local function render_table(value, state, indent, prefix)
  if state.seen[value] then return prefix .. "<the table above it>" end
  if next(value) == nil then return prefix .. "{}" end
  if state.depth >= M.DEPTH then return prefix .. "{ ... }" end
  state.seen[value], state.depth = true, state.depth + 1
  local inner, items, left = indent .. "  ", {}, M.ITEMS
  local length = rawlen(value)
  for i = 1, math.min(length, left) do items[i] = render(rawget(value, i), state, inner) end
  local keys = other_keys(value, length)
  left = left - #items
  for i = 1, math.min(#keys, math.max(left, 0)) do
    local key = key_text(keys[i], function(k) return render(k, state, inner) end)
    local hidden = state.objects > 0 and SECRETS[keys[i]]
    items[#items + 1] = key .. " = "
      .. (hidden and "<hidden>" or render(rawget(value, keys[i]), state, inner))
  end
  local missing = length + #keys - #items
  if missing > 0 then items[#items + 1] = ("... %d more"):format(missing) end
  state.seen[value], state.depth = nil, state.depth - 1
  return join(items, indent, prefix)
end

local function class_of(value)
  local meta = debug.getmetatable(value)
  local name = type(meta) == "table" and rawget(meta, "__name")
  return type(name) == "string" and name or nil, meta
end

local function indented(text, indent)
  return (text:gsub("\n+$", ""):gsub("\n", "\n" .. indent))
end

-- The classes that lest.tool.inspect knows; nil for another value.
local function inspected(value, class)
  if not class or not class:find "^lest%." then return nil end
  local ok, text = pcall(inspect.text, value)
  return ok and type(text) == "string" and text or nil
end

local function safe_tostring(value)
  local ok, text = pcall(tostring, value)
  return ok and type(text) == "string" and text or ("<%s>"):format(type(value))
end

-- One line for an object within a table.
local function summary(value, class)
  local ok, text = pcall(function()
    local name
    if class == "lest.cert" or class == "lest.csr" then name = value.subject end
    if class == "lest.crl" then name = value.issuer end
    return name and ("%s %s"):format(class, name) or tostring(value)
  end)
  return ok and text or class
end

-- A module whose fields are loaded when they are used.
local function join_names(names)
  local list = {}
  for name in next, names do list[#list + 1] = tostring(name) end
  table.sort(list)
  return "fields: " .. table.concat(list, ", ")
end

local function is_plain(meta)
  return meta == nil or (rawget(meta, "__tostring") == nil and rawget(meta, "__name") == nil)
end

local function render_object(value, state, indent)
  local class, meta = class_of(value)
  if core.error.is(value) then return indented(M.error(value), indent) end
  if class == "lest.name" then return quote(safe_tostring(value)) end
  local text = state.depth == 0 and inspected(value, class)
  if text then return indented(text, indent) end
  if type(value) ~= "table" then
    return words(class and summary(value, class) or safe_tostring(value))
  end
  -- What a policy sees keeps its values elsewhere, and gives them to pairs().
  if class and class:find "^lest%.request" and rawget(meta, "__pairs") then
    local seen = {}
    for key, each in pairs(value) do seen[key] = each end
    return render_table(seen, state, indent, class .. " ")
  end
  local names = meta and rawget(meta, "__names")
  if type(names) == "table" then return "<" .. join_names(names) .. ">" end
  if is_plain(meta) then return render_table(value, state, indent, "") end
  if rawget(meta, "__tostring") then return words(safe_tostring(value)) end
  state.objects = state.objects + 1
  text = render_table(value, state, indent, class .. " ")
  state.objects = state.objects - 1
  return text
end

function render(value, state, indent)
  local kind = type(value)
  if kind == "string" then return quote(value) end
  if kind == "table" or kind == "userdata" then return render_object(value, state, indent) end
  if kind == "function" then
    local info = debug.getinfo(value, "S")
    if info.what == "C" then return "<function, C>" end
    return ("<function %s:%d>"):format(info.short_src, info.linedefined)
  end
  return tostring(value)
end

--- A value as text, over several lines if it needs them. Bounded in depth, length and width.
---@param value any
---@return string
function M.text(value)
  return render(value, { seen = {}, depth = 0, objects = 0 }, "")
end

local DETAILS <const> = { "reason", "status", "retry_after", "request_id", "rfc", "detail" }

local function add_error(lines, err, lead)
  lines[#lines + 1] = ("%s%s%s [%s]"):format(lead, err.operation and err.operation .. ": " or "",
    words(tostring(err.message)), tostring(err.code))
  for _, name in ipairs(DETAILS) do
    if err[name] ~= nil and err[name] ~= "" then
      local text = words(tostring(err[name])):gsub("; ", "\n" .. (" "):rep(#name + 4))
      lines[#lines + 1] = ("  %s: %s"):format(name, text)
    end
  end
end

--- An error with everything it has, and its causes, one below the other.
---@param err lest.error|any
---@return string
function M.error(err)
  if type(err) == "string" then err = origin.words(err) end
  if not core.error.is(err) then return "error: " .. words(safe_tostring(err)) end
  local lines, count = {}, 0
  add_error(lines, err, "error: ")
  local cause = err.cause
  while cause ~= nil and count < 10 do
    if core.error.is(cause) then
      add_error(lines, cause, "caused by: ")
      cause = cause.cause
    else
      lines[#lines + 1] = "caused by: " .. words(safe_tostring(cause))
      cause = nil
    end
    count = count + 1
  end
  return table.concat(lines, "\n")
end

return M
