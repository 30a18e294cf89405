--- Who waits for a reload: the supervisor says what came of it, in a generation that was there.
local core = require "lest.core"
local frames = require "lest.server.control.frames"
local json = require "lest.json"
local terminal = require "lest.base.terminal"

local M = {}

-- Says to who waits that the server lives.
local ALIVE_MS <const> = 5000
-- What was told before this process was to end has come by then.
local LAST_MS <const> = 1000
local REASON_MAX <const> = 2000

---@class lest.control.reloads
local Reloads = {}
Reloads.__index = Reloads

---@return lest.control.reloads
function M.new()
  return setmetatable({ waiting = {} }, Reloads)
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
    each.visitor:send(exit_code == 0 and frames.result(each.id, { ok = true })
      or frames.failure(each.id, exit_code == 2 and "config" or "io", words_of(reason)))
  end
  self.waiting = {}
  if self.timer then self.timer:close() end
end

local function alive(self)
  for _, each in pairs(self.waiting) do
    each.visitor:send(frames.part(each.id, { alive = true }))
  end
  self.timer = core.loop.timer(ALIVE_MS, function() alive(self) end)
end

--- Reload; the answer comes when that is over.
---@param visitor lest.control.visitor
---@param frame table
function Reloads:ask(visitor, frame)
  if self.waiting[visitor] then
    return visitor:send(frames.failure(frame.id, "usage", "one reload after the other"))
  end
  core.log.write("info", "reload asked", { "uid", visitor.peer.uid })
  self.waiting[visitor] = { visitor = visitor, id = frame.id }
  core.process.reload(function(...) settle(self, ...) end)
  if self.timer then self.timer:close() end
  alive(self)
end

---@param visitor lest.control.visitor
function Reloads:leave(visitor)
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
