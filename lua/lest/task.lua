--- Tasks: sequential code that waits without blocking others.
---
--- Every wait goes through await(start): inside a task it yields to the loop, outside it turns the
--- loop until the answer is there. coroutine.resume and wrap are replaced, so that a wait inside a
--- script's own generator reaches its task.
---
---   local task = require "lest.task"
---   local a = task.spawn(function() task.sleep(1) return "done" end)
---   print(a:wait())
local core = require "lest.core"
local origin = require "lest.base.origin"

---@class lest.module.task
---@field failure? { err: any } the first error of a task that no other code waited for; it was
--- reported
local M = {}

--- What becomes of such an error; trace is a stack trace that begins with it, if there is one.
---@param err any
---@param trace? string
function M.report(err, trace)
  core.log.write("error", "task failed", { "message", trace or tostring(err) })
end

local raw_resume <const> = coroutine.resume
local raw_yield <const> = coroutine.yield
local pack <const>, unpack <const> = table.pack, table.unpack

-- What a waiting coroutine yields first; nothing outside of this file can yield it by accident.
local AWAIT <const> = setmetatable({}, { __name = "lest.await" })

---@class lest.task
---@field done boolean whether it has ended
local Task = { __name = "lest.task" }
Task.__index = Task

local current -- the task that is running
local alive = 0 -- tasks that have not ended

-- What a bounded task has started ends with it, where it waits.
local function end_parts(task)
  local parts = task.parts
  task.parts = nil
  if task.root and task.root.parts then task.root.parts[task] = nil end
  if not parts then return end
  for part in pairs(parts) do
    if part.co and coroutine.status(part.co) == "suspended" then part:cancel() end
  end
end

local function finish(task, ok, ...)
  task.done, task.ok, task.results = true, ok, pack(...)
  task.co = nil
  alive = alive - 1
  end_parts(task)
  local waiters = task.waiters
  task.waiters = nil
  if waiters then
    for _, waiter in ipairs(waiters) do waiter() end
  elseif not ok and not task.quiet then
    M.report((...), task.trace)
    M.failure = M.failure or { err = (...) }
  end
end

local step

-- Keep where a task raised its error. The server's own tasks are many, and many of them end in a
-- refusal: they have no `started`, and their errors stay as they are.
local function with_origin(task, err)
  if not task.co then return err end
  if task.limit then task.stack = debug.traceback(task.co) end -- of an error of any type
  if task.started then err = origin.add(err, debug.traceback(task.co), task.started) end
  task.trace = origin.text(err)
  if type(err) == "string" and not task.started then task.trace = debug.traceback(task.co, err) end
  return err
end

-- The wait of a task whose slice is over.
local function next_turn(callback)
  return core.loop.timer(0, callback)
end

local function settle(task, ok, first, start)
  if task.limit and task.limit.expired then
    coroutine.close(task.co)
    return finish(task, false, "the decision took too long")
  end
  if not ok then return finish(task, false, with_origin(task, first)) end
  if first ~= AWAIT and task.limit and task.limit.paused then first, start = AWAIT, next_turn end
  if first ~= AWAIT then
    return finish(task, false, "a task yielded outside of a wait")
  end
  -- A callback may come before start returns; then the loop in step goes on.
  local state = { waiting = false, fired = false }
  local function callback(...)
    if state.fired or task.done then return end
    state.fired = true
    if state.waiting then return step(task, ...) end
    state.results = pack(...)
  end
  task.under_way = start(callback)
  state.waiting = true
  if state.fired then return state.results end
end

local function outcome(task, ok, ...)
  if ok and coroutine.status(task.co) == "dead" then return finish(task, true, ...) end
  return settle(task, ok, ...)
end

--- Run a task until its next wait. When that wait is over at once, return its results: the
--- arguments to resume the task with.
local function resume(task, ...)
  local before = current
  local arguments
  current = task
  task.under_way = nil
  if task.on_step then task.on_step() end
  if task.limit then
    arguments = outcome(task, task.limit:resume(task.co, ...))
  else
    arguments = outcome(task, raw_resume(task.co, ...))
  end
  current = before
  return arguments
end

function step(task, ...)
  local arguments = resume(task, ...)
  while arguments do arguments = resume(task, unpack(arguments, 1, arguments.n)) end
end

local function check_function(fn)
  if type(fn) ~= "function" then
    error(("a task runs a function, not a %s"):format(type(fn)), 3)
  end
end

--- Start fn(...) as a task; it runs at once until its first wait.
---@param fn function
---@param ... any
---@return lest.task
function M.spawn(fn, ...)
  check_function(fn)
  return M.start({ started = origin.here(2) }, fn, ...)
end

--- As spawn, with options: limit (a lest.limit that bounds it, and the tasks that it starts), quiet
--- (an error is for whoever waits), on_step (called before each piece of it runs, and of those),
--- context (what M.context gives in it, and in those), started (who did, for its errors). What a
--- bounded task starts has its bounds and its context, and no other.
---@param options table
---@param fn function
---@param ... any
---@return lest.task
function M.start(options, fn, ...)
  local root = current and current.root
  local bounds = root or options
  local task = setmetatable({
    co = coroutine.create(fn), done = false, limit = bounds.limit, quiet = options.quiet,
    on_step = bounds.on_step, started = options.started, root = root,
    context = bounds.context or current and current.context,
  }, Task)
  if not root and task.limit then
    task.root, task.parts = task, {}
  elseif root and root.parts then
    root.parts[task] = true
  end
  alive = alive + 1
  step(task, ...)
  return task
end

--- Wait for an asynchronous operation. start(callback) begins it and may return an object whose
--- close() cancels it; callback(...) ends the wait and gives await its results. Raises where Lua
--- cannot yield.
---@param start fun(callback: function): any
---@return any ...
function M.await(start)
  if not current then
    local results
    local _ = start(function(...) results = pack(...) end) -- kept until the answer is there
    while not results do
      if not core.loop.turn() then error("nothing is under way that could end this wait", 2) end
    end
    return unpack(results, 1, results.n)
  end
  if not coroutine.isyieldable() then
    error("cannot wait here: Lua cannot yield out of a C function (table.sort, gsub, require)", 2)
  end
  return raw_yield(AWAIT, start)
end

--- Wait for this task; returns what its function returned, or raises its error: a text with where
--- it comes from, a lest.error with that as `traceback`.
---@return any ...
function Task:wait()
  if not self.done then
    self.waiters = self.waiters or {}
    M.await(function(callback) table.insert(self.waiters, callback) end)
  end
  if not self.ok then error(self.results[1], 0) end
  return unpack(self.results, 1, self.results.n)
end

--- Stop a task where it waits; its <close> variables are closed. A task that has ended stays as it
--- is.
---@param reason? string
function Task:cancel(reason)
  if self.done or self == current then return end
  local under_way = self.under_way
  local co = self.co
  self.quiet = true -- whoever cancels knows
  finish(self, false, reason or "cancelled")
  if under_way and under_way.close then under_way:close() end
  coroutine.close(co)
end

--- Take back the request that a task waits for, where none of it was sent yet: the wait ends with
--- an error that says so. Whatever else it waits for goes on.
---@param reason string
function Task:withdraw(reason)
  local under_way = self.under_way
  if not self.done and under_way and under_way.withdraw then under_way:withdraw(reason) end
end

--- Wait for a number of seconds (fractions count), or a duration: never less.
---@param time number|string "10s"
function M.sleep(time)
  local seconds, problem = time, nil
  if type(time) ~= "number" or not (time >= 0 and time < math.huge) then
    seconds, problem = require "lest.duration".parse(time)
  end
  if not seconds then error(problem, 2) end
  -- The loop's own clock is coarse, and may be some milliseconds ahead.
  local due_us = core.clock.monotonic_us() + math.ceil(seconds * 1000000)
  repeat
    local left_ms = (due_us - core.clock.monotonic_us() + 999) // 1000
    M.await(function(callback) return core.loop.timer(math.max(0, left_ms), callback) end)
  until core.clock.monotonic_us() >= due_us
end

--- Turn the loop until every task has ended, or nothing can end them.
function M.finish()
  while alive > 0 and core.loop.turn() do end -- luacheck: ignore 542
end

--- Run fn(...) as a task, and go on until it and all other tasks have ended: a script for lua5.4
--- puts its work in here. (`lest run` does as much for each script.)
---@param fn function
---@param ... any
---@return any ... what fn returned; its error is raised, else the first of a task that no other
--- code waited for
function M.run(fn, ...)
  check_function(fn)
  if current then error("lest.run is for scripts: what runs in a task is called as it is", 2) end
  local main = M.start({ quiet = true, started = origin.here(2) }, fn, ...)
  repeat until main.ok == false or alive == 0 or not core.loop.turn()
  if not main.done then error("nothing is under way that could end the tasks", 2) end
  local results = pack(main:wait())
  if M.failure then error(M.failure.err, 0) end
  return unpack(results, 1, results.n)
end

-- The interpreter of a stock lua5.4 ends when its script does, whatever the tasks wait for.
local function tell_unfinished()
  if alive == 0 then return end
  io.stderr:write(("lest: the script has ended, and %d of its tasks have not: put what starts them "
    .. "into lest.run(function() ... end)\n"):format(alive))
end
local IS_STOCK <const> = package.preload["lest.core"] == nil
--- Kept for as long as the module is.
M.at_exit = IS_STOCK and setmetatable({}, { __gc = tell_unfinished }) or nil

--- Whether the code runs inside a task.
---@return boolean
function M.inside()
  return current ~= nil
end

--- What the task was started with, or the one that started it; of a decision its journal.
---@return any
function M.context()
  return current and current.context
end

-- A wait (or the end of a decision's time) inside a script's own coroutine goes outwards to the
-- task.
local function pass_on(co, ok, first, ...)
  while ok and coroutine.status(co) == "suspended" do
    if first == AWAIT then
      local results = pack(raw_resume(co, raw_yield(AWAIT, ...)))
      return pass_on(co, unpack(results, 1, results.n))
    elseif current and current.limit and current.limit.expired then
      raw_yield()
    elseif current and current.limit and current.limit.paused then
      raw_yield()
      return pass_on(co, raw_resume(co))
    else
      break
    end
  end
  return ok, first, ...
end

-- luacheck: push ignore 122
function coroutine.resume(co, ...)
  return pass_on(co, raw_resume(co, ...))
end

local function raise_or_return(co, ok, ...)
  if ok then return ... end
  coroutine.close(co)
  local message = ...
  error(message, 0)
end

function coroutine.wrap(fn)
  local co = coroutine.create(fn)
  return function(...) return raise_or_return(co, coroutine.resume(co, ...)) end
end
-- luacheck: pop

return M
