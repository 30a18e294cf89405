--- What a backend is asked for, as it sees it: the CSR, and what of it was approved.
local core = require "lest.core"

--- A name in parts, without what lest.name has besides.
local function parts_of(der)
  local parts = {}
  for i, part in ipairs(assert(core.name.decode(der))) do parts[i] = { part[1], part[2] } end
  return parts
end

---@class lest.backend.request
---@field id string of the order: the same each time that the CA is asked for it
---@field again boolean it may have been asked before
---@field note? string what the backend said with "later"
---@field csr? lest.csr as the client signed it
---@field subject? string[][] that was approved, in parts
---@field subject_text? string likewise, as text
---@field subject_der? string likewise
---@field san? string[] likewise, "DNS:host"
---@field lifetime? integer at most, in seconds
---@field key_usage? string[] at most
---@field eku? string[] at most
---@field profile? string the profile's name
---@field label string
---@field operation string
---@field request_id string of the client's request, as the ledger and X-Request-Id have it
---@field principal { kind: string, name: string }
---@field device? string whom it is about
---@field certificate? lest.cert to be revoked
---@field reason? string why

--- Of an order of the authority.
---@param order table
---@return lest.backend.request
return function(order)
  local request = { id = order.id, again = order.again, note = order.note, label = order.label,
    operation = order.operation, request_id = order.request_id, principal = order.principal,
    device = order.device, profile = order.profile, reason = order.reason }
  if order.certificate then request.certificate = assert(core.cert.parse(order.certificate)) end
  if not order.csr then return request end
  request.csr = assert(core.csr.parse(order.csr))
  request.subject, request.subject_der = parts_of(order.subject), order.subject
  request.subject_text = tostring(assert(core.name.decode(order.subject)))
  request.san = order.san and assert(core.san.decode(order.san)) or {}
  request.lifetime, request.key_usage, request.eku = order.lifetime, order.key_usage, order.eku
  return request
end
