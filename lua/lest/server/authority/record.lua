--- What the authority reads and writes in the ledger for one request.
local clock = require "lest.server.authority.clock"
local core = require "lest.core"
local json = require "lest.json"
local refusal = require "lest.server.wire.refusal"
local revocation = require "lest.server.ledger.revocation"
local terminal = require "lest.base.terminal"
local times = require "lest.base.clock"

local M = {}

--- The rows of a statement; a ledger that cannot is raised.
---@return table[]
function M.rows(ledger, statement, parameters)
  local rows, err = ledger:rows(statement, parameters)
  if not rows then error(err) end
  return rows
end
local rows_of <const> = M.rows

--- Run a statement; a ledger that cannot is raised.
---@return integer changes
function M.run(ledger, statement, parameters)
  local changes, err = ledger:run(statement, parameters)
  if not changes then error(err) end
  return changes
end

--- Revoke a certificate, as revocation.write does; a ledger that cannot is raised.
---@param row { serial: string, issuer: string }
---@param how { reason: string, by: string, now: number }
function M.revoke(ledger, row, how)
  local changes, err = revocation.write(ledger, row, how)
  if not changes then error(err) end
end

-- What a client may sign anew at each try: proofs of its connection (RFC 7030 3.5, RFC 7894 3), and
-- what links a request to an identity proof (RFC 5272 6.3.1).
local BOUND_TO_CHANNEL <const> = {
  ["1.2.840.113549.1.9.7"] = true, ["1.2.840.113549.1.9.16.2.56"] = true,
  ["1.2.840.113549.1.9.16.2.57"] = true, ["1.2.840.113549.1.9.16.2.58"] = true,
  ["1.3.6.1.5.5.7.7.23"] = true, ["1.3.6.1.5.5.7.7.33"] = true,
}

--- All that a CSR asks for, in one string: its subject and attributes, extensions among them.
local function asked_by(csr)
  local parts = { csr.subject_der }
  for _, attribute in ipairs(csr.attributes) do
    if not BOUND_TO_CHANNEL[attribute.oid] then
      table.insert(parts, attribute.oid .. "\0" .. table.concat(attribute.values))
    end
  end
  -- In PKCS#10 they are an attribute.
  for _, extension in ipairs(csr.form == "crmf" and csr.extensions or {}) do
    table.insert(parts, ("%s\0%s\0%s"):format(extension.oid, extension.critical, extension.value))
  end
  table.sort(parts)
  return string.pack(("s4"):rep(#parts), table.unpack(parts))
end

--- Whether there is any certificate with the request's key. Most come with a new one, and need no
--- other question about it.
local function is_key_known(authority, request)
  if request.key_is_known == nil then
    request.key_is_known = rows_of(authority.ledger, "key_known",
      { key_hash = request.key_hash })[1] ~= nil
  end
  return request.key_is_known
end

--- The certificate that this very request was given already, within the window: the answer that was
--- lost, with its verdict. A request that asks for anything else is another one, and so is one for
--- a key that is made here.
---@return table|nil answer
function M.lost_answer(authority, request)
  -- A key that was made here was in that answer alone.
  if request.operation.makes_key or not is_key_known(authority, request) then return end
  local now, asked = authority.clock(), nil
  for _, row in ipairs(rows_of(authority.ledger, "certificate_again", {
    key_hash = request.key_hash, device = request.device, principal_name = request.ledger_name,
    label = request.begin.label, operation = request.begin.operation, renews = request.renews,
    since = now - request.label.lost_answer, now = now,
  })) do
    asked = asked or asked_by(request.csr)
    local csr = row.csr and core.csr.parse(row.csr)
    local is_of_now = row.issued_at <= now + clock.SLACK_S
    if is_of_now and csr and asked_by(csr) == asked then
      request.verdict, request.device = "approve", row.device
      return { certificate = row.der, serial = row.serial, profile = row.profile,
        replayed = true }
    end
  end
end

--- Whether a certificate with the request's key was revoked for keyCompromise.
function M.is_compromised(authority, request)
  return is_key_known(authority, request)
    and rows_of(authority.ledger, "key_compromised", { key_hash = request.key_hash })[1] ~= nil
end

--- Whether a certificate of ours is revoked by now.
function M.is_revoked(authority, row)
  local fresh = rows_of(authority.ledger, "certificate_get",
    { serial = row.serial, issuer = row.issuer })[1]
  return not fresh or fresh.revoked_at ~= nil
end

--- Whether a CSR asks for what one that was kept asks for.
---@param kept string DER
---@param csr lest.csr
---@return boolean
function M.is_same(kept, csr)
  local before, err = core.csr.parse(kept)
  if not before then error(err) end
  return asked_by(before) == asked_by(csr)
end

--- What operators look at must be what is issued: the key stays, and so must all else.
local function check_unchanged(pending, csr)
  if not M.is_same(pending.csr, csr) then
    refusal.raise(403, "the request is not the one that waits for a decision: repeat that, "
      .. "or make a new one with a new key")
  end
end

-- Bytes of what a device is told: an older version took words of any length.
local TELL_MAX <const> = 400

--- What operators have said of a row of pending: approvals, or why it is refused, in the words that
--- one of them has for the device.
---@return table[]|nil approvals
---@return string|nil rejection
local function said_of(authority, pending)
  local approvals, words, holds_until = {}, nil, 0
  for _, row in ipairs(rows_of(authority.ledger, "approval_list", { pending_id = pending.id })) do
    if row.verdict == "reject" then
      words = words or row.tell and terminal.line(row.tell, TELL_MAX)
        or "an operator has rejected the request"
      holds_until = math.max(holds_until, row.holds_until or pending.expires)
    end
    table.insert(approvals, { operator = row.operator, note = row.note, time = row.time })
  end
  if not words then return approvals end
  return nil, ("%s; the request is refused until %s"):format(words, times.text(holds_until))
end

--- Why an operator has rejected a pending request by now; nil for no reason.
---@param pending table its row
---@return string|nil
function M.rejection(authority, pending)
  return (select(2, said_of(authority, pending)))
end

--- A row of pending as it is by now; nil where it waits no more.
---@param pending table
---@return table|nil
function M.still_pending(authority, pending)
  local row = rows_of(authority.ledger, "pending_get", { id = pending.id })[1]
  return row and row.state ~= "issued" and row.expires > authority.clock() and row or nil
end

--- The approvals of the request if it waits (request.pending is its row); a rejected one is
--- refused.
function M.find_pending(authority, request)
  local pending = rows_of(authority.ledger, "pending_find", {
    principal_kind = request.principal.kind, principal_name = request.ledger_name,
    label = request.begin.label, operation = request.begin.operation, key_hash = request.key_hash,
    now = authority.clock(),
  })[1]
  if not pending then return {} end
  check_unchanged(pending, request.csr)
  request.pending = pending
  local approvals, rejection = said_of(authority, pending)
  if not approvals then refusal.raise(403, rejection) end
  return approvals
end

--- What became of the last such request that ended without a certificate, as a clause; or nil.
---@return string|nil
function M.ended(authority, request)
  local row = rows_of(authority.ledger, "pending_ended", {
    principal_kind = request.principal.kind, principal_name = request.ledger_name,
    label = request.begin.label, operation = request.begin.operation, key_hash = request.key_hash,
  })[1]
  return row and "; the one before it ended at " .. times.text(row.expires)
    .. " without a certificate"
end

--- How many requests of the device wait for operators.
---@return integer
function M.count_pending(authority, request)
  local count = 0
  for _, row in ipairs(rows_of(authority.ledger, "pending_count",
    { device = request.device, now = authority.clock() })) do
    count = count + row.count
  end
  return count
end

-- What was proven, its claims as JSON has them.
local function auth_of(request)
  local auth = {}
  for kind, facts in pairs(request.proven) do
    auth[kind] = facts.claims and { name = facts.name, claims = json.decode(facts.claims) }
      or facts
  end
  return auth
end

-- Of credentials that the label joins; of one, `credential_id` has it.
local function joined_ids(request)
  local ids = {}
  for i, credential in ipairs(request.credentials) do ids[i] = credential.id end
  return #ids > 1 and ids or nil
end

--- Every field that a person or a replay may ask for; `auth` where more was proven than who asks.
local function proven(request)
  local principal = request.principal
  local certificate, reg_info = principal.certificate, request.cmc and request.cmc.reg_info
  return json.line {
    name = principal.name, anchors = principal.anchors, credential = principal.credential,
    claims = principal.claims, reg_info = reg_info and core.base64.encode(reg_info),
    certificate = certificate and core.base64.encode(certificate:der()),
    credentials = joined_ids(request),
    auth = next(request.proven, next(request.proven)) and auth_of(request) or nil,
  }
end

--- A name in parts as JSON has words for it: type, value, and which of its flags are set.
local function name_of(parts)
  local list = {}
  for i, part in ipairs(parts) do
    list[i] = { part[1], part[2], part.plus and "plus" or part.der and "der" or nil,
      part.plus and part.der and "der" or nil }
  end
  return list
end

-- Bytes: a worker sends no more, and written as JSON it may be six times as long.
local STATED_MAX <const> = core.message.SIZE_MAX

--- What a verdict stated, also where nothing comes of it; nil for nothing, or for what is no names.
---@param finish table
---@return string|nil json
function M.stated(finish)
  if not (finish.subject or finish.san or finish.renewal or finish.profile or finish.ca
    or finish.lifetime or finish.retry_after or finish.key) then
    return nil
  end
  local text = json.line { subject = finish.subject and name_of(finish.subject),
    san = finish.san, profile = finish.profile, ca = finish.ca, lifetime = finish.lifetime,
    key = finish.key,
    renewal = finish.renewal or nil, retry_after = finish.retry_after }
  return #text <= STATED_MAX and text or nil
end

--- Write the request's row, complete enough to decide it again; request.verdict is what it says.
---@param extra table what the authority knows better or besides: reason, detail, profile, serial,
--- pending_id
function M.request(authority, request, finish, verdict, extra)
  local begin, principal = request.begin, request.principal
  local changed, err = authority.ledger:run("request_add", {
    id = request.id, time_us = core.clock.wall_us(), operation = begin.operation,
    label = begin.label, principal_kind = principal.kind, principal_name = request.ledger_name,
    principal = proven(request),
    credential_id = request.credentials[1] and request.credentials[1].id,
    csr = request.csr and begin.csr, key_hash = request.key_hash,
    tls = json.line(begin.tls), address = begin.address,
    headers = begin.headers and json.line(begin.headers), previous = request.renews,
    approvals = #request.approvals > 0 and json.line(request.approvals) or nil,
    verdict = verdict, reason = extra.reason or finish.reason,
    detail = extra.detail or finish.detail,
    profile = extra.profile, policy_file = finish.policy_file, policy_hash = finish.policy_hash,
    duration_us = finish.duration_us, serial = extra.serial,
    pending_id = request.pending and request.pending.id or extra.pending_id,
    device = request:other_device(), rule = finish.rule, asked_at = finish.asked_at,
    stated = M.stated(finish), trace = finish.trace, outside = finish.outside,
    subject = verdict ~= "approve" and request.csr and tostring(request.csr.subject) or nil,
  })
  if not changed then error(err) end
  request.verdict = verdict
  local secret = verdict == "approve" and request.passphrase
  if not secret then return end
  M.run(authority.ledger, "revocation_challenge_add", { request_id = request.id,
    cost = secret.cost, salt = secret.salt, hash = secret.hash })
end

--- The id of a one-time credential that the request holds or uses up: the first; nil for none.
---@return string|nil
function M.once_id(request)
  for _, credential in ipairs(request.credentials) do
    if credential.one_time then return credential.id end
  end
end

--- Bind the one-time credentials to this key ("use" or "reserve"). False: another request was
--- first, or one of them, of whatever kind, was removed. Where one was bound before another of them
--- fails, a refusal is raised, which undoes the unit: all of them, or none.
function M.consume(authority, request, how, bound_until)
  local store, is_bound = authority.credentials, false
  for _, credential in ipairs(request.credentials) do
    local ok, err = store[how](store, credential, request.purpose, bound_until)
    if not ok and err.code ~= "unauthenticated" then error(err) end
    if not ok and is_bound then
      refusal.raise(401, "the credentials are not accepted",
        { detail = "the credential was used or removed meanwhile" })
    elseif not ok then
      return false
    end
    is_bound = is_bound or credential.one_time
  end
  return true
end

--- That a certificate was renewed, which is revoked some time later where the profile of the new
--- one says so (successions.lua).
---@param own { serial: string, issuer: string } what was renewed
---@param profile string
---@param successor string serial
function M.succeed(authority, own, profile, successor)
  local after = (authority.config.profiles[profile] or {}).revoke_previous
  if not after or own.serial == successor then return end
  M.run(authority.ledger, "succession_add", { serial = own.serial, issuer = own.issuer,
    successor = successor, due = authority.clock() + after })
end

--- Write an issued certificate, and that its request waits no longer.
---@param issued { issuer: string, cert: lest.cert, serial: string, der: string, profile: string,
--- facts: table, key_hash: string }
function M.certificate(authority, request, issued)
  local cert, serial, begin = issued.cert, issued.serial, request.begin
  M.run(authority.ledger, "certificate_add", {
    issuer = issued.issuer, serial = serial, der = issued.der, fingerprint = cert.fingerprint,
    subject = tostring(cert.subject), san = table.concat(cert.san, ","),
    principal_kind = request.principal.kind, principal_name = request.ledger_name,
    label = begin.label, operation = begin.operation, profile = issued.profile,
    key_hash = issued.key_hash or request.key_hash, request_id = request.id,
    not_before = cert.not_before,
    not_after = cert.not_after, issued_at = authority.clock(), renews = request.renews,
    facts = json.line(json.object(issued.facts)), device = request:other_device(),
  })
  if request.renews then
    M.succeed(authority, request.own, issued.profile, serial)
  end
  if request.cmc and request.label.confirm then
    M.run(authority.ledger, "confirmation_add", { serial = serial, issuer = issued.issuer,
      expires = authority.clock() + request.label.confirm })
  end
  if not request.pending then return end
  local changed = M.run(authority.ledger, "pending_issue",
    { id = request.pending.id, serial = serial, now = authority.clock() })
  if changed ~= 1 then error("the pending request was decided meanwhile", 0) end
end

return M
