--- What the authority verifies by itself, whatever a worker says: the CSR's signature, a secret, a
--- certificate chain, a renewal.
local core = require "lest.core"
local limiter = require "lest.server.authority.limiter"
local profiles = require "lest.server.authority.profile"
local refusal = require "lest.server.wire.refusal"

local M = {}

--- Other names than the certificate's (ChangeSubjectName, RFC 7030 4.2.1 and 4.2.2) are for a
--- policy to grant; they are never passed over in silence.
local function check_change(authority, csr, names)
  if not csr.change then return end
  for _, name in ipairs(names) do
    local profile = authority.config.profiles[name]
    if profile and profile.names == "policy" then return end
  end
  refusal.raise(403, "a change of names (ChangeSubjectName) is not allowed here")
end

--- Proof of possession (RFC 7030 4.2.1), and a key and usages that some profile of the label takes.
function M.check_csr(authority, csr, label)
  local good, problem
  for _, name in ipairs(label.profiles) do
    good, problem = profiles.check_key(authority.config.profiles[name], csr.public_key)
    if good then good, problem = profiles.check_usage(authority.config.profiles[name], csr) end
    if good then break end
  end
  if not good then refusal.raise(400, problem) end
  check_change(authority, csr, label.profiles)
  local verified, verify_err = csr:verify()
  if not verified then refusal.raise(400, verify_err.message) end
end

--- The failures of a network, of a name from there, and of the name in all, counted together: who
--- guesses from one network keeps no device out elsewhere.
---@return table
local function failures_of(authority, begin)
  local network, name = limiter.network(begin.address), begin.basic.username
  local keys = { network = network, name_there = network .. " " .. name, name = name }
  local function each(method)
    return function()
      local longest
      for kind, key in pairs(keys) do
        local limit = authority.failures[kind]
        local wait = limit[method](limit, key)
        longest = wait and math.max(wait, longest or 0) or longest
      end
      return longest
    end
  end
  return { wait = each "wait", count = each "count", uncount = each "uncount" }
end

local function refuse_attempt(wait)
  refusal.raise(429, "too many failed attempts", { retry_after = wait })
end

--- The principal of a Basic secret, or a refusal. Failures are limited before a hash is computed,
--- and an attempt that needs one counts as a failure until it is known to be none: many at once get
--- no further than one after the other. A random secret cannot be guessed and is taken at any time:
--- whoever knows a device's name could otherwise keep it out.
local function check_basic(authority, begin, context)
  local failures = failures_of(authority, begin)
  local wait = failures.wait()
  local charged
  context.limited = wait ~= nil
  function context.charge()
    if not charged then wait = failures.wait() end
    if wait then return false end
    if not charged then failures.count() end
    charged = true
    return true
  end
  local credential, err = authority.credentials:check(begin.basic.username, begin.basic.password,
    context)
  local failed = not credential and err.code == "unauthenticated"
  if charged and not failed then failures.uncount() end
  if credential then return credential end
  -- Those under way may turn out to be right, and then there is room again.
  if wait then refuse_attempt(context.limited and wait or math.min(wait, 5)) end
  if not failed then
    core.log.write("error", "credential check failed", { "id", begin.id, "message", tostring(err) })
    refusal.raise(503, "credentials cannot be checked now", { retry_after = 5 })
  end
  if not charged then failures.count() end
  refusal.raise(401, "the credentials are not accepted", { detail = err.detail })
end

--- What the label's `auth` asks for, from what was proven.
local function satisfied(label, proven)
  for _, kind in ipairs(label.auth) do
    local all = true
    for part in kind:gmatch "[^+]+" do all = all and proven[part] end
    if all then return true end
  end
  return false
end

--- A certificate of ours that was revoked is refused whatever else the label believes.
local function refuse_revoked(authority, cert)
  local rows, err = authority.ledger:rows("certificate_find", { serial = cert.serial })
  if not rows then error(err) end
  for _, row in ipairs(rows) do
    if row.revoked_at and row.der == cert:der() then
      refusal.raise(403, "the client certificate is revoked", { detail = cert.serial })
    end
  end
end

--- The anchors and the verified chain of a client certificate, or a refusal. Where a password is
--- enough, a certificate that the label does not know takes nothing from it: nil.
local function check_chain(authority, begin, label)
  local certs = {}
  for i, der in ipairs(begin.chain) do
    local cert, err = core.cert.parse(der)
    if not cert then refusal.raise(400, err.message) end
    certs[i] = cert
  end
  local leaf = table.remove(certs, 1)
  local failure
  for _, name in ipairs(label.anchors) do
    local anchors = authority.anchors[name]
    local chain, err = anchors.store:verify(leaf, { untrusted = certs, purpose = "client" })
    if chain then return name, chain end
    failure = failure or err
  end
  refuse_revoked(authority, leaf)
  if begin.basic and begin.operation == "simpleenroll" and satisfied(label, { basic = true }) then
    return nil
  end
  refusal.raise(403, "the client certificate is not accepted here",
    { detail = failure and failure.message })
end

--- One of ours: its row in the ledger, or nil. A revoked one is refused, and so is one that was
--- written anew around what was signed: an ECDSA signature (r, s) is as good as (r, n - s), and a
--- certificate without a row could not be revoked.
local function own_certificate(authority, chain)
  local parent = chain[2]
  if not parent then return nil end
  local issuer = authority.issuers_by_key[parent.public_key.der]
  if not issuer then return nil end
  local rows, err = authority.ledger:rows("certificate_get",
    { serial = chain[1].serial, issuer = issuer.id })
  if not rows then error(err) end
  local row = rows[1]
  if not row then return nil end
  local which = { detail = row.serial }
  if row.revoked_at then refusal.raise(403, "the client certificate is revoked", which) end
  if row.der ~= chain[1]:der() then
    refusal.raise(403, "the client certificate is not as it was issued", which)
  end
  return row
end

local function certificate_name(cert)
  return cert.subject.CN or (#cert.subject > 0 and tostring(cert.subject)) or cert.san[1]
    or cert.serial
end

--- Who asks. Returns the entry that a handle stands for.
function M.authenticate(authority, begin, label, csr)
  local entry = {
    begin = begin, label = label, csr = csr, key_hash = core.secret.sha256(csr.public_key.der),
    proven = {}, approvals = {}, started = authority.clock(),
  }
  local accepts = {}
  for _, kind in ipairs(label.auth) do
    for part in kind:gmatch "[^+]+" do accepts[part] = true end
  end
  local anchors, chain
  if begin.chain and accepts.certificate then
    anchors, chain = check_chain(authority, begin, label)
  end
  if anchors then
    entry.row = own_certificate(authority, chain)
    local name = certificate_name(chain[1])
    entry.proven.certificate = { name = name, anchors = anchors }
    entry.principal = { kind = "certificate", name = name, anchors = anchors,
      certificate = chain[1] }
    entry.ledger_name = anchors .. ":" .. (#chain[1].subject > 0 and tostring(chain[1].subject)
      or table.concat(chain[1].san, ","))
  end
  if begin.basic and accepts.basic then
    entry.context = {
      key_hash = entry.key_hash, label = begin.label, operation = begin.operation,
    }
    entry.credential = check_basic(authority, begin, entry.context)
    entry.proven.basic = { name = begin.basic.username }
    entry.principal = entry.principal or { kind = "basic", name = begin.basic.username }
    entry.principal.credential = entry.credential.facts
    entry.ledger_name = entry.ledger_name or begin.basic.username
  end
  if not satisfied(label, entry.proven) then
    local renewal = begin.operation == "simplereenroll"
    if accepts.basic and not begin.basic and (entry.proven.certificate or not renewal) then
      refusal.raise(401, "credentials are required")
    end
    refusal.raise(403, accepts.certificate and "a TLS client certificate is required"
      or "renewal needs a TLS client certificate, and none is accepted here")
  end
  return entry
end

--- Whoever holds a certificate of ours does not get around key_change by enrolling anew: some
--- profile of the label takes the key.
function M.check_enrollment(authority, entry)
  if not entry.row then return end
  local good, problem
  for _, name in ipairs(entry.label.profiles) do
    good, problem = profiles.check_key_change(authority.config.profiles[name],
      entry.principal.certificate, entry.csr)
    if good then return end
  end
  refusal.raise(403, problem)
end

local function includes(list, value)
  for _, each in ipairs(list) do
    if each == value then return true end
  end
  return false
end

--- RFC 7030 4.2.2: the client certificate is the one being renewed; it is ours, and the CSR has its
--- names. Another label may have asked another policy, or less, for those names: what it issued is
--- renewed here only where the configuration says so.
function M.check_renewal(authority, entry)
  local csr, cert = entry.csr, entry.principal.certificate
  if not cert then refusal.raise(403, "renewal needs a TLS client certificate") end
  if not entry.row then
    refusal.raise(403,
      "the client certificate was not issued by this CA, so there is nothing to renew")
  end
  if not includes(entry.label.renews, entry.row.label) then
    refusal.raise(403, "the client certificate was issued at another label")
  end
  local profile = authority.config.profiles[entry.row.profile]
    or authority.config.profiles[entry.label.profile]
  if not core.name.equal(csr.subject_der, cert.subject_der) then
    refusal.raise(403, "the subject of the request is not that of the certificate being renewed")
  end
  if not core.san.equal(csr.san_der, cert.san_der) then
    refusal.raise(403,
      "the subject alternative names of the request are not those of the certificate being renewed")
  end
  local good, problem = profiles.check_key_change(profile, cert, csr)
  if not good then refusal.raise(403, problem) end
  entry.previous = cert
  entry.renews = cert.serial
end

return M
