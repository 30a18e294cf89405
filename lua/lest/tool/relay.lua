--- A gateway's relay (`lest forward --listen`): devices that reach it alone send it what they
--- have signed, over plain HTTP, and get what the server says. It has no key, no state and no part
--- in it: a request is signed, its answer is, and CA certificates are judged by who asked.
---
---   local relay = assert(relays.new { listen = "192.0.2.1:8080", client = client })
---   relay:run()                                        -- until SIGTERM
local core = require "lest.core"
local http = require "lest.http"
local task = require "lest.task"

local M = {}

-- A message of CMC has at most 128 KiB at a server of lest, in base64. What is under way is
-- bounded, and so is what one device can hold.
local LIMITS <const> = {
  header_ms = 10000, body_ms = 30000, answer_ms = 120000, write_ms = 30000, idle_ms = 15000,
  header_max = 8192, body_max = 256 * 1024, connections_max = 256,
  connections_per_address_max = 32, requests_max = 32, requests_per_connection_max = 100,
}
local ANSWER_MAX <const> = 4 * 1024 * 1024
-- How often at most the log says what was done.
local TELL_MS <const> = 60000
-- What is under way at SIGTERM has so long.
local GRACE_MS <const> = 5000

local VIA <const> = { "Via", "1.1 lest-forward" }
local TEXT <const> = "text/plain; charset=utf-8"
local CMC <const> = "application/pkcs7-mime; smime-type=CMC-request"

-- What goes back of the server's headers. None of them is believed: they are not signed.
local BACK <const> = { "Content-Type", "Content-Transfer-Encoding", "Retry-After",
  "Last-Modified", "ETag" }

-- What holds without the connection of who asks, and what anybody may fetch.
local OPERATIONS <const> = { fullcmc = "POST", cacerts = "GET" }

---@class lest.relay
---@field server lest.server
---@field counts { answered: integer, failed: integer }
local Relay = { __name = "lest.relay" }
Relay.__index = Relay

local function refuse(exchange, status, sentence, header)
  exchange:respond { status = status, headers = { { "Content-Type", TEXT }, VIA, header },
    body = sentence .. "\n" }
end

-- The method of what a path names; nil: it is not relayed.
local function method_of(exchange)
  if exchange.query then return nil end
  local route = core.est.route(exchange.path)
  if route then return OPERATIONS[route.operation] end
  return exchange.path:find "^/crl/[%w][%w._-]*%.crl$" and "GET" or nil
end

local function on_head(exchange)
  local method = method_of(exchange)
  if not method then
    return refuse(exchange, 404, "only fullcmc, cacerts and CRLs are sent on from here")
  elseif exchange.method ~= method then
    return refuse(exchange, 405, "the method is not allowed here", { "Allow", method })
  elseif method == "GET" then
    return
  end
  local good, status, sentence = core.est.request_media_check("fullcmc",
    exchange:header "content-type", exchange:header "content-encoding")
  if not good then refuse(exchange, status, sentence) end
end

-- What is no message of CMC is no use to the server.
local function body_of(exchange)
  if exchange.method ~= "POST" then return nil end
  local der, err = core.est.body_decode(exchange.body or "")
  local message
  if der then message, err = core.cmc.parse(der) end
  if message and message.kind == "request" then return core.est.body_encode(der, 64) end
  return nil, err and err.message or "the message is no request"
end

local function send(self, exchange, body)
  local headers = { VIA }
  if body then
    headers[2], headers[3] = { "Content-Type", CMC }, { "Content-Transfer-Encoding", "base64" }
  end
  return http.send(self.http, { url = self.origin .. exchange.path, method = exchange.method,
    headers = headers, body = body, timeout_ms = self.timeout_ms, max_body = ANSWER_MAX })
end

local function count(self, how, problem)
  self.counts[how] = self.counts[how] + 1
  self.problem = problem or self.problem
  local now = core.clock.monotonic_ms()
  if now < self.tell_at then return end
  self.tell_at = now + TELL_MS
  core.log.write(self.problem and "warning" or "info", "forwarded", { "answered",
    self.counts.answered, "failed", self.counts.failed, "message", self.problem or false })
  self.counts, self.problem = { answered = 0, failed = 0 }, nil
end

local function answer(self, exchange)
  local body, problem = body_of(exchange)
  if problem then return refuse(exchange, 400, problem) end
  local response, err = send(self, exchange, body)
  count(self, response and "answered" or "failed", err and tostring(err))
  if exchange.aborted then return end
  if not response then
    return refuse(exchange, err.code == "timeout" and 504 or 502,
      "the server cannot be reached from here", { "Retry-After", "60" })
  end
  local headers = { VIA }
  for _, name in ipairs(BACK) do
    local value = response:header(name)
    if value then headers[#headers + 1] = { name, value } end
  end
  exchange:respond { status = response.status, headers = headers, body = response.body }
end

local function on_request(self, exchange)
  task.start({ quiet = true }, function()
    local ok, problem = xpcall(answer, debug.traceback, self, exchange)
    if ok then return end
    core.log.write("error", "forwarding failed", { "message", problem })
    if not exchange.aborted then refuse(exchange, 500, "the gateway has failed") end
  end)
end

---@class lest.relay.options
---@field listen string an address and a port
---@field client lest.client whose trust the server is verified by
---@field origin string "https://HOST[:PORT]"
---@field timeout_ms integer

--- A relay that listens.
---@param options lest.relay.options
---@return lest.relay?
---@return lest.error? err
function M.new(options)
  local self = setmetatable({ http = options.client.session.http, origin = options.origin,
    timeout_ms = options.timeout_ms, counts = { answered = 0, failed = 0 }, tell_at = 0 }, Relay)
  local err
  self.server, err = core.server.new { listen = options.listen, tls = false, limits = LIMITS,
    on_head = on_head, on_request = function(exchange) on_request(self, exchange) end }
  if not self.server then return nil, err end
  return self
end

local function notify(...)
  if core.process then core.process.notify(...) end
end

--- Relay until SIGTERM or SIGINT; what is under way then may end.
function Relay:run()
  local watches, stop = {}, nil
  for _, number in ipairs { 2, 15 } do
    watches[#watches + 1] = core.loop.signal(number, function()
      if stop then stop() end
    end)
  end
  core.log.write("info", "forwarding", { "listen", self.server.address, "to", self.origin })
  notify("ready", "forwarding to " .. self.origin)
  task.await(function(callback) stop = callback end)
  stop = nil
  notify "stopping"
  self.server:stop()
  local until_ms = core.clock.monotonic_ms() + GRACE_MS
  while self.server.requests > 0 and core.clock.monotonic_ms() < until_ms do task.sleep(0.05) end
  self.server:close()
  for _, each in ipairs(watches) do each:close() end
end

return M
