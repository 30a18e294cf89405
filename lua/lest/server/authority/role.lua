--- The authority: the CA's keys, the profiles, the credentials, the ledger. It has no network and
--- runs no script of the user's, and it believes no worker: it verifies the CSR, the secret, the
--- chain and the renewal by itself, and only then hands out a single-use handle.
---
--- A request comes in two messages: begin (who asks for what) is answered with a handle and the
--- facts that a policy sees, finish (the policy's verdict) with what follows from it. Between them
--- a policy may ask what else is known of the request (ask).
local admission = require "lest.server.authority.admission"
local backend = require "lest.server.authority.backend"
local challenges = require "lest.server.wire.challenges"
local backends = require "lest.server.config.backends"
local channels = require "lest.server.authority.channels"
local clock = require "lest.server.authority.clock"
local cmc = require "lest.server.authority.cmc"
local confirmations = require "lest.server.authority.cmc.confirmations"
local core = require "lest.core"
local crls = require "lest.server.authority.crls"
local documents = require "lest.server.authority.documents"
local early = require "lest.server.authority.early"
local issuance = require "lest.server.authority.issuance"
local json = require "lest.json"
local key_source = require "lest.server.authority.key_source"
local keygen = require "lest.server.authority.keygen"
local kinds = require "lest.server.wire.kinds"
local limits = require "lest.server.config.limits"
local lines = require "lest.server.wire.lines"
local linking = require "lest.server.authority.linking"
local lost = require "lest.server.authority.lost"
local message = require "lest.server.wire.message"
local meters = require "lest.server.authority.meters"
local nonces = require "lest.server.authority.nonces"
local operations = require "lest.server.wire.operations"
local ocsp = require "lest.server.authority.ocsp"
local outbox = require "lest.server.authority.outbox"
local passphrases = require "lest.server.authority.passphrases"
local proofs = require "lest.server.authority.proofs"
local questions = require "lest.server.authority.questions"
local rates = require "lest.server.authority.rates"
local record = require "lest.server.authority.record"
local refusal = require "lest.server.wire.refusal"
local request_module = require "lest.server.authority.request"
local revocations = require "lest.server.authority.revocations"
local server_certificate = require "lest.server.authority.server_certificate"
local setup = require "lest.server.authority.setup"
local successions = require "lest.server.authority.successions"
local shadows = require "lest.server.authority.shadows"
local snapshot = require "lest.server.config.snapshot"
local start_failure = require "lest.server.config.start_failure"
local task = require "lest.task"
local turn = require "lest.server.authority.turn"
local wiping = require "lest.server.wire.wiping"

local M = {}

local SWEEP_MS <const> = 10000
-- A policy's time, and what the messages take besides.
local HANDLE_MARGIN_S <const> = 60

---@class lest.authority
---@field config table
---@field issuers table<string, table> by the name in cas; "" is `ca`. Each signs, and has in
--- `siblings` the other generations of a CA whose key changes: the next one, or the one before,
--- with `issuer` and `key` where the key is here
---@field issuers_by_id table<string, table> by what the ledger calls them, siblings too
---@field cmc { cert: lest.cert, key: lest.key }? who signs the answers of fullcmc
---@field anchors table<string, { store: lest.store, vouched: table }> by name
---@field jwks? table<string, lest.authority.jwks> by file, where a label takes JSON Web Tokens
---@field key_sources table<string, lest.authority.key_source> by label, where their keys are at an
--- address
---@field backend? lest.authority.backend where a CA or an issuer's keys are elsewhere
---@field ledger lest.ledger
---@field credentials lest.credentials
---@field lanes lest.lanes of scrypt
---@field failures table<string, lest.limiter> of secrets: network, name_there, name,
--- kind_there
---@field requests lest.limiter by device
---@field issued table<string, lest.limiter> by profile
---@field nonces lest.authority.nonces of Digest
---@field keygen? lest.authority.keygen where a profile has server_keys
---@field rates lest.authority.rates of policies
---@field channels lest.authority.channels
---@field documents lest.authority.documents
---@field crls lest.authority.crls
---@field turn lest.authority.turn
---@field early lest.authority.early
---@field shadows lest.authority.shadows
---@field outbox lest.authority.outbox
---@field ocsp lest.authority.ocsp
---@field revocations lest.authority.revocations
---@field orders? lest.authority.orders where a CA is elsewhere
---@field doubts lest.authority.doubts
---@field own? lest.authority.server_certificate where the server's certificate renews itself
---@field identities? lest.authority.identities where clients name themselves in handshakes
---@field clock fun(): integer seconds since 1970
local Authority = {}
Authority.__index = Authority

-- begin

--- What a worker gets to ask its policy about.
local function facts_of(request)
  local principal, previous = request.principal, request.previous
  return {
    who = request:who(), device = request:about(), auth = request.proven,
    reg_info = request.cmc and request.cmc.reg_info,
    approvals = request.approvals, channel_bound = request.begin.tls.channel_bound,
    previous = previous and {
      certificate = previous:der(), facts = json.decode(request.own.facts),
      expired_for = request.expired_for,
    },
    principal = {
      kind = principal.kind, name = principal.name, anchors = principal.anchors,
      is_own = principal.certificate ~= nil and request.own ~= nil,
      credential = principal.credential,
      certificate = principal.certificate and principal.certificate:der(),
    },
  }
end

--- What a known principal asks for: its certificate again, or a handle for the policy's verdict.
function Authority:open(request)
  admission.check(self, request)
  local again = record.lost_answer(self, request)
  if again then
    again.who, again.device, again.verdict = request:who(), request:about(), request.verdict
    return again
  end
  for _, credential in ipairs(request.credentials) do
    if credential.may == "fetch" then refusal.raise(401, "the credentials are not accepted") end
  end
  local order = self.orders and self.orders:find(request)
  if order then
    return { order = order, who = request:who(), device = request:about(),
      verdict = request.verdict }
  end
  request.approvals = record.find_pending(self, request)
  local answer = facts_of(request)
  answer.handle = self.channels:keep(request)
  return answer
end

--- Whoever is known leaves a row of the ledger at each request, and must not be able to fill it.
function Authority:count_request(request)
  local wait = self.requests:take(request.device)
  if wait then refusal.raise(429, "too many requests", { retry_after = wait }) end
end

--- The question about an enrollment, which has taken its place.
function Authority:begin(request)
  local begin = request.begin
  request:read_csr()
  linking.read(request)
  proofs.authenticate(self, request)
  request.is_proven = true
  begin.csr = challenges.masked(request.csr, request.label) or begin.csr
  for _, kind in ipairs(kinds.list) do begin[kind.name] = nil end -- not needed any more
  -- The channel may have ended while a password was hashed. No policy was asked: nothing to record.
  if request.channel.closed then channels.refuse_crowd() end
  self:count_request(request)
  request.is_known = true
  return self:open(request)
end

--- The question who asks for what anybody may ask for. It leaves no row of the ledger.
function Authority:identify(request)
  request.is_proven = proofs.identify(self, request)
  if not request.is_proven then return {} end
  self:count_request(request)
  return facts_of(request)
end

-- finish

--- What follows from a verdict.
function Authority:follow(request, finish)
  local verdict = finish.verdict
  if verdict == "approve" then return issuance.issue(self, request, finish) end
  if verdict == "pending" then return issuance.hold(self, request, finish) end
  record.request(self, request, finish, verdict, {})
  if verdict == "reject" then
    return { status = 403, reason = finish.reason or "the request is refused" }
  elseif verdict == "unavailable" then
    return { status = 503, reason = finish.reason or "the request cannot be decided now",
      retry_after = finish.retry_after or request.label.retry_after }
  end
  return { status = 500, reason = "the request " .. request.id .. " failed" }
end

--- The verdict on a kept request.
function Authority:finish(request, finish)
  if request.operation.makes_key and finish.verdict == "approve" then
    self.keygen:make(request, finish)
    -- The channel may have ended meanwhile: nobody would get the key.
    if request.channel.closed then refusal.raise(503, "the worker ended while the key was made") end
  end
  if finish.verdict == "approve" and passphrases.has(request) then
    passphrases.hash(self, request)
  end
  local answer = self.turn:unit(self.follow, self, request, finish)
  answer.device, answer.verdict = request:about(), request.verdict
  return answer
end

-- Messages

local LEDGER_CODES <const> = { ledger = true, ledger_busy = true, ledger_lost = true }

local function is_of_ledger(problem)
  return core.error.is(problem) and LEDGER_CODES[problem.code]
end

local refusals <const>, failures <const> = lines.new "refusal", lines.new "message failed"

--- The answer that an error stands for.
local function answer_of(id, problem)
  if refusal.is_of_memory(problem) then problem = refusal.out_of_memory() end
  if refusal.is(problem) then
    if problem.detail then
      refusals:write("info",
        { "id", id, "status", problem.status, "detail", lines.short(problem.detail) })
    end
    return { status = problem.status, reason = problem.reason,
      retry_after = problem.retry_after, stale = problem.stale }
  end
  failures:write("error", { "id", id, "message", tostring(problem) })
  if is_of_ledger(problem) then
    return { status = 503, reason = "the ledger cannot be written now", retry_after = 5 }
  end
  return { status = 500, reason = "the request " .. id .. " failed" }
end

--- What went wrong, for operators alone: of a refusal what its reason does not say.
local function detail_of(problem)
  if refusal.is(problem) then return problem.detail end
  return tostring(problem)
end

local DETAIL_MAX <const> = 8000

--- Record a request that ends otherwise than by its verdict: a refusal, or an error. What is wrong
--- with the ledger is no row of it.
---@return boolean recorded
---@return any problem why not
function Authority:record_end(request, problem, finish)
  if is_of_ledger(problem) then return false, problem end
  local verdict = refusal.is(problem) and "reject" or "error"
  local extra = refusal.is(problem) and { reason = problem.reason, detail = problem.detail }
    or { detail = tostring(problem):sub(1, DETAIL_MAX) }
  return pcall(self.turn.unit, self.turn, record.request, self, request, finish or {}, verdict,
    extra)
end

--- A request that was kept for a verdict gets none.
function Authority:on_lost(request, why)
  core.log.write("error", "no verdict", { "id", request.id, "message", why })
  local recorded, problem = self:record_end(request, why,
    { reason = why, policy_file = request.label.policy })
  if recorded then return end
  core.log.write("error", "request not recorded",
    { "id", request.id, "message", tostring(problem) })
end

--- The answer to a message of a request: what step(self, request, finish) returns, or what its
--- error means.
function Authority:answer_to(request, step, finish)
  local ok, result = pcall(step, self, request, finish)
  if ok then return result end
  request.refused = result
  -- Strangers must not be able to fill the ledger: it is known whom this concerns.
  if request.is_known then
    local recorded, why = self:record_end(request, result, finish)
    if not recorded then result = why end
  end
  local answer = answer_of(request.id, result)
  if not request.is_known then self.early:note(request, answer, detail_of(result)) end
  if request.is_proven then answer.who, answer.device = request:who(), request:about() end
  answer.verdict = request.verdict
  return answer
end

--- What a message of CMC comes to: step(...), or what its error means.
local function cmc_answer(id, step, ...)
  local ok, answer = pcall(step, ...)
  return ok and answer or answer_of(id, answer)
end

--- Nobody waits at a channel that has ended; one that does not read loses its answers.
local function send(durable, channel, id, answer)
  if channel.closed then return end
  if not durable then
    answer = { status = 503, reason = "the ledger cannot be written now", retry_after = 5 }
  end
  answer.type, answer.id = "answer", id
  local packet, problem = message.encode(answer)
  if not packet then
    core.log.write("error", "answer cannot be sent", { "id", id, "message", problem })
    packet = assert(message.encode { type = "answer", id = id, status = 500,
      reason = "the request " .. id .. " failed" })
  end
  channel.socket:send(packet)
  -- Not before: it was held until the ledger had it.
  if answer.key then wiping.soon() end
end

--- A handle promises nothing yet and leaves at once. All else may come from what is not durable; a
--- certificate that was issued before may even be another authority's, of just now.
function Authority:reply(channel, id, answer)
  if answer.handle then return send(true, channel, id, answer) end
  if answer.order then
    return self.orders:answer(answer.order, function(final)
      final.who, final.device, final.verdict = answer.who, answer.device, answer.verdict
      self:reply(channel, id, final)
    end)
  end
  local is_issued = answer.certificate or answer.cmc
  local wait = is_issued and self.turn.when_synced or self.turn.when_durable
  wait(self.turn, send, channel, id, answer)
end

--- A message of a worker. One that is not well-formed ends its channel: a worker sends no such.
local WORKER_TYPES <const> = { begin = true, ask = true, finish = true, shadow = true,
  hello = true, listens = true, heard = true, seek = true, proven = true, check = true }

local function is_of_operation(begin)
  local is_cmc = begin.operation == "fullcmc"
  local has_csr = not is_cmc and not operations[begin.operation].by_anybody
  return is_cmc == (begin.cmc ~= nil) and has_csr == (begin.csr ~= "")
end

function Authority:on_message(channel, packet)
  if self.is_stopping then return end
  local received, problem = message.decode(packet, WORKER_TYPES)
  if received and received.type == "begin" and not is_of_operation(received) then
    received, problem = nil, "a begin has a CSR, or in fullcmc a message of CMC"
  end
  if not received then
    core.log.write("warning", "bad message", { "worker_pid", channel.pid, "message", problem })
    self.channels:drop(channel)
    return channel.socket:close()
  end
  self["on_" .. received.type](self, channel, received)
end

function Authority:on_begin(channel, begin)
  local label = self.config.labels[begin.label]
  local ok, problem = pcall(function()
    if not label then refusal.raise(404, "there is no such label here") end
    if begin.cmc and not label.fullcmc then
      refusal.raise(404, "the operation 'fullcmc' is not offered here")
    end
    channels.check_id(channel, begin.id)
    self.channels:enter(channel)
  end)
  if not ok then return send(true, channel, begin.id, answer_of(begin.id, problem)) end
  local request = request_module.new(channel, begin, label, clock.monotonic_s())
  task.start({ quiet = true }, function()
    local step = request.operation.by_anybody and self.identify or self.begin
    local answer = begin.cmc and cmc_answer(request.id, cmc.begin, self, request)
      or self:answer_to(request, step)
    if not answer.handle then self.channels:leave(channel) end
    self:reply(channel, request.id, answer)
  end)
end

--- A policy's question, answered at once: it promises nothing.
function Authority:on_ask(channel, ask)
  local ok, told = pcall(function()
    return questions.answer(self, self.channels:find(channel, ask, clock.monotonic_s()), ask)
  end)
  if not ok then told = { problem = answer_of(ask.id, told).reason } end
  told.type, told.id, told.number = "told", ask.id, ask.number
  channel.socket:send(assert(message.encode(told)))
end

--- Whom a client names in a handshake, which waits.
function Authority:on_seek(channel, seek)
  local ok, found = pcall(function()
    if not self.identities then return { problem = "no address of `listen` takes identities" } end
    if self.turn.hung then return { problem = "the ledger does not answer now" } end
    return self.identities:find(channel, seek)
  end)
  if not ok then found = { problem = answer_of("handshake", found).reason } end
  found.type, found.number = "found", seek.number
  channel.socket:send(assert(message.encode(found)))
end

--- What anybody may ask of a certificate. An answer says what is in the ledger, and leaves once
--- that is on disk.
function Authority:on_check(channel, check)
  local said = self.ocsp:answer(channel, check)
  self.turn:when_durable(function(durable)
    if channel.closed then return end
    if not durable then said = { response = ocsp.TRY_LATER } end
    channel.socket:send(assert(message.encode { type = "checked", number = check.number,
      response = said.response, this_update = said.this_update, next_update = said.next_update }))
  end)
end

--- Tell all workers what was revoked.
function Authority:tell_revoked(rows, more)
  local serials = {}
  for i, row in ipairs(rows) do serials[i] = row.serial end
  self.channels:send_to_all(assert(message.encode { type = "revoked", serials = serials,
    more = more or nil }))
end

function Authority:on_proven(_, proven)
  if self.identities then self.identities:proven(proven.grant) end
end

function Authority:on_finish(channel, finish)
  local ok, request = pcall(self.channels.take, self.channels, channel, finish,
    clock.monotonic_s())
  -- What says nothing of the ledger need not wait for it.
  if not ok then return send(true, channel, finish.id, answer_of(finish.id, request)) end
  self.shadows:expect(channel, request)
  local function answer()
    local answered = self:answer_to(request, self.finish, finish)
    if request.cmc then
      answered = cmc_answer(finish.id, request.cmc.went_on, request.cmc, answered)
    end
    self:reply(channel, finish.id, answered)
  end
  if not (request.operation.makes_key or passphrases.has(request)) then return answer() end
  task.start({ quiet = true }, function()
    answer()
    if request.made then request.made:close() end
  end)
end

function Authority:on_shadow(channel, said)
  self.shadows:note(channel, said)
end

function Authority:on_listens(channel, listens)
  self.outbox:listens(channel, listens)
end

function Authority:on_hello(channel)
  self.outbox:hello(channel)
end

function Authority:on_heard(channel, heard)
  self.outbox:heard(channel, heard)
end

function Authority:on_channel(socket, worker, pid, role)
  if role == "backend" then return self.backend and self.backend:take(socket) end
  local channel = self.channels:accept(socket, worker, pid)
  socket:on_message(function(packet) self:on_message(channel, packet) end)
  socket:on_close(function() self.channels:drop(channel) end)
  -- To a worker, one that serves no more is none.
  if not self.is_stopping then
    if self.own then socket:send(self.own:packet()) end
    socket:send(assert(message.encode { type = "hello", nonce_key = self.nonces.key }))
    self.documents:greet(channel)
  end
end

--- Have the server's own certificate, and give each worker the next one.
---@return boolean|nil ok
---@return lest.error|nil err
function Authority:start_own()
  local own = server_certificate.new(self)
  local ok, err = own:start()
  if not ok then return nil, err end
  self.own = own
  own.on_change = function() self.channels:send_to_all(own:packet()) end
  return true
end

-- Start

---@param launch table what the host gives a role
---@return integer exit_code
function M.main(launch)
  local config = snapshot.from_json(launch.config, launch.files)
  core.log.set_level(config.log_level)
  local authority = setmetatable({
    config = config, issuers = {}, issuers_by_id = {}, anchors = {},
    issued = {}, key_sources = {}, clock = clock.wall_s,
  }, Authority)
  local ok, err = setup.before_drop(authority, launch)
  if ok and launch.user then ok, err = core.process.drop(launch.user) end
  if ok then ok, err = core.process.harden() end
  if ok and not launch.check then ok, err = setup.ledger(authority) end
  if ok and launch.check then ok, err = setup.check_ledger(authority) end
  if not ok then return start_failure.report(launch, err) end
  if launch.check then return 0 end
  return authority:serve(launch)
end

--- Look for verdicts that do not come, at the clock, the ledger and the calendar, now and then.
function Authority:sweep()
  if self.is_stopping then return end
  self.channels:sweep(clock.monotonic_s())
  self.watch_clock()
  self.turn:check()
  confirmations.sweep(self)
  successions.sweep(self)
  meters.measure(self)
  self.sweeper = core.loop.timer(clock.every_ms(SWEEP_MS), function() self:sweep() end)
  self.doubts:tell_daily(self.ledger)
end

-- How long a verdict is waited for: an operator at the console may take a policy's time and the
-- whole of the answer's.
local function handle_lifetime(config)
  local decision, answer = config.limits.decision, config.limits.answer
  return (config.control and math.max(decision, answer) or decision) + HANDLE_MARGIN_S
end

--- Turn the loop until SIGTERM.
function Authority:serve(launch)
  local config = self.config
  self.turn = turn.new(self.ledger)
  self.early, self.shadows = early.new(self.turn), shadows.new(self.turn)
  self.outbox = outbox.new(self.turn, config, self.clock, launch.workers)
  self.nonces = nonces.new { now_s = clock.monotonic_s }
  if wiping.is_needed(config) then wiping.start() end
  if wiping.makes_keys(config) then self.keygen = keygen.new(self) end
  self.rates = rates.new { now_ms = core.clock.monotonic_ms }
  self.turn.before_commit = function()
    self.early:flush()
    self.shadows:flush()
  end
  if snapshot.has_backend(config) then
    self.backend = backend.new()
    self.key_sources = key_source.open(config, self.backend)
  end
  if backends.any(config) then
    self.orders = require("lest.server.authority.orders").new(self)
    self.orders:start()
  end
  self.channels = channels.new {
    share = limits.share(config.limits.requests, launch.workers),
    lifetime = handle_lifetime(config),
    on_lost = function(request, why) self:on_lost(request, why) end,
    on_end = function(channel) self.outbox:lost(channel) end,
  }
  self.documents = documents.new(self.channels)
  self.documents:publish_cas(self.issuers, self.issuers_by_id)
  self.crls = crls.new(self)
  for _, each in ipairs(config.listen) do
    if each.psk or each.srp then
      self.identities = require("lest.server.authority.identities").new(self)
    end
  end
  local stopping = false
  core.process.on_channel(function(...) self:on_channel(...) end)
  local terminate <close> = core.loop.signal(15, function() stopping = true end)
  core.loop.on_turn_end(function() self.turn:settle() end)
  self.ocsp, self.revocations = ocsp.new(self, launch.workers), revocations.new(self)
  self.revocations:on_revoked(function(rows, more)
    local is_over = self.ocsp:forget(rows, more)
    self:tell_revoked(rows, more or is_over)
  end)
  self.revocations:start()
  self.watch_clock = clock.watcher()
  self:sweep()
  self.outbox:start()
  meters.start(self)
  -- What a worker of this generation is asked for, it is to have.
  self.crls:start(function() return stopping or self.turn.failed end)
  if config.tls and config.tls.auto then
    local ok, err = self:start_own()
    if not ok then return start_failure.report(launch, err) end
  end
  core.process.ready()
  while not (stopping or self.turn.failed) do core.loop.turn() end
  self.is_stopping = true
  if self.orders then self.orders:stop() end
  self.outbox:stop()
  self.revocations:stop()
  self.crls:stop()
  if self.own then self.own:stop() end
  if not self.turn.failed then self.channels:close() end
  self.early:flush()
  self.shadows:flush()
  self.turn:finish()
  self.ledger:close()
  if self.turn.lost then
    self.channels:hang_up()
    lost.wait(self.turn.lost, function() return stopping end)
  end
  return terminate and (self.turn.failed and 1 or 0)
end

return M
