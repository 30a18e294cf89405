--- Answers of an EST server, made in advance, for specs of the client against a raw_server.
---
---   local world = est.world()                    -- a root, a server's certificate, a device's
---   local server <close> = world:serve()
---   server:answer(est.cacerts { world.root.cert })
---   local client = world:client(server, { username = "u", password = "p" })
local core = require "lest.core"
local pki = require "support.pki"
local raw_server = require "support.raw_server"

local M = {}

local World = {}
World.__index = World

--- The extensions of a server's certificate for the given names.
function M.server_ext(san, more)
  return "extendedKeyUsage = serverAuth" .. (more and ", " .. more or "")
    .. (san and "\nsubjectAltName = " .. san or "")
end

---@return table world root, server, device: entities of support.pki; key: lest.key of the device
function M.world()
  local self = setmetatable({ pki = pki.new() }, World)
  self.root = self.pki:root("root", { days = 300 })
  self.server = self.pki:issue("server", { by = self.root, ext = M.server_ext "DNS:localhost" })
  self.device = self.pki:issue("device", { by = self.root, ext = "extendedKeyUsage = clientAuth" })
  self.key = assert(core.key.load(self.device.key))
  return self
end

function World:close()
  getmetatable(self.pki).__close(self.pki)
end
World.__close = World.close

--- A raw server with the world's certificate, or another entity's.
function World:serve(settings)
  settings = settings or {}
  local entity = settings.entity or self.server
  settings.entity = nil
  settings.cert, settings.key = settings.cert or entity.path, settings.key or entity.key
  return raw_server.start(settings)
end

--- A client of it that trusts the root; what it is told stands in client.told. False in place of an
--- option that it has by itself takes that away.
function World:client(server, options)
  local told = {}
  local all = { url = server.url, trust = self.root.path, timeout = "5s",
    notify = function(kind, message) told[#told + 1] = kind .. ": " .. message end }
  for key, value in pairs(options or {}) do
    if value == false and all[key] ~= nil then value = nil end
    all[key] = value
  end
  local client = require "lest.client" (all)
  client.told = told
  return client
end

local TYPES <const> = { cacerts = "application/pkcs7-mime", csrattrs = "application/csrattrs",
  simpleenroll = "application/pkcs7-mime; smime-type=certs-only" }

--- The bytes of a 200 with a DER body in base64.
function M.ok(operation, der, headers)
  local all = { ["Content-Type"] = TYPES[operation], ["Content-Transfer-Encoding"] = "base64" }
  for name, value in pairs(headers or {}) do all[name] = value end
  return raw_server.http(200, all, core.est.body_encode(der))
end

--- Certificates as an answer to cacerts, or to an enrollment.
function M.cacerts(certs, headers)
  return M.ok("cacerts", assert(core.pkcs7.encode(certs)), headers)
end

function M.issued(certs, headers)
  return M.ok("simpleenroll", assert(core.pkcs7.encode(certs)), headers)
end

--- CSR attributes: a list as core.csrattrs.encode takes it; nil is 204.
function M.csrattrs(list)
  if not list then return "HTTP/1.1 204 No Content\r\n\r\n" end
  return M.ok("csrattrs", assert(core.csrattrs.encode(list)))
end

--- The targets of the requests that a server got, as "METHOD TARGET".
function M.lines(server)
  local lines = {}
  for i, request in ipairs(server:requests()) do
    lines[i] = request.method .. " " .. request.target
  end
  return lines
end

--- The CSR in a request.
function M.csr_of(request)
  return assert(core.csr.parse(assert(core.est.body_decode(request.body))))
end

M.http = raw_server.http

return M
