--- The CSR for an enrollment: what the caller wants, with what the server wishes (RFC 7030 4.5.2)
--- as far as local policy lets it.
local core = require "lest.core"
local fail = require "lest.base.fail"
local wished = require "lest.base.wished"

local M = {}

local function failure(message)
  return fail("key_unsupported", message, { rfc = "7030 4.5.2" })
end

-- Extensions that the caller's own options speak for, and what a server has no say in.
local SPOKEN_FOR <const> = { san = "2.5.29.17", san_der = "2.5.29.17", key_usage = "2.5.29.15",
  eku = "2.5.29.37" }
local NEVER <const> = { ["2.5.29.19"] = true } -- basicConstraints: this client asks for no CA

local function label(thing)
  return thing.name or thing.oid
end

local function wished_extensions(plan, wishes, notify, renewal)
  local taken = { ["2.5.29.17"] = renewal } -- names are those of the old certificate
  for option, oid in pairs(SPOKEN_FOR) do taken[oid] = taken[oid] or plan[option] ~= nil end
  for _, extension in ipairs(plan.extensions or {}) do taken[extension.oid] = true end
  local all = table.move(plan.extensions or {}, 1, #(plan.extensions or {}), 1, {})
  for _, extension in ipairs(wishes.extensions) do
    local copied = not taken[extension.oid] and not NEVER[extension.oid]
    if copied then
      all[#all + 1] = { oid = extension.oid, critical = extension.critical,
        value = extension.value }
    end
    notify("attribute", ("extension %s: %s"):format(label(extension),
      copied and "as the server asks" or NEVER[extension.oid]
      and "the server asks for it, and gets none" or "the caller's, not the server's"))
  end
  return #all > 0 and all or nil
end

-- The first signature of those that the server wants which the key can make; servers list one for
-- each kind of key. Of none, an error: they say so where the CA requires one (RFC 7030 4.5.2).
local function wished_signature(plan, wishes)
  for _, signature in ipairs(wishes.signatures) do
    if wished.key_fits(plan.key.type, signature.key) then return signature end
  end
  local names = wished.signatures(wishes)
  if not names[1] then return nil end
  return failure(("the server wants requests signed with %s, which a key of type %s cannot do")
    :format(table.concat(names, " or "), plan.key.type))
end

-- What is not understood is ignored (RFC 7030 4.5.2), and told.
local function tell_unknown(plan, wishes, notify)
  local given = {}
  for _, attribute in ipairs(plan.attributes or {}) do given[attribute.oid] = true end
  for _, unknown in ipairs(wishes.unknown) do
    if unknown.problem then
      notify("warning", ("a CSR attribute of the server is ignored: %s: %s"):format(
        label(unknown), unknown.problem))
    else
      notify("attribute", ("attribute %s: the server asks for it; %s"):format(label(unknown),
        given[unknown.oid] and "it is the caller's" or "nothing says what to put there"))
    end
  end
end

--- A plan for core.csr.build with the server's wishes in it. A wish for another kind of key is an
--- error, since no other key than the caller's is ever used; what is not understood is ignored.
---@param plan lest.csr_plan
---@param wishes lest.wishes
---@param notify fun(kind: string, message: string) kind "attribute" tells which wish led to what
---@param renewed? lest.cert that is renewed: the request has its names
---@return lest.csr_plan?
---@return lest.error? err
function M.apply(plan, wishes, notify, renewed)
  local all = {}
  for key, value in pairs(plan) do all[key] = value end
  if wishes.key then
    if not wished.key_fits(plan.key.type, wishes.key) then
      return failure(("the server wants a key of type %s, this one is %s"):format(wishes.key,
        plan.key.type))
    end
    notify("attribute", ("key %s: as the server asks (%s)"):format(plan.key.type, wishes.key))
  end
  local signature, err
  if not plan.digest then signature, err = wished_signature(plan, wishes) end
  if err then return nil, err end
  if signature then
    notify("attribute", ("signature %s: as the server asks"):format(signature.name))
    all.digest = signature.digest
  end
  if wishes.template then
    return require "lest.client.template".fill(all, wishes.template, notify, renewed)
  end
  all.extensions = wished_extensions(plan, wishes, notify, renewed ~= nil)
  tell_unknown(plan, wishes, notify)
  return all
end

--- What core.csr.build makes of it. A digest that the server chose must be a strong one (RFC 7030
--- 6).
---@param plan lest.csr_plan
---@param wishes? lest.wishes that are in it
---@return lest.csr|string|nil
---@return lest.error? err
function M.make(plan, wishes)
  local csr, err = core.csr.build(plan)
  local signature = not csr and wishes and wished_signature(plan, wishes)
  if signature and signature.digest and signature.digest == plan.digest then
    err.message = ("the server wants requests signed with %s: %s"):format(signature.name,
      err.message)
  end
  return csr, err
end

--- Build and sign it.
---@param plan lest.csr_plan
---@param wishes? lest.wishes that are in it
---@return lest.csr?
---@return lest.error? err
function M.build(plan, wishes)
  local csr, err = M.make(plan, wishes)
  if not csr then return nil, err end
  local ok
  ok, err = csr:verify()
  if not ok then return nil, err end
  return csr
end

return M
