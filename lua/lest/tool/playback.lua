--- A recorded exchange once more (client:record): a server on this machine answers as the recorded
--- one did, byte by byte, and the client asks the same again. What the client makes of the answers
--- is told, and the exit code is that of the last error.
---
---   return require "lest.tool.playback" ({ url = "...", anchors = {}, { operation = "cacerts",
---     sent = { "GET ..." }, received = { "HTTP/1.1 ..." } } }, ...)
---
--- Not played: TLS, whose keys are not in the file, and what depends on the time, as the validity
--- of certificates. The anchors that vouched for the server are explicit ones here.
local core = require "lest.core"
local keygen = require "lest.client.keygen"
local lest_client = require "lest.client"
local server_cert = require "lest.tool.ca.server_cert"
local session = require "lest.client.session"
local submission = require "lest.client.submission"
local support = require "lest.tool.command.support"
local url = require "lest.url"
local wishes = require "lest.client.wishes"

local NAME <const> = "playback"
local DAY <const> = 86400

-- What a server of one day needs; its root is the first that the client trusts.
local function credentials()
  local now = core.clock.wall_us() // 1000000
  local key = assert(core.key.generate "ec:P-256")
  local cert = assert(core.issuer.root { key = key, subject = { { "CN", "playback" } },
    path_len = 0, not_before = now - 60, not_after = now + DAY })
  local made = assert(server_cert.make({ cert = cert, key = key }, { "localhost" }, now))
  return cert, assert(core.tls.server { cert = made.cert, key = made.key })
end

local function joined(pieces)
  return type(pieces) == "table" and table.concat(pieces) or pieces or ""
end

--- The bytes of an answer whose redirects lead here, too.
local function answer_of(exchange, from, to)
  local head, body = joined(exchange.received):match "^(.-\r\n\r\n)(.*)$"
  if not head then return joined(exchange.received) end
  local at, last = head:find(from, 1, true)
  if at then head = head:sub(1, at - 1) .. to .. head:sub(last + 1) end
  return head .. body
end

--- Serve the answers in their order, again and again.
local function serve(record)
  local self = { taken = 0 }
  local root, tls = credentials()
  self.root = root
  self.server = assert(core.server.new { listen = "127.0.0.1:0", tls = tls,
    on_request = function(exchange)
      local each = record[self.taken % #record + 1]
      self.taken = self.taken + 1
      if each.code == "timeout" then return end -- as then, nothing comes
      exchange:respond { raw = answer_of(each, self.from, self.origin) }
    end })
  self.origin = "https://localhost:" .. self.server.address:match "%d+$"
  local recorded = assert(url.parse(record.url))
  self.from, self.url = recorded:origin(), self.origin .. recorded.path
  return self
end

-- The CSR of an operation that begins with this exchange: a server that wants a password may refuse
-- the first request before its body was sent.
local function csr_of(record, at)
  local operation, body = record[at].operation, ""
  while body == "" and record[at] and record[at].operation == operation do
    body = joined(record[at].sent):match "\r\n\r\n(.*)$" or ""
    at = at + 1
  end
  local der, err = core.est.body_decode(body)
  if not der then return nil, err end
  return core.csr.parse(der)
end

local OPERATIONS <const> = {
  cacerts = function(client)
    local found, err = session.fetch_cacerts(client)
    return found and ("%d certificates"):format(#found), err
  end,
  csrattrs = function(client)
    local found, err = wishes.list(client)
    return found and ("%d wishes"):format(#found), err
  end,
}
for operation, read in pairs { simpleenroll = false, simplereenroll = false,
  serverkeygen = true } do
  OPERATIONS[operation] = function(client, record, at)
    local cert, err = submission.submit(client, operation, nil, function()
      return csr_of(record, at)
    end, read and function(response) return keygen.read(client, {}, response) end or nil)
    return cert and tostring(cert.subject), err
  end
end

-- What was driven by hand: its own bytes may be no request to this server, its answer counts.
local function by_hand(client)
  local connection <close>, err = client:connect()
  if not connection then return nil, err end
  local ok
  ok, err = connection:send { path = "/" }
  if not ok then return nil, err end
  local response
  response, err = connection:receive()
  return response and tostring(response.status), err
end

local function say(exchange, text)
  print(("%s: %s"):format(exchange.operation or "by hand", support.clean(text)))
end

-- Errors name their operation.
local function say_error(exchange, err)
  print(support.clean(err.operation and tostring(err) or ("%s: %s"):format(exchange.operation
    or "by hand", tostring(err))))
end

-- A redirect and a challenge are one call of the client's, which takes several answers.
local function play(record, client, server)
  local code = 0
  while server.taken < #record do
    local before = server.taken
    local exchange = record[before + 1]
    if joined(exchange.sent) == "" then
      local err = core.error.new { code = exchange.code or "network",
        message = "there was no request, as recorded: " .. tostring(exchange.error) }
      say_error(exchange, err)
      code = err.exit_code
    else
      local text, err = (OPERATIONS[exchange.operation] or by_hand)(client, record, before + 1)
      if text then say(exchange, text) else say_error(exchange, err) end
      code = text and code or support.exit_code(err)
    end
    server.taken = math.max(server.taken, before + 1)
  end
  return code
end

local function anchors_of(record, root)
  local list = { root }
  for _, pem in ipairs(record.anchors or {}) do
    list[#list + 1] = assert(core.cert.parse(joined(pem)))
  end
  return list
end

-- What the client had, as options: which password or token, the file does not say.
local function credentials_of(record)
  for _, exchange in ipairs(record) do
    local scheme = joined(exchange.sent):match "\r\nAuthorization: (%a*)"
    if scheme == "Bearer" then return { bearer = NAME } end
    if scheme then return { username = NAME, password = NAME } end
  end
  return {}
end

--- Play a record; word is "serve", or absent.
---@param record table
---@param word? string
return function(record, word)
  if #record == 0 then error("nothing was recorded", 0) end
  local server = serve(record)
  if word == "serve" then
    io.stderr:write(NAME, ": ", server.url, " answers; its CA is on standard output\n")
    io.stdout:write(server.root:pem())
    io.stdout:flush()
    while core.loop.turn() do end -- luacheck: ignore 542
    return
  end
  local had = credentials_of(record)
  local client <close> = lest_client { url = server.url, trust = anchors_of(record, server.root),
    timeout = "2s", username = had.username, password = had.password, bearer = had.bearer,
    notify = function(kind, message)
      if kind == "warning" then print("warning: " .. support.clean(message)) end
    end }
  local code = play(record, client, server)
  server.server:close()
  if code ~= 0 then os.exit(code, true) end
end
