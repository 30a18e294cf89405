--- The read-evaluate-print loop without its terminal: takes lines, gives text.
---
---   local session = repl.new { write = io.write }
---   session:feed "local a = 1"      --> "done"
---   session:feed "function f()"     --> "more"
---   session:finish()
---
--- A local stays from line to line as the very variable it was: the line is compiled as a function
--- inside one that declares the locals it names, and debug.upvaluejoin makes these the variables of
--- earlier lines. So a closure of line 1 sees what line 2 assigns, and a local declared again is a
--- new variable.
local colour = require "lest.tool.repl.colour"
local complete = require "lest.tool.repl.complete"
local core = require "lest.core"
local input = require "lest.tool.repl.input"
local place = require "lest.tool.repl.place"
local scan = require "lest.tool.repl.scan"
local show = require "lest.tool.inspect.show"

local M = {}

local CHUNK <const> = "=repl"

---@class lest.repl
local Session = { __name = "lest.repl" }
Session.__index = Session

-- What a line's function returns first if it reached its end, so that `do return f end` is told
-- apart.
local REACHED <const> = setmetatable({}, { __name = "lest.repl.reached" })

--- A session. write takes text for the user, complain (default: write) errors; call is xpcall or
--- something like it that can be interrupted; keep gets each whole statement before it runs;
--- entries are those of the history, for completion; env has the globals, if not _G;
--- help is said by :help, too; name stands before the prompt.
---@param options { write: function, complain?: function, call?: function, keep?: function,
--- entries?: string[], in_colour?: boolean, env?: table, help?: string,
--- name?: string }
---@return lest.repl
function M.new(options)
  return setmetatable({
    write = options.write, complain = options.complain or options.write,
    call = options.call or xpcall, keep = options.keep or function() end,
    entries = options.entries, env = options.env or _G, help = options.help or "",
    name = options.name or "", paint = colour.new(options.in_colour or false),
    locals = {}, closing = {}, buffer = nil, exit_code = 0, trace = nil,
  }, Session)
end

local function syntax(source)
  local chunk, problem = load(source, CHUNK, "t")
  return chunk ~= nil, problem
end

-- Declare the known locals that the code names; the values come by upvaluejoin.
local function prelude(self, names)
  local plain, constant = {}, {}
  for name, cell in pairs(self.locals) do
    if names[name] or name == "_ENV" then
      local list = cell.constant and constant or plain
      list[#list + 1] = name
    end
  end
  local text = #plain > 0 and "local " .. table.concat(plain, ", ") .. "; " or ""
  for _, name in ipairs(constant) do text = ("%slocal %s <const> = ...; "):format(text, name) end
  return text
end

-- As compile-time constants are no variables, their cell is made here.
local function new_cell(value)
  return { fn = function() return value end, index = 1 }
end

local function join_upvalues(self, fn)
  for i = 1, 255 do
    local name = debug.getupvalue(fn, i)
    if not name then return end
    local cell = self.locals[name]
    if cell then debug.upvaluejoin(fn, i, cell.fn, cell.index) end
  end
end

local function build(self, body, names)
  local source = ("%sreturn function(...) %s\nend"):format(prelude(self, names), body)
  local outer, problem = load(source, CHUNK, "t", self.env)
  if not outer then return nil, problem end
  local fn = outer()
  join_upvalues(self, fn)
  return fn
end

-- <close> would end with the line; it becomes <const> (as long), and is closed when the session
-- ends.
local function keep_open(source, locals)
  for _, each in ipairs(locals) do
    if each.attribute == "close" then
      local at = each.attribute_position
      source = source:sub(1, at - 1) .. "const" .. source:sub(at + 5)
    end
  end
  return source
end

local function distinct(locals)
  local names, seen = {}, {}
  for i = #locals, 1, -1 do
    local name = locals[i].name
    if not seen[name] then table.insert(names, 1, name) end
    seen[name] = true
  end
  return names
end

--- Compile complete code: as an expression, as statements whose locals are kept, or as it is.
---@return function|nil fn
---@return table|nil|string locals declared by it, or the problem
local function compile(self, source)
  if syntax("return " .. source) then
    return build(self, "return " .. source, scan.read(source).names)
  end
  local good, problem = syntax(source)
  if not good then return nil, problem end
  local found = scan.read(source)
  local names = distinct(found.locals)
  if #names > 0 then
    local kept = keep_open(source, found.locals)
    local capture = ("%s\nreturn (...), function() return %s end"):format(kept,
      table.concat(names, ", "))
    if syntax(capture) then
      local fn, wrong = build(self, capture, found.names)
      return fn, fn and found.locals or wrong
    end
  end
  return build(self, source, found.names)
end

-- Take over the variables that a line has declared.
local function adopt(self, locals, capture)
  local values = table.pack(capture())
  local cells, names = {}, distinct(locals)
  for i = 1, 255 do
    local name = debug.getupvalue(capture, i)
    if not name then break end
    cells[name] = { fn = capture, index = i }
  end
  for i, name in ipairs(names) do self.locals[name] = cells[name] or new_cell(values[i]) end
  for _, each in ipairs(locals) do
    local cell = self.locals[each.name]
    cell.constant = cell.constant or each.attribute ~= nil
    if each.attribute == "close" then
      local _, value = debug.getupvalue(cell.fn, cell.index)
      table.insert(self.closing, { name = each.name, value = value })
    end
  end
end

-- What is decoded for people, as a certificate, has no colours.
local function shown(self, value)
  local text = show.text(value)
  return debug.getmetatable(value) and type(value) ~= "string" and text or self.paint.value(text)
end

local function print_values(self, first, ...)
  local count = select("#", ...)
  if first == nil and count > 0 and core.error.is((...)) then
    self.complain(self.paint.error(show.error((...))) .. "\n")
    if self.exit_code == 0 then self.exit_code = (...).exit_code or 1 end
    return
  end
  for i = 0, count do
    local value = first
    if i > 0 then value = (select(i, ...)) end
    self.write(shown(self, value) .. "\n")
  end
end

local function failed(self, err, trace, where)
  self.trace = trace
  self.complain(self.paint.error(show.error(err) .. (where or "")) .. "\n")
  local code = core.error.is(err) and err.exit_code or 1
  if self.exit_code == 0 then self.exit_code = code end
end

local OUTER <const> = debug.getinfo(1, "S").source

local function handler(err)
  return { err = err, trace = debug.traceback(tostring(err), 2), frames = place.frames(OUTER) }
end

local function succeed(self, locals, ...)
  if select("#", ...) > 0 and rawequal((...), REACHED) then
    return adopt(self, locals, (select(2, ...)))
  end
  if select("#", ...) > 0 then print_values(self, ...) end
end

local function conclude(self, statement, ok, ...)
  if ok then return succeed(self, statement.locals, ...) end
  local failure = ...
  if type(failure) ~= "table" or failure.trace == nil then failure = { err = failure } end
  failed(self, failure.err, failure.trace, place.text(failure.err, failure.frames or {}, statement))
end

local function evaluate(self, source)
  local fn, locals = compile(self, source)
  local statement = { fn = fn, text = source, locals = locals }
  if not fn then return failed(self, locals, nil, place.text(locals, {}, statement)) end
  conclude(self, statement, self.call(fn, handler, REACHED))
end

local HELP <const> = [[
Type Lua: an expression shows its value, a statement runs, an unfinished one goes on in the next
line. Locals stay. lest is the module: lest.client, lest.key, lest.csr, lest.cert, ...
  help(x)  what is written about a function, a module, an object, or "request.principal"
  source(x) its place; Tab completes names, options of calls, and files in a string
  :help    this
  :trace   where the last error came from
  :locals  the locals that are kept
  :quit    leave, as Ctrl-D does
]]

local commands <const> = {
  help = function(self) self.write(HELP .. self.help) end,
  trace = function(self) self.write((self.trace or "there was no error") .. "\n") end,
  locals = function(self)
    local names = {}
    for name in pairs(self.locals) do names[#names + 1] = name end
    table.sort(names)
    for _, name in ipairs(names) do
      local cell = self.locals[name]
      local _, value = debug.getupvalue(cell.fn, cell.index)
      self.write(("%s = %s\n"):format(name, shown(self, value)))
    end
  end,
  quit = function() return "quit" end,
}

local function command(self, line)
  local name = line:match "^%s*:(%a*)%s*$"
  if not name then return nil end
  local run = commands[name]
  self.keep(line)
  if run then return run(self) or "done" end
  self.complain((":%s is no command; try :help\n"):format(name))
  return "done"
end

--- Take one line. "more": the code goes on; "quit": the user wants to leave.
---@param line string
---@return "done"|"more"|"quit"
function Session:feed(line)
  return input.feed(self, line, command, evaluate)
end

--- What stands before the line.
---@return string
function Session:prompt()
  return self.buffer and ">> " or self.name .. "> "
end

--- What Tab adds to the line, and what it lists if it adds nothing.
---@param before string
---@return string addition
---@return string[] list
function Session:complete(before)
  local text = self.buffer and self.buffer .. "\n" .. before or before
  return complete.complete(self.locals, text, self.entries, self.env)
end

--- Forget an unfinished input.
function Session:cancel()
  self.buffer = nil
end

--- Run a file; its globals stay.
---@param path string
---@return boolean ok
function Session:load(path)
  local chunk, problem = loadfile(path, "bt", self.env)
  if not chunk then
    if self.exit_code == 0 and problem:find "^cannot open" then self.exit_code = 2 end
    failed(self, problem, nil, place.text(problem, {}))
    return false
  end
  local before = self.exit_code
  conclude(self, {}, self.call(function() chunk() end, handler))
  return self.exit_code == before
end

local function close_one(self, each)
  if not each.value then return end
  local meta = debug.getmetatable(each.value)
  local close = meta and rawget(meta, "__close")
  if not close then return failed(self, ("variable '%s' cannot be closed"):format(each.name)) end
  local ok, err = self.call(close, handler, each.value, nil)
  if not ok then failed(self, err.err or err, err.trace) end
end

--- The end: an unfinished input is an error, <close> variables are closed, the last first.
---@return integer exit_code 0, or that of the first error
function Session:finish()
  if self.buffer then
    local _, problem = syntax(self.buffer)
    self.buffer = nil
    failed(self, problem)
  end
  for i = #self.closing, 1, -1 do close_one(self, self.closing[i]) end
  self.closing = {}
  return self.exit_code
end

return M
