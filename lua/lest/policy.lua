--- The policy kit: verdicts, rules, tests, ready-made hooks.
---
---   local policy = require "lest.policy"
---   return {
---     enroll = policy.first {
---       policy.unless(policy.address "10.0.0.0/8", policy.reject "not from there"),
---       policy.when(policy.principal { kind = "basic" }, policy.own_name()),
---     },
---     reenroll = policy.renew { window = "30d" },
---   }
local core = require "lest.core"
local files = require "lest.policy.files"
local options = require "lest.policy.options"
local origin = require "lest.base.origin"
local rule = require "lest.policy.rule"
local schema = require "lest.base.schema"

---@class lest.module.policy
local M = {}

-- What others call a verdict.
local OTHER_NAMES <const> = {
  accept = "approve", allow = "approve", grant = "approve", issue = "approve", permit = "approve",
  abstain = "consent", agree = "consent", pass = "consent",
  decline = "reject", deny = "reject", refuse = "reject", defer = "pending", hold = "pending",
  wait = "pending", busy = "unavailable", retry = "unavailable",
}

-- A name that is not there, as policy.aprove, is a mistake that a policy hears of by its line.
setmetatable(M, { __index = function(self, key)
  local other = OTHER_NAMES[key]
  error(("lest.policy has no '%s'%s"):format(tostring(key), other
    and (", did you mean '%s'?"):format(other) or schema.hint(key, self)), 2)
end })

-- The policy's line, as error() counts from a function that is called through keep_caller.
local CALLER <const> = 3

--- A file that belongs to a policy, as a list of devices: its path, from a name relative to the
--- file that calls this. It raises where the file cannot be read by `user`, as whom a policy runs:
--- where a policy calls it while it is loaded, `lest serve --check` says so.
---
---   local allowed = {}
---   for name in io.lines(policy.file "devices.csv") do
---     allowed[name] = true
---   end
---@param name string
---@return string path
function M.file(name)
  if type(name) ~= "string" or name == "" or name:find("\0", 1, true) then
    error("policy.file takes the name of a file", CALLER)
  end
  local folder = files.folder_of(debug.getinfo(CALLER, "S").source)
  if not folder then error("policy.file is for what stands in a file", CALLER) end
  local path = files.path(folder, name)
  local problem = files.problem(path)
  if problem then error("policy.file: " .. problem, CALLER) end
  return path
end
M.file = core.error.keep_caller(M.file)

---@class lest.policy.option
---@field type? "string"|"integer"|"boolean"|"duration"|"strings"|"file"|"source"|"secret" of its
--- values: `strings` is a list; of a duration the policy gets seconds; of a `file` the path, which
--- is relative to the configuration and can be read by `user`; a `source` is such a file or a URL;
--- of a `secret` the policy gets the first line of such a file, so that no configuration has it
---@field one_of? string[] instead of a type: all its values
---@field default? any what it is where the configuration does not have it; without one it must be
--- there. Files have none.
---@field optional? boolean it may be absent, and is nil then
---@field min? integer|string of an integer or a duration
---@field max? integer|string likewise

--- Declare the options of this policy, and get their values: those that the label has, as `policy =
--- { file = "x.lua", options = { prefix = "pump-" } }`, or the defaults. It is called once, at the
--- top of the file. Several labels may run one file with other options. A file that another one
--- requires gets its defaults.
---
---   local options = policy.options {
---     prefix = { type = "string", default = "device-" },
---     window = { type = "duration", default = "30d", max = "90d" },
---   }
---@param declared table<string, lest.policy.option> by their names
---@return table<string, any> values closed and read-only
function M.options(declared)
  local caller = debug.getinfo(CALLER, "Sl")
  if caller.what ~= "main" then
    error("policy.options: call it at the top of the file, not in a function", CALLER)
  end
  local values, problem = options.take(declared, caller.source,
    ("%s:%d"):format(caller.source:sub(2), caller.currentline))
  if not values then error(problem, CALLER) end
  return values
end
M.options = core.error.keep_caller(M.options)

--- A maker of rules or tests as a policy calls it: what it makes has a name, and a mistake, nil and
--- a sentence of the maker, is raised as one of the policy's line.
local function of_policy(name, kind, maker)
  -- Most calls end with `return policy.first { ... }`: keep_caller.
  return core.error.keep_caller(function(...)
    if rawequal((...), M) then
      error(("write policy.%s with a dot, not a colon"):format(name), CALLER)
    end
    local made, problem = maker(...)
    if not made then error(problem, CALLER) end
    if not rule.is_known(made) then rule.register(made, kind, name, origin.here(2)) end
    return made
  end)
end

local verdicts = require "lest.policy.verdicts"
for _, name in ipairs { "approve", "consent", "reject", "pending", "unavailable", "is_verdict" } do
  M[name] = verdicts[name]
end
for kind, parts in pairs { rule = { "rules", "ready", "names" },
  test = { "tests", "asks_for", "past", "logic" } } do
  for _, part in ipairs(parts) do
    for name, maker in pairs(require("lest.policy." .. part)) do
      M[name] = of_policy(name, kind, maker)
    end
  end
end


-- What an inventory is of stands beside the policy, as for policy.file.
for name, maker in pairs(require "lest.policy.inventories") do
  local takes_file = name == "csv" or name == "sqlite"
  M[name] = of_policy(name, name == "listed" and "test" or "inventory", function(first, ...)
    if not takes_file then return maker(first, ...) end
    local folder = files.folder_of(debug.getinfo(CALLER + 1, "S").source) or "."
    if type(first) ~= "string" or first == "" or first:find("\0", 1, true) then
      return nil, ("policy.%s takes the name of a file"):format(name)
    end
    return maker(files.path(folder, first), ...)
  end)
end

return M
