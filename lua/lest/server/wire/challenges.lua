--- What the challenge attributes of a CSR (RFC 2985 5.4.1, RFC 7894 3) are at a label, for both
--- ends of the socket.
local M = {}

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

return M
