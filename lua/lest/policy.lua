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
local origin = require "lest.base.origin"
local rule = require "lest.policy.rule"
local schema = require "lest.base.schema"

---@class lest.module.policy
local M = {}

-- What others call a verdict.
local OTHER_NAMES <const> = {
  accept = "approve", allow = "approve", grant = "approve", issue = "approve", permit = "approve",
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
  local source = debug.getinfo(CALLER, "S").source:match "^@(.+)"
  if not source then error("policy.file is for what stands in a file", CALLER) end
  local path = name:sub(1, 1) == "/" and name or (source:match "^(.*/)[^/]*$" or "") .. name
  local file, problem = io.open(path, "rb")
  local there = file ~= nil
  if file then
    there, problem = file:read(0)
    there = there or not problem -- an empty file has no byte, and no problem
    file:close()
  end
  if not there then error("policy.file: " .. problem, CALLER) end
  return path
end
M.file = core.error.keep_caller(M.file)

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
for _, name in ipairs { "approve", "reject", "pending", "unavailable", "is_verdict" } do
  M[name] = verdicts[name]
end
for kind, parts in pairs { rule = { "rules", "ready", "names" }, test = { "tests", "logic" } } do
  for _, part in ipairs(parts) do
    for name, maker in pairs(require("lest.policy." .. part)) do
      M[name] = of_policy(name, kind, maker)
    end
  end
end

return M
