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

local STRINGS <const> = { [0x23] = true, [0x24] = true, [0x2c] = true, [0x33] = true,
  [0x34] = true, [0x36] = true }

local function check_value(tag, body)
  if tag == 0x01 then return #body == 1 and (body == "\0" or body == "\255") end
  if tag ~= 0x02 then return not STRINGS[tag] end
  local first, second = body:byte(1, 2)
  return first ~= nil and not (second and ((first == 0 and second < 128)
    or (first == 255 and second >= 128)))
end

--- Raise what is not DER in elements that stand one after another, by the rules that show without a
--- schema (X.690 10 and 11): lengths in their shortest form, no strings in parts, values of BOOLEAN
--- and INTEGER, SET OF in order.
---@param bytes string
function M.check(bytes)
  local at = 1
  while at <= #bytes do
    local tag, len, head = bytes:byte(at), bytes:byte(at + 1), 2
    assert(tag & 31 ~= 31 and len, "a long tag, or no length")
    assert(len ~= 0x80, "an indefinite length")
    if len > 128 then
      local octets = len & 127
      len, head = string.unpack(">I" .. octets, bytes, at + 2), 2 + octets
      assert(len >= 128 and bytes:byte(at + 2) ~= 0, "a length longer than it need be")
    end
    assert(at + head + len - 1 <= #bytes, "an element that is cut off")
    local body = bytes:sub(at + head, at + head + len - 1)
    assert(check_value(tag, body), ("a value of tag %02x that is not DER"):format(tag))
    if tag & 32 ~= 0 then M.check(body) end
    if tag == 0x31 then
      local previous
      for _, member in ipairs(M.split(body)) do
        assert(not previous or previous <= member, "a SET OF that is not in order")
        previous = member
      end
    end
    at = at + head + len
  end
end

return M
