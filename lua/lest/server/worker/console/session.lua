--- One operator at the console of this worker: the statements that were typed, each a bounded task
--- that gives way to requests, and what the prompt is told unasked.
local core = require "lest.core"
local environment = require "lest.server.worker.console.environment"
local look = require "lest.server.worker.console.look"
local portable = require "lest.base.portable"
local task = require "lest.task"
local verbs = require "lest.server.worker.console.verbs"

local M = {}

-- Of one statement: from its start to its end, and of this how much it runs; how long before others
-- have a turn; memory; questions to its terminal; what it prints.
local SECONDS <const>, SLICES_MAX <const>, SLICE_MS <const> = 60, 1000, 2
local MEMORY <const>, ASKS_MAX <const>, PRINTED_MAX <const> = 32 * 1024 * 1024, 100, 60000
local GRACE_MS <const> = 50
-- Of a statement in one line of the log, which has room for them however they are escaped.
local LOGGED_MAX <const> = 1200
local CODE_MAX <const> = 65536

---@class lest.console.session
---@field uid integer
---@field who string for the log and the ledger
---@field may_write boolean
---@field globals table what it has assigned
---@field plain table Lua's own, its copy
---@field looker lest.console.looker
---@field statement? table the one that runs
local Session = {}
Session.__index = Session

---@param console lest.console
---@param options { uid: integer, who: string, write: boolean, send: fun(frame: table): boolean }
---@return lest.console.session
function M.new(console, options)
  return setmetatable({
    console = console, uid = options.uid, who = options.who, may_write = options.write,
    send = options.send, globals = {}, plain = environment.plain(),
    looker = look.new(options.write), lost = 0,
  }, Session)
end

--- Tell the prompt something that it did not ask for. One that does not read misses some, which are
--- counted.
---@param event table
function Session:tell(event)
  if self.lost > 0 then event.lost = self.lost end
  if event.event == "parked" then self.is_full_told = false end
  event.worker = self.console.number
  if self.send(event) then self.lost = 0 else self.lost = self.lost + 1 end
end

--- Tell it that a request was not parked, since so many are: once, until one more is.
---@param passed_by integer how many in all
function Session:tell_full(passed_by)
  if self.is_full_told then return end
  self.is_full_told = true
  self:tell { event = "full", passed_by = passed_by }
end

--- The request with this id, where this session has it parked.
---@param id any
---@return lest.console.holding|nil
function Session:parked(id)
  for held in pairs(self.console.parking.holdings) do
    if held.request.id == id and held.session == self and held.place then return held end
  end
end

-- Statements

local function compile(code, env)
  local chunk = load("return " .. code, environment.CHUNK, "t", env)
  if chunk then return chunk end
  return load(code, environment.CHUNK, "t", env)
end

local function printed(statement, ...)
  local words = table.pack(...)
  for i = 1, words.n do words[i] = tostring(words[i]) end
  local line = table.concat(words, "\t")
  if statement.printed > PRINTED_MAX then return end
  statement.printed = statement.printed + #line + 1
  if statement.printed > PRINTED_MAX then line = "... (more was printed than is shown)" end
  statement.session.send { id = statement.id, print = portable.pack(line) }
end

-- Ask the terminal, which asks the other workers and the control role.
local function ask(statement, what, arguments)
  if statement.asked >= ASKS_MAX then
    environment.raise(("a statement asks at most %d times"):format(ASKS_MAX))
  end
  statement.asked = statement.asked + 1
  local number = statement.asked
  local answer = task.await(function(callback)
    statement.waiting[number] = callback
    statement.session.send { id = statement.id, ask = number, what = what,
      arguments = portable.pack(arguments) }
    return { close = function() statement.waiting[number] = nil end }
  end)
  if answer.problem ~= nil then environment.raise(tostring(answer.problem)) end
  return portable.unpack(answer.value)
end

-- The values that a statement gave, or what it raised, packed while they are bounded: an object of
-- a policy says by its own code what it is.
local function pack_results(ok, ...)
  if not ok then
    local raised = ...
    if type(raised) ~= "table" then raised = { problem = raised } end -- the handler had no memory
    return false, { packed = portable.pack(raised.problem), trace = raised.trace }
  end
  return portable.pack_all({ ... }, select("#", ...))
end

-- What was typed, as a task that is bounded: it runs so long in all, in slices between which
-- requests are served, and waits no longer than that.
local function start(statement, chunk)
  local slices = 0
  local limit = core.limit.new(core.clock.monotonic_ms() + SECONDS * 1000, MEMORY, SLICE_MS)
  statement.limit = limit
  local function on_step()
    core.process.beat "console"
    slices = slices + (limit.paused and 1 or 0)
    if slices >= SLICES_MAX then limit:defer(0) end
  end
  return task.start({ limit = limit, quiet = true, on_step = on_step }, function()
    return pack_results(xpcall(chunk, function(problem)
      return { problem = problem, trace = debug.traceback("", 2) }
    end))
  end)
end

-- Why there are no values, packed.
local function problem_of(statement, running, raised)
  local limit, problem = statement.limit, running.results[1]
  if limit.expired then
    problem = ("the statement took too long (at %s)"):format(limit.where)
  elseif limit.exhausted then
    problem = "the statement used more than its memory"
  elseif running.ok then
    return raised.packed
  end
  return portable.pack(type(problem) == "string" and problem
    or "an error of type " .. type(problem))
end

-- The lines of the trace that are the operator's own.
local function trace_of(raised)
  if type(raised) ~= "table" or type(raised.trace) ~= "string" then return nil end
  local lines = {}
  for line in raised.trace:gmatch "[^\n]+" do
    if line:find("console:", 1, true) then lines[#lines + 1] = line:match "^%s*(.-)%s*$" end
  end
  return lines[1] and lines or nil
end

-- Drop what a session keeps where that is more than is kept.
local function tidy(session)
  if environment.is_small(session.globals, session.plain) then return nil end
  session.globals = {}
  return "the names that you have assigned are forgotten: they were too much to keep"
end

local function finish(statement, running)
  local session = statement.session
  local values, raised = table.unpack(running.results, 1, 2)
  session.statement = nil
  core.process.beat(nil)
  local frame = { id = statement.id, ["end"] = true, note = tidy(session) }
  if running.ok and values then
    frame.result = { values = values, note = frame.note }
  else
    frame.result = { problem = problem_of(statement, running, raised),
      trace = trace_of(raised), note = frame.note }
  end
  frame.note = nil
  session.send(frame)
end

-- Wait for the end of a statement, at most until its time is over.
local function follow(statement, running)
  local late = core.loop.timer(SECONDS * 1000 + GRACE_MS, function()
    running:cancel "the statement took too long"
  end)
  pcall(running.wait, running)
  late:close()
  finish(statement, running)
end

-- All of it, in as many lines as it takes: what is not in the log was not typed.
local function log_statement(session, code, held)
  for at = 1, math.max(#code, 1), LOGGED_MAX do
    core.log.write("info", "console statement", { "uid", session.uid, "who", session.who, "write",
      session.may_write, "request", held and held.request.id or false,
      "code", code:sub(at, at + LOGGED_MAX - 1) })
  end
end

--- Run what was typed; the answer follows.
---@param frame { id: integer, code: string, request?: string, files?: table<string, table> }
function Session:evaluate(frame)
  if self.statement then return self:refuse(frame.id, "another statement runs") end
  if #frame.code > CODE_MAX then return self:refuse(frame.id, "the statement is too long") end
  local wait_s = self.console:take_lines(self.uid, 1 + #frame.code // LOGGED_MAX)
  if wait_s then
    return self:refuse(frame.id, ("too much was opened and typed: wait %d s"):format(wait_s))
  end
  log_statement(self, frame.code, self:parked(frame.request))
  local statement = { id = frame.id, session = self, files = frame.files or {}, asked = 0,
    printed = 0, waiting = {} }
  function statement.ask(what, arguments) return ask(statement, what, arguments) end
  statement.held = self:parked(frame.request)
  local env = verbs.environment(self, statement)
  statement.print = function(...) printed(statement, ...) end
  local chunk, problem = compile(frame.code, env)
  if not chunk then
    return self.send { id = frame.id, ["end"] = true,
      result = { problem = portable.pack(problem) } }
  end
  self.statement = statement
  statement.running = start(statement, chunk)
  task.start({ quiet = true }, follow, statement, statement.running)
end

--- Say that something is not done.
function Session:refuse(id, message)
  self.send { id = id, ["end"] = true, error = { code = "refused", message = message } }
end

--- The terminal's answer to a question of the statement that runs.
---@param frame { of: integer, ask: integer, value: any, problem: any }
function Session:reply(frame)
  local statement = self.statement
  local callback = statement and statement.id == frame.of and statement.waiting[frame.ask or 0]
  if not callback then return end
  statement.waiting[frame.ask] = nil
  callback { value = frame.value, problem = frame.problem }
end

--- Ctrl-C.
---@param id integer
function Session:cancel(id)
  local statement = self.statement
  if statement and statement.id == id and statement.running then
    statement.running:cancel "interrupted"
  end
end

--- The prompt has gone: what it asked for is forgotten, and what it held goes on.
---@param why string
function Session:close(why)
  local parking = self.console.parking
  parking:clear(self)
  self.send = function() return false end
  parking:release(self, why)
  if self.statement and self.statement.running then self.statement.running:cancel(why) end
end

return M
