--- What must hold of a request before a policy is asked: the CSR's proof of possession, a key and
--- usages that the label gives, the rules for who renews what.
local core = require "lest.core"
local linking = require "lest.server.authority.linking"
local list = require "lest.base.list"
local profiles = require "lest.server.authority.profile"
local recipients = require "lest.server.authority.recipients"
local record = require "lest.server.authority.record"
local refusal = require "lest.server.wire.refusal"

local M = {}

--- Other names than the certificate's (ChangeSubjectName, RFC 7030 4.2.1 and 4.2.2) are for a
--- policy to grant; they are never passed over in silence.
local function check_change(authority, csr, names)
  if not csr.change then return end
  for _, name in ipairs(names) do
    local profile = authority.config.profiles[name]
    if profile and profile.names == "policy" then return end
  end
  refusal.raise(403, "a change of names (ChangeSubjectName) is not allowed here")
end

-- Bounds of the names in a verdict (`finish`): a policy could not grant more.
local NAMES_MAX <const>, NAME_MAX <const> = 128, 1024

--- Names that do not fit into a verdict are the client's mistake, whatever a policy makes of them.
local function check_size(csr)
  local san = csr.san
  if #san > NAMES_MAX then
    refusal.raise(400, ("there are more than %d alternative names"):format(NAMES_MAX))
  end
  local function check(name)
    if #name <= NAME_MAX then return end
    refusal.raise(400, ("a name is longer than %d bytes"):format(NAME_MAX))
  end
  for _, name in ipairs(san) do check(name) end
  for _, part in ipairs(csr.subject) do check(part[2]) end
end

--- A key of the CSR that a profile takes, or one that it makes: then the server "MUST ignore the
--- public key values and signature in the CSR" (RFC 7030 4.4.1).
local function check_key(profile, request)
  if request.operation.makes_key then return profile.server_keys ~= nil, "no keys are made here" end
  return profiles.check_key(profile, request.csr.key_type)
end

local FAILURES <const> = { csr_signature = "popFailed", csr_unproven = "popRequired" }

--- What RFC 5272 6.1.4 calls it that a CSR does not prove possession.
---@param err lest.error of csr:verify()
---@return string
function M.failure_of(err)
  return FAILURES[err.code] or "badAlg"
end

--- Proof of possession (RFC 7030 4.2.1), and a key and usages that some profile of the label takes.
local function check_csr(authority, request)
  local csr, names = request.csr, request.label.profiles
  local good, problem
  for _, name in ipairs(names) do
    local profile = authority.config.profiles[name]
    good, problem = check_key(profile, request)
    if good then good, problem = profiles.check_usage(profile, csr) end
    if good then break end
  end
  if not good then refusal.raise(400, problem) end
  check_change(authority, csr, names)
  check_size(csr)
  if request.operation.makes_key then return end
  local verified, err = csr:verify()
  if not verified then
    refusal.raise_memory(err)
    refusal.raise(400, err.message, { failure = M.failure_of(err) })
  end
end

--- A key that others may have enrolls nobody, unless some profile of the label says otherwise.
local function check_compromise(authority, request)
  for _, name in ipairs(request.label.profiles) do
    if not authority.config.profiles[name].refuse_compromised_keys then return end
  end
  if record.is_compromised(authority, request) then refusal.raise(403, profiles.COMPROMISED) end
end

--- Whoever holds a certificate of ours does not get around key_change by enrolling anew: some
--- profile of the label takes the key.
local function check_enrollment(authority, request)
  if not request.own then return end
  local good, problem
  for _, name in ipairs(request.label.profiles) do
    good, problem = profiles.check_key_change(authority.config.profiles[name],
      request.principal.certificate, request:key_hash_to_certify())
    if good then return end
  end
  refusal.raise(403, problem, { failure = "noKeyReuse" })
end

--- Whether a request has the names of a certificate, or what it lacks.
local function has_names_of(csr, cert)
  if not core.name.equal(csr.subject_der, cert.subject_der) then
    return nil, "the subject of the request is not that of the certificate being renewed"
  end
  if not core.san.equal(csr.san_der, cert.san_der) then
    return nil,
      "the subject alternative names of the request are not those of the certificate being renewed"
  end
  return true
end

--- RFC 7030 4.2.2: the client certificate is the one being renewed; it is ours, and the CSR has its
--- names. Another label may have asked another policy, or less, for those names: what it issued is
--- renewed here only where the configuration says so.
---
--- An RA of ours may renew for others (3.7), whose certificate it does not show: then none is being
--- renewed here, and the policy states the names, as for an enrollment.
local function check_renewal(authority, request)
  local csr, cert, own, label = request.csr, request.principal.certificate, request.own,
    request.label
  if not cert then refusal.raise(403, "renewal needs a TLS client certificate") end
  if request.is_unknown then
    refusal.raise(403, "the client certificate is not in the ledger, so it cannot be renewed here")
  elseif not own then
    refusal.raise(403,
      "the client certificate was not issued by this CA, so there is nothing to renew")
  end
  if not list.has(label.renews, own.label) then
    refusal.raise(403, "the client certificate was issued at another label")
  end
  if request.expired_for and csr.change then
    refusal.raise(403, "the client certificate has expired, so its names cannot be changed")
  end
  local good, problem = has_names_of(csr, cert)
  if not good and request:is_of_ra() then
    return check_enrollment(authority, request)
  elseif not good then
    refusal.raise(403, problem)
  end
  good, problem = profiles.check_key_change(
    authority.config.profiles[profiles.of_renewal(label, own)], cert, csr.key_hash)
  if not good then refusal.raise(403, problem, { failure = "noKeyReuse" }) end
  request.previous, request.renews = cert, cert.serial
end

--- Raise a refusal unless a policy may be asked about the request.
---@param authority lest.authority
---@param request lest.authority.request of a proven principal
function M.check(authority, request)
  check_csr(authority, request)
  linking.check(request)
  if request.operation.makes_key then
    request.recipient = recipients.find(authority, request)
  else
    check_compromise(authority, request)
  end
  local check = request.is_renewal and check_renewal or check_enrollment
  check(authority, request)
end

return M
