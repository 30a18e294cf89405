--- Why a certificate does not verify, as sentences: each path that was tried, what speaks against
--- each certificate of it, and what to do.
---
---   local why = assert(cert:explain(store, { purpose = "server", name = "est.example.com" }))
---   if not why.ok then print(why) end
---
--- store:verify alone says what is trusted; the paths are for people (csrc/pki/x509/explain.c).
local clock = require "lest.base.clock"
local core = require "lest.core"
local duration = require "lest.duration"
local fail = require "lest.base.fail"
local terminal = require "lest.base.terminal"

local M = {}

--- Texts of strangers are cut, lists of their names too.
local TEXT_MAX <const>, NAMES_MAX <const> = 160, 8

---@alias lest.explanation.code "expired"|"not_yet_valid"|"issuer_unknown"|"root_unknown"
---|"too_long"|"key_id"|"signature"|"key_usage"|"not_a_ca"|"path_length"|"name_constraints"
---|"purpose"|"weak_key"|"weak_digest"|"revoked"|"crl_missing"|"crl_expired"
---|"crl_not_yet_valid"|"crl_signature"|"critical_extension"|"name"|"other"

---@class lest.explanation.fault
---@field code lest.explanation.code what is wrong
---@field depth integer of the certificate: 0 is the leaf
---@field cert lest.cert the certificate
---@field text string what is wrong, as a sentence about it
---@field advice string? what to do
---@field misses lest.explanation.miss[]? of issuer_unknown and root_unknown: what has the name

---@class lest.explanation.miss
---@field cert lest.cert it has the name that the issuer must have
---@field is_anchor boolean it is trusted
---@field code lest.explanation.code why it is not the issuer
---@field text string as a sentence about it

---@class lest.explanation.path
---@field chain lest.cert[] leaf first; the key of each has signed the one before
---@field is_anchored boolean its last certificate is trusted
---@field faults lest.explanation.fault[] leaf first

---@class lest.explanation
---@field ok boolean the certificate verifies, and has the name
---@field cert lest.cert the certificate
---@field chain lest.cert[]? the one that verifies, leaf first
---@field error lest.error? what store:verify says
---@field paths lest.explanation.path[] where it is not ok, all that were tried: the nearest to a
--- good one first
---@field is_cut boolean a bound ended the search: there may be more paths
local Explanation = { __name = "lest.explanation" }
Explanation.__index = Explanation

local function words(text)
  return terminal.line(tostring(text), TEXT_MAX)
end

local function name_of(name)
  local text = tostring(name)
  return text == "" and "(no subject)" or words(text)
end

local function listed(names)
  local list = {}
  for i = 1, math.min(#names, NAMES_MAX) do list[i] = words(names[i]) end
  if #names > NAMES_MAX then list[#list + 1] = ("%d more"):format(#names - NAMES_MAX) end
  return #list > 0 and table.concat(list, ", ") or "none"
end

local function ago(seconds, now)
  local span = duration.format(math.abs(now - seconds))
  return ("%s, %s"):format(clock.text(seconds), seconds <= now and span .. " ago" or "in " .. span)
end

local PURPOSES <const> = { client = "clientAuth", server = "serverAuth" }

local function purpose_text(cert, fault, given)
  local wanted = PURPOSES[given.purpose] or "this purpose"
  for _, eku in ipairs(cert.eku) do
    if eku == wanted then
      return ("its key usage (%s) does not allow %s"):format(listed(cert.key_usage), wanted)
    end
  end
  return ("its extended key usage allows %s, not %s%s"):format(listed(cert.eku), wanted,
    fault.depth > 0 and " below it" or "")
end

local function bounds_above(chain, depth)
  local texts = {}
  for above = depth + 2, #chain do
    for _, extension in ipairs(chain[above].extensions) do
      if extension.oid == "2.5.29.30" then
        texts[#texts + 1] = ("%s (%s)"):format(name_of(chain[above].subject),
          words(core.show.extension(extension.oid, extension.value) or "unreadable"))
      end
    end
  end
  return listed(texts)
end

local function constraints_text(cert, fault, _, chain)
  local names = table.move(cert.san, 1, #cert.san, 2, { cert.subject })
  return ("a name of it (%s) is not allowed by %s"):format(listed(names),
    bounds_above(chain, fault.depth))
end

local function critical(cert)
  local oids = {}
  for _, extension in ipairs(cert.extensions) do
    if extension.critical and not extension.name then oids[#oids + 1] = extension.oid end
  end
  return listed(oids)
end

local function issuer(cert)
  return name_of(cert.issuer)
end

--- Of each code: what is wrong with a certificate, and what to do.
local SAYS <const> = {
  expired = {
    function(cert, _, given) return "it expired on " .. ago(cert.not_after, given.at) end,
    "get a new one from its CA, or set the clock where it is behind or ahead" },
  not_yet_valid = {
    function(cert, _, given) return "it begins on " .. ago(cert.not_before, given.at) end,
    "wait, or set the clock" },
  issuer_unknown = {
    function(cert) return ("its issuer %s is not at hand"):format(issuer(cert)) end,
    "add the issuer's certificate: to the chain, or to the anchors if it is to be trusted" },
  root_unknown = {
    function() return "it is self-signed, and not among the anchors" end,
    "add it to the anchors, if its fingerprint is the one that its CA tells" },
  too_long = {
    function() return "the path goes on, and is too long" end, "send a shorter chain" },
  not_a_ca = {
    function(_, fault, _, chain)
      local below = chain[fault.depth]
      return "it is no CA" .. (below and ", and has signed " .. name_of(below.subject) or "")
    end,
    "the certificate below it is worth nothing: get one from a CA" },
  key_usage = {
    function(cert) return ("its key usage is %s"):format(listed(cert.key_usage)) end },
  path_length = {
    function(cert, fault)
      return ("it allows %s CAs below it, and there are %d"):format(cert.path_len or "no",
        fault.depth - 1)
    end,
    "the CA needs a larger pathLen, or fewer CAs below it" },
  name_constraints = { constraints_text,
    "ask for other names, or another CA" },
  purpose = { purpose_text, "get one with that extended key usage" },
  weak_key = {
    function(cert)
      local key = cert.public_key
      return ("its key is too weak: %s, %d bits of security"):format(words(key.type),
        key.security_bits)
    end,
    "get one with a key of 112 bits of security or more: ec:P-256, rsa:3072" },
  weak_digest = {
    function(cert)
      return ("its signature is too weak: %s"):format(words(cert.signature_algorithm))
    end,
    "have it signed again with SHA-256 or better" },
  revoked = {
    function(_, fault, given)
      return "it was revoked" .. (fault.at and " on " .. ago(fault.at, given.at) or "")
    end,
    "get a new one, with a new key" },
  crl_missing = {
    function(cert)
      return ("there is no CRL of its issuer %s, and one is required"):format(issuer(cert))
    end,
    "fetch that CRL" },
  crl_expired = {
    function(cert, fault, given)
      return ("the CRL of its issuer %s is over%s"):format(issuer(cert),
        fault.at and " since " .. ago(fault.at, given.at) or "")
    end,
    "fetch the newest CRL" },
  crl_not_yet_valid = {
    function(cert, fault, given)
      return ("the CRL of its issuer %s is not yet valid%s"):format(issuer(cert),
        fault.at and ": from " .. ago(fault.at, given.at) or "")
    end,
    "wait, or set the clock" },
  crl_signature = {
    function(cert)
      return ("the CRL of its issuer %s was signed by another key"):format(issuer(cert))
    end,
    "fetch the CRL from the CA itself; after a change of its key it has one for each" },
  critical_extension = {
    function(cert)
      return ("it has a critical extension that is not understood: %s"):format(critical(cert))
    end },
  name = {
    function(cert, _, given)
      return ("it is not for %s; %s"):format(words(given.name), #cert.san > 0
        and "its names are " .. listed(cert.san) or "it has no alternative names")
    end,
    "use one of its names, or get one with that name" },
}

local function describe(fault, given, chain)
  local cert = chain[fault.depth + 1]
  local says = SAYS[fault.code] or {}
  return { code = fault.code, depth = fault.depth, cert = cert, misses = fault.misses,
    text = says[1] and says[1](cert, fault, given, chain) or words(fault.reason),
    advice = says[2] }
end

local function miss_text(miss, wanted)
  local what = miss.is_anchor and "an anchor of that name " or "a certificate of that name "
  if miss.code == "key_id" then
    return what .. ("has another key: its key id is %s, that of the issuer %s")
      :format(miss.cert.ski or "not given", wanted.aki or "not given")
  elseif miss.code == "signature" then
    return what .. "did not sign it: the signature does not fit its key"
  elseif miss.code == "key_usage" then
    return what .. ("may not sign certificates: its key usage is %s")
      :format(listed(miss.cert.key_usage))
  end
  return what .. "is not the issuer: " .. words(miss.reason)
end

-- The end of a path as the last fault of its last certificate.
local function ending_of(try)
  if try.ending == "anchor" then return nil end
  local misses, last = {}, try.chain[#try.chain]
  for i, miss in ipairs(try.misses) do
    misses[i] = { cert = miss.cert, is_anchor = miss.is_anchor, code = miss.code,
      text = miss_text(miss, last) }
  end
  return { code = try.ending, depth = #try.chain - 1, misses = misses }
end

local function path_of(try, given, matches)
  local found = try.faults
  found[#found + 1] = ending_of(try)
  if not matches then found[#found + 1] = { code = "name", depth = 0 } end
  local faults = {}
  for i, fault in ipairs(found) do
    fault.order = i
    -- OpenSSL may fault what is above the path's end.
    fault.depth = math.max(0, math.min(fault.depth, #try.chain - 1))
  end
  table.sort(found, function(a, b)
    if a.depth ~= b.depth then return a.depth < b.depth end
    return a.order < b.order
  end)
  for i, fault in ipairs(found) do faults[i] = describe(fault, given, try.chain) end
  return { chain = try.chain, is_anchored = try.ending == "anchor", faults = faults }
end

local function sort(paths)
  for i, path in ipairs(paths) do path.order = i end
  table.sort(paths, function(a, b)
    if a.is_anchored ~= b.is_anchored then return a.is_anchored end
    if #a.faults ~= #b.faults then return #a.faults < #b.faults end
    return a.order < b.order
  end)
  for _, path in ipairs(paths) do path.order = nil end
end

local KNOWN <const> = { at = "number", purpose = "string", name = "string", chain = "table",
  crl_required = "boolean" }

local function check(options)
  for key, value in pairs(options) do
    if not KNOWN[key] then error(("explain: unknown option '%s'"):format(tostring(key)), 4) end
    if type(value) ~= KNOWN[key] then
      error(("explain: %s is a %s, not a %s"):format(key, type(value), KNOWN[key]), 4)
    end
  end
end

---@class lest.explanation.options
---@field at? integer seconds since 1970; now if absent
---@field purpose? "client"|"server"|"any" "any" if absent
---@field name? string the host name or address that it is to be for
---@field chain? lest.cert[] what may stand between; the certificate's own chain if absent
---@field crl_required? boolean each certificate but the anchor needs a CRL of its issuer

--- Explain why a certificate does not verify against a store, or that it does: cert:explain(store).
---@param cert lest.cert
---@param store lest.store
---@param options? lest.explanation.options
---@return lest.explanation?
---@return lest.error? err where there was no memory, or too much to look at
function M.of(cert, store, options)
  options = options or {}
  check(options)
  local how = { untrusted = options.chain, at = options.at or core.clock.wall_us() // 1000000,
    purpose = options.purpose, crl_required = options.crl_required }
  local given = { at = how.at, purpose = how.purpose, name = options.name }
  local self = setmetatable({ cert = cert, paths = {}, is_cut = false }, Explanation)
  local matches = not options.name or cert:matches_host(options.name)
  self.chain, self.error = store:verify(cert, how)
  if self.error and self.error.code ~= "cert_untrusted" then return nil, self.error end
  self.ok = self.chain ~= nil and matches
  if self.ok then return self end
  if self.chain then
    local only = { chain = self.chain, ending = "anchor", faults = {}, misses = {} }
    self.paths[1] = path_of(only, given, matches)
    self.error = select(2, fail("cert_untrusted", ("certificate %s: %s"):format(
      name_of(cert.subject), self.paths[1].faults[1].text)))
    return self
  end
  local tries, err = store:tries(cert, how)
  if not tries then return nil, err end
  for i, try in ipairs(tries) do self.paths[i] = path_of(try, given, matches) end
  sort(self.paths)
  self.is_cut = tries.cut
  return self
end

local function route(chain, is_anchored)
  local names = {}
  for i, cert in ipairs(chain) do names[i] = name_of(cert.subject) end
  return table.concat(names, "  <-  ") .. (is_anchored and " (anchor)" or "  <-  ?")
end

local function add_path(lines, path)
  for _, fault in ipairs(path.faults) do
    lines[#lines + 1] = ("    %s: %s"):format(name_of(fault.cert.subject), fault.text)
    for _, miss in ipairs(fault.misses or {}) do lines[#lines + 1] = "      " .. miss.text end
    if fault.advice then lines[#lines + 1] = "      -> " .. fault.advice end
  end
end

function Explanation:__tostring()
  local name = name_of(self.cert.subject)
  if self.ok then
    return ("%s is trusted:\n  %s"):format(name, route(self.chain, true))
  end
  local lines, explained = { name .. " is not trusted" }, false
  for i, path in ipairs(self.paths) do
    lines[#lines + 1] = ("  path %d: %s"):format(i, route(path.chain, path.is_anchored))
    add_path(lines, path)
    explained = explained or #path.faults > 0
  end
  if not explained then lines[#lines + 1] = "  " .. words(self.error.message) end
  if self.is_cut then lines[#lines + 1] = "  There may be more paths: the search was ended." end
  return table.concat(lines, "\n")
end

return M
