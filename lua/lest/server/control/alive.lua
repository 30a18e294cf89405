--- Tells a visitor who waits that the server lives, again and again until it is closed.
---
---   local alive = alive.new(visitor, frame.id)
---   alive:start()
---   alive:close()
local core = require "lest.core"
local frames = require "lest.server.control.frames"

local M = {}

local EVERY_MS <const> = 5000

---@class lest.control.alive
local Alive = {}
Alive.__index = Alive

---@param visitor lest.control.visitor
---@param id integer of what was asked
---@return lest.control.alive
function M.new(visitor, id)
  return setmetatable({ visitor = visitor, id = id }, Alive)
end

--- The timer is first: who cannot be sent to leaves, and closes this.
function Alive:start()
  self.timer = core.loop.timer(EVERY_MS, function() self:start() end)
  self.visitor:send(frames.part(self.id, { alive = true }))
end

function Alive:close()
  if self.timer then self.timer:close() end
  self.timer = nil
end

return M
