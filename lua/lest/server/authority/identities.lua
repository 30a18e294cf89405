--- The secrets of those who name themselves in a handshake without certificates. TLS is the
--- worker's, and needs the secret: a worker gets that of one identity at a time, whose handshake is
--- under way, so many in a minute, and with it a grant. The grant stands for the handshake in the
--- requests that come over its connection; it is good for that worker, as long as this authority
--- runs.
---
--- An identity that nobody has gets a secret that is nobody's, at the same cost, and its handshake
--- fails as one with a wrong key does.
---
---   local found = identities:find(channel, seek)        --> { key =, grant = } or { problem = }
---   local holder = identities:holder(channel, "psk", grant) --> { kind =, name =, id = }
local core = require "lest.core"
local limiter = require "lest.server.wire.limiter"
local lines = require "lest.server.wire.lines"
local proof = require "lest.server.authority.proofs.credential"

local M = {}

local secret <const> = core.secret

-- Handshakes that may turn out to be none of a guess; past so many the older half is forgotten.
local OPEN_MAX <const> = 20000

local unknown <const> = lines.new "identity unknown"

---@class lest.authority.identities
local Identities = {}
Identities.__index = Identities

---@param authority lest.authority
---@return lest.authority.identities
function M.new(authority)
  return setmetatable({
    authority = authority, key = assert(secret.random_bytes(32)),
    nobody = assert(secret.random_bytes(32)),
    asked = limiter.new { per_minute = authority.config.limits.identities_per_minute,
      now_ms = core.clock.monotonic_ms },
    open = {}, before = {}, count = 0,
  }, Identities)
end

local function mac(self, channel, kind, name, id)
  local parts = string.pack("I4s1s1s1", channel.worker, kind, name, id)
  return assert(secret.hmac_sha256(self.key, parts))
end

local MAC_LEN <const> = 32

local function grant_of(self, channel, seek, id)
  return mac(self, channel, seek.kind, seek.name, id)
    .. string.pack("s1s1s1", seek.kind, seek.name, id)
end

-- Nobody's, and the same for the same name.
local function nobodys(self, seek)
  local key = assert(secret.hmac_sha256(self.nobody, "key" .. seek.kind .. "\0" .. seek.name))
  local id = assert(secret.hmac_sha256(self.nobody, "id" .. seek.kind .. "\0" .. seek.name))
  return key, (id:sub(1, 8):gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

--- Count the handshake as a failure until the worker says that it has succeeded.
local function charge(self, seek, grant)
  local attempt = proof.attempt(self.authority,
    { begin = { address = seek.address }, purpose = { kind = seek.kind } })
  if attempt.is_limited then return false end
  attempt:count()
  if self.count >= OPEN_MAX // 2 then self.open, self.before, self.count = {}, self.open, 0 end
  self.open[grant] = attempt
  self.count = self.count + 1
  return true
end

---@param channel lest.authority.channel
---@param seek { kind: string, name: string, address: string }
---@return table found the message without its head
function Identities:find(channel, seek)
  if self.asked:take(channel.worker) then
    return { problem = "too many identities are asked for in a minute" }
  end
  local key, id = nobodys(self, seek)
  local holder, err = self.authority.credentials:holder(seek.kind, seek.name)
  if not holder and err then error(err, 0) end
  local found = holder or { key = key, id = id }
  local grant = grant_of(self, channel, seek, found.id)
  if not charge(self, seek, grant) then return { problem = "too many failed attempts" } end
  if not holder then
    unknown:write("info", { "kind", seek.kind, "name", lines.short(seek.name),
      "address", seek.address })
  end
  return { key = found.key, grant = grant }
end

--- A handshake has succeeded.
---@param grant string
function Identities:proven(grant)
  local attempt = self.open[grant] or self.before[grant]
  if not attempt then return end
  self.open[grant], self.before[grant] = nil, nil
  attempt:uncount()
end

--- Whom a grant was given for.
---@param channel lest.authority.channel
---@param kind string
---@param grant string
---@return { kind: string, name: string, id: string }|nil
function Identities:holder(channel, kind, grant)
  if #grant <= MAC_LEN then return nil end
  local ok, own, name, id, rest = pcall(string.unpack, "s1s1s1", grant, MAC_LEN + 1)
  if not ok or own ~= kind or rest ~= #grant + 1 then return nil end
  if not secret.equal(mac(self, channel, kind, name, id), grant:sub(1, MAC_LEN)) then return nil end
  return { kind = kind, name = name, id = id }
end

return M
