--- How a probe speaks to a server: one request a connection, at most so many a second, as nobody or
--- as the client. What comes is an answer, or nil and why there is none.
---
---   local response, err = wire:ask { operation = "cacerts" }
---   response, err = wire:ask { as = wire.client, operation = "simpleenroll", body = csr }
local challenge = require "lest.client.challenge"
local core = require "lest.core"
local http = require "lest.http"
local sessions = require "lest.client.session"
local task = require "lest.task"
local terminal = require "lest.base.terminal"
local url = require "lest.url"

local Wire = { __name = "lest.probe.wire" }
Wire.__index = Wire

local M = {}

-- A server that is asked to answer at once; what it then sends, or does not.
M.PATIENCE = 5

---@param client lest.client with all that the probe may show
---@param nobody lest.client the same without any
---@param rate number requests a second, at most
---@return table wire
function M.new(client, nobody, rate)
  return setmetatable({ client = client, nobody = nobody, gap_us = 1000000 // rate, due_us = 0,
    count = 0 }, Wire)
end

-- Wait for this request's turn.
local function pace(self)
  local now = core.clock.monotonic_us()
  if now < self.due_us then task.sleep((self.due_us - now) / 1000000) end
  self.due_us = math.max(now, self.due_us) + self.gap_us
  self.count = self.count + 1
end

-- With these, no further request will fare better: there is no server, or another than was meant.
local LOST <const> = { network = true, timeout = true, trust = true, usage = true }

--- Open a connection; a server that is not there, or not known, ends the probe.
---@param as? lest.client nobody if absent
---@return lest.client.connection?
---@return lest.error? err
function Wire:connect(as)
  local connection, err
  for attempt = 1, 2 do
    pace(self)
    connection, err = (as or self.nobody):connect()
    if connection or err.code ~= "network" or attempt == 2 then break end
    task.sleep(1)
  end
  if not connection and LOST[err.code] then error(err, 0) end
  if connection then self.tls = self.tls or connection.tls end
  return connection, err
end

local function exchange(self, what)
  local connection <close>, err = self:connect(what.as)
  if not connection then return nil, err end
  local sent
  sent, err = connection:send { operation = what.operation, method = what.method, path = what.path,
    body = what.body, headers = what.headers, raw = what.raw }
  local response, problem = connection:receive { timeout = what.timeout or M.PATIENCE }
  if response and what.look then what.look(connection) end
  if not response and not sent then problem = err end -- a refusal may come before all was read
  return response, problem
end

local function authorization(self, response, given, what)
  local session = what.as.session
  local found, err = challenge.answer(session, response, given, {})
  if not found then return nil, err end
  self.given = found.scheme ~= "Digest" and found or nil
  if found.scheme == "Basic" then
    return "Basic " .. core.base64.encode((session.username or "") .. ":" .. session.password)
  end
  local target = assert(url.resolve(session.base, what.path
    or session.base.path .. "/" .. what.operation))
  return challenge.authorization(found, session, what.method or "POST", target)
end

local function with_header(what, name, value)
  local all, headers = {}, {}
  for key, each in pairs(what) do all[key] = each end
  for key, each in pairs(what.headers or {}) do headers[key] = each end
  headers[name] = value
  all.headers = headers
  return all
end

--- Ask, and answer a challenge where there is something to answer it with. what: as a connection's
--- send() takes it, and as (a client, else nobody), timeout (seconds), and look(connection), which
--- is called after the answer.
---@param what table
---@return lest.http.response?
---@return lest.error? err
function Wire:ask(what)
  local response, err = exchange(self, what)
  local options = what.as and what.as.options
  if not response or response.status ~= 401 or what.raw
    or not (options and (options.username or options.password or options.bearer)) then
    return response, err
  end
  local value = authorization(self, response, nil, what)
  if not value then return response end
  return exchange(self, with_header(what, "Authorization", value))
end

--- An operation of a client as it does it by itself, whose body is made for its connection.
---@param as lest.client
---@param operation string
---@param body lest.client.body
---@return lest.http.response?
---@return lest.error? err
function Wire:perform(as, operation, body)
  pace(self)
  return sessions.perform(as, operation, body)
end

--- Fetch what a certificate names: plain HTTP, with nothing of the client.
---@param options lest.http.options|{ url: string, method?: string }
---@return lest.http.response?
---@return lest.error? err
function Wire:fetch(options)
  pace(self)
  options.timeout = M.PATIENCE
  return http.request(options)
end

--- Open a TCP connection without TLS, send bytes and see what comes.
---@param bytes string
---@return string came
---@return lest.error? err in place of an answer of HTTP
function Wire:plain(bytes)
  pace(self)
  local client <close> = assert(core.http_client.new { plain_http = true, provisional = true })
  local base = self.nobody.base
  local connection
  local function await(operation, options)
    return task.await(function(callback)
      options.callback = callback
      local target = operation == "connect" and client or connection
      local started, problem = target[operation](target, options)
      if operation == "connect" then connection = started end
      if not started then callback(nil, problem) end
      return started
    end)
  end
  local timeout_ms <const> = M.PATIENCE * 1000
  local ok, err = await("connect", { url = ("http://%s:%d"):format(
    base.host:find(":", 1, true) and "[" .. base.host .. "]" or base.host, base.port),
    timeout_ms = self.client.session.timeout_ms })
  if ok then ok, err = await("send", { bytes = bytes, timeout_ms = timeout_ms }) end
  if ok then ok, err = await("receive", { timeout_ms = timeout_ms, max_body = 65536 }) end
  local came = connection and connection:raw() or ""
  if connection then connection:close() end
  return came, not ok and err or nil
end

--- What came, for people: "405", or why there was no answer.
---@param response? lest.http.response
---@param err? lest.error
---@return string
function M.shown(response, err)
  if response then return tostring(response.status) end
  if err.code == "closed" then return "no answer: the server closed the connection" end
  if err.code == "timeout" then return "no answer" end
  return "no answer: " .. terminal.line(tostring(err), 120)
end

return M
