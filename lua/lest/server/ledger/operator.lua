--- What an operator does to a server's ledger: credentials, pending requests, certificates.
---
--- A server may be running beside it: the ledger's engine takes several writers, and every state
--- change is a conditional update.
---
---   local made, err = operator.call(config, "credential_add", { name = "device001" })
local core = require "lest.core"
local credentials = require "lest.server.ledger.credentials"
local fail = require "lest.base.fail"
local file = require "lest.server.ledger.file"

local M = {}

-- Rows of a list that are in memory at once.
local PAGE <const> = 500

--- Why a certificate may be revoked (RFC 5280 5.3.1): what is for good and not for CAs.
M.REVOCATION_REASONS = { "unspecified", "keyCompromise", "affiliationChanged", "superseded",
  "cessationOfOperation", "privilegeWithdrawn" }

---@class lest.operator
---@field ledger lest.ledger
---@field credentials lest.credentials
---@field clock fun(): integer

---@type table<string, fun(operator: lest.operator, arguments: table): table?, lest.error?>
M.operations = {}

local operations <const> = M.operations

local function first(operator, statement, parameters)
  local rows, err = operator.ledger:rows(statement, parameters)
  return rows and rows[1], err
end

--- A page of a list and where it ended, which is `before` of the next.
---@param parameters table the statement's own, to which those of a page are added
---@return table[]?
---@return integer|lest.error|nil last
local function page(operator, statement, arguments, parameters)
  parameters.before, parameters.limit = arguments.before, arguments.limit or PAGE
  local rows, err = operator.ledger:rows(statement, parameters)
  if not rows then return nil, err end
  local last = rows[1] and (rows[#rows].place or rows[#rows].seq)
  for _, row in ipairs(rows) do row.place = nil end
  return rows, last
end

--- No row has a name that no text can be.
local function is_impossible(name)
  return name and not core.utf8.is_text(name)
end

-- ---- credentials

function operations.credential_add(operator, arguments)
  return operator.credentials:add(arguments)
end

--- Make all credentials of a list, or none. keep(made) has them before they are for good: what it
--- does not take is undone.
function operations.credential_add_all(operator, arguments)
  local ledger, made = operator.ledger, {}
  local ok, err = ledger:begin()
  if not ok then return nil, err end
  for i, prepared in ipairs(arguments.prepared) do
    made[i], err = operator.credentials:write(prepared)
    if not made[i] then break end
  end
  ok = #made == #arguments.prepared
  if ok then ok, err = arguments.keep(made) end
  if ok then ok, err = ledger:commit() end
  if ok then return made end
  ledger:rollback()
  return nil, err
end

function operations.credential_list(operator, arguments)
  if is_impossible(arguments.name) then return {} end
  return operator.credentials:list(arguments.name, arguments.before, arguments.limit or PAGE)
end

function operations.credential_remove(operator, arguments)
  local removed, err = operator.credentials:remove(arguments.name)
  if not removed then return nil, err end
  if removed == 0 then
    return fail("not_found", ("there is no credential of the name '%s'"):format(arguments.name))
  end
  return { removed = removed }
end

-- ---- pending requests

local function approvals(operator, id)
  return operator.ledger:rows("approval_list", { pending_id = id })
end

local function find_pending(operator, id)
  local row, err
  if core.utf8.is_text(id) then row, err = first(operator, "pending_get", { id = id }) end
  if err then return nil, err end
  if not row then return fail("not_found", ("there is no pending request '%s'"):format(id)) end
  if row.expires <= operator.clock() and row.state ~= "issued" then row.state = "expired" end
  return row
end

function operations.pending_list(operator, arguments)
  local state = arguments.state
  if state then return page(operator, "pending_list_state", arguments, { state = state }) end
  return page(operator, "pending_list", arguments, { now = operator.clock() })
end

function operations.pending_show(operator, arguments)
  local row, err = find_pending(operator, arguments.id)
  if not row then return nil, err end
  row.approvals, err = approvals(operator, row.id)
  if not row.approvals then return nil, err end
  row.csr = core.base64.encode(row.csr)
  return row
end

local function record_verdict(operator, arguments, verdict)
  local now = operator.clock()
  local changed, err = operator.ledger:run("approval_put", { pending_id = arguments.id,
    operator = arguments.operator, verdict = verdict, comment = arguments.comment, now = now })
  if changed ~= 1 then return changed, err end
  return operator.ledger:run("pending_settle", { id = arguments.id, now = now })
end

-- The operator's say and what it comes to stand or fall together.
local function decide(operator, arguments, verdict)
  local ledger = operator.ledger
  local row, err = find_pending(operator, arguments.id)
  if not row then return nil, err end
  local begun
  begun, err = ledger:begin()
  if not begun then return nil, err end
  local changed, committed
  changed, err = record_verdict(operator, arguments, verdict)
  if changed == 1 then
    committed, err = ledger:commit()
  end
  if not committed then
    ledger:rollback()
    if err then return nil, err end
    return fail("refused", ("the request '%s' waits no longer: it is %s"):format(row.id, row.state))
  end
  return operations.pending_show(operator, arguments)
end

function operations.pending_approve(operator, arguments)
  return decide(operator, arguments, "approve")
end

function operations.pending_reject(operator, arguments)
  return decide(operator, arguments, "reject")
end

-- ---- requests: every decision

--- The statement of a list that may be of one principal (`name`) or of one device, and its
--- parameters; nil where no row can have such a name.
local function of_whom(statement, arguments)
  local name, device = arguments.name, arguments.device
  if is_impossible(name) or is_impossible(device) then return nil end
  if device then return statement .. "_device", { device = device } end
  return name and statement .. "_principal" or statement, { principal_name = name }
end

function operations.request_list(operator, arguments)
  local verdict = arguments.verdict
  local statement, parameters = of_whom("request_list", arguments)
  if not statement then return {} end
  if verdict == "approve" then
    statement, verdict = statement .. "_approved", nil
  elseif verdict then
    statement = statement .. "_verdict"
  end
  parameters.verdict = verdict
  return page(operator, statement, arguments, parameters)
end

function operations.request_show(operator, arguments)
  local row, err
  if core.utf8.is_text(arguments.id) then
    row, err = first(operator, "request_get", { id = arguments.id })
  end
  if err then return nil, err end
  if not row then return fail("not_found", ("there is no request '%s'"):format(arguments.id)) end
  row.csr = row.csr and core.base64.encode(row.csr)
  return row
end

-- ---- certificates

function operations.cert_list(operator, arguments)
  local statement, parameters = of_whom("certificate_list", arguments)
  if not statement then return {} end
  return page(operator, statement, arguments, parameters)
end

--- Serials as people copy them: "0A:1B", "a1b".
local function plain_serial(text)
  local hex = text:gsub("[:%s]", ""):lower()
  if not hex:find "^%x+$" then return nil end
  return #hex % 2 == 1 and "0" .. hex or hex
end

function operations.cert_show(operator, arguments)
  local serial = plain_serial(arguments.serial)
  if not serial then
    return fail("usage", ("'%s' is no serial number"):format(arguments.serial))
  end
  local rows, err = operator.ledger:rows("certificate_find", { serial = serial })
  if not rows then return nil, err end
  if not rows[1] then return fail("not_found", "no certificate has the serial " .. serial) end
  for _, row in ipairs(rows) do row.der = core.base64.encode(row.der) end
  return rows
end

function operations.cert_revoke(operator, arguments)
  local rows, err = operations.cert_show(operator, arguments)
  if not rows then return nil, err end
  local row = rows[1]
  if #rows > 1 then
    return fail("refused",
      ("%d CAs have issued a certificate of the serial %s"):format(#rows, row.serial))
  end
  local changed
  changed, err = operator.ledger:run("certificate_revoke", { serial = row.serial,
    issuer = row.issuer, reason = arguments.reason, now = operator.clock() })
  if not changed then return nil, err end
  if changed == 0 then
    return fail("refused", ("the certificate %s is revoked already"):format(row.serial))
  end
  rows, err = operations.cert_show(operator, arguments)
  return rows and rows[1], err
end

--- Revoke what is left of a page; the serials are added to `revoked`.
local function revoke_rows(operator, rows, reason, revoked)
  local now = operator.clock()
  for _, row in ipairs(rows) do
    if not row.revoked_at and row.not_after > now then
      local changed, err = operator.ledger:run("certificate_revoke", { serial = row.serial,
        issuer = row.issuer, reason = reason, now = now })
      if not changed then return nil, err end
      table.insert(revoked, row.serial)
    end
  end
  return true
end

local function revoke_all(operator, arguments)
  local revoked, wanted = {}, { device = arguments.device }
  repeat
    local rows, last = operations.cert_list(operator, wanted)
    if not rows then return nil, last end
    local done, err = revoke_rows(operator, rows, arguments.reason, revoked)
    if not done then return nil, err end
    wanted.before = last
  until #rows < PAGE
  return revoked
end

--- Revoke all that a device could still use, or nothing: what a renewal under way gives it comes
--- before or finds its certificate revoked.
function operations.cert_revoke_device(operator, arguments)
  local ledger = operator.ledger
  local ok, err = ledger:begin()
  if not ok then return nil, err end
  local revoked
  revoked, err = revoke_all(operator, arguments)
  if revoked then
    ok, err = ledger:commit()
  end
  if not revoked or not ok then
    ledger:rollback()
    return nil, err
  elseif not revoked[1] then
    return fail("not_found",
      ("the device '%s' has no certificate that could be revoked"):format(arguments.device))
  end
  return { revoked = revoked }
end

-- ---- calling

local function wall_clock()
  return core.clock.wall_us() // 1000000
end

--- Operate on an open ledger.
---@param ledger lest.ledger
---@param operation string
---@param arguments table
---@param options? { clock?: function, scrypt?: function } where not the default
---@return table?
---@return lest.error|integer|nil err of a list that worked: where its page ended
function M.run(ledger, operation, arguments, options)
  local run = operations[operation]
  if not run then return fail("usage", ("there is no operation '%s'"):format(operation)) end
  local clock = options and options.clock or wall_clock
  local store = credentials.new { ledger = ledger, clock = clock,
    scrypt = options and options.scrypt }
  return run({ ledger = ledger, credentials = store, clock = clock }, arguments)
end

--- The rows of a list in pages, newest first: a page is in memory and no more. An error is raised.
---   for rows in operator.pages(ledger, "cert_list", { name = "device001", limit = 1000 }) do
---@param ledger lest.ledger
---@param operation string one that lists
---@param arguments table with limit: the most rows in all
---@return fun(): table[]?
function M.pages(ledger, operation, arguments)
  local left, before = arguments.limit, nil
  return function()
    if left <= 0 then return nil end
    local wanted = { before = before, limit = math.min(left, PAGE) }
    for key, value in pairs(arguments) do wanted[key] = wanted[key] or value end
    local rows, last = M.run(ledger, operation, wanted)
    if not rows then error(last, 0) end
    left = #rows < wanted.limit and 0 or left - #rows
    before = last
    return rows[1] and rows
  end
end

--- Operate on the ledger of a configuration; see server/ledger/file.
---@param config table
---@param operation string
---@param arguments table
---@return table?
---@return lest.error? err
function M.call(config, operation, arguments)
  local ledger <close>, err = file.open(config)
  if not ledger then return nil, err end
  return M.run(ledger, operation, arguments)
end

return M
