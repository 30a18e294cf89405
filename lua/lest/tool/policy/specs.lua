--- Runs specs by busted in this process, once.
local fail = require "lest.base.fail"

local M = {}

-- What busted ends with, instead of the process.
local Exit <const> = { __name = "lest.policy.specs.exit" }

--- What the output counted (lest.tool.policy.report).
---@type { passed: integer, failed: integer, first?: table }|nil first: what failed first, as
--- busted has it
M.outcome = nil
--- Whether nothing is printed.
M.is_quiet = false

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
  return table.move(options.paths, 1, #options.paths, #words + 1, words)
end

--- Let os.exit raise in this process from now on: what ends has passed, and neither a spec nor a
--- policy says so by itself.
function M.refuse_exit()
  os.exit = function() -- luacheck: ignore 122
    error("neither a spec nor a policy ends the process", 2)
  end
end

--- Run specs, which end no process.
---@param options { paths: string[], traceback?: boolean, is_quiet?: boolean }
---@return { passed: integer, failed: integer, first?: table }|nil outcome
---@return lest.error|nil err
function M.run(options)
  local runner, err = load_busted()
  if not runner then return nil, err end
  require "lest.testing" -- before busted, which forgets what a spec has loaded
  M.is_quiet = options.is_quiet or false
  arg = words_of(options) -- luacheck: ignore 121
  M.refuse_exit()
  local ok, problem = pcall(runner, { standalone = false })
  if not ok and getmetatable(problem) ~= Exit then error(problem, 0) end
  return M.outcome or { passed = 0, failed = 1 } -- busted has said why
end

return M
