--- How a client answers a 401 (RFC 9110 11.6): with a token by Bearer (RFC 6750); with a password
--- by Digest (RFC 7616) where the server offers one that can be done, by Basic otherwise. Each is
--- tried once, and Digest again with a new nonce.
---
---   local given, err = challenge.answer(session, response, nil, {})
---   headers = { { "Authorization", challenge.authorization(given, session, "POST", target) } }
local answer = require "lest.client.answer"
local core = require "lest.core"
local digest = require "lest.base.digest"
local list = require "lest.base.list"

local M = {}

---@class lest.client.given what is sent in answer to a challenge
---@field scheme "Basic"|"Digest"|"Bearer"
---@field is_known boolean? it is of an earlier request: its nonce may be over
---@field algorithm "SHA-256"|"MD5" of Digest, as what follows
---@field realm string
---@field nonce string
---@field opaque string?
---@field count integer how often the nonce was used

local function challenges_of(response)
  return core.http.challenges(response:header_values "WWW-Authenticate")
end

-- Of those that are told.
local SCHEMES_MAX <const> = 8

--- What the server wants, as it names it, each once.
---@param response lest.http.response
---@return string[]
function M.schemes(response)
  local names = {}
  for _, challenge in ipairs(challenges_of(response)) do
    local name = answer.clean(challenge.scheme)
    if #names < SCHEMES_MAX and not list.has(names, name) then names[#names + 1] = name end
  end
  return names
end

-- RFC 7616 3.3: unknown values of qop are ignored, and an absent algorithm is MD5.
local function by_digest(challenge)
  local params = challenge.params or {}
  if challenge.scheme:lower() ~= "digest" or not params.realm or not params.nonce
    or not list.has(core.http.list((params.qop or ""):lower()), "auth") then
    return nil
  end
  local wanted = (params.algorithm or "MD5"):upper()
  if not list.has(digest.ALGORITHMS, wanted) then return nil end
  return { scheme = "Digest", algorithm = wanted, realm = params.realm, nonce = params.nonce,
    opaque = params.opaque, count = 0, is_stale = (params.stale or ""):lower() == "true" }
end

local function has_scheme(challenges, scheme)
  for _, challenge in ipairs(challenges) do
    if challenge.scheme:lower() == scheme then return true end
  end
  return false
end

--- The best that is offered of the schemes that were not tried.
local function choose(session, challenges, tried)
  if session.bearer then
    return has_scheme(challenges, "bearer") and not tried.Bearer and { scheme = "Bearer" } or nil
  end
  local best
  for _, challenge in ipairs(challenges) do
    local found = by_digest(challenge)
    if found and (not best or best.algorithm == "MD5" and found.algorithm ~= "MD5") then
      best = found
    end
  end
  if best and not tried.Digest then return best end
  if has_scheme(challenges, "basic") and not session.digest and not tried.Basic then
    return { scheme = "Basic" }
  end
end

-- The schemes that can be done, for people.
local function known(session)
  if session.bearer then return "Bearer" end
  return (session.digest and "" or "Basic and ")
    .. ("Digest (qop=auth, %s)"):format(table.concat(digest.ALGORITHMS, " or "))
end

-- Whether a secret may be sent to answer this 401; the server has been verified by the connection
-- (RFC 7030 3.2.3), unless it is provisional (4.1.1).
local function refuse(session, response, given)
  local names = M.schemes(response)
  local message
  if session.anchors == "provisional" then
    message = "a server that is not verified yet asks for a password"
  elseif not session.username and not session.password and not session.bearer then
    message = session.has_certificate
      and "the server does not accept the client certificate alone, and there is no password"
      or "no user name and password, nor a client certificate, were given"
  elseif #names == 0 then
    message = "the server does not say which authentication it wants"
  elseif not given then
    message = ("the server wants the authentication %s; only %s can be done"):format(
      table.concat(names, " or "), known(session))
  elseif session.anchors == "system" and not session.allow_password_with_system_trust then
    message = ("no %s is sent to a server that only the system's trust anchors vouch for; "
      .. "name its CA or its fingerprint (or allow_password_with_system_trust)"):format(
      session.bearer and "token" or "password")
    return nil, answer.error(response, { code = "trust", message = message, rfc = "7030 6" })
  else
    return given
  end
  return nil, answer.error(response, { message = message })
end

--- What to answer a 401 with. RFC 7616 3.3: a second one means that the password is wrong, unless
--- it says that only the nonce was stale; one of an earlier request may be so unsaid.
---@param session table
---@param response lest.http.response
---@param given lest.client.given? what the request had
---@param tried table<string, boolean> schemes of this request, filled
---@return lest.client.given? given nil without an error: the 401 is final
---@return lest.error? err
function M.answer(session, response, given, tried)
  local challenges = challenges_of(response)
  local is_digest = given and given.scheme == "Digest"
  local best = choose(session, challenges, {})
  if is_digest and best and best.scheme == "Digest" and not tried.again
    and (best.is_stale or given.is_known) then
    tried.again = true
    return best
  end
  if given then tried[given.scheme] = true end
  local found = choose(session, challenges, tried)
  if given and not found then return nil end
  return refuse(session, response, found)
end

local function quoted(text)
  return '"' .. text:gsub('["\\]', "\\%0") .. '"'
end

--- The Authorization header of Digest (RFC 7616 3.4); each uses the nonce once more.
local function digest_header(given, session, method, target)
  local username = session.username or ""
  local cnonce, secret, response, err
  cnonce, err = core.secret.random(16)
  if not cnonce then return nil, err end
  given.count = given.count + 1
  local said = { nonce = given.nonce, nc = ("%08x"):format(given.count), cnonce = cnonce,
    method = method, uri = target.path .. (target.query and "?" .. target.query or "") }
  secret, err = digest.secret(given.algorithm, username, given.realm, session.password or "")
  if secret then response, err = digest.response(given.algorithm, secret, said) end
  if not response then return nil, err end
  return ("Digest username=%s, realm=%s, nonce=%s, uri=%s, algorithm=%s, response=%s, qop=auth, "
    .. "nc=%s, cnonce=%s%s"):format(quoted(username), quoted(given.realm), quoted(given.nonce),
    quoted(said.uri), given.algorithm, quoted(response), said.nc, quoted(cnonce),
    given.opaque and ", opaque=" .. quoted(given.opaque) or "")
end

--- The Authorization header with the token of now.
---@param session table
---@return string? value
---@return lest.error? err
function M.bearer(session)
  local token, err = session.bearer()
  return token and "Bearer " .. token, err
end

--- The Authorization header of Digest or Bearer; that of Basic is curl's.
---@param given lest.client.given
---@param session table
---@param method string
---@param target lest.url
---@return string? value
---@return lest.error? err
function M.authorization(given, session, method, target)
  if given.scheme == "Bearer" then return M.bearer(session) end
  return digest_header(given, session, method, target)
end

return M
