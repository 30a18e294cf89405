--- What the kinds share that a client proves in its handshake, without certificates.
local authorization = require "lest.server.worker.proofs.authorization"

local M = {}

--- The authority's grant for the identity of the connection, where it is of this kind.
---@param exchange lest.exchange
---@param request lest.worker.request whose `claimed` is set
---@param kind string
---@return string|nil grant
function M.grant(exchange, request, kind)
  local identity = exchange.peer_identity
  if not identity or identity.kind ~= kind then return nil end
  authorization.claim(request, identity.name)
  return identity.grant
end

return M
