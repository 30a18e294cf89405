--- cacerts (RFC 7030 4.1): the CA's certificates, encoded at the start.
local answer = require "lest.server.worker.answer"

local M = {}

---@param exchange lest.exchange
---@param request lest.worker.request
function M.answer(_, exchange, request)
  answer.base64(exchange, request, request.label.cacerts)
end

return M
