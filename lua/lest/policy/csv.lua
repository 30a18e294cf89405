--- CSV (RFC 4180) with a header, as rows by the value of one column.
---
---   local rows = csv.parse("serial,host\r\n7,pump-7\r\n", "serial")
---   csv.row(rows, "7").host      --> "pump-7"
---
--- Strict, since a file that is read otherwise than it was meant lets others in: every row has as
--- many fields as the header, a quote stands where RFC 4180 has one, and a key is there once. The
--- text is kept, with the place of each key, and a row is read again when it is asked for: a file
--- of many rows would else be as many tables.
local core = require "lest.core"
local mark = require "lest.base.mark"

local M = {}

local ROWS_MAX <const>, COLUMNS_MAX <const>, KEY_MAX <const> = 200000, 64, 1024
-- Rows between two turns of others.
local PAUSE_ROWS <const> = 250

---@class lest.policy.csv
---@field text string
---@field columns string[]
---@field at table<string, integer> where the row of a key begins
---@field count integer

--- A field with quotes, which begins at `at`: the field, and where what follows it begins.
local function quoted(text, at)
  local from, pieces = at + 1, {}
  while true do
    local quote = text:find('"', from, true)
    if not quote then return nil, "a quote is not closed" end
    pieces[#pieces + 1] = text:sub(from, quote - 1)
    if text:sub(quote + 1, quote + 1) ~= '"' then return table.concat(pieces, '"'), quote + 1 end
    from = quote + 2
  end
end

--- The fields of the row that begins at `at`, and where the next one begins.
---@return string[]|nil fields
---@return integer|string next or what is wrong
local function fields_at(text, at)
  local fields = {}
  while true do
    local field, after
    if text:sub(at, at) == '"' then
      field, after = quoted(text, at)
      if not field then return nil, after end
    else
      after = text:find("[,\r\n\"]", at) or #text + 1
      field = text:sub(at, after - 1)
    end
    fields[#fields + 1] = field
    local char = text:sub(after, after)
    if char == "," then
      at = after + 1
    elseif char == "" or char == "\n" then
      return fields, after + 1
    elseif char == "\r" and text:sub(after + 1, after + 1):find "^\n?$" then
      return fields, after + 2
    else
      return nil, char == '"' and "a quote stands within a field"
        or "a field goes on after its end"
    end
    if #fields == COLUMNS_MAX then return nil, ("has more than %d fields"):format(COLUMNS_MAX) end
  end
end

--- The names of the columns, and the number of the key's.
local function header_of(fields, key)
  local seen, number = {}, nil
  for i, name in ipairs(fields) do
    if not name:find "^[%a_][%w_-]*$" then
      return nil, ("'%s' is no name of a column: letters, digits, '_' and '-'"):format(
        name:sub(1, 60))
    elseif seen[name] then
      return nil, ("the column '%s' is there twice"):format(name)
    end
    seen[name] = true
    if name == key then number = i end
  end
  if not number then return nil, ("there is no column '%s'"):format(key) end
  return number
end

local function key_problem(rows, key)
  if key == "" then return "has no key" end
  if #key > KEY_MAX then return ("has a key of more than %d bytes"):format(KEY_MAX) end
  if rows.at[key] then
    return ("has the key '%s', which is there already"):format(key:sub(1, 60))
  end
  if rows.count == ROWS_MAX then
    return ("is one more than the %d that are taken: use policy.sqlite"):format(ROWS_MAX)
  end
end

--- Read a text.
---@param text string
---@param key string the column of the key
---@param pause? function called now and then, for others to have a turn
---@return lest.policy.csv|nil rows
---@return string|nil problem with the row's number; the header is row 1
function M.parse(text, key, pause)
  text = mark.strip(text)
  if not core.utf8.is_text(text) then return nil, "it is not UTF-8" end
  local columns, at = fields_at(text, 1)
  if not columns then return nil, "row 1 " .. at end
  local number, problem = header_of(columns, key)
  if not number then return nil, "row 1: " .. problem end
  local rows = { text = text, columns = columns, at = {}, count = 0 }
  while at <= #text do
    local fields, after = fields_at(text, at)
    problem = not fields and after or #fields ~= #columns
      and ("has %d fields, and the header %d"):format(#fields, #columns)
      or key_problem(rows, fields[number])
    if problem then return nil, ("row %d %s"):format(rows.count + 2, problem) end
    rows.at[fields[number]], rows.count = at, rows.count + 1
    at = after
    if pause and rows.count % PAUSE_ROWS == 0 then pause() end
  end
  return rows
end

--- The row of a key; nil where there is none.
---@param rows lest.policy.csv
---@param key string
---@return table<string, string>|nil row by the names of the columns
function M.row(rows, key)
  local at = rows.at[key]
  if not at then return nil end
  local row = {}
  local fields = assert(fields_at(rows.text, at))
  for i, name in ipairs(rows.columns) do row[name] = fields[i] end
  return row
end

return M
