--- The proof "challenge": the secret of a credential as otpChallenge (RFC 7894 3.1) or
--- challengePassword (RFC 2985 5.4.1) of the CSR, whose common name says whose it is; or, in a
--- message of CMC, an identity proof that was made with it (RFC 5272 6.2).
local proof = require "lest.server.authority.proofs.credential"
local refusal = require "lest.server.wire.refusal"

local M = {}

-- A secret that can make such a proof is random: it cannot be guessed, and is taken at any time.
local function check_identity(authority, request, identity)
  local attempt = proof.attempt(authority, request, identity.name)
  local credential, link_keys = authority.credentials:check_witness(identity.name, identity,
    request.purpose)
  if not credential then proof.refuse(request, link_keys, attempt) end
  request.link_keys = link_keys
  return credential
end

---@param authority lest.authority
---@param request lest.authority.request whose CSR has a secret, or which has an identity proof
function M.prove(authority, request)
  local identity = request.identity
  local csr = request.csr
  local name = not identity and csr.subject.CN
  if not identity and not name then
    refusal.raise(401, "the subject has no common name, which says whose secret the CSR has")
  end
  proof.start(request, "challenge")
  proof.take(authority, request, identity and check_identity(authority, request, identity)
    or proof.check(authority, request, { username = name, password = request.secret }))
end

return M
