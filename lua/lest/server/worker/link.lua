--- A worker's connection to the authority: questions with ids, answers in any order.
local core = require "lest.core"
local message = require "lest.server.wire.message"
local refusal = require "lest.server.wire.refusal"
local task = require "lest.task"

local M = {}

-- An authority that does not turn its loop is killed and its channel ends; this is for one that
-- turns it and says nothing.
local ANSWER_MS <const> = 20000

-- A policy's question is answered in the turn that it comes in, or not.
local TOLD_MS <const> = 5000

-- How often what waits is looked at: one timer for all, not one for each.
local LOOK_MS <const> = 250

---@class lest.worker.link
---@field is_up boolean the authority has said hello
---@field nonce_key string? of Digest, while it is up (lest.server.wire.nonce)
---@field answer_ms integer how long a question waits
---@field told_ms integer how long one of a policy does
---@field on_hello? fun(channel: lest.channel) there is an authority
---@field revoked function[] what is called when certificates were revoked
---@field on_event? fun(event: table, channel: lest.channel) it tells what happened
---@field on_document? fun(document: table, sealed: lest.sealed) it gives what anybody may fetch
---@field on_identity? fun(identity: { chain: string[], key: string }) what to present in TLS
local Link = {}
Link.__index = Link

--- A link without a channel: every request is 503. The supervisor hands out the channels, and a
--- new one when the authority is another process.
---@return lest.worker.link
function M.new()
  return setmetatable({ is_up = false, waiting = {}, revoked = {}, answer_ms = ANSWER_MS,
    told_ms = TOLD_MS }, Link)
end

--- Take a channel to the authority, in place of the one before.
---@param channel lest.channel
function Link:take(channel)
  if self.channel then
    self.channel:close()
    self:lose()
  end
  self.channel = channel
  channel:take_sealed(message.DOCUMENT_MAX)
  channel:on_message(function(packet, _, sealed) self:on_message(packet, sealed) end)
  channel:on_close(function()
    self:lose()
    core.process.ask_channel()
  end)
end

--- Turn the loop until the authority has said hello, but no longer than that.
---@param milliseconds integer
function Link:await_hello(milliseconds)
  local late = false
  local timer = core.loop.timer(milliseconds, function() late = true end)
  while not (self.is_up or late) do core.loop.turn() end
  timer:close()
end

--- End the wait for one answer.
local function settle(self, id, answer)
  local question = self.waiting[id]
  self.waiting[id] = nil
  question.callback(answer)
end

--- End the waits that took too long, and look again while there are others.
local function look(self)
  local now, late = core.clock.monotonic_ms(), {}
  for id, question in pairs(self.waiting) do
    if now >= question.until_ms then late[#late + 1] = id end
  end
  self.looking = nil
  -- The end of one may be the end of another, and the beginning of a third.
  for _, id in ipairs(late) do
    if self.waiting[id] then settle(self, id, nil) end
  end
  if next(self.waiting) and not self.looking then
    self.looking = core.loop.timer(LOOK_MS, function() look(self) end)
  end
end

local SHOW_MS <const> = 1000
local names <const> = core.meter.names

--- Show in the meters whether there is an authority, and how many questions wait: now, and each
--- second.
function Link:show()
  local count = 0
  for _ in pairs(self.waiting) do count = count + 1 end
  core.meter.set(names.link, self.is_up and 1 or 0)
  core.meter.set(names.link_waiting, count)
  self.showing = core.loop.timer(SHOW_MS, function() self:show() end)
end

--- Nothing that waits for an answer gets one any more.
function Link:lose()
  self.channel, self.is_up, self.nonce_key = nil, false, nil
  for id in pairs(self.waiting) do settle(self, id, nil) end
end

local TYPES <const> = { answer = true, told = true, found = true, hello = true, event = true,
  document = true, checked = true, revoked = true, identity = true }

--- Have fn() called with the serial numbers of certificates that were revoked; with nil where any
--- may have been.
---@param fn fun(serials: string[]|nil)
function Link:on_revoked(fn)
  table.insert(self.revoked, fn)
end

local function tell_revoked(self, serials)
  for _, fn in ipairs(self.revoked) do fn(serials) end
end

-- By what the answer to a policy's question is waited for: no id of a request has a "/".
local function place_of(id, number)
  return id .. "/" .. number
end

function Link:on_message(packet, sealed)
  local received, problem, id = message.decode(packet, TYPES)
  if not received then
    core.log.write("error", "bad answer from the authority", { "message", problem })
    received = { type = "answer", id = id, status = 500, reason = "the request failed" }
    if not self.waiting[id or false] then return end
  end
  if received.type == "hello" then
    self.is_up, self.nonce_key = true, received.nonce_key
    if self.on_hello then self.on_hello(self.channel) end
    -- Nobody told of what was revoked while there was no authority.
    tell_revoked(self, nil)
  elseif received.type == "identity" then
    if self.on_identity then self.on_identity(received) end
  elseif received.type == "event" then
    if self.on_event then self.on_event(received, self.channel) end
  elseif received.type == "document" then
    -- Without its bytes, what could not be mapped: the log has it, and what was there before stays.
    if self.on_document and sealed then self.on_document(received, sealed) end
  elseif received.type == "revoked" then
    tell_revoked(self, not received.more and received.serials or nil)
  elseif received.type == "checked" then
    local place = place_of("check", received.number)
    if self.waiting[place] then settle(self, place, received) end
  elseif received.type == "told" then
    local place = place_of(received.id, received.number)
    if self.waiting[place] then settle(self, place, received) end
  elseif received.type == "found" then
    local place = place_of("seek", received.number)
    if self.waiting[place] then settle(self, place, received) end
  elseif self.waiting[received.id] then
    settle(self, received.id, received)
  elseif received.handle then
    self:give_up({ id = received.id, handle = received.handle, channel = self.channel },
      "nobody waits")
  end
end

--- Give up a request that the authority keeps for a verdict: its client has gone.
---@param request { id: string, handle: string, channel: any } channel as ask() gave it
---@param why string
function Link:give_up(request, why)
  self:tell(assert(message.encode { type = "finish", id = request.id, handle = request.handle,
    verdict = "error", detail = why }), request.channel)
end

--- Tell the authority something that it does not answer; nothing where it is another one by now.
---@param packet string of message.encode
---@param channel any as ask() gave it
function Link:tell(packet, channel)
  if self.channel and self.channel == channel then self.channel:send(packet) end
end

--- Send a question and wait for its answer: nil if the authority was lost meanwhile, or says
--- nothing.
local function question(self, id, packet, milliseconds)
  return task.await(function(callback)
    if not self.channel:send(packet) then return callback(nil) end
    self.waiting[id] = { callback = callback, until_ms = core.clock.monotonic_ms() + milliseconds }
    self.looking = self.looking or core.loop.timer(LOOK_MS, function() look(self) end)
    return { close = function() self.waiting[id] = nil end }
  end)
end

--- Ask the authority and wait. A lost authority leaves the outcome unknown: 503, and the client's
--- next try finds what was issued. While there is none, nobody waits for it.
---@param id string of the request
---@param packet string of message.encode
---@param began? any what ask() gave for the request's first question: another authority than that
--- one knows nothing of it
---@return table answer
---@return any began
function Link:ask(id, packet, began)
  local channel = self.channel
  local can = self.is_up and (not began or began == channel)
  local answer = can and question(self, id, packet, self.answer_ms)
  if not answer then refusal.raise(503, "the authority is not available", { retry_after = 5 }) end
  if answer.status then
    refusal.raise(answer.status, answer.reason, { retry_after = answer.retry_after,
      stale = answer.stale, verdict = answer.verdict, who = answer.who, device = answer.device })
  end
  return answer, channel
end

--- Ask, for a policy that decides about a request, and wait.
---@param request { id: string, handle: string, channel: any, questions?: integer } as give_up()
--- takes it; its questions are counted
---@param what { history?: string, rate?: table } as in the message `ask`
---@return table|nil told
---@return string|nil problem
function Link:inquire(request, what)
  if not self.is_up or self.channel ~= request.channel then
    return nil, "the authority is not available"
  end
  request.questions = (request.questions or 0) + 1
  local packet, problem = message.encode { type = "ask", id = request.id, handle = request.handle,
    number = request.questions, history = what.history, rate = what.rate }
  if not packet then return nil, problem end
  local told = question(self, place_of(request.id, request.questions), packet, self.told_ms)
  if not told then return nil, "the authority is not available" end
  if told.problem then return nil, told.problem end
  return told
end

--- Ask for the secret of whom a client names in its handshake, and wait.
---@param identity { kind: string, name: string, address: string }
---@return { key: string?, srp: table?, grant: string }|nil found
---@return string|nil problem
function Link:seek(identity)
  if not self.is_up then return nil, "the authority is not available" end
  self.sought = (self.sought or 0) + 1
  local packet, problem = message.encode { type = "seek", number = self.sought,
    kind = identity.kind, name = identity.name, address = identity.address }
  if not packet then return nil, problem end
  local found = question(self, place_of("seek", self.sought), packet, self.told_ms)
  if not found then return nil, "the authority is not available" end
  if found.problem then return nil, found.problem end
  return found
end

--- Have the authority answer an OCSP request, and wait.
---@param request string DER, at most core.ocsp.REQUEST_MAX bytes
---@param known? boolean only of a certificate that the ledger has
---@return { response: string, this_update: integer?, next_update: integer? }|nil said nil: there is
--- no authority, or it says nothing
function Link:check(request, known)
  if not self.is_up then return nil end
  self.checks = (self.checks or 0) + 1
  local packet = message.encode { type = "check", number = self.checks, request = request,
    known = known }
  return packet and question(self, place_of("check", self.checks), packet, self.told_ms)
end

--- Tell that the handshake has succeeded which a grant was given for.
---@param grant string
function Link:tell_proven(grant)
  if self.is_up then
    self.channel:send(assert(message.encode { type = "proven", grant = grant }))
  end
end

return M
