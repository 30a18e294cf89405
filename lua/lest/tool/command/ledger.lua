--- `lest ledger`: the file in which a server keeps what it decided and issued.
local json = require "lest.json"
local operate = require "lest.tool.command.operate"
local operator = require "lest.server.ledger.operator"
local support = require "lest.tool.command.support"

local M = {}

local function new_parser()
  local parser = support.parser {
    name = "lest ledger", summary = "Make a server's ledger.",
    example = "lest ledger init --config pki/server.lua",
  }
  parser:require_command(true):command_target "subcommand"
  operate.subcommand(parser, "init",
    "Make an empty ledger for a server that never had one; 'lest ca init' has done it already. "
    .. "One that was lost is to be restored from a backup: an empty one knows of no certificate "
    .. "that was issued before, and none of them can be revoked.",
    "lest ledger init --config pki/server.lua")
  return parser
end

local function init(options, config)
  local ok, err = operator.init(config)
  if not ok then return nil, err end
  if options.json then
    support.print_json(json.object { ledger = config.ledger })
  else
    io.write(support.clean(config.ledger), ": made; it is empty\n")
  end
end

local actions <const> = { init = init }

---@param args string[]
---@return integer exit_code
function M.main(args)
  return operate.main(new_parser(), args, actions)
end

return M
