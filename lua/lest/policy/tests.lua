--- Tests of a request: what is proven, what is asked for, where from and when. Each is made with
--- what it compares with, which is read when the policy is loaded, and holds or does not.
local certificates = require "lest.policy.certificates"
local glob = require "lest.policy.glob"
local key_kinds = require "lest.base.key_kinds"
local list = require "lest.base.list"
local network = require "lest.base.network"
local shapes = require "lest.policy.shapes"
local week = require "lest.policy.week"

---@class lest.module.policy
local M = {}

---@class lest.policy.who
---@field kind? "certificate"|"basic"|"digest"|"bearer"|"challenge"|"psk"|"srp" as
--- request.principal.kind
---@field anchors? string|string[] one of these names of the configuration's anchors vouches
---@field name? string|string[] a pattern of the name, or several
---@field is_own? boolean whether this server issued the certificate
---@field eku? string|string[] purposes that the certificate states, all of these, by name or
--- dotted; anyExtendedKeyUsage does not stand for another
---@field credential? table<string, string|string[]> patterns of facts that the credential has, all
--- of these, as { site = "Ulm" } for what `lest credential add --set site=Ulm` made
---@field claims? table<string, string|string[]|table> likewise of request.principal.claims, nested
--- as these are: { groups = "pumps", ["kubernetes.io"] = { namespace = "plant" } }; of a list one
--- must match

--- Whether a value is as patterns: a text matches, a number or a boolean as it is written, a list
--- where one of it does.
local function is_as(patterns, value)
  if type(value) ~= "table" then return value ~= nil and glob.any(patterns, tostring(value)) end
  for _, each in ipairs(value) do
    if type(each) ~= "table" and glob.any(patterns, tostring(each)) then return true end
  end
  return false
end

--- Whether facts are as patterns of them.
local function are_as(wanted, facts)
  for name, patterns in next, wanted or {} do
    local value, is_nested = facts[name], patterns[1] == nil
    if is_nested and type(value) == "table" then
      local ok, saw = are_as(patterns, value)
      if not ok then return false, saw end
    elseif is_nested or not is_as(patterns, value) then
      return false, type(value) == "string" and value or "no such " .. name
    end
  end
  return true
end

--- A test: who is proven to ask. All that is stated must hold. In a pattern "*" stands for any
--- characters or none and "?" for one, and all of the name must match; a name that has "*" in it
--- matches none.
---@param options lest.policy.who
---@return fun(request: lest.request): boolean test
function M.principal(options)
  local wanted, problem = shapes.check("principal", options)
  if not wanted then return nil, problem end
  local anchors = wanted.anchors and list.set(wanted.anchors)
  return function(request)
    local who = request.principal
    if wanted.kind and who.kind ~= wanted.kind then return false, who.kind end
    if anchors and not (who.anchors and anchors[who.anchors]) then return false, who.anchors end
    if wanted.is_own ~= nil and who.is_own ~= wanted.is_own then return false, who.is_own end
    if wanted.name and not glob.any(wanted.name, who.name) then return false, who.name end
    if wanted.eku and not certificates.has_purposes(who.certificate, wanted.eku) then
      return false, "other purposes"
    end
    local ok, saw = are_as(wanted.credential, who.credential)
    if ok then ok, saw = are_as(wanted.claims, who.claims) end
    return ok, saw or who.name
  end
end

---@class lest.policy.keys
---@field type? string|string[] kinds as in a profile: "ec:P-256", "rsa:3072..4096", "ed25519"
---@field security_bits? integer at least: 112 is RSA with 2048 bits; 128 is RSA with 3072, P-256,
--- Ed25519
---@field reuse? boolean whether it is the key of the certificate that is renewed or shown
---@field is_known? boolean whether the ledger has a certificate with that key, whoever got it

--- A test: what the key of the CSR is. All that is stated must hold.
---@param options lest.policy.keys
---@return fun(request: lest.request): boolean test
function M.key(options)
  local wanted, problem = shapes.check("key", options)
  if not wanted then return nil, problem end
  local function is_of_type(type)
    for _, spec in ipairs(wanted.type) do
      if key_kinds.matches(spec, type) then return true end
    end
    return false
  end
  return function(request)
    local csr, bits = request.csr, wanted.security_bits
    if wanted.type and not is_of_type(csr.key_type)
      or bits and csr.public_key.security_bits < bits then
      return false, csr.key_type
    elseif wanted.reuse ~= nil and certificates.has_key_of(request, csr) ~= wanted.reuse then
      return false, wanted.reuse and "another key" or "the same key"
    elseif wanted.is_known ~= nil
      and (request.history.key.issued.count > 0) ~= wanted.is_known then
      return false, wanted.is_known and "a new key" or "a known key"
    end
    return true, csr.key_type
  end
end

--- A test: whether the client's address is in one of some networks. Behind a balancer
--- that is the client's where the address of `listen` has `proxy`, and else the balancer's.
---
---   policy.address { "10.0.0.0/8", "2001:db8::/32" }
---@param networks string|string[] in CIDR notation, or single addresses
---@return fun(request: lest.request): boolean test
function M.address(networks)
  local wanted, problem = shapes.check("address", networks)
  if not wanted then return nil, problem end
  return function(request) return network.any(wanted, request.address), request.address end
end

---@class lest.policy.hours
---@field days? string|string[] "mon-fri", { "sat", "sun" }
---@field hours? string|string[] "08:00-18:00": until before 18:00; "22:00-06:00" is over midnight

--- A test: when the request is decided, in UTC. All that is stated must hold.
---@param options lest.policy.hours
---@return fun(request: lest.request): boolean test
function M.time(options)
  local wanted, problem = shapes.check("time", options)
  if not wanted then return nil, problem end
  return function(request)
    local now, is_then = request.time, not wanted.hours
    for _, hours in ipairs(wanted.hours or {}) do
      is_then = is_then or week.is_within(hours, now)
    end
    local is_on = not wanted.days
    for _, days in ipairs(wanted.days or {}) do is_on = is_on or days[week.day(now)] == true end
    return is_then and is_on, now
  end
end

---@class lest.policy.validity
---@field left? string|integer at most so long until its end, or "30%" of its whole life
---@field expired? string|integer at most so long since its end, if that is over; absent: one that
--- has expired does not pass

--- A test: how near its end is the certificate that is renewed, or else the one that was shown. It
--- does not hold where there is none.
---@param options lest.policy.validity
---@return fun(request: lest.request): boolean test
function M.validity(options)
  local wanted, problem = shapes.check("validity", options)
  if not wanted then return nil, problem end
  return function(request)
    local cert = certificates.of(request)
    if not cert then return false, "no certificate" end
    local left, most = cert.not_after - request.time, wanted.left
    if type(most) == "table" then
      most = (cert.not_after - cert.not_before) * most.percent // 100
    end
    return left >= -(wanted.expired or 0) and (not most or left <= most), left
  end
end

return M
