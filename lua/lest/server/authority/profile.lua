--- What a profile allows, enforced in the authority whatever a worker or a policy says.
---
---   local plan, problem = profile.plan(config.profiles.device, { ... })
---   issuer:issue(plan)
local core = require "lest.core"
local duration = require "lest.duration"
local key_kinds = require "lest.base.key_kinds"
local list = require "lest.base.list"
local public = require "lest.server.config.public"
local refusal = require "lest.server.wire.refusal"

local M = {}

--- Whether the profile takes a public key.
---@param profile table
---@param key_type string
---@return boolean|nil
---@return string|nil problem for the client
function M.check_key(profile, key_type)
  for _, spec in ipairs(profile.keys) do
    if key_kinds.matches(spec, key_type) then return true end
  end
  return nil, ("a key of type %s is not allowed here (allowed: %s)"):format(key_type,
    table.concat(profile.keys, ", "))
end

--- The kind of the key that is to be made: the one that the policy states, else that of the CSR,
--- whose key says nothing but that (RFC 7030 4.4.1), else the profile's first.
---@param profile table
---@param stated? string by the policy
---@param csr lest.csr
---@return string|nil kind one of the profile's server_keys
---@return string|nil problem
function M.kind_to_make(profile, stated, csr)
  local kinds = profile.server_keys
  if not kinds then return nil, "the profile makes no keys (it has no server_keys)" end
  if stated then
    if list.has(kinds, stated) then return stated end
    return nil, ("a key of type %s is not made here (server_keys: %s)"):format(stated,
      table.concat(kinds, ", "))
  end
  local asked = csr.key_type
  for _, kind in ipairs(kinds) do
    if key_kinds.matches(kind, asked) then return kind end
  end
  return kinds[1]
end

local function overlap(wanted, given)
  if not wanted or #wanted == 0 then return true end
  local set = {}
  for _, name in ipairs(given) do set[name] = true end
  for _, name in ipairs(wanted) do
    if set[name] then return true end
  end
  return false
end

--- RFC 5272 3.1: an extension may be left out, but its intent is not reversed. A CSR that asks for
--- usages of which the profile gives none is refused.
---@return boolean|nil
---@return string|nil problem for the client
function M.check_usage(profile, csr)
  if not overlap(csr.key_usage, profile.key_usage) then
    return nil, ("none of the requested key usages is given here (given: %s)"):format(
      table.concat(profile.key_usage, ", "))
  end
  if not overlap(csr.eku, profile.eku) then
    return nil, ("none of the requested extended key usages is given here (given: %s)"):format(
      table.concat(profile.eku, ", "))
  end
  return true
end

--- Whether a request's key may follow that of a certificate that was issued here.
---@param profile table
---@param cert lest.cert
---@param key_hash string|nil nil: a key that is to be made, and new
---@return boolean|nil
---@return string|nil problem for the client
function M.check_key_change(profile, cert, key_hash)
  local same = cert.key_hash == key_hash
  if same and profile.key_change == "required" then
    return nil, "a new key is required, not the certificate's"
  end
  if not same and profile.key_change == "forbidden" then
    return nil, "the key must stay the certificate's"
  end
  return true
end

--- The name of the profile that renews a certificate: its own. Where that was renamed since, or
--- taken from the label, the label's.
---@param label table
---@param own table the certificate's row
---@return string
function M.of_renewal(label, own)
  return list.has(label.profiles, own.profile) and own.profile or label.profile
end

--- The name of the profile that an approval is issued by. A renewal is no way into another, unless
--- the policy says so.
---@param label table
---@param stated? string by the policy
---@param renewed? table what of_renewal takes, where a certificate is renewed
---@return string
function M.of_approval(label, stated, renewed)
  return stated or renewed and M.of_renewal(label, renewed) or label.profile
end

--- The name of the CA that an approval is issued by: "" is the configuration's `ca`.
---@param label table
---@param stated? string by the policy
---@return string|nil
---@return string|nil problem
function M.ca_of(label, stated)
  if not stated or list.has(label.cas, stated) then return stated or label.cas[1] end
  return nil, ("the label does not have the CA '%s'"):format(stated)
end

local function check_types(profile, subject, san)
  for _, pair in ipairs(subject) do
    if not list.has(profile.subject, pair[1]) then
      return nil, ("the subject attribute %s is not in the profile (it has: %s)"):format(pair[1],
        table.concat(profile.subject, ", "))
    elseif pair.der then
      return nil, ("the value of the subject's %s is no character string"):format(pair[1])
    end
  end
  for _, name in ipairs(san) do
    local kind = name:match "^([^:]+):"
    if not kind or not list.has(profile.san, kind) then
      return nil, ("a subject alternative name of type %s is not in the profile (it has: %s)")
        :format(kind or "?", #profile.san > 0 and table.concat(profile.san, ", ") or "none")
    end
  end
  return true
end

local NOT_OWN_SUBJECT <const> = "the subject is not the principal's own name"
local NOT_OWN_SAN <const> = "a subject alternative name is not the principal's own"
local NOT_RENEWED <const> = "the profile takes names from the certificate being renewed only"

local OF_NAMES <const> = { [NOT_OWN_SUBJECT] = true, [NOT_OWN_SAN] = true, [NOT_RENEWED] = true }

--- What an operator may change where a policy shall state such names; nil where that is another
--- problem.
---@param name string of the profile
---@param profile table
---@param problem string of plan()
---@return string|nil
function M.remedy(name, profile, problem)
  if not OF_NAMES[problem] then return nil end
  return ('profiles.%s has names = "%s"; names = "policy" leaves them to the policy'):format(name,
    profile.names)
end

--- Names as DER.
---@param kind { encode: fun(names: any): string|nil, lest.error|nil } core.name or core.san
---@return string|nil der
---@return string|nil problem
local function der_of(kind, names)
  local der, err = kind.encode(names)
  if der then return der end
  refusal.raise_memory(err)
  return nil, err.message
end

--- names = "principal": every name is one that the principal has proven. A subject that is the
--- certificate's but for its writing (RFC 5280 7.1) is issued with the certificate's characters:
--- others may tell "alice" from "ALICE".
---@return string|nil subject_der as it is to be written
---@return string|nil problem
local function check_own_names(principal, subject, subject_der, san)
  local cert = principal.certificate
  local own_name, own_san, is_certified = principal.name, {}, false
  if cert then
    own_name = cert.subject.CN
    for _, name in ipairs(cert.san) do own_san[name] = true end
    is_certified = core.name.equal(subject_der, cert.subject_der)
  end
  local only = #subject == 1 and subject[1]
  local is_own = own_name and only and only[1] == "CN" and only[2] == own_name
  if not is_certified and #subject > 0 and not is_own then
    return nil, NOT_OWN_SUBJECT
  end
  for _, name in ipairs(san) do
    local value = name:match "^[^:]+:(.*)$"
    if not own_san[name] and (not own_name or value ~= own_name) then
      return nil, NOT_OWN_SAN
    end
  end
  return is_certified and der_of(core.name, cert.subject) or subject_der
end

--- Whether names can be issued: there are some, each is of a type that the profile has, can be
--- written as DER, and is the principal's own where the profile wants that.
---@param profile table
---@param principal table
---@param subject lest.name_like in parts
---@param san string[]
---@return { subject_der: string, san_der: string|nil }|nil names as they are to be written
---@return string|nil problem
function M.check_names(profile, principal, subject, san)
  if #subject == 0 and #san == 0 then return nil, "there is no name at all" end
  local good, problem = check_types(profile, subject, san)
  if not good then return nil, problem end
  local subject_der, san_der
  subject_der, problem = der_of(core.name, subject)
  if not subject_der then return nil, problem end
  if #san > 0 then san_der, problem = der_of(core.san, san) end
  if problem then return nil, problem end
  if profile.names == "principal" then
    subject_der, problem = check_own_names(principal, subject, subject_der, san)
    if not subject_der then return nil, problem end
  end
  return { subject_der = subject_der, san_der = san_der }
end

--- Whether a problem of names is one of those that the client asks for, or is known by: then no
--- policy has invented it.
---@param profile table
---@param principal table
---@param csr lest.csr
---@param problem string of check_names
---@return boolean
function M.is_of_client(profile, principal, csr, problem)
  local change = csr.change or { subject = {}, san = {} }
  for i, names in ipairs {
    { csr.subject, csr.san }, { csr.subject, {} }, { {}, csr.san },
    { change.subject, {} }, { {}, change.san },
    { { { "CN", principal.name } }, {} }, { {}, { "DNS:" .. principal.name } },
  } do
    local subject, san = table.unpack(names)
    local is_asked = i == 1 or #subject + #san > 0
    local _, found
    if is_asked then _, found = M.check_names(profile, principal, subject, san) end
    if found == problem then return true end
  end
  return false
end

--- What a client is told whose key others may have.
M.COMPROMISED =
  "a certificate with this key was revoked since the key is compromised: make a new key"

--- What is wrong with the key: a client's own is what it asks for, the kind of one that is made
--- here is the policy's to state.
local function check_key(profile, facts)
  local stated = facts.verdict.key
  if facts.makes_key then return M.kind_to_make(profile, stated, facts.csr) end
  if stated then return nil, "a key is made for a serverkeygen alone, and `key` is of that" end
  local good, problem = M.check_key(profile, facts.csr.key_type)
  return good, problem, "key"
end

--- Turn a verdict into what the issuer is to sign.
---@param profile table
---@param facts table verdict, principal, own (its certificate, where it was issued here), previous
--- (the same, where it is renewed), csr, ca; now in seconds since 1970; makes_key: in place of the
--- CSR's key one is certified that is made here, and `made` is its SubjectPublicKeyInfo;
--- public_url, where this server offers what certificates name, of the issuer
---@return table|nil plan for issuer:issue
---@return string|nil problem
---@return "key"|"names"|nil about what a client may have asked for in vain
function M.plan(profile, facts)
  local verdict, previous = facts.verdict, facts.previous
  local plan = public.urls(profile, facts.public_url, facts.issuer)
  plan.key_usage, plan.eku = profile.key_usage, profile.eku
  local good, problem, about = check_key(profile, facts)
  if not good then return nil, problem, about end
  plan.public_key = facts.makes_key and facts.made or not facts.makes_key and facts.csr.spki or nil
  if verdict.renewal then
    if not previous then return nil, "a renewal needs the certificate being renewed" end
    if facts.csr.change then
      return nil, "a renewal gives no other names (ChangeSubjectName): state them, or reject"
    end
    good, problem = check_types(profile, previous.subject, previous.san)
    if not good then return nil, problem, "names" end
    plan.subject_der, plan.san_der = previous.subject_der, previous.san_der
  else
    if profile.names == "renewal" then
      return nil, NOT_RENEWED
    end
    local names
    names, problem = M.check_names(profile, facts.principal, verdict.subject or {},
      verdict.san or {})
    if not names then return nil, problem, "names" end
    plan.subject_der, plan.san_der = names.subject_der, names.san_der
  end
  if facts.own then
    good, problem = M.check_key_change(profile, facts.own,
      not facts.makes_key and facts.csr.key_hash or nil)
    if not good then return nil, problem, "key" end
  end
  local lifetime = verdict.lifetime or profile.lifetime
  if lifetime > profile.lifetime then
    return nil, ("the lifetime is longer than the profile's (%s)"):format(
      duration.format(profile.lifetime))
  end
  plan.not_before = math.max(facts.now - profile.backdate, facts.ca.not_before)
  plan.not_after = math.min(facts.now + lifetime, facts.ca.not_after)
  if plan.not_after <= facts.now then return nil, "the CA's certificate has expired" end
  if facts.now < facts.ca.not_before then return nil, "the CA's certificate is not valid yet" end
  return plan
end

--- As plan(), by one of a label's profiles.
---@param profiles table<string, table> of the configuration
---@param label table
---@param name string
---@param facts table
---@return table|nil plan
---@return string|nil problem
---@return "key"|"names"|nil about
function M.plan_by(profiles, label, name, facts)
  if list.has(label.profiles, name) then return M.plan(profiles[name], facts) end
  return nil, ("the label does not have the profile '%s'"):format(name)
end

--- What becomes of an approval that cannot be issued: "reject" where the client asked for that,
--- "error" where it is a mistake of the policy.
---@param profile table
---@param principal table
---@param csr lest.csr
---@param problem string of plan()
---@param about "key"|"names"|nil likewise
---@return "reject"|"error"
function M.verdict_of(profile, principal, csr, problem, about)
  local is_asked = about == "key"
    or about == "names" and M.is_of_client(profile, principal, csr, problem)
  return is_asked and "reject" or "error"
end

return M
