--- lest-server.lua(5): the configuration, from its shape and the meaning of each key.
local keys = require "lest.tool.manual.keys"
local meaning = require "lest.server.config.meaning"
local shape = require "lest.server.config.shape"

-- What belongs together at the top, in the order of the page; what is not named here follows.
local ORDER <const> = { "listen", "tls", "ledger", "user", "authority_user", "workers", "ca", "cas",
  "anchors", "crls", "crl_required", "profiles", "labels", "limits" }

local EXAMPLE <const> = [[
return {
  listen = { "[::]:8443" },
  ledger = "ledger/ledger.db",
  tls = { cert = "server.pem", key = "server.key" },
  ca = { cert = "ca.pem", key = "ca.key" },
  user = "lest", authority_user = "lest-ca",
  anchors = { own = "ca.pem" },
  profiles = { device = { lifetime = "90d", keys = { "ec:P-256" } } },
  labels = {
    default = { policy = "policy.lua", profile = "device",
      auth = { "certificate", "basic" } },
  },
}]]

local page <const> = {
  name = "lest-server.lua", section = 5, manual = "File Formats",
  summary = "configuration of an EST server",
  { title = "DESCRIPTION",
    "The configuration of `lest serve` is a Lua file that returns a table. `lest ca init` writes "
      .. "one with comments; `lest serve --check` says whether a server would start with it, and "
      .. "SIGHUP has a running one read it again.",
    "Paths are relative to the file's folder. A duration is a number of seconds or a text with "
      .. "units: `\"30s\"`, `\"10m\"`, `\"2h\"`, `\"90d\"`, `\"1y\"`, `\"1h30m\"`. A size is a "
      .. "number of bytes, or `\"64KiB\"`, `\"10MiB\"`. No other keys are taken: a mistake is an "
      .. "error that names its line, the key and the nearest right word.",
  },
}

for _, section in ipairs(keys.sections(shape.fields, meaning, ORDER)) do
  table.insert(page, section)
end
table.insert(page, { title = "EXAMPLE", { code = EXAMPLE } })
table.insert(page, { title = "SEE ALSO",
  "`lest-serve`(1), `lest-ca`(1), `lest-policy`(5); OPERATING.md, which says what a server needs "
    .. "over the years" })

return page
