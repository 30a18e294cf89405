--- Tests of a request: what is proven, what is asked for, where from and when. Each is made with
--- what it compares with, which is read when the policy is loaded, and holds or does not.
local certificates = require "lest.policy.certificates"
local glob = require "lest.policy.glob"
local key_kinds = require "lest.base.key_kinds"
local list = require "lest.base.list"
local network = require "lest.policy.network"
local shapes = require "lest.policy.shapes"
local week = require "lest.policy.week"

---@class lest.module.policy
local M = {}

---@class lest.policy.who
---@field kind? "certificate"|"basic" as request.principal.kind
---@field anchors? string|string[] one of these names of the configuration's anchors vouches
---@field name? string|string[] a pattern of the name, or several
---@field is_own? boolean whether this server issued the certificate
---@field eku? string|string[] purposes that the certificate states, all of these, by name or
--- dotted; anyExtendedKeyUsage does not stand for another

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
    return (not wanted.kind or who.kind == wanted.kind)
      and (not anchors or who.anchors ~= nil and anchors[who.anchors] == true)
      and (wanted.is_own == nil or who.is_own == wanted.is_own)
      and (not wanted.name or glob.any(wanted.name, who.name))
      and (not wanted.eku or certificates.has_purposes(who.certificate, wanted.eku))
  end
end

---@class lest.policy.wish
---@field CN? string|string[] patterns of the values of that attribute of the subject, as those of
--- policy.principal
---@field O? string|string[] as `CN`
---@field OU? string|string[] as `CN`
---@field C? string|string[] as `CN`
---@field ST? string|string[] as `CN`
---@field L? string|string[] as `CN`
---@field street? string|string[] as `CN`
---@field title? string|string[] as `CN`
---@field DC? string|string[] as `CN`
---@field UID? string|string[] as `CN`
---@field serialNumber? string|string[] as `CN`
---@field emailAddress? string|string[] as `CN`
---@field san? string|string[] patterns of alternative names, "DNS:*.example.com"

--- A test: whether the CSR asks for such names and no others. Every name in it must match a pattern
--- that is stated for its kind, and the subject must have each attribute that is stated. A CSR
--- without names, and one that asks for a change of names, does not pass. It proves nothing: what
--- is asked for is a claim.
---@param options lest.policy.wish
---@return fun(request: lest.request): boolean test
function M.asks_for(options)
  local wanted, problem = shapes.check("asks_for", options)
  if not wanted then return nil, problem end
  return function(request)
    local csr = request.csr
    if csr.change then return false end
    local subject, san, seen = csr.subject, csr.san, {}
    for _, pair in ipairs(subject) do
      local patterns = wanted[pair[1]]
      if not patterns or pair.der or not glob.any(patterns, pair[2]) then return false end
      seen[pair[1]] = true
    end
    for attribute in next, wanted do
      if attribute ~= "san" and not seen[attribute] then return false end
    end
    for _, name in ipairs(san) do
      if not wanted.san or not glob.any(wanted.san, shapes.folded(name)) then return false end
    end
    return #subject + #san > 0
  end
end

---@class lest.policy.keys
---@field type? string|string[] kinds as in a profile: "ec:P-256", "rsa:3072..4096", "ed25519"
---@field security_bits? integer at least: 112 is RSA with 2048 bits; 128 is RSA with 3072, P-256,
--- Ed25519
---@field reuse? boolean whether it is the key of the certificate that is renewed or shown

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
    return (not wanted.type or is_of_type(csr.key_type))
      and (not bits or csr.public_key.security_bits >= bits)
      and (wanted.reuse == nil or certificates.has_key_of(request, csr) == wanted.reuse)
  end
end

--- A test: whether the client's address is in one of some networks. Behind a proxy that is the
--- proxy's.
---
---   policy.address { "10.0.0.0/8", "2001:db8::/32" }
---@param networks string|string[] in CIDR notation, or single addresses
---@return fun(request: lest.request): boolean test
function M.address(networks)
  local wanted, problem = shapes.check("address", networks)
  if not wanted then return nil, problem end
  return function(request) return network.any(wanted, request.address) end
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
    return is_then and is_on
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
    if not cert then return false end
    local left, most = cert.not_after - request.time, wanted.left
    if type(most) == "table" then
      most = (cert.not_after - cert.not_before) * most.percent // 100
    end
    return left >= -(wanted.expired or 0) and (not most or left <= most)
  end
end

return M
