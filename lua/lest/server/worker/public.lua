--- What is served to anybody outside of /.well-known/est, over TLS and over plain HTTP: by the
--- first segment of a path, the file that answers. None of it knows who asks, or asks who that is:
--- no credential is looked at.
local documents = require "lest.server.worker.documents"
local ocsp = require "lest.server.worker.ocsp"
local refusal = require "lest.server.wire.refusal"

local M = {}

-- Each has check(worker, exchange, request), which judges the head as head.lua does: it answers, or
-- names what does once the body is there (request.answerer).
local services <const> = { ca = documents, crl = documents, ocsp = ocsp }

--- Answer a request by its head, or raise a refusal. False: nothing here is at such a path.
---@param worker lest.worker
---@param exchange lest.exchange
---@param request lest.worker.request
---@return boolean
function M.check(worker, exchange, request)
  local service = services[exchange.path:match "^/([^/]+)" or ""]
  if not service then return false end
  request.is_public = true
  service.check(worker, exchange, request)
  return true
end

--- As check(), of what comes over plain HTTP (`listen_http`): there is nothing else, and nothing of
--- EST.
---@param worker lest.worker
---@param exchange lest.exchange
---@param request lest.worker.request
function M.check_plain(worker, exchange, request)
  if not M.check(worker, exchange, request) then
    refusal.raise(404, "there is no such thing over plain HTTP")
  end
end

return M
