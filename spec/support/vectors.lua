--- The examples of the RFCs, in spec/vectors: NAME.b64 or NAME.hex.
local core = require "lest.core"

local M = {}

function M.unhex(text)
  return (text:gsub("%s+", ""):gsub("%x%x", function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

function M.hex(bytes)
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

--- Bytes with the first place of `from` made `to`.
function M.replace(bytes, from, to)
  local first, last = bytes:find(from, 1, true)
  assert(first, "not found")
  return bytes:sub(1, first - 1) .. to .. bytes:sub(last + 1)
end

--- The text of a vector.
function M.text(name)
  return assert(core.file.read("spec/vectors/" .. name .. ".txt"))
end

--- The bytes of a vector.
function M.get(name)
  local text = core.file.read("spec/vectors/" .. name .. ".b64")
  if text then return assert(core.base64.decode(text)) end
  return M.unhex(assert(core.file.read("spec/vectors/" .. name .. ".hex")))
end

return M
