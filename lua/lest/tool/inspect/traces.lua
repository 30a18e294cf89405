--- What a decision did, for people: a line for each rule and test, and for each question to the
--- outside with its answer. What comes from a request or a service is made fit for a terminal.
local json = require "lest.json"
local terminal = require "lest.base.terminal"

local M = {}

-- Characters of an answer from outside.
local ANSWER_MAX <const> = 200

local function clean(value)
  return terminal.safe(tostring(value))
end

--- A short time.
---@param us integer
---@return string
function M.duration(us)
  return us < 1000 and ("%d us"):format(us) or ("%.1f ms"):format(us / 1000)
end

local function left_out(more)
  return more and more > 0 and ("  ... %d more\n"):format(more) or ""
end

--- The steps of a decision, in lines.
---@param steps lest.trace.step[]
---@param more? integer how many were left out
---@return string
function M.steps(steps, more)
  local lines = {}
  for i, step in ipairs(steps) do
    lines[i] = ("  %9s  %-11s  %s%s%s%s\n"):format(M.duration(step.us), clean(step.outcome),
      ("  "):rep(math.min(step.depth, 20)), step.kind == "test" and "? " or "", clean(step.name),
      step.saw ~= nil and ": " .. clean(step.saw) or "")
  end
  return table.concat(lines) .. left_out(more)
end

local function answer_of(call)
  if call.err then
    return (call.err.code and call.err.code .. ": " or "") .. tostring(call.err.message)
  end
  if call.is_nothing then return "nothing" end
  local answer = call.answer
  if answer == nil then
    return call.sha256 and "not kept; its hash is " .. call.sha256 or ""
  end
  local text = type(answer) == "table" and answer.body
  return terminal.line(type(text) == "string" and text or json.line(answer), ANSWER_MAX)
end

--- What was asked outside, in lines.
---@param calls lest.trace.call[]
---@param more? integer how many were left out
---@return string
function M.calls(calls, more)
  local lines = {}
  for i, call in ipairs(calls) do
    local kind = call.kind .. (call.status and " " .. call.status or "")
    lines[i] = ("  %9s  %-11s  %s\n%26s%s\n"):format(M.duration(call.us), clean(kind),
      clean(call.question), "", clean(answer_of(call)))
  end
  return table.concat(lines) .. left_out(more)
end

return M
