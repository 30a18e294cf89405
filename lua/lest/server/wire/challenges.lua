--- What the challenge attributes of a CSR (RFC 2985 5.4.1, RFC 7894 3) are at a label, for both
--- ends of the socket.
local core = require "lest.core"

local M = {}

--- The attributes that may link a CSR to its connection (RFC 7030 3.5): the field of the CSR, and
--- the name of the attribute.
M.LINKS = { { "challenge_password", "challengePassword" },
  { "identity_linking", "estIdentityLinking" } }

--- Whether a CSR has what may be a link, and the label looks at it.
---@param csr lest.csr
---@param channel_binding "required"|"verified"|"off" of the label
---@return boolean
function M.may_link(csr, channel_binding)
  return channel_binding ~= "off"
    and (csr.challenge_password or csr.identity_linking) ~= nil
end

--- The CSR's bytes without the secrets that are neither for a policy nor for an operator: those by
--- which a client authenticates, and that by which it will ask to revoke.
---@param csr lest.csr
---@param label { accepts: table<string, boolean> }
---@return string|nil der nil: there are none
function M.masked(csr, label)
  if label.accepts.challenge and M.secret(csr) then
    return csr:masked("challenge_password", "otp_challenge", "revocation_challenge")
  end
  return csr.revocation_challenge and csr:masked "revocation_challenge" or nil
end

--- The secret of the proof "challenge": otpChallenge says that it is one, and challengePassword is
--- one where that does not.
---@param csr lest.csr
---@return string|nil
function M.secret(csr)
  return csr.otp_challenge or csr.challenge_password
end

--- CSR attributes with what the label needs in every CSR (RFC 7030 4.5.2, RFC 7894 4): the binding
--- where it is required, under both names where challengePassword may be a secret, and the secret.
---@param der string|nil the others
---@param label { accepts: table<string, boolean>, options: { channel_binding: string } }
---@return string|nil der
---@return lest.error|nil err
function M.named(der, label)
  local needed, takes_secret = {}, label.accepts.challenge
  if label.options.channel_binding == "required" then
    needed.challenge_password = "challengePassword"
    needed.identity_linking = takes_secret and "estIdentityLinking" or nil
  end
  needed.otp_challenge = takes_secret and "otpChallenge" or nil
  if not next(needed) then return der end
  local entries, err = core.csrattrs.decode(der or "\x30\x00")
  if not entries then return nil, err end
  local wishes = assert(core.csrattrs.wishes(entries))
  for _, field in ipairs { "challenge_password", "identity_linking", "otp_challenge" } do
    if needed[field] and not wishes[field] then table.insert(entries, needed[field]) end
  end
  return core.csrattrs.encode(entries)
end

return M
