--- The answers that a decision had from outside, for who makes it again.
---
---   local answers = recorded.new(trace.read_calls(row.outside))
---   local found, answer, err = answers:find("http", "GET https://inventory/42")
local M = {}

---@class lest.policy.recorded
local Recorded = { __name = "lest.policy.recorded" }
Recorded.__index = Recorded

---@param calls lest.trace.call[]
---@return lest.policy.recorded
function M.new(calls)
  local by_question = {}
  for _, call in ipairs(calls) do
    local key = call.kind .. " " .. call.question
    by_question[key] = by_question[key] or {}
    table.insert(by_question[key], call)
  end
  return setmetatable({ by_question = by_question }, Recorded)
end

--- Whether a record has all of an answer: of a long body it has the hash alone
--- (lest.base.http_record).
---@param answer any
---@return boolean
function M.is_whole(answer)
  return type(answer) ~= "table" or answer.body_sha256 == nil
end

--- The answer to a question, in the order in which it was asked; the last one stands for further
--- ones.
---@param kind string
---@param question string
---@return boolean found
---@return any answer
---@return any err
function Recorded:find(kind, question)
  local calls = self.by_question[kind .. " " .. question]
  local call = calls and (#calls > 1 and table.remove(calls, 1) or calls[1])
  if not call then return false end
  if call.answer ~= nil or call.is_nothing then return M.is_whole(call.answer), call.answer end
  return call.err ~= nil, nil, call.err
end

return M
