--- `lest policy`: what a policy's author needs. A sub-command is a row here and a file of
--- lua/lest/tool/policy with add(parser) and run(options).
local support = require "lest.tool.command.support"

local M = {}

local SUBCOMMANDS <const> = { "new", "check", "test", "fuzz", "pin", "replay", "shadow",
  "reload" }

local function part(name)
  return require("lest.tool.policy." .. name)
end

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local parser = support.parser {
    name = "lest policy",
    summary = "Write policies that you can trust, and find out what they do.",
    example = "lest policy check policy.lua --config server.lua",
  }
  parser:require_command(true):command_target "subcommand"
  for _, name in ipairs(SUBCOMMANDS) do part(name).add(parser) end
  return parser
end

---@param args string[]
---@return integer exit_code
function M.main(args)
  if args[1] == "--part" then
    return require "lest.tool.policy.replay_part".main(table.move(args, 2, #args, 1, {}))
  end
  return support.run(M.parser(), args, function(options)
    return part(options.subcommand).run(options)
  end)
end

return M
