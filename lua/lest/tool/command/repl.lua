--- `lest repl [SCRIPT]`: type Lua with lest at hand. From a pipe there is no prompt, every line is
--- run, and the exit code is that of the first error.
local complete = require "lest.tool.repl.complete"
local core = require "lest.core"
local history = require "lest.tool.repl.history"
local repl = require "lest.tool.repl"
local support = require "lest.tool.command.support"

local M = {}

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local p = support.parser {
    name = "lest repl",
    summary = "Type Lua and see what it gives, with the module lest at hand. From a pipe, every "
      .. "line is run, and the exit code is that of the first error.",
    example = "lest repl\n> key = lest.key.generate \"ec:P-256\"\n> key.type\n\"ec:P-256\"",
  }
  p:argument "script" :args "?" :description "A script to run first; its globals stay."
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
  local more = false
  while true do
    local line, why = editor:read(more and ">> " or "> ")
    if line then
      local result = session:feed(line)
      if result == "quit" then return end
      more = result == "more"
    elseif why == "interrupt" then
      session:cancel()
      more = false
    else
      write "\n"
      return
    end
  end
end

local function interactive(edit, script)
  local session
  local editor <close> = edit.open { complete = function(before)
    return complete.complete(session.locals, before)
  end }
  local past = history.open(history.path())
  for _, entry in ipairs(past.entries) do editor:add(entry) end
  session = repl.new { write = write, complain = complain, call = edit.guard,
    keep = function(statement)
      if past:add(statement) then editor:add(statement) end
    end }
  write(("lest %s, %s. :help helps, Ctrl-D leaves.\n"):format(core.version, _VERSION))
  if script then session:load(script) end
  from_terminal(session, editor)
  session:finish()
  return 0
end

local function run(options)
  _G.lest = require "lest" -- luacheck: ignore 122
  support.search_here()
  arg = { [0] = options.script } -- luacheck: ignore 121
  local has_edit, edit = pcall(require, "lest.edit")
  if has_edit and core.system.is_terminal(0) and core.system.is_terminal(1) then
    return interactive(edit, options.script)
  end
  local session = repl.new { write = write, complain = complain }
  if options.script and not session:load(options.script) then return session:finish() end
  from_pipe(session)
  return session:finish()
end

---@param args string[]
---@return integer exit_code
function M.main(args)
  return support.run(M.parser(), args, run)
end

return M
