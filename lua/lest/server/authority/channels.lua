--- The workers' channels, and how much each worker may hold. A channel is its worker's identity:
--- the supervisor makes it, and no other process can have one. A request is held, with its bytes,
--- from its question to its verdict; its handle is good once, and for its channel alone.
local core = require "lest.core"
local lines = require "lest.server.wire.lines"
local refusal = require "lest.server.wire.refusal"

local M = {}

local bad_handles <const> = lines.new "bad handle"

---@class lest.authority.channel
---@field socket lest.channel
---@field worker integer its number
---@field pid integer
---@field closed? boolean

---@class lest.authority.channels
local Channels = {}
Channels.__index = Channels

---@class lest.authority.channels.options
---@field share integer the requests that one worker may hold
---@field lifetime integer seconds that a handle is good
---@field on_lost fun(request: lest.authority.request, why: string) a kept request gets no verdict
---@field on_end fun(channel: lest.authority.channel) a worker is no more

---@param options lest.authority.channels.options
---@return lest.authority.channels
function M.new(options)
  return setmetatable({
    share = options.share, lifetime = options.lifetime, on_lost = options.on_lost,
    on_end = options.on_end or function() end,
    of_worker = {}, handles = {}, held = {},
  }, Channels)
end

--- A worker's new channel, in place of the one before.
---@param socket lest.channel
---@param worker integer
---@param pid integer
---@return lest.authority.channel
function Channels:accept(socket, worker, pid)
  local before = self.of_worker[worker]
  if before then
    self:drop(before)
    before.socket:close()
  end
  local channel = { socket = socket, worker = worker, pid = pid }
  self.of_worker[worker] = channel
  return channel
end

--- Send a packet to all workers; one that has no room for it does not get it.
---@param packet string
function Channels:send_to_all(packet)
  for _, channel in pairs(self.of_worker) do channel.socket:send(packet) end
end

--- A kept request is over: its handle is good no more, and its place is free.
local function forget(self, request)
  self.handles[request.handle] = nil
  self:leave(request.channel)
end

--- A kept request gets no verdict.
local function lose(self, request, why)
  forget(self, request)
  self.on_lost(request, why)
end

--- A channel has ended, from whichever side: its handles are of no use any more.
---@param channel lest.authority.channel
function Channels:drop(channel)
  channel.closed = true
  if self.of_worker[channel.worker] == channel then self.of_worker[channel.worker] = nil end
  for _, request in pairs(self.handles) do
    if request.channel == channel then
      lose(self, request, "the worker ended while the policy decided")
    end
  end
  self.on_end(channel)
end

--- The end of the authority.
function Channels:close()
  for _, channel in pairs(self.of_worker) do self:drop(channel) end
end

--- End the channels without a word: there is no ledger any more that would take one.
function Channels:hang_up()
  for _, channel in pairs(self.of_worker) do
    channel.closed = true
    channel.socket:close()
  end
  self.of_worker, self.handles = {}, {}
end

--- Take a place for a request: a worker has as many as it lets be under way, whatever became of its
--- channels before.
---@param channel lest.authority.channel
function Channels:enter(channel)
  local own = self.held[channel.worker] or 0
  if own >= self.share then M.refuse_crowd() end
  self.held[channel.worker] = own + 1
end

---@param channel lest.authority.channel
function Channels:leave(channel)
  self.held[channel.worker] = self.held[channel.worker] - 1
end

--- Keep a request for its verdict.
---@param request lest.authority.request
---@return string handle
function Channels:keep(request)
  local handle = core.secret.random(16)
  request.handle, self.handles[handle] = handle, request
  return handle
end

--- The request that a message is about.
---@param channel lest.authority.channel
---@param message table the worker's, with id and handle
---@param now integer seconds of the monotonic clock
---@return lest.authority.request
function Channels:find(channel, message, now)
  local request = self.handles[message.handle]
  if not request or request.channel ~= channel
    or (request.asked_as or request.id) ~= message.id then
    bad_handles:write("warning", { "id", message.id, "worker_pid", channel.pid })
    refusal.raise(503, "the request is not known any more", { retry_after = 5 })
  end
  if now - request.started > self.lifetime then
    lose(self, request, "the decision came too late")
    refusal.raise(503, "the decision came too late", { retry_after = 5 })
  end
  return request
end

--- The request that a verdict is about, which is then kept no longer.
---@param channel lest.authority.channel
---@param finish table the worker's message
---@param now integer seconds of the monotonic clock
---@return lest.authority.request
function Channels:take(channel, finish, now)
  local request = self:find(channel, finish, now)
  forget(self, request)
  return request
end

--- Wait no longer for verdicts that do not come.
---@param now integer seconds of the monotonic clock
function Channels:sweep(now)
  for _, request in pairs(self.handles) do
    if request.started < now - self.lifetime then lose(self, request, "no decision came") end
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
