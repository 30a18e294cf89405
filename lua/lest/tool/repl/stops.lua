--- What a prompt says of a decision that is stepped through, live (repl/remote) or recorded
--- (repl/desk): where it stands and what its rules and tests said. None of it reaches the terminal
--- as it is.
local terminal = require "lest.base.terminal"

local M = {}

local LINES_MAX <const>, LINE_MAX <const> = 300, 500

--- A text as one short line.
---@param text any
---@return string
function M.safe(text)
  return terminal.line(tostring(text), LINE_MAX)
end

local safe <const> = M.safe

--- The steps that an event tells of, a line each.
---@param event table
---@return string
function M.steps(event)
  local lines = {}
  for i, line in ipairs(type(event.steps) == "table" and event.steps or {}) do
    if i > LINES_MAX then break end
    local indent = tostring(line):match "^ *"
    lines[i] = ("    %s%s\n"):format(indent:sub(1, 40), safe(line))
  end
  return table.concat(lines)
end

--- Whose request it is.
---@param each table
---@return string
function M.who(each)
  return ("%s, %s of %s (label %s)"):format(safe(each.id or "?"), safe(each.operation or "?"),
    safe(each.principal or "nobody"), safe(each.label or "?"))
end

--- A verdict in words.
---@param each { verdict?: string, rule?: string, reason?: string }
---@return string
function M.verdict(each)
  local text = safe(each.verdict or "?")
  if each.rule then text = ("%s by %s"):format(text, safe(each.rule)) end
  if each.reason then text = ("%s: %s"):format(text, safe(each.reason)) end
  return text
end

local PLACES <const> = { start = "before its policy", rule = "before the rule",
  outside = "before it asks", verdict = "with its verdict" }

--- Where a parked request stands.
---@param request table as lest.console.holding describes it
---@return string
function M.place(request)
  local name = request.at == "verdict" and M.verdict(request) or request.name
  return (PLACES[request.at] or "somewhere") .. (name and " " .. safe(name) or "")
end

return M
