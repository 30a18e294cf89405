--- The PKIData of a Full PKI Request (RFC 5272 3.2): read, its signature checked, its controls
--- sorted. Nothing of it is believed but what the signature covers and a key of a known
--- certificate, or of a CSR in it, has made.
local admission = require "lest.server.authority.admission"
local cmc = require "lest.base.cmc"
local core = require "lest.core"
local message_module = require "lest.server.wire.message"
local record = require "lest.server.authority.record"
local refusal = require "lest.server.wire.refusal"

local M = {}

local SKI <const> = "2.5.29.14"
local ENVELOPED <const> = "pkcs7-envelopedData"

-- What a message may ask for: each thing is a control of the answer, and may be a certificate in
-- it, of which a message has 64.
local ASKED_MAX <const> = 40

-- The controls that are processed; another one fails the whole message (RFC 5272 3.2.1.1).
local ONCE <const> = { transactionId = true, senderNonce = true, recipientNonce = true,
  dataReturn = true, identification = true, identityProof = true, identityProofV2 = true,
  popLinkRandom = true, regInfo = true, batchRequests = true }
local MANY <const> = { queryPending = true, revokeRequest = true, getCert = true,
  getCRL = true, confirmCertAcceptance = true, lraPOPWitness = true, raIdentityWitness = true }

local REG_INFO_MAX <const> = core.message.REG_INFO_MAX

---@class lest.authority.cmc.identity
---@field name string
---@field over string
---@field witness string
---@field algorithm "sha256"|"sha1"

---@class lest.authority.cmc.message
---@field message lest.cmc
---@field certs? lest.cert[] the signer's, and what came along; nil: the key of a request signed
---@field label table of the configuration
---@field identity? lest.authority.cmc.identity the proof of a shared secret
---@field ids integer[] the body parts of the requests
---@field csrs table<integer, lest.csr> the requests, by their body parts

local function bad(reason, bodies)
  refusal.raise(400, reason, { failure = "badRequest", bodies = bodies })
end

local function unchecked(reason)
  refusal.raise(400, reason, { failure = "badMessageCheck" })
end

--- The requests that are of a form that is taken here.
local function read_requests(message)
  local csrs, ids = {}, {}
  for _, request in ipairs(message.requests) do
    if request.form == "orm" then
      refusal.raise(400, "requests are taken in the forms of PKCS#10 and CRMF alone",
        { status_word = "noSupport", bodies = { request.id } })
    end
    local csr, err = core.csr.parse(request.der)
    if not csr then
      refusal.raise_memory(err)
      bad(err.message, { request.id })
    end
    if (csr.form == "crmf") ~= (request.form == "crm") then
      bad("the request has another form than its place in the message says", { request.id })
    end
    csrs[request.id] = csr
    ids[#ids + 1] = request.id
  end
  return csrs, ids
end

--- The key identifier that a CSR says its key has.
local function key_id_of(csr)
  for _, extension in ipairs(csr.extensions) do
    local value = extension.oid == SKI and extension.value
    if value and #value == value:byte(2) + 2 then return value:sub(3) end
  end
end

--- The key of a request has signed (5272 3.2), where it says that it has this identifier.
local function signed_by_request(message, csrs)
  local key_id = message.signer.key_id
  for _, request in ipairs(key_id and message.requests or {}) do
    if key_id_of(csrs[request.id]) == key_id then return csrs[request.id].spki end
  end
end

local function is_signer(cert, signer)
  if signer.key_id then return cert.ski == signer.key_id end
  return cert.serial == signer.serial and cert.issuer == signer.issuer
end

--- Certificates that need not come along: that of the TLS client, one of the ledger.
local function known_certificate(authority, begin, signer)
  local leaf = begin.certificate and core.cert.parse(begin.certificate[1])
  if leaf and is_signer(leaf, signer) then return leaf end
  if not signer.serial then return nil end
  for _, row in ipairs(record.rows(authority.ledger, "certificate_find",
    { serial = signer.serial })) do
    local cert = core.cert.parse(row.der)
    if cert and is_signer(cert, signer) then return cert end
  end
end

--- The signer's certificate and what came along; nil where the key of a request signed.
local function check_signature(authority, begin, message, csrs)
  if not message.signer then unchecked "the message is not signed" end
  local spki = signed_by_request(message, csrs)
  local cert = not spki and (message.signer_certificate
    or known_certificate(authority, begin, message.signer))
  if not (spki or cert) then unchecked "nobody knows whose signature the message has" end
  local good, err = message:verify(spki or cert.public_key.der)
  if not good then
    refusal.raise_memory(err)
    unchecked(err.message)
  end
  if not cert then return nil end
  local certs = { cert }
  for _, other in ipairs(message.certificates) do
    if other ~= cert and #certs < message_module.CHAIN_MAX then certs[#certs + 1] = other end
  end
  return certs
end

local function check_controls(message)
  local seen = {}
  for _, control in ipairs(message.controls) do
    local name = control.name
    if not (name and (ONCE[name] or MANY[name])) then
      bad(("the control %s is not processed here"):format(name or control.oid), { control.id })
    end
    if ONCE[name] and seen[name] then bad(name .. " stands twice", { control.id }) end
    seen[name] = true
  end
  local nonce = cmc.find(message, "senderNonce")
  if nonce and #nonce > 256 then bad("the senderNonce has more than 256 bytes", { 0 }) end
  local reg_info = cmc.find(message, "regInfo")
  if reg_info and #reg_info > REG_INFO_MAX then
    bad(("the regInfo has more than %d bytes"):format(REG_INFO_MAX), { 0 })
  end
  local asked = #message.controls + #message.requests
  if asked == 0 then bad "the message asks for nothing" end
  if asked > ASKED_MAX then
    bad(("the message has more than %d controls and requests"):format(ASKED_MAX), { 0 })
  end
end

-- Hashes, and the keyed ones that go with them.
local ALGORITHMS <const> = {
  ["2.16.840.1.101.3.4.2.1 1.2.840.113549.2.9"] = "sha256",
  ["1.3.14.3.2.26 1.3.6.1.5.5.8.1.2"] = "sha1", ["1.3.14.3.2.26 1.2.840.113549.2.7"] = "sha1",
}

--- The algorithm of a keyed hash (RFC 5274 4.1), or a refusal: SHA-1 is for labels that say so.
---@param label table of the configuration
---@param value { digest: string?, mac: string? } without: one of SHA-1, which names none
---@param bodies integer[]
---@return "sha256"|"sha1"
function M.algorithm_of(label, value, bodies)
  local name = not value.digest and "sha1" or ALGORITHMS[value.digest .. " " .. value.mac]
  if name == "sha256" or name == "sha1" and label.cmc_sha1 then return name end
  refusal.raise(400, label.cmc_sha1 and "a witness is of SHA-256 or SHA-1, and HMAC with it"
    or "a witness is of SHA-256 and HMAC-SHA-256", { failure = "badAlg", bodies = bodies })
end

--- The identity proof (RFC 5272 6.2), which needs to say whose secret it is of (6.2.3).
local function identity_of(label, message)
  local proof, control = cmc.find(message, "identityProofV2")
  if not proof then
    local witness
    witness, control = cmc.find(message, "identityProof")
    proof = witness and { witness = witness }
  end
  local name = cmc.find(message, "identification")
  if not proof and not name then return nil end
  if not proof or not name then
    refusal.raise(400, "identification and an identity proof go together",
      { failure = "badIdentity" })
  end
  return { name = name, over = message.request_sequence, witness = proof.witness,
    algorithm = M.algorithm_of(label, proof, { control.id }) }
end

--- Read the bytes of a request's message; what they are is known before it is judged, so that an
--- answer can have its nonce.
---@param der string
---@return lest.cmc
function M.parse(der)
  local message, err = core.cmc.parse(der)
  if not message then
    refusal.raise_memory(err)
    if err.message:find(ENVELOPED, 1, true) then
      unchecked "no encrypted message can be opened here"
    end
    bad(err.message)
  end
  if message.kind ~= "request" then bad "the message is a response, not a request" end
  return message
end

--- Judge a message, or raise a refusal with what RFC 5272 calls it.
---@param authority lest.authority
---@param begin table the worker's message
---@param message lest.cmc
---@return lest.authority.cmc.message
function M.check(authority, begin, message)
  local csrs, ids = read_requests(message)
  local certs = check_signature(authority, begin, message, csrs)
  check_controls(message)
  local label = authority.config.labels[begin.label]
  return { message = message, certs = certs, csrs = csrs, ids = ids, label = label,
    identity = identity_of(label, message) }
end

--- RFC 5272 6.7: one request without its proof of possession fails them all. Whose message it is is
--- known by then: strangers could have keys of any size looked at.
---@param checked lest.authority.cmc.message
function M.check_possession(checked)
  local ids = checked.ids
  for _, id in ipairs(#ids > 1 and ids or {}) do
    local good, err = checked.csrs[id]:verify()
    if not good then
      refusal.raise_memory(err)
      refusal.raise(400, err.message, { failure = admission.failure_of(err), bodies = ids })
    end
  end
end

return M
