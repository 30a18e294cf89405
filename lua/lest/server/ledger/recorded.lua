--- Decisions with all that they were made from, for who makes them again: the rows of requests,
--- the certificate that the principal showed (`own`, where the ledger has it), and of a row of an
--- older version the one that was issued (`issued`).
local core = require "lest.core"
local json = require "lest.json"
local page = require "lest.server.ledger.page"

local M = {}

-- A row may have 200 KiB.
local ROWS <const> = 100

-- The ledger's row of a certificate, of which some columns are wanted.
local function certificate_row(ledger, serial, is_it, columns)
  local rows, err = ledger:rows("certificate_find", { serial = serial })
  if not rows then error(err, 0) end
  for _, row in ipairs(rows) do
    if is_it(row) then
      local found = {}
      for _, column in ipairs(columns) do found[column] = row[column] end
      return found
    end
  end
end

local OWN <const> = { "serial", "profile", "facts", "device" }
local ISSUED <const> = { "subject", "san", "profile" }

-- What cannot be read has no certificate: who decides the row says what is wrong with it.
local function shown_certificate(row)
  local proven = row.principal and core.json.decode(row.principal)
  local base64 = type(proven) == "table" and proven.certificate
  local der = type(base64) == "string" and core.base64.decode(base64)
  return der and core.cert.parse(der), der
end

local function complete(ledger, row)
  local cert, der = shown_certificate(row)
  if cert then
    row.own = certificate_row(ledger, cert.serial, function(each) return each.der == der end, OWN)
  end
  if row.serial and not row.asked_at then
    row.issued = certificate_row(ledger, row.serial,
      function(each) return each.request_id == row.id end, ISSUED)
  end
  return row
end

local function completed(ledger, rows)
  local ok, err = pcall(function()
    for _, row in ipairs(rows) do complete(ledger, row) end
  end)
  if ok then return rows end
  if core.error.is(err) then return nil, err end
  error(err, 0)
end

--- The decision of an id; nil where there is none.
---@param ledger lest.ledger
---@param id string
---@return table|nil row
---@return lest.error|nil err
function M.get(ledger, id)
  local rows, err = ledger:rows("request_get", { id = id })
  if rows then rows, err = completed(ledger, rows) end
  return rows and rows[1], err
end

-- A time of an operation as the statements have it.
local function in_us(seconds)
  return seconds and seconds * 1000000
end

--- Between which rows those of a time stand; see server/ledger/page.
---@param ledger lest.ledger
---@param since integer|nil seconds since 1970
---@param until_time integer|nil
---@return integer|nil floor the seq below the first
---@return integer|lest.error before the seq above the last
function M.span(ledger, since, until_time)
  local newest, err = page.newest(ledger, "request")
  if not newest then return nil, err end
  local floor, before = page.span(ledger, "request", in_us(since), in_us(until_time))
  if not floor then return nil, before end
  return floor, before or newest + 1
end

--- What shadows said of decisions, newest first, in pages.
---@param ledger lest.ledger
---@param wanted { label: string?, since: integer?, until_time: integer? }
---@return fun(): table[]? rows an error of the ledger is raised
function M.shadows(ledger, wanted)
  local before, is_over = nil, false
  return function()
    if is_over then return nil end
    local rows, last = page.read(ledger, "shadow_list", { label = wanted.label,
      since_us = in_us(wanted.since), until_us = in_us(wanted.until_time) }, { before = before })
    if not rows then error(last, 0) end
    before, is_over = last, last == nil
    return rows
  end
end

--- The decisions between two rows of a label (nil: of all) and a time, in pages.
---@param ledger lest.ledger
---@param wanted { floor: integer, before: integer, label: string?, since: integer?,
--- until_time: integer? }
---@return fun(): table[]? rows an error of the ledger is raised
function M.pages(ledger, wanted)
  local before = wanted.before
  return function()
    if not before then return nil end
    local rows, last = page.read(ledger, "request_recorded", { floor = wanted.floor,
      label = wanted.label, since_us = in_us(wanted.since),
      until_us = in_us(wanted.until_time) },
      { before = before, limit = ROWS })
    if not rows then error(last, 0) end
    before = last
    local err
    rows, err = completed(ledger, rows)
    return rows or error(err, 0)
  end
end

-- A row that no JSON can have, since its texts are none, or its blob is no blob.
local function broken(row, problem)
  return { id = tostring(row.id):gsub("[^\x20-\x7e]", "?"), seq = row.seq, time_us = 0,
    problem = problem }
end

--- A row as a line of JSON, { row = ... }, for another process. What cannot be one has a `problem`.
---@param row table
---@return string
function M.line(row)
  if type(row.csr) == "string" then row.csr = core.base64.encode(row.csr) end
  local ok, text = pcall(json.line, { row = row })
  if ok then return text end
  return json.line { row = broken(row, "a text of it is no UTF-8") }
end

--- The row of such a line.
---@param said { row: table }
---@return table row
function M.row(said)
  local row = said.row
  row.csr = row.csr and core.base64.decode(row.csr)
  return row
end

return M
