--- The processes that the control role forks, each for one thing that a visitor asked for, so that
--- none of them keeps the others waiting: how many there may be, and their ends.
local core = require "lest.core"

local M = {}

-- Processes at once: with root's, of all others, and of one account.
local ALL <const>, ACCOUNTS <const>, PER_ACCOUNT <const> = 16, 12, 8
local SIGCHLD <const> = 17

---@class lest.control.child
---@field pid integer
---@field visitor lest.control.visitor
---@field input file* what it reads
---@field on_end fun(code: integer) its exit code, or 128 and the signal that ended it

---@class lest.control.children
---@field by_pid table<integer, lest.control.child>
---@field count integer
local Children = {}
Children.__index = Children

---@return lest.control.children
function M.new()
  local self = setmetatable({ by_pid = {}, count = 0 }, Children)
  self.on_signal = core.loop.signal(SIGCHLD, function() self:reap() end)
  return self
end

--- Whether an account may have one more.
---@param uid integer
---@return boolean
function Children:is_full(uid)
  if uid == 0 then return self.count >= ALL end
  local mine = 0
  for _, child in pairs(self.by_pid) do
    if child.visitor.peer.uid == uid then mine = mine + 1 end
  end
  return self.count >= ACCOUNTS or mine >= PER_ACCOUNT
end

--- Fork one, which runs run() and is ended after so many seconds.
---@param visitor lest.control.visitor
---@param seconds integer
---@param run fun(): integer
---@param on_end fun(code: integer)
---@return lest.control.child?
---@return lest.error? err
function Children:start(visitor, seconds, run, on_end)
  local pid, input = core.process.errand(visitor.channel, seconds, run)
  if not pid then return nil, input end
  local child = { pid = pid, visitor = visitor, input = input, on_end = on_end }
  self.by_pid[pid], self.count = child, self.count + 1
  return child
end

function Children:reap()
  while true do
    local pid, code = core.process.reap()
    if not pid then return end
    local child = self.by_pid[pid]
    if child then
      self.by_pid[pid], self.count = nil, self.count - 1
      if child.input then child.input:close() end
      child.on_end(code)
    end
  end
end

return M
