--- What is served to anybody outside of /.well-known/est: by the first segment of a path, the file
--- that answers. None of it knows who asks, or asks who that is: no credential is looked at.
local documents = require "lest.server.worker.documents"

local M = {}

-- Each has check(worker, exchange, request), which judges the head as head.lua does.
local services <const> = { ca = documents }

--- Answer a request by its head, or raise a refusal. False: nothing here is at such a path.
---@param worker lest.worker
---@param exchange lest.exchange
---@param request lest.worker.request
---@return boolean
function M.check(worker, exchange, request)
  local service = services[exchange.path:match "^/([^/]+)/" or ""]
  if not service then return false end
  service.check(worker, exchange, request)
  return true
end

return M
