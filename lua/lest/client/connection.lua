--- A connection that is driven by hand: whatever one likes is sent, and answers are read when one
--- asks for them. It is verified as every connection of the client; what is sent is not judged.
---
---   local connection <close> = assert(client:connect())
---   print(connection.tls.version, connection.tls.chain[1].subject)
---   assert(connection:send { operation = "simpleenroll", body = "no CSR" })
---   print(assert(connection:receive()).status)
---   assert(connection:send { raw = "GET / HTTP/1.1\r\n" })   -- and not the rest
local challenge = require "lest.client.challenge"
local clock = require "lest.base.clock"
local core = require "lest.core"
local duration = require "lest.duration"
local fail = require "lest.base.fail"
local http = require "lest.http"
local list = require "lest.base.list"
local options_of = require "lest.client.options"
local task = require "lest.task"
local trace = require "lest.client.trace"

local M = {}

--- A connection that is driven by hand.
---@class lest.client.connection
---@field tls lest.client.tls what its handshake came to
---@field address string the server's, or a proxy's
---@field port integer
local Connection = { __name = "lest.client.connection" }
Connection.__index = Connection

--- What client:send is given.
---@class lest.client.sending
---@field operation? string of EST, "simpleenroll": its method, path and media type are taken
---@field method? string "GET" if absent, or "POST" with a body
---@field path? string from the root on; the folder of the operations if absent
---@field body? string|lest.csr bytes as they are; a CSR goes as the operation wants it
---@field headers? table<string, string|false> further ones, or others; false leaves one out
---@field password? boolean send the client's user name and password, or its token, too
---@field raw? string exactly these bytes, and nothing else
---@field timeout? string|integer the client's if absent

--- Open one. session is that of the client, whose trust it shares.
---@param self lest.client
---@param session table
---@return lest.client.connection?
---@return lest.error? err
function M.open(self, session)
  local tell = trace.watcher(self)
  local core_connection
  local ok, err = task.await(function(callback)
    local problem
    core_connection, problem = session.http:connect { url = tostring(session.base),
      timeout_ms = session.timeout_ms, callback = callback }
    if not core_connection then callback(nil, problem) end
    return core_connection
  end)
  local facts = core_connection and core_connection:facts()
  if tell and facts then trace.opened(tell, facts) end
  if not ok then
    clock.explain(err)
    if tell then trace.received(tell, nil, err, "") end
    return nil, err
  end
  return setmetatable({ core = core_connection, client = self, session = session,
    facts = facts, tls = trace.tls(facts.tls), address = facts.address, port = facts.port,
    head_only = false }, Connection)
end

-- What may stand in a head, where each line is one header. `raw` is for all else.
local function check_text(what, text)
  if type(text) ~= "string" or text:find "[\r\n\0]" then
    error(("%s has line ends or is no text; raw = ... sends any bytes"):format(what), 4)
  end
  return text
end

local function has_header(headers, name)
  for key in pairs(headers) do
    if type(key) == "string" and key:lower() == name:lower() then return true end
  end
  return false
end

-- RFC 7030 6: not to a server that only the system's anchors vouch for.
local function authorization(session)
  if not session.username and not session.bearer then
    return fail("usage", "the client has no user name and password, and no token")
  end
  if session.digest then
    return fail("usage", "the client proves its password by Digest alone, and never sends it")
  end
  if session.anchors ~= "explicit" and not session.allow_password_with_system_trust then
    return fail("trust", ("no %s is sent to a server that only the system's trust anchors "
      .. "vouch for"):format(session.bearer and "token" or "password"))
  end
  if session.bearer then return challenge.bearer(session) end
  return "Basic " .. core.base64.encode(session.username .. ":" .. session.password)
end

local function head_of(self, what, method, body, info)
  local session, given = self.session, what.headers or {}
  local path = what.path or session.base.path .. (what.operation and "/" .. what.operation or "")
  local lines = { check_text("method", method) .. " " .. check_text("path", path) .. " HTTP/1.1" }
  local function add(name, value)
    if value and not has_header(given, name) then lines[#lines + 1] = name .. ": " .. value end
  end
  add("Host", session.base:authority())
  if body and info then
    add("Content-Type", info.request_type)
    add("Content-Transfer-Encoding", info.request_type and "base64")
  end
  if body then add("Content-Length", tostring(#body)) end
  if what.password then
    local value, err = authorization(session)
    if not value then return nil, err end
    add("Authorization", value)
  end
  for _, name in ipairs(list.sorted_keys(given)) do
    if given[name] then
      lines[#lines + 1] = check_text("a header", name) .. ": " .. check_text(name, given[name])
    end
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

-- The bytes of a request, and its method.
local function bytes_of(self, what)
  if what.raw then return what.raw, what.raw:match "^%a+" end
  local info = what.operation and core.est.operations[what.operation] or nil
  if what.operation and not info then
    error("there is no operation " .. what.operation .. "; path = ... names any", 3)
  end
  local body = what.body
  if options_of.kind(body) == "lest.csr" then body = core.est.body_encode(body:der()) end
  local method = what.method or info and info.method or body and "POST" or "GET"
  local head, err = head_of(self, what, method, body, info)
  if not head then return nil, err end
  return head .. (body or ""), method
end

-- Wait for an operation of the core's connection; close() ends the wait, too.
local function await(self, operation, options)
  return task.await(function(callback)
    options.callback = callback
    local started, problem = self.core[operation](self.core, options)
    if started then self.waiter = callback else callback(nil, problem) end
    return started
  end)
end

local function timeout_ms(self, options)
  local timeout = options.timeout
  return timeout and duration.parse(timeout) * 1000 or self.session.timeout_ms
end

--- Send a request, or any bytes; the answer is for receive().
---@param what lest.client.sending
---@return true?
---@return lest.error? err closed, timeout
function Connection:send(what)
  options_of.check("connection:send", what, options_of.send)
  local bytes, method = bytes_of(self, what)
  if not bytes then return nil, method end
  local ok, err = await(self, "send", { bytes = bytes, timeout_ms = timeout_ms(self, what) })
  self.sent, self.head_only = bytes, method == "HEAD"
  local tell = trace.watcher(self.client)
  if tell then trace.sent(tell, bytes) end
  if tell and not ok then trace.received(tell, nil, err, "") end
  return ok, err
end

--- Read the next answer, strictly and within bounds. Its bytes are response.raw; what came in place
--- of an answer is err.raw.
---@param options? { timeout?: string|integer }
---@return lest.http.response?
---@return lest.error? err protocol, closed, timeout, too_large
function Connection:receive(options)
  options = options or {}
  options_of.check("connection:receive", options, options_of.receive)
  local answer, err = await(self, "receive", { timeout_ms = timeout_ms(self, options),
    head_only = self.head_only, max_body = self.session.max_body })
  local raw = self.is_closed and "" or self.core:raw()
  local response = answer and http.response(answer)
  if response then response.raw = raw else err.raw = raw end
  local tell = trace.watcher(self.client)
  if tell then trace.received(tell, response, err, raw) end
  if self.client.recorder then
    local seen = { sent = self.sent or "", received = raw, tls = self.facts.tls }
    self.client.recorder:add(self.client, nil, seen, err)
  end
  return response or nil, err
end

--- Close it; what another task waits for ends with an error of code closed.
function Connection:close()
  if self.is_closed then return end
  self.is_closed = true
  self.core:close()
  if self.waiter then self.waiter(fail("closed", "the connection was closed on this side")) end
end
Connection.__close = Connection.close

return M
