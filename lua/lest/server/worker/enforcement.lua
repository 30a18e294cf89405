--- Whether a CSR has what /csrattrs asks for (RFC 7030 4.5.2), for labels with csrattrs_enforced.
---
---   local lacks = enforcement.lacks(der, csr, false)
---   -- "a key of type ec:P-384 (it is ec:P-256), challengePassword", or nil
local core = require "lest.core"
local list = require "lest.base.list"
local wished = require "lest.base.wished"

local M = {}

local SAN <const> = "2.5.29.17"

local function by_oid(all)
  local found = {}
  for _, each in ipairs(all) do found[each.oid] = each end
  return found
end

--- Whether a type is there, as an attribute, an extension or a part of the subject.
local function has(csr, attributes, extensions, wanted)
  if attributes[wanted.oid] or extensions[wanted.oid] then return true end
  for _, part in ipairs(csr.subject) do
    if part[1] == wanted.name or part[1] == wanted.oid then return true end
  end
  return false
end

local function has_value(extension, wanted)
  if not extension then return false end
  if not wanted.value or extension.value == wanted.value then return true end
  if wanted.oid ~= SAN then return false end
  local filled = core.csrattrs.fill_san(wanted.value, extension.value)
  return filled ~= nil and core.san.equal(filled, extension.value)
end

local function check_template(template, csr, add)
  if template.subject_der then
    local filled, err = core.csrattrs.fill_subject(template.subject_der, csr.subject_der)
    if not filled then
      add("the subject: %s", err.message)
    elseif not core.name.equal(filled, csr.subject_der) then
      add "the subject of the template, in its order"
    end
  end
end

--- What a CSR lacks, in words.
---@param der string CSR attributes
---@param csr lest.csr
---@param linked boolean the authority sees to it that a CSR is linked to its connection
---@return string?
function M.lacks(der, csr, linked)
  local wishes = assert(core.csrattrs.wishes(der))
  local lacking = {}
  local function add(text, ...) table.insert(lacking, text:format(...)) end
  local attributes, extensions = by_oid(csr.attributes), by_oid(csr.extensions)
  if wishes.key and not wished.key_fits(csr.public_key.type, wishes.key) then
    add("a key of type %s (it is %s)", wishes.key, csr.public_key.type)
  end
  local signatures = wished.signatures(wishes)
  if signatures[1] and not list.has(signatures, csr.signature_algorithm) then
    add("the signature %s (it is %s)", table.concat(signatures, " or "), csr.signature_algorithm)
  end
  if wishes.challenge_password and not linked
    and not (csr.challenge_password or csr.identity_linking or csr.otp_challenge) then
    add "challengePassword"
  end
  local template = wishes.template
  if template then check_template(template, csr, add) end
  for _, wanted in ipairs(template and template.extensions or wishes.extensions) do
    if not has_value(extensions[wanted.oid], wanted) then
      add("the extension %s%s", wanted.name or wanted.oid,
        extensions[wanted.oid] and " as it is asked for" or "")
    end
  end
  for _, wanted in ipairs(template and template.attributes or wishes.unknown) do
    if not wanted.problem and not has(csr, attributes, extensions, wanted) then
      add("the attribute %s", wanted.name or wanted.oid)
    end
  end
  return lacking[1] and table.concat(lacking, ", ")
end

return M
