--- Credentials: names with secrets that authenticate by Basic (RFC 7617), by Digest (RFC 7616), as
--- a Bearer token (RFC 6750), as challengePassword of a CSR or as a pre-shared key of TLS, as their
--- kind says, kept in the ledger.
---
--- What a secret is, and how it is kept, is lest.server.ledger.secrets. A reusable credential
--- authenticates until it expires or is removed. A one-time credential has states, which change in
--- the transaction that records the request:
---
---   unused    authenticates anybody who knows the secret, until it expires
---   reserved  held by a pending request of one public key, until that ends; then as unused
---   used      a certificate was issued for one public key
---
--- Reserved or used, it authenticates that key, label and operation only, until bound_until, only
--- to poll or to fetch the same certificate again; with any other key it is 401.
---
---   local store = credentials.new { ledger = ledger }
---   local made = assert(store:add { name = "device001", expires_s = 86400 })   --> made.secret
---   local purpose = { key_hash = "...", label = "default", operation = "simpleenroll" }
---   local who, err = store:check("device001", made.secret, purpose)  --> who.may
---   store:use(who, purpose, bound_until) -- in the transaction that records the certificate
local core = require "lest.core"
local digest = require "lest.server.ledger.digest"
local fail = require "lest.base.fail"
local json = require "lest.json"
local secrets = require "lest.server.ledger.secrets"
local terms = require "lest.server.ledger.terms"

local M = {}

---@class lest.credentials
---@field ledger lest.ledger
---@field secrets lest.secrets
---@field clock fun(): integer seconds since 1970
local Store = { __name = "lest.credentials" }
Store.__index = Store

local function wall_clock()
  return core.clock.wall_us() // 1000000
end

---@param options table ledger, and where not the default: clock, scrypt, cache_s, cache_max
---@return lest.credentials
function M.new(options)
  return setmetatable({ ledger = options.ledger, secrets = secrets.new(options),
    clock = options.clock or wall_clock }, Store)
end

local function refuse(detail, reason)
  return fail("unauthenticated", "the user name or the password is wrong",
    { detail = detail, reason = reason })
end

--- What add() does before it writes: check what is wanted, and hash a password, which costs. May
--- yield where scrypt does.
---@param wanted table as of add()
---@return table? prepared for write()
---@return lest.error? err
function Store:prepare(wanted)
  wanted.kind = wanted.kind or terms.KINDS[1]
  local problem = terms.problem(wanted)
  if problem then return fail("usage", problem) end
  local hashed, text = self.secrets:make(wanted)
  if not hashed then return nil, text end
  return { wanted = wanted, hashed = hashed, secret = not wanted.password and text or nil }
end

--- Write what prepare() has made.
---@param prepared table
---@return { id: string, name: string, secret: string?, expires: integer? }?
---@return lest.error? err
function Store:write(prepared)
  local wanted, hashed = prepared.wanted, prepared.hashed
  local id, err = core.secret.random(10)
  if not id then return nil, err end
  local now = self.clock()
  local expires = wanted.expires_s and now + wanted.expires_s
  local added
  added, err = self.ledger:run("credential_add", {
    id = id, name = wanted.name, kind = wanted.kind, secret_kind = hashed.kind, cost = hashed.cost,
    salt = hashed.salt, hash = hashed.hash, created = now,
    one_time = (wanted.reusable or wanted.kind == "key-wrap") and 0 or 1,
    expires = expires, facts = json.line(json.object(wanted.facts)),
  })
  if not added then return nil, err end
  return { id = id, name = wanted.name, secret = prepared.secret, expires = expires }
end

--- Make a credential; without a password its secret is random and returned, this once.
---@param wanted table name, and perhaps kind (and of digest the realm), password, reusable,
--- expires_s (seconds from now), facts
---@return { id: string, name: string, secret: string?, expires: integer? }?
---@return lest.error? err
function Store:add(wanted)
  local prepared, err = self:prepare(wanted)
  if not prepared then return nil, err end
  return self:write(prepared)
end

--- The credentials of a name and kind that may still authenticate, with what their secrets leave;
--- perhaps the one with an id or a hash alone.
local function live(store, kind, name, now, one)
  return store.ledger:rows("credentials_live", { name = name, kind = kind, now = now,
    id = one and one.id, hash = one and one.hash })
end

--- Whether a name has no credential of a kind that still authenticates a new request.
---@param name string
---@param kind string
---@return boolean?
---@return lest.error? err
function Store:is_free(name, kind)
  local rows, err = live(self, kind, name, self.clock())
  if not rows then return nil, err end
  for _, row in ipairs(rows) do
    if row.one_time == 0 or row.state ~= "used" then return false end
  end
  return true
end

--- Whether the pending request that held a credential is over.
local function is_given_back(row, now)
  return row.state == "reserved" and row.bound_until <= now
end

--- A row as policies see it: without its secret.
local function public(row)
  return {
    id = row.id, name = row.name, kind = row.kind, secret_kind = row.secret_kind,
    one_time = row.one_time == 1, state = row.state, key_hash = row.key_hash, label = row.label,
    operation = row.operation, created = row.created, expires = row.expires, used_at = row.used_at,
    realm = row.realm, facts = json.decode(row.facts) or {},
  }
end

--- As people see it: its state is that of now, with what holds it and until when.
local function shown(row, now)
  local seen = public(row)
  if is_given_back(row, now) then
    seen.state, seen.key_hash, seen.label, seen.operation = "unused", nil, nil, nil
  end
  if seen.state == "unused" and row.expires and row.expires <= now then seen.state = "expired" end
  if seen.state == "reserved" then seen.pending_id = row.pending_id end
  if seen.key_hash then seen.bound_until = row.bound_until end
  return seen
end

local function all_shown(store, rows)
  local list, now = {}, store.clock()
  for i, row in ipairs(rows) do list[i] = shown(row, now) end
  return list
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
  return all_shown(self, rows), #rows == limit and rows[#rows].seq or nil
end

--- Those of a name, or the one with an id.
---@param name_or_id string
---@return table[]?
---@return lest.error? err
function Store:find(name_or_id)
  if not core.utf8.is_text(name_or_id) then return {} end
  local list, err = self:list(name_or_id)
  if not list or list[1] then return list, err end
  local rows
  rows, err = self.ledger:rows("credential_get", { id = name_or_id })
  return rows and all_shown(self, rows), err
end

--- How many of a name still get a certificate for a key of any choice.
---@param name string
---@return integer?
---@return lest.error? err
function Store:count_good(name)
  local list, err = self:list(name)
  if not list then return nil, err end
  local count = 0
  for _, each in ipairs(list) do
    local is_spent = each.one_time and each.state == "used"
    if not is_spent and each.state ~= "expired" then count = count + 1 end
  end
  return count
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

--- What a credential whose secret is right still allows: nil is nothing.
local function allows(row, purpose, now)
  if row.one_time == 0 or row.state == "unused" or is_given_back(row, now) then return "enroll" end
  if purpose.is_for_nothing then return "poll" end
  local same = purpose.key_hash and row.key_hash == purpose.key_hash and row.label == purpose.label
    and row.operation == purpose.operation
  if not same then return nil end
  return row.state == "reserved" and "poll" or "fetch"
end

-- A credential that is bound to this very key goes before one that would be consumed anew.
local PREFERENCE <const> = { fetch = 1, poll = 2, enroll = 3 }

local function choose(rows, purpose, now)
  local best, best_rank, best_row
  for _, row in ipairs(rows) do
    local may = allows(row, purpose, now)
    local rank = may and PREFERENCE[may] + (may == "enroll" and row.one_time or 0)
    if rank and (not best or rank < best_rank) then
      best, best_rank, best_row = public(row), rank, row
      best.may, best.seq = may, row.seq
    end
  end
  return best, best_row
end

local BOUND <const> = {
  reserved = "the one-time secret is held by a pending request with another key, label or "
    .. "operation: repeat that one",
  used = "the one-time secret is used up",
}
local OVER <const> = {
  unused = "the time of the secret is over: a new one is needed",
  reserved = "the request that waited has ended, and so has the time of the secret: "
    .. "a new one is needed",
  used = "the one-time secret is used up: a new one is needed",
}

--- Refuse a secret that no live credential of the name (rows) takes for this purpose; bound is one
--- whose it is, and match(rows) finds those whose it is among others. Who knows a random secret is
--- told why it is good for nothing; a password may have been guessed, and is not said to be right.
local function refuse_useless(store, kind, name, now, rows, bound, match)
  if bound and bound.secret_kind == "random" then
    return refuse(BOUND[bound.state], BOUND[bound.state])
  end
  if bound then return refuse "the secret is bound to another key, label or operation" end
  local over, err = store.ledger:rows("credentials_over", { name = name, kind = kind, now = now })
  if not over then return nil, err end
  local known = match(over)[1]
  if known then return refuse(OVER[known.state], OVER[known.state]) end
  return refuse(#rows > 0 and "the secret is wrong" or "no credential of this name is live")
end

--- Authenticate by a secret as it is. Reads only: reserve() or use() inside the request's
--- transaction has the last word.
---@param name string
---@param text string the secret, as it was sent
---@param purpose table what it is shown for: key_hash, label, operation, and perhaps now, and kind,
--- where it is not "basic"; is_for_nothing: to be known, and for nothing that uses it up
---@param attempt? { is_limited: boolean, charge: fun(): boolean } is_limited: no chosen password is
--- right; charge() is asked before a hash is computed
---@return table? credential with `may`: "enroll" (anything), "poll" (a reserved one), "fetch" (a
--- used one: only the certificate that was issued for this key)
---@return lest.error? err unauthenticated (detail: for the log; reason: what may be told to who
--- knows the secret), unavailable (the pool is full)
function Store:check(name, text, purpose, attempt)
  local kind = purpose.kind or terms.KINDS[1]
  if terms.name_problem(name) then return refuse "no such name can exist" end
  if type(text) ~= "string" or text == "" or #text > terms.SECRET_MAX then
    return refuse "no such secret can exist"
  end
  local now = purpose.now or self.clock()
  local rows, err = live(self, kind, name, now)
  if not rows then return nil, err end
  local found = secrets.match_random(rows, text)
  if #found == 0 and attempt and attempt.is_limited then
    return refuse "too many failed attempts"
  end
  if #found == 0 then
    found, err = self.secrets:match_chosen(kind, name, rows, text, now, attempt)
    if not found then return nil, err end
  end
  local best = choose(found, purpose, now)
  if best then return best end
  return refuse_useless(self, kind, name, now, rows, found[1], function(over)
    return secrets.match_random(over, text)
  end)
end

local function refuse_realm(rows, realm)
  for _, row in ipairs(rows) do
    if row.salt == realm then return end
  end
  return rows[1] and ("the credential is of the realm '%s', and the label's is '%s': add another")
    :format(rows[1].realm, realm)
end

--- Authenticate by a response of HTTP Digest, as check() does by a secret.
---@param said table of a client: username, realm, nonce, nc, cnonce, method, uri, algorithm,
--- response
---@param purpose table as for check()
---@param is_limited boolean no chosen password is right
---@return table? credential as of check()
---@return lest.error? err unauthenticated
function Store:check_digest(said, purpose, is_limited)
  local name, now = said.username, purpose.now or self.clock()
  if terms.name_problem(name) then return refuse "no such name can exist" end
  local rows, err = live(self, "digest", name, now)
  if not rows then return nil, err end
  local found = {}
  for _, row in ipairs(digest.match(rows, said)) do
    if not is_limited or row.secret_kind == "random" then found[#found + 1] = row end
  end
  local best = choose(found, purpose, now)
  if best then return best end
  local problem = refuse_realm(rows, said.realm)
  if problem then return refuse(problem) end
  return refuse_useless(self, "digest", name, now, rows, found[1], function(over)
    return digest.match(over, said)
  end)
end

--- Authenticate by an identity proof of CMC (RFC 5272 6.2), which a random secret of kind
--- "challenge" can make; a chosen one is not kept so that it could.
---@param name string
---@param proof { over: string, witness: string, algorithm: "sha256"|"sha1" }
---@param purpose table as for check()
---@return table? credential as of check()
---@return table<string, string>|lest.error link_keys of the requests' witnesses, by algorithm; or
--- the error: unauthenticated
function Store:check_witness(name, proof, purpose)
  if terms.name_problem(name) then return refuse "no such name can exist" end
  local now = purpose.now or self.clock()
  local rows, err = live(self, "challenge", name, now)
  if not rows then return nil, err end
  local found, link_keys = secrets.match_witness(rows, proof)
  local best, row = choose(found, purpose, now)
  if best then return best, link_keys[row] end
  return refuse_useless(self, "challenge", name, now, rows, found[1], function(over)
    return (secrets.match_witness(over, proof))
  end)
end

--- Authenticate by a Bearer token, which is found by its hash: it says itself whose it is.
---@param token string
---@param purpose table as for check()
---@return table? credential as of check()
---@return lest.error? err unauthenticated
function Store:check_token(token, purpose)
  local hash, err = core.secret.sha256(token)
  if not hash then return nil, err end
  local owners
  owners, err = self.ledger:rows("credential_of_token", { hash = hash })
  if not owners then return nil, err end
  if not owners[1] then return refuse "no credential has this token" end
  local name, now = owners[1].name, purpose.now or self.clock()
  local rows
  rows, err = live(self, "bearer", name, now, { hash = hash })
  if not rows then return nil, err end
  local found = secrets.match_token(rows, hash)
  local best = choose(found, purpose, now)
  if best then return best end
  return refuse_useless(self, "bearer", name, now, rows, found[1], function(over)
    return secrets.match_token(over, hash)
  end)
end

--- The newest key of a name that keys for it are encrypted with, or the one with an id.
---@param name string
---@param called string the name or that id
---@return string? key 16 or 32 bytes; nil where there is none
---@return lest.error? err of the ledger
function Store:wrap_key(name, called)
  local rows, err = live(self, "key-wrap", name, self.clock(),
    called ~= name and { id = called } or nil)
  if not rows then return nil, err end
  return rows[1] and rows[1].salt
end

--- Whose handshake one of these names begins: the newest live credential of a name, with what TLS
--- needs of it.
---@param kind string "psk" or "srp"
---@param name string as a client says it
---@return { id: string, secret: table }? holder
---@return lest.error? err where that cannot be said
function Store:holder(kind, name)
  if terms.name_problem(name) then return nil end
  local rows, err = live(self, kind, name, self.clock())
  if not rows then return nil, err end
  return rows[1] and { id = rows[1].id, secret = secrets.of_handshake(kind, rows[1]) }
end

--- Authenticate by a handshake with what holder() gave.
---@param holder { kind: string, name: string, id: string }
---@param purpose table as for check()
---@return table? credential as of check()
---@return lest.error? err unauthenticated
function Store:check_holder(holder, purpose)
  local kind, name, now = holder.kind, holder.name, purpose.now or self.clock()
  local rows, err = live(self, kind, name, now, holder)
  if not rows then return nil, err end
  local best = choose(rows, purpose, now)
  if best then return best end
  local state = rows[1] and rows[1].state
  local reason = state and BOUND[state] or "the credential of the handshake is over, or was removed"
  return refuse(reason, reason)
end

--- Whether a reusable one still authenticates: an operator may have removed it since check().
local function check_live(store, credential, now)
  local rows, err = live(store, credential.kind, credential.name, now, { id = credential.id })
  if not rows then return nil, err end
  if rows[1] then return true end
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
