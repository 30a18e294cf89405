--- Checks of how a server reads Digest (RFC 7616), by a password: a request of a media type that is
--- refused, with an answer to its challenge that is right, and with one that is not.
local challenge = require "lest.client.challenge"
local core = require "lest.core"
local digest = require "lest.base.digest"
local url = require "lest.url"
local wire = require "lest.probe.wire"

local OPERATION <const> = "simpleenroll"
local HASHES <const> = { ["SHA-256"] = core.secret.sha256, MD5 = core.secret.md5 }

local function ask(target, authorization)
  return target:ask { operation = OPERATION, body = target:refused_request(),
    headers = { ["Content-Type"] = "text/plain", Authorization = authorization } }
end

local function target_of(target, operation)
  return assert(url.resolve(target.base, target.base.path .. "/" .. operation))
end

-- A new challenge, and what is refused at once but for who asks: its status where that is known.
local function asked(target)
  local session = target.client.session
  if not session.password then return nil, "needs a password" end
  local function given()
    local response, err = ask(target)
    if not response then return nil, wire.shown(response, err) end
    if response.status ~= 401 then return nil, "no 401: " .. response.status end
    local found = challenge.answer(session, response, nil, {})
    if not found or found.scheme ~= "Digest" then return nil, "no challenge of digest" end
    return found
  end
  local first, why = given()
  if not first then return nil, why end
  local right, err = ask(target, challenge.authorization(first, session, "POST",
    target_of(target, OPERATION)))
  if not right then return nil, wire.shown(right, err) end
  if right.status == 401 or right.status == 400 then
    return nil, "a right one is refused, too: " .. right.status
  end
  return given()
end

-- make(given, session, target): a header that no server takes.
local function refuses(make)
  return function(target)
    local found, why = asked(target)
    if not found then return nil, why end
    local response, err = ask(target, make(found, target.client.session, target))
    if not response then return nil, wire.shown(response, err) end
    return response.status == 400 or response.status == 401, wire.shown(response)
  end
end

-- As RFC 2069 had it, without a count.
local function without_qop(given, session)
  local hash, username = HASHES[given.algorithm], session.username or ""
  local secret = assert(digest.secret(given.algorithm, username, given.realm, session.password))
  local uri = session.base.path .. "/" .. OPERATION
  local response = hash(("%s:%s:%s"):format(secret, given.nonce, hash("POST:" .. uri)))
  return ('Digest username="%s", realm="%s", nonce="%s", uri="%s", algorithm=%s, response="%s"%s')
    :format(username, given.realm, given.nonce, uri, given.algorithm, response,
      given.opaque and (', opaque="%s"'):format(given.opaque) or "")
end

return {
  { id = "7616-3.4.6-a", level = "MUST", needs = "credentials",
    requirement = "refuse an answer of Digest that is for another path",
    run = refuses(function(given, session, target)
      return challenge.authorization(given, session, "POST", target_of(target, "simplereenroll"))
    end) },
  { id = "7616-3.4-b", level = "MUST", needs = "credentials",
    requirement = "refuse one without qop where that was offered",
    run = refuses(without_qop) },
}
