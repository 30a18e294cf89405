--- Events that wait for a hook which no policy of their label has any more, as after its file was
--- renamed: the log says so once, and so does each entry's problem, for whoever lists it.
---
---   stranded:tell(found)   -- within a unit; found: { { label = "default", policy = "/a.lua" } }
local core = require "lest.core"
local events = require "lest.server.ledger.outbox"
local record = require "lest.server.authority.record"

local M = {}

-- Entries that are changed at once, and counted at most.
local CHANGED_MOST <const>, COUNTED_MOST <const> = 1000, 100000
-- An operator's command that makes one due again may wait so long for the ledger.
local SLACK_S <const> = 30

---@class lest.authority.stranded
---@field ledger lest.ledger
---@field clock fun(): integer
---@field after table<string, integer> of those that the log has: what was due before is marked
local Stranded = {}
Stranded.__index = Stranded

---@param ledger lest.ledger
---@param clock fun(): integer seconds since 1970
---@return lest.authority.stranded
function M.new(ledger, clock)
  return setmetatable({ ledger = ledger, clock = clock, after = {} }, Stranded)
end

--- Say of whom nobody hears any more; within a unit. What becomes due later gets its problem then.
---@param found { label: string, policy: string }[]
function Stranded:tell(found)
  local now = self.clock()
  for _, at in ipairs(found) do
    local name = at.label .. "\0" .. at.policy
    local after = self.after[name]
    local changed = record.run(self.ledger, "outbox_stranded", { label = at.label,
      policy = at.policy, problem = events.NO_HOOK, after = after or 0,
      before = (after or 0) > 0 and now or math.maxinteger, limit = CHANGED_MOST })
    if not after then
      local count = record.rows(self.ledger, "outbox_count",
        { label = at.label, policy = at.policy, most = COUNTED_MOST })[1].count
      core.log.write("warning", "events wait for a hook that no policy has",
        { "label", at.label, "policy", at.policy, "count", count })
    end
    self.after[name] = changed < CHANGED_MOST and now - SLACK_S or after or 0
  end
end

return M
