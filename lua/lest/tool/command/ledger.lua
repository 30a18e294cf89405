--- `lest ledger`: the file in which a server keeps what it decided and issued.
local core = require "lest.core"
local ends = require "lest.server.ledger.ends"
local fail = require "lest.base.fail"
local json = require "lest.json"
local ledger_file = require "lest.server.ledger.file"
local list = require "lest.base.list"
local operate = require "lest.tool.command.operate"
local operator = require "lest.server.ledger.operator"
local support = require "lest.tool.command.support"

local M = {}

local PIECE <const> = 65536

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local parser = support.parser {
    name = "lest ledger", summary = "Make a server's ledger, copy it, and list what operators did.",
    example = "lest ledger backup /var/backups/lest/ledger.db --config pki/server.lua",
  }
  parser:require_command(true):command_target "subcommand"
  operate.subcommand(parser, "init",
    "Make an empty ledger for a server that never had one; 'lest ca init' has done it already. "
    .. "One that was lost is to be restored from a backup: an empty one knows of no certificate "
    .. "that was issued before, and none of them can be revoked.",
    "lest ledger init --config pki/server.lua")
  local backup = operate.subcommand(parser, "backup",
    "Copy the ledger to a new file of mode 0600. Where the server runs, it hands over the copy, "
    .. "and the file is of who asked; for that moment it needs as much room beside the ledger. "
    .. "With --direct or without a server, as root, the copy is made by the ledger's owner, who "
    .. "must be allowed to write there.",
    "lest ledger backup /var/backups/lest/ledger.db --config pki/server.lua")
  backup:argument "file" :description "What is there is not replaced."
  local acts = operate.subcommand(parser, "acts", "List what operators changed, newest first: who "
    .. "they are to the system, in whose name they acted, and how it ended. One without a result "
    .. "was begun by a command that was ended itself.", "lest ledger acts --config pki/server.lua")
  operate.lists(acts, "100")
  local ending = operate.subcommand(parser, "ends", "Say what the ledger has that ends, besides "
    .. "certificates: when the CRL of each key was made, until when who signs answers of OCSP is "
    .. "certified, and how many credentials end soon. `lest check` asks for it.",
    "lest ledger ends --within 7d --config pki/server.lua")
  ending:option "--within":argname "DURATION":default "30d":convert(support.duration)
    :description "Of credentials, those that end so soon."
  operate.reads(ending)
  return parser
end

local function init(options, config)
  local ok, err = ledger_file.init(config)
  if not ok then return nil, err end
  if options.json then
    support.print_json(json.object { ledger = config.ledger })
  else
    io.write(support.clean(config.ledger), ": made; it is empty\n")
  end
end

local function show_progress(done, all)
  support.status(("the ledger is copied (%d %%)"):format(100 * done // math.max(all, 1)))
end

-- As root, this process has become the ledger's owner, which may write less.
local function name_writer(err, owner)
  if core.system.user_id() == 0 or not owner then return err end
  err.message = ("%s as %s, the ledger's owner"):format(err.message, owner)
  return err
end

-- Through the file of who asked.
local function hand_over(ledger, output)
  local copy <close>, err = ledger:copy()
  if not copy then return nil, err end
  local bytes, problem
  repeat
    bytes, problem = copy:read(PIECE)
    if bytes then bytes, problem = output:write(bytes) end
  until not bytes
  local ok = not problem
  if ok then ok, problem = output:flush() end
  if ok then return true end
  return fail("io", output.path .. ": the copy is not whole", { detail = problem })
end

-- The file is named before this process may enter another folder.
local function backup(options, config)
  local output = support.output
  local path, err
  if output then path = output.path else path, err = core.file.resolve(options.file) end
  if not path then return nil, err end
  local was_root = core.system.user_id() == 0
  local ledger <close>, problem = ledger_file.open(config)
  if not ledger then return nil, problem end
  local owner = was_root and core.system.user_name()
  local ok
  ok, err = operator.noted(ledger, "ledger_backup", { file = path }, function()
    if output then return hand_over(ledger, output) end
    return ledger:backup(path, show_progress)
  end)
  support.status()
  if not ok then return nil, name_writer(err, owner) end
  if options.json then support.print_json(json.object { file = path }) end
end

-- What fits a terminal.
local NARROW <const> = {
  header = { "TIME (UTC)", "OPERATOR", "OPERATION", "RESULT", "SUBJECT" }, name = "OPERATOR",
  line = function(row)
    return { support.time(row.time_us // 1000000):sub(1, 16), row.operator or row.account,
      row.operation, row.result, row.subject }
  end,
}

local function acts(options, config)
  return operate.print_list(options, config, {
    command = "lest ledger acts", operation = "act_list", arguments = {},
    header = { "TIME", "UID", "ACCOUNT", "AS", "THROUGH", "OPERATION", "RESULT", "SUBJECT" },
    line = function(row)
      return { support.time(row.time_us // 1000000), row.uid, row.account, row.operator,
        row.through, row.operation, row.result, row.subject }
    end,
    narrow = NARROW,
  })
end

local function show_ends(options, config)
  local ledger <close>, err = ledger_file.open_to_read(config)
  if not ledger then return nil, err end
  local found
  found, err = ends.of(ledger, { within = options.within,
    clock = function() return core.clock.wall_us() // 1000000 end })
  if not found then return nil, err end
  if options.json then return support.print_json(json.object(found)) end
  local lines = {}
  for _, row in ipairs(found.crls) do
    table.insert(lines, { "CRL made", support.time(row.made), row.issuer })
  end
  for _, row in ipairs(found.ocsp) do
    table.insert(lines, { "OCSP until", support.time(row.last), row.issuer })
  end
  for _, kind in ipairs(list.sorted_keys(found.credentials)) do
    local row = found.credentials[kind]
    table.insert(lines, { "credentials from", support.time(row.first), ("%d, %s"):format(row.count,
      kind == "one_time" and "not used yet" or "that may be used again") })
  end
  support.print_columns({ "WHAT", "TIME", "OF" }, lines)
end

local actions <const> = { init = init, backup = backup, acts = acts, ends = show_ends }

---@param args string[]
---@return integer exit_code
function M.main(args)
  return operate.main(M.parser(), args, actions)
end

return M
