--- Networks in CIDR notation (RFC 4632, RFC 4291), strictly.
---
---   network.contains(network.parse "10.0.0.0/8", "10.1.2.3")   --> true
local core = require "lest.core"

local M = {}

-- What an address of IPv4 begins with as one of IPv6.
local MAPPED <const> = ("\0"):rep(10) .. "\xff\xff"

--- The bytes of an address: 4 or 16. OpenSSL's and the system's parser reads it, as an iPAddress.
local function bytes_of(text)
  local der = not text:find("[^%x:.]") and core.san.encode { "IP:" .. text }
  return der and der:sub(5)
end

local function text_of(bytes)
  local general_name = string.pack("B s1", 0x87, bytes)
  return core.san.decode(string.pack("B s1", 0x30, general_name))[1]:match ":(.*)"
end

--- The first `bits` bits alone.
local function prefix(bytes, bits)
  local whole, rest = bits // 8, bits % 8
  local text = bytes:sub(1, whole)
  if rest > 0 then text = text .. string.char(bytes:byte(whole + 1) & (0xff00 >> rest) & 0xff) end
  return text
end

---@class lest.base.network
---@field bits integer
---@field size integer bytes of an address
---@field prefix string

--- Read a network; an address alone is one of its own.
---@param text string
---@return lest.base.network|nil
---@return string|nil problem
function M.parse(text)
  local address, digits = text:match "^([^/]*)/(%d%d?%d?)$"
  local bytes = bytes_of(address or text)
  local bits = bytes and (digits and tonumber(digits) or 8 * #bytes)
  if not bytes or bits > 8 * #bytes or (digits and digits:find "^0.") then
    return nil, ("'%s' is no network: write one as 192.0.2.0/24 or 2001:db8::/32"):format(
      text:sub(1, 60))
  elseif #bytes == 16 and bytes:sub(1, #MAPPED) == MAPPED then
    return nil, ("'%s' is one of IPv4: write it so"):format(text)
  end
  local first = prefix(bytes, bits)
  local base = first .. ("\0"):rep(#bytes - #first)
  if base ~= bytes then
    return nil, ("'%s' has bits behind its prefix: write '%s/%d', or '%s' for one address"):format(
      text, text_of(base), bits, address)
  end
  return { bits = bits, size = #bytes, prefix = first }
end

--- As the core takes one (csrc/lua/server.c): a byte, its bits, and 16 of an IPv6 address, where
--- one of IPv4 is ::ffff:a.b.c.d.
---@param network lest.base.network
---@return string
function M.pack(network)
  local is_v4 = network.size == 4
  local bytes = (is_v4 and MAPPED or "") .. network.prefix
  local bits = (is_v4 and 96 or 0) + network.bits
  return string.char(bits) .. bytes .. ("\0"):rep(16 - #bytes)
end

--- Whether an address is in one of some networks. What is no address is in none.
---@param networks lest.base.network[]
---@param address string
---@return boolean
function M.any(networks, address)
  local bytes = bytes_of(address)
  for _, each in ipairs(bytes and networks or {}) do
    if #bytes == each.size and prefix(bytes, each.bits) == each.prefix then return true end
  end
  return false
end

return M
