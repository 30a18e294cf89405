--- The texts that `lest ca init` writes: server.lua and policy.lua.
---
---   ca_files.server({ "est.example.com" }, { user = "lest", authority_user = "lest-ca" })
local M = {}

local SERVER <const> = [[
-- The configuration of `lest serve`. Paths are relative to this file; a mistyped key is an error
-- that names the nearest right one. `lest serve --check` says whether it would start.
return {
  listen = { "[::]:8443" }, -- IPv6 and IPv4; RFC 7030 names no port but HTTPS has 443

  -- Over plain HTTP, for everybody who verifies certificates: what they name, and nothing of EST.
  -- listen_http = "[::]:8080", -- named by the server's certificate, or by `public_url`

  -- metrics = "127.0.0.1:9100", -- for Prometheus; a balancer asks for /healthz at `listen`

@TLS@

  -- Every decision, certificate, credential and pending request; the authority's alone.
  ledger = "ledger/ledger.db",

@ACCOUNTS@
  -- The embedded CA. The key is opened by the authority process only.
  ca = { cert = "ca.pem", key = "ca.key" },

  -- Who signs the answers to CMC, where a label has `fullcmc = true`.
  cmc = { cert = "cmc.pem", key = "cmc.key" },

  -- Whose client certificates are believed, by a name that policies see as principal.anchors.
  anchors = { own = "ca.pem" },

  -- What may be issued, whatever a policy says.
  profiles = {
    device = {
      lifetime = "90d",
      keys = { "ec:P-256", "ec:P-384", "ed25519", "rsa:2048..4096" },
      eku = { "clientAuth" },
      names = "principal", -- a principal gets its own name; "policy" would let the policy choose
      -- subject = { "CN" }, san = { "DNS" }, key_change = "required", per_minute = 600,
    },
  },

  -- A label is the part of the path after /.well-known/est/; "default" is for none.
  labels = {
    default = {
      policy = "policy.lua",
      profile = "device",
      auth = { "certificate", "basic" }, -- either is enough
      -- fullcmc = true, -- several requests in one message (RFC 5272)
      -- csrattrs = { { key = "ec:P-256" } },
    },
  },
}
]]

local FILES <const> = [[
  -- What clients see. Replace it with a certificate from the CA that your clients trust, if they
  -- should not be given ca.pem first. `lest ca server-cert` makes the next one of this CA.
  tls = { cert = "server.pem", key = "server.key" },
]]

local AUTO <const> = [[
  -- What clients see: a certificate of the CA below, which the server issues to itself and renews.
  -- With one from the CA that your clients trust, they need not be given ca.pem first:
  -- tls = { cert = "server.pem", key = "server.key" },
  tls = { auto = { names = { %s } } },
]]

local POLICY <const> = [[
-- Who gets which certificate. A hook returns a verdict: policy.approve, reject, pending or
-- unavailable. Anything else, an error among it, issues nothing. Of the rules of policy.first, the
-- first that has a verdict decides; any of them may be a function(request).
local policy = require "lest.policy"

---@type lest.policy.hooks
return {
  -- A device that knows its password gets a certificate for its own name, and must ask for exactly
  -- that. Some renew so too: with the certificate that they have from here, for its names.
  enroll = policy.first {
    policy.when(policy.principal { kind = "certificate", is_own = false },
      policy.reject "enroll with a user name and password, renew with the certificate"),
    policy.own_name(),
  },

  -- The holder of a certificate renews it, with the same names (RFC 7030 4.2.2), at any time.
  -- policy.renew { window = "30d" } would refuse before the last 30 days.
  reenroll = policy.renew {},
}
]]

local AS_ROOT <const> = [[
  -- Started as root: who the workers and the authority become. They must differ, and should be
  -- nobody else's: whatever runs as `user` may pass for a worker.
  user = "%s",
  authority_user = "%s",
]]

local UNPRIVILEGED <const> = [[
  -- Started as root, the server needs two accounts to become, which should be nobody else's, and
  -- the ledger's folder owned by the second. Without them, or not as root, separation guards
  -- against bugs only.
  -- user = "lest",
  -- authority_user = "lest-ca",
]]

--- server.lua; without accounts, for a server that is not started as root.
---@param hosts? string[] of the certificate that the server renews; nil: it has one in files
---@param accounts? { user: string, authority_user: string }
---@return string
function M.server(hosts, accounts)
  local text, quoted = UNPRIVILEGED, {}
  if accounts then text = AS_ROOT:format(accounts.user, accounts.authority_user) end
  for i, name in ipairs(hosts or {}) do quoted[i] = ('"%s"'):format(name) end
  local tls = hosts and AUTO:format(table.concat(quoted, ", ")) or FILES
  return (SERVER:gsub("@ACCOUNTS@\n", function() return text .. "\n" end)
    :gsub("@TLS@\n", function() return tls end))
end

--- policy.lua.
---@return string
function M.policy()
  return POLICY
end

return M
