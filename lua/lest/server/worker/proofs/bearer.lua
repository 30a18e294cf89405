--- What a client offers as the proof "bearer": a token in the Authorization header (RFC 6750 2.1).
--- One in the body or in the query (2.2, 2.3) is none.
local authorization = require "lest.server.worker.proofs.authorization"
local core = require "lest.core"
local message = require "lest.server.wire.message"
local refusal = require "lest.server.wire.refusal"

local M = {}

---@param exchange lest.exchange
---@param request lest.worker.request whose `has_token` is set
---@return string|nil token
function M.collect(exchange, request)
  local value = authorization.of(exchange, request, "bearer")
  if not value then return nil end
  request.has_token = value:lower():find "^bearer " ~= nil
  local given = core.http.credentials(value)
  if not given or given.scheme:lower() ~= "bearer" or not given.token68 then
    refusal.raise(401, "the Authorization header is not Bearer with a token")
  elseif #given.token68 > (request.label.options.bearer and message.TOKEN_MAX
    or message.SECRET_MAX) then
    refusal.raise(401, "the credentials are not accepted")
  end
  return given.token68
end

return M
