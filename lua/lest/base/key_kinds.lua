--- The kinds of keys that a person may name, as "ec:P-256" or "rsa:2048..4096", and how others
--- write them.
---
---   key_kinds.matches("rsa:2048..4096", "rsa:3072")   --> true
---   key_kinds.hint "prime256v1"                       --> ", did you mean 'ec:P-256'?"
local core = require "lest.core"
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

--- A kind as a person has written it. Which kinds there are, OpenSSL knows; to make a key of RSA
--- takes too long.
---@param value any
---@return string|nil spec
---@return string|nil problem nil where it is no text
function M.accept(value)
  if type(value) ~= "string" then return nil end
  local low, high = value:match "^rsa:(%d+)%.%.(%d+)$"
  if not low then low = value:match "^rsa:(%d+)$" end
  if low then
    local least, most = tonumber(low), tonumber(high or low)
    if least >= 2048 and least <= most and most <= 16384 then return value end
    return nil, ("'%s' is no RSA key of 2048 to 16384 bits"):format(value)
  end
  local made = #value <= 64 and core.key.generate(value)
  if made and made.type:lower() == value:lower() then return value end
  return nil, ("'%s' is no kind of key here%s"):format(value:sub(1, 64), made
    and (": write '%s'"):format(made.type) or M.hint(value))
end

-- Making longer keys of RSA takes minutes.
local RSA_MADE_MAX <const> = 8192

--- A kind of keys that can be made here: accept(), but for a range and very long keys of RSA.
---@param value any
---@return string|nil spec
---@return string|nil problem nil where it is no text
function M.makeable(value)
  local spec, problem = M.accept(value)
  if not spec then return nil, problem end
  local bits = spec:match "^rsa:(.*)$"
  if bits and not bits:find "^%d+$" then
    return nil, ("'%s' is a range, and a key that is made has one size"):format(spec)
  elseif bits and tonumber(bits) > RSA_MADE_MAX then
    return nil, ("'%s' takes too long to make: %d bits at most"):format(spec, RSA_MADE_MAX)
  end
  return spec
end

--- Whether a key's type is of a kind that accept() took.
---@param spec string
---@param type string as of lest.csr
---@return boolean
function M.matches(spec, type)
  if spec:lower() == type:lower() then return true end
  local low, high = spec:match "^rsa:(%d+)%.%.(%d+)$"
  local bits = type:match "^rsa:(%d+)$"
  return low ~= nil and bits ~= nil and tonumber(bits) >= tonumber(low)
    and tonumber(bits) <= tonumber(high)
end

return M
