--- GET and POST /ocsp (RFC 6960 A.1): whether a certificate is revoked, for anybody who asks. The
--- authority signs; what it has said without a nonce is good for all who ask the same, and is kept
--- here until it is over or the authority says that something was revoked.
---
--- What fails has a name in OCSP, and is no error of HTTP.
local answers = require "lest.server.worker.answer"
local cache = require "lest.server.wire.ocsp_cache"
local core = require "lest.core"
local limiter = require "lest.server.wire.limiter"
local meters = require "lest.server.wire.meters"
local refusal = require "lest.server.wire.refusal"

local M = {}

local REQUEST_TYPE <const>, RESPONSE_TYPE <const> =
  "application/ocsp-request", "application/ocsp-response"

local malformed <const>, try_later <const>, unauthorized <const> =
  core.ocsp.failure "malformedRequest", core.ocsp.failure "tryLater",
  core.ocsp.failure "unauthorized"

---@class lest.worker.ocsp
---@field link lest.worker.link
---@field kept lest.ocsp_cache
---@field asked lest.limiter by network: what the authority has to sign
local Ocsp = {}
Ocsp.__index = Ocsp

---@param config table
---@param link lest.worker.link
---@return lest.worker.ocsp
function M.new(config, link)
  local self = setmetatable({ link = link, kept = cache.new(),
    asked = limiter.new { per_minute = config.limits.ocsp_per_address_per_minute,
      now_ms = core.clock.monotonic_ms } }, Ocsp)
  link:on_revoked(function(serials) self.kept:forget(serials) end)
  return self
end

--- The response to a request, as the authority gives it or as it was kept; nil: there is no
--- authority.
---@param der string of the request
---@param request lest.ocsp_request the same, read
---@param address string who asks
---@return { response: string, this_update: integer?, next_update: integer?, etag: string? }
function Ocsp:answer(der, request, address)
  local only = #request.certificates == 1 and not request.nonce and request.certificates[1] or nil
  local known = only and self.kept:find(only, core.clock.wall_us() // 1000000)
  if known then return known end
  if self.asked:take(limiter.network(address)) then return { response = try_later } end
  local mark = self.kept:mark()
  local said = self.link:check(der)
  if not said then return { response = try_later } end
  if only and said.next_update then
    said.etag = core.secret.sha256(said.response):sub(1, 32)
    self.kept:keep(only, said, mark)
  end
  return said
end

-- ---- HTTP

local HEX_ESCAPE <const> = "%%(%x%x)"

--- The bytes in a path: base64, some of its characters perhaps escaped; nil for anything else.
local function decode_path(text)
  local plain = text:gsub(HEX_ESCAPE, function(digits) return string.char(tonumber(digits, 16)) end)
  if plain:find "[^%w+/=]" then return nil end
  return (core.base64.decode(plain))
end

--- RFC 5019 6.2: what is the same for all may be kept by caches, until it is over.
local function headers_of(said)
  local headers = { { "Content-Type", RESPONSE_TYPE } }
  if not said.etag then
    table.insert(headers, { "Cache-Control", "no-store" })
    return headers
  end
  local left = math.max(0, said.next_update - core.clock.wall_us() // 1000000)
  for _, header in ipairs {
    { "Cache-Control", ("max-age=%d, public, no-transform, must-revalidate"):format(left) },
    { "Last-Modified", core.http.format_date(said.this_update) },
    { "Expires", core.http.format_date(said.next_update) },
    { "ETag", '"' .. said.etag .. '"' },
  } do
    table.insert(headers, header)
  end
  return headers
end

local function is_known(exchange, said)
  return said.etag and exchange.method ~= "POST" and answers.has_tag(exchange, said.etag)
end

--- Answer a request; the task waits for the authority.
local function answer(worker, exchange, request)
  local der = exchange.body
  if exchange.method ~= "POST" then der = decode_path(exchange.path:match "^/ocsp/(.*)$") end
  local asked, err = core.ocsp.parse_request(der or "")
  local said
  if asked then
    said = worker.ocsp:answer(der, asked, exchange.address)
  else
    said = { response = err.code == "refused" and unauthorized or malformed }
  end
  request.status = is_known(exchange, said) and 304 or 200
  exchange:respond { status = request.status, headers = headers_of(said),
    body = request.status == 200 and said.response or nil }
end

local function is_of_media_type(exchange)
  local media = exchange:header "content-type"
  return media ~= nil and media:match "^%s*([^;%s]*)":lower() == REQUEST_TYPE
end

--- Judge the head of a request, which is answered as a task, or raise a refusal.
---@param exchange lest.exchange
---@param request lest.worker.request
function M.check(_, exchange, request)
  request.operation, request.answerer = meters.OCSP, answer
  local method, rest = exchange.method, exchange.path:match "^/ocsp/?(.*)$"
  if method == "GET" or method == "HEAD" then
    if rest == "" then refusal.raise(404, "there is no OCSP request in the path") end
    return
  end
  if method ~= "POST" then
    refusal.raise(405, "the method is not allowed here", { allow = "GET, HEAD, POST" })
  end
  if rest ~= "" then refusal.raise(404, "an OCSP request is posted to /ocsp") end
  if not is_of_media_type(exchange) then
    refusal.raise(415, "the body must be " .. REQUEST_TYPE)
  end
  if (tonumber(exchange:header "content-length") or 0) > core.ocsp.REQUEST_MAX then
    refusal.raise(413, "an OCSP request has " .. core.ocsp.REQUEST_MAX .. " bytes at most")
  end
end

return M
