--- A policy file as a worker runs it: a Lua file that returns a function (for enroll and reenroll)
--- or a table of hooks.
local core = require "lest.core"
local fail = require "lest.base.fail"
local mark = require "lest.base.mark"
local operations = require "lest.server.wire.operations"
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

--- What is wrong with what a policy file returned; nil for nothing.
local function hooks_problem(hooks)
  if type(hooks) ~= "table" then return "must return a function or a table of hooks" end
  for key, hook in pairs(hooks) do
    if not HOOKS[key] then
      return ("unknown hook '%s'%s"):format(tostring(key), schema.hint(key, HOOKS))
    elseif type(hook) ~= "function" then
      return ("hook '%s' is a %s, not a function"):format(key, type(hook))
    end
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
  local ok, hooks = pcall(chunk)
  if not ok then return fail("policy", tostring(hooks)) end
  if type(hooks) == "function" then hooks = { enroll = hooks, reenroll = hooks } end
  problem = hooks_problem(hooks)
  if problem then return fail("policy", file .. ": " .. problem) end
  return { hooks = hooks, file = file, hash = core.secret.sha256(source) }
end

return M
