--- The proof "bearer": a token (RFC 6750) of a credential in the ledger, which says whose it is.
---
--- None can be guessed: a good one is taken at any time. What was tried in vain counts for the
--- network alone, since a token that is nobody's names nobody.
local proof = require "lest.server.authority.proofs.credential"

local M = {}

---@param authority lest.authority
---@param request lest.authority.request
---@param token string
function M.prove(authority, request, token)
  proof.start(request, "bearer")
  local attempt = proof.attempt(authority, request)
  local credential, err = authority.credentials:check_token(token, request.purpose)
  if not credential then proof.refuse(request, err, attempt) end
  proof.take(authority, request, credential)
end

return M
