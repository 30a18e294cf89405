--- `lest policy test`: run the specs of policies, by busted in this process, and say what they did
--- not reach.
local core = require "lest.core"
local fail = require "lest.base.fail"
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
  command:flag "--coverage"
    :description "Say also which lines, rules and tests of the policies no spec reached."
  command:flag "--traceback":description "Show where each failure came from."
end

-- What busted ends with, instead of the process.
local Exit <const> = { __name = "lest.policy.test.exit" }

local function load_busted()
  local ok, compatibility = pcall(require, "busted.compatibility")
  if not ok then
    return fail("not_found", "busted is not installed, which runs specs: apt install lua-busted")
  end
  function compatibility.exit(code) error(setmetatable({ code = code }, Exit), 0) end
  return require "busted.runner"
end

local function words_of(options)
  local words = { [0] = "lest policy test", "-o",
    assert(package.searchpath("lest.tool.policy.report", package.path)) }
  if options.traceback then words[#words + 1] = "--verbose" end
  for _, path in ipairs(#options.path > 0 and options.path or { "." }) do
    words[#words + 1] = path
  end
  return words
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

--- What the report counted.
M.outcome = nil

---@param options table
---@return integer|nil exit_code
---@return lest.error|nil err
function M.run(options)
  for _, path in ipairs(options.path) do
    if not core.system.exists(path) then
      return fail("usage", path .. ": there is no such file or folder")
    end
  end
  local runner, err = load_busted()
  if not runner then return nil, err end
  require "lest.testing" -- before busted, which forgets what a spec has loaded
  local coverage = options.coverage and require "lest.tool.policy.coverage"
  if coverage then coverage.start() end
  arg = words_of(options) -- luacheck: ignore 121
  local ok, problem = pcall(runner, { standalone = false })
  if not ok and getmetatable(problem) ~= Exit then error(problem, 0) end
  if not M.outcome then return 1 end -- busted has said why
  if M.outcome.passed + M.outcome.failed == 0 then
    return fail("not_found", "there is no spec: lest policy new writes one")
  end
  if coverage then
    local told
    told, err = print_coverage(coverage)
    if not told then return nil, err end
  end
  return M.outcome.failed == 0 and ok and 0 or 1
end

return M
