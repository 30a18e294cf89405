--- The proof "srp": a handshake with the password of a credential (RFC 5054), whose verifier this
--- authority has given out for it; else as "psk".
local handshake = require "lest.server.authority.proofs.handshake"

local M = {}

---@param authority lest.authority
---@param request lest.authority.request
---@param grant string
function M.prove(authority, request, grant)
  handshake.prove(authority, request, "srp", grant)
end

return M
