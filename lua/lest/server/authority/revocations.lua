--- Tells what was revoked, soon after it was: by an operator, through the control role or in the
--- ledger itself, by another authority, or by this one. The ledger has the order in which that
--- happened, and a look where nothing did reads one row.
---
---   local watch = revocations.new(authority)
---   watch:on_revoked(function(rows, more) ... end)
---   watch:start()
local clock = require "lest.server.authority.clock"
local core = require "lest.core"
local lines = require "lest.server.wire.lines"
local record = require "lest.server.authority.record"

local M = {}

local LOOK_MS <const> = 250
--- So many are told one by one; where there are more, that there are.
M.MOST = 256

local failures <const> = lines.new "revocations not looked at"

---@class lest.authority.revocations
---@field authority lest.authority
---@field after integer the place of the last one that was told
---@field listeners function[]
local Revocations = {}
Revocations.__index = Revocations

---@param authority lest.authority with its ledger and its turn
---@return lest.authority.revocations
function M.new(authority)
  local newest = record.rows(authority.ledger, "revocation_newest")[1].seq
  return setmetatable({ authority = authority, after = newest, listeners = {} }, Revocations)
end

--- Have fn(rows, more) called with what was revoked: rows of serial and issuer, and whether there
--- are others. A revocation may be told twice, and one that is not on disk yet may come to nothing.
---@param fn fun(rows: { serial: string, issuer: string }[], more: boolean)
function Revocations:on_revoked(fn)
  table.insert(self.listeners, fn)
end

local function tell(self)
  local ledger = self.authority.ledger
  local newest = record.rows(ledger, "revocation_newest")[1].seq
  if newest == self.after then return end
  local rows = record.rows(ledger, "revocation_list", { after = self.after, limit = M.MOST })
  local last = rows[#rows]
  local more = last ~= nil and last.seq < newest
  for _, listener in ipairs(self.listeners) do listener(rows, more) end
  -- A place that this process has written, and that is undone, is given once more.
  self.authority.turn:when_durable(function(durable)
    if durable then self.after = math.max(self.after, newest) end
  end)
end

--- Look now, and then again and again.
function Revocations:start()
  if not self.authority.turn.hung then
    local ok, problem = pcall(tell, self)
    if not ok then failures:write("error", { "message", tostring(problem) }) end
  end
  self.timer = core.loop.timer(clock.every_ms(LOOK_MS), function() self:start() end)
end

function Revocations:stop()
  if self.timer then self.timer:close() end
  self.timer = nil
end

return M
