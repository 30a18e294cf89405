--- `lest ca init DIR`: make an embedded CA, a server certificate and a working configuration.
local ca = require "lest.tool.ca"
local core = require "lest.core"
local json = require "lest.json"
local support = require "lest.tool.command.support"

local M = {}

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local p = support.parser {
    name = "lest ca",
    summary = "Make an embedded CA.",
    example = "lest ca init pki --name \"Example Device CA\" --host est.example.com",
  }
  p:require_command(true):command_target "subcommand"
  local init = support.subcommand(p, {
    name = "init",
    summary = "Write ca.pem, ca.key, server.pem, server.key, server.lua, policy.lua and an empty "
      .. "ledger into a folder; nothing that is there is replaced. Run as root, it configures the "
      .. "accounts lest and lest-ca where both exist, which should be nobody else's, and else says "
      .. "how to make them.",
    example = "lest ca init pki --name \"Example Device CA\" --host est.example.com",
  })
  init:argument "dir" :description "The folder; made if it is missing."
  init:option "--name" :args(1) :argname "<text>"
    :description "The CA's common name (default: EST CA and this machine's name)."
  init:option "--host" :args(1) :count "*" :argname "<name>"
    :description("A name or address that clients reach the server by; repeat it for more. "
      .. "Default: localhost, 127.0.0.1, ::1 and this machine's name.")
  init:flag "--json" :description "Print the result as JSON."
  return p
end

-- Printed commands are to be pasted into a shell.
local function quote(word)
  if word:find "^[%w%._/+:@%%=,-]+$" then return word end
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

local function fingerprint_text(hex)
  return (hex:upper():gsub("%x%x", "%0:"):sub(1, -2))
end

local function report(folder, made)
  local config = quote(folder .. "/server.lua")
  local name = made.hosts[1]
  local host = name:find ":" and "[" .. name:gsub("[%[%]]", "") .. "]" or name
  io.write("CA: ", support.clean(tostring(made.root.subject)), ", until ",
    support.time(made.root.not_after), "\n",
    "SHA-256 fingerprint: ", fingerprint_text(made.fingerprint), "\n",
    "Server certificate for: ", table.concat(made.hosts, ", "), ", until ",
    support.time(made.server.not_after), "\n\nNext, start the server:\n",
    "  lest serve ", config, "\n",
    "then give a device a one-time password, and on the device ask for a certificate:\n",
    "  (umask 077; lest credential add device001 --config ", config, " > password)\n",
    "  lest enroll https://", host, ":8443 --trust ", quote(folder .. "/ca.pem"),
    " --username device001 --password-file password \\\n",
    "    --subject CN=device001 --new-key ec:P-256 --key-out device001.key --out device001.pem\n")
end

-- Whatever else runs as `user` is as good as a worker to the authority.
local function advise(folder, accounts)
  io.write("\nThe server's processes become ", accounts.user, " and ", accounts.authority_user,
    ", as those of other services do, and any process of ", accounts.user,
    "\ncan pass for a worker. For accounts of its own, before it serves:\n",
    "  adduser --system --group --no-create-home lest\n",
    "  adduser --system --group --no-create-home lest-ca\n",
    "  chown -R lest-ca: ", quote(folder .. "/ledger"), "\n",
    "and user = \"lest\", authority_user = \"lest-ca\" in server.lua.\n")
end

local function init(options)
  local folder = options.dir
  if folder == "" then support.usage "the folder's name is empty" end
  local accounts = core.system.user_id() == 0 and ca.accounts() or nil
  local made, err = ca.init(folder,
    { name = options.name, hosts = options.host, accounts = accounts })
  if not made then return nil, err end
  if options.json then
    support.print_json(json.object { fingerprint = made.fingerprint, folder = folder,
      hosts = made.hosts, subject = tostring(made.root.subject), files = ca.FILES,
      not_after = made.root.not_after, server_not_after = made.server.not_after })
  else
    folder = folder:gsub("/+$", "")
    report(folder, made)
    if accounts and accounts.shared then advise(folder, accounts) end
  end
  return 0
end

---@param args string[]
---@return integer exit_code
function M.main(args)
  return support.run(M.parser(), args, init)
end

return M
