--- What a client offers as the proof "srp" is its handshake, with a password (RFC 5054), whose
--- verifier the authority has given out for it.
local handshake = require "lest.server.worker.proofs.handshake"

local M = {}

---@param exchange lest.exchange
---@param request lest.worker.request whose `claimed` is set
---@return string|nil grant
function M.collect(exchange, request)
  return handshake.grant(exchange, request, "srp")
end

return M
