--- The proof "basic": a user name and a secret (RFC 7617) of a credential in the ledger.
local proof = require "lest.server.authority.proofs.credential"

local M = {}

--- The credential of a secret, or a refusal. Failures are limited before a hash is computed, and an
--- attempt that needs one counts as a failure until it is known to be none: many at once get no
--- further than one after the other. A random secret cannot be guessed and is taken at any time:
--- a stranger who knows a device's name could otherwise keep it out.
local function check(authority, request, offered)
  local attempt = proof.attempt(authority, request.begin.address, offered.username)
  local wait, charged = attempt:wait(), false
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
  if wait then proof.refuse_limited(attempt.is_limited and wait or math.min(wait, 5)) end
  proof.refuse(request, err, not charged and attempt or nil)
end

---@param authority lest.authority
---@param request lest.authority.request
---@param offered { username: string, password: string }
function M.prove(authority, request, offered)
  request.purpose = proof.purpose(request)
  proof.take(request, "basic", check(authority, request, offered))
end

return M
