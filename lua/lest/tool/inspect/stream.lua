--- Items as a JSON list, written while it is made: a CRL may have hundreds of thousands of entries.
---
---   stream.write(assert(inspect.recognize(bytes)), function(text) io.write(text) end)
local core = require "lest.core"
local inspect = require "lest.tool.inspect"
local json = require "lest.json"

local M = {}

local PAGE <const> = 1000

-- Digits, a number and a word of RFC 5280 5.3.1 need no escapes; an encoder for each takes seconds.
local function entry_line(entry)
  return ('{"date": %d%s, "serial": "%s"}'):format(entry.date,
    entry.reason and (', "reason": "%s"'):format(entry.reason) or "", entry.serial)
end

--- The entries of a CRL, one a line, where one placeholder stood.
local function write_entries(crl, indent, write)
  local cursor, separator = 0, ""
  while cursor do
    local entries
    entries, cursor = crl:page(cursor, PAGE)
    local lines = {}
    for i, entry in ipairs(entries) do lines[i] = entry_line(entry) end
    write(separator .. table.concat(lines, ",\n" .. indent))
    separator = ",\n" .. indent
  end
end

--- Write an item, whose CRLs are placeholders while it is encoded.
local function write_item(item, write)
  local crls, mark = {}, core.secret.random(16)
  local text = json.encode(inspect.table(item, function(crl)
    if crl.count == 0 then return {} end
    crls[#crls + 1] = crl
    return { mark .. #crls }
  end))
  local at = 1
  while true do
    local first, last, number = text:find('"' .. mark .. '(%d+)"', at)
    if not first then break end
    write(text:sub(at, first - 1))
    write_entries(crls[tonumber(number)], text:sub(1, first - 1):match "[ \t]*$", write)
    at = last + 1
  end
  write(text:sub(at))
end

---@param items lest.inspect.item[]
---@param write fun(text: string)
function M.write(items, write)
  write "["
  for i, item in ipairs(items) do
    write(i > 1 and ",\n" or "\n")
    write_item(item, write)
  end
  write "\n]\n"
end

return M
