--- What follows from a verdict: a certificate, or a request that waits.
local core = require "lest.core"
local history = require "lest.server.authority.history"
local principal = require "lest.server.ledger.principal"
local profiles = require "lest.server.authority.profile"
local record = require "lest.server.authority.record"

local M = {}

--- Who shows a certificate that has expired gets its names again, and no others.
local function changes_expired(request, plan)
  local previous = request.expired_for and request.previous
  return previous and not (core.name.equal(plan.subject_der, previous.subject_der)
    and core.san.equal(plan.san_der, previous.san_der))
end

--- What the profile makes of an approval, or why it does not.
local function plan_of(authority, request, finish, name, issuer)
  local plan, problem, about = profiles.plan_by(authority.config.profiles, request.label, name, {
    verdict = finish, principal = request.principal, previous = request.previous, csr = request.csr,
    own = request.own and request.principal.certificate,
    ca = issuer.cert, issuer = issuer, public_url = authority.public_url,
    now = authority.clock(),
    makes_key = request.operation.makes_key, made = request.made and request.made:public_der(),
  })
  if plan and changes_expired(request, plan) then
    return nil, "the certificate has expired, and is renewed with its own names or not at all"
  end
  return plan, problem, about
end

--- What the policy let pass and something else does not; `extra` is for the ledger.
---@return table answer
local function refuse(authority, request, finish, answer, extra)
  extra.reason = answer.reason
  local verdict = answer.retry_after and "unavailable" or "reject"
  record.request(authority, request, finish, verdict, extra)
  return answer
end

--- An approval of what cannot be issued. Where the client asked for that, it is told so; else it is
--- a mistake of the policy, and the client learns the id only.
local function refuse_plan(authority, request, finish, name, problem, about)
  local profile = authority.config.profiles[name]
  local verdict = profiles.verdict_of(profile, request.principal, request.csr, problem, about)
  local remedy = profiles.remedy(name, profile, problem)
  if verdict == "reject" then
    return refuse(authority, request, finish, { status = 400, reason = problem },
      { profile = name, detail = remedy })
  end
  if remedy then problem = problem .. ": " .. remedy end
  core.log.write("error", "approval refused by the profile",
    { "id", request.id, "policy", finish.policy_file, "profile", name, "message", problem })
  record.request(authority, request, finish, "error", { detail = problem, profile = name })
  return { status = 500, reason = "the request " .. request.id .. " failed" }
end

--- What an RA has asked for is about another device, which will prove itself by that certificate.
local function name_device(request, cert)
  local asker = request.principal
  if not request:is_of_ra() or core.name.equal(cert.subject_der, asker.certificate.subject_der) then
    return
  end
  request.device = principal.of_certificate(asker.anchors, cert)
end

local function refuse_used(authority, request, finish)
  return refuse(authority, request, finish,
    { status = 401, reason = "the credentials are not accepted" },
    { detail = "the credential was used or removed meanwhile" })
end

--- What operators may have done while the policy decided: revoked, or rejected what the policy was
--- told to be waiting.
---@return string|nil reason
local function vetoed(authority, request, profile_name)
  if request.own and record.is_revoked(authority, request.own) then
    return "the client certificate is revoked"
  end
  if not request.made and authority.config.profiles[profile_name].refuse_compromised_keys
    and record.is_compromised(authority, request) then
    return profiles.COMPROMISED
  end
  return request.pending and record.rejection(authority, request.pending)
end

--- Have a CA elsewhere sign it.
local function order(authority, request, finish, plan, issuer, name)
  local answer = authority.orders:place(request, finish, plan, { issuer = issuer, profile = name,
    refuse = function(answer, extra) return refuse(authority, request, finish, answer, extra) end,
    refuse_used = function() return refuse_used(authority, request, finish) end })
  if answer.order then authority.issued[name]:count "all" end
  return answer
end

--- Sign what was approved and record it; the caller's transaction makes both durable or neither.
---@return table answer
function M.issue(authority, request, finish)
  local label = request.label
  local name = profiles.of_approval(label, finish.profile, request.previous and request.own)
  local ca, unknown = profiles.ca_of(label, finish.ca)
  if not ca then return refuse_plan(authority, request, finish, name, unknown) end
  local issuer = authority.issuers[ca]
  local plan, problem, about = plan_of(authority, request, finish, name, issuer)
  if not plan then return refuse_plan(authority, request, finish, name, problem, about) end
  request.key_is_known = nil -- asked anew: the policy took its time
  local reason = vetoed(authority, request, name)
  if reason then
    return refuse(authority, request, finish, { status = 403, reason = reason }, { profile = name })
  end
  -- A client that asked twice while it was decided gets one certificate; a one-time secret finds
  -- out by itself.
  local given = not record.once_id(request) and record.lost_answer(authority, request)
  if given then return given end
  if history.has_changed(authority, request) then
    return refuse(authority, request, finish, { status = 503, retry_after = 1,
      reason = "another request was decided meanwhile" },
      { detail = "a certificate was issued since the policy looked at request.history",
        profile = name })
  end
  local wait = authority.issued[name]:wait "all"
  if wait then
    return refuse(authority, request, finish,
      { status = 503, reason = "too many certificates are being issued", retry_after = wait },
      { detail = "the profile's per_minute is reached", profile = name })
  end
  if not issuer.issuer then return order(authority, request, finish, plan, issuer, name) end
  -- Before the secret is used up: it is good for another request if this one cannot be signed.
  local der, err = issuer.issuer:issue(plan)
  if not der then return refuse_plan(authority, request, finish, name, tostring(err)) end
  if not record.consume(authority, request, "use", authority.clock() + label.lost_answer) then
    return record.lost_answer(authority, request) or refuse_used(authority, request, finish)
  end
  local cert = assert(core.cert.parse(der))
  local serial = cert.serial
  name_device(request, cert)
  record.request(authority, request, finish, "approve", { profile = name, serial = serial })
  record.certificate(authority, request, {
    issuer = issuer.id, cert = cert, serial = serial, der = der, profile = name,
    facts = finish.facts, key_hash = request.made and request.made.hash or request.key_hash,
  })
  authority.outbox:issued(request, issuer.id, serial)
  authority.issued[name]:count "all"
  local answer = { certificate = der, serial = serial, profile = name }
  if request.made then
    answer.key = request.sealed or assert(request.made:der())
    answer.enveloped = request.sealed ~= nil
  end
  return answer
end

local REASON_MAX <const> = 1000 -- bytes of an answer's

--- What a client is told that waits: the policy's words, and what it may have missed.
local function waiting_words(authority, request, finish)
  local reason = finish.reason or "the request waits for a decision"
  local ended = not request.pending and record.ended(authority, request) or ""
  return #reason + #ended <= REASON_MAX and reason .. ended or reason
end

--- Wait, or go on waiting, and let operators know what the policy still wants.
local function put_pending(authority, request, finish, expires)
  local now, pending = authority.clock(), request.pending
  local id = pending and pending.id or core.secret.random(6)
  request.pending_id = id
  record.request(authority, request, finish, "pending", { pending_id = id })
  record.run(authority.ledger, "pending_put", {
    id = id, request_id = request.id, now = now, expires = expires, label = request.begin.label,
    operation = request.begin.operation, principal_kind = request.principal.kind,
    principal_name = request.ledger_name, key_hash = request.key_hash, csr = request.begin.csr,
    subject = tostring(request.csr.subject), reason = finish.reason,
    device = request:other_device(), needed = finish.needed,
    retry_after = finish.retry_after or request.label.retry_after,
    credential_id = record.once_id(request),
  })
  if not pending then return end
  record.run(authority.ledger, "pending_settle", { id = id, seen = #request.approvals, now = now })
end

--- Keep a request until an operator has decided; the same key finds it again.
---@return table answer
function M.hold(authority, request, finish)
  local label, now = request.label, authority.clock()
  local retry_after = finish.retry_after or label.retry_after
  request.pending = request.pending and record.still_pending(authority, request.pending)
  local rejection = request.pending and record.rejection(authority, request.pending)
  if rejection then
    return refuse(authority, request, finish, { status = 403, reason = rejection }, {})
  end
  record.run(authority.ledger, "pending_expire", { now = now })
  local most = authority.config.limits.pending_per_principal
  if not request.pending and record.count_pending(authority, request) >= most then
    return refuse(authority, request, finish, { status = 429,
      reason = "too many requests wait for a decision", retry_after = retry_after,
    }, { detail = ("limits.pending_per_principal (%d) is reached"):format(most) })
  end
  local expires = request.pending and request.pending.expires
    or now + (finish.expires or label.pending_expires)
  if not record.consume(authority, request, "reserve", expires) then
    return refuse_used(authority, request, finish)
  end
  local words = waiting_words(authority, request, finish)
  put_pending(authority, request, finish, expires)
  return { status = 202, reason = words, retry_after = retry_after }
end

return M
