--- Whom a client trusts, and what it learns from /cacerts (RFC 7030 4.1).
---
--- Explicit anchors switch the system's off. What comes in /cacerts is trusted as far as it chains
--- to an anchor; a new root is, if a certificate of the bag carries its key under an anchor
--- (NewWithOld, RFC 4210 4.4), or if the root before it has announced its key (RFC 8649). Where
--- only the system's anchors vouched for the server, or the user
--- says so, the newest root of the first bag is taken on the word of the connection (RFC 7030
--- 4.1.3).
local core = require "lest.core"
local fail = require "lest.base.fail"
local list = require "lest.base.list"
local rollover = require "lest.base.rollover"

local M = {}

local is_root <const> = rollover.is_root

---@class lest.client.trust
---@field kind "explicit"|"system"
---@field stores lest.store[] what issued certificates may chain to
---@field store lest.store? for TLS
---@field bag lest.cert[] verified certificates of /cacerts
---@field take_root boolean
local Trust = { __name = "lest.client.trust" }
Trust.__index = Trust


-- The store of each file of anchors, by the file's text: a script that simulates a fleet has
-- thousands of clients and one file. A store does not change once it is made.
local of_text <const> = setmetatable({}, { __mode = "v" })
-- The anchors of each.
local anchors_of <const> = setmetatable({}, { __mode = "k" })
local FILE_MAX <const> = 4 * 1024 * 1024

local function store_of(anchors)
  local store, err = core.store.new { anchors = anchors }
  if store then anchors_of[store] = anchors end
  return store, err
end

local function store_of_file(path)
  local text, err = core.file.read(path, FILE_MAX)
  if not text then return nil, err end
  if of_text[text] then return of_text[text] end
  local certs, store
  certs, err = core.cert.parse_all(text)
  if certs then store, err = store_of(certs) end
  if not store then
    err.message = path .. ": " .. err.message
    return fail("config", "the trust anchors cannot be read", { cause = err })
  end
  of_text[text] = store
  return store
end

---@param source string|lest.store|lest.cert|lest.cert[] "system", a file, anchors
---@param take_root? boolean the newest root of /cacerts becomes an anchor for certificates
---@return lest.client.trust?
---@return lest.error? err
function M.open(source, take_root)
  local self = { kind = "explicit", stores = {}, bag = {}, take_root = take_root }
  setmetatable(self, Trust)
  local err
  if source == "system" then
    self.kind, self.take_root = "system", true
    return self
  elseif type(source) == "string" then
    source, err = store_of_file(source)
    if not source then return nil, err end
  elseif type(source) == "userdata" and tostring(source):find "^lest%.cert" then
    source = { source }
  end
  if type(source) == "table" then
    if #source == 0 then return fail("usage", "there are no trust anchors") end
    self.store, err = store_of(source)
    if not self.store then return nil, err end
  else
    self.store = source
  end
  self.stores = { self.store }
  return self
end

--- Of a server that proves to have a key of the client's: it may say which anchors are EST's, and
--- nothing else vouches for them (RFC 7030 3.6, 4.1.1).
---@return lest.client.trust
function M.of_connection()
  return setmetatable({ kind = "explicit", stores = {}, bag = {}, take_root = true }, Trust)
end

--- For core.http_client.new.
---@return table
function Trust:tls()
  return self.kind == "system" and { system = true } or { store = self.store }
end

local function verify(stores, cert, untrusted)
  local chain, err
  for _, store in ipairs(stores) do
    chain, err = store:verify(cert, { untrusted = untrusted })
    if chain then return chain, store end
  end
  return nil, err
end

-- For each store, by fingerprint, which of its anchors are self-signed: that costs the verification
-- of a signature, and every device of a fleet has the same anchor.
local self_signed <const> = setmetatable({}, { __mode = "k" })

local function anchor_is_root(store, anchor)
  local known = self_signed[store] or {}
  self_signed[store] = known
  local fingerprint = anchor.fingerprint
  if known[fingerprint] == nil then known[fingerprint] = anchor.self_signed end
  return known[fingerprint]
end

--- Verify an issued certificate now.
---@param cert lest.cert
---@param others? lest.cert[] that came with it
---@return lest.cert[]? chain leaf first, anchor last
---@return boolean|lest.error rooted the anchor is a root, not an intermediate; or the error
function Trust:verify(cert, others)
  local untrusted = table.move(self.bag, 1, #self.bag, #(others or {}) + 1,
    table.move(others or {}, 1, #(others or {}), 1, {}))
  if #self.stores == 0 then
    return fail("cert_untrusted", "there is no trust anchor yet to verify the certificate with")
  end
  local chain, found = verify(self.stores, cert, untrusted)
  if not chain then return nil, found end
  return chain, anchor_is_root(found, chain[#chain])
end

local function unique(certs)
  local seen, found = {}, {}
  for _, cert in ipairs(certs) do
    local fingerprint = cert.fingerprint
    if not seen[fingerprint] then
      seen[fingerprint] = true
      found[#found + 1] = cert
    end
  end
  return found
end

local function newest(roots)
  local best
  for _, root in ipairs(roots) do
    if not best or root.not_after > best.not_after then best = root end
  end
  return best
end

local function roots_of(certs)
  local roots = {}
  for _, cert in ipairs(certs) do
    if is_root(cert) then roots[#roots + 1] = cert end
  end
  return roots
end

-- Roots that are not anchors, but whose key a verified certificate of the bag carries.
local function linked_roots(bag, verified)
  local roots = {}
  for _, root in ipairs(bag) do
    if is_root(root) and not verified[root.fingerprint] then
      for _, cert in ipairs(bag) do
        local link = verified[cert.fingerprint] and not cert.self_signed and cert.is_ca
          and cert.public_key.der == root.public_key.der
          and core.name.equal(cert.subject_der, root.subject_der)
        -- The root itself must hold now, too.
        if link and store_of({ root }):verify(root, { untrusted = {} }) then
          roots[#roots + 1] = root
          break
        end
      end
    end
  end
  return roots
end

-- RFC 8649 3: what a root has announced of the next one's key, with SHA-256. Of its two encodings
-- one has the algorithm's parameters, NULL.
local HASH_OF_ROOT_KEY <const> = "1.3.6.1.4.1.51483.2.1"
local SHA256 <const> = "\6\9\x60\x86\x48\x01\x65\x03\x04\x02\x01"

local function announces(root, key)
  local hash = core.secret.sha256(key):gsub("%x%x", function(digits)
    return string.char(tonumber(digits, 16))
  end)
  for _, extension in ipairs(root.extensions) do
    if extension.oid == HASH_OF_ROOT_KEY then
      local value = extension.value
      return value == "\x30\x2f\x30\x0b" .. SHA256 .. "\x04\x20" .. hash
        or value == "\x30\x31\x30\x0d" .. SHA256 .. "\x05\x00\x04\x20" .. hash
    end
  end
  return false
end

-- Roots that are not anchors, but whose key an anchor has announced, or a root that so became one.
local function announced_roots(bag, verified, stores)
  local left, known, roots = {}, {}, {}
  for _, cert in ipairs(bag) do
    if not verified[cert.fingerprint] and is_root(cert) then left[#left + 1] = cert end
  end
  for _, store in ipairs(#left > 0 and stores or {}) do
    for _, anchor in ipairs(anchors_of[store] or {}) do known[#known + 1] = anchor end
  end
  local i = 1
  while known[i] do
    for k = #left, 1, -1 do
      local root = left[k]
      if announces(known[i], root.public_key.der) and is_root(known[i])
        and store_of({ root }):verify(root, { untrusted = {} }) then
        roots[#roots + 1], known[#known + 1] = root, root
        table.remove(left, k)
      end
    end
    i = i + 1
  end
  return roots
end

-- Which of the bag chain to the stores: fingerprints of the good, reasons for the others.
local function sift(stores, bag)
  local verified, problems = {}, {}
  for _, cert in ipairs(bag) do
    local chain, err = verify(stores, cert, bag)
    verified[cert.fingerprint] = chain ~= nil or nil
    problems[cert.fingerprint] = not chain and err or nil
  end
  return verified, problems
end

local function by_age(a, b)
  if is_root(a) ~= is_root(b) then return is_root(a) end
  if a.not_after ~= b.not_after then return a.not_after > b.not_after end
  return a.fingerprint < b.fingerprint
end

---@class lest.cacerts
---@field [integer] lest.cert verified: roots first, the newest first
---@field root lest.cert? the newest root
---@field untrusted { cert: lest.cert, err: lest.error }[] what the bag held besides

--- Learn from the certificates of /cacerts, in any order.
---@param certs lest.cert[]
---@return lest.cacerts?
---@return lest.error? err nothing is learnt then
function Trust:learn(certs)
  local bag = unique(certs)
  local stores = table.move(self.stores, 1, #self.stores, 1, {})
  local verified, problems = sift(stores, bag)
  local added = linked_roots(bag, verified)
  for _, root in ipairs(announced_roots(bag, verified, self.stores)) do
    if not list.has(added, root) then added[#added + 1] = root end
  end
  local linked = #added > 0
  if self.take_root and #self.bag == 0 then
    local root = newest(roots_of(bag))
    if root and not verified[root.fingerprint] then added[#added + 1] = root end
  end
  if #added > 0 then
    local store, err = store_of(added)
    if not store then return nil, err end
    stores[#stores + 1] = store
    verified, problems = sift(stores, bag)
  end
  local result = { untrusted = {} }
  for _, cert in ipairs(bag) do
    if verified[cert.fingerprint] then
      result[#result + 1] = cert
    else
      table.insert(result.untrusted, { cert = cert, err = problems[cert.fingerprint] })
    end
  end
  if #result == 0 then
    local first = result.untrusted[1]
    return fail("trust", #bag == 0 and "the server has no CA certificates"
      or "none of the server's CA certificates chains to a trust anchor",
      { cause = first and first.err })
  end
  table.sort(result, by_age)
  -- A root that a link or an announcement led to is newer than the anchors, whatever the dates say.
  result.root = newest(linked and added or roots_of(result))
  self.stores, self.bag = stores, table.move(result, 1, #result, 1, {})
  return result
end

--- Everything that is an anchor by now: those at the start, and what was learnt since. Empty where
--- the system's are all that there is.
---@return lest.cert[]
function Trust:anchors()
  local all = {}
  for _, store in ipairs(self.stores) do
    for _, anchor in ipairs(anchors_of[store] or {}) do all[#all + 1] = anchor end
  end
  return unique(all)
end

--- A SHA-256 as people write it ("AB:CD...", "sha256:abcd...") in lower-case hex.
---@param text string
---@return string?
function M.fingerprint(text)
  local hex = text:lower():gsub("^sha256[:=]?", ""):gsub("[:%s]", "")
  return hex:find "^%x+$" and #hex == 64 and hex or nil
end

--- The root whose fingerprint a person has given, out of an answer that nothing vouches for
--- (RFC 7030 4.1.1): only a self-signed CA certificate can be it.
---@param certs lest.cert[]
---@param hex string
---@return lest.cert?
---@return lest.error? err code trust; it says what the server has
function M.by_fingerprint(certs, hex)
  local offered = {}
  for _, cert in ipairs(certs) do
    if is_root(cert) then
      if cert.fingerprint == hex then return cert end
      offered[#offered + 1] = cert.fingerprint
    end
  end
  return fail("trust", #offered == 0 and "the server's CA certificates have no root among them"
    or ("no root of the server has that fingerprint; it has SHA-256 %s")
    :format(table.concat(offered, ", ", 1, math.min(#offered, 3))))
end

return M
