--- The certificate that a request is about.
local list = require "lest.base.list"

local M = {}

--- The one that is renewed, or else the one that the client has shown.
---@param request lest.request
---@return lest.cert|nil
function M.of(request)
  local previous = request.previous
  return previous and previous.certificate or request.principal.certificate
end

--- Whether a certificate states all of some purposes.
---@param cert lest.cert|nil
---@param purposes string[] as lest.cert has them
---@return boolean
function M.has_purposes(cert, purposes)
  local stated = list.set(cert and cert.eku or {})
  for _, purpose in ipairs(purposes) do
    if not stated[purpose] then return false end
  end
  return true
end

--- Whether a CSR is for the key of the certificate that the request is about.
---@param request lest.request
---@param csr lest.csr
---@return boolean
function M.has_key_of(request, csr)
  local cert = M.of(request)
  return cert ~= nil and cert.key_hash == csr.key_hash
end

return M
