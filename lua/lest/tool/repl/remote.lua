--- The prompt of `lest repl --attach`: takes lines, has a worker of the server run them, and shows
--- what that gives. Nothing that the server says reaches the terminal as it is.
---
---   local remote = remote.new(attached, { write = io.write, complain = io.stderr.write })
---   remote:feed "requests()"   --> "done"
local core = require "lest.core"
local input = require "lest.tool.repl.input"
local portable = require "lest.base.portable"
local show = require "lest.tool.inspect.show"
local stops = require "lest.tool.repl.stops"
local terminal = require "lest.base.terminal"

local M = {}

local LINES_MAX <const> = 300
local safe <const> = stops.safe

---@class lest.remote
---@field attached lest.attached
---@field focus? { id: string, worker: integer } the parked request that statements are about
---@field exit_code integer
local Remote = { __name = "lest.repl.remote" }
Remote.__index = Remote

--- A prompt. write takes text for the user, complain errors, tell what happens meanwhile; call is
--- xpcall or something like it that Ctrl-C interrupts; keep gets each statement before it runs.
---@param attached lest.attached
---@param options { write: function, complain: function, tell?: function, call?: function,
--- keep?: function }
---@return lest.remote
function M.new(attached, options)
  local self = setmetatable({
    attached = attached, write = options.write, complain = options.complain,
    tell = options.tell or options.write, call = options.call or xpcall,
    keep = options.keep or function() end, parked = {}, exit_code = 0,
    worker = attached:numbers()[1],
  }, Remote)
  attached.on_event = function(event) self:on_event(event) end
  attached.is_parked = function() return self.focus ~= nil end
  return self
end

-- Text of several lines.
local function safe_lines(text)
  local lines = {}
  for line in (tostring(text) .. "\n"):gmatch "(.-)\n" do
    if #lines >= LINES_MAX then
      lines[#lines + 1] = "..."
      break
    end
    lines[#lines + 1] = terminal.safe((line:gsub("\t", "  ")))
  end
  return table.concat(lines, "\n")
end

-- What happens meanwhile

-- A request that is parked no longer.
local function drop(self, id)
  for i, each in ipairs(self.parked) do
    if each.id == id then table.remove(self.parked, i) break end
  end
  if self.focus and self.focus.id == id then self.focus = self.parked[1] end
end

local events <const> = {}

function events.parked(self, event)
  local request = type(event.request) == "table" and event.request or {}
  local each = { id = tostring(request.id), worker = event.worker }
  drop(self, each.id)
  table.insert(self.parked, 1, each)
  self.focus = self.focus or each
  self.tell(("%sparked in worker %s: %s, %s\n"):format(stops.steps(event), safe(event.worker),
    stops.who(request), stops.place(request)))
end

function events.released(self, event)
  drop(self, event.id)
  self.tell(("released: %s: %s; its own rules decide\n"):format(safe(event.id), safe(event.reason)))
end

function events.decided(self, event)
  drop(self, event.id)
  self.tell(("%sdecided: %s: %s\n"):format(stops.steps(event), safe(event.id),
    stops.verdict(event)))
end

function events.decision(self, event)
  self.tell(("%s: %s, in %s us\n%s"):format(stops.who(event), stops.verdict(event),
    safe(event.us), stops.steps(event)))
end

function events.full(self, event)
  self.tell(("not parked: as many are as there may be; %s went on in worker %s (stats() counts "
    .. "them)\n"):format(safe(event.passed_by), safe(event.worker)))
end

function events.worker_gone(self, event)
  for i = #self.parked, 1, -1 do
    if self.parked[i].worker == event.worker then drop(self, self.parked[i].id) end
  end
  self.tell(("worker %s has ended\n"):format(safe(event.worker)))
end

--- What the server tells unasked.
---@param event table
function Remote:on_event(event)
  local show_event = events[event.event]
  if event.lost then
    self.tell(("%s messages were lost: more came than could be sent\n"):format(safe(event.lost)))
  end
  if show_event then show_event(self, event) end
end

-- Statements

local function failed(self, text, code)
  self.complain(text .. "\n")
  if self.exit_code == 0 then self.exit_code = code or 1 end
end

local function show_outcome(self, outcome)
  for _, packed in ipairs(type(outcome.values) == "table" and outcome.values or {}) do
    local value = portable.unpack(packed)
    if core.error.is(value) then
      failed(self, show.error(value))
    else
      self.write(show.text(value) .. "\n")
    end
  end
  if outcome.problem ~= nil then
    failed(self, show.error(portable.unpack(outcome.problem)))
    self.trace = outcome.trace
  end
  if outcome.note then self.tell(safe(outcome.note) .. "\n") end
end

local function target(self)
  if not self.attached:is_open() then
    self.parked, self.focus = {}, nil
    local ok, err = self.attached:connect()
    if not ok then return nil, err end
    self.tell "attached anew; breaks and traces are forgotten\n"
  end
  local worker = self.focus and self.focus.worker or self.worker
  if self.attached.workers[worker] then return worker end
  local ok, err = self.attached:open()
  if not ok then return nil, err end
  self.worker = self.attached:numbers()[1]
  return self.worker
end

local function run(self, code)
  local worker, err = target(self)
  if not worker then return nil, err end
  return self.attached:evaluate(worker, code, self.focus and self.focus.id, function(text)
    self.write(safe_lines(text) .. "\n")
  end)
end

local function evaluate(self, code)
  local called, outcome, err = self.call(run, function(problem) return problem end, self, code)
  if not called then
    self.attached:cancel()
    return failed(self, "error: " .. safe(outcome))
  elseif not outcome then
    return failed(self, show.error(err), err.exit_code)
  end
  show_outcome(self, outcome)
end

-- Commands

local HELP <const> = [[
Type Lua: it runs in a worker of the server, bounded, beside the requests. What you assign to a
name stays; a local is its statement's own.
  workers() requests() stats() labels config   what is there, and under way
  stack(ID)                                    where a request is that hangs
  ledger "cert" { label = "x" }                also "request", "refusal", "pending", "credential"
  trace { label =, principal = } untrace()     decisions as they happen, with their rules
  break_at { principal = "dev1", times = 1 }   also label, operation, rule, verdict; unbreak()
  wait(SECONDS) parked()                       until a request is parked; which are
Of the request that is parked:
  request verdict locals() upvalues()          and what the policy calls by name
  step() resume()                              to its next rule; to its end
  policy.reload "x.lua" answer(VERDICT)        with --write
  :help :quit :trace :worker N :use ID         this; leave; the last error's; where statements run
]]

local commands <const> = {
  help = function(self) self.write(HELP) end,
  quit = function() return "quit" end,
  trace = function(self)
    for _, line in ipairs(type(self.trace) == "table" and self.trace or {}) do
      self.write(safe(line) .. "\n")
    end
  end,
  worker = function(self, word)
    local number = math.tointeger(tonumber(word))
    if not self.attached.workers[number or 0] then
      return self.complain "there is no such worker; workers() shows them\n"
    end
    self.worker = number
  end,
  use = function(self, word)
    for _, each in ipairs(self.parked) do
      if word ~= "" and each.id:sub(1, #word) == word then self.focus = each return end
    end
    self.complain "no such request is parked; parked() shows them\n"
  end,
}

local function command(self, line)
  local name, word = line:match "^%s*:(%a*)%s*(%S*)%s*$"
  if not name then return nil end
  self.keep(line)
  if commands[name] then return commands[name](self, word) or "done" end
  self.complain((":%s is no command; try :help\n"):format(name))
  return "done"
end

--- Take one line. "more": the code goes on; "quit": the user wants to leave.
---@param line string
---@return "done"|"more"|"quit"
function Remote:feed(line)
  return input.feed(self, line, command, evaluate)
end

--- Forget an unfinished input.
function Remote:cancel()
  self.buffer = nil
end

--- What Tab adds to the line, and what it lists if it adds nothing.
---@param before string
---@return string addition
---@return string[] list
function Remote:complete(before)
  local worker = self.focus and self.focus.worker or self.worker
  local list, word = self.attached:complete(worker, before, self.focus and self.focus.id)
  local words = {}
  for _, each in ipairs(list) do
    if type(each) == "string" and each:find "^[%w_.:]+$" and each:sub(1, #word) == word then
      words[#words + 1] = each
    end
  end
  if #words == 0 then return "", {} end
  local common = words[1]
  for _, each in ipairs(words) do
    while each:sub(1, #common) ~= common do common = common:sub(1, -2) end
  end
  return common:sub(#word + 1), words
end

--- What stands before the line.
---@return string
function Remote:prompt()
  if self.buffer then return ">> " end
  return self.focus and "parked> " or "attached> "
end

--- The end: an unfinished input is an error.
---@return integer exit_code 0, or that of the first error
function Remote:finish()
  if self.buffer then
    local _, problem = load(self.buffer, "=console", "t")
    self.buffer = nil
    failed(self, "error: " .. safe(problem))
  end
  return self.exit_code
end

return M
