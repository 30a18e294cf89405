--- What every command shares: its parser, its errors, its exit codes, its output.
---
---   local support = require "lest.tool.command.support"
---   local M = {}
---   function M.main(args)
---     local parser = support.parser { name = "lest cacerts",
---       summary = "Fetch a server's CA certificates.",
---       example = "lest cacerts https://est.example.com --trust ca.pem --out cas.pem" }
---     parser:argument "url"
---     parser:option "--out" :args(1)
---     return support.run(parser, args, function(options)
---       local certificates, err = fetch(options.url)
---       if not certificates then return nil, err end -- one line, and the error's exit code
---       print(certificates)
---     end)
---   end
---
--- What only some commands use is loaded where it is used: `lest run` of a small script takes less
--- time than argparse.
local clock = require "lest.base.clock"
local core = require "lest.core"
local fail = require "lest.base.fail"
local terminal = require "lest.base.terminal"

local M = { clean = terminal.safe, time = clock.text }

--- A mistake on the command line, thrown by usage().
local Usage <const> = { __name = "lest.usage", __tostring = function(self) return self.message end }

local WIDTH <const> = 78

local function finish(parser, description)
  parser._lest = { help = nil }
  parser._example = description.example
  local epilog = description.example and ("Example:\n  " .. description.example:gsub("\n", "\n  "))
  parser:add_help(false):help_max_width(WIDTH):usage_max_width(WIDTH)
  if description.summary then parser:description(description.summary) end
  if epilog then parser:epilog(epilog) end
  return parser
end

local function add_help(parser, state)
  parser:flag "-h" "--help" :description "Show this help."
    :action(function() state.help = state.help or parser:get_help() end)
end

--- A parser (lua-argparse) whose --help ends with an example, and which never ends the process.
---@param description { name: string, summary: string, example: string }
---@return table parser
function M.parser(description)
  local parser = finish(require "argparse"(description.name), description)
  add_help(parser, parser._lest)
  return parser
end

--- A subcommand of a parser: `lest ca init`.
---@param parser table
---@param description { name: string, summary: string, example: string }
---@return table command a parser
function M.subcommand(parser, description)
  local command = finish(parser:command(description.name), description)
  command:summary(description.summary)
  command._lest = parser._lest
  add_help(command, parser._lest)
  return command
end

--- The option for a new key's kind. Shells offer the common kinds; others are taken too.
---@param parser table
---@param text string what it does, before the examples
function M.new_key(parser, text)
  local option = parser:option "--new-key":argname "KIND"
    :description(text .. ": ec:P-256, rsa:3072, ed25519 and others.")
  option._offers = require "lest.base.key_kinds".common
  return option
end

--- Stop because of a mistake on the command line that a parser cannot see: exit code 2.
---@param message string
function M.usage(message)
  error(setmetatable({ message = message }, Usage), 0)
end

--- A word of a printed command, which is to be pasted into a shell.
---@param word string
---@return string
function M.quote(word)
  if word:find "^[%w%._/+:@%%=,-]+$" then return word end
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

--- Print an error as a person can act on it: one line a sentence, `lest NAME: ...`.
---@param name string
---@param err any
function M.complain(name, err)
  for line in (tostring(err) .. "\n"):gmatch "(.-)\n" do
    if line ~= "" then io.stderr:write(name, ": ", M.clean(line), "\n") end
  end
end

--- The exit code for an error value.
---@param err any
---@return integer
function M.exit_code(err)
  local code = type(err) == "table" and rawget(err, "exit_code") -- a lest.error or lest.failures
  if math.type(code) == "integer" then return code end
  return getmetatable(err) == Usage and 2 or 1
end

--- An error of a file that the command line names: the line is wrong, as with any of its words.
---@param err lest.error
---@return lest.error
function M.file_error(err)
  if err.exit_code == 1 then err.exit_code = 2 end
  return err
end

local function with_traceback(err)
  if core.error.is(err) or getmetatable(err) == Usage then return { err = err } end
  return { err = err, trace = debug.traceback(tostring(err), 2) }
end

local function usage_error(name, message)
  M.complain(name, (message:gsub("%s*\n%s*", ". ")))
  io.stderr:write("Try '", name, " --help'.\n")
  return 2
end

-- A defect of ours: say so in one line; whoever can use the traceback asks for it.
local function defect(name, failure)
  if os.getenv "LEST_TRACEBACK" then
    io.stderr:write(failure.trace, "\n")
  else
    local message = "internal error: " .. tostring(failure.err)
    M.complain(name, message .. " (LEST_TRACEBACK=1 shows where)")
  end
  return 1
end

local function full_name(parser, subcommand)
  return subcommand and parser._name .. " " .. subcommand or parser._name
end

-- The subcommand whose words were wrong, as far as that can be told.
local function named_subcommand(parser, word)
  for _, command in ipairs(parser._commands) do
    if command._name == word then return word end
  end
end

-- An operator finds the request by it. A server's sentence may name it already.
local function with_request(err)
  local text, id = tostring(err), core.error.is(err) and err.request_id
  if not id or text:find(id, 1, true) then return text end
  return ("%s (request %s)"):format(text, id)
end

-- A device's script gets it as err.retry_after.
local function note_delay(name, err)
  if core.error.is(err) and err.retry_after then
    local pause = require "lest.duration".format(err.retry_after)
    M.complain(name, "the server asks for a pause of " .. pause)
  end
end

-- From what xpcall gave to an exit code; tell(err), if any, has an error first.
local function conclude(name, tell, called, code, err)
  if called then
    if math.type(code) == "integer" then return code end
    if code or err == nil then return 0 end
  else
    local failure = code
    if type(failure) ~= "table" then -- out of memory, say
      failure = { err = failure, trace = tostring(failure) }
    end
    err = failure.err
    if getmetatable(err) == Usage then return usage_error(name, err.message) end
    if not core.error.is(err) then return defect(name, failure) end
  end
  if tell then tell(err) end
  M.complain(name, with_request(err))
  note_delay(name, err)
  return M.exit_code(err)
end

--- Call fn(...) as the body of a command called name. What it returns becomes the exit code: an
--- integer; nothing is 0; `nil, err` prints err. An error that it throws is printed likewise.
---@param name string
---@param fn fun(...): integer|nil, lest.error|nil
---@return integer exit_code
function M.call(name, fn, ...)
  return conclude(name, nil, xpcall(fn, with_traceback, ...))
end

--- Parse the words of a command and run fn(options); see call() for what becomes of its results.
--- With subcommands, name their target: parser:command_target "subcommand".
---@param parser table
---@param args string[]
---@param fn fun(options: table): integer|nil, lest.error|nil
---@param tell? fun(err: lest.error, options: table) is given an error before it is printed
---@return integer exit_code
function M.run(parser, args, fn, tell)
  local called, ok, options = pcall(parser.pparse, parser, args)
  if parser._lest.help then
    io.write(parser._lest.help, "\n")
    return 0
  end
  local parsed = called and ok
  local name = full_name(parser, parsed and options.subcommand
    or not parsed and named_subcommand(parser, args[1]) or nil)
  if not called then return defect(name, { err = ok, trace = tostring(ok) }) end
  if not ok then return usage_error(name, options) end
  return conclude(name, tell and function(err) tell(err, options) end,
    xpcall(fn, with_traceback, options))
end

--- For parser:option(...):convert(): "10m" to seconds.
---@param text string
---@return integer|nil seconds
---@return string|nil problem
function M.duration(text)
  return require "lest.duration".parse(tonumber(text, 10) or text)
end

--- The first line of a file ("-": standard input): a password or a passphrase.
---@param path string
---@return string|nil secret
---@return lest.error|nil err
function M.secret(path)
  local text, err = M.read(path, 16384)
  if not text then return nil, M.file_error(err) end
  return require "lest.client.options".secret_in(text, path)
end

--- What was printed could not be written.
---@param problem string the system's words
---@return nil
---@return lest.error err
function M.output_lost(problem)
  return fail("io", "standard output: cannot be written", { detail = problem })
end

--- Write out what was printed: with nil and an error, it was not.
---@return true|nil ok
---@return lest.error|nil err
function M.flush()
  local ok, problem = io.stdout:flush()
  if ok then return true end
  return M.output_lost(problem)
end

--- Print a value as JSON; an empty table is a list unless json.object() made it.
---@param value any
function M.print_json(value)
  io.write(require "lest.json".encode(value), "\n")
end

local function width(text)
  return utf8.len(text) or #text
end

-- A text of at most so many characters.
local function cut(text, most)
  if width(text) <= most then return text end
  local stop = utf8.offset(text, math.max(most - 3, 0) + 1)
  return stop and text:sub(1, stop - 1) .. ("..."):sub(1, most) or text:sub(1, most)
end

--- In a server, of who asked: the columns of its lines, by descriptor; the files that it gave; and
--- the one that it writes, with its path.
---@type table<integer, integer|false>?
M.columns = nil
---@type table<string, string>?
M.given = nil
---@type lest.errand.stream?
M.output = nil

--- A file that the command line names; "-" is standard input.
---@param path string
---@param max integer
---@return string?
---@return lest.error? err
function M.read(path, max)
  if not M.given then return core.file.read(path, max) end
  local text = M.given[path]
  if not text then return fail("usage", path .. ": did not come with the command") end
  if #text > max then return fail("too_large", path .. ": is too large") end
  return text
end

--- The columns of a line: those that COLUMNS says, or of the terminal; nil where lines have no end,
--- as in a pipe or a file.
---@param descriptor integer 1 or 2
---@return integer?
function M.line_columns(descriptor)
  if M.columns then return M.columns[descriptor] or nil end
  local told = (os.getenv "COLUMNS" or ""):match "^%d%d?%d?%d?$"
  local columns = told and math.tointeger(tonumber(told)) or 0
  return columns > 0 and columns or core.system.terminal_columns(descriptor)
end

--- Print rows in columns under a header; a nil cell is "-". Further rows of the same table take the
--- widths that the call before gave.
---@param header string[]
---@param rows any[][]
---@param widths? integer[]
---@param most? table<integer|string, integer> the most characters of a column, and in `line` those
--- of a line, for which the last column is cut
---@param file? file* standard output unless told
---@return integer[] widths
function M.print_columns(header, rows, widths, most, file)
  local lines = { not widths and header or nil }
  widths = widths or {}
  for _, row in ipairs(rows) do
    local line = {}
    for i = 1, #header do
      local cell = M.clean(tostring(row[i] == nil and "-" or row[i]))
      line[i] = most and most[i] and cut(cell, most[i]) or cell
    end
    lines[#lines + 1] = line
  end
  for i = 1, #header do
    for _, line in ipairs(lines) do widths[i] = math.max(widths[i] or 0, width(line[i])) end
  end
  local left = most and most.line
  for i = 1, #header - 1 do left = left and left - widths[i] - 2 end
  for _, line in ipairs(lines) do
    local cells = {}
    for i, cell in ipairs(line) do
      cells[i] = i < #header and cell .. (" "):rep(widths[i] - width(cell))
        or left and cut(cell, math.max(left, 1)) or cell
    end
    (file or io.stdout):write(table.concat(cells, "  "), "\n")
  end
  return widths
end

--- Write the one line of a terminal that says how far a command is, in place of what it said;
--- without a text it is taken away. Where standard error is no terminal, nothing is written.
---@param text? string
function M.status(text)
  if not core.system.is_terminal(2) then return end
  io.stderr:write("\r\27[K", text or "")
  io.stderr:flush()
end

--- Let clients whose trace is true show their exchanges at this terminal.
function M.show_traces()
  require "lest.client.screen".show = function(event) require "lest.tool.trace".show(event) end
end

---@class lest.progress
local Progress = { __name = "lest.progress" }
Progress.__index = Progress

local function tick(self)
  -- The loop's own clock is coarse: a second may end some milliseconds early.
  local seconds = (core.clock.monotonic_ms() - self.since + 500) // 1000
  M.status(("%s (%d s)"):format(self.text, seconds))
  self.shown = true
  self.timer = core.loop.timer(1000, function() tick(self) end)
end

--- Say what is being waited for, with the seconds, once that takes longer than one; on a terminal
--- only.
---   local progress <close> = support.progress "waiting for approval"
---@param text string
---@return lest.progress
function M.progress(text)
  local self = setmetatable({ text = M.clean(text), since = core.clock.monotonic_ms() }, Progress)
  if core.system.is_terminal(2) then
    self.timer = core.loop.timer(1000, function() tick(self) end)
  end
  return self
end

--- Wait for something else now.
---@param text string
function Progress:update(text)
  self.text = M.clean(text)
end

--- Remove the line.
function Progress:close()
  if self.timer then self.timer:close() end
  self.timer = nil
  if self.shown then M.status() end
  self.shown = false
end
Progress.__close = Progress.close

--- Let a script require what is in the current folder, as Lua does. Other commands do not look
--- there: somebody else may have put it there.
function M.search_here()
  package.path = package.path .. ";./?.lua;./?/init.lua"
  package.cpath = package.cpath .. ";./?.so"
end

return M
