--- What a server starts with all the same, and an operator should know before a device does:
--- certificates and CRLs that have expired or end soon, a CA that no anchor reaches, keys that
--- others can read, profiles that are gone. Each is a warning in the log, at the start and of
--- --check, with the key of the configuration that it is about; and again each day, since what ends
--- soon at one time did not at another.
local chain = require "lest.server.config.chain"
local clock = require "lest.server.authority.clock"
local core = require "lest.core"
local duration = require "lest.duration"
local list = require "lest.base.list"
local rollover = require "lest.base.rollover"
local validity = require "lest.validity"

local M = {}

local DAY_S <const> = 86400

-- The most warnings about one file: a bundle of the world's CAs always has some that are over.
local MOST <const> = 8

local OTHERS_READ <const>, OTHERS_WRITE <const> = 4, 2 -- bits of a file's mode

local function warn(key, message, ...)
  core.log.write("warning", "configuration",
    { "key", key, "message", select("#", ...) > 0 and message:format(...) or message })
end

--- What is wrong with a certificate, a sentence each: flaws of its maker too, which are tolerated.
local function faults_of(cert, now)
  local subject, faults = tostring(cert.subject), {}
  local fault = validity.fault(cert.not_before, cert.not_after, now)
  if fault then table.insert(faults, ("the certificate of %s %s"):format(subject, fault)) end
  for _, flaw in ipairs(cert.flaws) do
    table.insert(faults, ("the certificate of %s: %s"):format(subject, flaw))
  end
  return faults
end

--- `told` has what was looked at: a CA is an anchor as often as not.
local function doubt_certs(key, certs, told, now)
  local count = 0
  for _, cert in ipairs(certs) do
    local der = cert:der()
    for _, fault in ipairs(told[der] and {} or faults_of(cert, now)) do
      count = count + 1
      if count <= MOST then warn(key, fault) end
    end
    told[der] = true
  end
  if count > MOST then warn(key, "and %d more about its certificates", count - MOST) end
end

--- A CRL that does not do what it is there for: it refuses nobody, or everybody.
local function doubt_crl(key, crl, certs, now)
  local issuer = tostring(crl.issuer)
  local known = false
  for _, cert in ipairs(certs) do known = known or crl:verify(cert) end
  if not known then
    warn(key, "the CRL is of %s, whose certificate is neither among the anchors nor a CA's of this "
      .. "server: it counts only where a client sends that along", issuer)
  end
  local fault = validity.fault(crl.this_update, crl.next_update, now)
  if not fault then return end
  local over = now < crl.this_update or now > crl.next_update
  warn(key, "the CRL of %s %s%s", issuer, fault, over and ": clients of it are refused" or "")
end

--- A key or passphrase that anybody on this machine can read.
local function doubt_secrets(key, identity)
  for _, field in ipairs { "key", "passphrase_file", "password_file", "bearer_file",
    "auth_key_file" } do
    local file = identity[field]
    if file and file:find "^/" then -- and no URI
      local there, mode = core.system.exists(core.file.resolve(file) or file)
      if there and mode & OTHERS_READ ~= 0 then
        warn(("%s.%s"):format(key, field), "others can read %s (its mode is %03o)", file, mode)
      end
    end
  end
end

--- A root that changes, where clients could not follow from one generation to the other.
local function doubt_rollover(key, certs)
  for _, sentence in ipairs(rollover.missing(certs)) do
    warn(key, "%s: clients that know one of them alone cannot follow (RFC 4210 4.4)", sentence)
  end
  for _, cert in ipairs(rollover.links(certs)) do
    local fault = rollover.fault(cert, certs)
    if fault then warn(key, "the link %s %s (RFC 4210 4.4)", tostring(cert.subject), fault) end
  end
end

--- A CA that ends before what a label lets it issue: certificates then end with it.
local function doubt_lifetimes(config, cas, now)
  local told = {}
  for _, label_name in ipairs(list.sorted_keys(config.labels)) do
    local label = config.labels[label_name]
    local ca = cas[label.ca or ""]
    for _, name in ipairs(label.profiles) do
      local lifetime, which = config.profiles[name].lifetime, name .. "\0" .. (label.ca or "")
      if not told[which] and now <= ca.not_after and ca.not_after - now < lifetime then
        warn(("profiles.%s.lifetime"):format(name), "it is %s, and the CA %s ends before that, "
          .. "at %s: certificates end with it", duration.format(lifetime), tostring(ca.subject),
          clock.text(ca.not_after))
      end
      told[which] = true
    end
  end
end

--- Whether any label that renews what another issues, by a certificate, has an anchor that reaches
--- the CA; nil where none renews by one.
local function is_reached(authority, name, ca)
  local reached
  for _, label in pairs(authority.config.labels) do
    if label.accepts.certificate and list.has(label.renews, name) then
      reached = reached or false
      for _, anchor in ipairs(label.anchors) do
        reached = reached or authority.anchors[anchor].store:verify(ca) ~= nil
      end
    end
  end
  return reached
end

local function doubt_reach(authority, cas, now)
  for _, name in ipairs(list.sorted_keys(authority.config.labels)) do
    local label = authority.config.labels[name]
    local ca = cas[label.ca or ""]
    local is_valid = now >= ca.not_before and now <= ca.not_after
    if is_valid and is_reached(authority, name, ca) == false then
      warn("labels." .. name, "no anchor of a label that renews its certificates reaches the CA "
        .. "%s, not with all of `chain`: none of them can be renewed", tostring(ca.subject))
    end
  end
end

--- Whether one of a label's anchors vouches for a CA that is none of the server's, or for one that
--- gives first certificates at another label.
local function has_source(label, anchors, cas, gives)
  for _, name in ipairs(label.anchors) do
    for _, cert in ipairs(anchors[name] or {}) do
      local is_own = false
      for ca_name, own in pairs(cas) do
        if own == cert then
          is_own = true
          if gives[ca_name] then return true end
        end
      end
      if not is_own then return true end
    end
  end
  return false
end

--- A label that asks for a certificate which nobody can have first: its anchors are CAs of this
--- server, and all who could get one of them must have one.
local function doubt_first(config, anchors, cas)
  local gives, closed, changed = {}, {}, true
  for name in pairs(config.labels) do closed[name] = true end
  while changed do
    changed = false
    for name in pairs(closed) do
      local label = config.labels[name]
      if label.without_certificate or has_source(label, anchors, cas, gives) then
        closed[name], gives[label.ca or ""], changed = nil, true, true
        break
      end
    end
  end
  for _, name in ipairs(list.sorted_keys(closed)) do
    warn("labels." .. name, "it takes certificates alone, and its anchors are CAs of this server "
      .. "that give none to who has none: nobody new can enroll. Add \"basic\" to `auth`, or an "
      .. "anchor")
  end
end

--- An address of plain HTTP that no certificate names, or where nobody can be sent.
local function doubt_public(config, base)
  if config.listen_http[1] and not base then
    warn("listen_http", "certificates do not name it: its port is 0, or the server's certificate "
      .. "has no host. Say `public_url = \"http://HOST:PORT\"`")
  elseif base and (base:find "^http://localhost%f[:/%z]" or base:find "^http://127%."
    or base:find "^http://%[::1%]") then
    warn("public_url", "certificates would name %s, which is each reader's own machine", base)
  end
end

---@class lest.authority.doubts
---@field authority lest.authority
---@field anchors table<string, lest.cert[]>
---@field read { [1]: string, [2]: lest.cert[], is_ca?: boolean }[] the certificates, by the key of
--- each file
---@field tls lest.cert[] the server's, which may be among the others, and is named all the same
---@field crls lest.crl[]
---@field known lest.cert[] what may have signed a CRL
---@field day integer when it was told last, since 1970
local Doubts = {}
Doubts.__index = Doubts

--- Read what there is to doubt, as whoever started.
---@param authority lest.authority with its issuers and anchors
---@param anchors table<string, lest.cert[]>
---@param crls lest.crl[]
---@return lest.authority.doubts
function M.new(authority, anchors, crls)
  local config, read, known = authority.config, {}, {}
  for _, each in ipairs(chain.cas(config)) do
    table.insert(read, { each[1], chain.load(each[1], each[2]) or {}, is_ca = true })
  end
  for _, name in ipairs(list.sorted_keys(anchors)) do
    table.insert(read, { "anchors." .. name, anchors[name] })
  end
  for _, each in ipairs(read) do table.move(each[2], 1, #each[2], #known + 1, known) end
  -- The worker, which is served by these, says what keeps it from starting.
  return setmetatable({ authority = authority, anchors = anchors, read = read, crls = crls,
    known = known, tls = config.tls and config.tls.cert and core.cert.load_all(config.tls.cert)
      or {} }, Doubts)
end

--- Say what is wrong by the clock, and with how the certificates belong together.
function Doubts:tell()
  local authority, told, cas = self.authority, {}, {}
  local config, now = authority.config, authority.clock()
  self.day = now // DAY_S
  for name, issuer in pairs(authority.issuers) do cas[name] = issuer.cert end
  for _, each in ipairs(self.read) do
    doubt_certs(each[1], each[2], told, now)
    if each.is_ca then doubt_rollover(each[1] .. ".chain", each[2]) end
  end
  doubt_certs("tls.cert", self.tls, {}, now)
  for i, crl in ipairs(self.crls) do doubt_crl(config.crls[i], crl, self.known, now) end
  doubt_lifetimes(config, cas, now)
  doubt_reach(authority, cas, now)
  doubt_first(config, self.anchors, cas)
  doubt_public(config, authority.public_url)
end

--- Say which keys others can read, as whoever started.
---@param config table
function M.tell_secrets(config)
  for _, each in ipairs(chain.cas(config)) do
    local where, ca = table.unpack(each)
    doubt_secrets(where, ca)
    if ca.identity then doubt_secrets(where .. ".identity", ca.identity) end
  end
  if config.tls and config.tls.key then doubt_secrets("tls", config.tls) end
end

--- A file of keys that others can write: they can be anybody to the label.
---@param label string
---@param file string
function M.tell_jwks(label, file)
  local there, mode = core.system.exists(core.file.resolve(file) or file)
  if there and mode & OTHERS_WRITE ~= 0 then
    warn(("labels.%s.bearer.jwks"):format(label), "others can write %s (its mode is %03o)", file,
      mode)
  end
end

--- Digest credentials that were added for a realm which no label asks in any more.
local function doubt_realms(config, first)
  local asked = {}
  for _, label in pairs(config.labels) do
    if label.accepts.digest then asked[label.realm] = true end
  end
  local row = first("credential_realm_next", { after = "" })
  while row do
    if not asked[row.realm] then
      warn("labels", "the ledger has Digest credentials of the realm '%s', in which no label asks: "
        .. "they are good for nothing", row.realm)
    end
    row = first("credential_realm_next", { after = row.salt })
  end
end

--- Look at what the ledger names that the configuration has not: profiles of certificates that may
--- still be renewed, and realms.
---@param authority lest.authority
---@param ledger lest.ledger it need not be one that can be written
function M.tell_ledger(authority, ledger)
  local function first(statement, parameters)
    local rows = ledger:rows(statement, parameters)
    return rows and rows[1]
  end
  local now, row = authority.clock(), first("certificate_profile_next", { after = "" })
  while row do
    local name = row.profile
    if not authority.config.profiles[name]
      and first("certificate_profile_live", { profile = name, now = now }) then
      warn("profiles." .. name, "it is gone, and valid certificates have it: they are renewed by "
        .. "the profile of the label")
    end
    row = first("certificate_profile_next", { after = name })
  end
  doubt_realms(authority.config, first)
end

--- Say all but the secrets' again where another day has begun: call it now and then.
---@param ledger lest.ledger
function Doubts:tell_daily(ledger)
  if self.authority.clock() // DAY_S == self.day then return end
  self:tell()
  M.tell_ledger(self.authority, ledger)
end

return M
