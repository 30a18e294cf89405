--- The consoles of the workers: frames with `op = "console"` go to the worker that they name, and
--- what it answers comes back. Nobody here looks into either.
local envelope = require "lest.server.wire.console"
local frames = require "lest.server.control.frames"
local list = require "lest.base.list"

local M = {}

-- What may wait for a worker that is busy, and the room for that and for word of all who leave,
-- which must reach it: what they held there goes on by that.
local WAITING_MAX <const> = 64
local QUEUE <const> = { messages = 1024, bytes = 16 * 1024 * 1024 }

---@class lest.control.consoles
---@field channels table<integer, lest.channel> by the worker's number
local Consoles = {}
Consoles.__index = Consoles

---@param visitors lest.control.visitors
---@return lest.control.consoles
function M.new(visitors)
  return setmetatable({ channels = {}, visitors = visitors }, Consoles)
end

--- Those that can be spoken to.
---@return integer[]
function Consoles:workers()
  return list.sorted_keys(self.channels)
end

--- Take a channel to a worker, in place of the one before.
---@param channel lest.channel
---@param worker integer
function Consoles:take(channel, worker)
  if self.channels[worker] then
    self.channels[worker]:close()
    self:lose(worker)
  end
  self.channels[worker] = channel
  channel:limit(QUEUE.messages, QUEUE.bytes)
  channel:on_close(function() self:lose(worker) end)
  channel:on_message(function(packet)
    local connection, _, text = envelope.unpack(packet)
    local visitor = connection and self.visitors.all[connection]
    if visitor and visitor.workers[worker] and text ~= "" then visitor:send(text) end
  end)
  for _, visitor in pairs(self.visitors.all) do
    visitor:send(frames.event("worker_here", { worker = worker }))
  end
end

--- A worker has ended: who spoke to it hears of it.
function Consoles:lose(worker)
  self.channels[worker] = nil
  for _, visitor in pairs(self.visitors.all) do
    if visitor.workers[worker] then
      visitor.workers[worker] = nil
      visitor:send(frames.event("worker_gone", { worker = worker }))
    end
  end
end

--- Pass a frame on.
---@param visitor lest.control.visitor
---@param frame table
---@param text string the same, as it came
function Consoles:forward(visitor, frame, text)
  local channel = self.channels[frame.worker]
  if not channel then
    return visitor:refuse(frame, "not_found", "there is no such worker")
  elseif channel.queued >= WAITING_MAX then
    return visitor:refuse(frame, "unavailable", "the worker is busy")
  end
  visitor.workers[frame.worker] = true
  local ok, err = channel:send(envelope.pack(visitor.number, visitor.peer.uid, text))
  if not ok then visitor:refuse(frame, err.code, err.message) end
end

--- Tell the workers that somebody has left.
---@param visitor lest.control.visitor
function Consoles:leave(visitor)
  for worker in pairs(visitor.workers) do
    local channel = self.channels[worker]
    if channel then channel:send(envelope.pack(visitor.number, visitor.peer.uid, "")) end
  end
end

return M
