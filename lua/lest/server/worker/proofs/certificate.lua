--- What a client offers as the proof "certificate": the path that was verified in the TLS
--- handshake, and what it sent besides, as far as a message has room.
local message = require "lest.server.wire.message"
local refusal = require "lest.server.wire.refusal"

local M = {}

---@param exchange lest.exchange
---@return string[]|nil chain DER, the leaf first
function M.collect(exchange)
  local sent = exchange.peer_chain
  if not sent then return nil end
  local chain = {}
  for i, der in ipairs(sent) do
    if #der > message.CERTIFICATE_MAX then
      refusal.raise(403, "a certificate of the client's chain is too large")
    end
    if i <= message.CHAIN_MAX then chain[i] = der end
  end
  return chain
end

return M
