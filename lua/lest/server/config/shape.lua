--- The closed schema of the server's configuration: keys, types, ranges and defaults.
---
---   local config, problems = schema.check(require "lest.server.config.shape", raw)
local backends = require "lest.server.config.backends"
local core = require "lest.core"
local duration = require "lest.duration"
local hosts = require "lest.base.host"
local key_kinds = require "lest.base.key_kinds"
local kinds = require "lest.server.wire.kinds"
local limits_module = require "lest.server.config.limits"
local listen = require "lest.server.config.listen"
local public = require "lest.server.config.public"
local renewal_window = require "lest.base.renewal_window"
local schema = require "lest.base.schema"
local vocabulary = require "lest.base.vocabulary"

local s <const> = schema
local path = s.string { max = 4000, pattern = "^[^%z]+$", what = "a path" }
local name = s.string { max = 64, pattern = "^[%w][%w._-]*$",
  what = "a name (letters, digits, '.', '_', '-')" }
local url = s.string { max = 1000, pattern = "^%a[%w+.-]*:%S+$", what = "a URL" }

local function account(value)
  if math.type(value) == "integer" and value > 0 then return tostring(value) end
  if type(value) == "string" and value:find "^[%w_][%w_.-]*%$?$" then return value end
end

-- A certificate and its key: see lest.server.config.keypair.
local function identity(fields)
  fields.cert = path
  fields.key = s.string { max = 4000 } -- a path or a URI (pkcs11:...)
  fields.passphrase_file = s.optional(path)
  fields.passphrase_command = s.optional(s.list(s.string(), { min = 1, max = 32 }))
  return s.record(fields, '{ cert = "FILE.pem", key = "FILE.key" }')
end

local own_ca = identity { chain = s.optional(path) }

-- One with a key here, or one that is elsewhere and has a backend.
local ca = s.custom(own_ca.wanted, function(value)
  if type(value) == "table" and value.backend ~= nil then return backends.accept(value) end
  return own_ca.accept(value)
end)
ca.fields = {}
for key, field in pairs(backends.fields) do ca.fields[key] = field end
for key, field in pairs(own_ca.fields) do
  ca.fields[key] = ca.fields[key] or s.optional(field.inner or field)
end

local function host_name(value)
  if type(value) ~= "string" then return nil end
  if hosts.san(value) then return value end
  return nil, ("'%s' is neither a host name nor an address"):format(value:sub(1, 300))
end

-- The server's certificate: in files, or one of its own CA that it renews by itself.
local auto = s.record({
  names = s.list(s.custom("a host name or an address", host_name), { min = 1, max = 64,
    single = true }),
  ca = s.optional(name),
  lifetime = s.optional(duration.field { min = 10 }, "90d"),
  key = s.optional(s.custom("a kind of key", key_kinds.makeable), "ec:P-256"),
}, '{ names = { "est.example.com" } }')

local function tls_fields()
  return {
    min_version = s.optional(s.one_of { "1.2", "1.3" }, "1.2"),
    ciphers = s.optional(s.string { max = 4000 }),
    client_certificate = s.optional(s.one_of { "strict", "lenient" }, "strict"),
  }
end

local own_tls, auto_tls = identity(tls_fields()), tls_fields()
auto_tls.auto = auto
auto_tls = s.record(auto_tls)

local tls = s.custom(own_tls.wanted, function(value)
  local is_auto = type(value) == "table" and value.auto ~= nil
  return (is_auto and auto_tls or own_tls).accept(value)
end)
tls.fields = { auto = s.optional(auto) }
for key, field in pairs(own_tls.fields) do
  tls.fields[key] = field.optional and field or s.optional(field)
end

local san_type = s.one_of(core.san.types())

local key_usage = s.one_of { "digitalSignature", "nonRepudiation", "keyEncipherment",
  "dataEncipherment", "keyAgreement", "encipherOnly", "decipherOnly" }

local renewal = s.custom("{ from = 0.5, to = 0.75 }, parts of a certificate's life",
  renewal_window.accept)
renewal.fields = renewal_window.fields

local profile = s.record {
  lifetime = duration.field { min = 60 },
  keys = s.list(s.custom("a kind of key", key_kinds.accept), { min = 1, single = true }),
  server_keys = s.optional(s.list(s.custom("a kind of key", key_kinds.makeable), { min = 1,
    max = 32, single = true })),
  names = s.optional(s.one_of { "principal", "renewal", "policy" }, "principal"),
  subject = s.optional(s.list(s.custom("an attribute's name", vocabulary.attribute)), { "CN" }),
  san = s.optional(s.list(san_type), {}),
  key_usage = s.optional(s.list(key_usage), { "digitalSignature" }),
  eku = s.optional(s.list(s.custom("the name of a usage", vocabulary.purpose)), { "clientAuth" }),
  key_change = s.optional(s.one_of { "allowed", "required", "forbidden" }, "allowed"),
  renewal_window = s.optional(renewal),
  refuse_compromised_keys = s.optional(s.boolean(), true),
  backdate = s.optional(duration.field { max = 86400 }, "1m"),
  per_minute = s.optional(s.integer { min = 1, max = 1000000 }, 6000),
  revoke_previous = s.optional(duration.field { min = 60, max = 315360000 }),
  crl_urls = s.optional(s.list(url, { single = true })),
  ocsp_urls = s.optional(s.list(url, { single = true })),
  ca_issuer_urls = s.optional(s.list(url, { single = true })),
}

local csrattrs_entry = s.custom("a string or a table", function(value)
  if type(value) == "string" or type(value) == "table" then return value end
end)

local auth = s.list(s.custom("kinds of proof", function(value)
  if type(value) == "string" then return kinds.parse(value) end
end), { min = 1, single = true })

-- How base64 is wrapped: core.est.body_encode takes any multiple of 4, "auto" is worker/answer's.
local function columns(value)
  if value == "auto" then return value end
  if math.type(value) == "integer" and value >= 0 and value <= 76 and value % 4 == 0 then
    return value
  end
  return nil, 'must be "auto", or a multiple of 4 up to 76, or 0 for one line'
end

-- What a policy's options may be is the policy's own matter (policy.options): here they are values
-- that survive the way to a worker.
local function option_value(value)
  local kind = math.type(value) or type(value)
  if kind == "string" or kind == "boolean" or kind == "integer" then return value end
  if kind == "table" then return s.list(s.string()).accept(value) end
end

local policy_table = s.record { file = path, options = s.optional(s.map(s.custom(
  "a text, a whole number, true, false or a list of texts", option_value), { max = 64 }), {}) }

local policy = s.custom('a file, or { file = "x.lua", options = { ... } }', function(value)
  return policy_table.accept(type(value) == "string" and { file = value } or value)
end)

local text = s.string { max = 512, pattern = "^%C+$", what = "a text" }

-- Who answers at the address says who may enroll: it is one that proves what it is, and what is
-- shown there is not in the address, which the log has.
local jwks_address = s.string { max = 4000, pattern = "^https://[^%s%c/?#@]+%f[/?%z][^%s%c#]*$",
  what = "an address of https, as https://idp.example/jwks.json, without a user" }

local jwks = s.custom("a path or an address", function(value)
  local is_address = type(value) == "string" and value:find "^%a[%w+.-]*://"
  return (is_address and jwks_address or path).accept(value)
end)

local bearer = s.record({
  jwks = jwks,
  jwks_trust = s.optional(path),
  jwks_token_file = s.optional(path),
  jwks_keep = s.optional(duration.field { min = 2, max = 2592000 }),
  issuer = text,
  audience = s.list(text, { min = 1, max = 16, single = true }),
  algorithms = s.optional(s.list(s.one_of(core.jose.algorithms()), { min = 1, single = true }),
    { "RS256", "ES256" }),
  name_claim = s.optional(text, "sub"),
  leeway = s.optional(duration.field { max = 600 }, "1m"),
}, '{ jwks = "jwks.json", issuer = "https://idp.example", audience = "lest" }')

local label = s.record {
  policy = s.optional(policy),
  policies = s.optional(s.list(policy, { min = 1, max = 8, as = '{ "a.lua", "b.lua" }' })),
  shadow = s.optional(policy),
  profile = s.optional(name),
  profiles = s.optional(s.list(name, { min = 1 })),
  auth = s.optional(auth, { "certificate" }),
  anchors = s.optional(s.list(name, { single = true })),
  ca = s.optional(name),
  cas = s.optional(s.list(name, { min = 1, max = 16 })),
  when_away = s.optional(s.one_of { "refuse", "hold" }, "refuse"),
  renews = s.optional(s.list(s.string { max = 128 }, { min = 1, single = true })),
  csrattrs = s.optional(s.list(csrattrs_entry, { max = 64 })),
  csrattrs_enforced = s.optional(s.boolean(), false),
  bearer = s.optional(bearer),
  channel_binding = s.optional(s.one_of { "required", "verified", "off" }, "verified"),
  cmc_sha1 = s.optional(s.boolean(), false),
  confirm = s.optional(duration.field { min = 1 }),
  digest_first = s.optional(s.boolean(), false),
  realm = s.optional(s.string { max = 64, pattern = '^[^%c"\\]+$', what = "a realm" }, "lest"),
  wrap = s.optional(s.custom("a number of columns", columns), "auto"),
  transfer_encoding = s.optional(s.boolean(), true),
  error_bodies = s.optional(s.boolean(), false),
  retry_after = s.optional(duration.field { min = 1 }, "1m"),
  pending_expires = s.optional(duration.field { min = 60 }, "7d"),
  lost_answer = s.optional(duration.field {}, "1h"),
  fullcmc = s.optional(s.boolean(), false),
  expired_grace = s.optional(duration.field { max = 31536000 }, "0s"),
  record = s.optional(s.boolean(), true),
}

local limits = s.record(limits_module.add_fields {
  decision = s.optional(duration.field { min = 1, max = 86400 }, "10s"),
  decision_memory = s.optional(s.size { min = 65536 }, "64MiB"),
  failures_per_minute = s.optional(s.integer { min = 1 }, 10),
  address_failures_per_minute = s.optional(s.integer { min = 1 }, 60),
  requests_per_address_per_minute = s.optional(s.integer { min = 1 }),
  identities_per_minute = s.optional(s.integer { min = 1 }, 1200),
  requests_per_principal_per_minute = s.optional(s.integer { min = 1 }, 1200),
  pending_per_principal = s.optional(s.integer { min = 1 }, 64),
  ocsp_per_second = s.optional(s.integer { min = 1, max = 1000000 }, 500),
  ocsp_per_address_per_minute = s.optional(s.integer { min = 1 }, 1200),
  scrypt_threads = s.optional(s.integer { min = 1, max = 64 }, 2),
  scrypt_queue = s.optional(s.integer { min = 1, max = 100000 }, 64),
})

local control_fields = s.record({
  path = s.optional(s.string { max = 1000, pattern = "^[^%c]+$", what = "a path" }),
  group = s.optional(s.custom("a group's name or number", account)),
  mode = s.optional(s.one_of { "0600", "0660" }),
}, '{ group = "lest-operators" }')

-- A path alone is a table with a path; false is none.
local function control_socket(value)
  if value == false then return false end
  if type(value) == "string" then value = { path = value } end
  local accepted, problem = control_fields.accept(value)
  if not accepted then return nil, problem end
  accepted.mode = accepted.mode or (accepted.group and "0660" or "0600")
  if accepted.mode == "0660" and not accepted.group then
    return nil, "mode 0660 is for a group: give it as `group`"
  end
  return accepted
end

local control = s.custom("a path, a table or false", control_socket)
control.fields = control_fields.fields

local crl_fields = s.record({
  lifetime = s.optional(duration.field { min = 600, max = 31536000 }, "7d"),
  refresh = s.optional(duration.field { min = 60, max = 31536000 }, "1d"),
}, '{ lifetime = "7d", refresh = "1d" }')

local crl = s.custom('{ lifetime = "7d", refresh = "1d" }, or false', function(value)
  if value == false then return false end
  return crl_fields.accept(value)
end)
crl.fields = crl_fields.fields

return s.record {
  listen = s.optional(listen.listen, { "[::]:8443" }),
  listen_http = s.optional(listen.listen_http, {}),
  public_url = s.optional(s.custom("an http URL", public.accept)),
  tls = s.optional(tls),
  ledger = s.optional(path, "ledger.db"),
  user = s.optional(s.custom("a user's name or number", account)),
  authority_user = s.optional(s.custom("a user's name or number", account)),
  backend_user = s.optional(s.custom("a user's name or number", account)),
  workers = s.optional(s.integer { min = 0, max = 256 }, 0), -- 0: one for each processor it may use
  ca = ca,
  cas = s.optional(s.map(ca), {}),
  cmc = s.optional(identity {}),
  anchors = s.optional(s.map(path, { as = '{ own = "ca.pem" }' }), {}),
  crls = s.optional(s.list(path, { single = true }), {}),
  crl = s.optional(crl, {}),
  crl_required = s.optional(s.boolean(), false),
  profiles = s.map(profile),
  labels = s.map(label, { key = function(key)
    if key == "default" then return true end
    return core.est.label_check(key)
  end }),
  limits = s.optional(limits, {}),
  metrics = s.optional(listen.loopback),
  control = s.optional(control),
  outbox = s.optional(s.record { keep = s.optional(duration.field { min = 60, max = 31536000 },
    "7d") }, {}),
  ocsp = s.optional(s.record { lifetime = s.optional(duration.field { min = 60, max = 259200 },
    "4h") }, {}),
  policy_tests = s.optional(s.boolean(), false),
  watchdog = s.optional(duration.field { min = 2, max = 86400 }, "10s"),
  drain = s.optional(duration.field { min = 1, max = 86400 }, "30s"),
  shutdown_delay = s.optional(duration.field { max = 3600 }, "0s"),
  log_level = s.optional(s.one_of { "debug", "info", "warning", "error" }, "info"),
}
