--- Whom a key that is made here is encrypted for (RFC 7030 4.4.1.1 and 4.4.1.2): the attributes of
--- the CSR that say so. Who asks for encryption gets it, or no key.
local core = require "lest.core"
local record = require "lest.server.authority.record"
local refusal = require "lest.server.wire.refusal"

local M = {}

local DECRYPT <const> = "1.2.840.113549.1.9.16.2.37"
local ASYMMETRIC <const> = "1.2.840.113549.1.9.16.2.54"
local CAPABILITIES <const> = "1.2.840.113549.1.9.15"
local NAMES <const> = { [DECRYPT] = "DecryptKeyIdentifier",
  [ASYMMETRIC] = "AsymmetricDecryptKeyIdentifier", [CAPABILITIES] = "SMIMECapabilities" }

-- The newest certificates of a device among which one is looked for.
local CERTIFICATES_MAX <const> = 32

---@class lest.authority.recipient
---@field cert? lest.cert
---@field shared? string a key of the ledger
---@field id? string how the client calls that
---@field capabilities string DER

-- The value of each attribute that is about encryption.
local function values_of(csr)
  local found = {}
  for _, attribute in ipairs(csr.attributes) do
    local oid = attribute.oid
    if NAMES[oid] then
      if found[oid] or #attribute.values ~= 1 then
        refusal.raise(400, ("the CSR has more than one value of %s"):format(NAMES[oid]))
      end
      found[oid] = attribute.values[1]
    end
  end
  return found
end

local function hex(bytes)
  return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

-- A certificate of the device's that holds now and whose key is called so.
local function find_certificate(authority, request, ski)
  local shown, now = request.principal.certificate, authority.clock()
  if shown and shown.ski == ski and not request.expired_for then return shown end
  for _, row in ipairs(record.rows(authority.ledger, "certificate_list_device",
    { device = request.device, state = "valid", now = now, limit = CERTIFICATES_MAX })) do
    local cert = core.cert.parse(record.rows(authority.ledger, "certificate_get",
      { serial = row.serial, issuer = row.issuer })[1].der)
    if cert and cert.ski == ski then return cert end
  end
  refusal.raise(400, "no certificate of yours has the key identifier in "
    .. "AsymmetricDecryptKeyIdentifier")
end

-- A key of the device's, called by its name or by the credential's id.
local function find_shared(authority, request, id)
  local key, err
  if request.device and core.utf8.is_text(id) then
    key, err = authority.credentials:wrap_key(request.device, id)
  end
  if err then error(err) end
  if not key then
    refusal.raise(400, "no shared key of yours has the identifier in DecryptKeyIdentifier")
  end
  return key
end

--- The recipient that the CSR names; nil where it asks for no encryption.
---@param authority lest.authority
---@param request lest.authority.request of a proven principal
---@return lest.authority.recipient|nil
function M.find(authority, request)
  local values = values_of(request.csr)
  local wanted = values[ASYMMETRIC] or values[DECRYPT]
  if not wanted then return nil end
  if values[ASYMMETRIC] and values[DECRYPT] then
    refusal.raise(400, "the CSR names two keys to encrypt with")
  elseif not values[CAPABILITIES] then
    refusal.raise(400, "the CSR asks for encryption, and has no SMIMECapabilities")
  end
  local id, err = core.envelope.read_identifier(wanted)
  if not id then refusal.raise_for(400, err) end
  local recipient = { capabilities = values[CAPABILITIES] }
  if values[DECRYPT] then
    recipient.shared, recipient.id = find_shared(authority, request, id), id
  else
    recipient.cert = find_certificate(authority, request, hex(id))
  end
  return recipient
end

return M
