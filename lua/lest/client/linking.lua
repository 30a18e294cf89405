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

--- A CSR that is to be made for a connection.
---@param plan lest.csr_plan
---@param wishes? lest.wishes that are in it
---@param field string of the plan, for the binding
---@return lest.client.draft?
---@return lest.error? err
function M.draft(plan, wishes, field)
  local room = with(plan, field, ("x"):rep(BINDING_MAX))
  room.raw = { signature = ("\0"):rep(plan.key.signature_size + 8) } -- and what DER puts around it
  local largest, err = plan_module.make(room, wishes)
  if not largest then return nil, err end
  local draft, bound_by = { size = #largest }, nil
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
---@param draft lest.client.draft
---@return lest.client.body
function M.body(draft)
  return {
    size = #core.est.body_encode(("\0"):rep(draft.size)),
    make = function(binding)
      local csr, err = draft.make(binding)
      if not csr then return nil, err end
      return core.est.body_encode(csr:der())
    end,
  }
end

return M
