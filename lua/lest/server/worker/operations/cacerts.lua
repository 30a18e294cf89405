--- cacerts (RFC 7030 4.1): the CA's certificates, encoded at the start.
local answer = require "lest.server.worker.answer"

local M = {}

---@param exchange lest.exchange
---@param request lest.worker.request
function M.answer(_, exchange, request)
  local label = request.label
  answer.base64(exchange, request, label.cacerts, label.renewal_window)
end

return M
