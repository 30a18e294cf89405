--- The ledger's work. A unit is what one request reads and writes, all of it or nothing; the units
--- that come while the disk is busy share a transaction, each in a savepoint of its own, so that a
--- failure costs no neighbour. What depends on a unit leaves when the transaction is on disk.
---
---   local ok, row = pcall(turn.unit, turn, step, ...)
---   turn:when_durable(function(durable) ... end)
---   turn:settle()                       -- at the end of each turn of the loop
---
--- One batch at a time is synced, in a thread. What comes meanwhile goes into the next transaction,
--- which stays open until then. A step must not wait for anything but the ledger: its savepoint is
--- the only one.
local core = require "lest.core"

local M = {}

local Turn = {}
Turn.__index = Turn

-- Closed on each way out of a unit.
local Savepoint <const> = {}
function Savepoint:__close()
  if not self.kept then assert(self.ledger:rollback_to()) end
  assert(self.ledger:release())
end

-- A disk that takes longer than this for one sync is told of.
local SLOW_MS <const> = 5000

---@class lest.authority.turn
---@field ledger lest.ledger
---@field is_open boolean there is a transaction
---@field has_written boolean a unit ran in it
---@field waiting table[] calls that wait for the open transaction, or for a sync of their own
---@field syncing table[]|nil calls that wait for the batch that is being synced
---@field failed boolean the disk took something and lost it: this process can promise nothing more
---@param ledger lest.ledger
---@return lest.authority.turn
function M.new(ledger)
  return setmetatable({
    ledger = ledger, is_open = false, has_written = false, waiting = {}, failed = false,
    savepoint = setmetatable({ ledger = ledger }, Savepoint),
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
  self.has_written = true
  assert(self.ledger:savepoint())
  savepoint.kept = false
  local closing <close> = savepoint -- luacheck: ignore 211
  local result = step(...)
  savepoint.kept = true
  return result
end

--- Call fn(durable, ...) once all that was read and written so far is durable: at once, or with the
--- open transaction, or with the batch that is being synced. durable is false where the transaction
--- could not be kept: of what was decided in it nothing happened.
---@param fn fun(durable: boolean, ...)
---@param ... any
function Turn:when_durable(fn, ...)
  if self.is_open and self.has_written then
    table.insert(self.waiting, table.pack(fn, ...))
  elseif self.syncing then
    table.insert(self.syncing, table.pack(fn, ...))
  else
    fn(true, ...)
  end
end

--- As when_durable, where what was read may be another authority's, which has committed it just
--- now: it waits for a sync in any case.
---@param fn fun(durable: boolean, ...)
---@param ... any
function Turn:when_synced(fn, ...)
  table.insert(self.waiting, table.pack(fn, ...))
end

local function call_all(batch, durable)
  for _, each in ipairs(batch) do
    local ok, problem = pcall(each[1], durable, table.unpack(each, 2, each.n))
    if not ok then core.log.write("error", "answer lost", { "message", tostring(problem) }) end
  end
end

--- A batch is durable, or it may be lost. Then what waits for it never leaves, and nothing that
--- this process commits can be promised any more: the kernel tells once that it could not write,
--- and takes the pages for clean. The process ends, and its successor begins with what is in the
--- ledger.
local function on_sync(self, batch, durable, err)
  if not durable then
    core.log.write("error", "the ledger cannot be synced", { "message", tostring(err) })
    self.failed = true
    return
  end
  self.syncing = nil
  call_all(batch, true)
end

-- Requests wait, and the loop that goes on hides it from the watchdog.
local function tell_slow(self)
  if core.clock.monotonic_ms() < self.slow_at then return end
  self.slow_at = math.maxinteger
  core.log.write("error", "the ledger's disk does not answer", { "waiting", #self.syncing })
end

--- End of a turn of the loop: commit, unless a batch is being synced, and let go what waited once
--- that is durable. A transaction in which nothing was written holds the ledger's lock no longer.
function Turn:settle()
  self.locked = nil
  if self.is_open and not self.has_written then
    self.ledger:rollback()
    self.is_open = false
  end
  if self.syncing then return tell_slow(self) end
  if not (self.is_open or self.waiting[1]) then return end
  local batch, is_open = self.waiting, self.is_open
  self.waiting, self.is_open, self.has_written, self.syncing = {}, false, false, batch
  self.slow_at = core.clock.monotonic_ms() + SLOW_MS
  local function callback(durable, err) on_sync(self, batch, durable, err) end
  local step = is_open and self.ledger.commit or self.ledger.sync
  local ok, committed, err = pcall(step, self.ledger, callback)
  if not ok then return on_sync(self, batch, nil, committed) end
  if committed or not is_open then return end
  core.log.write("error", "the ledger cannot be written", { "message", tostring(err) })
  self.ledger:rollback()
  self.syncing = nil
  call_all(batch, false)
end

--- Wait for what is under way, at the end of the process.
function Turn:finish()
  self:settle()
  while self.syncing and not self.failed do core.loop.turn() end
end

return M
