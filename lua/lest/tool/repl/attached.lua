--- A server that `lest repl --attach` is attached to: its workers, through the control socket, and
--- what a statement in one of them asks of all others.
---
--- A worker may be in an attacker's hands. It is answered what the statement that was typed names,
--- and nothing else; it gets no file but those, and reaches nothing by this process.
local control = require "lest.tool.control"
local core = require "lest.core"
local fail = require "lest.base.fail"
local json = require "lest.json"
local portable = require "lest.base.portable"
local task = require "lest.task"

local M = {}

-- How long a statement may say nothing, and how long what a worker answers at once takes.
local STATEMENT_S <const>, ACT_S <const>, COMPLETE_S <const> = 65, 5, 0.5
local WAIT_MAX_S <const> = 50

---@class lest.attached
---@field session lest.tool.session
---@field workers table<integer, table> those that are open, with what they said of themselves
---@field path string of the control socket
---@field on_event fun(event: table) what the server tells unasked
---@field is_parked fun(): boolean
local Attached = {}
Attached.__index = Attached

-- Ask one worker to do something.
local function act(self, worker, frame, patience_s)
  frame.op, frame.worker = "console", worker
  return self.session:ask(frame, { patience_s = patience_s or ACT_S })
end

local function open(self, worker)
  local told, err = act(self, worker, { act = "open", write = self.may_write or nil })
  self.workers[worker] = told and { pid = told.pid } or nil
  return told, err
end

-- A worker that has come: it is asked for what the others were asked for before.
local function welcome(self, worker)
  if not open(self, worker) then return end
  for number, wanted in pairs(self.breaks) do
    act(self, worker, { act = "break_at", filter = wanted, number = number })
  end
  for _, wanted in ipairs(self.traces) do act(self, worker, { act = "trace", filter = wanted }) end
end

--- Find the workers that are there now, and open those that are not.
---@return boolean|nil ok
---@return lest.error|nil err
function Attached:open()
  local status, err = self.session:ask { op = "status" }
  if not status then return nil, err end
  for _, worker in ipairs(status.workers or {}) do
    if not self.workers[worker] then
      local told
      told, err = open(self, worker)
      if not told and err.code == "refused" then return nil, err end
    end
  end
  if next(self.workers) then return true end
  return nil, err or core.error.new { code = "unavailable", message = "no worker is there yet" }
end

-- The workers get their channels one after another where a server has just started.
local TRIES <const>, BETWEEN_S <const> = 20, 0.1

--- Connect, again where the server was started anew or has another configuration.
---@return boolean|nil ok
---@return lest.error|nil err
function Attached:connect()
  local session, err = control.enter(self.path)
  if not session then
    if err.code ~= "not_found" and err.code ~= "closed" then return nil, err end
    return fail("not_found", self.path .. ": no server runs there")
  end
  self.session, self.workers, self.breaks, self.traces = session, {}, {}, {}
  session.on_event = function(event) self:take(event) end
  for _ = 1, TRIES do
    local ok
    ok, err = self:open()
    if ok then return true end
    if err.code ~= "unavailable" then break end
    task.sleep(BETWEEN_S)
  end
  session:close()
  return nil, err
end

--- Attach to the server behind a control socket.
---@param path string
---@param options { write: boolean }
---@return lest.attached|nil
---@return lest.error|nil err
function M.enter(path, options)
  local self = setmetatable({ path = path, may_write = options.write, last_break = 0,
    on_event = function() end }, Attached)
  local ok, err = self:connect()
  if ok then return self end
  return nil, err
end

--- Whether the server is still there.
---@return boolean
function Attached:is_open()
  return self.session.is_open
end

function Attached:close()
  self.session:close()
end
Attached.__close = Attached.close

--- The workers by number.
---@return integer[]
function Attached:numbers()
  local numbers = {}
  for worker in pairs(self.workers) do numbers[#numbers + 1] = worker end
  table.sort(numbers)
  return numbers
end

-- What each worker answers, side by side; one that does not answer is said to be busy.
local function ask_all(self, frame)
  local parts = {}
  for _, worker in ipairs(self:numbers()) do
    local own = {}
    for key, value in pairs(frame) do own[key] = value end
    parts[#parts + 1] = { worker = worker, task = task.start({ quiet = true }, function()
      return act(self, worker, own)
    end) }
  end
  local answers = {}
  for _, part in ipairs(parts) do
    local result, err = part.task:wait()
    answers[#answers + 1] = { worker = part.worker, result = result, problem = err and err.message }
  end
  return answers
end

-- One row a worker.
local function rows(self, what)
  local list = {}
  for _, answer in ipairs(ask_all(self, { act = what })) do
    list[#list + 1] = answer.result or { worker = answer.worker, problem = answer.problem }
  end
  return list
end

-- The rows of all workers in one list.
local function joined(self, what, before)
  local list = {}
  for _, answer in ipairs(ask_all(self, { act = what })) do
    if not answer.result then
      list[#list + 1] = { worker = answer.worker, problem = answer.problem }
    end
    for _, row in ipairs(answer.result or {}) do list[#list + 1] = row end
  end
  table.sort(list, before)
  return list
end

local function older(a, b)
  return (tonumber(a.age) or 0) > (tonumber(b.age) or 0)
end

-- Raise the first problem of what all workers were asked to do.
local function do_all(self, frame)
  for _, answer in ipairs(ask_all(self, frame)) do
    if answer.problem then error(("worker %d: %s"):format(answer.worker, answer.problem), 0) end
  end
end

local answerers <const> = {}

function answerers.workers(self) return rows(self, "workers") end
function answerers.stats(self) return rows(self, "stats") end
function answerers.requests(self) return joined(self, "requests", older) end
function answerers.parked(self) return joined(self, "parked", older) end

function answerers.stack(self, id)
  for _, answer in ipairs(ask_all(self, { act = "stack", of = id })) do
    if answer.result and answer.result.stack then
      return ("in worker %d\n%s"):format(answer.worker, answer.result.stack)
    end
  end
  error("no worker has that request under way", 0)
end

function answerers.trace(self, filter)
  table.insert(self.traces, filter)
  do_all(self, { act = "trace", filter = filter })
end

function answerers.untrace(self)
  self.traces = {}
  do_all(self, { act = "untrace" })
end

function answerers.break_at(self, filter)
  self.last_break = self.last_break + 1
  self.breaks[self.last_break] = filter
  do_all(self, { act = "break_at", filter = filter, number = self.last_break })
end

function answerers.unbreak(self)
  self.breaks = {}
  do_all(self, { act = "unbreak" })
end

--- Wait until a request is parked, so many seconds at most.
function answerers.wait(self, seconds)
  seconds = math.max(0, math.min(tonumber(seconds) or 10, WAIT_MAX_S))
  if not self.is_parked() then
    task.await(function(callback)
      local timer = core.loop.timer(math.ceil(seconds * 1000), callback)
      self.on_parked = function()
        timer:close()
        callback()
      end
      return timer
    end)
    self.on_parked = nil
  end
  return self.is_parked()
end

function answerers.ledger(self, arguments)
  local result, err = self.session:ask { op = "ledger", what = arguments.what,
    query = json.object(arguments.query) }
  if not result then error(err.message, 0) end
  return result
end

local function names(code, word)
  return code:find("%f[%w_]" .. word .. "%f[^%w_]") ~= nil
end

-- What was typed in the statement is answered. Empty tables of the other process are lists there.
local function answer(self, worker, frame, code)
  local what = frame.what
  local answerer = answerers[what]
  local ok, value = false, "that was not typed"
  if answerer and names(code, what) then
    ok, value = pcall(answerer, self, portable.unpack(frame.arguments))
  end
  local reply = { op = "console", worker = worker, act = "reply", id = frame.id, of = frame.id,
    ask = frame.ask }
  if ok then reply.value = portable.pack(value) else reply.problem = tostring(value) end
  self.session:send(reply)
end

-- The files that a statement names for policy.reload: read here, by the operator's own right.
local FILE_MAX <const> = 100000
local function files_of(code)
  local files = {}
  for name in code:gmatch "%f[%w_]policy%.reload%s*%(?%s*[\"']([^\"'\n]+)[\"']" do
    local text, err = core.file.read(name, FILE_MAX)
    if not text then return nil, err end
    files[name] = { path = core.file.absolute(name), text = text }
  end
  return next(files) and files or nil
end

--- Run a statement in a worker.
---@param worker integer
---@param code string
---@param request? string the parked one that it is about
---@param on_print fun(text: string)
---@return table|nil outcome values, or a problem
---@return lest.error|nil err
function Attached:evaluate(worker, code, request, on_print)
  local files, problem = files_of(code)
  if problem then return nil, problem end
  local frame = { op = "console", worker = worker, act = "eval", code = code, request = request,
    files = files }
  self.statement = frame
  local outcome, err = self.session:ask(frame, { patience_s = STATEMENT_S, part = function(part)
    if part.ask then
      task.start({ quiet = true }, answer, self, worker, part, code)
    elseif part.print then
      on_print(tostring(portable.unpack(part.print)))
    end
  end })
  self.statement = nil
  return outcome, err
end

--- End the statement that runs: Ctrl-C.
function Attached:cancel()
  local frame = self.statement
  self.statement = nil
  if frame and frame.id then
    self.session:send { op = "console", worker = frame.worker, act = "cancel", id = frame.id,
      of = frame.id }
  end
end

--- What can follow what is typed, as the worker knows it; nothing where it does not say so soon.
---@return string[] candidates
---@return string word
function Attached:complete(worker, text, request)
  local result = act(self, worker, { act = "complete", text = text, request = request }, COMPLETE_S)
  if type(result) ~= "table" or type(result.candidates) ~= "table" then return {}, "" end
  return result.candidates, tostring(result.word)
end

-- A break is for so many requests in all: where they are parked, no other worker parks one more.
local function count_break(self, number)
  local filter = self.breaks[number]
  if not filter then return end
  filter.times = (math.tointeger(tonumber(filter.times)) or 1) - 1
  if filter.times > 0 then return end
  self.breaks[number] = nil
  for worker in pairs(self.workers) do
    self.session.last = self.session.last + 1
    self.session:send { op = "console", worker = worker, act = "unbreak", number = number,
      id = self.session.last }
  end
end

--- What came unasked.
function Attached:take(event)
  if event.event == "worker_gone" then self.workers[event.worker] = nil end
  if event.event == "worker_here" and not self.workers[event.worker] then
    task.start({ quiet = true }, welcome, self, event.worker)
  end
  if event.event == "parked" then count_break(self, event.number) end
  self.on_event(event)
  if event.event == "parked" and self.on_parked then self.on_parked() end
end

return M
