--- When a certificate is to be renewed, as its server tells it: the idea of RFC 9773 for EST, in a
--- header of answers that have certificates.
---
---   Renewal-Window: from=0.5, to=0.75
---
--- Both are parts of the certificate's life, so that the header is right for whichever certificate
--- of the label a client has: who asks for /cacerts alone learns of a change, too. It is a
--- dictionary of decimals (RFC 9651); members that are not known mean nothing.
---
--- It is a hint. Whatever it says, a certificate is renewed between a tenth and nine tenths of its
--- life: no server makes its clients ask without end, or miss the end of a certificate.
local schema = require "lest.base.schema"

local M = {}

M.HEADER = "Renewal-Window"

--- The bounds that every hint is put into.
M.EARLIEST, M.LATEST = 0.1, 0.9

local HEADER_MAX <const> = 200 -- bytes

---@class lest.renewal_window
---@field from number a part of a certificate's life
---@field to number likewise, no less

local part = schema.custom("a number from 0 to 0.9", function(value)
  if type(value) == "number" and value >= 0 and value <= M.LATEST then return value end
end)
local record = schema.record({ from = part, to = part }, "{ from = 0.5, to = 0.75 }")

M.fields = record.fields

--- Check what a configuration says.
---@param value any
---@return lest.renewal_window|nil
---@return any problem as of a shape's accept()
function M.accept(value)
  local window, problem = record.accept(value)
  if not window then return nil, problem end
  if window.from > window.to then return nil, "its 'from' is after its 'to'" end
  return window
end

-- A decimal of RFC 9651 3.3.2, which has a digit on both sides of the dot.
local function decimal(number)
  local text = ("%.3f"):format(number):gsub("0+$", "")
  return (text:gsub("%.$", ".0"))
end

--- The header's value.
---@param window lest.renewal_window
---@return string
function M.write(window)
  return ("from=%s, to=%s"):format(decimal(window.from), decimal(window.to))
end

local function number_of(text)
  if text:find "^[01]$" or text:find "^[01]%.%d%d?%d?$" then return tonumber(text) end
end

--- Read it, from whoever wrote it.
---@param value? string of the header
---@return lest.renewal_window|nil window nil: it says nothing that can be used
function M.read(value)
  if not value or #value > HEADER_MAX then return nil end
  local found = {}
  for member in value:gmatch "[^,]+" do
    local key, rest = member:match "^%s*(%l[%l%d_.*-]*)(.-)%s*$"
    if not key then return nil end
    -- Of a key that is there twice, the last one counts (RFC 9651 3.2).
    found[key] = number_of(rest:match "^=(.*)$" or "") or false
  end
  if not found.from or not found.to or found.from > found.to or found.to > 1 then return nil end
  return { from = found.from, to = found.to }
end

--- The times between which a certificate is to be renewed.
---@param window lest.renewal_window of whoever
---@param not_before integer the certificate's, seconds since 1970
---@param not_after integer
---@return integer from
---@return integer to
function M.times(window, not_before, not_after)
  local life = math.max(0, not_after - not_before)
  local function at(fraction)
    return not_before + math.floor(life * math.min(math.max(fraction, M.EARLIEST), M.LATEST))
  end
  return at(window.from), at(math.max(window.from, window.to))
end

return M
