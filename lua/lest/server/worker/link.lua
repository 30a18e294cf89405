--- A worker's connection to the authority: questions with ids, answers in any order.
local core = require "lest.core"
local message = require "lest.server.wire.message"
local refusal = require "lest.server.wire.refusal"
local task = require "lest.task"

local M = {}

---@class lest.worker.link
local Link = {}
Link.__index = Link

--- Connect to the authority at an address, and again whenever it is lost. Passwords go there, so it
--- must be a process of the authority's account that listens.
---@param address string
---@param authority_uid integer
---@return lest.worker.link
function M.new(address, authority_uid)
  local link = setmetatable({ address = address, authority_uid = authority_uid, waiting = {} },
    Link)
  link:connect()
  return link
end

local ANSWERS <const> = { answer = true }

--- Connect to the authority; while there is none every request is 503.
function Link:connect()
  if self.closing then return end
  local channel, err = core.channel.connect {
    path = self.address,
    on_message = function(packet) self:on_answer(packet) end,
    on_close = function() self:on_lost() end,
  }
  if channel and channel.peer.uid == self.authority_uid then
    self.channel = channel
    return
  end
  if channel then
    err = ("a process of the account %d listens in the authority's place"):format(channel.peer.uid)
    channel:close()
  end
  core.log.write("warning", "authority away", { "message", tostring(err) })
  self.reconnect = core.loop.timer(200, function() self:connect() end)
end

function Link:on_lost()
  self.channel = nil
  local waiting = self.waiting
  self.waiting = {}
  for _, callback in pairs(waiting) do callback(nil) end
  self.reconnect = core.loop.timer(50, function() self:connect() end)
end

function Link:on_answer(packet)
  local answer, problem, id = message.decode(packet, ANSWERS)
  if not answer then
    core.log.write("error", "bad answer from the authority", { "message", problem })
    answer = { id = id, status = 500, reason = "the request failed" }
    if not self.waiting[id or false] then return end
  end
  local callback = self.waiting[answer.id]
  self.waiting[answer.id] = nil
  if callback then return callback(answer) end
  if not answer.handle then return end
  self:give_up({ id = answer.id, handle = answer.handle, channel = self.channel }, "nobody waits")
end

--- Give up a request that the authority keeps for a verdict: its client has gone.
---@param request { id: string, handle: string, channel: any } channel as ask() gave it
---@param why string
function Link:give_up(request, why)
  if not self.channel or self.channel ~= request.channel then return end
  self.channel:send(assert(message.encode { type = "finish", id = request.id,
    handle = request.handle, verdict = "error", detail = why }))
end

--- Ask the authority and wait. A lost authority leaves the outcome unknown: 503, and the client's
--- next try finds what was issued.
---@param id string of the request
---@param packet string of message.encode
---@param began? any what ask() gave for the request's first question: another authority than that
--- one knows nothing of it
---@return table answer
---@return any began
function Link:ask(id, packet, began)
  local answer
  local channel = self.channel
  if channel and (not began or began == channel) then
    answer = task.await(function(callback)
      self.waiting[id] = callback
      local sent = channel:send(packet)
      if not sent then
        self.waiting[id] = nil
        callback(nil)
      end
      return { close = function() self.waiting[id] = nil end }
    end)
  end
  if not answer then refusal.raise(503, "the authority is not available", { retry_after = 5 }) end
  if answer.status then
    refusal.raise(answer.status, answer.reason, { retry_after = answer.retry_after,
      verdict = answer.verdict, who = answer.who })
  end
  return answer, channel
end

--- No more connecting.
function Link:close()
  self.closing = true
end

return M
