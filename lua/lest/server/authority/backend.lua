--- The authority's end of the channel to the backend. What comes is believed nothing: each message
--- goes to who asked for it, and is checked there.
---
---   backend:on("outcome", function(received) ... end)
---   backend:on("hello", function() ... end)   -- it has come, perhaps once more
---   backend:on("lost", function() ... end)    -- and gone
local core = require "lest.core"
local message = require "lest.server.wire.message"

local M = {}

local TYPES <const> = { outcome = true, keys = true, hello = true }

---@class lest.authority.backend
---@field channel? lest.channel
---@field is_up boolean it has said hello
---@field takers table<string, fun(received: table)> by the type of message, and "lost"
local Backend = {}
Backend.__index = Backend

---@return lest.authority.backend
function M.new()
  return setmetatable({ is_up = false, takers = {} }, Backend)
end

--- Have a function take what comes of one type.
---@param kind string
---@param take fun(received: table)
function Backend:on(kind, take) self.takers[kind] = take end

local function tell(self, kind, received)
  local take = self.takers[kind]
  if take then take(received) end
end

local function lose(self)
  self.channel, self.is_up = nil, false
  tell(self, "lost", {})
end

--- Send a packet. False: it does not take any now.
---@param packet string
---@return boolean
function Backend:send(packet)
  return self.is_up and self.channel:send(packet) and true or false
end

--- A channel to the backend, in place of the one before.
---@param socket lest.channel
function Backend:take(socket)
  if self.channel then
    self.channel:close()
    lose(self)
  end
  self.channel = socket
  socket:on_message(function(packet)
    local received, problem = message.decode(packet, TYPES)
    if not received then
      core.log.write("error", "bad message of the backend", { "message", problem })
      socket:close()
      return lose(self)
    end
    if received.type == "hello" then self.is_up = true end
    tell(self, received.type, received)
  end)
  socket:on_close(function()
    if self.channel == socket then lose(self) end
  end)
end

return M
