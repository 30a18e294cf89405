--- `lest ca init DIR`: make an embedded CA and a working configuration.
--- `lest ca server-cert DIR`: make the next server certificate of such a folder.
--- `lest ca rollover DIR STEP`: have another key sign, step by step.
local ca = require "lest.tool.ca"
local ca_rollover = require "lest.tool.command.ca_rollover"
local core = require "lest.core"
local fail = require "lest.base.fail"
local json = require "lest.json"
local key_kinds = require "lest.base.key_kinds"
local server_cert = require "lest.tool.ca.server_cert"
local support = require "lest.tool.command.support"

local M = {}

local function add_server_cert(p)
  local renew = support.subcommand(p, {
    name = "server-cert",
    summary = "Make the next server.pem of a folder that `lest ca init --tls-files` made, for the "
      .. "same hosts and with the same key unless told otherwise. The old one stays until the new "
      .. "one is whole, and a running server has it until SIGHUP.",
    example = "lest ca server-cert pki && systemctl reload lest",
  })
  renew:argument "dir" :description "The folder with ca.pem, ca.key, server.pem and server.key."
  renew:option "--host" :args(1) :count "*" :argname "<name>"
    :description("A name or address that clients reach the server by; repeat it for more. "
      .. "Default: those of the present certificate.")
  support.new_key(renew, "Make a new server.key too")
  renew:option "--passphrase-file" :args(1) :argname "<file>"
    :description "Passphrase of ca.key and server.key, should they be encrypted."
  renew:flag "--json" :description "Print the result as JSON."
end

--- What it takes, as --help and the manual page have it.
---@return table parser
function M.parser()
  local p = support.parser {
    name = "lest ca",
    summary = "Make an embedded CA, renew its server's certificate, and change its key.",
    example = "lest ca init pki --name \"Example Device CA\" --host est.example.com",
  }
  p:require_command(true):command_target "subcommand"
  local init = support.subcommand(p, {
    name = "init",
    summary = "Write ca.pem, ca.key, cmc.pem, cmc.key (who signs answers of CMC), server.lua, "
      .. "policy.lua and an empty ledger into a folder; nothing that is there is replaced. The "
      .. "server issues its own certificate to itself at its first start. Run as root, it "
      .. "configures the accounts lest and lest-ca where both exist, which should be nobody "
      .. "else's, and else says how to make them.",
    example = "lest ca init pki --name \"Example Device CA\" --host est.example.com",
  })
  init:argument "dir" :description "The folder; made if it is missing."
  init:option "--name" :args(1) :argname "<text>"
    :description "The CA's common name (default: EST CA and this machine's name)."
  init:option "--host" :args(1) :count "*" :argname "<name>"
    :description("A name or address that clients reach the server by; repeat it for more. "
      .. "Default: localhost, 127.0.0.1, ::1 and this machine's name.")
  init:flag "--tls-files"
    :description("Write server.pem and server.key too, for a server whose certificate is renewed "
      .. "by `lest ca server-cert`, or is to be replaced by one of another CA.")
  init:flag "--ca-only"
    :description("Write ca.pem and ca.key alone: one more CA, for `cas` of a server that there is "
      .. "already.")
  init:flag "--json" :description "Print the result as JSON."
  add_server_cert(p)
  ca_rollover.add(p)
  return p
end

local function fingerprint_text(hex)
  return (hex:upper():gsub("%x%x", "%0:"):sub(1, -2))
end

local function report_ca(folder, made)
  io.write("CA: ", support.clean(tostring(made.root.subject)), ", until ",
    support.time(made.root.not_after), "\n",
    "SHA-256 fingerprint: ", fingerprint_text(made.fingerprint), "\n")
  if made.hosts then return end
  io.write("\nNext, name ", support.quote(folder .. "/ca.pem"), " and ",
    support.quote(folder .. "/ca.key"), " in `cas` and `anchors` of server.lua, and reload:\n",
    "OPERATING.md, \"A second CA\", has the lines.\n")
end

local function report_server(folder, made)
  local config = support.quote(folder .. "/server.lua")
  local name = made.hosts[1]
  local host = name:find ":" and "[" .. name:gsub("[%[%]]", "") .. "]" or name
  io.write("Server certificate for: ", table.concat(made.hosts, ", "), made.server
    and ", until " .. support.time(made.server.not_after) or ", which the server renews by itself",
    "\n\nNext, start the server:\n",
    "  lest serve ", config, "\n",
    "then give a device a one-time password, and on the device ask for a certificate:\n",
    "  (umask 077; lest credential add device001 --config ", config, " > password)\n",
    "  lest enroll https://", host, ":8443 --trust ", support.quote(folder .. "/ca.pem"),
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
    "  chown -R lest-ca: ", support.quote(folder .. "/ledger"), "\n",
    "and user = \"lest\", authority_user = \"lest-ca\" in server.lua.\n")
end

local function init(options)
  local folder = options.dir
  if folder == "" then support.usage "the folder's name is empty" end
  if options.ca_only and #options.host > 0 then
    support.usage "--host is of a server's certificate, and --ca-only makes none"
  end
  if options.ca_only and options.tls_files then
    support.usage "--tls-files is of a server's certificate, and --ca-only makes none"
  end
  local accounts = core.system.user_id() == 0 and ca.accounts() or nil
  local made, err = ca.init(folder,
    { name = options.name, ca_only = options.ca_only, hosts = options.host,
      tls_files = options.tls_files, accounts = accounts })
  if not made then return nil, err end
  if options.json then
    support.print_json(json.object { fingerprint = made.fingerprint, folder = folder,
      hosts = made.hosts, subject = tostring(made.root.subject), files = made.files,
      not_after = made.root.not_after,
      server_not_after = made.server and made.server.not_after })
  else
    folder = folder:gsub("/+$", "")
    report_ca(folder, made)
    if made.hosts then report_server(folder, made) end
    if made.hosts and accounts and accounts.shared then advise(folder, accounts) end
  end
  return 0
end

-- What the command line can do about an error of renew().
local function explain(err, options)
  if err.code == "key_passphrase" and not options.passphrase_file then
    err.message = err.message .. ": --passphrase-file FILE"
  elseif err.code == "key_unsupported" and options.new_key then
    local message = ("--new-key: %s%s"):format(err.message, key_kinds.hint(options.new_key))
    return select(2, fail("usage", message))
  end
  return err
end

local function renew(options)
  local passphrase, made, err
  if options.passphrase_file then
    passphrase, err = support.secret(options.passphrase_file)
    if not passphrase then return nil, err end
  end
  if options.dir == "" then support.usage "the folder's name is empty" end
  made, err = server_cert.renew(options.dir, { hosts = options.host, new_key = options.new_key,
    passphrase = passphrase })
  if not made then return nil, explain(err, options) end
  local cert = made.cert
  if options.json then
    support.print_json(json.object { hosts = made.hosts, serial = cert.serial,
      not_after = cert.not_after, fingerprint = cert.fingerprint, key_type = cert.public_key.type,
      replaced = made.old.serial })
  else
    io.write("Server certificate for: ", support.clean(table.concat(made.hosts, ", ")), ", until ",
      support.time(cert.not_after), ", serial ", cert.serial,
      "\nA running server takes it up at SIGHUP: systemctl reload lest, or kill -HUP PID\n")
  end
  return 0
end

local actions <const> = { init = init, ["server-cert"] = renew,
  rollover = ca_rollover.run }

---@param args string[]
---@return integer exit_code
function M.main(args)
  return support.run(M.parser(), args, function(options)
    return actions[options.subcommand](options)
  end)
end

return M
