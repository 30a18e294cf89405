--- One EST operation, from its request to an answer that is final: redirects within the origin are
--- followed, a challenge is answered once.
---
--- A session is { client = lest.client, http = lest.http_client, base = lest.url of the operations'
--- folder, username =, password =, anchors = "explicit" | "system" | "provisional", ... }.
local answer = require "lest.client.answer"
local core = require "lest.core"
local http = require "lest.http"
local trace = require "lest.client.trace"
local url = require "lest.url"

local M = {}

local HOPS_MAX <const> = 5
local REDIRECTS <const> = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

-- tell: who watches, see lest.client.trace.
local function send(session, tell, method, target, body, media_type, with_password)
  local headers = {}
  if body then
    headers = { { "Content-Type", media_type }, { "Content-Transfer-Encoding", "base64" } }
  end
  return http.send(session.http, {
    url = tostring(target), method = method, headers = headers, body = body,
    username = with_password and (session.username or "") or nil,
    password = with_password and (session.password or "") or nil,
    timeout_ms = session.timeout_ms, max_body = session.max_body,
  }, tell and function(...) trace.exchange(tell, ...) end)
end

-- RFC 7030 3.2.1; RFC 9110 15.4: within the origin, and a POST only where neither its method nor
-- its body would change.
local function follow(session, response, method, target)
  local location = response:header_values("Location")[1]
  local to, problem
  if location then to, problem = url.resolve(target, location) end
  local message
  if session.anchors == "provisional" then
    message = "a server that is not verified yet redirects"
  elseif not location then
    message = "the server redirects to nowhere"
  elseif not to then
    message = "the server redirects to a bad address: " .. problem
  elseif to.scheme ~= "https" then
    message = "the server redirects to " .. tostring(to) .. ", which is not https"
  elseif to:origin() ~= target:origin() then
    message = "the server redirects to another one, " .. to:origin() .. "; use its URL to go there"
  elseif method ~= "GET" and response.status ~= 307 and response.status ~= 308 then
    message = ("the server answers a POST with the redirect %d, which would change the request")
      :format(response.status)
  else
    return to
  end
  return nil, answer.error(response, { code = "protocol", message = message, rfc = "7030 3.2.1" })
end

local function schemes(response)
  local names, basic = {}, false
  for i, challenge in ipairs(core.http.challenges(response:header_values "WWW-Authenticate")) do
    names[i] = answer.clean(challenge.scheme)
    basic = basic or challenge.scheme:lower() == "basic"
  end
  return names, basic
end

-- Whether a password may be sent to answer this 401; the server has been verified by the connection
-- (RFC 7030 3.2.3), unless it is provisional (4.1.1).
local function may_answer(session, response)
  local names, basic = schemes(response)
  local message
  if session.anchors == "provisional" then
    message = "a server that is not verified yet asks for a password"
  elseif not session.username and not session.password then
    message = session.has_certificate
      and "the server does not accept the client certificate alone, and there is no password"
      or "no user name and password, nor a client certificate, were given"
  elseif #names == 0 then
    message = "the server does not say which authentication it wants"
  elseif not basic then
    message = "the server wants the authentication " .. table.concat(names, " or ")
      .. "; only Basic can be done"
  elseif session.anchors == "system" and not session.allow_password_with_system_trust then
    message = "no password is sent to a server that only the system's trust anchors vouch for; "
      .. "name its CA or its fingerprint (or allow_password_with_system_trust)"
    return nil, answer.error(response, { code = "trust", message = message, rfc = "7030 6" })
  else
    return true
  end
  return nil, answer.error(response, { message = message })
end

--- Perform an operation; any final status is a result.
---@param session table
---@param operation string as in the path: "simpleenroll"
---@param body? string
---@return lest.http.response?
---@return lest.error? err
function M.perform(session, operation, body)
  local info = core.est.operations[operation]
  local target = assert(url.resolve(session.base, session.base.path .. "/" .. operation))
  local tell = trace.watcher(session.client)
  local with_password = session.password_wanted
  local hops = 0
  while true do
    local response, err = send(session, tell, info.method, target, body, info.request_type,
      with_password)
    if not response then return nil, err end
    if response.by_cmc_ra then session.by_cmc_ra = true end
    if response.status == 401 then
      -- RFC 7616 3.3: a second one means that the password is wrong.
      if with_password then return response end
      with_password, err = may_answer(session, response)
      if not with_password then return nil, err end
      if tell then tell { kind = "challenge", schemes = schemes(response) } end
    elseif REDIRECTS[response.status] then
      target, err = follow(session, response, info.method, target)
      if not target then return nil, err end
      if tell then tell { kind = "redirect", to = tostring(target) } end
      hops = hops + 1
      if hops > HOPS_MAX then
        return nil, answer.error(response, { code = "protocol",
          message = "the server redirects in a circle" })
      end
    else
      session.password_wanted = with_password -- the next request saves the round trip
      return response
    end
  end
end

return M
