--- The secrets of credentials: how one is made and kept, and which rows one that is shown opens.
---
--- A secret is random (made here: nothing to guess) or chosen by a person. Where it is shown as it
--- is, the first is stored as an HMAC under a salt, the second with scrypt; what Digest needs of
--- either is in lest.server.ledger.digest. A Bearer token is random, and its SHA-256 is stored, by
--- which it is found: the time of a lookup tells nothing of what has 256 random bits. A key that
--- wraps others is kept as it is, in the place of a salt, and so is a pre-shared key, which TLS
--- needs on both sides. Of a password for SRP the verifier is kept, in the group that is its cost.
---
--- What a refusal costs does not tell whether a name exists. While the ledger holds no scrypt
--- credential at all, every check is a lookup and hashes. As soon as it holds one, every check
--- whose secret is not right computes scrypt once: for a name with scrypt credentials against
--- theirs (they share a salt), for all others, unknown names among them, for nothing. A right
--- secret may answer sooner: who sends it knows it already. So is a scrypt success remembered,
--- under a key of this process.
local core = require "lest.core"
local digest = require "lest.server.ledger.digest"
local psk = require "lest.base.psk"
local terms = require "lest.server.ledger.terms"

local M = {}

local secret <const> = core.secret

local COST <const> = { n = 16384, r = 8, p = 1 }
local COST_TEXT <const> = "16384:8:1"
M.COST, M.COST_TEXT = COST, COST_TEXT
-- Changed costs leave old salts behind; beyond these a name's older passwords are not tried.
local GROUPS_MAX <const> = 2

---@class lest.secrets
---@field ledger lest.ledger
---@field scrypt fun(password: string, salt: string, cost: table, attempt: table?): string?, any
--- may yield; attempt is that of match(), the second result a lest.error
---@field cache_s integer seconds for which a scrypt success is remembered
---@field cache_max integer successes remembered at most
local Secrets = { __name = "lest.secrets" }
Secrets.__index = Secrets

---@param options table ledger, and where not the default: scrypt, cache_s, cache_max
---@return lest.secrets
function M.new(options)
  return setmetatable({
    ledger = options.ledger,
    scrypt = options.scrypt or secret.scrypt,
    cache_s = options.cache_s or 300,
    cache_max = options.cache_max or 10000,
    cache = {}, cached = 0,
    process_key = assert(secret.random_bytes(32)),
    dummy_salt = assert(secret.random_bytes(16)),
  }, Secrets)
end

local function hash_chosen(secrets, name, password)
  local rows, err = secrets.ledger:rows("credential_salt", { name = name, cost = COST_TEXT })
  if not rows then return nil, err end
  local salt = rows[1] and rows[1].salt
  if not salt then
    salt, err = secret.random_bytes(16)
    if not salt then return nil, err end
  end
  local hash
  hash, err = secrets.scrypt(password, salt, COST)
  if not hash then return nil, err end
  return { kind = "scrypt", cost = COST_TEXT, salt = salt, hash = hash }
end

local function hash_random()
  local text, err = secret.random(16)
  if not text then return nil, err end
  local salt = assert(secret.random_bytes(16))
  local hash = assert(secret.hmac_sha256(salt, text))
  return { kind = "random", cost = "", salt = salt, hash = hash }, text
end

local function hash_shown(secrets, wanted)
  if wanted.password then return hash_chosen(secrets, wanted.name, wanted.password) end
  return hash_random()
end

local function hash_token()
  local text, err = secret.random(32)
  if not text then return nil, err end
  return { kind = "random", cost = "", salt = "", hash = assert(secret.sha256(text)) }, text
end

-- What encrypts must be there as it is.
local function keep_key(_, wanted)
  local text = wanted.password
  local key = text and terms.wrap_key(text) or assert(secret.random_bytes(32))
  text = text or key:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)
  return { kind = wanted.password and "chosen" or "random", cost = "", salt = key,
    hash = assert(secret.sha256(key)) }, text
end

-- TLS needs the key itself. A hash has 32 bytes at least, and a key may have less.
local KEY_SIZE <const> = 65

local function keep_psk(_, wanted)
  local chosen = wanted.password and assert(psk.parse(wanted.password))
  local key, err = chosen, nil
  if not key then key, err = secret.random_bytes(32) end
  if not key then return nil, err end
  local hash = string.pack("s1", key)
  return { kind = chosen and "chosen" or "random", cost = "", salt = "",
    hash = hash .. ("\0"):rep(KEY_SIZE - #hash) }, not chosen and psk.format(key) or nil
end

-- RFC 5054 appendix A. Of this many bits are all new ones, and those of names that nobody has.
local SRP_GROUP <const> = 3072
local SRP_SALT <const> = 16

local function keep_verifier(_, wanted)
  local text, err = wanted.password, nil
  if not text then text, err = secret.random(16) end
  if not text then return nil, err end
  local salt = assert(secret.random_bytes(SRP_SALT))
  local verifier, problem = secret.srp_verifier {
    name = wanted.name, password = text, salt = salt, group = SRP_GROUP }
  if not verifier then return nil, problem end
  return { kind = wanted.password and "chosen" or "random", cost = tostring(SRP_GROUP),
    salt = salt, hash = verifier }, not wanted.password and text or nil
end

local function unhex(text)
  return (text:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

-- What a random secret is stored as, in bytes: its HMAC, and for the proofs of RFC 5272 (6.2.1,
-- 6.2.3, 6.3.1) the keys that they are made with: the SHA-256 of secret and name, and of the secret
-- alone, and the same in SHA-1 (an older version kept none). Nobody guesses 128 random bits from a
-- hash; of a chosen one there are none.
local HASH <const> = 32

--- Where the keys of an algorithm stand, and its keyed hash.
local WITNESSES <const> = {
  sha256 = { mac = secret.hmac_sha256, proof = 33, link = 65, ends = 96 },
  sha1 = { mac = secret.hmac_sha1, proof = 97, link = 117, ends = 136 },
}

local function key_at(row, how, part)
  local first = how[part]
  return row.hash:sub(first, first + (how.link - how.proof) - 1)
end

local function hash_challenge(secrets, wanted)
  local made, text = hash_shown(secrets, wanted)
  if not made or wanted.password then return made, text end
  made.hash = made.hash .. unhex(assert(secret.sha256(text .. wanted.name)))
    .. unhex(assert(secret.sha256(text)))
    .. assert(secret.sha1(text .. wanted.name)) .. assert(secret.sha1(text))
  return made, text
end

local makers <const> = {
  ["key-wrap"] = keep_key, psk = keep_psk, srp = keep_verifier,
  basic = hash_shown, challenge = hash_challenge, bearer = hash_token,
  digest = function(_, wanted) return digest.make(wanted.name, wanted.realm, wanted.password) end,
}

--- How the secret of a credential is to be kept; without a password it is made.
---@param wanted { kind: string, name: string, password?: string, realm?: string }
---@return { kind: string, cost: string, salt: string, hash: string }?
---@return string|lest.error|nil text a secret that was made; or the error
function Secrets:make(wanted)
  return makers[wanted.kind](self, wanted)
end

--- What TLS needs of a row: the pre-shared key, or what the password is kept as.
---@param kind string "psk" or "srp"
---@param row { hash: string, salt: string, cost: string }
---@return { key?: string, srp?: { group: integer, salt: string, verifier: string } }
function M.of_handshake(kind, row)
  if kind == "psk" then return { key = (string.unpack("s1", row.hash)) } end
  return { srp = { group = math.tointeger(tonumber(row.cost)), salt = row.salt,
    verifier = row.hash } }
end

--- The same of a name that nobody has (RFC 5054 2.5.1.3): nobody's, and the same for the same name.
---@param kind string "psk" or "srp"
---@param name string
---@param seed string
---@return { key?: string, srp?: { group: integer, salt: string, verifier: string } }
function M.of_nobody(kind, name, seed)
  local function bytes(what)
    return assert(secret.hmac_sha256(seed, what .. "\0" .. kind .. "\0" .. name))
  end
  if kind == "psk" then return { key = bytes "key" } end
  local parts = {}
  for i = 1, SRP_GROUP // 8 // 32 do parts[i] = bytes("verifier" .. i) end
  local verifier = table.concat(parts)
  -- Less than the group's prime, whose first bit is set.
  verifier = string.char(verifier:byte() & 0x7f) .. verifier:sub(2)
  return { srp = { group = SRP_GROUP, salt = bytes "salt":sub(1, SRP_SALT), verifier = verifier } }
end

-- ---- the cache of scrypt successes: what was hashed, under this process's key, to the hash

local function cache_key(secrets, name, text, group)
  local parts = string.pack("s4s4s4s4", name, group.cost, group.salt, text)
  return secret.hmac_sha256(secrets.process_key, parts)
end

local function cache_get(secrets, key, now)
  local entry = secrets.cache[key]
  if entry and entry.until_s > now then return entry.hash end
end

local function cache_put(secrets, key, hash, now)
  if secrets.cached >= secrets.cache_max then secrets.cache, secrets.cached = {}, 0 end
  if not secrets.cache[key] then secrets.cached = secrets.cached + 1 end
  secrets.cache[key] = { hash = hash, until_s = now + secrets.cache_s }
end

-- ---- checking

--- A cost as scrypt takes it.
---@param text string as a row has it
---@return { n: integer, r: integer, p: integer }
function M.parse_cost(text)
  local n, r, p = text:match "^(%d+):(%d+):(%d+)$"
  return { n = math.tointeger(n), r = math.tointeger(r), p = math.tointeger(p) }
end
local parse_cost <const> = M.parse_cost

--- The salts under which the rows' passwords are hashed, newest first.
local function scrypt_groups(rows)
  local groups, seen = {}, {}
  for _, row in ipairs(rows) do
    local key = row.cost .. row.salt
    if row.secret_kind == "scrypt" and not seen[key] and #groups < GROUPS_MAX then
      seen[key] = true
      groups[#groups + 1] = { cost = row.cost, salt = row.salt }
    end
  end
  return groups
end

local function matching(rows, kind, matches)
  local found = {}
  for _, row in ipairs(rows) do
    if row.secret_kind == kind and matches(row) then found[#found + 1] = row end
  end
  return found
end

--- The rows whose random secret this is.
---@param rows table[]
---@param text string
---@return table[]
function M.match_random(rows, text)
  return matching(rows, "random", function(row)
    return secret.equal(row.hash:sub(1, HASH), assert(secret.hmac_sha256(row.salt, text)))
  end)
end

--- The rows by whose random secret an identity proof was made (RFC 5272 6.2.1), and of each the key
--- of its witnesses (6.3.1).
---@param rows table[]
---@param proof { over: string, witness: string, algorithm: "sha256"|"sha1" }
---@return table[]
---@return table<table, table<string, string>> link_keys by row, by algorithm
function M.match_witness(rows, proof)
  local link_keys, how = {}, WITNESSES[proof.algorithm]
  local found = matching(rows, "random", function(row)
    if #row.hash < how.ends then return false end
    local keys = {}
    for name, each in pairs(WITNESSES) do
      keys[name] = #row.hash >= each.ends and key_at(row, each, "link") or nil
    end
    link_keys[row] = keys
    return secret.equal(proof.witness, assert(how.mac(key_at(row, how, "proof"), proof.over)))
  end)
  return found, link_keys
end

--- The rows whose Bearer token has this hash.
---@param rows table[]
---@param hash string
---@return table[]
function M.match_token(rows, hash)
  return matching(rows, "random", function(row) return secret.equal(row.hash, hash) end)
end

--- Compute scrypt for nothing where other names would have it computed for something.
local function spend(secrets, text, attempt)
  local rows, err = secrets.ledger:rows("credential_any_scrypt")
  if not rows then return nil, err end
  if rows[1] then
    local hash
    hash, err = secrets.scrypt(text, secrets.dummy_salt, COST, attempt)
    if not hash then return nil, err end
  end
  return {}
end

--- The rows whose chosen password this is; read again after scrypt, which may have yielded.
---@param kind string
---@param name string
---@param rows table[]
---@param text string
---@param now integer
---@param attempt? table of check() in lest.server.ledger.credentials
---@return table[]?
---@return lest.error? err
function Secrets:match_chosen(kind, name, rows, text, now, attempt)
  local groups = scrypt_groups(rows)
  if #groups == 0 then return spend(self, text, attempt) end
  local hashes = {}
  for _, group in ipairs(groups) do
    local key, err = cache_key(self, name, text, group)
    if not key then return nil, err end
    local hash = cache_get(self, key, now)
    if not hash then
      hash, err = self.scrypt(text, group.salt, parse_cost(group.cost), attempt)
      if not hash then return nil, err end
    end
    hashes[group.cost .. group.salt] = { hash = hash, key = key }
  end
  local fresh, err = self.ledger:rows("credentials_live",
    { name = name, kind = kind, now = now })
  if not fresh then return nil, err end
  return matching(fresh, "scrypt", function(row)
    local computed = hashes[row.cost .. row.salt]
    if not computed or not secret.equal(row.hash, computed.hash) then return false end
    cache_put(self, computed.key, computed.hash, now)
    return true
  end)
end

return M
