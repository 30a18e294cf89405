--- What ends a decision from within a test: where it can answer neither yes nor no, no rule may go
--- on, whatever stands around it (policy.unless, policy.none). It is raised as an error, and the
--- decision ends with the verdict that it has.
local verdicts = require "lest.policy.verdicts"

local M = {}

local Stop <const> = { __name = "lest.policy.stop" }
function Stop:__tostring()
  return ("%s: %s"):format(self.verdict.reason, self.verdict.detail or "")
end

---@param kind "reject"|"unavailable"
---@param reason string what the client is told
---@param detail string for the ledger
function M.raise(kind, reason, detail)
  error(setmetatable({ verdict = verdicts[kind] { reason, detail = detail } }, Stop), 0)
end

--- The verdict of what was raised; nil for any other error.
---@param problem any
---@return lest.verdict|nil
function M.verdict(problem)
  return getmetatable(problem) == Stop and problem.verdict or nil
end

return M
