--- Why a request ended as it did, from the ledger alone: what was asked and proven, each step of
--- the decision, and what became of the verdict. It only reads. Rows may be of an older schema, and
--- what a worker wrote into one may be anything: what cannot be read is absent.
---
---   local found = explain.explain(operator, { what = "pump-7" })
---   found.request.steps[1].outcome   found.refusals[1].reason
local asked_module = require "lest.server.ledger.asked"
local certificates = require "lest.server.ledger.certificates"
local core = require "lest.core"
local fail = require "lest.base.fail"
local json = require "lest.json"
local outbox = require "lest.server.ledger.outbox"
local requests = require "lest.server.ledger.requests"
local trace = require "lest.base.trace"

local M = {}

-- Refusals of a name that are looked for, unless told.
local REFUSALS <const> = 5
local REFUSED <const> = { "reject", "unavailable", "error" }

---@class lest.explained what a request's row says, in parts
---@field id string
---@field time_us integer
---@field asked table operation, label, address, tls, headers, and of the CSR subject, san,
--- key_type, key_hash, renews; of fullcmc reg_info in base64
---@field principal? table kind, name, device, credential_id, anchors, claims, certificate
---@field approvals? table[]
---@field policy? table file, hash, rule, asked_at, duration_us, verdict, stated
---@field steps? lest.trace.step[] absent where none were recorded
---@field steps_left_out? integer
---@field outside? lest.trace.call[]
---@field outside_left_out? integer
---@field outcome table verdict, status, reason, detail, profile, serial, pending_id, pending_state
---@field certificate? table the row of what was issued
---@field events? table[] what hooks are still to hear of it
---@field orders? table[] what a CA elsewhere was asked for it: ca, kind, state, tries, problem
---@field claimed? table of one that no policy saw: name, certificate

--- A column of JSON; nil for what is none.
local function decoded(text)
  local value = text and json.decode(text)
  return type(value) == "table" and trace.is_shallow(value) and value or nil
end

local function approvals_of(row)
  local approvals = decoded(row.approvals)
  for _, each in pairs(approvals or {}) do
    if type(each) ~= "table" then return nil end
  end
  return approvals
end

--- What stands in the certificate that proved the principal.
local function shown(base64)
  local der = type(base64) == "string" and core.base64.decode(base64)
  local cert = der and core.cert.parse(der)
  return cert and { subject = tostring(cert.subject), issuer = tostring(cert.issuer),
    serial = cert.serial, not_after = cert.not_after } or nil
end

-- What a message of CMC said beside its requests, in base64.
local function reg_info_of(row)
  local base64 = (decoded(row.principal) or {}).reg_info
  return type(base64) == "string" and core.base64.decode(base64) and base64 or nil
end

local function asked_of(row)
  local der = row.csr and core.base64.decode(row.csr)
  local csr = der and core.csr.parse(der, { key_later = true })
  return { operation = row.operation, label = row.label, address = row.address,
    tls = decoded(row.tls), headers = decoded(row.headers), renews = row.previous,
    subject = row.subject, san = csr and csr.san or nil, key_type = csr and csr.key_type or nil,
    key_hash = row.key_hash, csr = row.csr, reg_info = reg_info_of(row) }
end

local function principal_of(row)
  if not row.principal_kind then return nil end
  local all = decoded(row.principal) or {}
  return { kind = row.principal_kind, name = row.principal_name, device = row.device,
    credential_id = row.credential_id, anchors = all.anchors, credential = all.credential,
    claims = all.claims,
    certificate = shown(all.certificate) }
end

-- The rule of a verdict that an operator gave at the console, in place of the policy's.
local OPERATOR <const> = "operator"

local function policy_of(row, first)
  if not row.policy_file then return nil end
  local verdict = first and first.depth == 0 and row.rule ~= OPERATOR and first.outcome
  return { file = row.policy_file, hash = row.policy_hash, rule = row.rule,
    asked_at = row.asked_at, duration_us = row.duration_us, stated = decoded(row.stated),
    verdict = verdict or nil }
end

--- The list of a reader, and how many it says are left out; nil for none.
local function list_of(text, read)
  if not text then return nil end
  local list, more = read(text)
  if not list then return nil end
  return list, more > 0 and more or nil
end

--- A row of `requests` or `refusals`, as requests.show has it, in parts.
---@param row table
---@return lest.explained
function M.of_row(row)
  local is_early = row.left_out ~= nil
  local found = { id = row.id, time_us = row.time_us, asked = asked_of(row),
    principal = principal_of(row), approvals = approvals_of(row),
    outcome = { verdict = row.verdict, status = row.status, reason = row.reason,
      detail = row.detail, profile = row.profile, serial = row.serial,
      pending_id = row.pending_id, pending_state = row.pending_state },
    certificate = row.issued }
  if is_early then
    found.claimed = { name = row.claimed, principal = row.principal_name, device = row.device,
      certificate = row.certificate }
    return found
  end
  found.steps, found.steps_left_out = list_of(row.trace, trace.read_steps)
  found.outside, found.outside_left_out = list_of(row.outside, trace.read_calls)
  found.policy = policy_of(row, found.steps and found.steps[1])
  return found
end

--- What a CA elsewhere was asked for a request.
local function add_orders(operator, found)
  if found.outcome.verdict ~= "approve" then return true end
  local rows, err = operator.ledger:rows("order_of_request", { request_id = found.id })
  if not rows then return nil, err end
  for i, row in ipairs(rows) do
    rows[i] = { id = row.id, ca = row.ca, kind = row.kind, state = row.state, tries = row.tries,
      updated = row.updated, problem = row.problem }
  end
  found.orders = rows[1] and rows or nil
  return true
end

--- A row that was asked for by itself, with what a CA elsewhere was asked for it, and what hooks
--- are still to hear of its certificate.
local function explained(operator, row)
  local found = M.of_row(row)
  local ok, problem = add_orders(operator, found)
  if not ok then return nil, problem end
  local issued = found.certificate
  if not issued then return { request = found } end
  local events, err = outbox.of_certificate(operator, issued.serial)
  if not events then return nil, err end
  if events[1] then found.events = events end
  return { request = found }
end

--- The request that issued the certificate of a serial, or with `is_begun` of the only one that
--- begins so; nil where there is no such.
local function by_serial(operator, what, is_begun)
  local serial = asked_module.serial(what)
  if not serial then return nil end
  local rows, err = certificates.list(operator, { serial = serial, limit = 2 })
  if not rows or not rows[1] then return nil, err end
  if not is_begun and rows[1].serial ~= serial then return nil end
  if rows[2] and rows[1].serial ~= serial then
    return fail("usage", ("several certificates have a serial that begins with '%s'"):format(what))
  end
  return requests.find(operator, rows[1].request_id)
end

local function newest_first(a, b)
  if a.time_us ~= b.time_us then return a.time_us > b.time_us end
  return a.id > b.id
end

--- Add the rows of a list that are not there yet.
local function collect(found, operator, list, arguments)
  local rows, err = list(operator, arguments)
  if not rows then error(err, 0) end
  for _, row in ipairs(rows) do
    if not found[row.id] then
      found[row.id] = true
      table.insert(found, row)
    end
  end
end

-- How a name that a person knows may stand in the ledger.
local WAYS <const> = {
  function(name) return { device = name } end,
  function(name) return { principal_name = name } end,
  function(name) return { device = "own:CN=" .. name } end,
}
local PART <const> = { function(name) return { part = name } end }

--- The newest refusals of a policy by one way of asking.
local function refusals_by(operator, way, name, limit)
  local found = {}
  for _, verdict in ipairs(REFUSED) do
    local arguments = way(name)
    arguments.verdict, arguments.limit = verdict, limit
    collect(found, operator, requests.list, arguments)
  end
  return found
end

--- Whether a text is a name, or a subject with it as its CN: certificates are claimed by theirs.
local function has_name(text, name)
  if not text or text == name then return text ~= nil end
  local subject = text:gsub("^[%w_-]+:", ""):gsub("\\,", "\\") -- "own:CN=pump,O=Pumps\, Inc"
  return ("," .. subject .. ","):find(",CN=" .. name .. ",", 1, true) ~= nil
end

-- Certificates of a device by which its early refusals are looked for.
local CERTIFICATES <const> = 100

local function serials_of(operator, device)
  local serials = {}
  if not device then return serials end
  local issued, err = certificates.list(operator, { device = device, limit = CERTIFICATES })
  if not issued then error(err, 0) end
  for _, each in ipairs(issued) do serials[each.serial] = true end
  return serials
end

--- The newest refusals that no policy saw and that are about a name, which was proven, claimed or
--- asked for; or about a certificate of the device. The ledger keeps few, and has no index of them.
local function early_of(operator, name, limit, device)
  local serials, found, before = serials_of(operator, device), {}, nil
  repeat
    local rows, last = requests.refusals(operator, { before = before })
    if not rows then error(last, 0) end
    for _, row in ipairs(rows) do
      if serials[row.certificate or ""] or has_name(row.device, name)
        or has_name(row.principal_name, name) or has_name(row.claimed, name)
        or has_name(row.subject, name) then
        table.insert(found, row)
      end
    end
    before = last
  until not before or #found >= limit
  return found
end

local function early_with_part(operator, part, limit)
  local rows, err = requests.refusals(operator, { part = part, limit = limit })
  if not rows then error(err, 0) end
  return rows
end

local function summary_of(row)
  return { id = row.id, time_us = row.time_us, verdict = row.verdict or "refused early",
    status = row.status, label = row.label, rule = row.rule, reason = row.reason,
    detail = row.detail, name = row.device or row.principal_name or row.claimed }
end

--- The refusals of a policy by the first way that there are decisions by, the last one of these,
--- and the device that they are of.
local function decided(operator, name, limit, ways)
  for _, way in ipairs(ways) do
    local refused, arguments = refusals_by(operator, way, name, limit), way(name)
    local device = arguments.device
    if refused[1] then return refused, nil, device end
    arguments.limit = 1
    local rows, err = requests.list(operator, arguments)
    if not rows then error(err, 0) end
    if rows[1] then return refused, rows[1], device end
  end
  return {}
end

--- What is known of a name: its last refusals, of a policy or before one, the newest in full; or
--- its last decision, where none was refused.
local function by_name(operator, name, limit, ways, early)
  local refused, decision, device = decided(operator, name, limit, ways)
  for _, row in ipairs(early(operator, name, limit, device)) do table.insert(refused, row) end
  table.sort(refused, newest_first)
  local row = refused[1] or decision
  if not row then return nil end
  local whole, err = requests.find(operator, row.id)
  if not whole then return nil, err end
  local summaries = {}
  for i = 1, math.min(#refused, limit) do summaries[i] = summary_of(refused[i]) end
  return { name = name, refusals = summaries, request = M.of_row(whole) }
end

--- Explain a request, by its id; or by the serial of its certificate; or the last refusals of a
--- name. The beginning of an id or a serial is enough where no other begins so, and no name is
--- that; then a part of a name. A name is no more than what somebody says, and so stands behind.
---@param operator lest.operator
---@param arguments { what: string, limit: integer? }
---@return { request: lest.explained, name: string?, refusals: table[]? }?
---@return lest.error? err
function M.explain(operator, arguments)
  local what, limit = arguments.what, arguments.limit or REFUSALS
  if not core.utf8.is_text(what) or what == "" then
    return fail("not_found", "there is no such request, certificate or name")
  end
  local row, err = requests.find(operator, what)
  if not row and not err then row, err = by_serial(operator, what) end
  if err then return nil, err end
  if row then return explained(operator, row) end
  local named
  named, err = by_name(operator, what, limit, WAYS, early_of)
  if named or err then return named, err end
  row, err = requests.show(operator, { id = what })
  if not row and err.code == "not_found" then row, err = by_serial(operator, what, true) end
  if err then return nil, err end
  if row then return explained(operator, row) end
  named, err = by_name(operator, what, limit, PART, early_with_part)
  if named or err then return named, err end
  return fail("not_found", ("there is no request, certificate or name '%s'"):format(what),
    { detail = requests.NOT_YET })
end

return M
