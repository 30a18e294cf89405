--- The worker: TLS, HTTP, EST and the policy. It holds no key of the CA and is believed by nobody.
---
--- A request goes: route, media type, body, CSR (parsed only), `begin` to the authority (which
--- checks the proofs and the CSR's signature), the policy, `finish` to the authority, the answer.
local answers = require "lest.server.worker.answer"
local core = require "lest.core"
local decision = require "lest.server.worker.decision"
local link = require "lest.server.worker.link"
local message = require "lest.server.wire.message"
local refusal = require "lest.server.wire.refusal"
local request_module = require "lest.server.worker.view"
local setup = require "lest.server.worker.setup"
local snapshot = require "lest.server.config.snapshot"
local start_failure = require "lest.server.config.start_failure"
local task = require "lest.task"

local M = {}

-- Headers that a policy may look at and the ledger keeps; the rest could hold secrets.
local SHOWN_HEADERS <const> = { "user-agent", "host", "accept", "content-type" }
local HEADER_MAX <const> = 1000

-- Of a name that nobody has proven, in the log.
local CLAIMED_MAX <const> = 64

-- What a policy may ask for, at any time; lest may be where `user` cannot read, as below /root.
local POLICY_MODULES <const> = { "lest", "lest.client", "lest.duration", "lest.http", "lest.json",
  "lest.log", "lest.policy", "lest.task", "lest.url" }

---@class lest.worker
local Worker = {}
Worker.__index = Worker

-- Operations

local HOOKS <const> = { simpleenroll = "enroll", simplereenroll = "reenroll" }

local function principal_of(answer)
  local principal = answer.principal
  if principal.certificate then
    principal.certificate = assert(core.cert.parse(principal.certificate))
  end
  return principal
end

local function policy_request(exchange, context, answer)
  local previous = answer.previous
  if previous then previous.certificate = assert(core.cert.parse(previous.certificate)) end
  return request_module.new {
    id = context.id, time = core.clock.wall_us() // 1000000, operation = context.operation,
    label = context.label.name, csr = context.csr, principal = principal_of(answer),
    auth = answer.auth, tls = context.tls, address = exchange.address, headers = context.headers,
    previous = previous, approvals = answer.approvals,
  }
end

--- Printable and short, so that the ledger takes them whatever a client sends.
local function shown_headers(exchange)
  local headers = {}
  for _, name in ipairs(SHOWN_HEADERS) do
    local value = exchange:header(name)
    headers[name] = value and value:sub(1, HEADER_MAX):gsub("[^\x20-\x7e]", "?") or nil
  end
  return headers
end

--- simpleenroll and simplereenroll.
function Worker:enroll(exchange, context)
  local label = context.label
  local der, body_err = core.est.body_decode(exchange.body or "")
  if not der then refusal.raise(400, body_err.message) end
  local csr, csr_err = core.csr.parse(der)
  if not csr then refusal.raise(400, csr_err.message) end
  context.csr = csr
  context.headers = shown_headers(exchange)
  local packet, problem = message.encode {
    type = "begin", id = context.id, operation = context.operation, label = label.name,
    address = exchange.address, tls = context.tls, csr = message.bytes(der),
    headers = context.headers, basic = context.basic, chain = context.chain,
  }
  if not packet then
    core.log.write("warning", "request too large", { "id", context.id, "message", problem })
    refusal.raise(413, "the request is larger than is taken here")
  end
  local answer, began = self.authority:ask(context.id, packet)
  context.who = answer.who
  if not answer.certificate then answer = self:judge(exchange, context, answer, began) end
  context.verdict, context.serial = answer.verdict, answer.serial
  context.replayed = answer.replayed or false
  local bag = core.pkcs7.encode { answer.certificate }
  answers.base64(exchange, context, answers.PKCS7, core.est.body_encode(bag, label.options.wrap))
end

--- The `finish` message of a verdict, and its packet. One that the authority would not take is an
--- error of the policy, and of this request alone.
local function finish_of(fields, context, handle, duration_us)
  local policy = context.label.policy
  local function whole(finish)
    finish.type, finish.id, finish.handle = "finish", context.id, handle
    finish.policy_file, finish.policy_hash = policy.file, policy.hash
    finish.duration_us = duration_us
    return finish, message.encode(finish)
  end
  local finish, packet, problem = whole(fields)
  if packet then return finish, packet end
  return whole { verdict = "error", detail = "the verdict is not taken: " .. problem }
end

--- Ask the policy about a request whose principal is proven, and the authority for what follows.
function Worker:judge(exchange, context, answer, began)
  local policy = context.label.policy
  local started_us = core.clock.monotonic_us()
  context.handle, context.began = answer.handle, began
  local hook = policy.hooks[HOOKS[context.operation]]
  local ok, request = pcall(policy_request, exchange, context, answer)
  local verdict = ok and decision.run(hook, request, self:decision_limits(context))
    or { verdict = "error", detail = tostring(request) }
  local finish, packet = finish_of(decision.fields(verdict), context, answer.handle,
    core.clock.monotonic_us() - started_us)
  if finish.verdict == "error" then
    core.log.write("error", "policy failed",
      { "id", context.id, "policy", policy.file, "message", finish.detail })
  end
  context.committed = true
  return (self.authority:ask(context.id, packet, began))
end

--- The CSR attributes that the policy's hook gives for this request, or the label's own.
function Worker:wished_attributes(exchange, context)
  local label = context.label
  local hook = label.policy.hooks.csrattrs
  if not hook then return label.csrattrs end
  local request = request_module.new {
    id = context.id, time = core.clock.wall_us() // 1000000, operation = "csrattrs",
    label = label.name, tls = context.tls, address = exchange.address,
  }
  local ok, wishes = decision.call(hook, request, self:decision_limits(context))
  if ok and wishes == nil then return label.csrattrs end
  local der, err
  if ok then ok, der, err = pcall(core.csrattrs.encode, wishes) end
  if not ok or not der then
    core.log.write("error", "policy failed", { "id", context.id, "policy", label.policy.file,
      "message", tostring(err or der or wishes) })
    refusal.raise(500, "the request " .. context.id .. " failed")
  end
  return der
end

--- csrattrs: 204 where there is nothing to wish for (RFC 7030 4.5.2).
function Worker:csrattrs(exchange, context)
  local der = self:wished_attributes(exchange, context)
  if not der or der == "\x30\x00" then return answers.plain(exchange, context, 204, {}) end
  answers.base64(exchange, context, "application/csrattrs",
    core.est.body_encode(der, context.label.options.wrap))
end

local OPERATIONS <const> = {
  cacerts = function(_, exchange, context)
    answers.base64(exchange, context, answers.PKCS7, context.label.cacerts_body)
  end,
  csrattrs = Worker.csrattrs,
  simpleenroll = Worker.enroll,
  simplereenroll = Worker.enroll,
}

--- Collect what the client offers as proof; the authority judges it.
local function check_proofs(exchange, context)
  local accepts = context.label.accepts
  -- Where passwords are not taken, what a client says unasked is nobody's business.
  local authorization = accepts.basic and exchange:header "authorization"
  if authorization then
    local username, password = core.http.basic(authorization)
    context.claimed = username and username:sub(1, CLAIMED_MAX)
    if not username then
      refusal.raise(401, "the Authorization header is not Basic with a user and a password")
    elseif #username > message.SECRET_MAX or #password > message.SECRET_MAX then
      refusal.raise(401, "the credentials are not accepted")
    end
    context.basic = { username = message.bytes(username), password = message.bytes(password) }
  end
  if exchange.peer_chain then
    context.chain = {}
    for i, der in ipairs(exchange.peer_chain) do
      if #der > message.CERTIFICATE_MAX then
        refusal.raise(403, "a certificate of the client's chain is too large")
      end
      if i <= message.CHAIN_MAX then context.chain[i] = message.bytes(der) end
    end
  end
  if context.basic or context.chain then return end
  if context.operation == "simplereenroll" or not accepts.basic then
    refusal.raise(403, "a TLS client certificate is required")
  end
  refusal.raise(401, "credentials are required")
end

--- What can be judged from the request's head: path, method, media type, whether there are
--- credentials.
function Worker:check_head(exchange, context)
  local route, status, sentence = core.est.route(exchange.path)
  if not route then refusal.raise(status, sentence) end
  context.operation = route.operation
  local label = self.labels[route.label or "default"]
  if not label then refusal.raise(404, "there is no such label here") end
  context.label = label
  if not OPERATIONS[route.operation] then
    refusal.raise(404, ("the operation '%s' is not offered here"):format(route.operation))
  end
  local good, detail
  good, status, detail = core.est.method_check(route.operation, exchange.method)
  if not good then
    refusal.raise(status, "the method is not allowed here", { allow = detail })
  end
  if exchange.method ~= "POST" then return end
  check_proofs(exchange, context)
  good, status, sentence = core.est.request_media_check(route.operation,
    exchange:header "content-type", exchange:header "content-encoding")
  if not good then refusal.raise(status, sentence) end
end

-- Requests

--- What is known of a request besides its exchange.
local function new_context(exchange)
  local tls = exchange.tls
  return {
    id = exchange.id, started_us = core.clock.monotonic_us(),
    tls = { version = tls.version, cipher = tls.cipher, channel_bound = false },
  }
end

--- One line for every request; "status" is what the client was sent, 0 for nothing.
local function log_request(exchange, context)
  local label = context.label
  local cut = context.cut
  local status = cut and cut.status or not cut and context.status or 0
  local unknown = (status == 401 or status == 429) and not context.who
  core.log.write(status >= 500 and "error" or "info", "request", {
    "id", context.id, "method", exchange.method, "operation", context.operation or false,
    "target", not label and exchange.target or false,
    "label", label and label.name or false, "address", exchange.address,
    "principal", context.who or false, "claimed", unknown and context.claimed or false,
    "status", status, "verdict", context.verdict or false,
    "reason", cut and cut.reason or context.reason or false,
    "serial", context.serial or false, "replayed", context.replayed or false,
    "us", core.clock.monotonic_us() - context.started_us,
  })
end

--- Run one step of a request; a refusal raised in it becomes the answer.
function Worker:guard(exchange, context, step)
  local ok, problem = xpcall(step, function(problem)
    return refusal.is(problem) and problem or debug.traceback(tostring(problem), 2)
  end, self, exchange, context)
  if ok or exchange.aborted then return ok end
  if not refusal.is(problem) then
    core.log.write("error", "request failed", { "id", context.id, "message", problem })
    problem = { status = 500, reason = "the request " .. context.id .. " failed" }
  end
  context.who = context.who or problem.who
  answers.refusal(exchange, context, problem)
  return false
end

-- Why a request ended without the server's own answer.
local CUT_SHORT <const> = { closed = "the client left",
  stopped = "the server closed the connection" }

--- Have fn() called when nobody waits for the answer any more; context.cut says what the client has
--- instead, for the log.
local function on_cut(exchange, context, fn)
  exchange:on_abort(function(why, status, reason)
    context.cut = { status = status, reason = reason or CUT_SHORT[why] or why }
    fn()
  end)
end

--- Judge a request by its head, so that nobody sends a body in vain.
function Worker:on_head(exchange)
  local context = new_context(exchange)
  if not self:guard(exchange, context, self.check_head) then
    return log_request(exchange, context)
  end
  self.contexts[exchange] = context
  on_cut(exchange, context, function()
    if self.contexts[exchange] ~= context then return end
    self.contexts[exchange] = nil
    log_request(exchange, context)
  end)
end

--- A client that leaves before its verdict is on the way to the authority ends its request; after
--- that the issue completes and is recorded, and the client's next try finds it.
function Worker:on_request(exchange)
  local context = self.contexts[exchange]
  self.contexts[exchange] = nil
  local running = task.start({ quiet = true }, function()
    self:guard(exchange, context, OPERATIONS[context.operation])
    core.process.beat(nil)
    log_request(exchange, context)
  end)
  if running.done then return end
  on_cut(exchange, context, function()
    if context.committed or running.done then return end
    running:cancel(context.cut.reason)
    if context.handle then
      self.authority:give_up(context.id, context.handle, context.began, context.cut.reason)
    end
    log_request(exchange, context)
  end)
end

-- Start

---@param context table what the host gives a role
---@return integer exit_code
function M.main(context)
  local config = snapshot.from_json(context.config, context.files)
  core.log.set_level(config.log_level)
  local worker = setmetatable({
    config = config, labels = {}, contexts = setmetatable({}, { __mode = "k" }),
  }, Worker)
  local tls, err = worker:prepare(context)
  if not tls then return start_failure.report(context, err) end
  if context.check then return 0 end
  return worker:serve(context, tls)
end

--- Read every file as the user that started, since what is above them may be closed to others (as
--- /root is), then drop; a policy never runs as root.
function Worker:prepare(context)
  local tls, err = setup.tls(self.config)
  local ok = tls ~= nil
  for name in pairs(self.config.labels) do
    if not ok then break end
    self.labels[name], err = setup.label(self.config, name)
    ok = self.labels[name] ~= nil
  end
  for _, name in ipairs(POLICY_MODULES) do require(name) end
  if ok and context.user then ok, err = core.process.drop(context.user) end
  if ok then ok, err = core.process.harden() end
  for _, label in pairs(self.labels) do
    if not ok then break end
    ok, err = setup.policy(self.config, label)
  end
  self.config.files = nil
  if not ok then return nil, err end
  return tls
end

--- The bounds of one decision; the watchdog's page names the request that is on.
function Worker:decision_limits(context)
  local limits = self.config.limits
  return {
    seconds = limits.decision, memory = limits.decision_memory,
    on_step = function() core.process.beat(context.id) end,
  }
end

--- Serve until SIGTERM, and then until connections have ended or the drain is over.
function Worker:serve(context, tls)
  self.authority = link.new(context.authority_address)
  local server, err = core.server.new {
    fds = context.listen_fds, tls = tls,
    limits = setup.server_limits(self.config.limits, context.workers),
    on_head = function(exchange) self:on_head(exchange) end,
    on_request = function(exchange) self:on_request(exchange) end,
  }
  if not server then
    core.log.write("error", "cannot listen", { "message", tostring(err) })
    return 1
  end
  local stopping_at
  local terminate <close> = core.loop.signal(15, function()
    if stopping_at then return end
    stopping_at = core.clock.monotonic_ms()
    server:stop()
  end)
  core.process.ready()
  local tick
  local function busy()
    return server.connections > 0
      and core.clock.monotonic_ms() - stopping_at < self.config.drain * 1000
  end
  while not stopping_at or busy() do
    if stopping_at and not tick then tick = core.loop.timer(100, function() tick = nil end) end
    core.loop.turn()
  end
  self.authority:close()
  return terminate and 0
end

return M
