--- What shadows say of requests that were decided: kept in bounds, for `lest policy shadow`. A
--- worker tells it once for each verdict that it has brought, of a label that has a shadow, and
--- soon; of anything else nothing is kept. Nothing follows from it.
---
---   shadows:expect(channel, request)     -- with its verdict
---   shadows:note(channel, said)
---   shadows:flush()                      -- before a commit
local core = require "lest.core"
local lines = require "lest.server.wire.lines"
local record = require "lest.server.authority.record"

local M = {}

-- Requests of one worker that a shadow may still speak of; and rows of the ledger, the newest.
local EXPECTED_MAX <const>, ROWS <const> = 256, 100000
local WAIT_MS <const> = 1000
-- Rows that wait for the ledger: more are not kept.
local KEPT_MAX <const> = 2000

---@class lest.authority.shadows
---@field turn lest.authority.turn
---@field kept table[] rows to be written
local Shadows = {}
Shadows.__index = Shadows

---@param turn lest.authority.turn
---@return lest.authority.shadows
function M.new(turn)
  return setmetatable({ turn = turn, kept = {} }, Shadows)
end

--- A worker has brought a verdict: its shadow's may follow.
---@param channel lest.authority.channel
---@param request lest.authority.request
function Shadows.expect(_, channel, request)
  if not request.label.shadow then return end
  local expected = channel.expected or { first = 1, last = 0, labels = {} }
  channel.expected = expected
  expected.last = expected.last + 1
  expected[expected.last] = request.id
  expected.labels[request.id] = request.begin.label
  if expected.last - expected.first < EXPECTED_MAX then return end
  expected.labels[expected[expected.first]] = nil
  expected[expected.first] = nil
  expected.first = expected.first + 1
end

local bad_shadows <const> = lines.new "bad shadow"

-- The label of a request that a worker may speak of, once.
local function take(channel, id)
  local labels = channel.expected and channel.expected.labels
  local label = labels and labels[id]
  if label then labels[id] = nil end
  return label
end

--- Keep what a shadow said.
---@param channel lest.authority.channel
---@param said table the worker's message
function Shadows:note(channel, said)
  local label = take(channel, said.id)
  if not label then
    return bad_shadows:write("warning", { "id", said.id, "worker_pid", channel.pid })
  end
  if #self.kept >= KEPT_MAX then return end
  table.insert(self.kept, {
    request_id = said.id, time_us = core.clock.wall_us(), label = label, verdict = said.verdict,
    rule = said.rule, reason = said.reason, detail = said.detail, stated = record.stated(said),
    missing = said.missing, policy_file = said.policy_file, policy_hash = said.policy_hash,
    duration_us = said.duration_us,
  })
  self.timer = self.timer or core.loop.timer(WAIT_MS, function()
    self.timer = nil
    self:flush()
  end)
end

local function write(ledger, rows)
  for _, row in ipairs(rows) do record.run(ledger, "shadow_add", row) end
  record.run(ledger, "shadow_trim", { rows = ROWS })
end

--- Write what was kept, in the open transaction or in one of its own; where the ledger takes none
--- of it, it is lost: no request depends on it.
function Shadows:flush()
  local rows = self.kept
  if not rows[1] then return end
  self.kept = {}
  pcall(self.turn.unit, self.turn, write, self.turn.ledger, rows)
end

return M
