--- Log lines of one kind that strangers can cause: so many of them are written in a period, and the
--- others are counted. (Those of C are in csrc/net/lines.c.)
---
---   local refusals = lines.new("refusal")
---   refusals:write("info", { "id", id, "detail", lines.short(detail) })
local core = require "lest.core"
local terminal = require "lest.base.terminal"

local M = {}

local MOST <const>, PERIOD_MS <const> = 200, 10000
local SHORT <const> = 200 -- bytes

---@class lest.lines
local Lines = {}
Lines.__index = Lines

---@param event string
---@return lest.lines
function M.new(event)
  return setmetatable({ event = event, written = 0, left_out = 0 }, Lines)
end

--- A stranger's text, as long as a log needs it; false for none.
---@param text string?
---@return string|false
function M.short(text)
  if not text or #text <= SHORT then return text or false end
  return terminal.line(text, SHORT)
end

local function start_period(self, now)
  if self.left_out > 0 then
    local told = ("%s: %d more within %d seconds"):format(self.event, self.left_out,
      (now - self.started_ms) // 1000)
    core.log.write("warning", "lines left out", { "message", told })
  end
  self.started_ms, self.written, self.left_out = now, 0, 0
end

--- Whether the next line is left out; then it is counted, and need not be made.
---@return boolean
function Lines:leaves_out()
  local now = core.clock.monotonic_ms()
  if not self.started_ms or now - self.started_ms >= PERIOD_MS then start_period(self, now) end
  if self.written < MOST or core.log.shows "debug" then return false end
  self.left_out = self.left_out + 1
  return true
end

--- Write a line, or count it; at level debug all are written.
---@param level string
---@param fields any[]
function Lines:write(level, fields)
  if self:leaves_out() then return end
  self.written = self.written + 1
  core.log.write(level, self.event, fields)
end

return M
