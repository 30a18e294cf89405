--- The proof "basic": a user name and a secret (RFC 7617) of a credential in the ledger.
local limiter = require "lest.server.wire.limiter"
local lines = require "lest.server.wire.lines"
local refusal = require "lest.server.wire.refusal"

local M = {}

--- One attempt with a secret. Its failure counts for the network, for the name from there, and for
--- the name in all, together: guesses from one network keep no device out elsewhere.
---@class lest.authority.attempt
---@field is_limited boolean there were too many failures before
---@field site string whom it waits behind for its hash
local Attempt = {}
Attempt.__index = Attempt

local function attempt_of(authority, address, name)
  local network = limiter.network(address)
  local limits = authority.failures
  return setmetatable({
    site = limiter.site(address),
    { limits.network, network }, { limits.name_there, network .. " " .. name },
    { limits.name, name },
  }, Attempt)
end

--- Seconds until another attempt may be made; nil for now.
function Attempt:wait()
  local longest
  for _, each in ipairs(self) do
    local wait = each[1]:wait(each[2])
    longest = wait and math.max(wait, longest or 0) or longest
  end
  return longest
end

function Attempt:count()
  for _, each in ipairs(self) do each[1]:count(each[2]) end
end

function Attempt:uncount()
  for _, each in ipairs(self) do each[1]:uncount(each[2]) end
end

local failures <const> = lines.new "credential check failed"

local function refuse_attempt(wait)
  refusal.raise(429, "too many failed attempts", { retry_after = wait })
end

--- The credential of a secret, or a refusal. Failures are limited before a hash is computed, and an
--- attempt that needs one counts as a failure until it is known to be none: many at once get no
--- further than one after the other. A random secret cannot be guessed and is taken at any time:
--- a stranger who knows a device's name could otherwise keep it out.
local function check(authority, request, offered)
  local attempt = attempt_of(authority, request.begin.address, offered.username)
  local wait, charged = attempt:wait(), false
  attempt.is_limited = wait ~= nil
  function attempt.charge()
    if not charged then wait = attempt:wait() end
    if wait then return false end
    if not charged then attempt:count() end
    charged = true
    return true
  end
  local credential, err = authority.credentials:check(offered.username, offered.password,
    request.purpose, attempt)
  local failed = not credential and err.code == "unauthenticated"
  if charged and not failed then attempt:uncount() end
  if credential then return credential end
  -- Those under way may turn out to be right, and then there is room again.
  if wait then refuse_attempt(attempt.is_limited and wait or math.min(wait, 5)) end
  refusal.raise_memory(err)
  if not failed then
    failures:write("error", { "id", request.id, "message", tostring(err) })
    refusal.raise(503, "credentials cannot be checked now", { retry_after = 5 })
  end
  if not charged then attempt:count() end
  refusal.raise(401, err.reason or "the credentials are not accepted",
    { detail = err.detail })
end

---@param authority lest.authority
---@param request lest.authority.request
---@param offered { username: string, password: string }
function M.prove(authority, request, offered)
  request.purpose = {
    key_hash = request.key_hash, label = request.begin.label, operation = request.begin.operation,
  }
  local credential = check(authority, request, offered)
  -- It only fetches what it gave, and the certificate before it asks for something of its own.
  if credential.may == "fetch" and request:is_satisfied_by(request.proven) then
    refusal.raise(401, "the one-time secret is used up")
  end
  local name = offered.username
  request.credential = credential
  request:prove("basic", { name = name }, { kind = "basic", name = name }, name)
  request.principal.credential = credential.facts
end

return M
