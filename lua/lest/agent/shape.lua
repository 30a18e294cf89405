--- The schema of AGENT.lua: what an agent keeps alive, and how.
local core = require "lest.core"
local deploy = require "lest.agent.deploy"
local duration = require "lest.duration"
local keys = require "lest.agent.keys"
local schema = require "lest.base.schema"
local url = require "lest.url"

local s = schema
local M = {}

local IDENTITIES_MAX <const> = 100000

local text <const> = s.string { max = 4096 }
local flag <const> = s.boolean()
local names <const> = s.list(text, { max = 64, single = true })

local key_kind <const> = s.custom("a kind of key", keys.accept)

-- A share of a life stays a float, a time becomes whole seconds: schedule.lua tells them apart.
local function share_or_time(least, most)
  return s.custom("a share of the lifetime, as 2/3, or a time, as \"30d\"", function(value)
    if type(value) ~= "number" then
      if type(value) ~= "string" then return nil end
      return duration.parse(value)
    end
    if not (value >= least and value <= most) then -- nor NaN
      return nil, ("%s is no share of the lifetime from %s to %s"):format(value, least, most)
    end
    return value + 0.0
  end)
end

local subject <const> = s.custom("a name, as \"CN=device001\"", function(value)
  if type(value) ~= "string" then return nil end
  local name, err = core.name.parse(value)
  if not name then return nil, err.message end
  return value
end)

local san <const> = s.custom("a list of names, as { \"DNS:device001.example\" }", function(value)
  local list, problem = names.accept(value)
  if not list then return nil, problem end
  local der, err = core.san.encode(list)
  if not der then return nil, err.message end
  return list
end)

local gateway <const> = s.custom("an address, as \"http://192.0.2.1:8080\"", function(value)
  if type(value) ~= "string" then return nil end
  local where, problem = url.parse(value)
  if not where then return nil, problem end
  if where.scheme == "http" and where.path == "/" and not where.query then return where:origin() end
  return nil, "is http://HOST:PORT alone: what is sent there is signed, and needs no TLS"
end)

--- What an identity hands to lest.client as it is.
M.client = {
  url = s.string { max = 1024 }, label = s.optional(text), trust = s.optional(text),
  fingerprint = s.optional(text), trust_cacerts = s.optional(flag), username = s.optional(text),
  password = s.optional(text), bearer = s.optional(text), bearer_file = s.optional(text),
  psk_identity = s.optional(text), psk = s.optional(text), psk_file = s.optional(text),
  srp_user = s.optional(text), srp_password = s.optional(text),
  srp_password_file = s.optional(text), challenge = s.optional(text),
  challenge_file = s.optional(text), timeout = s.optional(duration.field { min = 1, max = 3600 }),
  proxy = s.optional(text), proxy_username = s.optional(text), proxy_password = s.optional(text),
  redirects = s.optional(names), require_name = s.optional(flag), preemptive = s.optional(flag),
  digest = s.optional(flag), channel_binding = s.optional(flag),
  allow_password_with_system_trust = s.optional(flag),
}

--- The ways to a certificate once the one in use has ended, in the order in which they are tried.
M.FALLBACKS = { "expired", "bootstrap", "operator" }

local identity <const> = {
  password_file = s.optional(text), proxy_password_file = s.optional(text),
  cert = s.optional(text), cert_key = s.optional(text), cert_passphrase_file = s.optional(text),
  subject = s.optional(subject), san = s.optional(san),
  key = s.optional(key_kind, "ec:P-256"), key_pin_file = s.optional(text),
  rekey = s.optional(flag),
  files = s.optional(deploy.files), hooks = s.optional(deploy.hooks),
  rollback = s.optional(flag, false),
  key_usage = s.optional(names), eku = s.optional(names), csrattrs = s.optional(flag, true),
  server_names = s.optional(flag, false),
  renew_at = s.optional(share_or_time(0.1, 0.95), 2 / 3),
  spread = s.optional(share_or_time(0.0, 0.5), 0.1),
  renewal = s.optional(s.record { url = s.optional(text), label = s.optional(text),
    credential = s.optional(flag) }),
  gateway = s.optional(gateway),
  fallbacks = s.optional(s.list(s.one_of(M.FALLBACKS), { max = 3 }), M.FALLBACKS),
  anchors_every = s.optional(duration.field { min = 60, max = 365 * 86400 }, "1d"),
  anchors_warning = s.optional(duration.field {}, "14d"),
  generations = s.optional(s.integer { min = 2, max = 100 }, 3),
}
for name, field in pairs(M.client) do identity[name] = field end

--- What stands in a name of a folder, and in a label of a metric.
local TAKEN <const> = { lock = true, try = true } -- files of the agent, see loop.lua
local function good_name(name)
  if TAKEN[name] then return false, "is the name of a file of the agent's" end
  if #name <= 64 and name:find "^%w[%w._-]*$" then return true end
  return false, "is no name: it is a folder's, of at most 64 letters, digits and . _ -"
end

M.agent = s.record {
  state = s.string { max = 1024 },
  textfile = s.optional(s.string { max = 1024 }),
  identities = s.map(s.record(identity), { max = IDENTITIES_MAX, key = good_name,
    as = '{ dev9 = { url = "https://est.example.com", trust = "ca.pem", subject = "CN=dev9" } }' }),
}

return M
