--- What an operator asks a ledger about certificates. It only reads.
---
---   local rows, last = certificates.list(operator, { label = "plant", ends_before = time })
local asked_module = require "lest.server.ledger.asked"
local challenge = require "lest.server.ledger.revocation_challenge"
local core = require "lest.core"
local fail = require "lest.base.fail"
local page = require "lest.server.ledger.page"

local M = {}

-- After every time.
local NEVER <const> = math.maxinteger

--- The names of profiles that the ledger has, and none, which the server's own certificates have.
local function profiles_of(ledger)
  local names = { "" }
  while true do
    local rows, err = ledger:rows("certificate_profile_next", { after = names[#names] })
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

--- A page of those whose serial begins so, in that order.
---@param ledger lest.ledger
---@param arguments { before: any, limit: integer? }
---@param asked table the statement's parameters, with serial
---@return table[]?
---@return any last
function M.by_serial(ledger, arguments, asked)
  local from = arguments.before or { serial = asked.serial, issuer = "" }
  asked.from, asked.after, asked.to = from.serial, from.issuer, asked.serial .. asked_module.LAST
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

local WAYS <const> = {
  { by = "device", read = with("device", "certificate_list_device") },
  { by = "principal_name", read = with("principal_name", "certificate_list_principal") },
  { by = "serial", read = M.by_serial },
  { by = "by_end", read = by_end },
  { read = by_place },
}

--- Those of a page whose devices have no later certificate of the same names. Who signs answers of
--- OCSP gets another one when somebody asks, and waits for nobody to renew it.
local function not_renewed(ledger, rows)
  local kept = {}
  for _, row in ipairs(rows) do
    local is_made_anew = row.operation == "ocsp"
    local later, err = ledger:rows("certificate_later", { device = row.device,
      subject = row.subject, san = row.san, not_after = row.not_after })
    if not later then return nil, err end
    if not later[1] and not is_made_anew then table.insert(kept, row) end
  end
  return kept
end

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
---@field not_renewed? boolean only what its device has not renewed
---@field floor? integer only rows of a greater seq
---@field before? any where the page before ended
---@field limit? integer

--- A page of certificates, newest first; of those that are asked for by their end, or that have
--- expired, those that end first.
---@param operator lest.operator
---@param arguments lest.cert_question
---@return table[]?
---@return any last
function M.list(operator, arguments)
  if not asked_module.are_texts(arguments) then return {} end
  local now, serial, problem = operator.clock(), nil, nil
  if arguments.serial then serial, problem = asked_module.serial(arguments.serial) end
  if problem then return nil, problem end
  local ends_from = arguments.ends_from or arguments.ends_before and now or nil
  local asked = { now = now, serial = serial, label = arguments.label, state = arguments.state,
    part = arguments.part and arguments.part:lower(), since = arguments.since,
    ends_from = ends_from, ends_before = arguments.ends_before }
  arguments = setmetatable({
    by_end = asked.state ~= "revoked" and (ends_from or asked.state == "expired") or nil,
  }, { __index = arguments })
  local rows, last = asked_module.by_way(WAYS, operator.ledger, arguments, asked)
  if not rows or not arguments.not_renewed then return rows, last end
  local kept, err = not_renewed(operator.ledger, rows)
  if not kept then return nil, err end
  return kept, last
end

--- The certificates of one serial; of several CAs each may have it.
---@param operator lest.operator
---@param arguments { serial: string }
---@return table[]?
---@return lest.error? err
function M.show(operator, arguments)
  local serial, problem = asked_module.serial(arguments.serial)
  if not serial then return nil, problem end
  serial = #serial % 2 == 1 and "0" .. serial or serial
  local rows, err = operator.ledger:rows("certificate_find",
    { serial = serial, now = operator.clock() })
  if not rows then return nil, err end
  if not rows[1] then return fail("not_found", "no certificate has the serial " .. serial) end
  for _, row in ipairs(rows) do
    row.der = core.base64.encode(row.der)
    local kept
    kept, err = challenge.find(operator.ledger, row)
    if err then return nil, err end
    row.revocation_challenge = kept and "kept" or nil
    local next_ones
    next_ones, err = operator.ledger:rows("succession_of", { serial = row.serial,
      issuer = row.issuer })
    if not next_ones then return nil, err end
    local succession = next_ones[1] or {}
    row.superseded_by, row.revoked_after = succession.successor, succession.due
  end
  return rows
end

return M
