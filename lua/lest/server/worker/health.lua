--- GET /healthz, without a label or credentials: whether a balancer should send requests here. What
--- a worker knows anyway is all that is looked at; a probe asks no other process, and writes
--- nothing.
local chain = require "lest.server.config.chain"
local core = require "lest.core"
local meters = require "lest.server.wire.meters"
local refusal = require "lest.server.wire.refusal"

local M = {}

M.PATH = "/healthz"

---@class lest.worker.health
---@field link lest.worker.link
---@field tls? lest.cert the server's, where it has one; of one that renews itself, the current one
---@field cas lest.cert[]
local Health = {}
Health.__index = Health

--- Read the certificates on whose time it depends, as whoever started.
---@param config table
---@return lest.worker.health|nil
---@return lest.error|nil err
function M.new(config)
  local self = setmetatable({ cas = {} }, Health)
  local err
  if config.tls and not config.tls.auto then
    self.tls, err = core.cert.load(config.tls.cert)
    if not self.tls then return nil, err end
  end
  for _, each in ipairs(chain.cas(config)) do
    local certs
    certs, err = chain.load(each[1], each[2])
    if not certs then return nil, err end
    table.insert(self.cas, certs[1])
  end
  return self
end

local function is_over(cert, now)
  return now > cert.not_after or now < cert.not_before
end

local SUPERVISOR <const>, AUTHORITY <const> = meters.SECTIONS.supervisor, meters.SECTIONS.authority
local names <const> = core.meter.names

--- Why no request should come here, in words that say nothing to a stranger; nil: one may.
---@return string?
function Health:problem()
  -- Of the server: where a reload ends this worker alone, another one is there for the next probe.
  if core.meter.get(SUPERVISOR, names.stopping) > 0 then return "stopping" end
  if not self.link.is_up then return "no authority" end
  -- Of one that has just started, nothing is known yet: it has said that it serves.
  if core.meter.get(AUTHORITY, names.ledger) > meters.ledger.places.ok then return "no ledger" end
  local now = core.clock.wall_us() // 1000000
  if self.tls and is_over(self.tls, now) then return "a certificate is over" end
  -- With one CA of several, the labels of the others are served still.
  for _, ca in ipairs(self.cas) do
    if not is_over(ca, now) then return nil end
  end
  return "a certificate is over"
end

--- Answer a probe: a GET or HEAD.
---@param exchange lest.exchange
---@param request lest.worker.request
function Health:answer(exchange, request)
  local headers = { { "Content-Type", "text/plain; charset=utf-8" },
    { "Cache-Control", "no-store" } }
  request.operation = meters.PROBE
  if exchange.method ~= "GET" and exchange.method ~= "HEAD" then
    refusal.raise(405, "the method is not allowed here", { allow = "GET, HEAD" })
  end
  local problem = self:problem()
  request.status = problem and 503 or 200
  exchange:respond { status = request.status, headers = headers, body = (problem or "ok") .. "\n" }
end

return M
