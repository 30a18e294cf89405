--- JSON Web Tokens and JWK Sets, made by openssl: right ones, and wrong ones on purpose.
---
---   local key = jwt.key("ec:P-256", "key-1")
---   jwt.set { key }                                    -- the text of a JWK Set
---   key:sign({ iss = "https://idp.example", ... })     -- a token
local core = require "lest.core"
local process = require "support.process"

local M = {}

--- Bytes in base64url without padding (RFC 7515 2).
---@param bytes string
---@return string
function M.base64url(bytes)
  return (core.base64.encode(bytes):gsub("[+/=]", { ["+"] = "-", ["/"] = "_", ["="] = "" }))
end
local b64 <const> = M.base64url

-- What openssl is told to sign with, by algorithm.
local SIGNED_BY <const> = {
  RS256 = { "-sha256" }, RS384 = { "-sha384" }, RS512 = { "-sha512" },
  PS256 = { "-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest" },
  ES256 = { "-sha256", size = 32 }, ES384 = { "-sha384", size = 48 },
  ES512 = { "-sha512", size = 66 },
}
local CURVES <const> = { ["ec:P-256"] = { "ES256", 32 }, ["ec:P-384"] = { "ES384", 48 },
  ["ec:P-521"] = { "ES512", 66 } }

local Key = {}
Key.__index = Key

-- Of ECDSA's two integers in DER, the two numbers of one size (RFC 7518 3.4).
local function plain_signature(der, size)
  local at = der:byte(2) == 0x81 and 4 or 3
  local parts = {}
  for i = 1, 2 do
    local number = string.unpack("s1", der, at + 1)
    at = at + 2 + #number
    parts[i] = ("\0"):rep(size) .. number
    parts[i] = parts[i]:sub(-size)
  end
  return table.concat(parts)
end

--- A new key. Its algorithm is the usual one for its type.
---@param spec string as core.key.generate takes it
---@param kid? string
---@return table
function M.key(spec, kid)
  local key = assert(core.key.generate(spec))
  local curve = CURVES[spec]
  return setmetatable({ key = key, kid = kid, curve = curve and spec:match ":(.*)$",
    size = curve and curve[2], alg = curve and curve[1] or "RS256" }, Key)
end

--- The members of a JWK that make its public key.
---@return table
function Key:members()
  local jwk = {}
  local spki = self.key:public_der()
  if self.curve then
    local point = spki:sub(-2 * self.size)
    jwk.kty, jwk.crv = "EC", self.curve
    jwk.x, jwk.y = b64(point:sub(1, self.size)), b64(point:sub(self.size + 1))
  else
    local hex = process.must({ "openssl", "rsa", "-noout", "-modulus" },
      { stdin = assert(self.key:pem()) }):match "=(%x+)"
    jwk.kty, jwk.e = "RSA", "AQAB"
    jwk.n = b64((hex:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)))
  end
  return jwk
end

--- Its public JWK.
---@param more? table members besides
---@return table
function Key:jwk(more)
  local jwk = self:members()
  jwk.kid, jwk.use, jwk.alg = self.kid, "sig", self.alg
  for name, value in pairs(more or {}) do jwk[name] = value end
  return jwk
end

--- The text of a JWK Set of keys, or of JWKs.
---@param keys table[]
---@return string
function M.set(keys)
  local jwks = {}
  for i, key in ipairs(keys) do jwks[i] = getmetatable(key) == Key and key:jwk() or key end
  return core.json.encode { keys = jwks }
end

--- A signature of this key over some text.
---@param text string
---@param alg? string
---@return string bytes
function Key:signature(text, alg)
  local how = SIGNED_BY[alg or self.alg]
  local folder = process.folder()
  process.write(folder .. "/key", assert(self.key:pem()))
  local signature = process.must({ "openssl", "dgst", "-sign", folder .. "/key",
    table.unpack(how) }, { stdin = text })
  os.execute("rm -r " .. folder)
  return how.size and plain_signature(signature, how.size) or signature
end

--- A token. Claims and header may be tables or texts of JSON.
---@param claims table|string
---@param header? table|string members besides alg and kid, or the whole
---@return string
function Key:sign(claims, header)
  local alg = self.alg
  if type(header) ~= "string" then
    local said = { alg = alg, kid = self.kid }
    for name, value in pairs(header or {}) do said[name] = value or nil end
    local other = SIGNED_BY[said.alg]
    alg = other and (other.size ~= nil) == (self.size ~= nil) and said.alg or alg
    header = core.json.encode(said)
  end
  local text = b64(header) .. "."
    .. b64(type(claims) == "string" and claims or core.json.encode(claims))
  return text .. "." .. b64(self:signature(text, alg))
end

--- A token with a MAC, as who thinks that a public key is a secret makes it.
---@param claims table
---@param secret string
---@param kid? string
---@return string
function M.mac(claims, secret, kid)
  local text = b64(core.json.encode { alg = "HS256", kid = kid }) .. "."
    .. b64(core.json.encode(claims))
  return text .. "." .. b64(core.secret.hmac_sha256(secret, text))
end

return M
