--- One recorded decision on the desk, to be made again as often as one likes: by the policy of
--- then, by another one, or step by step. Nothing is asked outside: the record answers.
---
---   local record, kind, why = records.open(row)        -- of server/ledger/recorded
---   local before = record:before(policy)               -- of lest.desk.policy
---   local after = record:decide(policy)
---   difference.change(before, after.position)          --> "reject -> approve"
local decisions = require "lest.server.worker.decision"
local difference = require "lest.desk.difference"
local operations = require "lest.server.wire.operations"
local row_module = require "lest.desk.row"
local trace = require "lest.base.trace"

local M = {}

local OLDER <const> = "the policy asked something outside, and an older version wrote the row"

---@class lest.desk.record
---@field row table
---@field facts table the request, as lest.desk.policy:decide takes it
---@field stated table what the policy stated then
---@field source? lest.desk.source answers for the next decision
local Record = { __name = "lest.desk.record" }
Record.__index = Record

--- Read a row.
---@param row table
---@return lest.desk.record|nil
---@return "corrupt"|"no policy was asked"|nil kind of what is wrong with it
---@return string|nil why
function M.open(row)
  if row.problem then return nil, "corrupt", row.problem end
  local stated, problem = row_module.stated(row)
  if problem then return nil, "corrupt", problem end
  if not stated then return nil, "no policy was asked", row.reason or row.verdict end
  local facts, source = row_module.read(row)
  if not facts then return nil, "corrupt", source end
  return setmetatable({ row = row, facts = facts, stated = stated, source = source }, Record)
end

--- What was decided then, as what the profile makes of it today: it differs by the policy alone.
--- Raises where what was stated cannot be read.
---@param policy lest.desk.policy
---@return lest.desk.position
---@return lest.desk.outcome|nil outcome absent of a row of an older version
function Record:before(policy)
  local row = self.row
  if row_module.says_all(row) then
    local outcome = policy:outcome(self.facts, self.stated)
    return difference.position(outcome, row.rule), outcome
  end
  local issued = row.issued or {}
  return { verdict = row.verdict, reason = row.reason or row.detail, subject = issued.subject,
    san = issued.san }
end

--- The steps of then, and how many more there were.
---@return lest.trace.step[] steps
---@return integer more
function Record:steps()
  return trace.read_steps(self.row.trace)
end

--- What was answered from outside then, and how many more questions there were.
---@return lest.trace.call[] calls
---@return integer more
function Record:calls()
  return trace.read_calls(self.row.outside)
end

---@class lest.desk.decision
---@field verdict lest.verdict as of lest.desk.policy:decide
---@field outcome lest.desk.outcome
---@field position lest.desk.position
---@field journal lest.journal
---@field missing? string what the record has no answer to: the decision is none then

--- Decide it by a policy.
---@param policy lest.desk.policy
---@param options? { watch?: fun(event: lest.journal.event), on_limit?: fun(limit: lest.limit) }
---@return lest.desk.decision
function Record:decide(policy, options)
  options = options or {}
  -- It gives its answers in their order, once.
  local source = self.source or select(2, row_module.read(self.row))
  self.source = nil
  local verdict, journal, outcome = policy:decide(self.facts,
    { outside = source, watch = options.watch, on_limit = options.on_limit })
  local missing = source.missing and (row_module.says_all(self.row)
    and "the record has no answer to " .. source.missing or OLDER)
  local hook = policy.hooks[operations[self.facts.operation].hook]
  local rule = decisions.rule_of(verdict, hook) -- as the ledger has it
  return { verdict = verdict, outcome = outcome, position = difference.position(outcome, rule),
    journal = journal, missing = missing }
end

return M
