--- What others know of a device, by a key: a row of facts, or none. Where that cannot be told, the
--- decision ends (lest.policy.stop).
local closed = require "lest.policy.closed"
local core = require "lest.core"
local journal = require "lest.policy.journal"
local stop = require "lest.policy.stop"

local M = {}

local KEY_MAX <const> = 1024

--- What a key may be.
M.KEY = { what = "a key of 1 to 1024 bytes", accepts = function(text)
  return text ~= "" and #text <= KEY_MAX and core.utf8.is_text(text) and not text:find "%c"
end }

-- Of one: ask(self, key, request) gives the row's facts, or nil, and an error where that is not
-- known; name, for the ledger; place, for the log; takes_key; columns, what a row may have, where
-- that is known; class, that of its rows.

---@alias lest.policy.row table<string, any> facts by their names

---@class lest.policy.inventory
local Inventory = { __name = "lest.policy.inventory", __metatable = false }
Inventory.__index = Inventory

local known <const> = setmetatable({}, { __mode = "k" })

---@param fields table name, place, ask; columns and takes_key as above
---@return lest.policy.inventory
function M.new(fields)
  fields.class = closed.class("lest.policy.row", "a row of " .. fields.name, fields.columns)
  known[fields] = true
  return setmetatable(fields, Inventory)
end

---@param value any
---@return boolean
function M.is(value)
  return known[value] == true
end

-- How often the log is told of the same outage; and of an inventory in all, in so long: one that
-- comes and goes, or has another problem each time, fills no log. What is left out is said later,
-- if it is so still.
local TOLD_MS <const>, TOLD_MOST <const> = 60000, 20
-- What it was told of, by inventory: the problem, and when.
local told <const> = setmetatable({}, { __mode = "k" })

-- The lines of each since `ms`.
local written <const> = setmetatable({}, { __mode = "k" })

local function take_line(self, now_ms)
  local window = written[self]
  if not window or now_ms >= window.ms + TOLD_MS then
    window = { ms = now_ms, lines = 0 }
    written[self] = window
  end
  window.lines = window.lines + 1
  return window.lines <= TOLD_MOST
end

--- An operator hears of an outage once, not with each request.
local function tell(self, problem)
  local last, now_ms = told[self], core.clock.monotonic_ms()
  if problem == nil then
    if not last or not take_line(self, now_ms) then return end
    core.log.write("info", "inventory back", { "inventory", self.place })
    told[self] = nil
  elseif not last or last.problem ~= problem or now_ms >= last.ms + TOLD_MS then
    if not take_line(self, now_ms) then return end
    core.log.write("error", "inventory away", { "inventory", self.place, "message", problem })
    told[self] = { problem = problem, ms = now_ms }
  end
end

--- Ask where an inventory is, through the decision's journal.
---@param self lest.policy.inventory
---@param kind string of the question
---@param question string
---@param ask fun(): any, any the answer; or nil, and an error where there is none
---@param wrong? fun(answer: any): any what is wrong with an answer
---@return any answer
---@return any err
function M.outside(self, kind, question, ask, wrong)
  return journal.outside(kind, question, function()
    local answer, err = ask()
    local problem = err
    if answer ~= nil and wrong then problem = wrong(answer) end
    tell(self, problem ~= nil and tostring(problem) or nil)
    return answer, err
  end)
end

-- What the tests of policy.listed find.
local finders <const> = setmetatable({}, { __mode = "k" })

---@param test function
---@param find fun(request: lest.request): lest.policy.row|nil
---@param columns? table<string, any> what a row may have
function M.note_finder(test, find, columns)
  finders[test] = { find = find, columns = columns }
end

--- What a test of policy.listed finds for a request.
---@param test any
---@return (fun(request: lest.request): lest.policy.row|nil)|nil find nil for any other value
---@return table|nil columns
function M.finder(test)
  local found = finders[test]
  if found then return found.find, found.columns end
end

--- End a decision about a request that has nothing to ask by.
---@param detail string
function M.refuse(detail)
  stop.raise("reject", "no inventory can be asked about this request", detail)
end

--- Look a row up.
---@param self lest.policy.inventory
---@param key string|nil
---@param request lest.request|nil
---@return lest.policy.row|nil row
function M.find(self, key, request)
  local facts, err = self:ask(key, request)
  if err ~= nil then
    stop.raise("unavailable", "an inventory cannot be asked now",
      ("%s: %s"):format(self.name, tostring(err)))
  end
  return facts and closed.view(self.class, facts)
end

--- The row of a key, for a rule that is a function.
---
---   local device = devices:row(request.principal.name)
---   if device and device.site == "berlin" then ... end
---@param key string
---@return lest.policy.row|nil row nil: it is not in the inventory
function Inventory:row(key)
  if type(key) ~= "string" or not M.KEY.accepts(key) then
    error("inventory:row takes " .. M.KEY.what, 2)
  elseif not self.takes_key then
    error("the URL of this inventory has no ${key}: use policy.listed", 2)
  end
  return M.find(self, key)
end

return M
