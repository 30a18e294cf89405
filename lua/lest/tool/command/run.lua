--- `lest run SCRIPT [ARG...]`: run a Lua script with `require "lest"` at hand, until all its tasks
--- have ended.
local core = require "lest.core"
local origin = require "lest.base.origin"
local support = require "lest.tool.command.support"
local task = require "lest.task"

local M = {}

local NAME <const> = "lest run"

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local p = support.parser {
    name = NAME,
    summary = "Run a Lua script with the module lest at hand, until all its tasks have ended. "
      .. "A lest.error that nobody handles is printed in one line and gives its exit code.",
    example = "lest run provision.lua https://est.example.com device001",
  }
  p:flag "--traceback" :description "Show where an error came from (as LEST_TRACEBACK=1)."
  p:argument "script" :description "The script; - is standard input."
  p:argument "args" :args "*" :description "What the script finds in arg[1], arg[2], ..."
  return p
end

-- Options end at the script's name: the rest belongs to the script.
local function split(args)
  for i, word in ipairs(args) do
    if word == "-" or word:sub(1, 1) ~= "-" then
      return table.move(args, 1, i, 1, {}), table.move(args, i + 1, #args, 1, {})
    end
  end
  return args, {}
end

-- What needs no parser: SCRIPT, or --traceback SCRIPT. Loading the parser would take longer than
-- all that a small script does.
local function plain(own)
  local traced = own[1] == "--traceback"
  local script = own[traced and 2 or 1]
  if #own > (traced and 2 or 1) or not script or script:find "^%-." then return nil end
  return { script = script, traceback = traced }
end

local function describe(err)
  local kind = type(err)
  if kind == "string" then return origin.words(err) end
  if kind == "number" or core.error.is(err) then return tostring(err) end
  local meta = debug.getmetatable(err)
  if meta and meta.__tostring then return tostring(err) end
  return ("(the script raised a %s)"):format(kind)
end

local function fail(err, trace)
  if trace then
    io.stderr:write(NAME, ": ", trace, "\n")
  else
    support.complain(NAME, describe(err))
  end
  return support.exit_code(err)
end

local function run(options, words)
  local file = options.script ~= "-" and options.script or nil
  local chunk, problem = loadfile(file)
  if not chunk then
    support.complain(NAME, problem)
    return problem:find "^cannot open" and 2 or 1
  end
  support.search_here()
  support.show_traces()
  words[0] = options.script
  arg = words -- luacheck: ignore 121
  local traced = options.traceback or os.getenv "LEST_TRACEBACK"
  function task.report(err, trace) fail(err, traced and trace) end
  local trace
  local ok, err = xpcall(function()
    chunk(table.unpack(words))
    task.finish()
  end, function(err)
    if traced then trace = debug.traceback(origin.text(err) or describe(err), 2) end
    return err
  end)
  if not ok then return fail(err, trace) end
  -- It was reported when it happened; only the exit code is left to give.
  if task.failure then return support.exit_code(task.failure.err) end
  return 0
end

---@param args string[]
---@return integer exit_code
function M.main(args)
  local own, words = split(args)
  local options = plain(own)
  if options then return support.call(NAME, run, options, words) end
  return support.run(M.parser(), own, function(parsed) return run(parsed, words) end)
end

return M
