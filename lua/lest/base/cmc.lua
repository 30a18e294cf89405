--- What the controls of a CMC message (core.cmc) come to.
local M = {}

--- Why a certificate is revoked for good, as the ledger has it: CRLReason (RFC 5280 5.3.1).
M.REASONS = { unspecified = 0, keyCompromise = 1, affiliationChanged = 3, superseded = 4,
  cessationOfOperation = 5, privilegeWithdrawn = 9 }

--- The value of a control by its name, and the control; nil where there is none.
---@param message lest.cmc
---@param name string "senderNonce"
---@return any value
---@return lest.cmc.control? control
function M.find(message, name)
  for _, control in ipairs(message.controls) do
    if control.name == name then return control.value, control end
  end
end

-- What is worse than what; a status that has no name is a failure (RFC 5272 6.1.3).
local RANK <const> = { success = 0, partial = 1, pending = 2, confirmRequired = 3 }
local FAILED <const> = 4

local STATUSES <const> = { statusInfoV2 = true, statusInfo = true }

--- The worst of a response's statuses, of all its parts or of one; nil where it has none, which is
--- success (RFC 5272 6.1.1).
---@param message lest.cmc
---@param body? integer a body part
---@return lest.cmc.status?
function M.worst(message, body)
  local worst, worst_rank
  for _, control in ipairs(message.controls) do
    local value = STATUSES[control.name] and control.value
    local is_meant = value and not body
    for _, id in ipairs(value and body and value.bodies or {}) do
      is_meant = is_meant or id == body or id == 0
    end
    local rank = is_meant and (RANK[value.status] or FAILED)
    if rank and (not worst_rank or rank > worst_rank) then worst, worst_rank = value, rank end
  end
  return worst
end

--- Whether a status says that nothing comes of a request.
---@param status lest.cmc.status?
---@return boolean
function M.is_failure(status)
  return status ~= nil and RANK[status.status] == nil
end

--- A status in words, as "badRequest: the request is refused".
---@param status lest.cmc.status
---@return string
function M.text(status)
  local what = tostring(status.failure or status.extended or status.status)
  return status.text and what .. ": " .. status.text or what
end

return M
