--- The proof "psk": a handshake with the key of a credential, which this authority has given out
--- for it. What the worker shows is the grant that it got with the key: that it was used for this
--- very connection is taken on its word, as that a client holds the key of its certificate is.
local handshake = require "lest.server.authority.proofs.handshake"

local M = {}

---@param authority lest.authority
---@param request lest.authority.request
---@param grant string
function M.prove(authority, request, grant)
  handshake.prove(authority, request, "psk", grant)
end

return M
