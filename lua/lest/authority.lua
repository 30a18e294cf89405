--- The authority: the CA's keys, the profiles, the credentials, the ledger. It has no network and
--- runs no script of the user's, and it believes no worker: it verifies the CSR, the secret, the
--- chain and the renewal by itself, and only then hands out a single-use principal handle.
---
--- Writes of one turn of the loop share a transaction, each in its own savepoint; answers leave
--- after the commit, so that nothing is answered that could be lost.
local cjson = require "cjson"
local config_module = require "lest.config"
local core = require "lest.core"
local credentials_module = require "lest.credentials"
local limiter = require "lest.limiter"
local message = require "lest.message"
local profile_module = require "lest.profile"
local task = require "lest.task"

local M = {}

local CHANGE_SUBJECT_NAME <const> = "1.3.6.1.5.5.7.7.36"
local HANDLES_PER_WORKER <const> = 1024

---@class lest.authority
local Authority = {}
Authority.__index = Authority

--- Ends a message with an answer other than success.
local function refuse(status, reason, options)
  options = options or {}
  options.status, options.reason = status, reason
  error(options, 0)
end

local function is_refusal(problem)
  return type(problem) == "table" and problem.status ~= nil and not core.error.is(problem)
end

local function now_s()
  return core.clock.wall_us() // 1000000
end

-- Proofs

--- Proof of possession (RFC 7030 4.2.1), and a key and usages that some profile of the label takes.
function Authority:check_csr(csr, label)
  local good, problem
  for _, name in ipairs(label.profiles) do
    good, problem = profile_module.check_key(self.config.profiles[name], csr.public_key)
    if good then good, problem = profile_module.check_usage(self.config.profiles[name], csr) end
    if good then break end
  end
  if not good then refuse(400, problem) end
  local verified, verify_err = csr:verify()
  if not verified then refuse(400, verify_err.message) end
end

--- The principal of a Basic secret, or a refusal. Failures are counted for the name and the address
--- before any hash is computed.
function Authority:check_basic(begin, context)
  local username = begin.basic.username
  local wait = self.address_failures:wait(begin.address) or self.name_failures:wait(username)
  if wait then refuse(429, "too many failed attempts", { retry_after = wait }) end
  local credential, err = self.credentials:check(username, begin.basic.password, context)
  if err and err.code ~= "unauthenticated" then
    core.log.write("error", "credential check failed", { "id", begin.id, "message", tostring(err) })
    refuse(503, "credentials cannot be checked now", { retry_after = 5 })
  end
  if not credential then
    self.address_failures:count(begin.address)
    self.name_failures:count(username)
    refuse(401, "the credentials are not accepted")
  end
  return credential
end

--- The anchors and the verified chain of a client certificate, or a refusal.
function Authority:check_chain(begin, label)
  local certs = {}
  for i, der in ipairs(begin.chain) do
    local cert, err = core.cert.parse(der)
    if not cert then refuse(400, err.message) end
    certs[i] = cert
  end
  local leaf = table.remove(certs, 1)
  local failure
  for _, name in ipairs(label.anchors) do
    local anchors = self.anchors[name]
    local chain, err = anchors.store:verify(leaf, { untrusted = certs, purpose = "client" })
    if chain then return name, chain end
    failure = failure or err
  end
  refuse(403, "the client certificate is not accepted here",
    { detail = failure and failure.message })
end

--- One of ours: its row in the ledger, or nil. A revoked one is refused.
function Authority:own_certificate(chain)
  local parent = chain[2]
  if not parent then return nil end
  local issuer = self.issuers_by_key[parent.public_key.der]
  if not issuer then return nil end
  local rows, err = self.ledger:rows("certificate_get",
    { serial = chain[1].serial, issuer = issuer.id })
  if not rows then error(err) end
  local row = rows[1]
  if not row or row.der ~= chain[1]:der() then return nil end
  if row.revoked_at then refuse(403, "the client certificate is revoked") end
  return row
end

local function certificate_name(cert)
  return cert.subject.CN or (#cert.subject > 0 and tostring(cert.subject)) or cert.san[1]
    or cert.serial
end

--- What the label's `auth` asks for, from what was proven.
local function satisfied(label, proven)
  for _, kind in ipairs(label.auth) do
    local all = true
    for part in kind:gmatch "[^+]+" do all = all and proven[part] end
    if all then return true end
  end
  return false
end

--- Who asks. Returns the entry that a handle stands for.
function Authority:authenticate(begin, label, csr)
  local entry = {
    begin = begin, label = label, csr = csr, key_hash = core.secret.sha256(csr.public_key.der),
    proven = {}, approvals = {}, started = now_s(),
  }
  local accepts = {}
  for _, kind in ipairs(label.auth) do
    for part in kind:gmatch "[^+]+" do accepts[part] = true end
  end
  if begin.chain and accepts.certificate then
    local anchors, chain = self:check_chain(begin, label)
    entry.row = self:own_certificate(chain)
    entry.proven.certificate = true
    entry.principal = { kind = "certificate", name = certificate_name(chain[1]), anchors = anchors,
      certificate = chain[1] }
    entry.ledger_name = anchors .. ":" .. (#chain[1].subject > 0 and tostring(chain[1].subject)
      or table.concat(chain[1].san, ","))
  end
  if begin.basic then
    if not accepts.basic then refuse(401, "passwords are not accepted here") end
    entry.context = {
      key_hash = entry.key_hash, label = begin.label, operation = begin.operation,
    }
    entry.credential = self:check_basic(begin, entry.context)
    entry.proven.basic = true
    entry.principal = entry.principal or { kind = "basic", name = begin.basic.username }
    entry.principal.credential = entry.credential.facts
    entry.ledger_name = entry.ledger_name or begin.basic.username
  end
  if not satisfied(label, entry.proven) then
    if accepts.basic and not begin.basic and begin.operation ~= "simplereenroll" then
      refuse(401, "credentials are required")
    end
    refuse(403, "a TLS client certificate is required")
  end
  return entry
end

--- RFC 7030 4.2.2: the client certificate is the one being renewed; it is ours, and the CSR has its
--- names.
function Authority:check_renewal(entry)
  local csr, cert = entry.csr, entry.principal.certificate
  if not cert or not entry.row then
    refuse(403, "the client certificate was not issued by this CA, so there is nothing to renew")
  end
  local wants_change = false
  for _, attribute in ipairs(csr.attributes) do
    wants_change = wants_change or attribute.oid == CHANGE_SUBJECT_NAME
  end
  if wants_change and self.config.profiles[entry.label.profile].names ~= "policy" then
    refuse(403, "a change of names (ChangeSubjectName) is not allowed here")
  end
  if not core.name.equal(csr.subject_der, cert.subject_der) then
    refuse(403, "the subject of the request is not that of the certificate being renewed")
  end
  if not core.san.equal(csr.san_der, cert.san_der) then
    refuse(403,
      "the subject alternative names of the request are not those of the certificate being renewed")
  end
  local same = cert.public_key.der == csr.public_key.der
  local rule = self.config.profiles[entry.label.profile].key_change
  if same and rule == "required" then refuse(403, "a new key is required for renewal") end
  if not same and rule == "forbidden" then refuse(403, "the key must stay the same at renewal") end
  entry.previous = cert
  entry.renews = cert.serial
end

-- begin

local function rows_of(ledger, statement, parameters)
  local rows, err = ledger:rows(statement, parameters)
  if not rows then error(err) end
  return rows
end

function Authority:lost_answer(entry)
  return rows_of(self.ledger, "certificate_again", {
    key_hash = entry.key_hash, principal_kind = entry.principal.kind,
      principal_name = entry.ledger_name,
    label = entry.begin.label, operation = entry.begin.operation, renews = entry.renews,
    since = now_s() - entry.label.lost_answer,
  })[1]
end

function Authority:find_pending(entry)
  local pending = rows_of(self.ledger, "pending_find", {
    principal_kind = entry.principal.kind, principal_name = entry.ledger_name,
      label = entry.begin.label,
    operation = entry.begin.operation, key_hash = entry.key_hash, now = now_s(),
  })[1]
  if not pending then return {} end
  entry.pending = pending
  local approvals = {}
  for _, row in ipairs(rows_of(self.ledger, "approval_list", { pending_id = pending.id })) do
    if row.verdict == "reject" then
      refuse(403, row.comment and row.comment ~= "" and row.comment or "the request was rejected")
    end
    table.insert(approvals, { operator = row.operator, comment = row.comment, time = row.time })
  end
  return approvals
end

--- What a proven principal asks for: its certificate again, or a handle for the policy's verdict.
function Authority:open(channel, entry)
  self:check_csr(entry.csr, entry.label)
  if entry.begin.operation == "simplereenroll" then self:check_renewal(entry) end
  local again = self:lost_answer(entry)
  if again then
    return { certificate = message.bytes(again.der), serial = again.serial, replayed = true,
      principal = { kind = entry.principal.kind, name = entry.principal.name } }
  end
  if entry.credential and entry.credential.may == "fetch" then
    refuse(401, "the credentials are not accepted")
  end
  entry.approvals = self:find_pending(entry)
  local handle = core.secret.random(16)
  self.handles[handle] = entry
  entry.channel = channel
  channel.handles = channel.handles + 1
  local principal, previous = entry.principal, nil
  if entry.previous then
    previous = {
      certificate = message.bytes(entry.previous:der()), facts = cjson.decode(entry.row.facts),
    }
  end
  local auth = {}
  for kind in pairs(entry.proven) do table.insert(auth, kind) end
  return {
    handle = handle, auth = auth, approvals = entry.approvals, previous = previous,
    principal = {
      kind = principal.kind, name = principal.name, anchors = principal.anchors,
      credential = principal.credential,
      certificate = principal.certificate and message.bytes(principal.certificate:der()),
    },
  }
end

--- A question about an enrollment. A refusal is recorded once it is known whom it concerns: strangers
--- must not be able to fill the ledger.
function Authority:begin(channel, begin)
  local label = self.config.labels[begin.label]
  if not label then refuse(404, "there is no such label here") end
  if channel.handles >= HANDLES_PER_WORKER then
    refuse(503, "too many requests are under way", { retry_after = 5 })
  end
  local csr, err = core.csr.parse(begin.csr)
  if not csr then refuse(400, err.message) end
  local entry = self:authenticate(begin, label, csr)
  local ok, result = pcall(self.open, self, channel, entry)
  if ok then return result end
  if is_refusal(result) then
    self:write(function() self:record(entry, { reason = result.reason }, "reject", {}) end)
  end
  error(result, 0)
end

-- finish

function Authority:record(entry, finish, verdict, extra)
  local begin, principal = entry.begin, entry.principal
  local changed, err = self.ledger:run("request_add", {
    id = begin.id, time_us = core.clock.wall_us(), operation = begin.operation, label = begin.label,
    principal_kind = principal.kind, principal_name = entry.ledger_name,
    principal = cjson.encode { anchors = principal.anchors, credential = principal.credential,
      name = principal.name, certificate = principal.certificate
        and message.bytes(principal.certificate:der()) },
    credential_id = entry.credential and entry.credential.id, csr = begin.csr,
      key_hash = entry.key_hash,
    tls = cjson.encode(begin.tls), address = begin.address,
    headers = begin.headers and cjson.encode(begin.headers), previous = entry.renews,
    approvals = #entry.approvals > 0 and cjson.encode(entry.approvals) or nil,
    verdict = verdict, reason = finish.reason, detail = extra.detail or finish.detail,
    profile = extra.profile, policy_file = finish.policy_file, policy_hash = finish.policy_hash,
    duration_us = finish.duration_us, serial = extra.serial,
    pending_id = entry.pending and entry.pending.id or extra.pending_id,
  })
  if not changed then error(err) end
end

local function run(ledger, statement, parameters)
  local changes, err = ledger:run(statement, parameters)
  if not changes then error(err) end
  return changes
end

--- Bind a one-time credential to this key ("use" or "reserve"). False: another request was first.
function Authority:consume(entry, how, bound_until)
  local credential = entry.credential
  if not credential then return true end
  local ok, err = self.credentials[how](self.credentials, credential, entry.context, bound_until)
  if not ok and err.code ~= "unauthenticated" then error(err) end
  return ok
end

function Authority:issue(entry, finish)
  local label, config = entry.label, self.config
  local name = finish.profile or label.profile
  local allowed = false
  for _, each in ipairs(label.profiles) do allowed = allowed or each == name end
  local issuer = self.issuers[label.ca or ""]
  local plan, problem
  if allowed then
    plan, problem = profile_module.plan(config.profiles[name], {
      verdict = finish, principal = entry.principal, previous = entry.previous, csr = entry.csr,
      ca = issuer.cert, now = now_s(),
    })
  else
    problem = ("the label does not have the profile '%s'"):format(name)
  end
  if not plan then
    core.log.write("error", "approval refused by the profile",
      { "id", entry.begin.id, "profile", name,
      "message", problem })
    self:record(entry, finish, "error", { detail = problem, profile = name })
    return { status = 500, reason = "the request " .. entry.begin.id .. " failed" }
  end
  local wait = self.issued[name]:wait "all"
  if wait then
    return { status = 503, reason = "too many certificates are being issued", retry_after = wait }
  end
  if not self:consume(entry, "use", now_s() + label.lost_answer) then
    local again = self:lost_answer(entry)
    if again then
      return { certificate = message.bytes(again.der), serial = again.serial, replayed = true }
    end
    return { status = 401, reason = "the credentials are not accepted" }
  end
  local der, err = issuer.issuer:issue(plan)
  if not der then error(err) end
  local cert = assert(core.cert.parse(der))
  self:record(entry, finish, "approve", { profile = name, serial = cert.serial })
  run(self.ledger, "certificate_add", {
    issuer = issuer.id, serial = cert.serial, der = der, fingerprint = cert.fingerprint,
    subject = tostring(cert.subject), san = table.concat(cert.san, ","),
    principal_kind = entry.principal.kind, principal_name = entry.ledger_name,
      label = entry.begin.label,
    operation = entry.begin.operation, profile = name, key_hash = entry.key_hash,
    request_id = entry.begin.id, not_before = cert.not_before, not_after = cert.not_after,
    issued_at = now_s(), renews = entry.renews, facts = cjson.encode(finish.facts or {}),
  })
  if entry.pending then
    if run(self.ledger, "pending_issue", { id = entry.pending.id, serial = cert.serial,
      now = now_s() }) ~= 1 then
      error("the pending request was decided meanwhile", 0)
    end
  end
  self.issued[name]:count "all"
  return { certificate = message.bytes(der), serial = cert.serial }
end

function Authority:hold(entry, finish)
  local label, now = entry.label, now_s()
  local expires = now + (finish.expires or label.pending_expires)
  run(self.ledger, "pending_expire", { now = now })
  if not self:consume(entry, "reserve", expires) then
    return { status = 401, reason = "the credentials are not accepted" }
  end
  local id = entry.pending and entry.pending.id or core.secret.random(6)
  self:record(entry, finish, "pending", { pending_id = id })
  run(self.ledger, "pending_put", {
    id = id, request_id = entry.begin.id, now = now, expires = expires, label = entry.begin.label,
    operation = entry.begin.operation, principal_kind = entry.principal.kind,
    principal_name = entry.ledger_name, key_hash = entry.key_hash, csr = entry.begin.csr,
    subject = tostring(entry.csr.subject), reason = finish.reason,
  })
  return { status = 202, reason = finish.reason or "the request waits for a decision",
    retry_after = finish.retry_after or label.retry_after }
end

function Authority:finish(channel, finish)
  local entry = self.handles[finish.handle]
  if not entry or entry.channel ~= channel or entry.begin.id ~= finish.id then
    refuse(409, "the handle is not valid")
  end
  self.handles[finish.handle] = nil
  channel.handles = channel.handles - 1
  if now_s() - entry.started > self.handle_lifetime then
    refuse(503, "the decision came too late")
  end
  if finish.verdict == "approve" then return self:issue(entry, finish) end
  if finish.verdict == "pending" then return self:hold(entry, finish) end
  self:record(entry, finish, finish.verdict, {})
  if finish.verdict == "reject" then
    return { status = 403, reason = finish.reason or "the request is refused" }
  elseif finish.verdict == "unavailable" then
    return { status = 503, reason = finish.reason or "the request cannot be decided now",
      retry_after = finish.retry_after or entry.label.retry_after }
  end
  return { status = 500, reason = "the request " .. entry.begin.id .. " failed" }
end

-- Transactions and answers

--- Do the writes of one message inside the turn's transaction, so that its failure costs no other.
function Authority:write(step)
  if not self.writing then
    local begun, err = self.ledger:begin()
    if not begun then error(err) end
    self.writing = true
  end
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
    mail.channel.socket:send(message.encode(mail.answer))
  end
end

--- Answer a message; while a transaction is open, once it is committed: what was read in it may be
--- part of it.
function Authority:answer(channel, id, answer)
  answer.type, answer.id = "answer", id
  if self.writing then
    table.insert(self.outbox, { channel = channel, answer = answer })
  else
    channel.socket:send(message.encode(answer))
  end
end

local function failure_answer(id, problem)
  if is_refusal(problem) then
    return { status = problem.status, reason = problem.reason, retry_after = problem.retry_after }
  end
  local err = core.error.is(problem) and problem
  core.log.write("error", "message failed", { "id", id, "message", tostring(problem) })
  if err and (err.code:find "^ledger") then
    return { status = 503, reason = "the ledger cannot be written now", retry_after = 5 }
  end
  return { status = 500, reason = "the request " .. id .. " failed" }
end

local WORKER_TYPES <const> = { begin = true, finish = true }

function Authority:on_message(channel, packet)
  local received, problem = message.decode(packet, WORKER_TYPES)
  if not received then
    core.log.write("warning", "bad message", { "pid", channel.socket.peer.pid, "message", problem })
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

function Authority:on_accept(socket)
  if socket.peer.uid ~= self.worker_uid and socket.peer.uid ~= core.process.uid then
    core.log.write("warning", "stranger refused", { "uid", socket.peer.uid, "pid",
      socket.peer.pid })
    return socket:close()
  end
  local channel = { socket = socket, handles = 0 }
  self.channels[channel] = true
  socket:on_message(function(packet) self:on_message(channel, packet) end)
  socket:on_close(function()
    self.channels[channel] = nil
    for handle, entry in pairs(self.handles) do
      if entry.channel == channel then self.handles[handle] = nil end
    end
  end)
end

-- Start

local function passphrase_of(ca)
  if ca.passphrase_file then
    local text, err = core.file.read(ca.passphrase_file, 4096)
    if not text then return nil, err end
    return (text:gsub("[\r\n]+$", ""))
  elseif ca.passphrase_command then
    return core.process.read_command(ca.passphrase_command)
  end
  return false
end

local function load_issuer(ca)
  local cert, key, issuer, passphrase, err
  cert, err = core.cert.load(ca.cert)
  if not cert then return nil, err end
  passphrase, err = passphrase_of(ca)
  if passphrase == nil then return nil, err end
  key, err = core.key.load(ca.key, passphrase and { passphrase = passphrase } or nil)
  if not key then return nil, err end
  issuer, err = core.issuer.new { cert = cert, key = key }
  if not issuer then return nil, err end
  return { cert = cert, issuer = issuer, id = core.secret.sha256(cert.public_key.der) }
end

function Authority:load_issuers()
  local cas = { [""] = self.config.ca }
  for name, ca in pairs(self.config.cas) do cas[name] = ca end
  for name, ca in pairs(cas) do
    local issuer, err = load_issuer(ca)
    if not issuer then return nil, err end
    self.issuers[name] = issuer
    self.issuers_by_key[issuer.cert.public_key.der] = issuer
  end
  return true
end

function Authority:load_anchors()
  local crls = {}
  for i, file in ipairs(self.config.crls) do
    local crl, err = core.crl.load(file)
    if not crl then return nil, err end
    crls[i] = crl
  end
  for name, file in pairs(self.config.anchors) do
    local text, err = core.file.read(file)
    local certs, store
    if text then certs, err = core.cert.parse_all(text) end
    if certs then store, err = core.store.new { anchors = certs, crls = crls } end
    if not store then return nil, err end
    self.anchors[name] = { store = store }
  end
  return true
end

function Authority:open_ledger()
  local ledger, err = core.ledger.open(self.config.ledger)
  if not ledger then return nil, err end
  self.ledger = ledger
  local limits = self.config.limits
  local pool = core.pool.new { threads = limits.scrypt_threads, queue = limits.scrypt_queue }
  self.credentials = credentials_module.new {
    ledger = ledger,
    scrypt = function(password, salt, cost)
      return task.await(function(callback)
        local queued, queue_err = pool:scrypt(password, salt, callback, cost)
        if not queued then callback(nil, queue_err) end
      end)
    end,
  }
  self.name_failures = limiter.new {
    per_minute = limits.failures_per_minute, now_ms = core.clock.monotonic_ms,
  }
  self.address_failures = limiter.new {
    per_minute = limits.address_failures_per_minute, now_ms = core.clock.monotonic_ms,
  }
  for name, profile in pairs(self.config.profiles) do
    self.issued[name] = limiter.new { per_minute = profile.per_minute,
      now_ms = core.clock.monotonic_ms }
  end
  return true
end

---@param context table what the host gives a role
---@return integer exit_code
function M.main(context)
  local config = config_module.from_json(context.config)
  core.log.set_level(config.log_level)
  local authority = setmetatable({
    config = config, issuers = {}, issuers_by_key = {}, anchors = {}, handles = {}, outbox = {},
    channels = {}, issued = {}, handle_lifetime = config.limits.decision + 60,
    worker_uid = context.peer_uid,
  }, Authority)
  local ok, err = authority:load_issuers()
  if ok then ok, err = authority:load_anchors() end
  if ok and context.user then
    ok, err = core.process.own_folder(config.ledger:match "^(.*)/[^/]*$", context.user)
    if ok then ok, err = core.process.drop(context.user) end
  end
  if ok then ok, err = core.process.harden() end
  if ok then ok, err = authority:open_ledger() end
  if not ok then
    core.log.write("error", "cannot start", { "message", tostring(err) })
    return err.exit_code or 1
  end
  if context.check then return 0 end
  return authority:serve(context)
end

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
  core.process.ready()
  while not stopping do core.loop.turn() end
  self:settle()
  self.ledger:close()
  return terminate and 0
end

return M
