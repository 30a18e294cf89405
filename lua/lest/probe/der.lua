--- DER, whose rules leave each value one encoding (X.690 10.1, 10.2): definite lengths in as few
--- bytes as they need, nothing behind the value, no string in pieces.
local M = {}

local DEPTH_MAX <const> = 32
local CONSTRUCTED <const>, LONG_TAG <const> = 0x20, 0x1f
-- Universal types that have values within: SEQUENCE, SET, EXTERNAL, EMBEDDED PDV.
local HOLDS <const> = { [16] = true, [17] = true, [8] = true, [11] = true }

-- The place behind a length, and the length.
local function read_length(bytes, at)
  local first = bytes:byte(at)
  if not first then return nil, "is cut short" end
  if first < 0x80 then return at + 1, first end
  if first == 0x80 then return nil, "has an indefinite length" end
  local count = first & 0x7f
  if count > 4 or at + count > #bytes then return nil, "is cut short" end
  local length = (">I" .. count):unpack(bytes, at + 1)
  if length < 0x80 or length >> (8 * (count - 1)) == 0 then
    return nil, "has a length in more bytes than it needs"
  end
  return at + 1 + count, length
end

local function read_tag(bytes, at)
  local tag = bytes:byte(at)
  at = at + 1
  if tag & LONG_TAG ~= LONG_TAG then return tag, at end
  while (bytes:byte(at) or 0) & 0x80 ~= 0 do at = at + 1 end
  return tag, at + 1
end

local read_values

local function read_value(bytes, at, stop, depth)
  local tag, place = read_tag(bytes, at)
  local start, length = read_length(bytes, place)
  if not start then return nil, length end
  if start + length - 1 > stop then return nil, "is cut short" end
  if tag & CONSTRUCTED == 0 then return start + length end
  if tag < 0x40 and not HOLDS[tag & LONG_TAG] then return nil, "has a string in pieces" end
  local ok, problem = read_values(bytes, start, start + length - 1, depth + 1)
  return ok and start + length, problem
end

function read_values(bytes, at, stop, depth)
  if depth > DEPTH_MAX then return nil, "is nested too deep" end
  while at <= stop do
    local problem
    at, problem = read_value(bytes, at, stop, depth)
    if not at then return nil, problem end
  end
  return true
end

--- Why bytes are not one value in DER; nil: they are.
---@param bytes string of a stranger
---@return string? problem
function M.problem(bytes)
  if bytes == "" then return "is empty" end
  local behind, problem = read_value(bytes, 1, #bytes, 1)
  if not behind then return problem end
  return behind <= #bytes and "has bytes behind it" or nil
end

--- The values within one of DER, each whole.
---@param bytes string problem() has found nothing in it
---@return string[]
function M.values(bytes)
  local _, place = read_tag(bytes, 1)
  local at, length = read_length(bytes, place)
  local found, stop = {}, at + length - 1
  while at <= stop do
    local behind = read_value(bytes, at, stop, 1)
    found[#found + 1] = bytes:sub(at, behind - 1)
    at = behind
  end
  return found
end

return M
