--- `lest repl [SCRIPT]`: type Lua with lest at hand, with --attach inside a server that runs, or
--- with --request beside a decision that it recorded.
--- From a pipe there is no prompt, every line is run, and the exit code is that of the first error.
local attached = require "lest.tool.repl.attached"
local colour = require "lest.tool.repl.colour"
local core = require "lest.core"
local desk = require "lest.tool.repl.desk"
local fail = require "lest.base.fail"
local help = require "lest.tool.repl.help"
local history = require "lest.tool.repl.history"
local json = require "lest.json"
local load = require "lest.server.config.load"
local recorded = require "lest.server.ledger.recorded"
local remote = require "lest.tool.repl.remote"
local repl = require "lest.tool.repl"
local support = require "lest.tool.command.support"

local M = {}

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local p = support.parser {
    name = "lest repl",
    summary = "Type Lua and see what it gives, with the module lest at hand. help(x) says what is "
      .. "written about x, source(x) where it is. From a pipe, every line is run, and the exit "
      .. "code is that of the first error. NO_COLOR=1 keeps colours off a terminal.",
    example = "lest repl\n> key = lest.key.generate \"ec:P-256\"\n> key.type\n\"ec:P-256\"\n"
      .. "> help(lest.csr.build)\n"
      .. "lest repl --attach pki/server.lua\nattached> break_at { principal = \"dev1\" }\n"
      .. "parked> request.csr.subject\n"
      .. "lest repl --request dev1 --config pki/server.lua\ndesk> decide()",
  }
  p:argument "script" :args "?" :description "A script to run first; its globals stay."
  p:option "--attach":args "?":argname "SERVER"
    :description("Look into a server that runs: its configuration (./server.lua) or its control "
      .. "socket. What is typed runs in a worker of it, bounded, beside the requests; :help says "
      .. "what there is to ask. Decisions can be traced, and a request be parked and stepped "
      .. "through; it falls back to its own rules when this prompt goes away.")
  p:flag "--write"
    :description("With --attach, as root or the account that started the server: also answer a "
      .. "parked request, and try another policy on it. The answer is recorded as the operator's.")
  p:option "--request":argname "ID"
    :description("Put a recorded decision on the desk: that of a request's id, of the serial "
      .. "number of its certificate, or the last about a name. request is what the policy saw, "
      .. "recorded what it decided, decide() decides again by the policy as it is now, step() rule "
      .. "by rule; :help says all. It comes from the server that runs, or from the ledger. Nothing "
      .. "is issued, changed or asked outside. As root, policies and what is typed run as `user`.")
  p:option "--config":argname "FILE"
    :description "With --request: the server's configuration, ./server.lua unless told."
  p:option "--ledger":argname "FILE"
    :description("With --request: this ledger, as a copy that 'lest ledger backup' made, in place "
      .. "of the configured.")
  p:option "--policy":argname "FILE"
    :description("With --request: decide by this policy, in place of the label's and with its "
      .. "options.")
  p:option "-e":argname "CODE":count "*"
    :description "Run this and leave; several run one after another."
  return p
end

local function write(text)
  io.stdout:write(text)
  io.stdout:flush()
end

local function complain(text)
  io.stdout:flush()
  io.stderr:write(text)
end

local function from_pipe(session)
  for line in io.lines() do
    if session:feed(line) == "quit" then break end
  end
end

local function from_terminal(session, editor)
  while true do
    local line, why = editor:read(session:prompt())
    if line then
      if session:feed(line) == "quit" then return end
    elseif why == "interrupt" then
      session:cancel()
    else
      write "\n"
      return
    end
  end
end

--- A session at a terminal: make(options) gives it, with what a terminal has.
local function interactive(edit, greeting, make)
  local session
  local editor = edit.open { complete = function(before)
    return session:complete(before)
  end }
  local past = history.open(history.path())
  for _, entry in ipairs(past.entries) do editor:add(entry) end
  session = make { write = write, complain = complain, call = edit.guard,
    entries = past.entries, in_colour = colour.is_wanted(),
    tell = function(text) editor:tell(text, session and session:prompt() or "") end,
    keep = function(statement)
      if past:add(statement) then editor:add(statement) end
    end }
  write(greeting .. " :help helps, Ctrl-D leaves.\n")
  return session, editor
end

local function terminal_of()
  local has_edit, edit = pcall(require, "lest.edit")
  return has_edit and core.system.is_terminal(0) and core.system.is_terminal(1) and edit or nil
end

local function codes_of(options, session)
  for _, code in ipairs(options.e) do
    for line in (code .. "\n"):gmatch "(.-)\n" do
      if session:feed(line) == "quit" then return end
    end
  end
end

--- Run what there is to run: -e, a terminal, or a pipe.
local function converse(options, greeting, make)
  local edit = #options.e == 0 and terminal_of()
  if edit then
    local session, editor <close> = interactive(edit, greeting, make)
    if options.script then session:load(options.script) end
    from_terminal(session, editor)
    session:finish()
    return 0
  end
  local session = make { write = write, complain = complain }
  if options.script and not session:load(options.script) then return session:finish() end
  if #options.e > 0 then codes_of(options, session) else from_pipe(session) end
  return session:finish()
end

--- The control socket that was named, or that of a configuration, FILE.lua.
local function socket_of(named)
  if not named:find "%.lua$" then return named end
  local config, err = load.load(named)
  if not config then return nil, err end
  if not config.control then
    return fail("config", named .. ": the server has no control socket (control = false)")
  end
  return config.control.path
end

local function attach(options)
  if options.script then support.usage "--attach takes no script: pipe it in, or use -e" end
  local path, err = socket_of(options.attach[1] or "./server.lua")
  if not path then return nil, err end
  local server <close>, problem = attached.enter(path, { write = options.write })
  if not server then return nil, problem end
  local greeting = ("lest %s, attached to %d workers at %s%s."):format(core.version,
    #server:numbers(), support.clean(path), options.write and ", to write" or ", read-only")
  return converse(options, greeting, function(means) return remote.new(server, means) end)
end

-- Bytes of a row, as JSON.
local ROW_MAX <const> = 4 * 1024 * 1024

-- What the command that reads the row puts before what it says of itself.
local READER <const> = "^lest request record: "

-- The row of a decision, which another process reads: in the server, or as the ledger's owner. What
-- went wrong there is said as the prompt's own.
local function fetch(options, config)
  local words = { "request", "record", "--config", support.quote(config) }
  if options.ledger then
    table.move({ "--ledger", support.quote(options.ledger) }, 1, 2, #words + 1, words)
  end
  local pipe = assert(io.popen(('"/proc/$PPID/exe" %s -- %s 2>&1'):format(
    table.concat(words, " "), support.quote(options.request))))
  local text = pipe:read(ROW_MAX) or ""
  local ok, _, code = pipe:close()
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  local found = ok and json.decode(table.remove(lines) or "")
  for _, line in ipairs(lines) do support.complain("lest repl", (line:gsub(READER, ""))) end
  if not ok then return nil, code end
  if type(found) == "table" and type(found.row) == "table" then return recorded.row(found) end
  error(core.error.new { code = "malformed", message = "what was recorded cannot be read" }, 0)
end

local function on_desk(options)
  local path = options.config or "./server.lua"
  local config, err = load.load(path)
  if not config then return nil, err end
  local row, code = fetch(options, path)
  if not row then return code end
  local env, problem = desk.open(config, row, { policy = options.policy, write = write })
  if not env then return nil, problem end
  local greeting = ("lest %s, on the desk: %s."):format(core.version, desk.title())
  code = converse(options, greeting, function(means)
    means.env, means.help, means.name = env, desk.HELP, "desk"
    return repl.new(means)
  end)
  desk.close()
  return code
end

-- What help() without anything says.
local HELP <const> = [[
help(x) shows what is written about x: a function (lest.key.generate), a module (lest.http), an
object (a certificate, a client), or a text: "request.principal", "policy.renew", "subject".
source(x) says where it is.
]]

--- The words of the prompt beside those of Lua.
local function set_words()
  support.show_traces()
  _G.lest = require "lest" -- luacheck: ignore 122
  function _G.help(...) -- luacheck: ignore 122
    write(select("#", ...) == 0 and HELP or help.text((...)) .. "\n")
  end
  function _G.source(x) write(help.place(x) .. "\n") end -- luacheck: ignore 122
end

local function run(options)
  if options.attach and options.request then
    support.usage "--attach looks into a server, --request at what it recorded: one of them"
  elseif options.attach then
    return attach(options)
  end
  if options.write then support.usage "--write is for --attach" end
  set_words()
  support.search_here()
  arg = { [0] = options.script } -- luacheck: ignore 121
  if options.request then return on_desk(options) end
  for _, name in ipairs { "config", "ledger", "policy" } do
    if options[name] then support.usage(("--%s is for --request"):format(name)) end
  end
  return converse(options, ("lest %s, %s."):format(core.version, _VERSION), repl.new)
end

---@param args string[]
---@return integer exit_code
function M.main(args)
  return support.run(M.parser(), args, run)
end

return M
