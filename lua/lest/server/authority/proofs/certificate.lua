--- The proof "certificate": the TLS client certificate, whose chain is verified here again. Only
--- that the client holds its key is taken on the worker's word.
local core = require "lest.core"
local own = require "lest.server.authority.proofs.own"
local principal = require "lest.server.ledger.principal"
local refusal = require "lest.server.wire.refusal"

local M = {}

local function parse_chain(offered)
  local certs = {}
  for i, der in ipairs(offered) do
    local cert, err = core.cert.parse(der)
    if not cert then refusal.raise_for(400, err) end
    certs[i] = cert
  end
  return certs
end

--- Whether what the client offers besides its certificate is enough.
local function can_do_without(request)
  if request.operation.renews then return false end
  local others = {}
  for kind in pairs(request.label.accepts) do
    if kind ~= "certificate" then others[kind] = request.begin[kind] end
  end
  return request:is_satisfied_by(others)
end

local function rows_of(authority, statement, parameters)
  local rows, err = authority.ledger:rows(statement, parameters)
  if not rows then error(err) end
  return rows
end

local function refuse_if_revoked(row)
  if not row.revoked_at then return end
  refusal.raise(403, "the client certificate is revoked", { detail = row.serial })
end

--- A certificate of ours that was revoked is refused whatever else the label believes.
local function refuse_revoked(authority, cert)
  for _, row in ipairs(rows_of(authority, "certificate_find", { serial = cert.serial })) do
    if row.der == cert:der() then refuse_if_revoked(row) end
  end
end

--- One of ours: its row in the ledger, or nil, and whether a CA of ours has signed it. A revoked
--- one is refused, also where its CA has left the configuration since, and so is one that was
--- written anew around what was signed: an ECDSA signature (r, s) is as good as (r, n - s), and a
--- certificate without a row could not be revoked.
local function own_certificate(authority, chain)
  local parent = chain[2]
  if not parent then return nil end
  local id = core.secret.sha256(parent.public_key.der)
  local is_ours = authority.issuers_by_id[id] ~= nil
  local row = rows_of(authority, "certificate_get", { serial = chain[1].serial, issuer = id })[1]
  if not row then return nil, is_ours end
  refuse_if_revoked(row)
  if row.der ~= chain[1]:der() then
    refusal.raise(403, "the client certificate is not as it was issued", { detail = row.serial })
  end
  if is_ours then return row end
end

--- The verified chain to some anchors, the row of one of ours, and whether it should have one. A
--- CRL is required of strangers' CAs: of what has a row, the ledger knows. And nothing but what has
--- a row may have expired.
local function chain_to(authority, anchors, leaf, untrusted, grace)
  local crl_required = authority.config.crl_required
  local how = { untrusted = untrusted, purpose = "client", expired = grace }
  local chain, err = anchors.store:verify(leaf, how)
  if not chain then return nil, err end
  local row, is_ours = own_certificate(authority, chain)
  if (crl_required or grace > 0) and not row then
    how.crl_required, how.expired = crl_required, 0
    chain, err = anchors.store:verify(leaf, how)
    if not chain then return nil, err end
  end
  return chain, row, is_ours
end

--- The certificate, its row, the name of the anchors that vouch for it, and whether it is of a CA
--- of ours without a row; or a refusal. Where other proofs are enough, a certificate that the label
--- does not know takes nothing from them: nil.
local function verify(authority, request, certs)
  local leaf = table.remove(certs, 1)
  refuse_revoked(authority, leaf)
  local failure
  for _, name in ipairs(request.label.anchors) do
    local chain, row, is_ours = chain_to(authority, authority.anchors[name], leaf, certs,
      request:grace())
    if chain then return leaf, row, name, is_ours and not row end
    refusal.raise_memory(row)
    failure = failure or row
  end
  if can_do_without(request) then return nil end
  refusal.raise(403, "the client certificate is not accepted here",
    { detail = failure and failure.message })
end

---@param authority lest.authority
---@param request lest.authority.request
---@param offered string[] DER, the leaf first
function M.prove(authority, request, offered)
  local cert, row, anchors = own.find(authority, request, offered[1])
  if not cert then
    cert, row, anchors, request.is_unknown = verify(authority, request, parse_chain(offered))
    if not cert then return end
  end
  local name = principal.of_subject(cert)
  request.own = row
  local late = authority.clock() - cert.not_after
  request.expired_for = late > 0 and request:grace() > 0 and late or nil
  request:prove("certificate", { name = name, anchors = anchors },
    { kind = "certificate", name = name, anchors = anchors, certificate = cert },
    principal.of_certificate(anchors, cert))
end

return M
