--- A scriptable TLS server: records requests, and answers any bytes with any timing.
---
---     local server <close> = raw_server.start { cert = leaf.path, key = leaf.key, ca = root.path }
---     server:answer(raw_server.http(200, { ["Content-Type"] = "text/plain" }, "hello"))
---     server:answer { "HTTP/1.1 200 OK\r\nContent-", { delay = 50 }, "Length: 9\r\n\r\n", "drop" }
---     -- ... a client calls server.url ...
---     local request = server:request()         -- the next one; waits for it
---     -- method, target, headers (lower case), list, body, head (the bytes), connection, ms
---
--- Each request takes the next answer, and waits until there is one. The connection stays
--- afterwards unless a step ends it. Steps of an answer: bytes; { delay = ms }; { trickle = bytes,
--- chunk = n, gap = ms }; { flood = kind } (spec/support/rawtls_flood.c); "close", "drop" (without
--- close_notify), "reset", "half" (half-close), "stall" (nothing more until the peer closes),
--- "certificate" (TLS 1.3: ask for one now), and first "head", later "body": answer before the body
--- is read.
local core = require "lest.core"
local rawtls = require "support.rawtls"

local M = {}
M.__index = M

local function steps_of(answer)
  if type(answer) == "string" then answer = { answer } end
  local plain = { close = true, drop = true, reset = true, half = true, stall = true,
    certificate = true, head = true, body = true }
  local words = {}
  for i, step in ipairs(answer) do
    if type(step) == "string" then
      words[i] = plain[step] and step or "send:" .. rawtls.encode(step)
    elseif step.delay then
      words[i] = "delay:" .. step.delay
    elseif step.flood then
      words[i] = "flood:" .. step.flood
    else
      words[i] = ("trickle:%d:%d:%s"):format(step.chunk or 1, step.gap or 10,
        rawtls.encode(step.trickle))
    end
  end
  return words
end

--- Start. Settings: cert, key (PEM files); ca (client certificates are asked for and verified) or
--- ask = true (any is taken); plain = true (HTTP without TLS); lenient = true (what is no request
--- takes an answer, too); min, max, ciphers, suites, groups, tickets (spec/support/rawtls.h).
---@param settings table
---@return table server
function M.start(settings)
  local self = setmetatable({ process = rawtls.start("server",
    table.unpack(rawtls.words(settings))),
    events = {}, taken = 0 }, M)
  self.port = tonumber(self.process:line():match "^port (%d+)$")
  self.url = (settings.plain and "http" or "https") .. "://localhost:" .. self.port
  return self
end

function M:stop()
  self.process:stop()
end
M.__close = M.stop

--- Add an answer to the queue.
---@param answer string|table
---@param times? integer
function M:answer(answer, times)
  local words = steps_of(answer)
  for _ = 1, times or 1 do self.process:send("answer", table.unpack(words)) end
end

--- What happens to each new connection before its handshake; nothing without an argument.
---@param answer? string|table
function M:on_connect(answer)
  self.process:send("connect", table.unpack(steps_of(answer or {})))
end

--- The bytes of a response, with Content-Length unless it is given.
---@param status integer
---@param headers? table<string, string>
---@param body? string
---@return string
function M.http(status, headers, body)
  local list, length = {}, false
  for name, value in pairs(headers or {}) do
    list[#list + 1] = { name, value }
    length = length or name:lower() == "content-length"
  end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  if not length and status >= 200 and status ~= 204 then
    list[#list + 1] = { "Content-Length", tostring(#(body or "")) }
  end
  return assert(core.http.response_head(status, list)) .. (body or "")
end

local function read_request(event, rest)
  local ms, head, body = rest:match "^(%d+) (%S+) (%S+)$"
  event.ms, event.head, event.body = tonumber(ms), rawtls.decode(head), rawtls.decode(body)
  local request = assert(core.http.parse_request(event.head))
  event.method, event.target, event.version = request.method, request.target, request.version
  event.list, event.headers = request.headers, {}
  for _, header in ipairs(request.headers) do
    local key = header[1]:lower()
    event.headers[key] = event.headers[key] and event.headers[key] .. ", " .. header[2] or header[2]
  end
end

local function read_event(line)
  local kind, number, rest = line:match "^(%S+) (%d+) ?(.*)$"
  local event = { kind = kind, connection = tonumber(number) }
  if kind == "request" then
    read_request(event, rest)
  elseif kind == "tls" then
    event.info = rawtls.info(rest)
  elseif kind == "hello" or kind == "partial" or kind == "refused" or kind == "certificate" then
    event.bytes = rawtls.decode(rest)
  else
    event.how, event.reason = rest:match "^(%S+) *(.*)$"
  end
  return event
end

--- Take what happened so far, after waiting at most `ms` for something new.
local function sync(self, ms)
  self.process:send("sync", tostring(ms))
  while true do
    local line = self.process:line()
    if line == "synced" then return end
    self.events[#self.events + 1] = read_event(line)
  end
end

--- Everything of a kind so far ("hello", "tls", "failed", "request", "partial", "refused",
--- "certificate", "closed").
---@param kind string
---@return table[]
function M:all(kind)
  sync(self, 0)
  local list = {}
  for _, event in ipairs(self.events) do
    if event.kind == kind then list[#list + 1] = event end
  end
  return list
end

--- The extensions of a ClientHello by number.
---@param bytes string with its type and length in front
---@return table<integer, string>
function M.extensions(bytes)
  local _, _, at = (">s1s2"):unpack(bytes, 4 + 2 + 32 + 1) -- session id, suites
  local _, list = (">s1s2"):unpack(bytes, at) -- compression, extensions
  local found, place = {}, 1
  while place <= #list do
    local number, value, behind = (">I2s2"):unpack(list, place)
    found[number], place = value, behind
  end
  return found
end

--- All requests so far.
---@return table[]
function M:requests()
  return self:all "request"
end

--- Wait until there are `count` events of a kind; all of them, or nil if the time (ms, 5000) is up.
---@param kind string
---@param count integer
---@param timeout? integer
---@return table[]?
function M:wait(kind, count, timeout)
  local clock = core.clock.monotonic_ms
  local deadline = clock() + (timeout or 5000)
  while true do
    local list = self:all(kind)
    if #list >= count then return list end
    if clock() >= deadline then return nil end
    sync(self, math.max(1, math.min(100, deadline - clock())))
  end
end

--- The next request that was not given yet; waits for it, nil if the time (ms, 5000) is up.
---@param timeout? integer
---@return table?
function M:request(timeout)
  local list = self:wait("request", self.taken + 1, timeout)
  if not list then return nil end
  self.taken = self.taken + 1
  return list[self.taken]
end

return M
