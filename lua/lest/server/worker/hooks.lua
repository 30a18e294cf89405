--- A policy file as a worker runs it: a Lua file that returns a function (for enroll and reenroll)
--- or a table of hooks.
local core = require "lest.core"
local decision = require "lest.server.worker.decision"
local fail = require "lest.base.fail"
local files_of = require "lest.policy.files"
local later = require "lest.server.worker.later"
local mark = require "lest.base.mark"
local operations = require "lest.server.wire.operations"
local options = require "lest.policy.options"
local policy_names = require "lest.server.wire.policy_names"
local rule = require "lest.policy.rule"
local schema = require "lest.base.schema"
local stack = require "lest.policy.stack"
local verdicts = require "lest.policy.verdicts"

local M = {}

local FILE_MAX <const> = 1024 * 1024

-- The most time of the processor that a policy's text may take to be loaded, looked at each so many
-- instructions.
local LOAD_SECONDS <const>, LOOK_EVERY <const> = 5, 100000

-- The most bytes of paths that the ledger has with a request.
local FILES_MAX <const> = 4096

-- What a policy may have, by the operations that are decided.
local HOOKS <const> = {}
for _, operation in pairs(operations) do
  if operation.hook then HOOKS[operation.hook] = true end
end

-- What a policy may have for what happened. Nothing is decided by these.
local LISTENERS <const> = { issued = true, revoked = true }
local KNOWN <const> = {}
for _, names in ipairs { HOOKS, LISTENERS } do
  for name in pairs(names) do KNOWN[name] = true end
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
  local trace = debug.traceback("", 2)
  if type(problem) == "string" then return decision.at(chunk, problem, trace) end
  local ok, text = pcall(decision.describe, problem)
  if not ok or type(text) ~= "string" then text = "an error of type " .. type(problem) end
  return decision.at(chunk, text, trace)
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
    if not KNOWN[key] then
      return ("unknown hook '%s'%s"):format(tostring(key), schema.hint(key, KNOWN)), hook
    elseif type(hook) ~= "function" then
      return ("hook '%s' is a %s, not a function"):format(key, type(hook))
    end
    local _, problem = nil, nil
    if HOOKS[key] then _, problem = rule.as_rule(hook) end
    if problem then return ("hook '%s' %s"):format(key, problem) end
  end
end

-- As fn(), but that text which does not end raises. What already watches the lines, as coverage
-- does, goes on instead.
local function bounded(fn)
  if debug.gethook() then return fn() end
  local until_s = os.clock() + LOAD_SECONDS
  debug.sethook(function()
    if os.clock() > until_s then
      error(("it ran for more than %d s while it was loaded"):format(LOAD_SECONDS), 0)
    end
  end, "", LOOK_EVERY)
  local results = table.pack(fn())
  debug.sethook()
  return table.unpack(results, 1, results.n)
end

--- Run the chunk of a policy file with its options: what it returns.
local function run(chunk, file, given, folder)
  local state = { source = "@" .. file, given = given or {},
    folder = folder or files_of.folder_of("@" .. file) }
  local ok, hooks = options.load(state, function()
    return bounded(function()
      return xpcall(chunk, function(raised) return why_failed(chunk, raised) end)
    end)
  end)
  local problem = state.problem
  if problem and (ok or state.place) then
    local place = state.place and (" (%s)"):format(state.place) or ""
    local _, err = fail("policy", problem.text .. place)
    err.option = problem.option
    return nil, err
  end
  if not ok then return fail("policy", tostring(hooks)) end
  return hooks
end

---@class lest.worker.listener
---@field name string the policy's file; of one that the label has twice also which it is
---@field issued? function
---@field revoked? function

---@class lest.worker.policy
---@field hooks table<string, function> those that decide
---@field listeners lest.worker.listener[] those of what happened, of each policy that has some
---@field file string of several: all, with ", " between them
---@field hash string SHA-256 of the text; of several: of their hashes

-- The hooks that decide, and the others.
local function sorted(all, file)
  local hooks, listener = {}, { name = file }
  for name, hook in pairs(all) do
    if LISTENERS[name] then listener[name] = hook else hooks[name] = hook end
  end
  return hooks, (listener.issued or listener.revoked) and { listener } or {}
end

-- Each certificate that a message of CMC asks for is enrolled or renewed as by itself, unless the
-- policy has a hook for these.
local FALLBACK <const> = { __index = function(hooks, name)
  if name ~= "fullcmc" then return nil end
  local enroll, reenroll = rawget(hooks, "enroll"), rawget(hooks, "reenroll")
  if not enroll and not reenroll then return nil end
  return rule.named("fullcmc", function(request)
    local hook = request.previous and reenroll or not request.previous and enroll
    if hook then return rule.decide(hook, request) end
    return verdicts.reject "this operation is not offered here"
  end)
end }

--- Load a policy file.
---@param file string
---@param source? string its text, where that was read already
---@param given? table<string, any> its options
---@param folder? string where the files in them are; absent: the policy's
---@return lest.worker.policy|nil policy
---@return lest.error|nil err `option` is the one that it is about
function M.load(file, source, given, folder)
  if not source then
    local err
    source, err = core.file.read(file, FILE_MAX)
    if not source then return fail("policy", "the policy cannot be read", { cause = err }) end
  end
  local chunk, problem = load(mark.strip(source), "@" .. file, "t", strict_environment())
  if not chunk then return fail("policy", problem) end
  local hooks, err = run(chunk, file, given, folder)
  if err then return nil, err end
  if type(hooks) == "function" then hooks = { enroll = hooks, reenroll = hooks } end
  local hook
  problem, hook = hooks_problem(hooks)
  if problem then return fail("policy", place_of(hook, file, chunk) .. ": " .. problem) end
  local listeners
  hooks, listeners = sorted(hooks, file)
  return { hooks = setmetatable(hooks, FALLBACK), listeners = listeners, file = file,
    hash = core.secret.sha256(source) }
end

-- Each policy hears for itself.
local function all_listeners(policies)
  local found, names = {}, policy_names(policies)
  for i, policy in ipairs(policies) do
    for _, each in ipairs(policy.listeners or {}) do
      table.insert(found, { issued = each.issued, revoked = each.revoked, name = names[i] })
    end
  end
  return found
end

--- Several policies as one: all must approve (lest.policy.stack).
---@param policies lest.worker.policy[]
---@return lest.worker.policy
function M.join(policies)
  if #policies == 1 then return policies[1] end
  local names, paths, hashes = {}, {}, {}
  for i, policy in ipairs(policies) do
    names[i], paths[i], hashes[i] = policy.file:match "[^/]*$", policy.file, policy.hash
  end
  local file, name = table.concat(paths, ", "), table.concat(names, ", ")
  if #file > FILES_MAX then file = name end
  return { hooks = setmetatable(stack.hooks(policies, name), FALLBACK),
    listeners = all_listeners(policies), file = file,
    hash = core.secret.sha256(table.concat(hashes)) }
end

--- The texts of policies: a process that gives up its rights reads them before, as of_label wants
--- them.
---@param policies { file: string }[]
---@param files table<string, string> to which they are added, by their paths
---@return boolean|nil ok
---@return lest.error|nil err
function M.read(policies, files)
  for _, each in ipairs(policies) do
    local err
    files[each.file], err = core.file.read(each.file, FILE_MAX)
    if not files[each.file] then
      return fail("policy", "the policy cannot be read", { cause = err })
    end
  end
  return true
end

-- What a policy may ask for, at any time, by its name or by what the kit makes of it; lest may be
-- where `user` cannot read, as below /root.
local MODULES <const> = { "lest", "lest.all", "lest.client", "lest.duration", "lest.http",
  "lest.json", "lest.log", "lest.policy", "lest.policy.csv", "lest.policy.database",
  "lest.policy.remote", "lest.policy.watched", "lest.retry", "lest.task", "lest.url" }

--- Read what of lest a policy may require, before the process gives up its rights.
function M.preload()
  for _, name in ipairs(MODULES) do later.keep(name) end
end

-- A policy may be of several files: what it requires is looked for beside it too.
local function search_beside(file)
  local template = files_of.folder_of("@" .. file) .. "/?.lua"
  if not (";" .. package.path .. ";"):find(";" .. template .. ";", 1, true) then
    package.path = package.path .. ";" .. template
  end
end

--- One policy of a label; what has hooks is one already.
local function load_one(policy, folder, files)
  if policy.hooks then return policy end
  search_beside(policy.file)
  return M.load(policy.file, files and files[policy.file], policy.options, folder)
end

--- Load what decides for a label.
---@param label { policies: { file: string, options?: table }[] } of the configuration
---@param folder? string that of the configuration; absent: each policy's own
---@param files? table<string, string> texts that were read already, by their paths
---@return lest.worker.policy|nil policy
---@return lest.error|nil err `of` is the one of `policies` that it is about
function M.of_label(label, folder, files)
  local policies = {}
  for i, each in ipairs(label.policies) do
    local err
    policies[i], err = load_one(each, folder, files)
    if not policies[i] then
      err.of = each
      return nil, err
    end
  end
  return M.join(policies)
end

return M
