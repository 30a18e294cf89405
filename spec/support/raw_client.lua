--- A hostile TLS client: sends exact bytes when it is told to, and shows what came back.
---
---     local client <close> = raw_client.new()
---     local c = client:connect { port = 8443, max = "1.2", cert = "a.pem", key = "a.key" }
---     c:send "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Le"
---     c:trickle("ngth: 5\r\n\r\nhello", 1, 10)           -- a byte every 10 ms
---     local answer = c:response()                       -- { status =, headers =, body =, raw = }
---     local bytes, how = c:read { timeout = 1000 }      -- how: eof, cut, reset, timeout, alert
---
--- Nothing raises because of what the peer does: connect, send and trickle give nil and how it
--- ended, read gives what came and how it ended (spec/support/rawtls.h).
local http = require("lest.core").http
local rawtls = require "support.rawtls"

local M = {}
M.__index = M

local Connection = {}
Connection.__index = Connection

---@return table client a process that holds any number of connections
function M.new()
  return setmetatable({ process = rawtls.start "client", count = 0 }, M)
end

function M:close()
  self.process:stop()
end
M.__close = M.close

--- The bytes of a request. Headers are lines ("Name: value"); a body brings its Content-Length.
---@param method string
---@param target string "/cacerts" stands for the operation under the prefix of EST
---@param headers? string[]
---@param body? string
---@return string
function M.http(method, target, headers, body)
  local lines = { ("%s %s HTTP/1.1"):format(method, "/.well-known/est" .. target),
    "Host: localhost" }
  table.move(headers or {}, 1, #(headers or {}), #lines + 1, lines)
  if body then lines[#lines + 1] = "Content-Length: " .. #body end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. (body or "")
end

--- All values of a header, a field each.
---@param response table
---@param name string in lower case
---@return string[]
function M.values(response, name)
  local values = {}
  for _, header in ipairs(response.list) do
    if header[1]:lower() == name then values[#values + 1] = header[2] end
  end
  return values
end

local function opened(connection, line)
  local ok, rest = line:match "^(%S+) ?(.*)$"
  if ok ~= "ok" then
    local how, reason = rest:match "^(%S+) *(.*)$"
    return nil, how, reason
  end
  connection.info = rawtls.info(rest)
  return connection
end

--- Connect. Options: port; host ("127.0.0.1"), from (its own address), cert, key, ca (verify the
--- server against it), min, max ("1.2", "1.3"), ciphers, suites, groups, sni, alpn, timeout (ms),
--- plain (no TLS, see :tls()), session (a connection whose session is resumed), rcvbuf (bytes).
--- Gives nil, how it ended and the reason of an alert on failure.
---@param options table
---@return table? connection
---@return string? how
---@return string? reason
function M:connect(options)
  self.count = self.count + 1
  local connection = setmetatable({ id = tostring(self.count), process = self.process }, Connection)
  local words = {}
  for key, value in pairs(options) do words[key] = value end
  words.session = options.session and options.session.id
  return opened(connection, self.process:ask("connect", connection.id, tostring(options.port),
    table.unpack(rawtls.words(words, { port = true }))))
end

--- The bytes of a ClientHello, to be sent on a plain connection; options as for connect.
---@param options? table
---@return string
function M:hello(options)
  local line = self.process:ask("hello", table.unpack(rawtls.words(options or {})))
  return rawtls.decode(line:match "^data ok (%S+)$")
end

--- The TLS handshake on a plain connection; options as for connect.
function Connection:tls(options)
  return opened(self, self.process:ask("tls", self.id, table.unpack(rawtls.words(options or {}))))
end

local function sent(line)
  local ok, how, count = line:match "^(%S+) (%S+) (%d+)"
  if ok == "ok" then return tonumber(count) end
  return nil, how, tonumber(count)
end

--- Send bytes at once.
---@param bytes string
---@param timeout? integer ms (5000)
---@return integer? count or nil, how it ended, how many were sent
function Connection:send(bytes, timeout)
  return sent(self.process:ask("send", self.id, rawtls.encode(bytes), tostring(timeout or 5000)))
end

--- Send `chunk` bytes at a time, `gap` ms apart.
---@param bytes string
---@param chunk integer
---@param gap integer
function Connection:trickle(bytes, chunk, gap)
  return sent(self.process:ask("trickle", self.id, rawtls.encode(bytes), tostring(chunk),
    tostring(gap)))
end

-- What rawtls_flood.c can speak, for :connect.
M.FLOODS = { suites = "TLS_AES_128_GCM_SHA256",
  ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256" }

--- Send records of a kind (spec/support/rawtls_flood.c) until the peer ends the connection, which
--- was made with FLOODS.
---@param kind string
---@param timeout integer ms
---@param first? string bytes that go before them
---@return string how it ended
---@return integer count of bytes
function Connection:flood(kind, timeout, first)
  local _, how, count = sent(self.process:ask("flood", self.id, kind, tostring(timeout),
    rawtls.encode(first)))
  return how, count
end

--- Read until the end, `max` bytes, the bytes `stop`, or the timeout (ms, 5000).
---@param options? { max?: integer, stop?: string, timeout?: integer }
---@return string bytes
---@return string how "ok" where max or stop was reached
function Connection:read(options)
  options = options or {}
  local line = self.process:ask("read", self.id, tostring(options.timeout or 5000),
    tostring(options.max or 16 * 1024 * 1024), rawtls.encode(options.stop))
  local how, bytes = line:match "^data (%S+) (%S+)$"
  return rawtls.decode(bytes), how
end

local function parse_head(raw)
  local status, phrase, fields = raw:match "^HTTP/1%.1 (%d%d%d) ([^\r\n]*)\r\n(.*)\r\n$"
  if not status then return nil end
  local head = { status = tonumber(status), phrase = phrase, list = {}, headers = {}, raw = raw }
  for name, value in fields:gmatch "([^:\r\n]+): ?([^\r\n]*)\r\n" do
    head.list[#head.list + 1] = { name, value }
    local key = name:lower()
    head.headers[key] = head.headers[key] and head.headers[key] .. ", " .. value or value
  end
  return head
end

local function read_chunked(self, timeout)
  local raw = ""
  while true do
    local line, how = self:read { stop = "\r\n", timeout = timeout }
    raw = raw .. line
    if how ~= "ok" then return raw, how end
    local body = http.decode_chunked(raw, 16 * 1024 * 1024)
    if body ~= false then return body or raw, body and "ok" or "malformed" end
  end
end

--- Read one HTTP response: { status, phrase, headers (lower case, joined), list, body, raw (the
--- head), how }. how is "ok", or how the body ended before its length. Interim answers are
--- responses of their own.
---@param options? { timeout?: integer, head?: boolean } head: the answer to HEAD, without a body
---@return table? response nil if no head came
---@return string how it ended
---@return string bytes that came instead
function Connection:response(options)
  options = options or {}
  local raw, how = self:read { stop = "\r\n\r\n", timeout = options.timeout }
  local response = how == "ok" and parse_head(raw) or nil
  if not response then return nil, how, raw end
  local status, length = response.status, tonumber(response.headers["content-length"])
  response.body, response.how = "", "ok"
  if options.head or status < 200 or status == 204 or status == 304 then return response, "ok",
    raw end
  if (response.headers["transfer-encoding"] or ""):lower() == "chunked" then
    response.body, response.how = read_chunked(self, options.timeout)
  elseif length then
    if length > 0 then
      response.body, response.how = self:read { max = length, timeout = options.timeout }
    end
  else
    response.body, response.how = self:read { timeout = options.timeout }
    if response.how == "eof" then response.how = "ok" end
  end
  return response, response.how, raw
end

--- Send bytes and read the response; a peer that answers before it has read everything is fine.
---@param bytes string
---@param options? table as for response
function Connection:request(bytes, options)
  self:send(bytes, options and options.timeout)
  return self:response(options)
end

--- What TLS agreed on now: version, cipher, reused, exporter, finished, peer_finished, peer (DER),
--- alpn.
function Connection:facts()
  return rawtls.info(self.process:ask("info", self.id))
end

for method, word in pairs { notify = "notify", fin = "fin", half_close = "half", close = "close",
  drop = "drop", reset = "reset" } do
  --- notify: close_notify, fin: FIN, half_close: both; reading goes on. close: in order. drop:
  --- without close_notify. reset: RST.
  Connection[method] = function(self)
    self.process:ask(word, self.id)
  end
end
Connection.__close = Connection.close

return M
