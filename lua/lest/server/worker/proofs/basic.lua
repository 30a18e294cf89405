--- What a client offers as the proof "basic": the Authorization header (RFC 7617).
local authorization = require "lest.server.worker.proofs.authorization"
local core = require "lest.core"
local message = require "lest.server.wire.message"
local refusal = require "lest.server.wire.refusal"

local M = {}

---@param exchange lest.exchange
---@param request lest.worker.request whose `claimed` is set
---@return { username: string, password: string }|nil
function M.collect(exchange, request)
  local value = authorization.of(exchange, request, "basic")
  if not value then return nil end
  local username, password = core.http.basic(value)
  authorization.claim(request, username)
  if not username then
    refusal.raise(401, "the Authorization header is not Basic with a user and a password")
  elseif #username > message.SECRET_MAX or #password > message.SECRET_MAX then
    refusal.raise(401, "the credentials are not accepted")
  end
  return { username = username, password = password }
end

return M
