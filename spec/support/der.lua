--- DER by hand, also wrong on purpose.
---     der.seq(der.int(0), der.oid "2.5.4.3", der.tlv(0x0c, "text"))
local M = {}

--- One element; the length is right and in its shortest form.
function M.tlv(tag, ...)
  local body = table.concat { ... }
  local len = #body
  if len < 128 then return string.char(tag, len) .. body end
  local octets = ""
  while len > 0 do
    octets = string.char(len & 255) .. octets
    len = len >> 8
  end
  return string.char(tag, 0x80 | #octets) .. octets .. body
end

function M.seq(...) return M.tlv(0x30, ...) end
function M.set(...) return M.tlv(0x31, ...) end
function M.utf8(text) return M.tlv(0x0c, text) end
function M.octets(bytes) return M.tlv(0x04, bytes) end
function M.bits(bytes) return M.tlv(0x03, "\0", bytes) end
function M.int(value) return M.tlv(0x02, string.char(value)) end

function M.oid(text)
  local arcs = {}
  for arc in text:gmatch "%d+" do arcs[#arcs + 1] = math.tointeger(arc) end
  table.insert(arcs, 3, arcs[1] * 40 + arcs[2])
  local out = {}
  for i = 3, #arcs do
    local arc, octets = arcs[i], string.char(arcs[i] & 127)
    while arc > 127 do
      arc = arc >> 7
      octets = string.char(128 | arc & 127) .. octets
    end
    out[#out + 1] = octets
  end
  return M.tlv(0x06, table.concat(out))
end

--- The elements that stand one after another in bytes, whole.
function M.split(bytes)
  local items, at = {}, 1
  while at <= #bytes do
    local len, head = bytes:byte(at + 1), 2
    if len > 128 then
      local octets = len & 127
      len, head = string.unpack(">I" .. octets, bytes, at + 2), 2 + octets
    end
    items[#items + 1] = bytes:sub(at, at + head + len - 1)
    at = at + head + len
  end
  return items
end

--- The contents of one element.
function M.body(item)
  local len = item:byte(2)
  return item:sub(len > 128 and 3 + (len & 127) or 3)
end

return M
