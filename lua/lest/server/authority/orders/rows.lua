--- Orders in the ledger: what was approved and a CA elsewhere is asked for, before it is asked, and
--- what came of it. All of it runs within a unit.
local core = require "lest.core"
local json = require "lest.json"
local principal = require "lest.server.ledger.principal"
local record = require "lest.server.authority.record"

local M = {}

local REASON_MAX <const> = 1000

local function binary(text) return text and core.base64.encode(text) end

--- What was approved, as a row keeps it.
local function plan_text(request, plan, profile, facts)
  local own = request.own
  return json.line { subject = binary(plan.subject_der), san = binary(plan.san_der),
    lifetime = plan.not_after - plan.now, key_usage = plan.key_usage, eku = plan.eku,
    profile = profile, facts = json.object(facts),
    own = own and { serial = own.serial, issuer = own.issuer } or nil }
end

--- The plan of a row, with its key.
---@param row table an order's
---@param csr string DER
function M.plan(row, csr)
  local plan = assert(json.decode(row.plan))
  plan.subject_der = assert(core.base64.decode(plan.subject))
  plan.san_der = plan.san and assert(core.base64.decode(plan.san))
  plan.public_key = assert(core.csr.parse(csr)).spki
  plan.key_usage, plan.eku = plan.key_usage or {}, plan.eku or {}
  return plan
end

--- Write an order.
---@param authority lest.authority
---@param request lest.authority.request
---@param order table state, tries, next_at, expires, issuer, plan, profile, facts
---@return table row
function M.add(authority, request, order)
  local id, now = assert(core.secret.random(12)), authority.clock()
  record.run(authority.ledger, "order_add", { id = id, request_id = request.id,
    ca = order.issuer.name, issuer = order.issuer.id, label = request.begin.label,
    operation = request.begin.operation, principal_kind = request.principal.kind,
    principal_name = request.ledger_name, key_hash = request.key_hash,
    plan = plan_text(request, order.plan, order.profile, order.facts), state = order.state,
    tries = order.tries, next_at = order.next_at, expires = order.expires, now = now })
  return M.get(authority, id)
end

function M.get(authority, id)
  return record.rows(authority.ledger, "order_get", { id = id })[1]
end

--- The open order of a request, whichever connection or process asked first; nil for none.
function M.find(authority, request)
  return record.rows(authority.ledger, "order_find", { principal_kind = request.principal.kind,
    principal_name = request.ledger_name, label = request.begin.label,
    operation = request.begin.operation, key_hash = request.key_hash })[1]
end

--- The request that an order is of.
function M.request(authority, row)
  return record.rows(authority.ledger, "request_get", { id = row.request_id })[1]
end

function M.is_open(row)
  return row.state == "asked" or row.state == "held" or row.state == "later"
end

--- End an order without a certificate.
---@param state "refused"|"failed"|"away"|"lost"|"expired"|"revoked"
---@param problem? string for operators
function M.close(authority, row, state, problem)
  record.run(authority.ledger, "order_end", { id = row.id, state = state,
    problem = problem and problem:sub(1, REASON_MAX), now = authority.clock() })
end

--- Ask again at a time.
function M.put_off(authority, row, change)
  record.run(authority.ledger, "order_put_off", { id = row.id, state = change.state,
    next_at = change.next_at, retry_after = change.retry_after, note = change.note,
    problem = change.problem and change.problem:sub(1, REASON_MAX), now = authority.clock() })
end

--- As if it had not been claimed: nothing was sent.
---@param problem? string for operators
function M.put_back(authority, row, problem)
  record.run(authority.ledger, "order_put_back", { id = row.id, now = authority.clock(),
    problem = problem and problem:sub(1, REASON_MAX) })
end

--- Begin to ask, until a time. False: another authority has, or it is over.
function M.claim(authority, row, lease)
  local now = authority.clock()
  return record.run(authority.ledger, "order_claim",
    { id = row.id, now = now, ["until"] = now + lease }) == 1
end

-- The ids of the credentials that a request was proven by.
local function credential_ids(request)
  local all = request.principal and json.decode(request.principal) or {}
  return all.credentials or { request.credential_id }
end

--- Why an order must not be gone on with: what operators have ended since it was approved.
---@return string|nil problem
function M.vetoed(authority, row, request)
  local own = json.decode(row.plan).own
  local found = own and record.rows(authority.ledger, "certificate_get", own)[1]
  if own and (not found or found.revoked_at) then return "the client certificate is revoked" end
  for _, id in ipairs(credential_ids(request)) do
    if not record.rows(authority.ledger, "credential_get", { id = id })[1] then
      return "the credential was removed"
    end
  end
end

--- Use up the one-time secrets that the order holds.
local function consume(authority, row, request)
  local label, now = authority.config.labels[row.label], authority.clock()
  for _, id in ipairs(credential_ids(request)) do
    local found = record.rows(authority.ledger, "credential_get", { id = id })[1]
    if found and found.one_time == 1 then
      record.run(authority.ledger, "credential_use", { seq = found.seq, id = id, now = now,
        key_hash = row.key_hash, label = row.label, operation = row.operation,
        bound_until = now + (label and label.lost_answer or 0) })
    end
  end
end

--- Write the certificate that came, as one of ours is written.
---@param cert lest.cert
---@param der string
function M.issued(authority, row, request, plan, cert, der)
  local ledger, now, serial = authority.ledger, authority.clock(), cert.serial
  consume(authority, row, request)
  record.run(ledger, "request_issued", { id = row.request_id, serial = serial })
  record.run(ledger, "certificate_add", {
    issuer = row.issuer, serial = serial, der = der, fingerprint = cert.fingerprint,
    subject = tostring(cert.subject), san = table.concat(cert.san, ","),
    principal_kind = row.principal_kind, principal_name = row.principal_name, label = row.label,
    operation = row.operation, profile = plan.profile, key_hash = row.key_hash,
    request_id = row.request_id, not_before = cert.not_before, not_after = cert.not_after,
    issued_at = now, renews = request.previous, facts = json.line(json.object(plan.facts)),
    device = request.device ~= row.principal_name and request.device or nil,
  })
  if request.previous and plan.own then
    record.succeed(authority, plan.own, plan.profile, serial)
  end
  if request.pending_id then
    record.run(ledger, "pending_issue", { id = request.pending_id, serial = serial, now = now })
  end
  record.run(ledger, "order_end", { id = row.id, state = "issued", serial = serial, now = now })
end

--- What an RA has asked for is about another device, which will prove itself by that certificate.
function M.name_device(request, plan)
  local asker = request.principal
  if not request:is_of_ra() or core.name.equal(plan.subject_der, asker.certificate.subject_der) then
    return
  end
  request.device = principal.of_certificate(asker.anchors, {
    subject = assert(core.name.decode(plan.subject_der)),
    san = plan.san_der and assert(core.san.decode(plan.san_der)) or {} })
end

return M
