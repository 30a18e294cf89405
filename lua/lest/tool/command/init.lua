--- The command line: `lest COMMAND ...`. A command is a module of this folder
--- whose main(args) returns an exit code; args is the list of words after the command's name.
local M = {}

--- Every command, in the order of the help. One whose module is not installed is not offered.
M.commands = {
  { "ca", "make an embedded CA and a configuration, change the CA's key" },
  { "serve", "run the server" },
  { "check", "say what of a server ends when, and what to do" },
  { "policy", "write, check and test policies" },
  { "credential", "add, list and remove credentials of devices" },
  { "pending", "list, show, approve and reject requests that wait" },
  { "cert", "list, show, revoke and import certificates" },
  { "request", "list and show what was decided" },
  { "log", "show decisions in their order, and as they are made" },
  { "explain", "say why a request ended as it did" },
  { "outbox", "list what hooks are still to hear of, and try again" },
  { "ledger", "make a server's ledger, and copy it" },
  { "cacerts", "fetch a server's CA certificates" },
  { "csrattrs", "fetch what a server wants in a request" },
  { "enroll", "get a certificate" },
  { "reenroll", "renew a certificate" },
  { "fullcmc", "ask for certificates in one message of CMC" },
  { "agent", "keep certificates alive, from bootstrap on" },
  { "forward", "send on requests of devices that have no network" },
  { "serverkeygen", "get a key that the server makes, and its certificate" },
  { "fleet", "simulate thousands of devices over years" },
  { "probe", "hold a server against the RFCs" },
  { "inspect", "show what a file of the field contains" },
  { "run", "run a Lua script" },
  { "repl", "type Lua, see what it gives" },
  { "help", "show a page of the manual, or a command's help" },
}

--- The pages of the manual that `lest help` shows, with their section.
M.topics = {
  { "server.lua", "the configuration of a server", section = 5 },
  { "agent.lua", "the configuration of an agent", section = 5 },
  { "fleet.lua", "a fleet that is simulated", section = 5 },
  { "policy", "what a policy is given and returns", section = 5 },
  { "lua", "the modules for scripts and policies", section = 3 },
}

local function offered(name)
  return package.searchpath("lest.tool.command." .. name, package.path) ~= nil
end

local COLUMN <const> = "  %-14s%s"

local function help()
  local lines = { "Usage: lest COMMAND [ARG...]", "",
    "Enrollment over Secure Transport (RFC 7030) with Lua.", "", "Commands:" }
  for _, command in ipairs(M.commands) do
    if offered(command[1]) then
      lines[#lines + 1] = COLUMN:format(command[1], command[2])
    end
  end
  lines[#lines + 1] = "\nPages (lest help PAGE, man lest-PAGE):"
  for _, topic in ipairs(M.topics) do
    lines[#lines + 1] = COLUMN:format(topic[1], topic[2])
  end
  return table.concat(lines, "\n") .. [[


Options:
  -h, --help  Show this help; after a command, that command's.
  --version   Show the version.

Example:
  lest ca init pki && lest serve pki/server.lua
]]
end

local function usage(message)
  io.stderr:write("lest: ", message, "\nTry 'lest --help'.\n")
  return 2
end

--- Say that there is no such command, and what is near.
---@param name string
---@return integer exit_code
function M.unknown(name)
  local names = {}
  for _, command in ipairs(M.commands) do
    if offered(command[1]) then names[command[1]] = true end
  end
  for _, topic in ipairs(M.topics) do names[topic[1]] = true end
  local hint = require("lest.base.schema").hint(name, names)
  local clean = require("lest.tool.command.support").clean
  return usage(("unknown command '%s'%s"):format(clean(name), hint))
end

--- Whether there is a command of that name.
---@param name string
---@return boolean
function M.is_offered(name)
  for _, command in ipairs(M.commands) do
    if command[1] == name then return offered(name) end
  end
  return false
end

local function run(args)
  local name = args[1]
  if name == "--help" or name == "-h" or (name == "help" and not args[2]) then
    io.write(help())
    return 0
  elseif name == "--version" then
    io.write("lest ", require("lest.core").version, "\n")
    return 0
  elseif not name then
    io.stderr:write(help())
    return 2
  elseif name:sub(1, 1) == "-" then
    return usage(("unknown option '%s'"):format(name))
  elseif not M.is_offered(name) then
    return M.unknown(name)
  end
  require "lest.tool.compiled".install()
  return require("lest.tool.command." .. name).main(table.move(args, 2, #args, 1, {}))
end

--- What a command printed may be all there is of its result: it succeeds when that is written.
---@param args string[] the words of the command line
---@return integer exit_code
function M.main(args)
  local code = run(args)
  local ok, problem = io.stdout:flush()
  if ok or code ~= 0 then return code end
  local support = require "lest.tool.command.support"
  local _, err = support.output_lost(problem)
  support.complain("lest", err)
  return support.exit_code(err)
end

return M
