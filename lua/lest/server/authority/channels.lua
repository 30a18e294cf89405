--- The workers' channels: who may connect, and how much each may hold. A request is held, with its
--- bytes, from its question to its verdict; its handle is good once, and for its channel alone.
local core = require "lest.core"
local refusal = require "lest.server.wire.refusal"

local M = {}

-- A worker needs one; a second one while its first has not been seen to end.
local CHANNELS_PER_PROCESS <const> = 4
local CHANNELS_MAX <const> = 1024

---@class lest.authority.channel
---@field socket lest.channel
---@field pid integer
---@field closed? boolean

---@class lest.authority.channels
local Channels = {}
Channels.__index = Channels

---@param options { worker_uid: integer, share: integer, workers: integer, lifetime: integer }
--- share: the requests that one worker may hold; lifetime: seconds that a handle is good
---@return lest.authority.channels
function M.new(options)
  return setmetatable({
    worker_uid = options.worker_uid, share = options.share, most = options.share * options.workers,
    lifetime = options.lifetime, open = {}, handles = {}, held = {}, held_in_all = 0,
  }, Channels)
end

--- Whether a process may have one more channel.
local function has_room(self, pid)
  local all, own = 0, 0
  for channel in pairs(self.open) do
    all = all + 1
    if channel.pid == pid then own = own + 1 end
  end
  return all < CHANNELS_MAX and own < CHANNELS_PER_PROCESS
end

--- A new connection: from a process of the workers' account or of its own; any other is closed.
---@param socket lest.channel
---@return lest.authority.channel|nil
function Channels:accept(socket)
  local peer = socket.peer
  local problem
  if peer.uid ~= self.worker_uid and peer.uid ~= core.process.uid then
    problem = "stranger refused"
  elseif not has_room(self, peer.pid) then
    problem = "too many channels"
  end
  if problem then
    core.log.write("warning", problem, { "uid", peer.uid, "pid", peer.pid })
    socket:close()
    return nil
  end
  local channel = { socket = socket, pid = peer.pid }
  self.open[channel] = true
  return channel
end

--- A channel has ended, from whichever side: its handles are of no use any more.
---@param channel lest.authority.channel
function Channels:drop(channel)
  channel.closed = true
  self.open[channel] = nil
  for _, request in pairs(self.handles) do
    if request.channel == channel then self:forget(request) end
  end
end

--- Take a place for a request: a process may have as many as a worker lets be under way, and all
--- together as many as the workers.
---@param channel lest.authority.channel
function Channels:enter(channel)
  local own = self.held[channel.pid] or 0
  if own >= self.share or self.held_in_all >= self.most then M.refuse_crowd() end
  self.held[channel.pid], self.held_in_all = own + 1, self.held_in_all + 1
end

---@param channel lest.authority.channel
function Channels:leave(channel)
  local left = self.held[channel.pid] - 1
  self.held[channel.pid], self.held_in_all = left > 0 and left or nil, self.held_in_all - 1
end

--- Keep a request for its verdict.
---@param request lest.authority.request
---@return string handle
function Channels:keep(request)
  local handle = core.secret.random(16)
  request.handle, self.handles[handle] = handle, request
  return handle
end

--- A kept request is over: its handle is good no more, and its place is free.
---@param request lest.authority.request
function Channels:forget(request)
  self.handles[request.handle] = nil
  self:leave(request.channel)
end

--- The request that a verdict is about, which is then kept no longer.
---@param channel lest.authority.channel
---@param finish table the worker's message
---@param now integer seconds
---@return lest.authority.request
function Channels:take(channel, finish, now)
  local request = self.handles[finish.handle]
  if not request or request.channel ~= channel or request.id ~= finish.id then
    core.log.write("warning", "bad handle", { "id", finish.id, "pid", channel.pid })
    refusal.raise(503, "the request is not known any more", { retry_after = 5 })
  end
  self:forget(request)
  if now - request.started > self.lifetime then
    refusal.raise(503, "the decision came too late", { retry_after = 5 })
  end
  return request
end

--- Forget the requests that were given up.
---@param now integer seconds
function Channels:sweep(now)
  for _, request in pairs(self.handles) do
    if request.started < now - self.lifetime then self:forget(request) end
  end
end

function M.refuse_crowd()
  refusal.raise(503, "too many requests are under way", { retry_after = 5 })
end

--- Ids name rows of the ledger: a process has its own, with its number in them, and takes none away
--- from another, whose ids every client sees.
---@param channel lest.authority.channel
---@param id string
function M.check_id(channel, id)
  if id:match "%-(%x+)%-%x+$" ~= ("%x"):format(channel.pid) then
    refusal.raise(400, "the id is another process's")
  end
end

return M
