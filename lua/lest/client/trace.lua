--- What a client's exchanges are, told as events to who watches: trace = function(event) or true.
--- An exchange is told when it has ended; what is secret is masked here already.
local core = require "lest.core"
local screen = require "lest.client.screen"
local secrets = require "lest.client.secrets"

local M = {}

--- One thing that happened in an exchange.
---@class lest.client.event
---@field kind "connect"|"tls"|"request"|"answer"|"failure"|"redirect"|"challenge"
---@field at number? milliseconds since the exchange began; of connect and tls only where it
--- succeeded
---@field address string? of connect: the server's, or a proxy's
---@field port integer?
---@field reused boolean? the connection is one that was kept
---@field tls lest.client.tls?
---@field method string? of request; nil where other bytes were sent
---@field target string?
---@field headers string[][]? of request and answer; what is secret is masked
---@field body string?
---@field masked boolean? a secret in the body is masked, so that its signature does not fit
---@field status integer? of answer
---@field error lest.error? of failure
---@field received string? of failure: what came in place of an answer
---@field to string? of redirect: where it goes
---@field schemes string[]? of challenge: what the server wants

--- What a handshake came to; also one that failed.
---@class lest.client.tls
---@field trust "explicit"|"system"|"provisional"|"key"|"password" whose anchors decide; or nobody's
--- yet; or that the server has the client's key, or what its password is kept as
---@field host string the name that the server has to have
---@field version string? "TLSv1.3"; nil where the handshake was not finished
---@field cipher string?
---@field group string? of the key agreement
---@field protocol string? of ALPN
---@field chain (lest.cert|string)[]? as the server sent it; DER where a certificate cannot be read
---@field path (lest.cert|string)[]? from the server's certificate to the anchor
---@field by_cmc_ra boolean its name does not match; it is an RA's, which may (RFC 7030 3.6.1)
---@field refused string? why its certificate was not accepted
---@field asked boolean it asked for a certificate
---@field shown boolean there is one to show
---@field alert string? what the server ended the connection with
---@field alert_sent string? what we did

local function certs(list)
  local found = {}
  for i, der in ipairs(list) do found[i] = core.cert.parse(der) or der end
  return found
end

--- The facts of a connection, with certificates in place of DER.
---@param tls table
---@return lest.client.tls
function M.tls(tls)
  local found = {}
  for name, value in pairs(tls) do found[name] = value end
  found.chain, found.path = tls.chain and certs(tls.chain), tls.path and certs(tls.path)
  return found
end

-- What is no request is told as its bytes.
local function request_event(sent)
  local head = core.http.parse_request(sent)
  if not head then
    return { kind = "request", headers = {}, body = secrets.request(sent), masked = false }
  end
  local body, masked = secrets.body(sent:sub(head.head_len + 1))
  return { kind = "request", method = head.method, target = secrets.address(head.target),
    headers = secrets.headers(head.headers), body = body, masked = masked }
end

local function answer_event(response)
  return { kind = "answer", status = response.status, headers = secrets.headers(response.headers),
    body = secrets.answer_body(response.body, response:header "Content-Type") }
end

local function ms(us)
  return us and us / 1000
end

--- Tell of a connection, with what its handshake came to.
---@param tell fun(event: lest.client.event)
---@param facts { address?: string, port: integer, reused?: boolean, tls: table }
---@param times? table microseconds: connected, secured
function M.opened(tell, facts, times)
  local tls = facts.tls
  times = times or {}
  if facts.address then
    tell { kind = "connect", address = facts.address, port = facts.port,
      reused = facts.reused or false, at = ms(times.connected) }
  end
  if not facts.reused and (tls.version or tls.chain or tls.alert) then
    tell { kind = "tls", tls = M.tls(tls), at = ms(times.secured) }
  end
end

--- Tell of the bytes of a request.
---@param tell fun(event: lest.client.event)
---@param bytes string
function M.sent(tell, bytes)
  tell(request_event(bytes))
end

--- Tell of an answer, or of what came in place of one.
---@param tell fun(event: lest.client.event)
---@param response? lest.http.response
---@param err? lest.error
---@param received string
---@param ended_us? integer
function M.received(tell, response, err, received, ended_us)
  local event = response and answer_event(response)
    or { kind = "failure", error = err, received = secrets.answer(received) }
  event.at = ms(ended_us)
  tell(event)
end

--- Tell of one exchange what was on the wire.
---@param tell fun(event: lest.client.event)
---@param seen table of core.http_client
---@param response? lest.http.response
---@param err? lest.error
function M.exchange(tell, seen, response, err)
  M.opened(tell, seen, seen.times)
  if seen.sent ~= "" then M.sent(tell, seen.sent) end
  M.received(tell, response, err, seen.received, seen.times.ended)
end

--- Who watches a client now: a function for events; nil for nobody.
---@param self lest.client
---@return fun(event: lest.client.event)?
function M.watcher(self)
  local trace = self.trace
  if trace ~= true then return trace or nil end
  if not screen.show then
    error("trace = true is for a terminal (lest run, lest repl); here it is a function", 0)
  end
  return screen.show
end

return M
