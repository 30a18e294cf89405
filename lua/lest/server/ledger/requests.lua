--- What an operator asks a ledger about decisions, and refusals before one. It only reads.
---
---   local rows, last = requests.list(operator, { device = "device001", verdict = "reject" })
local asked_module = require "lest.server.ledger.asked"
local certificates = require "lest.server.ledger.certificates"
local core = require "lest.core"
local fail = require "lest.base.fail"
local page = require "lest.server.ledger.page"
local pending = require "lest.server.ledger.pending"

local M = {}

--- What to say where nothing is found: refusals before a policy are written once a second.
M.NOT_YET = "a request that was refused in the last seconds may not be written yet"

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
  asked.from, asked.to = arguments.before or asked.id, asked.id .. asked_module.LAST
  asked.limit = page.size(arguments)
  local rows, err = ledger:rows("request_list_id", asked)
  if not rows then return nil, err end
  local last = rows[asked.limit]
  return rows, last and last.id .. "\1" -- the next text there is
end

--- By the certificates of that serial: requests have no index of it.
local function by_certificate(ledger, arguments, asked)
  local issued, last = certificates.by_serial(ledger, arguments, { serial = asked.serial })
  if not issued then return nil, last end
  local found = {}
  for _, certificate in ipairs(issued) do
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

local WAYS <const> = {
  { by = "device", read = of_whom("device", "_device") },
  { by = "principal_name", read = of_whom("principal_name", "_principal") },
  { by = "id", read = by_id },
  { by = "serial", read = by_certificate },
  { read = by_time },
}

--- A part as it stands in a CSR that has it; nil where that may have it in other bytes: of an
--- address, the type of a name ("CN=", "DNS:"), what is escaped or stands between two names.
local function der_part(part)
  if part:find "^[%x.]+$" or part:find "[=:,+\\]" then return nil end
  return part
end

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

--- What the statements of all these lists are narrowed by.
local function narrowed_by(arguments)
  local serial, err
  if arguments.serial then serial, err = asked_module.serial(arguments.serial) end
  if err then return nil, err end
  return { label = arguments.label, id = arguments.id, serial = serial,
    part = arguments.part and arguments.part:lower(),
    since_us = arguments.since and arguments.since * 1000000,
    until_us = arguments.until_time and arguments.until_time * 1000000 }
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
function M.list(operator, arguments)
  if not asked_module.are_texts(arguments) then return {} end
  local parameters, err = narrowed_by(arguments)
  if not parameters then return nil, err end
  local floor, before = page.span(operator.ledger, "request", parameters.since_us,
    parameters.until_us)
  if not floor then return nil, before end
  parameters.floor, parameters.verdict = floor, arguments.verdict
  parameters.der_part = parameters.part and der_part(parameters.part)
  -- Only where rows are read by their places does a page begin at one.
  local is_placed = not (arguments.id or arguments.serial) or arguments.device
    or arguments.principal_name
  arguments = setmetatable({ before = arguments.before or is_placed and before or nil },
    { __index = arguments })
  local rows, last = asked_module.by_way(WAYS, operator.ledger, arguments, parameters)
  if not rows then return nil, last end
  if parameters.part then rows = named(rows, parameters.part) end
  local ok, problem = pending.add_states(operator, rows)
  if not ok then return nil, problem end
  return rows, last
end

--- The decisions that came after a row, oldest first; and the row up to which that is.
---@param operator lest.operator
---@param arguments lest.request_question with `after`, the row's seq; absent: none yet, and the
--- newest
---@return table[]?
---@return any last
function M.after(operator, arguments)
  local newest, err = page.newest(operator.ledger, "request")
  if not newest then return nil, err end
  if not arguments.after or not asked_module.are_texts(arguments) then return {}, newest end
  local parameters
  parameters, err = narrowed_by(arguments)
  if not parameters then return nil, err end
  parameters.floor, parameters.verdict = arguments.after, arguments.verdict
  parameters.device, parameters.principal_name = arguments.device, arguments.principal_name
  parameters.der_part = parameters.part and der_part(parameters.part)
  parameters.limit = page.size(arguments)
  local rows, problem = operator.ledger:rows("request_after", parameters)
  if not rows then return nil, problem end
  local last = rows[#rows] and rows[#rows].seq or 0
  if #rows < parameters.limit then last = math.max(last, newest) end
  if parameters.part then rows = named(rows, parameters.part) end
  local ok
  ok, err = pending.add_states(operator, rows)
  if not ok then return nil, err end
  return rows, last
end

--- A page of the refusals that ended before a policy was asked, newest first.
---@param operator lest.operator
---@param arguments lest.request_question
---@return table[]?
---@return any last
function M.refusals(operator, arguments)
  if not asked_module.are_texts(arguments) then return {} end
  local parameters, err = narrowed_by(arguments)
  if not parameters then return nil, err end
  parameters.name = arguments.principal_name or arguments.device
  return page.read(operator.ledger, "refusal_list", parameters, arguments)
end

--- Add what was asked for, in words, and the certificate that came of it.
local function add_rest(operator, row)
  local csr = row.csr and core.csr.parse(row.csr, { key_later = true })
  if csr then row.subject, row.san = tostring(csr.subject), table.concat(csr.san, ",") end
  row.csr = row.csr and core.base64.encode(row.csr)
  local ok, err = pending.add_states(operator, { row })
  if not ok or not row.serial then return ok, err end
  local issued, problem = operator.ledger:rows("certificate_find",
    { serial = row.serial, now = operator.clock() })
  for _, each in ipairs(issued or {}) do
    if each.request_id == row.id then
      row.issued = each
      each.der = core.base64.encode(each.der)
    end
  end
  return issued ~= nil, problem
end

--- The row of an id, or that of its refusal before a policy was asked, whose verdict is "refused
--- early"; nil where neither is kept.
---@param operator lest.operator
---@param id string
---@return table?
---@return lest.error? err
function M.find(operator, id)
  local rows, err = {}, nil
  if core.utf8.is_text(id) then rows, err = operator.ledger:rows("request_get", { id = id }) end
  if not rows then return nil, err end
  if rows[1] then
    local ok, problem = add_rest(operator, rows[1])
    if not ok then return nil, problem end
    return rows[1]
  end
  rows, err = M.refusals(operator, { id = id })
  if not rows then return nil, err end
  for _, refused in ipairs(rows) do
    if refused.id == id then
      refused.verdict = "refused early"
      return refused
    end
  end
end

-- The one id that begins so; nil where there is none.
local function complete(operator, id)
  local found = {}
  for _, list in ipairs { M.list, M.refusals } do
    local rows, err = list(operator, { id = id, limit = 2 })
    if not rows then return nil, err end
    table.move(rows, 1, #rows, #found + 1, found)
  end
  if not found[2] then return found[1] and found[1].id end
  return fail("usage", ("several requests begin with '%s', as %s and %s"):format(id, found[1].id,
    found[2].id))
end

--- What became of a request: its row, with what it asked for and was given (`issued`), or that of
--- its refusal before a policy was asked, whose verdict is "refused early". The beginning of an id
--- is enough where no other one begins so.
function M.show(operator, arguments)
  local row, err = M.find(operator, arguments.id)
  local id
  if not row and not err then id, err = complete(operator, arguments.id) end
  if id then row, err = M.find(operator, id) end
  if row or err then return row, err end
  return fail("not_found", ("there is no request '%s'"):format(arguments.id), {
    detail = "what a worker refused by itself, as a wrong path or no credentials, and what is "
      .. "older than the refusals that are kept, is a line of the log with this id; "
      .. M.NOT_YET })
end

return M
