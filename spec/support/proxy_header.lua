--- Headers of the PROXY protocol, good and bad ones, as a balancer sends them.
---   connection:send(proxy_header.text("192.0.2.1", 50000))
local M = {}

--- One of version 1.
---@param address string
---@param port? integer
---@return string
function M.text(address, port)
  local family = address:find(":", 1, true) and "TCP6" or "TCP4"
  local called = family == "TCP6" and "2001:db8::9" or "192.0.2.9"
  return ("PROXY %s %s %s %d 8443\r\n"):format(family, address, called, port or 50000)
end

--- One of version 2. Fields: command (0x21, PROXY), family (by the address: TCP over IPv4 or IPv6),
--- address (4 or 16 bytes), port, entries (bytes behind the addresses), size (told in place of the
--- true one).
---@param fields table
---@return string
function M.binary(fields)
  local address = fields.address or ""
  local called = address:gsub(".$", "\9")
  local ports = address == "" and "" or (">I2I2"):pack(fields.port or 50000, 8443)
  local body = address .. called .. ports .. (fields.entries or "")
  return "\r\n\r\n\0\r\nQUIT\n" .. (">BBI2"):pack(fields.command or 0x21,
    fields.family or (#address == 16 and 0x21 or 0x11), fields.size or #body) .. body
end

--- An entry of version 2.
---@return string
function M.entry(kind, value) return (">Bs2"):pack(kind, value) end

-- CRC-32C (RFC 3720 B.4).
local function crc32c(bytes)
  local crc = 0xffffffff
  for i = 1, #bytes do
    crc = crc ~ bytes:byte(i)
    for _ = 1, 8 do crc = crc >> 1 ~ ((crc & 1) * 0x82f63b78) end
  end
  return crc ~ 0xffffffff
end

--- One of version 2 with its checksum behind the other entries.
---@param fields table as for binary
---@return string
function M.checked(fields)
  local with = setmetatable({ entries = (fields.entries or "") .. M.entry(3, "\0\0\0\0") },
    { __index = fields })
  local header = M.binary(with)
  return header:sub(1, -5) .. (">I4"):pack(crc32c(header))
end

return M
