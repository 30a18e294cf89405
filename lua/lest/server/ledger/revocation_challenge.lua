--- What a client said by which its certificate may be revoked later (revocationChallenge, RFC 7894
--- 3.2): it is kept as a secret that a person chose, hashed by scrypt, beside the request that the
--- certificate answers, and good for that certificate alone.
---
---   local made = assert(challenge.make(text, scrypt))   -- cost, salt and hash of a row
---   local right, err = challenge.is_right(row, text, scrypt)
local core = require "lest.core"
local secrets = require "lest.server.ledger.secrets"

local M = {}

---@alias lest.scrypt fun(password: string, salt: string, cost: table, ...): string?, lest.error?

--- Hash one, to be kept.
---@param text string
---@param scrypt lest.scrypt may yield
---@param attempt? table for scrypt
---@return { cost: string, salt: string, hash: string }?
---@return lest.error? err
function M.make(text, scrypt, attempt)
  local salt, err = core.secret.random_bytes(16)
  if not salt then return nil, err end
  local hash
  hash, err = scrypt(text, salt, secrets.COST, attempt)
  if not hash then return nil, err end
  return { cost = secrets.COST_TEXT, salt = salt, hash = hash }
end

--- The row of a certificate, which has none where its request had no such secret.
---@param ledger lest.ledger
---@param certificate { request_id: string } its row
---@return table? row
---@return lest.error? err
function M.find(ledger, certificate)
  local rows, err = ledger:rows("revocation_challenge_get",
    { request_id = certificate.request_id })
  if not rows then return nil, err end
  return rows[1]
end

-- What there is none for costs what there is one for.
local NOTHING <const> = { cost = secrets.COST_TEXT, salt = ("\0"):rep(16), hash = "" }

--- Whether a text is what was kept; what nothing was kept for takes as long.
---@param row? table of find()
---@param text string
---@param scrypt lest.scrypt may yield
---@param attempt? table for scrypt
---@return boolean?
---@return lest.error? err
function M.is_right(row, text, scrypt, attempt)
  row = row or NOTHING
  local hash, err = scrypt(text, row.salt, secrets.parse_cost(row.cost), attempt)
  if not hash then return nil, err end
  return core.secret.equal(row.hash, hash)
end

return M
