--- The proof "basic": a user name and a secret (RFC 7617) of a credential in the ledger.
local proof = require "lest.server.authority.proofs.credential"

local M = {}

---@param authority lest.authority
---@param request lest.authority.request
---@param offered { username: string, password: string }
function M.prove(authority, request, offered)
  proof.start(request, "basic")
  proof.take(authority, request, proof.check(authority, request, offered))
end

return M
