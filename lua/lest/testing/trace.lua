--- A decision in words, for the message of an assertion that failed: the request, the rules that
--- were asked in their order, what was asked outside, the verdict.
local core = require "lest.core"
local duration = require "lest.duration"
local journals = require "lest.policy.journal"
local requests = require "lest.testing.request"
local terminal = require "lest.base.terminal"

local M = {}

local LINE_MAX <const> = 400

local function add(lines, format, ...)
  local text = format:format(...)
  lines[#lines + 1] = text:match "^ *" .. terminal.line(text, LINE_MAX)
end

--- Names as a line.
---@param subject lest.name|nil
---@param san string[]|nil
---@return string
function M.names(subject, san)
  local words = {}
  local der = subject and core.name.encode(subject)
  local name = der and core.name.decode(der)
  if name and #name > 0 then words[1] = tostring(name) end
  for _, each in ipairs(san or {}) do words[#words + 1] = each end
  return words[1] and table.concat(words, " ") or "no name"
end

--- What came out, as a line.
---@param decision lest.testing.decision
---@return string
function M.outcome(decision)
  local outcome, verdict = decision.outcome, decision.verdict
  if outcome.problem then
    return ("%s: the profile does not allow what the policy approves: %s"):format(outcome.verdict,
      outcome.problem)
  elseif outcome.verdict == "approve" then
    return ("approve: %s%s"):format(M.names(outcome.subject or verdict.subject,
      outcome.san or verdict.san),
      outcome.lifetime and ", for " .. duration.format(outcome.lifetime) or "")
  end
  return outcome.reason and ("%s: %s"):format(outcome.verdict, outcome.reason) or outcome.verdict
end

local function add_steps(lines, journal)
  local steps, more = journals.steps(journal)
  if #steps > 0 then lines[#lines + 1] = "rules:" end
  for _, step in ipairs(steps) do
    add(lines, "%s%s: %s%s", ("  "):rep(step.depth + 1), step.name, step.outcome,
      step.saw ~= nil and (" (%s)"):format(step.saw) or "")
  end
  if more > 0 then add(lines, "  and %d more", more) end
end

local function add_calls(lines, journal)
  local calls = journals.calls(journal)
  if #calls > 0 then lines[#lines + 1] = "asked outside:" end
  for _, call in ipairs(calls) do
    add(lines, "  %s %s: %s", call.kind, call.question, call.status or call.err
      and (call.err.message or call.err) or "answered")
  end
end

-- A line of a stack that is of lest or of Lua itself: where a policy failed, its own lines say.
local function is_inside(line)
  local place = line:match "^%s+(%S+)"
  return place ~= nil and (place:find "^lest/" or place:find "^%[C%]" or place:find "^%(%.%.%.tail")
end

--- A decision in lines.
---@param decision lest.testing.decision
---@return string
function M.text(decision)
  local lines = {}
  add(lines, "request: %s", requests.text(decision.facts))
  if decision.journal then
    add_steps(lines, decision.journal)
    add_calls(lines, decision.journal)
  end
  add(lines, "verdict: %s", M.outcome(decision))
  if decision.verdict.rule then add(lines, "by: %s", decision.verdict.rule) end
  local detail = decision.verdict.detail
  if detail then
    lines[#lines + 1] = "detail:"
    for line in (tostring(detail) .. "\n"):gmatch "([^\n]*)\n" do
      if not is_inside(line) then add(lines, "  %s", line) end
    end
  end
  return table.concat(lines, "\n")
end

return M
