--- Who waits for a reload: the supervisor says what came of it, in a generation that was there.
local alive = require "lest.server.control.alive"
local core = require "lest.core"
local frames = require "lest.server.control.frames"
local json = require "lest.json"
local terminal = require "lest.base.terminal"

local M = {}

-- Between a start or a wish and the wish of an account that could not send the signal either: each
-- is a generation of processes.
local EVERY_MS <const> = 10000
-- What was told before this process was to end has come by then.
local LAST_MS <const> = 1000
local REASON_MAX <const> = 2000

---@class lest.control.reloads
local Reloads = {}
Reloads.__index = Reloads

---@param may_always fun(uid: integer): boolean who could send the signal as well
---@return lest.control.reloads
function M.new(may_always)
  return setmetatable({ waiting = {}, may_always = may_always,
    last_ms = core.clock.monotonic_ms() }, Reloads)
end

-- A line of the log, or a sentence.
local function words_of(reason)
  local line = json.decode(reason)
  local text = type(line) == "table" and (line.message or line.event) or reason
  if type(text) ~= "string" or text == "" then text = "the log says why" end
  return terminal.line(text, REASON_MAX)
end

local function settle(self, exit_code, reason)
  for _, each in pairs(self.waiting) do
    each.alive:close()
    each.visitor:send(exit_code == 0 and frames.result(each.id, { ok = true })
      or frames.failure(each.id, exit_code == 2 and "config" or "io", words_of(reason)))
  end
  self.waiting = {}
end

-- Seconds until an account may ask.
local function wait_of(self, uid)
  local left_ms = self.last_ms + EVERY_MS - core.clock.monotonic_ms()
  if left_ms <= 0 or self.may_always(uid) then return nil end
  return (left_ms + 999) // 1000
end

--- Reload; the answer comes when that is over.
---@param visitor lest.control.visitor
---@param frame table
function Reloads:ask(visitor, frame)
  if self.waiting[visitor] then
    return visitor:refuse(frame, "usage", "one reload after the other")
  end
  local wait_s = wait_of(self, visitor.peer.uid)
  if wait_s then
    return visitor:refuse(frame, "unavailable",
      ("the server has just been reloaded or asked to be: wait %d s"):format(wait_s))
  end
  core.log.write("info", "reload asked", { "uid", visitor.peer.uid })
  self.last_ms = core.clock.monotonic_ms()
  local waiting = { visitor = visitor, id = frame.id, alive = alive.new(visitor, frame.id) }
  self.waiting[visitor] = waiting
  core.process.reload(function(...) settle(self, ...) end)
  waiting.alive:start()
end

---@param visitor lest.control.visitor
function Reloads:leave(visitor)
  local waiting = self.waiting[visitor]
  if waiting then waiting.alive:close() end
  self.waiting[visitor] = nil
end

--- This process ends: turn the loop until those who wait were told, which cannot take long.
function Reloads:finish()
  local late = not next(self.waiting)
  local timer = core.loop.timer(LAST_MS, function() late = true end)
  while next(self.waiting) and not late do core.loop.turn() end
  timer:close()
end

return M
