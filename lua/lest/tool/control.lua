--- The client's side of the control socket: a session with a server that runs.
---
---   local session <close>, err = control.enter(config.control.path)
---   local result, err = session:ask { op = "status" }
---
--- It waits as any task does (lest.task), or turns the loop itself where there is none.
local core = require "lest.core"
local fail = require "lest.base.fail"
local json = require "lest.json"
local task = require "lest.task"

local M = {}

local VERSION <const> = 1

--- How long a server may say nothing: longer than its watchdog lets a process hang.
M.PATIENCE_S = 15
local ENTER_MS <const> = 5000

---@class lest.tool.session
---@field path string
---@field is_open boolean
---@field on_event? fun(frame: table) what the server says unasked
local Session = { __name = "lest.control.session" }
Session.__index = Session

local function lose(self, err)
  self.is_open, self.lost = false, self.lost or err
  for id, waiting in pairs(self.waiting) do
    self.waiting[id] = nil
    waiting.done(nil, self.lost)
  end
end

local function broken(path, message)
  return core.error.new { code = "protocol", message = ("%s: %s"):format(path, message) }
end

-- Without an id: what is said to the connection as a whole, as that this account may not.
local function on_frame(self, text)
  local frame = json.decode(text)
  if type(frame) ~= "table" or frame.v ~= VERSION then
    return lose(self, broken(self.path, "its server speaks another version of this socket"))
  end
  local waiting = self.waiting[frame.id or false]
  if not frame.id and frame.error then return lose(self, core.error.new(frame.error)) end
  if not waiting then
    if self.on_event and frame.event then self.on_event(frame) end
    return
  end
  if not frame["end"] then return waiting.part(frame) end
  self.waiting[frame.id] = nil
  if frame.error then return waiting.done(nil, core.error.new(frame.error)) end
  waiting.done(frame.result == nil and true or frame.result)
end

--- Connect. Errors of this have `at_the_door`; of these, `not_found` and `closed` say that no
--- server runs there.
---@param path string
---@return lest.tool.session?
---@return lest.error? err
function M.enter(path)
  local channel, peer = core.door.enter(path, ENTER_MS)
  if not channel then
    peer.at_the_door = true
    return nil, peer
  end
  local self = setmetatable({ path = path, channel = channel, waiting = {}, last = 0,
    is_open = true }, Session)
  channel:on_message(function(text) on_frame(self, text) end)
  channel:on_close(function()
    lose(self, core.error.new { code = "closed", message = path .. ": the server has ended" })
  end)
  return self
end

--- Send a frame that wants no answer, or one more of what was asked before.
---@param frame table
---@return boolean? ok
---@return lest.error? err
function Session:send(frame)
  if not self.is_open then return nil, self.lost end
  frame.v = VERSION
  return self.channel:send(json.line(frame))
end

--- Ask, and wait for the last frame of the answer.
---@param frame table op and what belongs to it
---@param options? { patience_s: number, part: fun(frame: table) } how long it may say nothing;
--- part() is given each frame before the last
---@return any result
---@return lest.error? err
function Session:ask(frame, options)
  options = options or {}
  local patience_ms = math.ceil((options.patience_s or M.PATIENCE_S) * 1000)
  self.last = self.last + 1
  frame.id = self.last
  return task.await(function(callback)
    local timer
    local function done(...)
      self.waiting[frame.id] = nil
      if timer then timer:close() end
      callback(...)
    end
    local function wait()
      if timer then timer:close() end
      timer = core.loop.timer(patience_ms, function()
        done(fail("timeout", ("%s: the server does not answer within %d s"):format(self.path,
          patience_ms // 1000)))
      end)
    end
    self.waiting[frame.id] = { done = done, part = function(part)
      wait()
      if options.part then options.part(part) end
    end }
    wait()
    local ok, err = self:send(frame)
    -- Of a server that has hung up, what it said before is still to be read.
    if not ok and not (err.code == "closed" and self.is_open) then done(nil, err) end
    return { close = function()
      self.waiting[frame.id] = nil
      timer:close()
    end }
  end)
end

--- End it. Nothing that is asked is answered any more.
function Session:close()
  if self.channel then self.channel:close() end
  self.is_open, self.channel = false, nil
end
Session.__close = Session.close

return M
