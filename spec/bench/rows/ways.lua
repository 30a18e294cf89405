--- Row: an enrollment over a pre-shared key, one over a password (SRP), and one whose key the
--- server makes, against the plain one: by a one-time secret of Basic, over a certificate.
local kinds = require "bench.kinds"
local process = require "support.process"
local requests = require "bench.requests"
local rounds = require "bench.rounds"
local sides_module = require "bench.side"

local KINDS <const> = { "basic", "psk", "srp", "serverkeygen" }
local THREADS <const> = 16
local NAME <const> = "user"

-- One key and one password stand for all devices, so the policy takes their names from the CSR.
local POLICY <const> = [[
local policy = require "lest.policy"
local function decide(request) return policy.approve { subject = request.csr.subject } end
return { enroll = decide, serverkeygen = decide }
]]

local function configure(text)
  local count
  text, count = text:gsub('names = "principal"', 'server_keys = "ec:P-256", names = "policy"', 1)
  assert(count == 1, "the configuration of `lest ca init` has changed")
  return (text:gsub('auth = { "certificate", "basic" }', 'auth = { "basic", "psk", "srp" }', 1)
    :gsub('"%[::%]:8443"', '%0, { address = "[::]:8444", psk = true, srp = true }', 1)
    :gsub("limits = {", "%0 requests_per_principal_per_minute = 1000000, "
      .. "identities_per_minute = 1000000, failures_per_minute = 1000000,", 1))
end

local function as_serverkeygen(request)
  return (request:gsub("/est/simpleenroll", "/est/serverkeygen", 1))
end

---@param context bench.context
---@param scope fun(side: bench.side): bench.side
return function(context, scope)
  local count = context.rounds * #KINDS + 1
  local side = scope(sides_module.make(context.builds[1],
    { requests = count * context.enrollments }))
  process.write(side.dir .. "/policy.lua", POLICY)
  side.server:edit_config(configure)
  side.server.listen = { "127.0.0.1:0", ("127.0.0.1:%d,psk,srp"):format(process.free_port()) }
  local secrets = {}
  for _, kind in ipairs { "psk", "srp" } do
    secrets[kind] = side.server:credential(NAME, { "--kind", kind, "--reusable" })
  end
  side:run()
  local parts, used = rounds.split(side.requests, rounds.counts(count - 1, context.enrollments)), 1
  side:load(parts[1], { count = 1, threads = 1 })
  return kinds.compare(KINDS, context.rounds, function(kind)
    used = used + 1
    local secret, file = secrets[kind], parts[used]
    if kind == "serverkeygen" then
      file = requests.rewrite(file, file .. ".keys", as_serverkeygen)
    end
    side.port = side.server.ports[secret and 2 or 1]
    return side:load(file, { count = context.enrollments, threads = THREADS,
      [kind] = secret and NAME .. ":" .. secret or nil })
  end)
end
