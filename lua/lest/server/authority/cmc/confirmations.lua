--- Certificates that their clients are still to confirm (RFC 5272 6.14): a label's `confirm` says
--- for how long. One that is not confirmed by then is revoked.
local core = require "lest.core"
local lines = require "lest.server.wire.lines"
local record = require "lest.server.authority.record"

local M = {}

local REASON <const>, BY <const> = "cessationOfOperation", "no confirmation"

local failures <const> = lines.new "confirmations not looked at"

--- Whether a certificate is to be confirmed.
---@param authority lest.authority
---@param serial string
---@return boolean
function M.is_open(authority, serial)
  return record.rows(authority.ledger, "confirmation_open", { serial = serial })[1] ~= nil
end

--- One was confirmed.
---@param authority lest.authority
---@param row { serial: string, issuer: string } of the ledger
function M.done(authority, row)
  record.run(authority.ledger, "confirmation_end", { serial = row.serial, issuer = row.issuer })
end

local function revoke(authority, row, now)
  record.revoke(authority.ledger, row, { reason = REASON, by = BY, now = now })
  M.done(authority, row)
end

--- Revoke what was not confirmed in time.
---@param authority lest.authority
function M.sweep(authority)
  local ok, problem = pcall(function()
    local now = authority.clock()
    for _, row in ipairs(record.rows(authority.ledger, "confirmation_due", { now = now })) do
      authority.turn:unit(revoke, authority, row, now)
      core.log.write("warning", "revoked unconfirmed", { "serial", row.serial })
    end
  end)
  if not ok then failures:write("error", { "message", tostring(problem) }) end
end

return M
