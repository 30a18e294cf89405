--- What is run once the files of a generation are in their places: a command, without a shell and
--- with nothing of this process's environment, or a function of AGENT.lua, each with a deadline.
---
---   local done, err = hooks.run({ command = { "systemctl", "reload", "nginx" }, timeout = 30 },
---     event)
---
--- Both may be called again for a generation that they have heard of: a crash between their end and
--- its record is a call that is not known to have been made.
local core = require "lest.core"
local fail = require "lest.base.fail"
local task = require "lest.task"
local terminal = require "lest.base.terminal"

local M = {}

local PATH <const> = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
local OUTPUT_MAX <const>, LINES_MAX <const>, LINE_MAX <const> = 16384, 5, 300
local MEMORY <const>, SLICE_MS <const>, GRACE_MS <const> = 64 * 1024 * 1024, 50, 50

---@class lest.agent.event
---@field event "installed"|"rolled back"
---@field identity string its name
---@field generation integer
---@field cert string path
---@field chain string path
---@field key? string path; nil: it is in a token
---@field key_uri? string of one in a token
---@field anchors? string path
---@field serial string
---@field subject string
---@field not_after integer seconds since 1970

---@param name string of the identity
---@param material lest.agent.material
---@param kind "installed"|"rolled back"
---@return lest.agent.event
function M.event(name, material, kind)
  local paths, certificate = material.paths, material.certificate
  return { event = kind, identity = name, generation = material.number, cert = paths.cert,
    chain = paths.chain, key = paths.key,
    key_uri = paths.key_uri, anchors = paths.anchors, serial = certificate.serial,
    subject = tostring(certificate.subject), not_after = certificate.not_after }
end

local function environment_of(event)
  local list = { "PATH=" .. PATH, "LANG=C.UTF-8" }
  for name, value in pairs(event) do
    list[#list + 1] = ("LEST_%s=%s"):format(name:upper(), value)
  end
  return list
end

--- The last lines of what a program wrote, each fit for a log.
local function last_lines(text)
  local lines = {}
  for line in text:gmatch "[^\r\n]+" do
    if line:find "%S" then lines[#lines + 1] = terminal.line(line, LINE_MAX) end
  end
  return table.concat(lines, " | ", math.max(1, #lines - LINES_MAX + 1))
end

local function how_ended(ended, seconds)
  if ended.code == 0 then return nil end
  if ended.late then return ("takes longer than %d seconds"):format(seconds) end
  if ended.signal then return ("was ended by signal %d"):format(ended.signal) end
  return ("ended with %d"):format(ended.code)
end

local function run_command(hook, event)
  if not core.process then
    return fail("usage", "hooks that are commands need the lest binary, not a stock lua5.4")
  end
  local ended, err = task.await(function(callback)
    local program, problem = core.process.program(hook.command, { input = "",
      timeout_ms = hook.timeout * 1000, max = OUTPUT_MAX, tail = true,
      environment = environment_of(event), callback = callback })
    if not program then callback(nil, problem) end
    return program
  end)
  if not ended then return nil, err end
  local said = last_lines(#ended.errors > 0 and ended.errors or ended.output)
  local how = how_ended(ended, hook.timeout)
  if not how then return true, said end
  return fail("unavailable", ("%s: %s%s"):format(hook.command[1], how,
    said ~= "" and ": " .. said or ""))
end

--- Start the function as a task that ends at its deadline, whether it runs or waits.
local function start(hook, event)
  local deadline_ms = core.clock.monotonic_ms() + hook.timeout * 1000
  local limit = core.limit.new(deadline_ms, MEMORY, SLICE_MS)
  local running = task.start({ limit = limit, quiet = true }, hook.run, event)
  local timer
  if not running.done then
    timer = core.loop.timer(hook.timeout * 1000 + GRACE_MS, function()
      running:cancel(("takes longer than %d seconds"):format(hook.timeout))
    end)
  end
  return running, limit, timer
end

local function run_function(hook, event)
  local running <const>, limit <const>, timer <const> = start(hook, event)
  local ok, result, reason = pcall(running.wait, running)
  if timer then timer:close() end
  local problem
  if limit.expired then
    problem = ("takes longer than %d seconds (at %s)"):format(hook.timeout, limit.where)
  elseif limit.exhausted then
    problem = "uses too much memory"
  elseif not ok then
    problem = tostring(result)
  elseif (result == nil or result == false) and reason ~= nil then
    problem = tostring(reason)
  end
  if not problem then return true, "" end
  return fail("unavailable", "the function: " .. terminal.line(problem, LINE_MAX))
end

--- Run one to its end.
---@param hook table as deploy.shape gives it
---@param event lest.agent.event
---@return true?
---@return string|lest.error said the last lines that a command wrote; or the error
function M.run(hook, event)
  return (hook.command and run_command or run_function)(hook, event)
end

--- One text for a hook: another one is another hook. Functions are known by their place.
---@param hook table
---@param place integer
---@return string
function M.describe(hook, place)
  return hook.command and "command " .. table.concat(hook.command, " ")
    or ("function %d"):format(place)
end

return M
