--- What this worker presents in TLS where the server's certificate renews itself: the authority
--- gives certificate and key, and gives others when there are.
---
---   local identity = identity.new(worker, tls)
---   identity:await(function() return stopping end)
local core = require "lest.core"
local wiping = require "lest.server.wire.wiping"

local M = {}

---@class lest.worker.identity
---@field is_there boolean there was one: connections can be taken
---@field on_change fun() there is another one
local Identity = {}
Identity.__index = Identity

local function read(given)
  local key, err = core.key.parse(given.key)
  if not key then return nil, err end
  local certs = {}
  for i, der in ipairs(given.chain) do
    certs[i], err = core.cert.parse(der)
    if not certs[i] then return nil, err end
  end
  return certs[1]:with_chain(table.move(certs, 2, #certs, 1, {})), key
end

---@param worker lest.worker with its link and its health
---@param tls lest.tls of the addresses where the server has a certificate
---@return lest.worker.identity
function M.new(worker, tls)
  local self = setmetatable({ is_there = false, on_change = function() end }, Identity)
  worker.authority.on_identity = function(given)
    local cert, key = read(given)
    given.key = nil
    wiping.soon()
    local ok, err = cert ~= nil, key
    if ok then ok, err = tls:set_identity(cert, key) end
    if not ok then
      -- What was presented before still is.
      return core.log.write("error", "server certificate not used",
        { "message", tostring(err) })
    end
    self.is_there, worker.health.tls = true, cert
    self.on_change()
  end
  return self
end

--- Turn the loop until there is one, or the worker is to end.
---@param is_over fun(): boolean
function Identity:await(is_over)
  while not (self.is_there or is_over()) do core.loop.turn() end
end

return M
