--- What a simulated device keeps: the twin of lest.agent.store in memory, which has room for many.
--- As there, what begin(), finish(), remember() and keep_anchors() were given is safe once they
--- return, and a device that loses its power comes back with exactly that.
local list = require "lest.base.list"

local M = {}

---@class lest.fleet.place : lest.agent.place
local Place = { __name = "lest.fleet.place" }
Place.__index = Place

---@param keeper table who makes the keys of an identity (lest.agent.keys)
---@return lest.fleet.place
function M.new(keeper)
  return setmetatable({ number = 0, keeper = keeper }, Place)
end

function Place:tidy() -- luacheck: ignore 212
  return true
end

-- What is in use is the newest: there are no files and hooks for whose sake an older one would be.
function Place:hold() end -- luacheck: ignore 212

---@return lest.cert? cert
---@return integer? number
function Place:current()
  if self.cert then return self.cert, self.number end
end

---@return lest.key
function Place:key()
  return self.own
end

---@param key lest.key
---@param request table
function Place:begin(key, request)
  self.next = { key = key, request = list.copy(request) }
  return true
end

---@return lest.key?
---@return table?
function Place:pending()
  if self.next then return self.next.key, list.copy(self.next.request) end
end

function Place:forget()
  self.next = nil
  return true
end

---@param cert lest.cert
---@return integer number
function Place:finish(cert)
  self.cert, self.own, self.number, self.next = cert, self.next.key, self.number + 1, nil
  return self.number
end

---@return table?
function Place:memory()
  return list.copy(self.remembered)
end

---@param memory table
function Place:remember(memory)
  self.remembered = list.copy(memory)
  return true
end

---@return lest.cert[]?
function Place:anchors()
  return self.known
end

---@param certs lest.cert[]
function Place:keep_anchors(certs)
  self.known = #certs > 0 and { table.unpack(certs) } or nil
  return true
end

return M
