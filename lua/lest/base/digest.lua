--- HTTP Digest (RFC 7616 3.4) as both ends compute it, with qop=auth.
---
---   local secret = digest.secret("SHA-256", "device001", "lest", password)
---   local response = digest.response("SHA-256", secret, { nonce = ..., nc = "00000001",
---     cnonce = ..., method = "POST", uri = "/.well-known/est/simpleenroll" })
local core = require "lest.core"

local M = {}

local hashes <const> = { ["SHA-256"] = core.secret.sha256, MD5 = core.secret.md5 }

--- The strongest first. MD5 is for peers that know no other; an OpenSSL in FIPS mode has none.
M.ALGORITHMS = { "SHA-256", hashes.MD5 "" and "MD5" or nil }

--- What stands for the password of a user in a realm (A1, hashed): who has it needs no password.
---@param algorithm "SHA-256"|"MD5"
---@param username string
---@param realm string
---@param password string
---@return string? secret in hex
---@return lest.error? err
function M.secret(algorithm, username, realm, password)
  return hashes[algorithm](("%s:%s:%s"):format(username, realm, password))
end

--- The response to a challenge.
---@param algorithm "SHA-256"|"MD5"
---@param secret string of secret()
---@param said { nonce: string, nc: string, cnonce: string, method: string, uri: string }
---@return string? response in hex
---@return lest.error? err
function M.response(algorithm, secret, said)
  local hash = hashes[algorithm]
  local what, err = hash(said.method .. ":" .. said.uri)
  if not what then return nil, err end
  return hash(table.concat({ secret, said.nonce, said.nc, said.cnonce, "auth", what }, ":"))
end

return M
