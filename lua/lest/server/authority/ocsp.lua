--- What the server says of its certificates' revocation to anybody who asks (OCSP, RFC 6960). A CA
--- does not sign such answers itself: it certifies a key for them, which is in memory alone and
--- good for a week, once it is first asked; that certificate is a row of the ledger as any other.
---
--- `good` is said of what the ledger says was issued, and of nothing else. Which CA is meant, the
--- hash of its key decides: while a CA's key changes, two have one name.
---
--- A stranger can cause a signature with each request, so that a worker has its share of them in a
--- second, and then `tryLater` is said, which nobody signs.
---
---   local ocsp = ocsp.new(authority, workers)
---   local said = ocsp:answer(channel, check)     --> { response =, this_update =, next_update = }
local cache = require "lest.server.wire.ocsp_cache"
local core = require "lest.core"
local lines = require "lest.server.wire.lines"
local limiter = require "lest.server.wire.limiter"
local limits = require "lest.server.config.limits"
local list = require "lest.base.list"
local own_issue = require "lest.server.authority.own_issue"
local record = require "lest.server.authority.record"
local revocation = require "lest.server.ledger.revocation"

local M = {}

local KEY <const> = "ec:P-256"
local SUBJECT <const> = { { "CN", "OCSP responder" } }
local WEEK_S <const> = 7 * 86400
-- For clients whose clocks are late; what was issued is known to be so from its first second.
local BACKDATE_S <const> = 3600
-- id-pkix-ocsp-nocheck (RFC 6960 4.2.2.2.1): who would say that the responder is revoked?
local NOCHECK <const> = { oid = "1.3.6.1.5.5.7.48.1.5", value = "\5\0" }

local SECOND_MS <const> = 1000

local failures <const> = lines.new "OCSP request not answered"

local malformed <const>, try_later <const>, unauthorized <const> =
  core.ocsp.failure "malformedRequest", core.ocsp.failure "tryLater",
  core.ocsp.failure "unauthorized"

---@class lest.authority.ocsp
---@field authority lest.authority
---@field lifetime integer seconds that an answer is good for
---@field signed lest.limiter by worker
---@field kept lest.ocsp_cache what was signed without a nonce: all workers give the same
---@field issuers table<string, table> by what a CertID has of its CA
---@field cas table<table, table<string, boolean>> the serial numbers of CAs that a CA has certified
---@field responders table<table, { signer: lest.ocsp_responder, cert: lest.cert }> by issuer
local Ocsp = {}
Ocsp.__index = Ocsp

local function place_of(id)
  return ("%s/%s%s"):format(id.digest, id.name_hash, id.key_hash)
end

-- Certificates of CAs, as the links of a rollover, are in the configuration and not in the ledger.
local function certified_cas(issuer)
  local serials = {}
  for _, cert in ipairs(issuer.bag or {}) do
    if cert.issuer_der == issuer.cert.subject_der and cert.aki == issuer.cert.ski then
      serials[cert.serial] = true
    end
  end
  return serials
end

---@param authority lest.authority
---@param workers integer
---@return lest.authority.ocsp
function M.new(authority, workers)
  local config = authority.config
  local self = setmetatable({ authority = authority, lifetime = config.ocsp.lifetime,
    signed = limiter.new { per_minute = limits.share(config.limits.ocsp_per_second, workers),
      now_ms = core.clock.monotonic_ms, window_ms = SECOND_MS },
    kept = cache.new(), issuers = {}, cas = {}, responders = {} }, Ocsp)
  for _, issuer in pairs(authority.issuers_by_id) do
    for _, hashes in ipairs(issuer.issuer and assert(core.ocsp.hashes(issuer.cert)) or {}) do
      self.issuers[place_of(hashes)] = issuer
    end
    self.cas[issuer] = certified_cas(issuer)
  end
  return self
end

--- A new key, certified by the CA, within a unit; nil where that CA is over.
local function certify(self, issuer, now)
  local ca = issuer.cert
  if now < ca.not_before or now >= ca.not_after then return nil end
  local key = assert(core.key.generate(KEY))
  local cert = own_issue.issue(self.authority, issuer, {
    public_key = key:public_der(), subject = SUBJECT,
    not_before = math.max(now - BACKDATE_S, ca.not_before),
    not_after = math.min(now + WEEK_S, ca.not_after),
    eku = { "OCSPSigning" }, extensions = { NOCHECK },
  }, "ocsp", SUBJECT[1][2])
  return { cert = cert, signer = assert(core.ocsp_responder.new { cert = cert, key = key }) }
end

-- In the second half of its life there is another one, so that no answer is cut short by its end.
local function is_fresh(responder, now)
  local cert = responder.cert
  return now >= cert.not_before and now < cert.not_before + (cert.not_after - cert.not_before) // 2
end

--- Who signs for a CA; nil where that CA is over.
local function responder_of(self, issuer, now)
  local known = self.responders[issuer]
  if known and is_fresh(known, now) then return known end
  local turn = self.authority.turn
  local made = turn:unit(certify, self, issuer, now)
  if not made then return nil end
  self.responders[issuer] = made
  turn:when_durable(function(durable)
    if durable or self.responders[issuer] ~= made then return end
    -- It is not in the ledger then: it signs nothing more, and what it has signed goes.
    self.responders[issuer] = nil
    self.kept:forget(nil)
  end)
  return made
end

--- What is known of one certificate of a CA.
local function state_of(self, issuer, asked)
  local row = record.rows(self.authority.ledger, "certificate_get",
    { serial = asked.serial, issuer = issuer.id })[1]
  if not row then
    return { id = asked.id, state = self.cas[issuer][asked.serial] and "good" or "unknown" }
  end
  if not row.revoked_at then return { id = asked.id, state = "good" } end
  local reason = row.revocation_reason
  return { id = asked.id, state = "revoked", revoked_at = row.revoked_at,
    reason = list.has(revocation.REASONS, reason) and reason or nil }
end

-- The CA of the first certificate that is of one of ours. An answer has one signer, and no other
-- CA has authorized that: of others' certificates in the same request nothing is known.
local function issuer_of(self, request)
  for _, asked in ipairs(request.certificates) do
    local issuer = asked.digest and self.issuers[place_of(asked)]
    if issuer then return issuer end
  end
end

--- What was signed about a certificate, where it is in that state still; in the second half of its
--- time there is another one.
local function kept_of(self, asked, state, now)
  local known = self.kept:find(asked, now)
  if not known or known.state ~= state.state or known.revoked_at ~= state.revoked_at
    or now >= known.this_update + (known.next_update - known.this_update) // 2 then
    return nil
  end
  return known
end

local function states_of(self, request, issuer)
  local states = {}
  for i, asked in ipairs(request.certificates) do
    local is_its = asked.digest and self.issuers[place_of(asked)] == issuer
    states[i] = is_its and state_of(self, issuer, asked) or { id = asked.id, state = "unknown" }
  end
  return states
end

local function respond(self, channel, request, issuer, known_only)
  local now, states = self.authority.clock(), states_of(self, request, issuer)
  if known_only and states[1].state == "unknown" then return { response = unauthorized } end
  local only = not request.nonce and #states == 1
  local known = only and kept_of(self, request.certificates[1], states[1], now)
  if known then return known end
  if self.signed:take(channel.worker) then return { response = try_later } end
  local responder = responder_of(self, issuer, now)
  if not responder then return { response = unauthorized } end
  local next_update = math.min(now + self.lifetime, responder.cert.not_after)
  local said = { response = assert(responder.signer:respond { certificates = states,
    produced_at = now, this_update = now, next_update = next_update, nonce = request.nonce }) }
  if not only then return said end
  said.this_update, said.next_update = now, next_update
  said.state, said.revoked_at = states[1].state, states[1].revoked_at
  self.kept:keep(request.certificates[1], said, self.kept:mark())
  return said
end

--- Answer a worker's question.
---@param channel lest.authority.channel
---@param check { request: string, known: boolean } the message: DER
---@return { response: string, this_update?: integer, next_update?: integer } said times where
--- others who ask the same may be told the same
function Ocsp:answer(channel, check)
  local request, err = core.ocsp.parse_request(check.request)
  if not request then
    return { response = err.code == "refused" and unauthorized or malformed }
  end
  local issuer = issuer_of(self, request)
  if not issuer then return { response = unauthorized } end
  if self.authority.turn.hung then return { response = try_later } end
  local ok, said = pcall(respond, self, channel, request, issuer, check.known)
  if ok then return said end
  failures:write("error", { "message", tostring(said) })
  return { response = try_later }
end

--- Certificates were revoked. One of a responder has nobody who would look (NOCHECK): there is
--- another key instead, and what the one before has signed is given no more.
---@param rows { serial: string, issuer: string }[]
---@param more boolean there are others
---@return boolean is_over such an answer may be kept elsewhere
function Ocsp:forget(rows, more)
  local any = false
  for issuer, responder in pairs(self.responders) do
    local is_over = more
    for _, row in ipairs(rows) do
      is_over = is_over or row.serial == responder.cert.serial and row.issuer == issuer.id
    end
    if is_over then
      self.responders[issuer], any = nil, true
      self.kept:forget(nil)
    end
  end
  return any
end

--- What is said where that, or what it depends on, could not be kept.
M.TRY_LATER = try_later

return M
