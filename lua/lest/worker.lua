--- The worker: TLS, HTTP, EST and the policy. It holds no key of the CA and is believed by nobody.
---
--- A request goes: route, media type, body, CSR (parsed only), `begin` to the authority (which
--- checks the proofs and the CSR's signature), the policy, `finish` to the authority, the answer.
local config_module = require "lest.config"
local core = require "lest.core"
local decision = require "lest.decision"
local message = require "lest.message"
local policy_module = require "lest.policy"
local request_module = require "lest.request"
local task = require "lest.task"

local M = {}

local PKCS7 <const> = "application/pkcs7-mime; smime-type=certs-only"
local CHAIN_MAX <const> = 8
local TEXT <const> = "text/plain; charset=utf-8"

-- Headers that a policy may look at and the ledger keeps; the rest could hold secrets.
local SHOWN_HEADERS <const> = { "user-agent", "host", "accept", "content-type" }
local HEADER_MAX <const> = 1000

---@class lest.worker
local Worker = {}
Worker.__index = Worker

--- An answer that ends the request: raised as a table and caught in handle().
local function refuse(status, reason, options)
  options = options or {}
  options.status, options.reason = status, reason
  error(options, 0)
end

local function millisecond_limits(limits)
  return {
    handshake_ms = limits.handshake * 1000, header_ms = limits.header * 1000,
      body_ms = limits.body * 1000,
    answer_ms = limits.answer * 1000, write_ms = limits.write * 1000, idle_ms = limits.idle * 1000,
    header_max = limits.header_size, body_max = limits.body_size,
      connections_max = limits.connections,
    connections_per_address_max = limits.connections_per_address, requests_max = limits.requests,
    requests_per_connection_max = limits.requests_per_connection,
  }
end

local function load_certificates(file)
  local text, err = core.file.read(file)
  if not text then return nil, err end
  return core.cert.parse_all(text)
end

--- What a label needs at run time, made once.
local function load_label(config, name, label)
  local policy, err = policy_module.load(label.policy)
  if not policy then return nil, err end
  local ca = label.ca and config.cas[label.ca] or config.ca
  local bag, bag_err = load_certificates(ca.cert)
  if not bag then return nil, bag_err end
  if ca.chain then
    local chain, chain_err = load_certificates(ca.chain)
    if not chain then return nil, chain_err end
    for _, cert in ipairs(chain) do
      local known = false
      for _, other in ipairs(bag) do known = known or other == cert end
      if not known then table.insert(bag, cert) end
    end
  end
  local der, der_err = core.pkcs7.encode(bag)
  if not der then return nil, der_err end
  local wishes = label.csrattrs
  if not wishes then
    -- RFC 7030 4.5.2: a CA that insists on one kind of key says so.
    local keys = config.profiles[label.profile].keys
    if #keys == 1 and #label.profiles == 1 and (keys[1]:find "^ec:"
      or keys[1]:find "^rsa:%d+$") then
      wishes = { { key = keys[1] } }
    end
  end
  local csrattrs
  if wishes and #wishes > 0 then
    local attrs_err
    csrattrs, attrs_err = core.csrattrs.encode(wishes)
    if not csrattrs then return nil, attrs_err end
  end
  local accepts = {}
  for _, kind in ipairs(label.auth) do
    for part in kind:gmatch "[^+]+" do accepts[part] = true end
  end
  return {
    name = name, options = label, policy = policy, csrattrs = csrattrs, accepts = accepts,
    cacerts_body = core.est.body_encode(der, label.wrap),
  }
end

-- Answers

local function respond(exchange, context, status, headers, body)
  table.insert(headers, { "X-Request-Id", context.id })
  context.status = status
  exchange:respond { status = status, headers = headers, body = body }
end

--- An error answer. 401 and 202 have no body by default, since deployed clients choke on one; the
--- reason then stands in X-Reason.
local function respond_refusal(exchange, context, refusal)
  local status, reason = refusal.status, refusal.reason
  local label = context.label
  local headers = {}
  context.verdict = refusal.verdict or context.verdict
  context.reason = reason
  if status == 401 then
    table.insert(headers, { "WWW-Authenticate",
      ('Basic realm="%s", charset="UTF-8"'):format(label and label.options.realm or "lest") })
  end
  if refusal.allow then table.insert(headers, { "Allow", refusal.allow }) end
  if refusal.retry_after then
    table.insert(headers, { "Retry-After", tostring(refusal.retry_after) })
  end
  local body
  if (status == 401 or status == 202) and not (label and label.options.error_bodies) then
    if reason then table.insert(headers, { "X-Reason", (reason:gsub("[^\x20-\x7e]", "?")) }) end
  else
    table.insert(headers, { "Content-Type", TEXT })
    body = (reason or "the request cannot be answered") .. "\n"
  end
  respond(exchange, context, status, headers, body)
end

local function respond_der(exchange, context, media_type, der)
  local options = context.label.options
  local headers = { { "Content-Type", media_type } }
  if options.transfer_encoding then
    table.insert(headers, { "Content-Transfer-Encoding", "base64" })
  end
  respond(exchange, context, 200, headers, core.est.body_encode(der, options.wrap))
end

-- The authority

local ANSWERS <const> = { answer = true }

--- Connect to the authority; while there is none every request is 503.
function Worker:connect()
  if self.closing then return end
  local channel, err = core.channel.connect {
    path = self.authority_address,
    on_message = function(packet) self:on_answer(packet) end,
    on_close = function() self:on_authority_lost() end,
  }
  if channel then
    self.channel = channel
  else
    core.log.write("warning", "authority away", { "message", tostring(err) })
    self.reconnect = core.loop.timer(200, function() self:connect() end)
  end
end

function Worker:on_authority_lost()
  self.channel = nil
  local waiting = self.waiting
  self.waiting = {}
  for _, callback in pairs(waiting) do callback(nil) end
  self.reconnect = core.loop.timer(50, function() self:connect() end)
end

function Worker:on_answer(packet)
  local answer, problem = message.decode(packet, ANSWERS)
  if not answer then
    return core.log.write("error", "bad answer from the authority", { "message", problem })
  end
  local callback = self.waiting[answer.id]
  self.waiting[answer.id] = nil
  if callback then callback(answer) end
end

--- Ask the authority and wait. A lost authority leaves the outcome unknown: 503, and the client's
--- next try finds what was issued.
function Worker:ask(question)
  local answer
  if self.channel then
    answer = task.await(function(callback)
      self.waiting[question.id] = callback
      local sent = self.channel:send(message.encode(question))
      if not sent then
        self.waiting[question.id] = nil
        callback(nil)
      end
    end)
  end
  if not answer then refuse(503, "the authority is not available", { retry_after = 5 }) end
  if answer.status then
    refuse(answer.status, answer.reason, { retry_after = answer.retry_after })
  end
  return answer
end

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
  local auth = {}
  for _, kind in ipairs(answer.auth or {}) do auth[kind] = true end
  local previous = answer.previous
  if previous then previous.certificate = assert(core.cert.parse(previous.certificate)) end
  return request_module.new {
    id = context.id, time = core.clock.wall_us() // 1000000, operation = context.operation,
    label = context.label.name, csr = context.csr, principal = principal_of(answer), auth = auth,
    tls = context.tls, address = exchange.address, headers = context.headers, previous = previous,
    approvals = answer.approvals,
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

function Worker:enroll(exchange, context)
  local label = context.label
  local der, body_err = core.est.body_decode(exchange.body or "")
  if not der then refuse(400, body_err.message) end
  local csr, csr_err = core.csr.parse(der)
  if not csr then refuse(400, csr_err.message) end
  context.csr = csr
  context.headers = shown_headers(exchange)
  local answer = self:ask {
    type = "begin", id = context.id, operation = context.operation, label = label.name,
    address = exchange.address, tls = context.tls, csr = message.bytes(der),
    headers = context.headers, basic = context.basic, chain = context.chain,
  }
  context.principal = answer.principal and answer.principal.name
  if not answer.certificate then answer = self:judge(exchange, context, answer) end
  context.verdict, context.serial = "approve", answer.serial
  context.replayed = answer.replayed or false
  respond_der(exchange, context, PKCS7, (core.pkcs7.encode { answer.certificate }))
end

--- Ask the policy about a request whose principal is proven, and the authority for what follows.
function Worker:judge(exchange, context, answer)
  local policy = context.label.policy
  local started_us = core.clock.monotonic_us()
  local hook = policy.hooks[HOOKS[context.operation]]
  local ok, request = pcall(policy_request, exchange, context, answer)
  local verdict = ok and decision.run(hook, request, self.decision_limits)
    or { verdict = "error", detail = tostring(request) }
  local finish = decision.fields(verdict)
  context.verdict = finish.verdict
  if finish.verdict == "error" then
    core.log.write("error", "policy failed",
      { "id", context.id, "policy", policy.file, "message", finish.detail })
  end
  finish.type, finish.id, finish.handle = "finish", context.id, answer.handle
  finish.policy_file, finish.policy_hash = policy.file, policy.hash
  finish.duration_us = core.clock.monotonic_us() - started_us
  return self:ask(finish)
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
  local ok, wishes = decision.call(hook, request, self.decision_limits)
  if ok and wishes == nil then return label.csrattrs end
  local der, err
  if ok then ok, der, err = pcall(core.csrattrs.encode, wishes) end
  if not ok or not der then
    core.log.write("error", "policy failed", { "id", context.id, "policy", label.policy.file,
      "message", tostring(err or der or wishes) })
    refuse(500, "the request " .. context.id .. " failed")
  end
  return der
end

function Worker:csrattrs(exchange, context)
  local der = self:wished_attributes(exchange, context)
  if not der or der == "\x30\x00" then return respond(exchange, context, 204, {}) end
  respond_der(exchange, context, "application/csrattrs", der)
end

local OPERATIONS <const> = {
  cacerts = function(_, exchange, context)
    local headers = { { "Content-Type", PKCS7 } }
    if context.label.options.transfer_encoding then
      table.insert(headers, { "Content-Transfer-Encoding", "base64" })
    end
    respond(exchange, context, 200, headers, context.label.cacerts_body)
  end,
  csrattrs = Worker.csrattrs,
  simpleenroll = Worker.enroll,
  simplereenroll = Worker.enroll,
}

--- Collect what the client offers as proof; the authority judges it.
local function check_proofs(exchange, context)
  local accepts = context.label.accepts
  local authorization = exchange:header "authorization"
  if authorization then
    local username, password = core.http.basic(authorization)
    if not username then
      refuse(401, "the Authorization header is not Basic with a user and a password")
    end
    context.basic = { username = message.bytes(username), password = message.bytes(password) }
  end
  if exchange.peer_chain then
    context.chain = {}
    for i, der in ipairs(exchange.peer_chain) do
      if i <= CHAIN_MAX then context.chain[i] = message.bytes(der) end
    end
  end
  if context.basic or context.chain then return end
  if context.operation == "simplereenroll" or not accepts.basic then
    refuse(403, "a TLS client certificate is required")
  end
  refuse(401, "credentials are required")
end

--- What can be judged from the request's head: path, method, media type, whether there are
--- credentials.
function Worker:check_head(exchange, context)
  local route, status, sentence = core.est.route(exchange.target)
  if not route then refuse(status, sentence) end
  context.operation = route.operation
  local label = self.labels[route.label or "default"]
  if not label then refuse(404, "there is no such label here") end
  context.label = label
  if not OPERATIONS[route.operation] then
    refuse(404, ("the operation '%s' is not offered here"):format(route.operation))
  end
  local good, detail
  good, status, detail = core.est.method_check(route.operation, exchange.method)
  if not good then
    refuse(status, "the method is not allowed here", { allow = detail })
  end
  if exchange.method ~= "POST" then return end
  check_proofs(exchange, context)
  good, status, sentence = core.est.request_media_check(route.operation,
    exchange:header "content-type", exchange:header "content-encoding")
  if not good then refuse(status, sentence) end
end

-- Requests

function Worker:new_context(exchange)
  local serial = self.next_id
  self.next_id = serial + 1
  local tls = exchange.tls
  return {
    id = ("%s-%x"):format(self.id_prefix, serial), started_us = core.clock.monotonic_us(),
    tls = { version = tls.version, cipher = tls.cipher, channel_bound = false },
  }
end

local function log_request(exchange, context)
  local label = context.label
  core.log.write(context.status and context.status >= 500 and "error" or "info", "request", {
    "id", context.id, "method", exchange.method, "operation", context.operation or false,
    "target", not context.operation and exchange.target or false,
    "label", label and label.name or false, "address", exchange.address,
    "principal", context.principal or false, "status", context.status or 0,
    "verdict", context.verdict or false, "reason", context.reason or false,
    "serial", context.serial or false, "replayed", context.replayed or false,
    "us", core.clock.monotonic_us() - context.started_us,
  })
end

--- Run one step of a request; a refusal raised in it becomes the answer.
function Worker:guard(exchange, context, step)
  local ok, problem = xpcall(step, function(problem)
    if type(problem) == "table" and problem.status then return problem end
    return { failure = debug.traceback(tostring(problem), 2) }
  end, self, exchange, context)
  if ok or exchange.aborted then return ok end
  if problem.failure then
    core.log.write("error", "request failed", { "id", context.id, "message", problem.failure })
    problem = { status = 500, reason = "the request " .. context.id .. " failed" }
  end
  respond_refusal(exchange, context, problem)
  return false
end

function Worker:on_head(exchange)
  local context = self:new_context(exchange)
  if self:guard(exchange, context, self.check_head) then
    self.contexts[exchange] = context
  else
    log_request(exchange, context)
  end
end

function Worker:on_request(exchange)
  local context = self.contexts[exchange]
  self.contexts[exchange] = nil
  task.start({ quiet = true }, function()
    core.process.beat(context.id)
    self:guard(exchange, context, OPERATIONS[context.operation])
    log_request(exchange, context)
    core.process.beat(nil)
  end)
end

-- Start

--- The anchors that a client certificate may chain to at the handshake: the union of all labels'.
--- The authority decides which of them a label takes.
local function load_store(config)
  local anchors, crls, used = {}, {}, false
  for _, file in pairs(config.anchors) do
    local certs, err = load_certificates(file)
    if not certs then return nil, err end
    for _, cert in ipairs(certs) do table.insert(anchors, cert) end
  end
  for _, label in pairs(config.labels) do
    for _, kind in ipairs(label.auth) do used = used or kind:find "certificate" end
  end
  if not used or #anchors == 0 then return false end
  for i, file in ipairs(config.crls) do
    local crl, err = core.crl.load(file)
    if not crl then return nil, err end
    crls[i] = crl
  end
  return core.store.new { anchors = anchors, crls = crls }
end

local function load_tls(config)
  local cert, key, store, err
  cert, err = core.cert.load(config.tls.cert)
  if not cert then return nil, err end
  local passphrase
  if config.tls.passphrase_file then
    passphrase, err = core.file.read(config.tls.passphrase_file, 4096)
    if not passphrase then return nil, err end
    passphrase = passphrase:gsub("[\r\n]+$", "")
  end
  key, err = core.key.load(config.tls.key, passphrase and { passphrase = passphrase } or nil)
  if not key then return nil, err end
  store, err = load_store(config)
  if store == nil then return nil, err end
  return core.tls.server { cert = cert, key = key, store = store or nil,
    min_version = config.tls.min_version }
end

---@param context table what the host gives a role
---@return integer exit_code
function M.main(context)
  local config = config_module.from_json(context.config)
  core.log.set_level(config.log_level)
  local tls, err = load_tls(config)
  if tls then
    local dropped = true
    if context.user then dropped, err = core.process.drop(context.user) end
    if dropped then dropped, err = core.process.harden() end
    if not dropped then tls = nil end
  end
  local worker = setmetatable({
    config = config, labels = {}, waiting = {}, contexts = {}, next_id = 1,
    id_prefix = core.secret.random(6), authority_address = context.authority_address,
    decision_limits = {
      seconds = config.limits.decision, memory = config.limits.decision_memory,
    },
  }, Worker)
  if tls then
    for name, label in pairs(config.labels) do
      worker.labels[name], err = load_label(config, name, label)
      if not worker.labels[name] then break end
    end
  end
  if err then
    core.log.write("error", "cannot start", { "message", tostring(err) })
    return err.exit_code or 1
  end
  if context.check then return 0 end
  return worker:serve(context, tls)
end

function Worker:serve(context, tls)
  self:connect()
  local servers = {}
  for i, fd in ipairs(context.listen_fds) do
    local server, err = core.server.new {
      fd = fd, tls = tls, limits = millisecond_limits(self.config.limits),
      on_head = function(exchange) self:on_head(exchange) end,
      on_request = function(exchange) self:on_request(exchange) end,
    }
    if not server then
      core.log.write("error", "cannot listen", { "message", tostring(err) })
      return 1
    end
    servers[i] = server
  end
  local stopping_at
  local terminate <close> = core.loop.signal(15, function()
    if stopping_at then return end
    stopping_at = core.clock.monotonic_ms()
    for _, server in ipairs(servers) do server:stop() end
  end)
  core.process.ready()
  local tick
  local function busy()
    local count = 0
    for _, server in ipairs(servers) do count = count + server.connections end
    return count > 0 and core.clock.monotonic_ms() - stopping_at < self.config.drain * 1000
  end
  while not stopping_at or busy() do
    if stopping_at and not tick then tick = core.loop.timer(100, function() tick = nil end) end
    core.loop.turn()
  end
  self.closing = true
  return terminate and 0
end

return M
