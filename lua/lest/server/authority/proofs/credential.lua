--- What the proofs by a credential of the ledger share: who may try, and what follows.
local kinds = require "lest.server.wire.kinds"
local limiter = require "lest.server.wire.limiter"
local lines = require "lest.server.wire.lines"
local refusal = require "lest.server.wire.refusal"
local terms = require "lest.server.ledger.terms"

local M = {}

--- One attempt with a secret. Its failure counts for the network, for the name from there, and for
--- the name in all, together: guesses from one network keep no device out elsewhere.
---@class lest.authority.attempt
---@field limited_s? integer seconds to wait, where there were too many failures before
---@field is_limited boolean whether there were
---@field site string whom it waits behind for its hash
local Attempt = {}
Attempt.__index = Attempt

-- Of a name's failures from a network by one kind of proof, which limit nothing.
local function kind_key(kind, network, name)
  return ("%s %s %s"):format(kind, network, name)
end

---@param authority lest.authority
---@param request lest.authority.request
---@param name? string where the client says one
---@param kind? string of proof, where it is not the one that the request is about
---@return lest.authority.attempt
function M.attempt(authority, request, name, kind)
  local address, limits = request.begin.address, authority.failures
  local network = limiter.network(address)
  local attempt = setmetatable({ site = limiter.site(address), { limits.network, network } },
    Attempt)
  if name then
    table.insert(attempt, { limits.name_there, network .. " " .. name })
    table.insert(attempt, { limits.name, name })
    table.insert(attempt,
      { limits.kind_there, kind_key(kind or request.purpose.kind, network, name) })
  end
  attempt.limited_s = attempt:wait()
  attempt.is_limited = attempt.limited_s ~= nil
  return attempt
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

--- Refuse an attempt of which too many failed before.
---@param wait integer seconds
function M.refuse_limited(wait)
  refusal.raise(429, "too many failed attempts", { retry_after = wait })
end

--- Refuse an attempt for the error of its check; one that was judged counts as a failure, unless
--- too many failed before.
---@param request lest.authority.request
---@param err lest.error
---@param attempt? lest.authority.attempt to be counted still
function M.refuse(request, err, attempt)
  refusal.raise_memory(err)
  if err.code ~= "unauthenticated" then
    failures:write("error", { "id", request.id, "message", tostring(err) })
    refusal.raise(503, "credentials cannot be checked now", { retry_after = 5 })
  end
  if attempt and attempt.is_limited then M.refuse_limited(attempt:wait()) end
  if attempt then attempt:count() end
  refusal.raise(401, err.reason or "the credentials are not accepted", { detail = err.detail })
end

--- Begin with a kind: what its secret is shown for, and a one-time one bound to. The first
--- credential that is proven is the principal's. Another is taken beside it where the label joins
--- them, and both are used up.
---@param request lest.authority.request whose purpose is set
---@param kind string
function M.start(request, kind)
  if not kinds.may_join(request.label.auth, request.proven, kind) then
    refusal.raise(401, "a request has one credential")
  end
  request.purpose = { key_hash = request.key_hash, label = request.begin.label,
    operation = request.begin.operation, kind = kind,
    is_for_nothing = request.operation.by_anybody }
end

--- The credential of a secret, or a refusal. Failures are limited before a hash is computed, and an
--- attempt that needs one counts as a failure until it is known to be none: many at once get no
--- further than one after the other. A random secret cannot be guessed and is taken at any time:
--- a stranger who knows a device's name could otherwise keep it out.
---@param authority lest.authority
---@param request lest.authority.request whose purpose is set
---@param offered { username: string, password: string }
---@return table credential
function M.check(authority, request, offered)
  local attempt = M.attempt(authority, request, offered.username)
  local wait, charged = attempt.limited_s, false
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
  if wait then M.refuse_limited(attempt.is_limited and wait or math.min(wait, 5)) end
  M.refuse(request, err, not charged and attempt or nil)
end

-- A client that may choose shows a Basic secret as a Digest response first, and there is nothing
-- that it could be right for. It counts, as that of a name that is not there, so that nobody can
-- tell them apart. Who then proves to be that name, from there, takes one such failure back. It was
-- no guess: those of a kind of which the name has a credential stay.
local function take_back(authority, request, name)
  local network, failed = limiter.network(request.begin.address), authority.failures.kind_there
  for _, kind in ipairs(terms.KINDS) do
    if failed:recent(kind_key(kind, network, name)) > 0
      and authority.credentials:is_free(name, kind) then
      M.attempt(authority, request, name, kind):uncount()
    end
  end
end

--- Take what a credential proves, or refuse what it is not good for.
---@param authority lest.authority
---@param request lest.authority.request whose purpose is set
---@param credential table of lest.server.ledger.credentials
function M.take(authority, request, credential)
  local kind = request.purpose.kind
  -- It only fetches what it gave, and the certificate before it asks for something of its own.
  if credential.may == "fetch" and request:is_satisfied_by(request.proven) then
    refusal.raise(401, "the one-time secret is used up")
  end
  local name = credential.name
  request:prove(kind, { name = name }, { kind = kind, name = name }, name)
  table.insert(request.credentials, credential)
  request.principal.credential = request.principal.credential or credential.facts
  take_back(authority, request, name)
end

return M
