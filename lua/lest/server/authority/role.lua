--- The authority: the CA's keys, the profiles, the credentials, the ledger. It has no network and
--- runs no script of the user's, and it believes no worker: it verifies the CSR, the secret, the
--- chain and the renewal by itself, and only then hands out a single-use principal handle.
---
--- Writes of one turn of the loop share a transaction, each in its own savepoint; answers leave
--- after the commit, so that nothing is answered that could be lost.
local cjson = require "cjson"
local core = require "lest.core"
local issuance = require "lest.server.authority.issuance"
local message = require "lest.server.wire.message"
local proofs = require "lest.server.authority.proofs"
local record = require "lest.server.authority.record"
local refusal = require "lest.server.wire.refusal"
local setup = require "lest.server.authority.setup"
local snapshot = require "lest.server.config.snapshot"
local start_failure = require "lest.server.config.start_failure"
local task = require "lest.task"

local M = {}

-- A worker needs one; a second one while its first has not been seen to end.
local CHANNELS_PER_PROCESS <const> = 4
local CHANNELS_MAX <const> = 1024
local SWEEP_MS <const> = 10000

---@class lest.authority
local Authority = {}
Authority.__index = Authority

local function now_s()
  return core.clock.wall_us() // 1000000
end

-- begin

--- Who asks, for a worker's log: as the ledger has it, but no longer than a line should be.
local function named(entry)
  return entry.ledger_name:sub(1, 1024)
end

--- What a proven principal asks for: its certificate again, or a handle for the policy's verdict.
function Authority:open(channel, entry)
  proofs.check_csr(self, entry.csr, entry.label)
  if entry.begin.operation == "simplereenroll" then
    proofs.check_renewal(self, entry)
  else
    proofs.check_enrollment(self, entry)
  end
  local again = record.lost_answer(self, entry)
  if again then
    again.who, again.verdict = named(entry), entry.verdict
    return again
  end
  if entry.credential and entry.credential.may == "fetch" then
    refusal.raise(401, "the credentials are not accepted")
  end
  entry.approvals = record.find_pending(self, entry)
  local principal, previous = entry.principal, nil
  if entry.previous then
    previous = {
      certificate = message.bytes(entry.previous:der()), facts = cjson.decode(entry.row.facts),
    }
  end
  local answer = {
    handle = core.secret.random(16), who = named(entry), auth = entry.proven,
    approvals = entry.approvals, previous = previous,
    principal = {
      kind = principal.kind, name = principal.name, anchors = principal.anchors,
      credential = principal.credential,
      certificate = principal.certificate and message.bytes(principal.certificate:der()),
    },
  }
  self.handles[answer.handle] = entry
  entry.channel = channel
  return answer
end

local function refuse_crowd()
  refusal.raise(503, "too many requests are under way", { retry_after = 5 })
end

--- A request is held, with its bytes, from its question to its verdict. A process may have as many
--- as a worker lets be under way, and all together as many as the workers.
function Authority:enter(pid)
  local most = snapshot.share(self.config.limits.requests, self.workers)
  local own = self.held[pid] or 0
  if own >= most or self.held_in_all >= most * self.workers then refuse_crowd() end
  self.held[pid], self.held_in_all = own + 1, self.held_in_all + 1
end

function Authority:leave(pid)
  local left = self.held[pid] - 1
  self.held[pid], self.held_in_all = left > 0 and left or nil, self.held_in_all - 1
end

--- Ids name rows of the ledger: a process has its own, with its number in them, and takes none away
--- from another, whose ids every client sees.
local function check_id(channel, id)
  if id:match "%-(%x+)%-%x+$" ~= ("%x"):format(channel.pid) then
    refusal.raise(400, "the id is another process's")
  end
end

--- Whoever is known leaves a row of the ledger at each request, and must not be able to fill it.
function Authority:count_request(entry)
  local principal = entry.principal.kind .. " " .. entry.ledger_name
  local wait = self.requests:wait(principal)
  if wait then
    refusal.raise(429, "too many requests", { retry_after = wait, who = named(entry) })
  end
  self.requests:count(principal)
end

--- What is asked, by whom. A refusal is recorded once it is known whom it concerns: strangers must
--- not be able to fill the ledger.
function Authority:prove(channel, begin, label)
  local csr, err = core.csr.parse(begin.csr)
  if not csr then refusal.raise(400, err.message) end
  local entry = proofs.authenticate(self, begin, label, csr)
  begin.basic, begin.chain = nil, nil -- proven, and not needed any more
  -- The channel may have ended while a password was hashed.
  if channel.closed then refuse_crowd() end
  self:count_request(entry)
  local ok, result = pcall(self.open, self, channel, entry)
  if ok then return result end
  if refusal.is(result) then
    self:write(function()
      record.request(self, entry, { reason = result.reason, detail = result.detail }, "reject", {})
    end)
    result.verdict = entry.verdict
    result.who = named(entry)
  end
  error(result, 0)
end

--- A question about an enrollment.
function Authority:begin(channel, begin)
  local label = self.config.labels[begin.label]
  if not label then refusal.raise(404, "there is no such label here") end
  check_id(channel, begin.id)
  self:enter(channel.pid)
  local ok, result = pcall(self.prove, self, channel, begin, label)
  if not ok or not result.handle then self:leave(channel.pid) end
  if not ok then error(result, 0) end
  return result
end

-- finish

--- A handle is good once.
function Authority:forget(handle)
  local entry = self.handles[handle]
  self.handles[handle] = nil
  self:leave(entry.channel.pid)
end

--- Handles whose request was given up.
function Authority:sweep()
  local oldest = self.clock() - self.handle_lifetime
  for handle, entry in pairs(self.handles) do
    if entry.started < oldest then self:forget(handle) end
  end
  self.sweeper = core.loop.timer(SWEEP_MS, function() self:sweep() end)
end

--- The verdict on an opened request, inside the turn's transaction: what follows from it is the
--- answer.
function Authority:finish(channel, finish)
  local entry = self.handles[finish.handle]
  if not entry or entry.channel ~= channel or entry.begin.id ~= finish.id then
    core.log.write("warning", "bad handle", { "id", finish.id, "pid", channel.pid })
    refusal.raise(503, "the request is not known any more", { retry_after = 5 })
  end
  self:forget(finish.handle)
  if self.clock() - entry.started > self.handle_lifetime then
    refusal.raise(503, "the decision came too late", { retry_after = 5 })
  end
  local answer = self:follow(entry, finish)
  answer.verdict = entry.verdict
  return answer
end

--- What follows from a verdict.
function Authority:follow(entry, finish)
  if finish.verdict == "approve" then return issuance.issue(self, entry, finish) end
  if finish.verdict == "pending" then return issuance.hold(self, entry, finish) end
  record.request(self, entry, finish, finish.verdict, {})
  if finish.verdict == "reject" then
    return { status = 403, reason = finish.reason or "the request is refused" }
  elseif finish.verdict == "unavailable" then
    return { status = 503, reason = finish.reason or "the request cannot be decided now",
      retry_after = finish.retry_after or entry.label.retry_after }
  end
  return { status = 500, reason = "the request " .. entry.begin.id .. " failed" }
end

-- Transactions and answers

--- Begin the turn's transaction. A ledger that is locked by somebody is waited for once a turn, not
--- once a message: the loop must go on turning.
function Authority:begin_writing()
  if self.writing then return end
  local begun, err = nil, self.locked
  if not err then begun, err = self.ledger:begin() end
  if not begun then
    self.locked = err
    error(err)
  end
  self.writing = true
end

--- Do the writes of one message inside the turn's transaction, so that its failure costs no other.
function Authority:write(step)
  self:begin_writing()
  assert(self.ledger:savepoint())
  local ok, result = pcall(step)
  if not ok then
    assert(self.ledger:rollback_to())
    assert(self.ledger:release())
    error(result, 0)
  end
  assert(self.ledger:release())
  return result
end

--- End of a turn: commit, then let the answers go. A commit that fails was answered by nobody.
function Authority:settle()
  self.locked = nil
  if not self.writing then return end
  self.writing = false
  local outbox = self.outbox
  self.outbox = {}
  local committed, err = self.ledger:commit()
  if not committed then
    core.log.write("error", "the ledger cannot be written", { "message", tostring(err) })
    self.ledger:rollback()
  end
  for _, mail in ipairs(outbox) do
    if not committed then
      mail.answer = { type = "answer", id = mail.answer.id, status = 503, retry_after = 5,
        reason = "the ledger cannot be written now" }
    end
    self:send(mail.channel, mail.answer)
  end
end

--- Nobody waits at a channel that has ended; one that does not read loses its answers.
function Authority:send(channel, answer) -- luacheck: ignore 212
  if channel.closed then return end
  local packet, problem = message.write(answer)
  if not packet then
    core.log.write("error", "answer cannot be sent", { "id", answer.id, "message", problem })
    packet = assert(message.write { type = "answer", id = answer.id, status = 500,
      reason = "the request " .. answer.id .. " failed" })
  end
  channel.socket:send(packet)
end

--- Answer a message; while a transaction is open, once it is committed: what was read in it may be
--- part of it.
function Authority:answer(channel, id, answer)
  answer.type, answer.id = "answer", id
  if self.writing then
    table.insert(self.outbox, { channel = channel, answer = answer })
  else
    self:send(channel, answer)
  end
end

local function failure_answer(id, problem)
  if refusal.is(problem) then
    if problem.detail then
      core.log.write("info", "refusal", { "id", id, "status", problem.status, "detail",
        problem.detail })
    end
    return { status = problem.status, reason = problem.reason, retry_after = problem.retry_after,
      verdict = problem.verdict, who = problem.who }
  end
  local err = core.error.is(problem) and problem
  core.log.write("error", "message failed", { "id", id, "message", tostring(problem) })
  if err and (err.code == "ledger" or err.code == "ledger_busy") then
    return { status = 503, reason = "the ledger cannot be written now", retry_after = 5 }
  end
  return { status = 500, reason = "the request " .. id .. " failed" }
end

local WORKER_TYPES <const> = { begin = true, finish = true }

--- A message of a worker. One that is not well-formed ends its channel: a worker sends no such.
function Authority:on_message(channel, packet)
  local received, problem = message.decode(packet, WORKER_TYPES)
  if not received then
    core.log.write("warning", "bad message", { "pid", channel.pid, "message", problem })
    self:drop(channel)
    return channel.socket:close()
  end
  local id = received.id
  if received.type == "begin" then
    task.start({ quiet = true }, function()
      local ok, result = pcall(self.begin, self, channel, received)
      self:answer(channel, id, ok and result or failure_answer(id, result))
    end)
  else
    local ok, result = pcall(self.write, self, function() return self:finish(channel, received) end)
    self:answer(channel, id, ok and result or failure_answer(id, result))
  end
end

--- A channel has ended, from whichever side: nobody will use its handles.
function Authority:drop(channel)
  channel.closed = true
  self.channels[channel] = nil
  for handle, entry in pairs(self.handles) do
    if entry.channel == channel then self:forget(handle) end
  end
end

--- Whether a process may have one more channel.
function Authority:has_room(pid)
  local all, own = 0, 0
  for channel in pairs(self.channels) do
    all = all + 1
    if channel.pid == pid then own = own + 1 end
  end
  return all < CHANNELS_MAX and own < CHANNELS_PER_PROCESS
end

--- A new channel: from a process of the workers' account or of its own.
function Authority:on_accept(socket)
  local peer = socket.peer
  local problem
  if peer.uid ~= self.worker_uid and peer.uid ~= core.process.uid then
    problem = "stranger refused"
  elseif not self:has_room(peer.pid) then
    problem = "too many channels"
  end
  if problem then
    core.log.write("warning", problem, { "uid", peer.uid, "pid", peer.pid })
    return socket:close()
  end
  local channel = { socket = socket, pid = peer.pid }
  self.channels[channel] = true
  socket:on_message(function(packet) self:on_message(channel, packet) end)
  socket:on_close(function() self:drop(channel) end)
end

-- Start

---@param context table what the host gives a role
---@return integer exit_code
function M.main(context)
  local config = snapshot.from_json(context.config, context.files)
  core.log.set_level(config.log_level)
  local authority = setmetatable({
    config = config, issuers = {}, issuers_by_key = {}, anchors = {}, handles = {}, outbox = {},
    channels = {}, issued = {}, handle_lifetime = config.limits.decision + 60,
    held = {}, held_in_all = 0, workers = context.workers, worker_uid = context.peer_uid,
    clock = now_s,
  }, Authority)
  local ok, err = setup.issuers(authority)
  if ok then ok, err = setup.anchors(authority) end
  config.files = nil
  local there = true
  if ok and context.user then
    there, err = setup.folder(authority, context)
    ok = there ~= nil
    if ok then ok, err = core.process.drop(context.user) end
  end
  if ok then ok, err = core.process.harden() end
  if ok and not context.check then ok, err = setup.ledger(authority) end
  if ok and context.check and there then ok, err = setup.check_ledger(authority) end
  if not ok then return start_failure.report(context, err) end
  if context.check then return 0 end
  return authority:serve(context)
end

--- Turn the loop until SIGTERM.
function Authority:serve(context)
  local stopping = false
  local listener <close>, err = core.channel.listen { -- luacheck: ignore 211
    fd = context.authority_fd, on_accept = function(socket) self:on_accept(socket) end,
  }
  if err then
    core.log.write("error", "cannot listen", { "message", tostring(err) })
    return 1
  end
  local terminate <close> = core.loop.signal(15, function() stopping = true end)
  core.loop.on_turn_end(function() self:settle() end)
  self:sweep()
  core.process.ready()
  while not stopping do core.loop.turn() end
  self:settle()
  self.ledger:close()
  return terminate and 0
end

return M
