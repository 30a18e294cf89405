--- What a message of CMC asks for beside certificates: to revoke one, to get one that was issued,
--- or a CRL, to confirm one (RFC 5272 6.9 to 6.11, 6.14).
local cmc = require "lest.base.cmc"
local confirmations = require "lest.server.authority.cmc.confirmations"
local core = require "lest.core"
local list = require "lest.base.list"
local passphrases = require "lest.server.authority.passphrases"
local record = require "lest.server.authority.record"
local refusal = require "lest.server.wire.refusal"

local M = {}

-- CRLs in an answer, and their bytes with those in all of a batch: it is one packet of the channel,
-- with certificates beside them.
local CRLS_MAX <const>, CRL_BYTES_MAX <const> = 16, 65536

-- What is not for good is not taken.
local REASONS <const> = {}
for word, number in pairs(cmc.REASONS) do REASONS[number] = word end

--- The ledger's row and the certificate that a control names, or a refusal. One that is there and
--- one that is not look alike to those whose it is not.
local function find(authority, named)
  for _, row in ipairs(record.rows(authority.ledger, "certificate_find",
    { serial = named.serial })) do
    local cert = core.cert.parse(row.der)
    if cert and authority.issuers_by_id[row.issuer]
      and core.name.equal(cert.issuer_der, named.issuer_der) then
      return row, cert
    end
  end
end

-- The same names at another label may be somebody else's: they count among the labels whose
-- certificates are renewed here.
local function is_own(request, row, cert)
  local own, renews = request.own, request.label.renews
  if not own or not list.has(renews, row.label) then return false end
  if request:is_of_ra() then return true end
  local shown = request.principal.certificate
  return list.has(renews, own.label) and core.name.equal(cert.subject_der, shown.subject_der)
    and core.san.equal(cert.san_der, shown.san_der)
end

--- Look at the passphrase of a revocation before the ledger's transaction, since that takes time.
---@param authority lest.authority
---@param request lest.authority.request
---@param control { name: string, value: table }
function M.prepare(authority, request, control)
  local named = control.value
  if control.name ~= "revokeRequest" or not named.passphrase then return end
  named.is_known = passphrases.is_known(authority, request, find(authority, named), named.serial,
    named.passphrase)
end

--- One of the asker's own, whose names it has, or whose passphrase it knows; an RA of ours has
--- everybody's (RFC 5272 6.11).
local function find_own(authority, request, named)
  local row, cert = find(authority, named)
  if not (row and (named.is_known or is_own(request, row, cert))) then
    refusal.raise(403, "the asker has no such certificate", { failure = "badCertId" })
  end
  return row, cert
end

local function revoke(authority, request, named)
  local reason = REASONS[named.reason]
  if not reason then
    refusal.raise(400, "a certificate is not revoked for this reason", { failure = "badRequest" })
  end
  local row = find_own(authority, request, named)
  if row.revoked_at then return end -- the same request, once more
  record.revoke(authority.ledger, row, { reason = reason, by = request:who(),
    now = authority.clock() })
  core.log.write("info", "revoked by its holder", { "id", request.id, "serial", row.serial,
    "principal", request:who(), "reason", reason })
end

local function no_crl(reason)
  refusal.raise(400, reason, { status_word = "noSupport" })
end

-- A CRL for the answer to a message: each once, and no more than a packet of the channel can have.
local function take_crl(talk, each)
  local whole, given = talk.outer or talk, talk.said.crls
  if given[each.path] then return nil end
  if not each.sealed then refusal.raise(503, "the CRL is not made yet") end
  whole.crl_bytes = (whole.crl_bytes or 0) + each.sealed.size
  if whole.crl_bytes > CRL_BYTES_MAX or #given == CRLS_MAX then
    no_crl("the CRL is too long for a message of CMC: fetch it at " .. each.path)
  end
  given[each.path] = true
  return assert(core.crl.parse(each.sealed:bytes()))
end

--- The CRLs of all keys that have the issuer's name: who asks tells them apart by their keys, and a
--- cRLName or reasons choose among parts, of which a CRL here has none (RFC 5272 6.10). They are
--- public, and so for each whom the label knows.
local function get_crls(authority, request, named)
  local crls = {}
  local all = authority.crls:of_issuer(named.issuer_der)
  if #all == 0 then no_crl "there is no CRL of this issuer here" end
  for _, each in ipairs(all) do
    local crl = take_crl(request.cmc, each)
    if crl and named.time and crl.this_update >= named.time then
      no_crl "only the newest CRL is kept here, and it is of a later time"
    end
    table.insert(crls, crl)
  end
  return { crls = crls }
end

--- Each by the name of its control: fn(authority, request, value) gives what goes along, lists of
--- `certificates` and `crls`, or raises.
M.by_name = {
  revokeRequest = revoke,
  getCert = function(authority, request, named)
    return { certificates = { (select(2, find_own(authority, request, named))) } }
  end,
  getCRL = get_crls,
  confirmCertAcceptance = function(authority, request, named)
    confirmations.done(authority, (find_own(authority, request, named)))
  end,
}

return M
