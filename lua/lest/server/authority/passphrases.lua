--- The secret by which a client may have its certificate revoked when it has lost the key: it comes
--- with the CSR (revocationChallenge, RFC 7894 3.2), and again as the passphrase of a revocation
--- request (RFC 5272 6.11). It is hashed before the ledger's transaction, in the lanes of
--- passwords, and guesses are counted as those of passwords are.
local challenge = require "lest.server.ledger.revocation_challenge"
local limiter = require "lest.server.wire.limiter"
local proof = require "lest.server.authority.proofs.credential"
local refusal = require "lest.server.wire.refusal"

local M = {}

local function scrypt_of(authority)
  return authority.credentials.secrets.scrypt
end

-- It is counted before, or not at all.
local function may_charge() return true end

local function refuse(err)
  refusal.raise_memory(err)
  refusal.raise(503, "the revocation challenge cannot be hashed now",
    { retry_after = 5, detail = tostring(err) })
end

--- Whether a request that is approved has one to be kept.
---@param request lest.authority.request
---@return boolean
function M.has(request)
  return request.csr.revocation_challenge ~= nil
end

--- Hash that of a request, for the row of its approval.
---@param authority lest.authority
---@param request lest.authority.request whose `passphrase` is filled
function M.hash(authority, request)
  local attempt = { site = limiter.site(request.begin.address), charge = may_charge }
  local made, err = challenge.make(request.csr.revocation_challenge, scrypt_of(authority), attempt)
  if not made then refuse(err) end
  request.passphrase = made
end

--- Whether the asker knows that of a certificate; a refusal where too many guesses were wrong.
---@param authority lest.authority
---@param request lest.authority.request
---@param certificate? table the ledger's row, where there is one
---@param serial string of it, also where there is none
---@param text string
---@return boolean
function M.is_known(authority, request, certificate, serial, text)
  local attempt = proof.attempt(authority, request, "revocation of " .. serial, "challenge")
  if attempt.is_limited then proof.refuse_limited(attempt.limited_s) end
  attempt:count() -- until it is known to be right: many at once get no further
  attempt.charge = may_charge
  local row, err
  if certificate then row, err = challenge.find(authority.ledger, certificate) end
  local right
  if not err then
    right, err = challenge.is_right(row, text, scrypt_of(authority), attempt)
  end
  if right or err then attempt:uncount() end
  if err then refuse(err) end
  return right
end

return M
