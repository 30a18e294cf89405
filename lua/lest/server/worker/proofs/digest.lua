--- What a client offers as the proof "digest": the Authorization header (RFC 7616).
local authorization = require "lest.server.worker.proofs.authorization"
local core = require "lest.core"
local refusal = require "lest.server.wire.refusal"

local M = {}

---@param exchange lest.exchange
---@param request lest.worker.request whose `claimed` is set
---@return table|nil said as core.http.digest reads it
function M.collect(exchange, request)
  local value = authorization.of(exchange, request, "digest")
  if not value then return nil end
  local said, err = core.http.digest(value)
  if not said then
    refusal.raise_memory(err)
    refusal.raise(401, err.message)
  end
  authorization.claim(request, said.username)
  -- RFC 7616 3.4.6: "If they differ, the server SHOULD return an HTTP error 400".
  if said.uri ~= exchange.target then
    refusal.raise(400, "the uri of the Digest credentials is not that of the request")
  end
  said.head = exchange.method == "HEAD"
  return said
end

return M
