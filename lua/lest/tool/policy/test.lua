--- `lest policy test`: run the specs of policies, by busted in this process, and say what they did
--- not reach.
local as_user = require "lest.tool.policy.as_user"
local core = require "lest.core"
local fail = require "lest.base.fail"
local specs = require "lest.tool.policy.specs"
local support = require "lest.tool.command.support"

local M = {}

---@param parser table of the family
function M.add(parser)
  local command = support.subcommand(parser, {
    name = "test",
    summary = "Run the specs of policies (lest.testing in lest-lua(3), busted): every file that "
      .. "ends in _spec.lua. Each loads the policy as it is deployed. Exit code 0: all passed; 1: "
      .. "one failed, or there is none.",
    example = "lest policy test --coverage /etc/lest",
  })
  command:argument "path":args "*"
    :description "Specs, and folders with specs; the current folder by default."
  command:option "--config":argname "SERVER.lua"
    :description("The configuration with the account that policies run as: where root types this, "
      .. "specs and policies run as its `user`, which must be able to read them, and without this "
      .. "option as root, with a warning.")
  command:flag "--coverage"
    :description "Say also which lines, rules and tests of the policies no spec reached."
  command:flag "--traceback":description "Show where each failure came from."
end

local function print_coverage(coverage)
  local results, err = coverage.results()
  if not results then return nil, err end
  for _, each in ipairs(results) do
    local path, lines = support.clean(each.path), {}
    for line in (each.text .. "\n"):gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
    io.write("\n", path, ": ", ("%d of %d statements, %d of %d rules and tests reached\n"):format(
      each.statements - #each.lines, each.statements, each.count - #each.rules, each.count))
    for _, line in ipairs(each.lines) do
      io.write(("  %d: not reached: %s\n"):format(line,
        support.clean((lines[line] or ""):match "^%s*(.-)%s*$")))
    end
    for _, row in ipairs(each.rules) do
      io.write("  ", row.kind, " never asked: ", support.clean(row.name), "\n")
    end
  end
  return true
end

---@param options table
---@return integer|nil exit_code
---@return lest.error|nil err
function M.run(options)
  for _, path in ipairs(options.path) do
    if not core.system.exists(path) then
      return fail("usage", path .. ": there is no such file or folder")
    end
  end
  local ok, problem = as_user.enter("lest policy test", options.config)
  if not ok then return nil, problem end
  local coverage = options.coverage and require "lest.tool.policy.coverage"
  if coverage then coverage.start() end
  local outcome, err = specs.run { traceback = options.traceback,
    paths = #options.path > 0 and options.path or { "." } }
  if not outcome then return nil, err end
  if outcome.passed + outcome.failed == 0 then
    return fail("not_found", "there is no spec: lest policy new writes one")
  end
  if coverage then
    local told
    told, err = print_coverage(coverage)
    if not told then return nil, err end
  end
  return outcome.failed == 0 and 0 or 1
end

return M
