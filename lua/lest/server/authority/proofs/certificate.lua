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

--- A certificate of ours that was revoked is refused whatever else the label believes.
local function refuse_revoked(authority, cert)
  local rows, err = authority.ledger:rows("certificate_find", { serial = cert.serial })
  if not rows then error(err) end
  for _, row in ipairs(rows) do
    if row.revoked_at and row.der == cert:der() then
      refusal.raise(403, "the client certificate is revoked", { detail = cert.serial })
    end
  end
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

--- The name of the anchors and the verified chain of a client certificate, or a refusal. Where
--- other proofs are enough, a certificate that the label does not know takes nothing from them:
--- nil.
local function verify(authority, request, certs)
  local leaf = table.remove(certs, 1)
  local failure
  for _, name in ipairs(request.label.anchors) do
    local chain, err = authority.anchors[name].store:verify(leaf,
      { untrusted = certs, purpose = "client" })
    if chain then return name, chain end
    refusal.raise_memory(err)
    failure = failure or err
  end
  refuse_revoked(authority, leaf)
  if can_do_without(request) then return nil end
  refusal.raise(403, "the client certificate is not accepted here",
    { detail = failure and failure.message })
end

--- One of ours: its row in the ledger, or nil, and whether a CA of ours has signed it. A revoked
--- one is refused, and so is one that was written anew around what was signed: an ECDSA signature
--- (r, s) is as good as (r, n - s), and a certificate without a row could not be revoked.
local function own_certificate(authority, chain)
  local parent = chain[2]
  local issuer = parent and authority.issuers_by_key[parent.public_key.der]
  if not issuer then return nil end
  local rows, err = authority.ledger:rows("certificate_get",
    { serial = chain[1].serial, issuer = issuer.id })
  if not rows then error(err) end
  local row = rows[1]
  if not row then return nil, true end
  local which = { detail = row.serial }
  if row.revoked_at then refusal.raise(403, "the client certificate is revoked", which) end
  if row.der ~= chain[1]:der() then
    refusal.raise(403, "the client certificate is not as it was issued", which)
  end
  return row
end

local function name_of(cert)
  return cert.subject.CN or (#cert.subject > 0 and tostring(cert.subject)) or cert.san[1]
    or cert.serial
end

---@param authority lest.authority
---@param request lest.authority.request
---@param offered string[] DER, the leaf first
function M.prove(authority, request, offered)
  local cert, row, anchors = own.find(authority, request, offered[1])
  if not cert then
    local chain
    anchors, chain = verify(authority, request, parse_chain(offered))
    if not anchors then return end
    cert = chain[1]
    row, request.is_unknown = own_certificate(authority, chain)
  end
  local name = name_of(cert)
  request.own = row
  request:prove("certificate", { name = name, anchors = anchors },
    { kind = "certificate", name = name, anchors = anchors, certificate = cert },
    principal.of_certificate(anchors, cert))
end

return M
