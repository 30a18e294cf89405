--- Who comes in at the control socket, and how many: the kernel says who it is. Others than root,
--- the account that serves and the members of the group are told so, and sent away.
---
---   local visitors = visitors.new { group = 1000, uid = 998, on_frame = answer }
---   core.door.listen(fd, function(channel, peer) visitors:enter(channel, peer) end)
local core = require "lest.core"
local frames = require "lest.server.control.frames"
local lines = require "lest.server.wire.lines"
local list = require "lest.base.list"

local M = {}

-- Of one account, of all accounts, and with root's: nobody keeps the others out, nor all root.
local PER_ACCOUNT <const>, ACCOUNTS <const>, ALL <const> = 32, 96, 128
-- To say what is wanted, once connected.
local FIRST_MS <const> = 10000
-- What may wait for one who reads slowly.
local QUEUE <const> = { messages = 256, bytes = 4 * 1024 * 1024 }

---@class lest.control.visitor
---@field number integer of the connection, from 1
---@field peer lest.peer
---@field channel lest.channel
---@field workers table<integer, boolean> which it has spoken to
local Visitor = {}
Visitor.__index = Visitor

---@class lest.control.visitors
local Visitors = {}
Visitors.__index = Visitors

local refused <const> = lines.new "control refused"

---@class lest.control.visitors.options
---@field group? integer whose members may come in
---@field uid integer of this process
---@field where string what others are told
---@field on_frame fun(visitor: lest.control.visitor, frame: table, text: string)
---@field on_leave fun(visitor: lest.control.visitor)

---@param options lest.control.visitors.options
---@return lest.control.visitors
function M.new(options)
  return setmetatable({ options = options, all = {}, count = 0, last = 0, by_uid = {} }, Visitors)
end

--- Whether an account may be here at all.
---@param peer lest.peer
---@return boolean
function Visitors:may(peer)
  local options = self.options
  if peer.uid == 0 or peer.uid == options.uid then return true end
  return options.group ~= nil
    and (peer.gid == options.group or list.has(peer.groups, options.group))
end

function Visitors:no_place(peer)
  if peer.uid == 0 then return self.count >= ALL end
  return self.count >= ACCOUNTS or (self.by_uid[peer.uid] or 0) >= PER_ACCOUNT
end

local function turn_away(channel, peer, code, message)
  channel:send(frames.failure(nil, code, message))
  channel:close()
  refused:write("warning", { "uid", peer.uid, "peer_pid", peer.pid, "code", code })
end

--- Send a frame to it. Who does not read what it asked for is let go.
---@param text string
---@return boolean sent
function Visitor:send(text)
  if not self.channel then return false end
  if self.channel:send(text) then return true end
  self:leave()
  return false
end

--- Answer a frame with an error.
---@param frame table
---@param code string
---@param message string
---@return boolean sent
function Visitor:refuse(frame, code, message)
  return self:send(frames.failure(frame.id, code, message))
end

--- Let go of it, and tell who serves it.
function Visitor:leave()
  if not self.channel then return end
  self.channel:close()
  self:gone()
end

function Visitor:gone()
  local visitors = self.visitors
  if self.timer then self.timer:close() end
  self.channel, self.timer = nil, nil
  visitors.all[self.number] = nil
  visitors.count = visitors.count - 1
  local left = visitors.by_uid[self.peer.uid] - 1
  visitors.by_uid[self.peer.uid] = left > 0 and left or nil
  visitors.options.on_leave(self)
end

function Visitor:take(text)
  if self.timer then self.timer:close() end
  self.timer = nil
  local frame, problem = frames.read(text)
  if frame then return self.visitors.options.on_frame(self, frame, text) end
  self:send(frames.failure(nil, "protocol", problem))
  self:leave()
end

--- Tell all that this process ends, and let go of those for whom it does nothing.
function Visitors:dismiss()
  for _, visitor in pairs(self.all) do
    visitor:send(frames.event("stopping", {}))
    if not visitor.command and not visitor.query then visitor:leave() end
  end
end

--- One has come in.
---@param channel lest.channel
---@param peer lest.peer
function Visitors:enter(channel, peer)
  if not self:may(peer) then
    return turn_away(channel, peer, "refused", self.options.where)
  elseif self:no_place(peer) then
    return turn_away(channel, peer, "unavailable", "too many are at the control socket")
  end
  self.last, self.count = self.last + 1, self.count + 1
  self.by_uid[peer.uid] = (self.by_uid[peer.uid] or 0) + 1
  local visitor = setmetatable({ number = self.last, peer = peer, channel = channel,
    visitors = self, workers = {} }, Visitor)
  self.all[visitor.number] = visitor
  visitor.timer = core.loop.timer(FIRST_MS, function() visitor:leave() end)
  channel:limit(QUEUE.messages, QUEUE.bytes)
  channel:on_close(function() visitor:gone() end)
  channel:on_message(function(text) visitor:take(text) end)
end

return M
