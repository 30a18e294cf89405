--- The proof "challenge": the secret of a credential as otpChallenge (RFC 7894 3.1) or
--- challengePassword (RFC 2985 5.4.1) of the CSR, whose common name says whose it is.
local proof = require "lest.server.authority.proofs.credential"
local refusal = require "lest.server.wire.refusal"

local M = {}

---@param authority lest.authority
---@param request lest.authority.request whose CSR has a secret
function M.prove(authority, request)
  local csr = request.csr
  local name = csr.subject.CN
  if not name then
    refusal.raise(401, "the subject has no common name, which says whose secret the CSR has")
  end
  proof.start(request, "challenge")
  proof.take(authority, request, proof.check(authority, request,
    { username = name, password = request.secret }))
end

return M
