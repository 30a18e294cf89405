--- What a client offers as the proof "certificate": the path that was verified in the TLS
--- handshake, and what it sent besides, as far as a message has room. One of ours that has expired
--- is offered where the label gives it grace, and for renewal alone.
local message = require "lest.server.wire.message"
local refusal = require "lest.server.wire.refusal"

local M = {}

local function has_grace(request)
  return request.row.renews and request.label.options.expired_grace > 0
end

---@param exchange lest.exchange
---@param request lest.worker.request
---@return string[]|nil chain DER, the leaf first
function M.collect(exchange, request)
  local sent = exchange.peer_chain
  if not sent and has_grace(request) then sent = exchange.peer_expired end
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
