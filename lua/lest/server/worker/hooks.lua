--- A policy file as a worker runs it: a Lua file that returns a function (for enroll and reenroll)
--- or a table of hooks.
local core = require "lest.core"
local decision = require "lest.server.worker.decision"
local fail = require "lest.base.fail"
local mark = require "lest.base.mark"
local operations = require "lest.server.wire.operations"
local rule = require "lest.policy.rule"
local schema = require "lest.base.schema"

local M = {}

local FILE_MAX <const> = 1024 * 1024

-- What a policy may have, by the operations that are decided.
local HOOKS <const> = {}
for _, operation in pairs(operations) do
  if operation.hook then HOOKS[operation.hook] = true end
end

--- Where a policy's chunk runs: reading or assigning an undeclared global raises, for a forgotten
--- `local` would hand one device's name to another.
local function strict_environment()
  return setmetatable({}, {
    __index = function(_, key)
      local value = _G[key]
      if value == nil then
        error(("undeclared global '%s'%s"):format(tostring(key), schema.hint(key, _G)), 2)
      end
      return value
    end,
    __newindex = function(_, key)
      error(("undeclared global '%s' is assigned: put 'local' before it"):format(tostring(key)), 2)
    end,
    __metatable = false,
  })
end

--- What a policy's text raised while it ran, with the line where it did.
local function why_failed(chunk, problem)
  local stack = debug.traceback("", 2)
  if type(problem) == "string" then return decision.at(chunk, problem, stack) end
  local ok, text = pcall(decision.describe, problem)
  if not ok or type(text) ~= "string" then text = "an error of type " .. type(problem) end
  return decision.at(chunk, text, stack)
end

--- "file:12", where a hook of this file begins; of another's, or of what is no function, "file".
local function place_of(hook, file, chunk)
  local info = type(hook) == "function" and debug.getinfo(hook, "S")
  if not info or info.source ~= debug.getinfo(chunk, "S").source then return file end
  return ("%s:%d"):format(file, info.linedefined)
end

--- What is wrong with what a policy file returned, and with which hook; nil for nothing.
local function hooks_problem(hooks)
  if type(hooks) ~= "table" then return "must return a function or a table of hooks" end
  for key, hook in pairs(hooks) do
    if not HOOKS[key] then
      return ("unknown hook '%s'%s"):format(tostring(key), schema.hint(key, HOOKS)), hook
    elseif type(hook) ~= "function" then
      return ("hook '%s' is a %s, not a function"):format(key, type(hook))
    end
    local _, problem = rule.as_rule(hook)
    if problem then return ("hook '%s' %s"):format(key, problem) end
  end
end

--- Load a policy file.
---@param file string
---@param source? string its text, where that was read already
---@return { hooks: table<string, function>, file: string, hash: string }|nil policy
---@return lest.error|nil err
function M.load(file, source)
  if not source then
    local err
    source, err = core.file.read(file, FILE_MAX)
    if not source then return fail("policy", "the policy cannot be read", { cause = err }) end
  end
  local chunk, problem = load(mark.strip(source), "@" .. file, "t", strict_environment())
  if not chunk then return fail("policy", problem) end
  local ok, hooks = xpcall(chunk, function(raised) return why_failed(chunk, raised) end)
  if not ok then return fail("policy", tostring(hooks)) end
  if type(hooks) == "function" then hooks = { enroll = hooks, reenroll = hooks } end
  local hook
  problem, hook = hooks_problem(hooks)
  if problem then return fail("policy", place_of(hook, file, chunk) .. ": " .. problem) end
  return { hooks = hooks, file = file, hash = core.secret.sha256(source) }
end

-- A policy may be of several files: what it requires is looked for beside it too.
local function search_beside(file)
  local template = (file:match "^(.*)/[^/]*$" or ".") .. "/?.lua"
  if not (";" .. package.path .. ";"):find(";" .. template .. ";", 1, true) then
    package.path = package.path .. ";" .. template
  end
end

--- Load what decides for a label.
---@param options { policy: string } the label's, of the configuration
---@param files? table<string, string> texts that were read already, by their paths
---@return { hooks: table<string, function>, file: string, hash: string }|nil policy
---@return lest.error|nil err
function M.of_label(options, files)
  search_beside(options.policy)
  return M.load(options.policy, files and files[options.policy])
end

return M
