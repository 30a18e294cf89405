--- One EST operation, from its request to an answer that is final: redirects within the origin, and
--- to those that the caller allows, are followed, challenges are answered (lest.client.challenge).
---
--- A session is { client = lest.client, http = lest.http_client, base = lest.url of the operations'
--- folder, origins = a set of origins beside its own, username =, password =, digest =, bearer =
--- (client/token),
--- anchors = "explicit" | "system" | "provisional", ... }.
local answer = require "lest.client.answer"
local challenge = require "lest.client.challenge"
local core = require "lest.core"
local http = require "lest.http"
local secrets = require "lest.client.secrets"
local trace = require "lest.client.trace"
local url = require "lest.url"

local M = {}

local HOPS_MAX <const> = 5
local REDIRECTS <const> = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

-- Who is shown what was on the wire: a trace, a record, both or nobody.
local function looker(client, operation, tell)
  local recorder = client.recorder
  if not tell and not recorder then return nil end
  return function(seen, response, err)
    if tell then trace.exchange(tell, seen, response, err) end
    if recorder then recorder:add(client, operation, seen, err) end
  end
end

---@class lest.client.body made for the connection that carries it, by its channel binding
---@field size integer bytes, at most
---@field make fun(binding: string): string?, lest.error?

-- given: what the request answers a challenge with.
local function send(session, look, method, target, body, media_type, given)
  local headers = {}
  if body then
    headers = { { "Content-Type", media_type }, { "Content-Transfer-Encoding", "base64" } }
  end
  local by_basic = given and given.scheme == "Basic"
  if given and not by_basic then
    local value, err = challenge.authorization(given, session, method, target)
    if not value then return nil, err end
    table.insert(headers, { "Authorization", value })
  end
  local is_made, problem = type(body) == "table", nil
  local response, err = http.send(session.http, {
    url = tostring(target), method = method, headers = headers, body = not is_made and body or nil,
    body_size = is_made and body.size or nil, make_body = is_made and function(binding)
      local bytes
      bytes, problem = body.make(binding)
      return bytes
    end or nil,
    username = by_basic and (session.username or "") or nil,
    password = by_basic and (session.password or "") or nil,
    timeout_ms = session.timeout_ms, max_body = session.max_body,
  }, look)
  return response, not response and problem or err
end

-- Only a server that is verified says what time it is.
local function note_clock(session, response)
  local text = session.anchors ~= "provisional" and response:header "Date"
  local now = core.clock.wall_us() // 1000000
  local date = text and core.http.date(text, now)
  if date then session.client.clock_offset = date - now end
end

-- RFC 7030 3.2.1; RFC 9110 15.4: within the origin, or to one that the caller allows, and a POST
-- only where neither its method nor its body would change. A secret of the CSR stays at home.
local function follow(session, response, method, target)
  local location = response:header_values("Location")[1]
  local to, problem
  if location then to, problem = url.resolve(target, location) end
  local has_secret = session.client.challenge ~= nil
  local message
  if session.anchors == "provisional" then
    message = "a server that is not verified yet redirects"
  elseif not location then
    message = "the server redirects to nowhere"
  elseif not to then
    message = "the server redirects to a bad address: " .. problem
  elseif to.scheme ~= "https" then
    message = "the server redirects to " .. tostring(to) .. ", which is not https"
  elseif not session.origins[to:origin()] then
    message = ("the server redirects to another one, %s; use its URL to go there, or allow it "
      .. "(redirects, --redirect)"):format(to:origin())
  elseif to:origin() ~= target:origin() and method ~= "GET" and has_secret then
    message = "the server redirects a request that has a secret to another one, " .. to:origin()
  elseif method ~= "GET" and response.status ~= 307 and response.status ~= 308 then
    message = ("the server answers a POST with the redirect %d, which would change the request")
      :format(response.status)
  else
    return to
  end
  return nil, answer.error(response, { code = "protocol", message = message, rfc = "7030 3.2.1" })
end

--- Perform an operation; any final status is a result.
---@param session table
---@param operation string as in the path: "simpleenroll"
---@param body? string|lest.client.body
---@return lest.http.response?
---@return lest.error? err
function M.perform(session, operation, body)
  local info = core.est.operations[operation]
  local target = assert(url.resolve(session.base, session.base.path .. "/" .. operation))
  local tell = trace.watcher(session.client)
  local look = looker(session.client, operation, tell)
  local given, tried = session.given, {}
  if given then given.is_known = true end
  local hops = 0
  while true do
    local response, err = send(session, look, info.method, target, body, info.request_type, given)
    if not response then return nil, err end
    note_clock(session, response)
    if response.by_cmc_ra then session.by_cmc_ra = true end
    if response.status == 401 then
      given, err = challenge.answer(session, response, given, tried)
      if not given then
        if err then return nil, err end
        return response
      end
      if tell then tell { kind = "challenge", schemes = challenge.schemes(response) } end
    elseif REDIRECTS[response.status] then
      local to
      to, err = follow(session, response, info.method, target)
      if not to then return nil, err end
      -- RFC 9110 11.6.2: what one server was shown is not for another, which may ask for itself.
      if to:origin() ~= target:origin() then given, tried = nil, {} end
      target = to
      if tell then tell { kind = "redirect", to = secrets.address(tostring(target)) } end
      hops = hops + 1
      if hops > HOPS_MAX then
        return nil, answer.error(response, { code = "protocol",
          message = "the server redirects in a circle" })
      end
    else
      -- The next request saves the round trip.
      if target:origin() == session.base:origin() then session.given = given end
      return response
    end
  end
end

return M
