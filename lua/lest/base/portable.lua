--- Values as data for another process, which shows them: what a prompt in a running server gives
--- its terminal. The copy is bounded in depth, count and bytes; certificates and requests go as
--- their DER, functions and the like as a word.
---
---   local text = core.json.encode(portable.pack(request))
---   show.text(portable.unpack(core.json.decode(text)))
local core = require "lest.core"

local M = {}

--- Bounds: levels, entries of a table, bytes of a string, and of all, which are at most twice as
--- many in JSON.
M.DEPTH, M.ITEMS, M.STRING, M.BYTES = 8, 100, 2000, 80000

-- What a value costs besides its text.
local EACH <const> = 30

-- What takes the place of a value that is not sent.
local CUT <const> = "..."

local function class_of(value)
  local meta = debug.getmetatable(value)
  local name = type(meta) == "table" and rawget(meta, "__name")
  return type(name) == "string" and name:sub(1, 60) or nil, meta
end

local function word(text)
  return { t = "word", v = text }
end

local function pack_string(text, state)
  local most = math.min(#text, M.STRING, state.bytes)
  state.bytes = state.bytes - most
  local part = #text > most and text:sub(1, most) or text
  local packed = { t = "string", of = #text > most and #text or nil }
  if core.utf8.is_text(part) and not part:find "[^%C\n\t]" then
    packed.v = part
  else
    packed.b = core.base64.encode(part)
  end
  return packed
end

local function pack_der(kind, value, state)
  local ok, der = pcall(value.der, value)
  if not ok or #der > state.bytes then return word(("<%s>"):format(kind)) end
  state.bytes = state.bytes - #der
  return { t = kind, b = core.base64.encode(der) }
end

local pack

local function entries_of(value, meta)
  if type(meta) == "table" and rawget(meta, "__pairs") then return pairs(value) end
  return next, value, nil
end

local function pack_table(value, state, class, meta)
  if state.within[value] then return word "<the table above it>" end
  if state.depth >= M.DEPTH then return word "{ ... }" end
  state.within[value], state.depth = true, state.depth + 1
  local packed, more = { t = "table", class = class, k = {}, v = {} }, 0
  for key, item in entries_of(value, meta) do
    local at = #packed.k + 1
    if at <= M.ITEMS then
      packed.k[at], packed.v[at] = pack(key, state), pack(item, state)
    else
      more = more + 1
    end
  end
  packed.more = more > 0 and more or nil
  state.within[value], state.depth = nil, state.depth - 1
  return packed
end

local function pack_object(value, state)
  local class, meta = class_of(value)
  if class == "lest.cert" or class == "lest.csr" then return pack_der(class, value, state) end
  if class == "lest.name" then return pack_string(tostring(value), state) end
  if core.error.is(value) then
    local message = tostring(value.message):sub(1, M.STRING)
    return { t = "error", code = tostring(value.code), v = message }
  end
  if type(value) ~= "table" then return word(("<%s>"):format(class or "userdata")) end
  if type(meta) == "table" and rawget(meta, "__tostring") then
    return word(tostring(value):sub(1, 200))
  end
  return pack_table(value, state, class, meta)
end

local PACKERS <const> = {
  ["nil"] = function() return { t = "nil" } end,
  boolean = function(value) return { t = "boolean", v = value } end,
  -- As texts: JSON has no words for some.
  number = function(value)
    local text = (math.type(value) == "integer" and "%d" or "%.17g"):format(value)
    if math.type(value) == "float" and text:find "^-?%d+$" then text = text .. ".0" end
    return { t = "number", v = text }
  end,
  string = pack_string,
  table = pack_object,
  userdata = pack_object,
  ["function"] = function(value)
    local info = debug.getinfo(value, "S")
    if info.what == "C" then return word "<function, C>" end
    return word(("<function %s:%d>"):format(info.short_src, info.linedefined))
  end,
  thread = function() return word "<thread>" end,
}

function pack(value, state)
  if state.bytes < EACH then return word(CUT) end
  state.bytes = state.bytes - EACH
  return PACKERS[type(value)](value, state)
end

--- A value as a table that JSON has words for.
---@param value any
---@return table packed
function M.pack(value)
  return M.pack_all({ value }, 1)[1]
end

--- Several values, which share what there is room for.
---@param values any[]
---@param count integer
---@return table[] packed
function M.pack_all(values, count)
  local state, packed = { bytes = M.BYTES, depth = 0, within = {} }, {}
  for i = 1, math.min(count, M.ITEMS) do packed[i] = pack(values[i], state) end
  return packed
end

-- What stands for a value that stayed where it is.
local Word <const> = { __tostring = function(self) return self.text end, __metatable = false }

local function text_of(value, most)
  return type(value) == "string" and value:sub(1, most) or CUT
end

local function unpack_string(packed)
  local text = packed.v
  if type(packed.b) == "string" then text = core.base64.decode(packed.b) end
  text = type(text) == "string" and text or ""
  return packed.of and text .. CUT or text
end

local function unpack_object(parse)
  return function(packed)
    local der = type(packed.b) == "string" and core.base64.decode(packed.b)
    local value = der and parse(der)
    return value or setmetatable({ text = CUT }, Word)
  end
end

local unpack

local NOT_FINITE <const> = { inf = math.huge, ["-inf"] = -math.huge, nan = 0 / 0, ["-nan"] = 0 / 0 }

local UNPACKERS <const> = {
  ["nil"] = function() return nil end,
  boolean = function(packed) return packed.v == true end,
  number = function(packed)
    local text = text_of(packed.v, 40)
    return NOT_FINITE[text] or tonumber(text)
  end,
  string = unpack_string,
  word = function(packed) return setmetatable({ text = text_of(packed.v, 200) }, Word) end,
  error = function(packed)
    local ok, err = pcall(core.error.new, { code = packed.code, message = packed.v })
    return ok and err or setmetatable({ text = text_of(packed.v, M.STRING) }, Word)
  end,
  ["lest.cert"] = unpack_object(function(der) return core.cert.parse(der) end),
  ["lest.csr"] = unpack_object(function(der) return core.csr.parse(der, { key_later = true }) end),
  table = function(packed)
    local value = {}
    local keys, items = packed.k or {}, packed.v or {}
    for i = 1, math.min(#keys, M.ITEMS) do
      local key = unpack(keys[i])
      if key ~= nil and key == key then value[key] = unpack(items[i]) end
    end
    if packed.more then value[CUT] = ("%s more"):format(tostring(packed.more):sub(1, 20)) end
    local class = type(packed.class) == "string" and packed.class:match "^[%w._-]+$"
    if not class then return value end
    return setmetatable(value, { __name = class:sub(1, 60) })
  end,
}

function unpack(packed)
  local unpacker = type(packed) == "table" and UNPACKERS[packed.t]
  if unpacker then return unpacker(packed) end
end

--- The value again, as far as it was sent; whatever a hostile process has put there, it is one that
--- can be shown.
---@param packed any what core.json.decode gave
---@return any value
function M.unpack(packed)
  local ok, value = pcall(unpack, packed)
  if ok then return value end
  return setmetatable({ text = CUT }, Word)
end

return M
