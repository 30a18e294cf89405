--- A file that is read anew when it has changed. What was read of an earlier one is never used:
--- where the new one cannot be read, there is nothing until it can.
---
--- It is read between decisions, out of their limits, and all that ask meanwhile wait for the one
--- reading.
local core = require "lest.core"
local task = require "lest.task"

local M = {}

local FILE_MAX <const> = 16 * 1024 * 1024
-- A file that changes while it is read is read again, so often at once.
local TRIES <const> = 3

---@class lest.policy.watched
---@field path string
---@field parse fun(text: string, pause?: function): any, string?
---@field version? string of what was read
---@field value any nil: it could not be
---@field problem? string why not
local Watched = { __name = "lest.policy.watched" }
Watched.__index = Watched

---@param path string
---@param parse fun(text: string, pause?: function): any, string? makes a value of the file's text,
--- or nil and what is wrong
---@return lest.policy.watched
function M.new(path, parse)
  return setmetatable({ path = path, parse = parse }, Watched)
end

local function read_once(self, pause)
  local before, err = core.file.version(self.path)
  local text, value, problem
  if before then text, err = core.file.read_plain(self.path, FILE_MAX) end
  if not text then return nil, tostring(err) end
  local ok, result, wrong = pcall(self.parse, text, pause)
  value, problem = ok and result or nil, not ok and tostring(result) or wrong
  if core.file.version(self.path) ~= before then return nil, "it changes while it is read" end
  return value, problem, before
end

--- Read it now.
---@param pause? function for others to have a turn
---@return any value
---@return string? problem
function Watched:read(pause)
  for _ = 1, TRIES do
    self.value, self.problem, self.version = read_once(self, pause)
    if self.version then break end
  end
  return self.value, self.problem
end

local function pause() task.sleep(0) end

--- Read it in a task of its own, which belongs to no decision, and wait for its end.
local function read_apart(self)
  task.await(function(callback)
    self.waiters = self.waiters or {}
    table.insert(self.waiters, callback)
    self.timer = self.timer or core.loop.timer(0, function()
      task.start({ quiet = true }, function()
        local ok, raised = pcall(self.read, self, pause)
        if not ok then self.value, self.problem, self.version = nil, tostring(raised), nil end
        local waiters = self.waiters
        self.waiters, self.timer = nil, nil
        for _, waiter in ipairs(waiters) do waiter() end
      end)
    end)
  end)
end

--- What the file says now.
---@return any value nil: it cannot be read
---@return string? problem
function Watched:get()
  local version = core.file.version(self.path)
  if not version or version ~= self.version then
    if not task.inside() then self:read() else read_apart(self) end
  end
  return self.value, self.problem
end

return M
