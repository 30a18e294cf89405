--- What a server wants of a CSR (core.csrattrs.wishes), beside what one is.
---
---   wished.key_fits("ec:P-256", "ec")   --> true
---   wished.signatures(wishes)           --> { "ecdsa-with-SHA256", "RSA-SHA256" }
local M = {}

--- Whether a key is of the type that is wanted: of a curve or size, or of any.
---@param type string "ec:P-256"
---@param wanted string "ec:P-256" or "ec"
---@return boolean
function M.key_fits(type, wanted)
  return type == wanted or type:match "^[^:]*" == wanted
end

--- The names of the signatures of which one is wanted; none: any.
---@param wishes lest.wishes
---@return string[]
function M.signatures(wishes)
  local names = {}
  for i, signature in ipairs(wishes.signatures) do names[i] = signature.name end
  return names
end

return M
