--- lest(1): what the commands have in common.
local command = require "lest.tool.command"

local function commands()
  local section = { title = "COMMANDS", "Each has a page of its own, and `--help`." }
  for _, row in ipairs(command.commands) do
    table.insert(section, { term = ("`lest-%s`(1)"):format(row[1]), row[2]:gsub("^%l", string.upper)
      .. "." })
  end
  return section
end

local function pages()
  local section = { title = "PAGES" }
  for _, row in ipairs(command.topics) do
    table.insert(section, { term = ("`lest-%s`(%d)"):format(row[1], row.section),
      ("%s. Also: `lest help %s`."):format(row[2]:gsub("^%l", string.upper), row[1]) })
  end
  return section
end

-- What an error's exit_code means (csrc/base/error.h), in their order from 0.
local EXIT <const> = {
  "done", "another error than those below",
  "wrong usage or configuration, or a file named there that cannot be used",
  "the other side, or a certificate, is not trusted", "not authenticated (401)",
  "pending or not available now (202, 503): try again", "network", "refused (403)",
}

local function exit_codes()
  local section = { title = "EXIT STATUS" }
  for i, text in ipairs(EXIT) do
    table.insert(section, { term = ("`%d`"):format(i - 1), text })
  end
  return section
end

local EXAMPLE <const> = [[
lest ca init pki --host est.example.com
lest serve pki/server.lua &
(umask 077
  lest credential add device001 --config pki/server.lua > secret)
lest enroll https://est.example.com:8443 --trust pki/ca.pem \
  --username device001 --password-file secret \
  --subject CN=device001 --new-key ec:P-256 \
  --key-out device.key --out device.pem]]

return {
  name = "lest", section = 1, manual = "User Commands",
  summary = "Enrollment over Secure Transport (RFC 7030) with Lua",
  { title = "SYNOPSIS", { code = "lest COMMAND [ARG]...\nlest help [TOPIC]\nlest --version\n"
    .. "lest --clock FILE COMMAND [ARG]..." } },
  { title = "DESCRIPTION",
    "`lest` is an EST server with an embedded certification authority, an EST client, and a Lua "
      .. "module for both. Who gets which certificate is decided by a policy, a page of Lua, "
      .. "within the bounds of a profile.",
    "A single `-` stands for standard input or output where a file is read or written. Files are "
      .. "written whole or not at all, private keys with mode 0600. What prints data has "
      .. "`--json`.",
    "With `--clock FILE` before it, a command goes by an injected clock in place of the machine's: "
      .. "a file that a simulation has made and sets, so that years pass in minutes. A server that "
      .. "is started so says in its log that it is none for others to rely on.",
  },
  commands(), pages(), exit_codes(),
  { title = "ENVIRONMENT",
    { term = "`LEST_TRACEBACK`", "If set, errors of Lua code come with a traceback." },
    { term = "`PAGER`", "What shows the pages of `lest help` on a terminal; `less` if absent." },
    { term = "`NOTIFY_SOCKET`, `WATCHDOG_USEC`, `LISTEN_FDS`", "What a service manager sets for "
      .. "`lest serve`: see `sd_notify`(3) and `sd_listen_fds`(3). A socket that is passed is "
      .. "used for the address of `listen` that it has." },
    { term = "`http_proxy`, `https_proxy`, `no_proxy`", "As for curl. What fails at a proxy is "
      .. "told as the proxy's, by its name." },
  },
  { title = "FILES",
    { term = "`~/.local/state/lest/history`", "The statements typed in `lest repl`, but none "
      .. "that begins with a space or looks like it holds a secret: a private key, a word such "
      .. "as password or token, a long word at random." },
    "The others are below the place where lest is installed, `/usr` or `/usr/local`.",
    { term = "`share/lest/policies`", "Ready-made policies." },
    { term = "`share/doc/lest/examples`", "Runnable examples, and units of systemd." },
    { term = "`share/doc/lest/html`", "These pages and one for each Lua module, for a browser." },
    { term = "`share/doc/lest/OPERATING.md`", "What a server needs over the years: backups, the "
      .. "log, balancers." },
  },
  { title = "EXAMPLE", "A server, and a device that gets its certificate with a one-time secret:",
    { code = EXAMPLE } },
  { title = "STANDARDS", "RFC 7030, RFC 8951, RFC 5280, RFC 2986, RFC 9110, RFC 9112." },
  { title = "SEE ALSO", "`openssl`(1), `curl`(1), `lua5.4`(1)" },
}
