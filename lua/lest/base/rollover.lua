--- A root that changes, as a bag of CA certificates shows it (RFC 4210 4.4): the old root and the
--- new one, and the two links, each with the key of one and signed by the other.
local core = require "lest.core"
local list = require "lest.base.list"

local M = {}

---@class lest.rollover
---@field old lest.cert
---@field new lest.cert
---@field new_with_old? lest.cert
---@field old_with_new? lest.cert

---@param cert lest.cert
---@return boolean
function M.is_root(cert)
  return cert.is_ca and cert.self_signed
end

-- The older first: a root that began earlier, or then ends earlier.
local function roots_of(certs)
  local roots = {}
  for _, cert in ipairs(certs) do
    if M.is_root(cert) then roots[#roots + 1] = cert end
  end
  table.sort(roots, function(a, b)
    if a.not_before ~= b.not_before then return a.not_before < b.not_before end
    if a.not_after ~= b.not_after then return a.not_after < b.not_after end
    return a.fingerprint < b.fingerprint
  end)
  return roots
end

local function is_of(cert, root)
  return not cert.self_signed and cert.public_key.der == root.public_key.der
    and core.name.equal(cert.subject_der, root.subject_der)
end

local function is_signed_by(cert, root)
  local store = core.store.new { anchors = { root } }
  return core.name.equal(cert.issuer_der, root.subject_der) and store ~= nil
    and store:verify(cert, { untrusted = {} }) ~= nil
end

local function link(certs, inner, outer)
  for _, cert in ipairs(certs) do
    if is_of(cert, inner) and is_signed_by(cert, outer) then return cert end
  end
end

--- Each two roots of one name and two keys, and the links between them that hold now.
---@param certs lest.cert[]
---@return lest.rollover[]
function M.find(certs)
  local found, roots = {}, roots_of(certs)
  for i, old in ipairs(roots) do
    for k = i + 1, #roots do
      local new = roots[k]
      if old.public_key.der ~= new.public_key.der
        and core.name.equal(old.subject_der, new.subject_der) then
        found[#found + 1] = { old = old, new = new, new_with_old = link(certs, new, old),
          old_with_new = link(certs, old, new) }
      end
    end
  end
  return found
end

--- Certificates with a root's name and key that another key has signed.
---@param certs lest.cert[]
---@return lest.cert[]
function M.links(certs)
  local found, roots = {}, roots_of(certs)
  for _, cert in ipairs(certs) do
    for _, root in ipairs(roots) do
      if cert.self_issued and is_of(cert, root) then
        found[#found + 1] = cert
        break
      end
    end
  end
  return found
end

-- The roots that may have signed a link: of its issuer's name, with another key.
local function signers_of(cert, certs)
  local found = {}
  for _, root in ipairs(roots_of(certs)) do
    if root.public_key.der ~= cert.public_key.der
      and core.name.equal(root.subject_der, cert.issuer_der) then
      found[#found + 1] = root
    end
  end
  return found
end

local function signer_of(cert, signers)
  for _, root in ipairs(signers) do
    if is_signed_by(cert, root) then return root end
  end
end

-- Whether a root whose key a link has is newer than another.
local function is_newer(cert, other, certs)
  local passed = false
  for _, root in ipairs(roots_of(certs)) do
    if passed and is_of(cert, root) then return true end
    passed = passed or root == other
  end
  return false
end

--- What is wrong with a link, as the end of a sentence about it; nil: nothing.
---@param cert lest.cert
---@param certs lest.cert[] those that it came with
---@return string?
function M.fault(cert, certs)
  if not cert.is_ca then return "is no CA" end
  if #cert.key_usage > 0 and not list.has(cert.key_usage, "keyCertSign") then
    return "may not sign certificates (keyUsage)"
  end
  local signers = signers_of(cert, certs)
  local signer = signer_of(cert, signers)
  if signer and is_newer(cert, signer, certs) and cert.not_after > signer.not_after then
    return "goes on after the old root, which has signed it, ends"
  end
  return #signers > 0 and not signer and "holds under no root that is here" or nil
end

--- What clients of one generation lack to follow to the other, a sentence each. A link alone lets
--- them follow to the root that it leads to: the one that has signed it may be retired.
---@param certs lest.cert[]
---@return string[]
function M.missing(certs)
  local sentences = {}
  for _, change in ipairs(M.find(certs)) do
    for _, each in ipairs { "new_with_old", "old_with_new" } do
      if not change[each] then
        sentences[#sentences + 1] = ("two roots are called %s, and no certificate links the %s one "
          .. "to the other"):format(tostring(change.old.subject), each:match "^%l+")
      end
    end
  end
  return sentences
end

return M
