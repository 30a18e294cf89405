--- The message `begin`, by which a worker asks the authority who asks, and for what; and what it
--- is told of who that is.
local challenges = require "lest.server.wire.challenges"
local core = require "lest.core"
local lines = require "lest.server.wire.lines"
local message = require "lest.server.wire.message"
local refusal = require "lest.server.wire.refusal"

local M = {}

local HEADER_MAX <const> = 1000

--- A header, printable and short, so that the ledger takes it.
local function header(exchange, name)
  local value = exchange:header(name)
  return value and value:sub(1, HEADER_MAX):gsub("[^\x20-\x7e]", "?") or nil
end

--- The headers that a policy sees and the ledger keeps; the rest could hold secrets.
---@param exchange lest.exchange
---@return table<string, string>
function M.headers(exchange)
  return {
    ["user-agent"] = header(exchange, "user-agent"), host = header(exchange, "host"),
    accept = header(exchange, "accept"), ["content-type"] = header(exchange, "content-type"),
  }
end

local too_large <const> = lines.new "request too large"

-- Whether there may be a link to the connection: in a message of CMC, the authority looks.
local function may_be_bound(request, what)
  local how = request.label.options.channel_binding
  if what.cmc then return how ~= "off" end
  return request.csr and challenges.may_link(request.csr, how)
end

--- The message `begin` with a CSR, with a message of CMC, or with neither, and its packet's bytes.
---@param exchange lest.exchange
---@param request lest.worker.request
---@param what { csr: string?, cmc: string? } DER
---@return string packet
function M.packet(exchange, request, what)
  local begin = {
    type = "begin", id = request.id, operation = request.operation, label = request.label.name,
    address = exchange.address, tls = request.tls, csr = what.csr or "", cmc = what.cmc,
    headers = request.headers,
    binding = may_be_bound(request, what) and exchange:channel_binding() or nil,
  }
  for kind, proof in pairs(request.offered) do begin[kind] = proof end
  -- A password is the authority's from here on: neither a policy nor an operator finds it.
  request.offered = nil
  local packet, problem = message.encode(begin)
  if packet then return packet end
  too_large:write("warning", { "id", request.id, "message", problem })
  refusal.raise(413, "the request is larger than is taken here")
end

--- The principal of the authority's answer as a view has it; the claims of a token in it, and in
--- `auth`, are read.
---@param told { principal: table, auth: table }
---@return table
function M.principal(told)
  local principal, token = told.principal, told.auth.bearer
  if principal.certificate then
    principal.certificate = assert(core.cert.parse(principal.certificate))
  end
  if token and token.claims then
    token.claims = core.json.decode(token.claims)
    if principal.kind == "bearer" then principal.claims = token.claims end
  end
  return principal
end

return M
