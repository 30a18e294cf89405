--- A recorded decision that is made again step by step: it is parked before each rule and each
--- question, as a live request is by an operator's break (worker/console/holding), and the time of
--- the decision stands still meanwhile.
---
---   local stepping = M.start(record, policy, function(event) ... end, true)
---   stepping:step()      -- to the next rule, question or verdict
---   stepping:resume()    -- to its end
---   stepping:result()    -- as of lest.desk.record:decide, once it is over
local core = require "lest.core"
local desk = require "lest.desk.policy"
local holding = require "lest.server.worker.console.holding"
local operations = require "lest.server.wire.operations"
local task = require "lest.task"

local M = {}

-- Nobody waits for the answer: it is parked as long as its prompt is there.
local HOLD_MS <const> = 365 * 86400 * 1000

-- What the worker's parking is to a holding: here there is no break but the steps, and room.
local Parking <const> = {}
Parking.__index = Parking
function Parking.claims() return false end
function Parking.enter() return true end
function Parking.leave() end
function Parking.tell_traces() end
function Parking.release_ms() return core.clock.monotonic_ms() + HOLD_MS end

---@class lest.desk.stepping
---@field held lest.console.holding
---@field running lest.task
---@field decision? lest.desk.decision
local Stepping = { __name = "lest.desk.stepping" }
Stepping.__index = Stepping

--- Begin, and park it before its first rule, or go on to its end.
---@param record lest.desk.record
---@param policy lest.desk.policy
---@param tell fun(event: table) is given the events of a holding: parked, decided
---@param is_stepped boolean
---@return lest.desk.stepping
function M.start(record, policy, tell, is_stepped)
  local facts = record.facts
  local self = setmetatable({}, Stepping)
  local request = { id = facts.id, who = facts.principal.name, operation = facts.operation,
    label = { name = facts.label, policy = policy }, row = operations[facts.operation] }
  local held = holding.new(setmetatable({}, Parking), request, desk.request(facts))
  held.session = { tell = function(_, event)
    local place = held.place
    if not (place and place.at == "start") then tell(event) end
  end }
  held.is_stepping = true
  self.held = held
  self.running = task.start({ quiet = true }, function()
    held:decide(function(by)
      held.limit = nil
      self.decision = record:decide(by, {
        watch = function(event) held:watch(event) end,
        on_limit = function(limit) held.limit = held.limit or limit end,
      })
      return self.decision.verdict
    end)
  end)
  if is_stepped then self:step() else self:resume() end
  return self
end

--- Whether it is decided.
---@return boolean
function Stepping:is_over()
  return self.running.done
end

local function go_on(self, is_stepping)
  if self:is_over() then return end
  self.held:go_on(is_stepping)
  self.held:await_change()
end

--- What it came to.
---@return lest.desk.decision
function Stepping:result()
  if not self.running.ok then error(self.running.results[1], 0) end
  return self.decision
end

--- Let it go on to its next rule, question or verdict.
function Stepping:step() go_on(self, true) end

--- Let it go on to its end.
function Stepping:resume() go_on(self, false) end

--- Begin anew with another policy, and stop at its first rule.
---@param policy lest.desk.policy
function Stepping:try(policy)
  if self:is_over() then return end
  self.held:try(policy)
  self.held:await_change()
end

--- Give it up.
function Stepping:close()
  self.held.session = nil
  self.running:cancel "given up"
end

return M
