--- Documents that anybody may fetch. The authority makes them, and gives each worker their bytes in
--- a sealed file, which all processes share: an answer is sent from there, without a copy in Lua.
local answer = require "lest.server.worker.answer"
local core = require "lest.core"
local meters = require "lest.server.wire.meters"
local refusal = require "lest.server.wire.refusal"

local M = {}

---@class lest.worker.documents
---@field link lest.worker.link
---@field at table<string, { about: table, sealed: lest.sealed }> by path
local Documents = {}
Documents.__index = Documents

--- Those that the authority gives through a link.
---@param link lest.worker.link
---@return lest.worker.documents
function M.new(link)
  local self = setmetatable({ link = link, at = {} }, Documents)
  link.on_document = function(...) self:take(...) end
  return self
end

--- A document, in place of the one before at its path. One without bytes is to come: the one before
--- is better.
---@param about table the message `document`
---@param sealed lest.sealed its bytes
function Documents:take(about, sealed)
  local before = self.at[about.path]
  if before and sealed.size == 0 then return sealed:close() end
  self.at[about.path] = { about = about, sealed = sealed }
  -- Not left to the collector, to which it is small. Answers that are being sent keep it.
  if before then before.sealed:close() end
end

--- Whether a condition of the request says that the client has this one (RFC 9110 13.1).
local function is_known(exchange, about)
  local has_tag = answer.has_tag(exchange, about.etag)
  if has_tag ~= nil then return has_tag end
  local since = exchange:header "if-modified-since"
  local time = since and core.http.date(since)
  return time ~= nil and time >= about.modified
end

-- A cache asks again after so long at most: it costs little where nothing has changed, and a
-- revocation is not hidden until the document is over.
local FRESH_S <const> = 3600

local function headers_of(about)
  local left = (about.expires or math.huge) - core.clock.wall_us() // 1000000
  local fresh = math.tointeger(math.max(0, math.min(left, FRESH_S)))
  return {
    { "Content-Type", about.media_type },
    { "ETag", '"' .. about.etag .. '"' },
    { "Last-Modified", core.http.format_date(about.modified) },
    { "Cache-Control", ("public, max-age=%d"):format(fresh) },
  }
end

--- Answer a request for a document, or raise a refusal.
---@param worker lest.worker
---@param exchange lest.exchange
---@param request lest.worker.request
function M.check(worker, exchange, request)
  local self = worker.documents
  request.operation = meters.DOCUMENT
  if exchange.method ~= "GET" and exchange.method ~= "HEAD" then
    refusal.raise(405, "the method is not allowed here", { allow = "GET, HEAD" })
  end
  local document = self.at[exchange.path]
  if not document then
    if not self.link.is_up then refusal.raise(503, "the authority is not available") end
    refusal.raise(404, "there is no such document here")
  end
  if document.sealed.size == 0 then refusal.raise(503, "it is not made yet") end
  local headers = headers_of(document.about)
  request.status = is_known(exchange, document.about) and 304 or 200
  exchange:respond { status = request.status, headers = headers,
    body = request.status == 200 and document.sealed or nil }
end

return M
