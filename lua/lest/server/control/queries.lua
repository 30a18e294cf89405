--- Questions to the ledger from a prompt (query.lua), each in a process of its own with a deadline:
--- a ledger that answers slowly keeps no other visitor waiting.
local frames = require "lest.server.control.frames"
local query = require "lest.server.control.query"

local M = {}

local SECONDS <const>, WAITING_MAX <const>, SEND_MS <const> = 10, 8, 5000
local SIGALRM <const> = 14

---@class lest.control.queries
local Queries = {}
Queries.__index = Queries

---@param config table the server's
---@param children lest.control.children
---@return lest.control.queries
function M.new(config, children)
  return setmetatable({ config = config, children = children }, Queries)
end

-- In the child.
local function answer(self, visitor, frame)
  local rows, err = query.ask(self.config, frame.what, frame.query)
  local text = rows and frames.result(frame.id, rows)
    or frames.failure(frame.id, err.code, err.message)
  return visitor.channel:send_wait(text, SEND_MS) and 0 or 1
end

local go_on

local function start(self, visitor, frame)
  if self.children:is_full(visitor.peer.uid) then
    return visitor:refuse(frame, "unavailable", "too many commands run at once")
  end
  local child, err = self.children:start(visitor, SECONDS, function()
    return answer(self, visitor, frame)
  end, function(code)
    visitor.query = nil
    if code == 128 + SIGALRM then
      visitor:refuse(frame, "timeout", ("the ledger did not answer within %d s"):format(SECONDS))
    elseif code ~= 0 then
      visitor:refuse(frame, "unavailable", "the ledger could not be asked")
    end
    go_on(self, visitor)
  end)
  if not child then return visitor:refuse(frame, err.code, err.message) end
  visitor.query = child
end

-- With the first of those that wait; one that cannot be asked is refused, and keeps nobody waiting.
function go_on(self, visitor)
  while visitor.channel and visitor.queries[1] and not visitor.query do
    start(self, visitor, table.remove(visitor.queries, 1))
  end
end

--- Ask; of one visitor one after the other.
---@param visitor lest.control.visitor
---@param frame table
function Queries:ask(visitor, frame)
  visitor.queries = visitor.queries or {}
  if not visitor.query then return start(self, visitor, frame) end
  if #visitor.queries >= WAITING_MAX then
    return visitor:refuse(frame, "unavailable", "too many questions wait")
  end
  table.insert(visitor.queries, frame)
end

return M
