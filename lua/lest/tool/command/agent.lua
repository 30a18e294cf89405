--- `lest agent [AGENT.lua]`: keep certificates alive, from bootstrap on.
--- `lest agent status [AGENT.lua]`: what it is doing.
--- `lest agent export FILE`, `lest agent import FILE`: by other hands than a network's.
local carrying = require "lest.tool.command.agent_carrying"
local json = require "lest.json"
local load = require "lest.agent.load"
local loop = require "lest.agent.loop"
local server_clock = require "lest.agent.server_clock"
local status = require "lest.agent.status"
local support = require "lest.tool.command.support"

local M = {}

local NAME <const> = "lest agent"
local DEFAULT <const> = "./agent.lua"

-- What monitoring is told of the worst identity, by its severity.
local CODES <const> = { [0] = 0, [1] = 1, [2] = 8 }

-- `file` is another one's of a command that has one.
local function add_file(parser, name)
  parser:argument(name or "file"):args "?"
    :description "The configuration; ./agent.lua by default."
end

local function add_status(parser)
  local command = support.subcommand(parser, {
    name = "status",
    summary = "Show each identity: its certificate's end, what is done next and when, and the last "
      .. "error. Reads the state folder; whether an agent runs does not matter. Exit code: 0 all "
      .. "is well; 1 something is to be looked at, and every certificate is still valid; 8 an "
      .. "identity has no valid certificate.",
    example = "lest agent status /etc/lest/agent.lua --json",
  })
  add_file(command)
  command:flag "--json" :description "Print the result as JSON."
end

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local parser = support.parser {
    name = NAME,
    summary = "Keep certificates alive: get each with its first credential, renew it before it "
      .. "ends, and go on for years. It writes to its state folder alone, where "
      .. "NAME/cert.pem, key.pem and chain.pem are the identity in use, and goes on where it was "
      .. "when it is started again. SIGUSR1, or a file STATE/try: try now what waits or has "
      .. "failed. Exit code of --once: 0 every certificate is good and nothing has failed; 5 one "
      .. "is still to come; 8 a person is needed; else that of the last error.",
    example = "lest agent /etc/lest/agent.lua --once",
  }
  parser:require_command(false):command_target "subcommand"
  add_file(parser)
  parser:flag "--once" :description "Do what is due, and end: for a timer."
  parser:flag "--try" :description "With --once: try now what waits or has failed, too."
  parser:flag "--renew" :description "With --once: renew all now, as for new keys."
  parser:flag "--check" :description "Only say whether the configuration is right."
  add_status(parser)
  carrying.add(parser, add_file)
  return parser
end

local function configured(options)
  local config, err = load.file(options.config or options.file or DEFAULT)
  if not config then return nil, err end
  return loop.new(config)
end

local function to_json(each)
  return { name = each.name, state = each.state, severity = each.severity, subject = each.subject,
    serial = each.serial, not_before = status.time(each.not_before),
    not_after = status.time(each.not_after), generation = each.generation, next = each.next,
    next_at = status.time(each.next_at), renewal = status.time(each.renewal),
    failures = each.failures, error = each.error,
    error_at = status.time(each.error_at), anchors_end = status.time(each.anchors_end),
    clock_offset = each.clock_offset, carried_at = status.time(each.carried_at) }
end

local function show(list, now)
  local rows = {}
  for i, each in ipairs(list) do
    rows[i] = { each.name, each.state, status.time(each.not_after),
      status.next_text(each, now), each.error or "" }
  end
  support.print_columns({ "NAME", "STATE", "ENDS", "NEXT", "LAST ERROR" }, rows, nil,
    { line = support.line_columns(1) })
  for _, each in ipairs(list) do
    local text = server_clock.text(each.clock_offset)
    if text then io.write(each.name, ": ", text, "\n") end
  end
end

local function status_command(options)
  local agent, err = configured(options)
  if not agent then return nil, err end
  local list, worst = status.of(agent), 0
  for _, each in ipairs(list) do worst = math.max(worst, each.severity) end
  if options.json then
    local rows = {}
    for i, each in ipairs(list) do rows[i] = to_json(each) end
    io.write(json.encode(rows), "\n")
  else
    show(list, agent.world.clock())
  end
  return CODES[worst]
end

-- Of identities that are still to get their first certificate: once there is one, its credential
-- may go. A file that is missing may be put there later, and is no mistake of the configuration.
local function check(agent, file)
  for _, name in ipairs(agent.names) do
    local identity = agent.identities[name]
    identity:read()
    for _, each in ipairs(identity.life and {} or load.unreadable(identity.options)) do
      support.complain(NAME, ("warning: identities.%s.%s: %s"):format(name, each.key,
        each.problem))
    end
  end
  io.write(file, ": ok\n")
  return 0
end

local function run(options)
  local agent, err = configured(options)
  if not agent then return nil, err end
  if options.check then return check(agent, options.file or DEFAULT) end
  if (options.try or options.renew) and not options.once then
    support.usage "--try and --renew go with --once"
  end
  return agent:run { once = options.once, try = options.try, renew = options.renew }
end

local function with_agent(command)
  return function(options)
    local agent, err = configured(options)
    if not agent then return nil, err end
    return command(agent, options)
  end
end

local COMMANDS <const> = { status = status_command, export = with_agent(carrying.export),
  import = with_agent(carrying.import) }

-- A word that is a command, where the configuration may stand.
local function with_command(args)
  local parser = M.parser()
  local command = COMMANDS[args[1]]
  if command then
    parser._arguments = {}
    return parser, command
  end
  if args[1] ~= "--help" and args[1] ~= "-h" then parser._commands = {} end
  return parser, run
end

---@param args string[]
---@return integer exit_code
function M.main(args)
  local parser, command = with_command(args)
  return support.run(parser, args, command)
end

return M
