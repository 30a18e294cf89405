--- The public keys that sign JSON Web Tokens: a JWK Set (RFC 7517) in a file, read at the start and
--- anew whenever it has changed by the time that a token comes. A file that cannot be used leaves
--- the keys as they were, and the log says so.
---
---   local set = assert(jwks.load "jwks.json")
---   local key, problem = set:find("key-1", "RS256")
local core = require "lest.core"
local fail = require "lest.base.fail"
local list = require "lest.base.list"

local M = {}

local FILE_MAX <const>, KEYS_MAX <const> = 256 * 1024, 64
local KID_MAX <const> = 1024

--- The members of a JWK that make the key, by kty (RFC 7518 6.2.1, 6.3.1). One of another kty is
--- left out (RFC 7517 5).
local MEMBERS <const> = { RSA = { "n", "e" }, EC = { "crv", "x", "y" } }

---@class lest.authority.jwks
---@field path string
---@field keys { kid: string?, alg: string?, key: lest.jose_key }[]
---@field version? string of the file that was read, or tried in vain
---@field problem? string why the file as it is now was not taken
local Set = {}
Set.__index = Set

-- Whether a JWK is for signatures (RFC 7517 4.2, 4.3).
local function is_for_signatures(jwk)
  return (jwk.use == nil or jwk.use == "sig")
    and (jwk.key_ops == nil or type(jwk.key_ops) == "table" and list.has(jwk.key_ops, "verify"))
end

--- One key; nil for one that is left out, with no problem.
local function key_of(jwk)
  if type(jwk) ~= "table" then return nil, "is no JWK" end
  -- A server that can check a token needs no more; with more, it could make one.
  if jwk.d ~= nil or jwk.k ~= nil or jwk.kty == "oct" then
    return nil, "is a secret: the file is to have public keys"
  end
  local members = MEMBERS[jwk.kty]
  if not members or not is_for_signatures(jwk) then return nil end
  if jwk.kid ~= nil and (type(jwk.kid) ~= "string" or #jwk.kid > KID_MAX)
    or jwk.alg ~= nil and type(jwk.alg) ~= "string" then
    return nil, "has a wrong kid or alg"
  end
  local plain = { kty = jwk.kty }
  for _, name in ipairs(members) do
    if type(jwk[name]) ~= "string" then return nil, ("has no %s"):format(name) end
    plain[name] = jwk[name]
  end
  local key, err = core.jose.key(core.json.encode(plain))
  if not key then return nil, "is not taken: " .. tostring(err) end
  return { kid = jwk.kid, alg = jwk.alg, key = key }
end

--- The keys of a JWK Set's text.
---@param text string
---@return table[]|nil keys
---@return string|nil problem
function M.parse(text)
  local said, problem = core.json.decode(text)
  if type(said) ~= "table" or type(said.keys) ~= "table" then
    return nil, problem or "it is no JWK Set: an object with the list 'keys'"
  elseif #said.keys > KEYS_MAX then
    return nil, ("it has more than %d keys"):format(KEYS_MAX)
  end
  local keys = {}
  for i, jwk in ipairs(said.keys) do
    local key
    key, problem = key_of(jwk)
    if problem then return nil, ("key %d %s"):format(i, problem) end
    table.insert(keys, key)
  end
  if #keys == 0 then return nil, "it has no key for signatures that is RSA or EC" end
  return keys
end

--- Read the file: its keys, and which version of it that was.
local function read(path)
  local version, err = core.file.version(path)
  if not version then return nil, nil, tostring(err) end
  local text
  text, err = core.file.read_plain(path, FILE_MAX)
  if not text then return nil, version, tostring(err) end
  local keys, problem = M.parse(text)
  -- A writer in the middle of it is waited for, whatever the text was.
  if core.file.version(path) ~= version then return nil, nil, "it changes while it is read" end
  return keys, version, problem
end

--- Read a set for the first time.
---@param path string
---@return lest.authority.jwks|nil
---@return lest.error|nil err
function M.load(path)
  local keys, version, problem = read(path)
  if not keys then return fail("config", ("%s: %s"):format(path, problem)) end
  return setmetatable({ path = path, keys = keys, version = version }, Set)
end

--- Look whether the file has changed, and read it then. What is wrong is said once of each version.
function Set:refresh()
  local now = core.file.version(self.path)
  if now and now == self.version then return end
  local keys, version, problem = read(self.path)
  self.version = version
  if keys then
    self.keys, self.problem = keys, nil
    core.log.write("info", "jwks read", { "file", self.path, "keys", #keys })
  elseif version or problem ~= self.problem then
    self.problem = problem
    core.log.write("error", "jwks kept as they were",
      { "file", self.path, "message", problem, "keys", #self.keys })
  end
end

--- Why the file cannot be read now, if it cannot.
---@return string|nil
function Set:unreadable()
  local text, err = core.file.read_plain(self.path, FILE_MAX)
  return not text and tostring(err) or nil
end

--- The key that a token names, or the only one there is for its algorithm where it names none (a
--- token must name one of several: OpenID Connect Core 10.1).
---@param keys table[] of parse()
---@param kid string|nil
---@param algorithm string
---@return lest.jose_key|nil
---@return string|nil problem
function M.find(keys, kid, algorithm)
  local found, more
  for _, each in ipairs(keys) do
    if (kid == nil or each.kid == kid) and (each.alg == nil or each.alg == algorithm)
      and each.key:fits(algorithm) then
      found, more = each.key, found ~= nil
    end
  end
  if more then
    return nil, kid and "several keys have the name that the token has"
      or "the token names no key, and there are several"
  end
  return found, not found and "the token is signed with a key that is not known here" or nil
end

--- As find() of the module, of the file's keys.
---@param kid string|nil
---@param algorithm string
---@return lest.jose_key|nil
---@return string|nil problem
function Set:find(kid, algorithm) return M.find(self.keys, kid, algorithm) end

return M
