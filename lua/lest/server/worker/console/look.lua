--- What a statement of an operator sees of a policy's values: the same to read, and none of them to
--- change. Looking runs no code of the policy: a table is read without its metamethods, but for the
--- views of a request, which are lest's own.
local core = require "lest.core"

local M = {}

-- What a proxy stands for, and the proxies of each looker: the same value is the same proxy.
local behind <const> = setmetatable({}, { __mode = "k" })

local VIEW <const> = "^lest%.request"

local function class_of(value)
  local meta = debug.getmetatable(value)
  local name = type(meta) == "table" and rawget(meta, "__name")
  return type(name) == "string" and name or nil, meta
end

local function opaque(text)
  return setmetatable({}, { __name = text, __tostring = function() return text end,
    __metatable = false, __newindex = function() error("this cannot be changed here", 2) end })
end

-- Copies of what the core parsed: a method of the original, such as close(), would end it.
local COPIES <const> = {
  ["lest.cert"] = function(value) return core.cert.parse(value:der()) end,
  ["lest.csr"] = function(value) return core.csr.parse(value:der(), { key_later = true }) end,
}

local function place_of(fn)
  local info = debug.getinfo(fn, "S")
  return info.what == "C" and "<function, C>"
    or ("<function %s:%d>"):format(info.short_src, info.linedefined)
end

---@class lest.console.looker
local Looker = {}
Looker.__index = Looker

--- A looker for one session.
---@param calls boolean whether functions are given as they are
---@return lest.console.looker
function M.new(calls)
  return setmetatable({ calls = calls, seen = setmetatable({}, { __mode = "kv" }) }, Looker)
end

local function proxy_class(looker, class, is_view)
  local function read(proxy, key)
    local value = behind[proxy]
    if is_view or class == "lest.name" then return looker:see(value[key]) end
    return looker:see(rawget(value, key))
  end
  local function step(proxy, key)
    local next_key, item = next(behind[proxy], key)
    return looker:see(next_key), looker:see(item)
  end
  return {
    __name = class, __metatable = false, __index = read,
    __newindex = function() error("what you look at cannot be changed here", 2) end,
    __len = function(proxy) return is_view and #behind[proxy] or rawlen(behind[proxy]) end,
    __tostring = class == "lest.name" and function(proxy) return tostring(behind[proxy]) end or nil,
    __pairs = function(proxy)
      if not is_view then return step, proxy, nil end
      local keys, values = {}, {}
      for key, value in pairs(behind[proxy]) do
        keys[#keys + 1], values[#values + 1] = looker:see(key), looker:see(value)
      end
      local at = 0
      return function()
        at = at + 1
        return keys[at], values[at]
      end
    end,
  }
end

local function see_table(looker, value)
  local class = class_of(value)
  local proxy = setmetatable({}, proxy_class(looker, class, class and class:find(VIEW) ~= nil))
  behind[proxy] = value
  return proxy
end

local function see_object(looker, value)
  local class = class_of(value)
  if type(value) == "table" then return see_table(looker, value) end
  return opaque(("<%s>"):format(class or type(value)))
end

-- A new one each time, as what a statement does to its copy would be seen by the next.
local function copy_of(value)
  local class = class_of(value)
  local copy = COPIES[class or ""]
  if not copy then return nil end
  local ok, made = pcall(copy, value)
  return ok and made or opaque(("<%s, closed>"):format(class))
end

--- A value as a statement gets it.
---@param value any
---@return any
function Looker:see(value)
  local kind = type(value)
  if kind == "function" then return self.calls and value or opaque(place_of(value)) end
  if kind ~= "table" and kind ~= "userdata" and kind ~= "thread" then return value end
  if behind[value] then return value end
  local copy = copy_of(value)
  if copy then return copy end
  local known = self.seen[value]
  if known == nil then
    known = see_object(self, value)
    self.seen[value] = known
  end
  return known
end

return M
