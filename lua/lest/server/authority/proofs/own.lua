--- A certificate that this CA issued is known by its bytes: the ledger's row has the same DER, so
--- it was signed here, and no chain of signatures need be computed again. What time can change is
--- still looked at: its dates, its revocation, and whether the label's anchors vouch for the CA.
---
--- Whatever is out of the ordinary (CRLs, name constraints, usages) is not judged here but left to
--- the verification of the whole chain, which also has the words for a refusal.
local core = require "lest.core"
local list = require "lest.base.list"
local refusal = require "lest.server.wire.refusal"

local M = {}

local NAME_CONSTRAINTS <const> = "2.5.29.30"
local KEEP_S <const> = 60

local function allows(usages, usage)
  return #usages == 0 or list.has(usages, usage)
end

--- Whether the chain of a CA leaves every client certificate of it alone.
local function is_plain(chain)
  for i, cert in ipairs(chain) do
    -- The CA was verified as the end of the chain, where its parents' path length says nothing.
    if not allows(cert.eku, "clientAuth") or i > 1 and cert.path_len then return false end
    for _, extension in ipairs(cert.extensions) do
      if extension.oid == NAME_CONSTRAINTS then return false end
    end
  end
  return true
end

--- Whether the anchors vouch for a CA of ours, as they did within the last minute.
local function vouch(anchors, issuer, now)
  local known = anchors.vouched[issuer.id]
  if known and now >= known.from and now < known.from + KEEP_S then return known.good end
  local chain, err = anchors.store:verify(issuer.cert, { at = now })
  refusal.raise_memory(err)
  local good = chain ~= nil and is_plain(chain)
  anchors.vouched[issuer.id] = { from = now, good = good }
  return good
end

--- Whether this certificate of the CA is the one that a certificate names as its issuer: a CA may
--- have had another name with the same key, which other anchors vouch for.
local function is_issuer(ca, cert)
  return ca.subject_der == cert.issuer_der and (not cert.aki or cert.aki == ca.ski)
end

--- The certificate, its row and the name of the label's anchors; nil where it must be verified. It
--- may have expired, by as much as the request has grace.
---@param authority lest.authority
---@param request lest.authority.request
---@param der string of the leaf
---@return lest.cert|nil cert
---@return table|nil row
---@return string|nil anchors
function M.find(authority, request, der)
  if #authority.config.crls > 0 then return nil end
  local cert = core.cert.parse(der)
  if not cert then return nil end
  local rows, err = authority.ledger:rows("certificate_find", { serial = cert.serial })
  if not rows then error(err) end
  local now = authority.clock()
  if now < cert.not_before or now > cert.not_after + request:grace()
    or not allows(cert.eku, "clientAuth") or not allows(cert.key_usage, "digitalSignature") then
    return nil
  end
  for _, row in ipairs(rows) do
    local issuer = row.der == der and not row.revoked_at and authority.issuers_by_id[row.issuer]
    local good = issuer and is_issuer(issuer.cert, cert)
    for _, name in ipairs(good and request.label.anchors or {}) do
      if vouch(authority.anchors[name], issuer, now) then return cert, row, name end
    end
  end
end

return M
