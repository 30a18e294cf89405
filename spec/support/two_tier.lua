--- A server whose CA stands under a root that is offline, as most are in the field. Clients trust
--- the root alone, which is also the one anchor; the CA's certificate is sent along with the
--- server's.
---
---   local server = require("support.two_tier").start()
local pki = require "support.pki"
local process = require "support.process"
local support = require "support.server"

local M = {}

--- As support.server's make(): `lest ca init`, whose self-signed CA gives way to one of the same
--- name and key that the root has signed.
---@param options? table
---@return support.server
function M.make(options)
  local server <const> = support.make(options)
  local world <close> = pki.new()
  local root = world:root("root", { subject = "/CN=Root", days = 900 })
  local file = server.dir .. "/ca.pem"
  local name = process.must { "openssl", "x509", "-noout", "-subject", "-nameopt", "RFC2253",
    "-in", file }
  local sub = world:sub("sub", { by = root, days = 800,
    same_key = { key = server.dir .. "/ca.key" },
    subject = "/" .. name:match "^subject=(.-)\n$" })
  server.root = server.dir .. "/root.pem"
  process.write(server.root, process.read(root.path))
  process.write(file, process.read(sub.path))
  process.write(server.dir .. "/server.pem",
    process.read(server.dir .. "/server.pem") .. process.read(sub.path))
  server:edit_config(function(text)
    text = text:gsub('key = "ca.key"', '%0, chain = "root.pem"', 1)
    return (text:gsub('own = "ca.pem"', 'own = "root.pem"', 1))
  end)
  return server
end

--- make() and run it.
---@param options? table
---@return support.server
function M.start(options)
  local server = M.make(options)
  server:run()
  return server
end

--- A server whose CA has so many tiers: 1, as `lest ca init` makes it, or 2.
---@param tiers integer
---@return support.server
function M.start_with(tiers)
  return tiers == 1 and support.start() or M.start()
end

return M
