--- Runs the specs of a configuration's policies, before a reload takes it: with the account of the
--- workers, and without a key, a socket, a channel or the ledger. It ends with 0 when all passed.
local core = require "lest.core"
local fail = require "lest.base.fail"
local snapshot = require "lest.server.config.snapshot"
local specs = require "lest.tool.policy.specs"
local start_failure = require "lest.server.config.start_failure"
local terminal = require "lest.base.terminal"

local M = {}

local MESSAGE_MAX <const> = 600

--- `x_spec.lua` of each policy `x.lua` that has one.
local function specs_of(config)
  local paths, listed = {}, {}
  for _, label in pairs(config.labels) do
    for _, policy in ipairs(label.policies) do
      local path = policy.file:gsub("%.lua$", "") .. "_spec.lua"
      if not listed[path] and core.system.exists(path) then table.insert(paths, path) end
      listed[path] = true
    end
  end
  table.sort(paths)
  return paths
end

local function what_failed(outcome)
  local first = outcome.first
  local name = first and (first.name or first.element and first.element.name)
  local message = first and tostring(first.message) or "no spec could be run"
  local _, err = fail("policy", ("%d of %d specs of the policies failed: %s%s"):format(
    outcome.failed, outcome.passed + outcome.failed, name and tostring(name) .. ": " or "",
    terminal.line(message, MESSAGE_MAX)), { exit_code = 2 })
  return err
end

---@param launch table what the host gives a role
---@return integer exit_code
function M.main(launch)
  local config = snapshot.from_json(launch.config, launch.files)
  local paths = specs_of(config)
  local ok, err = true, nil
  if launch.user then ok, err = core.process.drop(launch.user) end
  if ok then ok, err = core.process.harden() end
  local outcome
  if ok and paths[1] then outcome, err = specs.run { paths = paths, is_quiet = true } end
  if ok and not paths[1] then return 0 end
  if outcome and outcome.failed == 0 then return 0 end
  return start_failure.report(launch, outcome and what_failed(outcome) or err)
end

return M
