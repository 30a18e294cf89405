--- What a client offers as the proof "psk" is its handshake, with a pre-shared key (RFC 8446
--- 4.2.11, RFC 4279), which the authority has given out for it.
local handshake = require "lest.server.worker.proofs.handshake"

local M = {}

---@param exchange lest.exchange
---@param request lest.worker.request whose `claimed` is set
---@return string|nil grant
function M.collect(exchange, request)
  return handshake.grant(exchange, request, "psk")
end

return M
