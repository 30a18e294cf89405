--- A pre-shared key of TLS (RFC 8446 4.2.11, RFC 4279) as people have it: in hex.
local M = {}

--- Bytes of a key. RFC 9257 4.2: of a shorter one, or of a password, somebody finds all by trying.
local MIN <const>, MAX <const> = 16, 64

M.PROBLEM = ("a pre-shared key is random, and written as %d to %d hex digits: "
  .. "`openssl rand -hex 32`"):format(2 * MIN, 2 * MAX)

---@param hex string
---@return string|nil key
function M.parse(hex)
  if #hex < 2 * MIN or #hex > 2 * MAX or #hex % 2 == 1 or not hex:find "^%x+$" then return nil end
  local key = hex:gsub("..", function(pair) return string.char(tonumber(pair, 16)) end)
  -- One that is obviously none, as of an example: a byte and nothing but that.
  if key == key:sub(1, 1):rep(#key) then return nil end
  return key
end

---@param key string
---@return string hex
function M.format(key)
  return (key:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

return M
