-- Makes what a load of enrollments needs, as a child of the bench, since it becomes the ledger's
-- owner: one-time credentials, and a file of requests with distinct keys (see load.c).
--   lest run spec/bench/prepare.lua CONFIG COUNT FILE
-- FILE gets the requests, FILE.secrets a name and its secret in each line.
local core = require "lest.core"

local count <const> = math.tointeger(tonumber(arg[2]))
local EXPIRES <const> = 86400

local REQUEST <const> = table.concat({
  "POST /.well-known/est/simpleenroll HTTP/1.1", "Host: localhost", "Authorization: Basic %s",
  "Content-Type: application/pkcs10", "Content-Length: %d", "", "%s",
}, "\r\n")

--- The first of these modules that this build has: one that is measured beside another may be older
--- and keep its modules in other places.
local function module_of(...)
  for _, name in ipairs { ... } do
    if package.searchpath(name, package.path) then return require(name) end
  end
  error(("this build has no module %s"):format((...)), 0)
end

local config = assert(module_of("lest.server.config.load", "lest.config").load(arg[1]))
local credentials = module_of("lest.server.ledger.credentials", "lest.credentials")
local operator = module_of("lest.server.ledger.operator", "lest.operator")

local function name_of(i)
  return ("device-%06d"):format(i)
end

-- Before the ledger: who becomes its owner cannot write here any more.
local file = assert(io.open(arg[3], "wb"))
local list = assert(io.open(arg[3] .. ".secrets", "w"))

-- The first one the operator's way, which becomes the ledger's owner.
local made = assert(operator.call(config, "credential_add",
  { name = name_of(1), expires_s = EXPIRES }))
local secrets = { made.secret }
local ledger = assert(core.ledger.open(config.ledger))
local store = credentials.new { ledger = ledger }
assert(ledger:begin())
for i = 2, count do
  secrets[i] = assert(store:add { name = name_of(i), expires_s = EXPIRES }).secret
end
assert(ledger:commit())
ledger:close()

for i = 1, count do
  local key = assert(core.key.generate "ec:P-256")
  local csr = assert(core.csr.build { key = key, subject = "CN=" .. name_of(i) })
  local body = core.base64.encode(csr:der())
  local request = REQUEST:format(core.base64.encode(name_of(i) .. ":" .. secrets[i]), #body, body)
  file:write(#request, "\n", request)
  list:write(name_of(i), " ", secrets[i], "\n")
end
assert(file:close())
assert(list:close())
