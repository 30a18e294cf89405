--- Certificates that were renewed, and are revoked some time later: a profile's `revoke_previous`.
--- What is due is in the ledger, so that it is done whoever serves then.
local core = require "lest.core"
local lines = require "lest.server.wire.lines"
local record = require "lest.server.authority.record"

local M = {}

local REASON <const>, BY <const> = "superseded", "revoke_previous"

local failures <const> = lines.new "successions not looked at"

-- One that is gone or revoked is in nobody's place: as one that its client did not confirm.
local function is_good(authority, successor)
  local rows = record.rows(authority.ledger, "certificate_find", { serial = successor,
    now = authority.clock() })
  return rows[1] ~= nil and rows[1].revoked_at == nil
end

--- Revoke what was renewed. False: its successor is not good, and it stays.
local function follow(authority, row)
  local key = { serial = row.serial, issuer = row.issuer }
  if not is_good(authority, row.successor) then
    record.run(authority.ledger, "succession_drop", key)
    return false
  end
  record.revoke(authority.ledger, row, { reason = REASON, by = BY, now = authority.clock() })
  record.run(authority.ledger, "succession_end", key)
  return true
end

--- Revoke what is due.
---@param authority lest.authority
function M.sweep(authority)
  local ok, problem = pcall(function()
    local due = record.rows(authority.ledger, "succession_due", { now = authority.clock() })
    for _, row in ipairs(due) do
      if authority.turn:unit(follow, authority, row) then
        core.log.write("info", "revoked after renewal", { "serial", row.serial, "successor",
          row.successor })
      end
    end
  end)
  if not ok then failures:write("error", { "message", tostring(problem) }) end
end

return M
