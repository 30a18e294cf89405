--- The secrets of those who name themselves in a handshake without certificates. TLS is the
--- worker's, and needs the secret: a worker gets that of one identity at a time, whose handshake is
--- under way, so many in a minute, and with it a grant. The grant stands for the handshake in the
--- requests that come over its connection; it is good for that worker, as long as this authority
--- runs. No two handshakes have the same, so that each that succeeds is counted as itself.
---
--- An identity that nobody has gets a secret that is nobody's, at the same cost, and its handshake
--- fails as one with a wrong key does. Of a password its client sees the salt, so that nobody's is
--- always the same: it comes of a seed in the ledger.
---
---   local found = identities:find(channel, seek)        --> { key =, grant = } or { problem = },
---                                                       --  or srp = in place of key
---   local holder = identities:holder(channel, "psk", grant) --> { kind =, name =, id = }
local core = require "lest.core"
local kinds = require "lest.server.wire.kinds"
local limiter = require "lest.server.wire.limiter"
local lines = require "lest.server.wire.lines"
local proof = require "lest.server.authority.proofs.credential"
local secrets = require "lest.server.ledger.secrets"

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
  local takes = {}
  for _, each in ipairs(authority.config.listen) do
    for _, kind in ipairs(kinds.list) do takes[kind.name] = takes[kind.name] or each[kind.name] end
  end
  return setmetatable({
    takes = takes,
    authority = authority, key = assert(secret.random_bytes(32)),
    nobody = assert(secret.random_bytes(32)),
    asked = limiter.new { per_minute = authority.config.limits.identities_per_minute,
      now_ms = core.clock.monotonic_ms },
    open = {}, before = {}, count = 0, given = 0,
  }, Identities)
end

-- A grant says after its MAC: kind, name and id of the credential, and the number of the handshake.
local PARTS <const>, MAC_LEN <const> = "s1s1s1I8", 32

local function mac(self, channel, parts)
  return assert(secret.hmac_sha256(self.key, string.pack("I4", channel.worker) .. parts))
end

local function grant_of(self, channel, seek, id)
  self.given = self.given + 1
  local parts = PARTS:pack(seek.kind, seek.name, id, self.given)
  return mac(self, channel, parts) .. parts
end

-- Made once for a ledger.
local function seed(self)
  local ledger = self.authority.ledger
  local rows = assert(ledger:rows("seed_get", { name = "srp" }))
  if not rows[1] then
    self.authority.turn:unit(function()
      assert(ledger:run("seed_add", { name = "srp", bytes = assert(secret.random_bytes(32)) }))
    end)
    rows = assert(ledger:rows("seed_get", { name = "srp" }))
  end
  return rows[1].bytes
end

-- Nobody's, and the same for the same name.
local function nobodys(self, seek)
  if seek.kind == "srp" and not self.seed then self.seed = seed(self) end
  local id = assert(secret.hmac_sha256(self.nobody, "id" .. seek.kind .. "\0" .. seek.name))
  return {
    id = id:sub(1, 8):gsub(".", function(byte) return ("%02x"):format(byte:byte()) end),
    secret = secrets.of_nobody(seek.kind, seek.name,
      seek.kind == "srp" and self.seed or self.nobody),
  }
end

--- Count the handshake as a failure until the worker says that it has succeeded.
local function charge(self, attempt, grant)
  attempt:count()
  if self.count >= OPEN_MAX // 2 then self.open, self.before, self.count = {}, self.open, 0 end
  self.open[grant] = attempt
  self.count = self.count + 1
end

---@param channel lest.authority.channel
---@param seek { kind: string, name: string, address: string }
---@return table found the message without its head
function Identities:find(channel, seek)
  if not self.takes[seek.kind] then
    return { problem = "no address of `listen` takes such an identity" }
  end
  -- A password may be guessed from many networks, a key from none.
  local guessed = seek.kind == "srp" and seek.name or nil
  local attempt = proof.attempt(self.authority,
    { begin = { address = seek.address }, purpose = { kind = seek.kind } }, guessed)
  -- Before the worker's share: a stranger would use it up for all.
  if attempt.is_limited then return { problem = "too many failed attempts" } end
  if self.asked:take(channel.worker) then
    return { problem = "too many identities are asked for in a minute" }
  end
  local nobody = nobodys(self, seek)
  local holder, err = self.authority.credentials:holder(seek.kind, seek.name)
  if not holder and err then error(err, 0) end
  local found = holder or nobody
  local grant = grant_of(self, channel, seek, found.id)
  charge(self, attempt, grant)
  if not holder then
    unknown:write("info", { "kind", seek.kind, "name", lines.short(seek.name),
      "address", seek.address })
  end
  return { key = found.secret.key, srp = found.secret.srp, grant = grant }
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
  local parts = grant:sub(MAC_LEN + 1)
  if not secret.equal(mac(self, channel, parts), grant:sub(1, MAC_LEN)) then return nil end
  local own, name, id = PARTS:unpack(parts)
  if own ~= kind then return nil end
  return { kind = kind, name = name, id = id }
end

return M
