--- How others write the kinds of keys, and how they are written here.
---
---   key_kinds.hint "prime256v1"   --> ", did you mean 'ec:P-256'?"
local schema = require "lest.base.schema"

local M = {}

--- The common ones, as they are written here.
M.common = { "ec:P-256", "ec:P-384", "ec:P-521", "rsa:2048", "rsa:3072", "rsa:4096", "ed25519",
  "ed448" }

local KNOWN <const> = {}
for _, kind in ipairs(M.common) do KNOWN[kind] = true end

-- In small letters, without what stands between letters and digits; %1 is a number of bits.
local OTHERS <const> = {
  { "^p(%d+)$", "ec:P-%1" }, { "^ec[cdsa]*p?(%d+)$", "ec:P-%1" },
  { "^nistp?(%d+)$", "ec:P-%1" }, { "^ecdsasha2nistp(%d+)$", "ec:P-%1" },
  { "^secp(%d+)r1$", "ec:P-%1" }, { "^prime(%d+)v1$", "ec:P-%1" }, { "^ec[cdsa]*$", "ec:P-256" },
  { "^rsa$", "rsa:3072" }, { "^rsa(%d+)b?i?t?s?$", "rsa:%1" }, { "^(%d+)b?i?t?s?$", "rsa:%1" },
  { "^x25519$", "ed25519" }, { "^curve25519$", "ed25519" }, { "^eddsa$", "ed25519" },
}
-- The curve of 521 bits, by the number of every other kind.
local MISTAKEN <const> = { ["ec:P-512"] = "ec:P-521" }

--- ", did you mean 'ec:P-256'?", or "".
---@param spec string
---@return string
function M.hint(spec)
  local bare = spec:sub(1, 64):lower():gsub("[-_ :/.]", "")
  for _, other in ipairs(OTHERS) do
    local kind, found = bare:gsub(other[1], other[2])
    kind = MISTAKEN[kind] or kind
    if found > 0 and KNOWN[kind] then
      return (", did you mean '%s'?"):format(kind)
    end
  end
  return schema.hint(spec, KNOWN)
end

return M
