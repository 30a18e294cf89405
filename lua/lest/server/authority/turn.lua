--- The ledger's work in one turn of the loop. A unit is what one request reads and writes, all of
--- it or nothing; the units of a turn share a transaction, each in a savepoint of its own, so that
--- a failure costs no neighbour. What depends on a unit leaves when the transaction is durable.
---
---   local ok, row = pcall(turn.unit, turn, step, ...)
---   turn:when_durable(function(durable) ... end)
---   turn:settle()                       -- at the end of the loop's turn
---
--- A step must not wait for anything but the ledger: its savepoint is the only one.
local core = require "lest.core"

local M = {}

---@class lest.authority.turn
local Turn = {}
Turn.__index = Turn

-- Closed on each way out of a unit.
local Savepoint <const> = {}
function Savepoint:__close()
  if not self.kept then assert(self.ledger:rollback_to()) end
  assert(self.ledger:release())
end

---@param ledger lest.ledger
---@return lest.authority.turn
function M.new(ledger)
  return setmetatable({
    ledger = ledger, waiting = {}, savepoint = setmetatable({ ledger = ledger }, Savepoint),
  }, Turn)
end

--- Begin the turn's transaction. Somebody else's lock is waited for once a turn, not once a
--- message: the loop must go on turning.
---@return boolean|nil begun
---@return lest.error|nil err
function Turn:begin()
  if self.is_open then return true end
  if self.locked then return nil, self.locked end
  local begun, err = self.ledger:begin()
  if not begun then
    self.locked = err
    return nil, err
  end
  self.is_open = true
  return true
end

--- Run step(...) as one unit. An error in it undoes what it wrote, and is raised.
---@param step function
---@param ... any
---@return any result of step
function Turn:unit(step, ...)
  local begun, err = self:begin()
  if not begun then error(err, 0) end
  local savepoint = self.savepoint
  assert(self.ledger:savepoint())
  savepoint.kept = false
  local closing <close> = savepoint -- luacheck: ignore 211
  local result = step(...)
  savepoint.kept = true
  return result
end

--- Call fn(durable, ...) once all that was read and written so far is durable; at once where this
--- turn has no transaction. durable is false where the transaction could not be kept: of what was
--- decided in it nothing happened.
---@param fn fun(durable: boolean, ...)
---@param ... any
function Turn:when_durable(fn, ...)
  if not self.is_open then return fn(true, ...) end
  table.insert(self.waiting, table.pack(fn, ...))
end

--- End of a turn of the loop: commit, and let go what waited.
function Turn:settle()
  self.locked = nil
  if not self.is_open then return end
  self.is_open = false
  local waiting = self.waiting
  self.waiting = {}
  local committed, err = self.ledger:commit()
  if not committed then
    core.log.write("error", "the ledger cannot be written", { "message", tostring(err) })
    self.ledger:rollback()
  end
  for _, each in ipairs(waiting) do
    each[1](committed and true or false, table.unpack(each, 2, each.n))
  end
end

return M
