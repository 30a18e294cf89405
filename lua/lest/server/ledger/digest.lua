--- How the secret of a credential for HTTP Digest (RFC 7616) is kept: for its realm, what stands
--- for it there in each algorithm. It is as good as the secret, but for that realm alone.
local core = require "lest.core"
local digest = require "lest.base.digest"

local M = {}

local secret <const> = core.secret

-- Bytes of each algorithm's in a row's hash, one after the other; of MD5 there are none where
-- OpenSSL had no MD5 when it was made.
local LENGTHS <const> = { ["SHA-256"] = 32, MD5 = 16 }

local function bytes_of(hex)
  return (hex:gsub("..", function(pair) return string.char(tonumber(pair, 16)) end))
end

local function hex_of(bytes)
  return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

--- The columns of a credential; without a password its secret is made.
---@param name string
---@param realm string
---@param password? string
---@return { kind: string, cost: string, salt: string, hash: string }?
---@return string|lest.error|nil text a secret that was made; or the error
function M.make(name, realm, password)
  local text, err = password
  if not text then
    text, err = secret.random(16)
    if not text then return nil, err end
  end
  local parts = {}
  for i, algorithm in ipairs(digest.ALGORITHMS) do
    local hex
    hex, err = digest.secret(algorithm, name, realm, text)
    if not hex then return nil, err end
    parts[i] = bytes_of(hex)
  end
  return { kind = password and "chosen" or "random", cost = "", salt = realm,
    hash = table.concat(parts) }, not password and text or nil
end

local function kept(row, algorithm)
  local at = 1
  for _, each in ipairs(digest.ALGORITHMS) do
    local bytes = row.hash:sub(at, at + LENGTHS[each] - 1)
    if each == algorithm then return #bytes == LENGTHS[each] and hex_of(bytes) or nil end
    at = at + LENGTHS[each]
  end
end

local function is_answered(row, said)
  local own = kept(row, said.algorithm)
  if not own then return false end
  local expected = assert(digest.response(said.algorithm, own, said))
  return secret.equal(bytes_of(expected), said.response)
end

-- What an unknown name is compared with, so that it costs what a known one does.
local NOBODY <const> = { hash = assert(secret.random_bytes(48)) }

--- The rows whose secret a response was made with, in the realm that it says.
---@param rows table[]
---@param said table of a client: nonce, nc, cnonce, method, uri, realm, algorithm, response
---@return table[]
function M.match(rows, said)
  local found = {}
  for _, row in ipairs(rows) do
    if is_answered(row, said) and row.salt == said.realm then found[#found + 1] = row end
  end
  if not rows[1] then is_answered(NOBODY, said) end
  return found
end

return M
