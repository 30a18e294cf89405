--- What an operator ends: one certificate, those of a device, those of a name. Each is revoked for
--- good, in one transaction with the others or not at all.
local certificates = require "lest.server.ledger.certificates"
local challenge = require "lest.server.ledger.revocation_challenge"
local core = require "lest.core"
local fail = require "lest.base.fail"
local page = require "lest.server.ledger.page"

local M = {}

-- Of one command; who means more means something else.
local MOST <const> = 10000

--- Why a certificate may be revoked (RFC 5280 5.3.1): what is for good and not for CAs.
M.REASONS = { "unspecified", "keyCompromise", "affiliationChanged", "superseded",
  "cessationOfOperation", "privilegeWithdrawn" }

-- For how long a CA elsewhere is told that its certificate was revoked.
local TELL_S <const> = 30 * 86400

--- Within a transaction: that it was revoked, and that hooks, and its CA where that is elsewhere,
--- are to hear of it, and whoever keeps what is said of certificates.
---@param ledger lest.ledger
---@param row { serial: string, issuer: string }
---@param how { reason: string, by?: string, now: number } by: who has it revoked
---@return integer? changes 0 where it was revoked already
---@return lest.error? err
function M.write(ledger, row, how)
  local ok, err = ledger:run("outbox_add_revoked", { serial = row.serial, issuer = row.issuer,
    operator = how.by, now = how.now })
  if ok then
    ok, err = ledger:run("order_add_revocation", { serial = row.serial, issuer = row.issuer,
      plan = "{}", now = how.now, expires = how.now + TELL_S })
  end
  if ok then
    ok, err = ledger:run("revocation_add", { serial = row.serial, issuer = row.issuer })
  end
  if not ok then return nil, err end
  return ledger:run("certificate_revoke", { serial = row.serial, issuer = row.issuer,
    reason = how.reason, now = how.now })
end

local function revoke_row(operator, row, reason)
  return M.write(operator.ledger, row, { reason = reason, now = operator.clock(),
    by = operator.who and (operator.who.operator or operator.who.account) })
end

-- ---- many

-- In small letters, and with no separator in what is escaped: "CN=a\\,b".
local function plain(text)
  return (text:lower():gsub("\\(.)", function(char) return ("\\%02x"):format(char:byte()) end))
end

--- Whether one of a certificate's names is this, with its type or without: "CN=a,O=b",
--- "DNS:a,URI:b". What stands behind a comma is a name if it begins as one; a URI may have others.
local function has_whole(row, name)
  local names = plain(row.subject):gsub("[,+]", "\0") .. "\0"
    .. plain(row.san):gsub(",(%a%w*:)", "\0%1")
  for each in names:gmatch "[^\0]+" do
    if each == name or each:match "^[^=:]*[=:](.*)$" == name then return true end
  end
  return false
end

--- For how long what has expired can still be renewed somewhere.
---@param labels table<string, table> of the configuration
---@return integer seconds
function M.longest_grace(labels)
  local longest = 0
  for _, label in pairs(labels) do longest = math.max(longest, label.expired_grace or 0) end
  return longest
end

-- What ended before cannot be used any more.
local function oldest_end(operator)
  return operator.clock() - M.longest_grace(operator.labels)
end

--- Certificates that can still be used and are asked for, no more than can be meant; and how many
--- that are asked for cannot be used any more, by what ended them.
---@return table[]? rows
---@return { revoked: integer, expired: integer }|lest.error ended
local function usable(operator, question, exact)
  local since = oldest_end(operator)
  local found, ended = {}, { revoked = 0, expired = 0 }
  repeat
    local rows, last = certificates.list(operator, question)
    if not rows then return nil, last end
    question.before = last
    for _, row in ipairs(rows) do
      local over = row.revoked_at and "revoked" or row.not_after < since and "expired"
      local is_meant = not exact or has_whole(row, exact)
      if is_meant and over then ended[over] = ended[over] + 1 end
      if is_meant and not over then table.insert(found, row) end
    end
    if #found > MOST then
      return fail("refused", ("more than %d certificates are meant: say it more closely")
        :format(MOST))
    end
  until not last
  return found, ended
end

local function count_text(count, one, many)
  return ("%d %s"):format(count, count == 1 and one or many)
end

--- There is nothing to revoke: never was, or is over already.
---@param ended { revoked: integer, expired: integer }
---@param none string what is said where there never was
---@param over string what is said otherwise, before what ended how many
local function nothing(ended, none, over)
  local parts = {}
  if ended.revoked > 0 then
    table.insert(parts, count_text(ended.revoked, "is revoked already", "are revoked already"))
  end
  if ended.expired > 0 then
    table.insert(parts, count_text(ended.expired, "has expired", "have expired"))
  end
  if not parts[1] then return fail("not_found", none) end
  return fail("refused", ("%s: %s"):format(over, table.concat(parts, ", ")))
end

local function revoke_rows(operator, rows, reason)
  local revoked = {}
  for _, row in ipairs(rows) do
    local changed, err = revoke_row(operator, row, reason)
    if not changed then return nil, err end
    if changed == 1 then table.insert(revoked, row) end
  end
  return revoked
end

--- Revoke what find() gives, in one transaction with the finding.
---@return table[]? rows that were revoked
---@return lest.error? err
local function revoke_all(operator, reason, find)
  local ledger = operator.ledger
  local ok, problem = ledger:begin()
  if not ok then return nil, problem end
  local rows, err = find()
  if rows then rows, err = revoke_rows(operator, rows, reason) end
  if rows then ok, err = ledger:commit() end
  if rows and ok then return rows end
  ledger:rollback()
  return nil, err
end

--- Whether who wants a certificate revoked knows its revocationChallenge (RFC 7894 3.2).
local function check_challenge(operator, row, text)
  local kept, err = challenge.find(operator.ledger, row)
  if err then return nil, err end
  if not kept then
    return fail("refused", ("the certificate %s was asked for without a revocation challenge")
      :format(row.serial))
  end
  local right
  right, err = challenge.is_right(kept, text, core.secret.scrypt)
  if err then return nil, err end
  if right then return true end
  return fail("refused", ("this is not the revocation challenge of the certificate %s: nothing was "
    .. "revoked"):format(row.serial))
end

--- Within the transaction: note which certificate is in the place of a row's, one that is good.
local function note_successor(operator, row, arguments)
  local rows, err = certificates.show(operator, { serial = arguments.superseded_by })
  if not rows then return nil, err end
  local successor = rows[1]
  if successor.serial == row.serial then
    return fail("refused", "a certificate is not in its own place")
  elseif successor.revoked_at then
    return fail("refused", ("the certificate %s is revoked itself"):format(successor.serial))
  end
  return operator.ledger:run("succession_add", { serial = row.serial, issuer = row.issuer,
    successor = successor.serial })
end

--- Revoke the one certificate of a serial; with `challenge`, only if that is its own.
---@param operator lest.operator
---@param arguments { serial: string, reason: string, challenge: string?, superseded_by: string? }
---@return table? row
---@return lest.error? err
function M.revoke(operator, arguments)
  local rows, err = certificates.show(operator, arguments)
  if not rows then return nil, err end
  local row = rows[1]
  if #rows > 1 then
    return fail("refused",
      ("%d CAs have issued a certificate of the serial %s"):format(#rows, row.serial))
  end
  if arguments.challenge then
    local ok
    ok, err = check_challenge(operator, row, arguments.challenge)
    if not ok then return nil, err end
  end
  local revoked
  revoked, err = revoke_all(operator, arguments.reason, function()
    local ok, problem = true, nil
    if arguments.superseded_by then ok, problem = note_successor(operator, row, arguments) end
    if not ok then return nil, problem end
    return { row }
  end)
  if not revoked then return nil, err end
  if not revoked[1] then
    return fail("refused", ("the certificate %s is revoked already"):format(row.serial))
  end
  rows, err = certificates.show(operator, arguments)
  return rows and rows[1], err
end

local function serials_of(rows)
  local serials = {}
  for i, row in ipairs(rows) do serials[i] = row.serial end
  return { revoked = serials, rows = rows }
end

--- Revoke all that a device could still use, or nothing: what a renewal under way gives it comes
--- before or finds its certificate revoked.
function M.revoke_device(operator, arguments)
  local device, ended = arguments.device, nil
  local rows, err = revoke_all(operator, arguments.reason, function()
    local rows, rest = usable(operator, { device = device })
    ended = rest
    return rows, rest
  end)
  if not rows then return nil, err end
  if rows[1] then return serials_of(rows) end
  return nothing(ended, ("the device '%s' has no certificate"):format(device),
    ("the device '%s' has no certificate that could be revoked"):format(device))
end

--- Revoke all that could still be used with one key.
---@param operator lest.operator
---@param arguments { key_hash: string, reason: string }
function M.revoke_key(operator, arguments)
  local ended = { revoked = 0, expired = 0 }
  local rows, err = revoke_all(operator, arguments.reason, function()
    local found, problem = operator.ledger:rows("certificate_list_key",
      { key_hash = arguments.key_hash, not_after = oldest_end(operator),
        limit = MOST })
    local kept = {}
    for _, row in ipairs(found or {}) do
      if row.revoked_at then ended.revoked = ended.revoked + 1 else table.insert(kept, row) end
    end
    return found and kept, problem
  end)
  if not rows then return nil, err end
  if rows[1] then return serials_of(rows) end
  return nothing(ended, "no certificate of this key could still be used",
    "no certificate of this key could be revoked")
end

local function question_of(arguments, floor)
  return { part = arguments.name, floor = floor }, arguments.exact and plain(arguments.name)
end

--- What revoke_named would revoke, found without a lock, since every certificate is looked at.
---@param operator lest.operator
---@param arguments { name: string, exact: boolean? } part of a subject or an alternative name, or
--- a whole one
---@return { rows: table[], newest: integer }? found
---@return lest.error? err
function M.find_named(operator, arguments)
  local newest, err = page.newest(operator.ledger, "certificate")
  if not newest then return nil, err end
  local rows, ended = usable(operator, question_of(arguments))
  if not rows then return nil, ended end
  if rows[1] then return { rows = rows, newest = newest } end
  return nothing(ended, ("there is no certificate of the name '%s'"):format(arguments.name),
    ("no certificate of the name '%s' could be revoked"):format(arguments.name))
end

--- Revoke what was found by a name, and what was issued to it since.
---@param operator lest.operator
---@param arguments { name: string, exact: boolean?, reason: string, found: table }
function M.revoke_named(operator, arguments)
  local found = arguments.found
  local rows, err = revoke_all(operator, arguments.reason, function()
    local rows, problem = usable(operator, question_of(arguments, found.newest))
    if not rows then return nil, problem end
    return table.move(found.rows, 1, #found.rows, #rows + 1, rows)
  end)
  return rows and serials_of(rows), err
end

return M
