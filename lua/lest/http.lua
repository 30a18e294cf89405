--- HTTP requests: waiting without blocking others inside a task, blocking outside.
---
---   local res, err = lest.http.get("https://inventory/devices/42")
---   if not res then ... end -- there was no answer: network, trust, time
---   if res.status == 200 then print(res:json().owner) end
---
--- Every status is a result; redirects are not followed. Without `trust` a server is verified with
--- the system's anchors.
local clock = require "lest.base.clock"
local core = require "lest.core"
local duration = require "lest.duration"
local fail = require "lest.base.fail"
local http_record = require "lest.base.http_record"
local task = require "lest.task"

---@class lest.module.http
local M = {}

---@class lest.http.response
---@field status integer 200 and the like; every one is a result
---@field headers { [1]: string, [2]: string }[] in the order received
---@field body string all of it
---@field tls_version string? "TLSv1.3"
---@field peer_chain string[]? DER, the server's certificate first
local Response = { __name = "lest.http.response" }
Response.__index = Response

--- The value of a header, whatever the case of its name; several are joined by ", ".
---@param name string
---@return string?
function Response:header(name)
  local values = self:header_values(name)
  return values[1] and table.concat(values, ", ")
end

--- Every value of a header.
---@param name string
---@return string[]
function Response:header_values(name)
  local values = {}
  name = name:lower()
  for _, header in ipairs(self.headers) do
    if header[1]:lower() == name then values[#values + 1] = header[2] end
  end
  return values
end

--- The body read as JSON; null is nil.
---@return any value
---@return lest.error? err code malformed
function Response:json()
  local value, problem = require "lest.json".decode(self.body)
  if not problem then return value end
  return fail("malformed", "the answer is no JSON: " .. problem, { status = self.status })
end

--- What core.http_client makes of an answer, with this module's methods.
---@return lest.http.response
function M.response(answer)
  return setmetatable(answer, Response)
end

--- Do an exchange. Within a decision what it learns is noted, or comes from the record.
local function exchange(options, headers, body, perform)
  local journal = task.context()
  if not journal then return perform() end
  local question = http_record.question(options, headers, body)
  local response
  local answer, err = journal:outside("http", question, function()
    local problem
    response, problem = perform()
    return response and http_record.answer(response), problem
  end)
  if response or not answer then return response, err end
  return M.response(http_record.response(answer, question))
end

--- A request that somebody waits for, who may take it back.
local UnderWay = {}
UnderWay.__index = UnderWay

function UnderWay:close() self.request:close() end

function UnderWay:withdraw(reason)
  if self.request:was_sent() then return end
  self.request:close()
  self.callback(fail("closed", reason, { was_sent = false }))
end

local function send_by(client, options, look)
  options.watched = look ~= nil
  local answer, err, seen = task.await(function(callback)
    options.callback = callback
    local request, problem = client:request(options)
    if not request then return callback(nil, problem) end
    return setmetatable({ request = request, callback = callback }, UnderWay)
  end)
  local response = answer and M.response(answer) or nil
  if not response then clock.explain(err) end
  if seen then look(seen, response, err) end
  return response, err
end

--- Send one request through a core client and wait. timeout_ms and the rest go by core.http_client.
---@param client lest.http_client
---@param options table
---@param look? fun(seen: table, response?: lest.http.response, err?: lest.error) is shown what was
--- on the wire
---@return lest.http.response?
---@return lest.error? err
function M.send(client, options, look)
  return exchange(options, options.headers or {}, options.body, function()
    return send_by(client, options, look)
  end)
end

-- Clients by what they trust and show, the newest first, so that connections are used again. A file
-- is read again after a while, since it may have been replaced.
local CLIENTS_MAX <const> = 16
local FILE_KEPT_MS <const> = 60000
local clients = {}

local function find(options)
  local now = core.clock.monotonic_ms()
  for i, kept in ipairs(clients) do
    if rawequal(kept.trust, options.trust) and rawequal(kept.cert, options.cert)
      and rawequal(kept.key, options.key) then
      table.remove(clients, i)
      return now < kept.until_ms and kept or nil
    end
  end
end

local function load_store(path)
  local anchors, err = core.cert.load_all(path)
  if not anchors then return nil, err end
  return core.store.new { anchors = anchors }
end

local function open(options)
  local kept = find(options)
  if not kept then
    local trust, from_file = options.trust, false
    local settings = { plain_http = true, cert = options.cert, key = options.key }
    local client, err
    if trust == nil or trust == "system" then
      settings.system = true
    elseif type(trust) == "string" then
      from_file = true
      settings.store, err = load_store(trust)
      if not settings.store then return nil, err end
    else
      settings.store = trust
    end
    client, err = core.http_client.new(settings)
    if not client then return nil, err end
    kept = { client = client, trust = trust, cert = options.cert, key = options.key,
      until_ms = from_file and core.clock.monotonic_ms() + FILE_KEPT_MS or math.huge }
  end
  table.insert(clients, 1, kept)
  clients[CLIENTS_MAX + 1] = nil
  return kept.client
end

local KNOWN <const> = { url = true, method = true, headers = true, body = true, json = true,
  trust = true, cert = true, key = true, username = true, password = true, timeout = true,
  max_body = true, show_query = true }

local function list_of(headers)
  local list = {}
  for key, value in pairs(headers or {}) do
    if math.type(key) == "integer" then
      list[#list + 1] = value
    else
      list[#list + 1] = { key, tostring(value) }
    end
  end
  return list
end

local function check(options, level)
  for key in pairs(options) do
    if not KNOWN[key] then
      error(("lest.http has no option '%s'"):format(tostring(key)), level + 1)
    end
  end
  if options.timeout and not duration.parse(options.timeout) then
    error(select(2, duration.parse(options.timeout)), level + 1)
  end
end

---@class lest.http.options
---@field headers? table<string, string>|{ [1]: string, [2]: string }[] further ones
---@field body? string what is sent
---@field json? any becomes the body, with its Content-Type
---@field trust? "system"|string|lest.store anchors the server is verified with: file or store
---@field cert? lest.cert the client's certificate, with its chain
---@field key? lest.key its key
---@field username? string sent at once (Basic)
---@field password? string of the user name
---@field timeout? string|integer for the whole exchange; default "30s"
---@field max_body? integer most bytes of an answer; default 1 MiB
---@field show_query? boolean in a policy: the query of the URL may stand in the ledger, which else
--- has its hash

-- To read as much JSON takes some 35 ms, for which a worker answers nobody else.
local BODY_MAX <const> = 1024 * 1024

-- RFC 9110 9.2.1: what asks and changes nothing. Of any other request without an answer it is
-- unknown whether it was done.
local SAFE <const> = { GET = true, HEAD = true, OPTIONS = true }

local function send(options, headers, body)
  local client, err = open(options)
  if not client then return nil, err end
  local response
  response, err = send_by(client, {
    url = options.url, method = options.method, headers = headers, body = body,
    username = options.username, password = options.password,
    max_body = options.max_body or BODY_MAX,
    timeout_ms = duration.parse(options.timeout or "30s") * 1000,
  })
  if not response then err.unknown = err.was_sent and not SAFE[options.method or "GET"] or nil end
  return response, err
end

--- Send a request. url and method ("GET" if absent) are among the options.
---@param options lest.http.options|{ url: string, method?: string }
---@return lest.http.response?
---@return lest.error? err
function M.request(options)
  check(options, 2)
  local headers, body = list_of(options.headers), options.body
  if options.json ~= nil then
    body = require "lest.json".encode(options.json)
    headers[#headers + 1] = { "Content-Type", "application/json" }
  end
  return exchange(options, headers, body, function() return send(options, headers, body) end)
end

local function with(options, changes)
  local all = {}
  for key, value in pairs(options or {}) do all[key] = value end
  for key, value in pairs(changes) do all[key] = value end
  return all
end

--- Fetch.
---@param url string
---@param options? lest.http.options
---@return lest.http.response?
---@return lest.error? err
function M.get(url, options)
  return M.request(with(options, { url = url, method = "GET" }))
end

--- Send a body.
---@param url string
---@param body? string
---@param options? lest.http.options
---@return lest.http.response?
---@return lest.error? err
function M.post(url, body, options)
  return M.request(with(options, { url = url, method = "POST", body = body }))
end

return M
