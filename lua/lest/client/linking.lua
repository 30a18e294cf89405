--- CSRs that are linked to the very connection that carries them (RFC 7030 3.5): made once it is
--- there, for each attempt anew, in a body whose size was announced before.
---
---   local draft = assert(linking.draft(plan, wishes, "challenge_password"))
---   local response, err = session.perform(self, "simpleenroll", linking.body(draft))
---   -- draft.csr is what was sent
local core = require "lest.core"
local plan_module = require "lest.client.plan"

local M = {}

-- Characters of a channel binding: base64 of tls-exporter (RFC 9266); tls-unique is shorter.
local BINDING_MAX <const> = 44

---@class lest.client.draft
---@field size integer the most bytes of its DER
---@field room string DER of it before a connection is there, with bytes for `spare` more
---@field spare integer
---@field make fun(binding: string): lest.csr?, lest.error?
---@field csr? lest.csr the last that was made

--- Where the channel binding goes. RFC 7894 4: estIdentityLinking is preferred where it is asked
--- for, and challengePassword may be a secret.
---@param plan lest.csr_plan
---@param wishes? lest.wishes
---@return string|nil field of the plan; nil: there is no room
function M.field(plan, wishes)
  if wishes and wishes.identity_linking and not plan.identity_linking then
    return "identity_linking"
  end
  return not plan.challenge_password and "challenge_password" or nil
end

local function with(plan, field, value)
  local all = {}
  for name, each in pairs(plan) do all[name] = each end
  all[field] = value
  return all
end

--- The most bytes that a signature of a key may be longer than another, with what DER puts around.
---@param key lest.key
---@return integer
function M.spare(key)
  return key.signature_size + 8
end

-- The most bytes of a CSR, and how many are missing there. CRMF is always signed.
local function room_of(plan, wishes, field)
  local room, spare = with(plan, field, ("x"):rep(BINDING_MAX)), M.spare(plan.key)
  local made, err
  if plan.form == "crmf" then
    made, err = plan_module.make(room, wishes)
    return made and made:der(), made and spare or err
  end
  room.raw = { signature = ("\0"):rep(spare) }
  made, err = plan_module.make(room, wishes)
  return made, made and 0 or err
end

--- A CSR that is to be made for a connection.
---@param plan lest.csr_plan
---@param wishes? lest.wishes that are in it
---@param field string of the plan, for the binding
---@return lest.client.draft?
---@return lest.error? err
function M.draft(plan, wishes, field)
  local room, spare = room_of(plan, wishes, field)
  if not room then return nil, spare end
  local draft, bound_by = { size = #room + spare, room = room, spare = spare }, nil
  function draft.make(binding)
    if binding == bound_by then return draft.csr end
    local problem
    draft.csr, problem = plan_module.build(with(plan, field, binding), wishes)
    bound_by = draft.csr and binding
    return draft.csr, problem
  end
  return draft
end

--- The body of a request that has it.
---@param draft lest.client.draft|lest.client.cmc_draft
---@return lest.client.body
function M.body(draft)
  return {
    size = #core.est.body_encode(("\0"):rep(draft.size)),
    make = function(binding)
      local made, err = draft.make(binding)
      if not made then return nil, err end
      return core.est.body_encode(made:der())
    end,
  }
end

return M
