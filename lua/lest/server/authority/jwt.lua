--- JSON Web Tokens (RFC 7519) as proofs: whether a key of the label's issuer has signed one, for
--- this server and for now. What is refused here is refused before anything of it is believed, and
--- every field of the header that asks for more than a signature is (RFC 8725 3).
local core = require "lest.core"
local list = require "lest.base.list"

local M = {}

-- Levels of the claims: the ledger's row has them within others, and JSON is read to 64.
local NAME_MAX <const>, LEVELS_MAX <const> = 255, 32

-- RFC 8725 3.11: a token that says what it is says that it is one for access. Kubernetes says none.
local TYPES <const> = { JWT = true, ["AT+JWT"] = true }

-- Members of a header that change what the signature is about or what was signed (RFC 7515 4.1.10,
-- 4.1.11, RFC 7516 4.1). Where a key could be found (jku, jwk, x5u, x5c) is never looked at.
local FORBIDDEN <const> = { "crit", "b64", "enc", "zip", "cty" }

--- The algorithm and the key's name that a header states.
local function read_header(token, wanted)
  local text, err = core.jose.header(token)
  if not text then return nil, err.message end
  local header = core.json.decode(text)
  if type(header) ~= "table" then return nil, "the header of the token is no object in JSON" end
  for _, name in ipairs(FORBIDDEN) do
    if header[name] ~= nil then
      return nil, ("the header of the token has '%s', which is not taken"):format(name)
    end
  end
  local kind = header.typ
  if kind ~= nil and not (type(kind) == "string"
    and TYPES[kind:upper():gsub("^APPLICATION/", "")]) then
    return nil, "the token is of another type"
  elseif not list.has(wanted.algorithms, header.alg) then
    return nil, "the token is of an algorithm that is not taken"
  elseif header.kid ~= nil and type(header.kid) ~= "string" then
    return nil, "the token does not name its key by a text"
  end
  return header
end

local function is_within(levels, value)
  if type(value) ~= "table" then return true end
  for _, each in pairs(value) do
    if levels == 1 and type(each) == "table" or not is_within(levels - 1, each) then
      return false
    end
  end
  return true
end

-- aud: a text or a list of them (RFC 7519 4.1.3).
local function is_for(audience, said)
  if type(said) == "string" then return list.has(audience, said) end
  for _, each in ipairs(type(said) == "table" and said or {}) do
    if type(each) == "string" and list.has(audience, each) then return true end
  end
  return false
end

local function is_time(value, optional)
  return type(value) == "number" or optional and value == nil
end

--- What is wrong with claims, if anything.
local function claims_problem(claims, wanted, now)
  if claims.iss ~= wanted.issuer then return "the token is of another issuer" end
  if not is_for(wanted.audience, claims.aud) then return "the token is for another audience" end
  if not (is_time(claims.exp) and is_time(claims.nbf, true) and is_time(claims.iat, true)) then
    return "the times of the token are no numbers, or it has no end"
  elseif now >= claims.exp + wanted.leeway then
    return "the token's time is over"
  elseif (claims.nbf or now) > now + wanted.leeway or (claims.iat or now) > now + wanted.leeway then
    return "the token's time has not begun"
  end
end

--- The principal's name: text without control characters, as that of a credential.
local function name_of(claims, wanted)
  local name = claims[wanted.name_claim]
  if type(name) == "string" and name ~= "" and #name <= NAME_MAX and not name:find "%c"
    and core.utf8.is_text(name) then
    return name
  end
end

--- Verify a token.
---@param token string
---@param wanted { issuer: string, audience: string[], algorithms: string[], name_claim: string,
--- leeway: integer } `bearer` of a label
---@param set lest.authority.jwks|lest.authority.key_source whose find() may wait
---@param now integer seconds since 1970
---@return { name: string, claims: table, text: string }|nil found the claims, and as they stand in
--- the token
---@return string|lest.error|nil problem a sentence; an error where it could not be judged
---@return string|nil detail for operators
function M.verify(token, wanted, set, now)
  local header, problem = read_header(token, wanted)
  if not header then return nil, problem end
  local key
  key, problem = set:find(header.kid, header.alg)
  if not key then return nil, problem, header.kid end
  local text, err = key:verify(token, header.alg)
  if not text then return nil, err.code == "no_memory" and err or err.message end
  local claims = core.json.decode(text)
  if type(claims) ~= "table" then return nil, "the claims of the token are no object in JSON" end
  if not is_within(LEVELS_MAX, claims) then
    return nil, "the claims of the token are nested too deep"
  end
  local name = name_of(claims, wanted)
  problem = claims_problem(claims, wanted, now)
  if problem then return nil, problem, name end
  if not name then
    return nil, ("the token has no '%s' that is a name"):format(wanted.name_claim)
  end
  return { name = name, claims = claims, text = text }
end

return M
