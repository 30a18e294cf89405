-- A fleet in one script: each device has a key and a client of its own, asks for the CSR
-- attributes and enrolls.
--   lest run spec/bench/devices.lua URL TRUST SECRETS LIMIT [FILE [free]]
-- SECRETS is as prepare.lua writes it; LIMIT devices are under way at a time. FILE gets a renewal
-- of each certificate for a new key: a request, then the certificate with its key (load.c). "free":
-- their CSRs are not linked to their connections.
local core = require "lest.core"
local lest = require "lest"

local url, trust, secrets, limit, out, how = table.unpack(arg)

local RENEWAL <const> = table.concat({
  "POST /.well-known/est/simplereenroll HTTP/1.1", "Host: localhost",
  "Content-Type: application/pkcs10", "Content-Length: %d", "", "%s",
}, "\r\n")

local names = {}
for line in io.lines(secrets) do
  local name, secret = line:match "^(%S+) (%S+)$"
  names[#names + 1] = { name = name, secret = secret }
end

local file = (out or "") ~= "" and assert(io.open(out, "wb"))

local function record(bytes)
  file:write(#bytes, "\n", bytes)
end

lest.all(names, { limit = tonumber(limit), each = function(device)
  local client = lest.client { url = url, trust = trust, username = device.name,
    password = device.secret, notify = function() end, channel_binding = how ~= "free" }
  local key = assert(lest.key.generate "ec:P-256")
  local subject = "CN=" .. device.name
  local cert = assert(client:enroll { key = key, subject = subject })
  client:close()
  if not file then return end
  local fresh = assert(lest.key.generate "ec:P-256")
  local csr = assert(core.csr.build { key = fresh, subject = subject })
  local body = core.base64.encode(csr:der())
  record(RENEWAL:format(#body, body))
  record(cert:pem() .. key:pem())
end })
if file then assert(file:close()) end
