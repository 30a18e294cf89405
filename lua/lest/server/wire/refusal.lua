--- A refusal: what ends a request early, raised where it is found and caught where the request is
--- answered.
---
---   refusal.raise(403, "the subject is not that of the certificate being renewed")
local M = {}

---@class lest.refusal
---@field status integer the HTTP status that the client gets
---@field reason string a sentence for the client
---@field retry_after? integer seconds
---@field allow? string the Allow header of a 405
---@field detail? string for the log alone
---@field verdict? string what the ledger says of the request, for the log
---@field who? string who was refused, for the log
local Refusal = { __name = "lest.refusal" }
Refusal.__index = Refusal

function Refusal:__tostring()
  return ("%d %s"):format(self.status, self.reason or "")
end

--- Raise a refusal; does not return.
---@param status integer
---@param reason string
---@param options? table the other fields
function M.raise(status, reason, options)
  local refusal = options or {}
  refusal.status, refusal.reason = status, reason
  error(setmetatable(refusal, Refusal), 0)
end

--- Whether a caught value is a refusal.
---@param value any
---@return boolean
function M.is(value)
  return getmetatable(value) == Refusal
end

return M
