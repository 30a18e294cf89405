--- Credentials: names with secrets that authenticate over HTTP Basic (RFC 7617), kept in the
--- ledger.
---
--- A secret is random (made here, stored as an HMAC under a salt: nothing to guess) or chosen by a
--- person (stored with scrypt). A reusable credential authenticates until it expires or is removed.
--- A one-time credential has states, which change in the transaction that records the request:
---
---   unused    authenticates anybody who knows the secret, until it expires
---   reserved  a request of one public key is pending
---   used      a certificate was issued for one public key
---
--- Reserved or used, it authenticates that key, label and operation only, until bound_until, only
--- to poll or to fetch the same certificate again; with any other key it is 401.
---
--- What a refusal costs does not tell whether a name exists. While the ledger holds no scrypt
--- credential at all, every check is a lookup and hashes. As soon as it holds one, every check
--- whose secret is not right computes scrypt once: for a name with scrypt credentials against
--- theirs (they share a salt), for all others, unknown names among them, for nothing. A right
--- secret may answer sooner: who sends it knows it already. So is a scrypt success remembered,
--- under a key of this process.
---
---   local store = credentials.new { ledger = ledger }
---   local made = assert(store:add { name = "device001", expires_s = 86400 })   --> made.secret
---   local purpose = { key_hash = "...", label = "default", operation = "simpleenroll" }
---   local who, err = store:check("device001", made.secret, purpose)  --> who.may
---   store:use(who, purpose, bound_until) -- in the transaction that records the certificate
local core = require "lest.core"
local fail = require "lest.base.fail"
local json = require "lest.json"

local M = {}

local secret <const> = core.secret

local NAME_MAX <const> = 255
local SECRET_MAX <const> = 1024
local COST <const> = { n = 16384, r = 8, p = 1 }
local COST_TEXT <const> = "16384:8:1"
-- Changed costs leave old salts behind; beyond these a name's older passwords are not tried.
local GROUPS_MAX <const> = 2

---@class lest.credentials
---@field ledger lest.ledger
---@field clock fun(): integer seconds since 1970
---@field scrypt fun(password: string, salt: string, cost: table, attempt: table?): string?, any
--- may yield; attempt is that of check(), the second result a lest.error
---@field cache_s integer seconds for which a scrypt success is remembered
---@field cache_max integer successes remembered at most
local Store = { __name = "lest.credentials" }
Store.__index = Store

local function wall_clock()
  return core.clock.wall_us() // 1000000
end

---@param options table ledger, and where not the default: clock, scrypt, cache_s, cache_max
---@return lest.credentials
function M.new(options)
  return setmetatable({
    ledger = options.ledger,
    clock = options.clock or wall_clock,
    scrypt = options.scrypt or secret.scrypt,
    cache_s = options.cache_s or 300,
    cache_max = options.cache_max or 10000,
    cache = {}, cached = 0,
    process_key = assert(secret.random_bytes(32)),
    dummy_salt = assert(secret.random_bytes(16)),
  }, Store)
end

local function refuse(detail)
  return fail("unauthenticated", "the user name or the password is wrong", { detail = detail })
end

local function name_problem(name)
  if type(name) ~= "string" or name == "" then return "a credential needs a name" end
  if #name > NAME_MAX then return ("a name has at most %d bytes"):format(NAME_MAX) end
  if not core.utf8.is_text(name) then return "a name is UTF-8 text" end
  -- RFC 7617 section 2: a user-id with a colon cannot be sent, control characters must not be.
  if name:find "[:%c]" then return "a name holds no colon and no control character" end
end

-- As many, and as long, as lest.server.wire.message lets the authority tell a policy.
local function facts_problem(facts)
  local count = 0
  for key, value in pairs(facts) do
    count = count + 1
    local kind = type(value)
    if type(key) ~= "string" or (kind ~= "string" and kind ~= "number" and kind ~= "boolean") then
      return "facts are strings, numbers or booleans by name"
    end
    if not core.utf8.is_text(key) or (kind == "string" and not core.utf8.is_text(value)) then
      return "facts are UTF-8 text"
    end
    if count > 64 or #key > 64 or (kind == "string" and #value > 4096) then
      return "there are at most 64 facts, with names of 64 bytes and texts of 4096"
    end
  end
end

local function hash_chosen(store, name, password)
  local rows, err = store.ledger:rows("credential_salt", { name = name, cost = COST_TEXT })
  if not rows then return nil, err end
  local salt = rows[1] and rows[1].salt
  if not salt then
    salt, err = secret.random_bytes(16)
    if not salt then return nil, err end
  end
  local hash
  hash, err = store.scrypt(password, salt, COST)
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

local function problem_of(wanted)
  local password = wanted.password
  if password and (password == "" or #password > SECRET_MAX) then
    return ("a password has 1 to %d bytes"):format(SECRET_MAX)
  elseif wanted.expires_s and wanted.expires_s < 1 then
    return "a credential lives for a second at least"
  end
  return name_problem(wanted.name) or facts_problem(wanted.facts or {})
end

--- What add() does before it writes: check what is wanted, and hash a password, which costs. May
--- yield where scrypt does.
---@param wanted table as of add()
---@return table? prepared for write()
---@return lest.error? err
function Store:prepare(wanted)
  local problem = problem_of(wanted)
  if problem then return fail("usage", problem) end
  local hashed, text
  if wanted.password then
    hashed, text = hash_chosen(self, wanted.name, wanted.password)
  else
    hashed, text = hash_random()
  end
  if not hashed then return nil, text end
  return { wanted = wanted, hashed = hashed, secret = not wanted.password and text or nil }
end

--- Write what prepare() has made.
---@param prepared table
---@return { id: string, name: string, secret: string?, expires: integer? }?
---@return lest.error? err
function Store:write(prepared)
  local wanted, hashed = prepared.wanted, prepared.hashed
  local id, err = secret.random(10)
  if not id then return nil, err end
  local now = self.clock()
  local expires = wanted.expires_s and now + wanted.expires_s
  local added
  added, err = self.ledger:run("credential_add", {
    id = id, name = wanted.name, kind = "basic", secret_kind = hashed.kind, cost = hashed.cost,
    salt = hashed.salt, hash = hashed.hash, one_time = wanted.reusable and 0 or 1, created = now,
    expires = expires, facts = json.line(json.object(wanted.facts)),
  })
  if not added then return nil, err end
  return { id = id, name = wanted.name, secret = prepared.secret, expires = expires }
end

--- Make a credential; without a password its secret is random and returned, this once.
---@param wanted table name, and perhaps password, reusable, expires_s (seconds from now), facts
---@return { id: string, name: string, secret: string?, expires: integer? }?
---@return lest.error? err
function Store:add(wanted)
  local prepared, err = self:prepare(wanted)
  if not prepared then return nil, err end
  return self:write(prepared)
end

--- A row as people and policies see it: without its secret.
local function public(row)
  return {
    id = row.id, name = row.name, kind = row.kind, secret_kind = row.secret_kind,
    one_time = row.one_time == 1, state = row.state, key_hash = row.key_hash, label = row.label,
    operation = row.operation, created = row.created, expires = row.expires, used_at = row.used_at,
    facts = json.decode(row.facts) or {},
  }
end

--- Those that were not removed, newest first; of one name, or all.
---@param name? string
---@param before? integer what the page before gave as its end
---@param limit? integer the most of a page; all unless told
---@return table[]?
---@return integer|lest.error|nil last the page's end: `before` of the next; nil at the list's end
function Store:list(name, before, limit)
  local statement = name and "credential_list_name" or "credential_list"
  local rows, err = self.ledger:rows(statement,
    { name = name, before = before, limit = limit or math.maxinteger })
  if not rows then return nil, err end
  local list = {}
  for i, row in ipairs(rows) do list[i] = public(row) end
  return list, #rows == limit and rows[#rows].seq or nil
end

--- Remove every credential of a name, or the one with an id: it authenticates nothing from now on.
---@param name_or_id string
---@return integer? removed
---@return lest.error? err
function Store:remove(name_or_id)
  if not core.utf8.is_text(name_or_id) then return 0 end
  local now = self.clock()
  local removed, err = self.ledger:run("credential_remove_name", { name = name_or_id, now = now })
  if removed ~= 0 then return removed, err end
  return self.ledger:run("credential_remove", { id = name_or_id, now = now })
end

-- ---- the cache of scrypt successes: what was hashed, under this process's key, to the hash

local function cache_key(store, name, text, group)
  local parts = string.pack("s4s4s4s4", name, group.cost, group.salt, text)
  return secret.hmac_sha256(store.process_key, parts)
end

local function cache_get(store, key, now)
  local entry = store.cache[key]
  if entry and entry.until_s > now then return entry.hash end
end

local function cache_put(store, key, hash, now)
  if store.cached >= store.cache_max then store.cache, store.cached = {}, 0 end
  if not store.cache[key] then store.cached = store.cached + 1 end
  store.cache[key] = { hash = hash, until_s = now + store.cache_s }
end

-- ---- checking

local function parse_cost(text)
  local n, r, p = text:match "^(%d+):(%d+):(%d+)$"
  return { n = math.tointeger(n), r = math.tointeger(r), p = math.tointeger(p) }
end

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

local function match_random(rows, text)
  return matching(rows, "random", function(row)
    return secret.equal(row.hash, assert(secret.hmac_sha256(row.salt, text)))
  end)
end

--- Compute scrypt for nothing where other names would have it computed for something.
local function spend(store, text, attempt)
  local rows, err = store.ledger:rows("credential_any_scrypt")
  if not rows then return nil, err end
  if rows[1] then
    local hash
    hash, err = store.scrypt(text, store.dummy_salt, COST, attempt)
    if not hash then return nil, err end
  end
  return {}
end

--- The rows whose chosen password this is; read again after scrypt, which may have yielded.
local function match_scrypt(store, name, rows, text, now, attempt)
  local groups = scrypt_groups(rows)
  if #groups == 0 then return spend(store, text, attempt) end
  local hashes = {}
  for _, group in ipairs(groups) do
    local key, err = cache_key(store, name, text, group)
    if not key then return nil, err end
    local hash = cache_get(store, key, now)
    if not hash then
      hash, err = store.scrypt(text, group.salt, parse_cost(group.cost), attempt)
      if not hash then return nil, err end
    end
    hashes[group.cost .. group.salt] = { hash = hash, key = key }
  end
  local fresh, err = store.ledger:rows("credentials_live", { name = name, now = now })
  if not fresh then return nil, err end
  return matching(fresh, "scrypt", function(row)
    local computed = hashes[row.cost .. row.salt]
    if not computed or not secret.equal(row.hash, computed.hash) then return false end
    cache_put(store, computed.key, computed.hash, now)
    return true
  end)
end

--- What a credential whose secret is right still allows: nil is nothing.
local function allows(row, purpose)
  if row.one_time == 0 or row.state == "unused" then return "enroll" end
  local same = purpose.key_hash and row.key_hash == purpose.key_hash and row.label == purpose.label
    and row.operation == purpose.operation
  if not same then return nil end
  return row.state == "reserved" and "poll" or "fetch"
end

-- A credential that is bound to this very key goes before one that would be consumed anew.
local PREFERENCE <const> = { fetch = 1, poll = 2, enroll = 3 }

local function choose(rows, purpose)
  local best, best_rank
  for _, row in ipairs(rows) do
    local may = allows(row, purpose)
    local rank = may and PREFERENCE[may] + (may == "enroll" and row.one_time or 0)
    if rank and (not best or rank < best_rank) then
      best, best_rank = public(row), rank
      best.may, best.seq = may, row.seq
    end
  end
  return best
end

--- Authenticate. Reads only: reserve() or use() inside the request's transaction has the last word.
---@param name string
---@param text string the secret, as it was sent
---@param purpose table what it is shown for: key_hash, label, operation, and perhaps now
---@param attempt? { is_limited: boolean, charge: fun(): boolean } is_limited: no chosen password is
--- right; charge() is asked before a hash is computed
---@return table? credential with `may`: "enroll" (anything), "poll" (a reserved one), "fetch" (a
--- used one: only the certificate that was issued for this key)
---@return lest.error? err unauthenticated (detail: for the log), unavailable (the pool is full)
function Store:check(name, text, purpose, attempt)
  if name_problem(name) then return refuse "no such name can exist" end
  if type(text) ~= "string" or text == "" or #text > SECRET_MAX then
    return refuse "no such secret can exist"
  end
  local now = purpose.now or self.clock()
  local rows, err = self.ledger:rows("credentials_live", { name = name, now = now })
  if not rows then return nil, err end
  local found = match_random(rows, text)
  if #found == 0 and attempt and attempt.is_limited then
    return refuse "too many failed attempts"
  end
  if #found == 0 then
    found, err = match_scrypt(self, name, rows, text, now, attempt)
    if not found then return nil, err end
  end
  local best = choose(found, purpose)
  if best then return best end
  if #found > 0 then return refuse "the secret is bound to another key, label or operation" end
  if #rows > 0 then return refuse "the secret is wrong" end
  return refuse "no credential of this name is live"
end

--- Whether a reusable one still authenticates: an operator may have removed it since check().
local function check_live(store, credential, now)
  local rows, err = store.ledger:rows("credentials_live", { name = credential.name, now = now })
  if not rows then return nil, err end
  for _, row in ipairs(rows) do
    if row.id == credential.id then return true end
  end
  return refuse "the credential was removed meanwhile, or is over"
end

local function consume(store, statement, credential, purpose, bound_until)
  local now = purpose.now or store.clock()
  if not credential.one_time then return check_live(store, credential, now) end
  local changed, err = store.ledger:run(statement, {
    seq = credential.seq, id = credential.id, key_hash = purpose.key_hash, label = purpose.label,
    operation = purpose.operation, bound_until = bound_until, now = now,
  })
  if not changed then return nil, err end
  if changed == 1 then return true end
  return refuse "the one-time credential was used meanwhile, or is over"
end

--- Bind a one-time credential to the key of a pending request, until bound_until; again at each
--- poll. Call it in the transaction that records the request.
---@param credential table from check(); a reusable one must be live still
---@param purpose table as for check()
---@param bound_until integer seconds since 1970
---@return true?
---@return lest.error? err unauthenticated: another request was first, or an operator
function Store:reserve(credential, purpose, bound_until)
  return consume(self, "credential_reserve", credential, purpose, bound_until)
end

--- Use a one-time credential up for the key of a certificate; until bound_until the same key may
--- fetch it again. Call it in the transaction that records the certificate.
---@param credential table from check(); a reusable one must be live still
---@param purpose table as for check()
---@param bound_until integer seconds since 1970
---@return true?
---@return lest.error? err unauthenticated: another request was first, or an operator
function Store:use(credential, purpose, bound_until)
  return consume(self, "credential_use", credential, purpose, bound_until)
end

return M
