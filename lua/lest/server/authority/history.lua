--- What the ledger knows of a request's principal, device, subject and key, for a policy that asks:
--- how many of each state there are, and when the last one was. Each count is of one index, and
--- ends at MOST: that is "so many or more".
---
--- The certificates are counted from the one that ends last. So those that are still good are all
--- counted but where there are more than MOST of them; of those that are over there may be more.
local codec = require "lest.core".message
local terminal = require "lest.base.terminal"

local M = {}

local MOST <const> = codec.TALLY_MAX
local REASON_MAX <const> = 1000 - #"..." -- bytes: a message takes 1000, and what is cut has dots

-- By what the ledger knows a request; nil: it says nothing about that.
local NAMES <const> = {
  principal = function(request) return request.ledger_name end,
  device = function(request) return request.device end,
  subject = function(request)
    local subject = request.csr.subject
    return #subject > 0 and tostring(subject) or nil
  end,
  key = function(request) return request.key_hash end,
}

local function rows_of(ledger, statement, parameters)
  local rows, err = ledger:rows(statement, parameters)
  if not rows then error(err, 0) end
  return rows
end

local function tally(count, last, reason, more)
  local kept = math.min(count, MOST)
  return { count = kept, more = more or count > kept, last = last,
    reason = reason and terminal.line(reason, REASON_MAX) }
end

--- The tally of rows that have `last` and `reason`.
local function tally_of(rows)
  local newest = {}
  for _, row in ipairs(rows) do
    if not newest.last or row.last > newest.last then newest = row end
  end
  return tally(#rows, newest.last, newest.reason)
end

local function refusals(ledger, about, name)
  local row = rows_of(ledger, ("history_%s_refused"):format(about),
    { name = name, most = MOST + 1 })[1]
  local newest = row.seq and rows_of(ledger, "request_at", { seq = row.seq })[1]
  return tally(row.count, newest and newest.time_us // 1000000, newest and newest.reason)
end

--- Count, and note on the request what was counted.
---@param authority lest.authority
---@param request lest.authority.request
---@param about "principal"|"device"|"subject"|"key"
---@return table|nil history as the message `told` has it; nil where there is nothing to ask about
function M.of(authority, request, about)
  local name, ledger, now = NAMES[about](request), authority.ledger, authority.clock()
  if not name then return nil end
  local function rows(suffix, parameters)
    parameters.name, parameters.most = name, MOST + 1
    return rows_of(ledger, ("history_%s%s"):format(about, suffix), parameters)
  end
  local counted = rows("", { now = now })[1]
  local is_cut = counted.issued > MOST
  request.history[about] = counted
  return {
    issued = tally(counted.issued, counted.issued_last),
    active = tally(counted.active, counted.active_last, nil, is_cut and counted.reached >= now),
    expired = tally(counted.expired, counted.expired_last, nil, is_cut),
    renewed = tally(counted.renewed, counted.renewed_last, nil, is_cut),
    revoked = tally_of(rows("_revoked", {})),
    refused = refusals(ledger, about, name),
    pending = tally_of(rows("_pending", { now = now })),
  }
end

--- Whether a certificate was issued, to whom a policy has asked about, since it asked. Where there
--- are more than are counted, one that is issued is one more that is active.
---@param authority lest.authority
---@param request lest.authority.request
---@return boolean
function M.has_changed(authority, request)
  for about, before in pairs(request.history) do
    local now = rows_of(authority.ledger, "history_" .. about,
      { name = NAMES[about](request), now = authority.clock(), most = MOST + 1 })[1]
    if now.issued ~= before.issued or now.active > before.active then return true end
  end
  return false
end

return M
