--- What an operator asks of a ledger: which certificates, which decisions. It only reads.
---
---   local rows, last = questions.cert_list(operator, { label = "plant", ends_before = time })
local core = require "lest.core"
local fail = require "lest.base.fail"
local page = require "lest.server.ledger.page"
local pending = require "lest.server.ledger.pending"

local M = {}

-- After every text that begins as another one does.
local LAST <const> = "\u{10ffff}"
-- After every time.
local NEVER <const> = math.maxinteger

--- No row has what no text can be.
local function are_texts(arguments)
  for _, value in pairs(arguments) do
    if type(value) == "string" and not core.utf8.is_text(value) then return false end
  end
  return true
end

--- The page of the first of these ways that what is asked for opens.
---@param ways { by: string?, read: function }[] by: the argument that opens it; the last has none
local function by_way(ways, operator, arguments, asked)
  for _, way in ipairs(ways) do
    if not way.by or arguments[way.by] then
      return way.read(operator.ledger, arguments, asked)
    end
  end
end

--- Serials as people copy them: "0A:1B", "a1b".
local function plain_serial(text)
  local hex = text:gsub("[:%s]", ""):lower()
  return hex:find "^%x+$" and hex
end

local function bad_serial(text)
  return fail("usage", ("'%s' is no serial number"):format(text))
end

-- ---- certificates

--- The names of profiles that the ledger has.
local function profiles_of(ledger)
  local names = {}
  while true do
    local rows, err = ledger:rows("certificate_profile_next", { after = names[#names] or "" })
    if not rows then return nil, err end
    if not rows[1] then return names end
    table.insert(names, rows[1].profile)
  end
end

local function ends_first(a, b)
  if a.not_after ~= b.not_after then return a.not_after < b.not_after end
  return a.seq < b.seq
end

--- Those that end first come first: of each profile a page, since its index has them in this order.
local function by_end(ledger, arguments, asked)
  local from = arguments.before or { time = asked.ends_from or 0, seq = 0 }
  local names, err = profiles_of(ledger)
  if not names then return nil, err end
  local found, limit = {}, page.size(arguments)
  asked.limit, asked.from, asked.after = limit, from.time, from.seq
  asked.to = asked.ends_before or NEVER
  for _, name in ipairs(names) do
    asked.profile = name
    local rows, problem = ledger:rows("certificate_list_ends", asked)
    if not rows then return nil, problem end
    table.move(rows, 1, #rows, #found + 1, found)
  end
  table.sort(found, ends_first)
  local last = found[limit]
  return table.move(found, 1, math.min(limit, #found), 1, {}),
    last and { time = last.not_after, seq = last.seq }
end

local function by_serial(ledger, arguments, asked)
  local from = arguments.before or { serial = asked.serial, issuer = "" }
  asked.from, asked.after, asked.to = from.serial, from.issuer, asked.serial .. LAST
  asked.limit = page.size(arguments)
  local rows, err = ledger:rows("certificate_list_serial", asked)
  if not rows then return nil, err end
  return rows, rows[asked.limit]
end

local function with(name, statement)
  return function(ledger, arguments, asked)
    asked[name] = arguments[name]
    return page.read(ledger, statement, asked, arguments)
  end
end

local function by_place(ledger, arguments, asked)
  local floor, err = page.span(ledger, "certificate", asked.since and asked.since * 1000000)
  if not floor then return nil, err end
  asked.floor = math.max(floor, arguments.floor or 0)
  if asked.state == "revoked" then
    return page.read(ledger, "certificate_list_revoked", asked, arguments)
  end
  return page.look(ledger, "certificate", asked, arguments)
end

local CERTIFICATE_WAYS <const> = {
  { by = "device", read = with("device", "certificate_list_device") },
  { by = "principal_name", read = with("principal_name", "certificate_list_principal") },
  { by = "serial", read = by_serial },
  { by = "by_end", read = by_end },
  { read = by_place },
}

---@class lest.cert_question
---@field device? string
---@field principal_name? string
---@field serial? string how it begins
---@field part? string of the subject or an alternative name, in whatever case
---@field label? string
---@field state? "valid"|"expired"|"revoked"|"not yet valid"
---@field since? integer issued at or after
---@field ends_from? integer not before this; now, where only ends_before is told
---@field ends_before? integer
---@field floor? integer only rows of a greater seq
---@field before? any where the page before ended
---@field limit? integer

--- A page of certificates, newest first; of those that are asked for by their end, or that have
--- expired, those that end first.
---@param operator lest.operator
---@param arguments lest.cert_question
---@return table[]?
---@return any last
function M.cert_list(operator, arguments)
  if not are_texts(arguments) then return {} end
  local now, serial = operator.clock(), nil
  if arguments.serial then
    serial = plain_serial(arguments.serial)
    if not serial then return bad_serial(arguments.serial) end
  end
  local ends_from = arguments.ends_from or arguments.ends_before and now or nil
  local asked = { now = now, serial = serial, label = arguments.label, state = arguments.state,
    part = arguments.part and arguments.part:lower(), since = arguments.since,
    ends_from = ends_from, ends_before = arguments.ends_before }
  arguments = setmetatable({
    by_end = asked.state ~= "revoked" and (ends_from or asked.state == "expired") or nil,
  }, { __index = arguments })
  return by_way(CERTIFICATE_WAYS, operator, arguments, asked)
end

function M.cert_show(operator, arguments)
  local serial = plain_serial(arguments.serial)
  if not serial then return bad_serial(arguments.serial) end
  serial = #serial % 2 == 1 and "0" .. serial or serial
  local rows, err = operator.ledger:rows("certificate_find",
    { serial = serial, now = operator.clock() })
  if not rows then return nil, err end
  if not rows[1] then return fail("not_found", "no certificate has the serial " .. serial) end
  for _, row in ipairs(rows) do row.der = core.base64.encode(row.der) end
  return rows
end

-- ---- requests: every decision

--- A statement for the verdict: approvals are most rows, and need no index.
local function request_statement(name, asked)
  local is_rare = asked.verdict and asked.verdict ~= "approve"
  return "request_list" .. name .. (is_rare and "_verdict" or "")
end

local function of_whom(name, suffix)
  return function(ledger, arguments, asked)
    asked[name] = arguments[name]
    return page.read(ledger, request_statement(suffix, asked), asked, arguments)
  end
end

local function by_id(ledger, arguments, asked)
  asked.floor = nil
  asked.from, asked.to = arguments.before or asked.id, asked.id .. LAST
  asked.limit = page.size(arguments)
  local rows, err = ledger:rows("request_list_id", asked)
  if not rows then return nil, err end
  local last = rows[asked.limit]
  return rows, last and last.id .. "\1" -- the next text there is
end

--- By the certificates of that serial: requests have no index of it.
local function by_certificate(ledger, arguments, asked)
  local certificates, last = by_serial(ledger, arguments, { serial = asked.serial })
  if not certificates then return nil, last end
  local found = {}
  for _, certificate in ipairs(certificates) do
    asked.id = certificate.request_id
    local rows, err = by_id(ledger, {}, asked)
    if not rows then return nil, err end
    local row = rows[1]
    if row and row.id == asked.id then table.insert(found, row) end
  end
  return found, last
end

local function by_time(ledger, arguments, asked)
  local statement = request_statement("", asked)
  if statement ~= "request_list" then return page.read(ledger, statement, asked, arguments) end
  return page.look(ledger, "request", asked, arguments)
end

local REQUEST_WAYS <const> = {
  { by = "device", read = of_whom("device", "_device") },
  { by = "principal_name", read = of_whom("principal_name", "_principal") },
  { by = "id", read = by_id },
  { by = "serial", read = by_certificate },
  { read = by_time },
}

--- Whether a part is in a name of a request, and not by chance in other bytes of its CSR.
local function is_named(row, part)
  local names = { row.principal_name, row.device }
  local csr = row.csr and core.csr.parse(row.csr, { key_later = true })
  if csr then
    table.insert(names, tostring(csr.subject))
    table.move(csr.san, 1, #csr.san, #names + 1, names)
  end
  for _, name in ipairs(names) do
    if name:lower():find(part, 1, true) then return true end
  end
  return false
end

local function named(rows, part)
  local kept = {}
  for _, row in ipairs(rows) do
    if is_named(row, part) then table.insert(kept, row) end
    row.csr = nil
  end
  return kept
end

---@class lest.request_question
---@field device? string
---@field principal_name? string
---@field id? string how it begins
---@field serial? string how that of the certificate that was issued begins
---@field part? string of the principal's name, or of the subject or an alternative name of the CSR
---@field label? string
---@field verdict? string
---@field since? integer
---@field until_time? integer
---@field before? any
---@field limit? integer

--- A page of decisions, newest first; of those that are asked for by the beginning of an id or of a
--- serial, in that order.
---@param operator lest.operator
---@param arguments lest.request_question
---@return table[]?
---@return any last
function M.request_list(operator, arguments)
  if not are_texts(arguments) then return {} end
  local serial = arguments.serial and plain_serial(arguments.serial)
  if arguments.serial and not serial then return bad_serial(arguments.serial) end
  local asked = { label = arguments.label, verdict = arguments.verdict, id = arguments.id,
    serial = serial, part = arguments.part and arguments.part:lower(),
    since_us = arguments.since and arguments.since * 1000000,
    until_us = arguments.until_time and arguments.until_time * 1000000 }
  local floor, before = page.span(operator.ledger, "request", asked.since_us, asked.until_us)
  if not floor then return nil, before end
  asked.floor = floor
  -- Only where rows are read by their places does a page begin at one.
  local is_placed = not (arguments.id or arguments.serial) or arguments.device
    or arguments.principal_name
  arguments = setmetatable({ before = arguments.before or is_placed and before or nil },
    { __index = arguments })
  local rows, last = by_way(REQUEST_WAYS, operator, arguments, asked)
  if rows and asked.part then rows = named(rows, asked.part) end
  local ok, err = pending.add_states(operator, rows or {})
  if not ok then return nil, err end
  return rows, last
end

function M.request_show(operator, arguments)
  local rows, err = {}, nil
  if core.utf8.is_text(arguments.id) then
    rows, err = operator.ledger:rows("request_get", { id = arguments.id })
  end
  if not rows then return nil, err end
  local row = rows[1]
  if not row then return fail("not_found", ("there is no request '%s'"):format(arguments.id)) end
  row.csr = row.csr and core.base64.encode(row.csr)
  local ok
  ok, err = pending.add_states(operator, { row })
  if not ok then return nil, err end
  return row
end

return M
