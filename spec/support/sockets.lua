--- Channels between a spec and the stand-ins of processes: by an address, or as the ends of a pair.
---
---   local listener <close> = sockets.listen("@name", function(channel) ... end)
---   local channel = sockets.connect("@name", { on_message = function(bytes) ... end })
local core = require "lest.core"

local M = {}

local raw <const> = assert(package.loadlib(LEST_PREFIX .. "/fixture/sockets.so",
  "luaopen_sockets"))()

-- How often it is looked for new connections.
local EVERY_MS <const> = 5

local Listener = {}
Listener.__index = Listener

local function look(self)
  for fd in function() return raw.accept(self.fd) end do
    self.on_accept(assert(core.channel.adopt { fd = fd }))
  end
  if self.fd then self.timer = core.loop.timer(EVERY_MS, function() look(self) end) end
end

--- Accept channels at a path or an abstract address, until closed.
---@param address string "@name" or a path
---@param on_accept fun(channel: lest.channel)
function M.listen(address, on_accept)
  local self = setmetatable({ fd = raw.listen(address), on_accept = on_accept }, Listener)
  look(self)
  return self
end

function Listener:close()
  if not self.fd then return end
  self.timer:close()
  raw.close(self.fd)
  self.fd = nil
end
Listener.__close = Listener.close

--- A channel to an address; nil where nobody listens.
---@param address string
---@param options? table of core.channel.adopt
---@return lest.channel?
function M.connect(address, options)
  local all = { fd = raw.connect(address) }
  if not all.fd then return nil end
  for key, value in pairs(options or {}) do all[key] = value end
  return assert(core.channel.adopt(all))
end

--- The two ends of one channel; the second has these options.
---@param options? table of core.channel.adopt
---@return lest.channel
---@return lest.channel
function M.pair(options)
  local one, other = raw.pair()
  local all = { fd = other }
  for key, value in pairs(options or {}) do all[key] = value end
  return assert(core.channel.adopt { fd = one }), assert(core.channel.adopt(all))
end

return M
