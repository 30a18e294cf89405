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
local fail = require "lest.base.fail"

local M = {}

local Turn = {}
Turn.__index = Turn

-- Closed on each way out of a unit.
local Savepoint <const> = {}
function Savepoint:__close()
  if not self.kept then assert(self.ledger:rollback_to()) end
  assert(self.ledger:release())
end

-- A disk that takes longer than this for one sync does not answer.
local SLOW_MS <const> = 5000

-- A ledger that could not be written is said to be one for so long, unless something was written
-- since: with nobody who sends it a request, it would be found out no more that it can be.
local REFUSED_MS <const> = 30000

---@class lest.authority.turn
---@field ledger lest.ledger
---@field is_open boolean there is a transaction
---@field has_written boolean a unit ran in it
---@field waiting table[] calls that wait for the open transaction, or for a sync of their own
---@field syncing table[]|nil calls that wait for the batch that is being synced
---@field before_commit function called in the open transaction, before it is committed
---@field failed boolean the disk took something and lost it: this process can promise nothing more
---@field lost lest.error|nil it has failed because the ledger was taken away
---@field hung lest.error|nil the disk does not answer
---@field undone integer how many transactions could not be kept
---@field refused_at? integer monotonic ms: when it could not be written, and nothing was since
---@param ledger lest.ledger
---@param slow_ms? integer when a sync takes too long
---@return lest.authority.turn
function M.new(ledger, slow_ms)
  return setmetatable({
    ledger = ledger, is_open = false, has_written = false, waiting = {}, failed = false,
    undone = 0,
    before_commit = function() end,
    slow_ms = slow_ms or SLOW_MS,
    savepoint = setmetatable({ ledger = ledger }, Savepoint),
  }, Turn)
end

-- Nothing that this process commits can be promised any more.
local function fail_for_good(self, err)
  self.failed = true
  if core.error.is(err) and err.code == "ledger_lost" then self.lost = err end
end

--- Begin the turn's transaction. Somebody else's lock is waited for once a turn, not once a
--- message: the loop must go on turning.
---@return boolean|nil begun
---@return lest.error|nil err
function Turn:begin()
  if self.is_open then return true end
  local problem = self.hung or self.locked
  if problem then return nil, problem end
  local begun, err = self.ledger:begin()
  if not begun then
    self.locked = err
    if err.code ~= "ledger_busy" then self.refused_at = core.clock.monotonic_ms() end
    if err.code == "ledger_lost" then fail_for_good(self, err) end
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
--- could not be kept, and of what was decided in it nothing happened, or where the disk does not
--- answer, and that is not known.
---@param fn fun(durable: boolean, ...)
---@param ... any
function Turn:when_durable(fn, ...)
  if self.hung then
    fn(false, ...)
  elseif self.is_open and self.has_written then
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
  if self.hung then return fn(false, ...) end
  table.insert(self.waiting, table.pack(fn, ...))
end

--- Sync for nobody: whether the ledger is there still, and its disk answers, should be known before
--- a client needs it.
function Turn:check()
  self:when_synced(function() end)
end

local function call_all(batch, durable)
  for _, each in ipairs(batch) do
    local ok, problem = pcall(each[1], durable, table.unpack(each, 2, each.n))
    if not ok then core.log.write("error", "answer lost", { "message", tostring(problem) }) end
  end
end

--- The batch that is being synced is durable, or it may be lost. Then what waits for it never
--- leaves, and nothing that this process commits can be promised any more: the kernel tells once
--- that it could not write, and takes the pages for clean. The process ends, and its successor
--- begins with what is in the ledger.
local function on_sync(self, durable, err)
  if not durable then
    core.log.write("error", "the ledger cannot be synced", { "message", tostring(err) })
    return fail_for_good(self, err)
  end
  if self.hung then core.log.write("info", "the ledger's disk answers again") end
  local batch = self.syncing
  self.syncing, self.hung = nil, nil
  call_all(batch, true)
end

--- Requests do not wait for a disk that does not answer. Of the batch that it has, nothing is known
--- yet; the transaction that waits for it is undone. The loop that goes on hides all this from the
--- watchdog.
local function give_up(self)
  local err = select(2, fail("ledger", "the ledger's disk does not answer"))
  core.log.write("error", err.message, { "waiting", #self.syncing + #self.waiting })
  if self.is_open then self.ledger:rollback() end
  self.undone = self.undone + 1
  local batch, waiting = self.syncing, self.waiting
  self.hung, self.is_open, self.has_written, self.syncing, self.waiting = err, false, false, {}, {}
  call_all(batch, false)
  call_all(waiting, false)
end

-- One timer for many batches: most are over long before it is.
local function watch(self)
  if self.watcher then return end
  local left = self.slow_at - core.clock.monotonic_ms()
  self.watcher = core.loop.timer(math.max(left, 1), function()
    self.watcher = nil
    if not self.syncing or self.hung or self.failed then return end
    if core.clock.monotonic_ms() < self.slow_at then return watch(self) end
    give_up(self)
  end)
end

--- End of a turn of the loop: commit, unless a batch is being synced, and let go what waited once
--- that is durable. A transaction in which nothing was written holds the ledger's lock no longer.
function Turn:settle()
  self.locked = nil
  if self.is_open and not self.has_written then
    self.ledger:rollback()
    self.is_open = false
  end
  if self.syncing then return end
  if not (self.is_open or self.waiting[1]) then return end
  if self.is_open then self.before_commit() end
  local batch, is_open = self.waiting, self.is_open
  self.waiting, self.is_open, self.has_written, self.syncing = {}, false, false, batch
  self.slow_at = core.clock.monotonic_ms() + self.slow_ms
  watch(self)
  local function callback(durable, err)
    if durable and is_open then self.refused_at = nil end
    on_sync(self, durable, err)
  end
  local step = is_open and self.ledger.commit or self.ledger.sync
  local ok, committed, err = pcall(step, self.ledger, callback)
  if not ok then return on_sync(self, nil, committed) end
  if committed or not is_open then return end
  core.log.write("error", "the ledger cannot be written", { "message", tostring(err) })
  self.refused_at = core.clock.monotonic_ms()
  self.ledger:rollback()
  self.undone = self.undone + 1
  self.syncing = nil
  call_all(batch, false)
end

--- What can be said of the ledger without asking it.
---@return "ok"|"refused"|"hung"|"lost"
function Turn:state()
  if self.failed then return "lost" end
  if self.hung then return "hung" end
  local refused_at = self.refused_at
  return refused_at and core.clock.monotonic_ms() - refused_at < REFUSED_MS and "refused" or "ok"
end

--- Wait for what is under way, at the end of the process.
function Turn:finish()
  self:settle()
  while self.syncing and not (self.failed or self.hung) do core.loop.turn() end
end

return M
