--- The messages of workers: each is read against the tables, and answered or noted. A worker is
--- believed nothing but what its channel says: which worker it is.
local channels = require "lest.server.authority.channels"
local clock = require "lest.server.authority.clock"
local cmc = require "lest.server.authority.cmc"
local core = require "lest.core"
local message = require "lest.server.wire.message"
local ocsp = require "lest.server.authority.ocsp"
local operations = require "lest.server.wire.operations"
local passphrases = require "lest.server.authority.passphrases"
local questions = require "lest.server.authority.questions"
local refusal = require "lest.server.wire.refusal"
local replies = require "lest.server.authority.replies"
local request_module = require "lest.server.authority.request"
local steps = require "lest.server.authority.steps"
local task = require "lest.task"

local M = {}

-- What is done with one, by its type.
local on = {}

function on.begin(authority, channel, begin)
  local label = authority.config.labels[begin.label]
  local ok, problem = pcall(function()
    if not label then refusal.raise(404, "there is no such label here") end
    if begin.cmc and not label.fullcmc then
      refusal.raise(404, "the operation 'fullcmc' is not offered here")
    end
    channels.check_id(channel, begin.id)
    authority.channels:enter(channel)
  end)
  if not ok then return replies.send(true, channel, begin.id, replies.of(begin.id, problem)) end
  local request = request_module.new(channel, begin, label, clock.monotonic_s())
  task.start({ quiet = true }, function()
    local step = request.operation.by_anybody and steps.identify or steps.begin
    local answer = begin.cmc and replies.of_cmc(request.id, cmc.begin, authority, request)
      or replies.to(authority, request, step)
    if not answer.handle then authority.channels:leave(channel) end
    replies.reply(authority, channel, request.id, answer)
  end)
end

-- A policy's question, answered at once: it promises nothing.
function on.ask(authority, channel, ask)
  local ok, told = pcall(function()
    local request = authority.channels:find(channel, ask, clock.monotonic_s())
    return questions.answer(authority, request, ask)
  end)
  if not ok then told = { problem = replies.of(ask.id, told).reason } end
  told.type, told.id, told.number = "told", ask.id, ask.number
  channel.socket:send(assert(message.encode(told)))
end

-- Whom a client names in a handshake, which waits.
function on.seek(authority, channel, seek)
  local ok, found = pcall(function()
    if not authority.identities then
      return { problem = "no address of `listen` takes identities" }
    end
    if authority.turn.hung then return { problem = "the ledger does not answer now" } end
    return authority.identities:find(channel, seek)
  end)
  if not ok then found = { problem = replies.of("handshake", found).reason } end
  found.type, found.number = "found", seek.number
  channel.socket:send(assert(message.encode(found)))
end

-- What anybody may ask of a certificate. An answer says what is in the ledger, and leaves once
-- that is on disk.
function on.check(authority, channel, check)
  local said = authority.ocsp:answer(channel, check)
  authority.turn:when_durable(function(durable)
    if channel.closed then return end
    if not durable then said = { response = ocsp.TRY_LATER } end
    channel.socket:send(assert(message.encode { type = "checked", number = check.number,
      response = said.response, this_update = said.this_update, next_update = said.next_update }))
  end)
end

function on.proven(authority, _, proven)
  if authority.identities then authority.identities:proven(proven.grant) end
end

function on.finish(authority, channel, finish)
  local ok, request = pcall(authority.channels.take, authority.channels, channel, finish,
    clock.monotonic_s())
  -- What says nothing of the ledger need not wait for it.
  if not ok then return replies.send(true, channel, finish.id, replies.of(finish.id, request)) end
  authority.shadows:expect(channel, request)
  local function answer()
    local answered = replies.to(authority, request, steps.finish, finish)
    if request.cmc then
      answered = replies.of_cmc(finish.id, request.cmc.went_on, request.cmc, answered)
    end
    replies.reply(authority, channel, finish.id, answered)
  end
  if not (request.operation.makes_key or passphrases.has(request)) then return answer() end
  task.start({ quiet = true }, function()
    answer()
    if request.made then request.made:close() end
  end)
end

function on.shadow(authority, channel, said)
  authority.shadows:note(channel, said)
end

function on.listens(authority, channel, listens)
  authority.outbox:listens(channel, listens)
end

function on.hello(authority, channel)
  authority.outbox:hello(channel)
end

function on.heard(authority, channel, heard)
  authority.outbox:heard(channel, heard)
end

local function is_of_operation(begin)
  local is_cmc = begin.operation == "fullcmc"
  local has_csr = not is_cmc and not operations[begin.operation].by_anybody
  return is_cmc == (begin.cmc ~= nil) and has_csr == (begin.csr ~= "")
end

local types <const> = {}
for name in pairs(on) do types[name] = true end

-- A message of a worker. One that is not well-formed ends its channel: a worker sends no such.
local function take(authority, channel, packet)
  if authority.is_stopping then return end
  local received, problem = message.decode(packet, types)
  if received and received.type == "begin" and not is_of_operation(received) then
    received, problem = nil, "a begin has a CSR, or in fullcmc a message of CMC"
  end
  if not received then
    core.log.write("warning", "bad message", { "worker_pid", channel.pid, "message", problem })
    authority.channels:drop(channel)
    return channel.socket:close()
  end
  on[received.type](authority, channel, received)
end

--- A new channel of a worker, or the backend's.
---@param authority lest.authority
---@param socket lest.channel
---@param worker integer
---@param pid integer
---@param role string
function M.on_channel(authority, socket, worker, pid, role)
  if role == "backend" then return authority.backend and authority.backend:take(socket) end
  local channel = authority.channels:accept(socket, worker, pid)
  socket:on_message(function(packet) take(authority, channel, packet) end)
  socket:on_close(function() authority.channels:drop(channel) end)
  -- To a worker, one that serves no more is none.
  if not authority.is_stopping then
    if authority.own then socket:send(authority.own:packet()) end
    -- Before `hello`, after which a worker takes connections.
    authority.documents:greet(channel)
    socket:send(assert(message.encode { type = "hello", nonce_key = authority.nonces.key }))
  end
end

return M
