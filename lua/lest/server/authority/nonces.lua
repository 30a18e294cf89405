--- Which nonces of HTTP Digest (RFC 7616 3.3) are good, and how often each was used: what a client
--- has sent is worth nothing a second time.
---
--- Their key is of this authority alone. One that follows it, after a crash or a reload, knows
--- nothing of what was used here, and takes no nonce of before: the client is told that it is stale
--- and answers a new one. So it is with what is forgotten for want of room.
---
---   local nonces = nonces_module.new { now_s = clock.monotonic_s }
---   if nonces:take("lest", said.nonce, said.nc) then ... end
local core = require "lest.core"
local nonce = require "lest.server.wire.nonce"

local M = {}

local LIFETIME_S <const> = 300
local KEPT_MAX <const> = 20000

---@class lest.authority.nonces
---@field key string what the workers make them with
local Nonces = {}
Nonces.__index = Nonces

--- now_s: a clock that is never set; kept_max: how many are remembered before the older half is
--- forgotten.
---@param options { now_s: (fun(): integer), kept_max?: integer }
---@return lest.authority.nonces
function M.new(options)
  return setmetatable({
    key = assert(core.secret.random_bytes(nonce.KEY_LEN)), now_s = options.now_s,
    kept_max = options.kept_max or KEPT_MAX, used = {}, before = {}, size = 0,
    newest = math.mininteger, newest_before = math.mininteger, floor = math.mininteger,
    turned = options.now_s(),
  }, Nonces)
end

-- Two halves are kept. No nonce as old as the newest of a half that is forgotten is good again.
local function turn(self, now)
  if self.size < self.kept_max // 2 and now - self.turned < LIFETIME_S then return end
  self.floor = math.max(self.floor, self.newest_before)
  self.before, self.newest_before = self.used, self.newest
  self.used, self.size, self.newest, self.turned = {}, 0, math.mininteger, now
end

--- Use a nonce up to a count (nc). False: it is no nonce of now, or was used so far already.
---@param realm string
---@param text string the nonce as the client sends it
---@param nc string 8 hex digits
---@return boolean
function Nonces:take(realm, text, nc)
  local now = self.now_s()
  turn(self, now)
  local made, id = nonce.read(self.key, realm, text)
  if not made or made > now or made <= math.max(now - LIFETIME_S, self.floor) then return false end
  local count, last = tonumber(nc, 16) or 0, self.used[id] or self.before[id] or 0
  if count <= last then return false end
  if not self.used[id] then self.size = self.size + 1 end
  self.used[id], self.newest = count, math.max(self.newest, made)
  return true
end

--- How many nonces are remembered.
---@return integer
function Nonces:held()
  local held = 0
  for _, each in ipairs { self.used, self.before } do
    for _ in pairs(each) do held = held + 1 end
  end
  return held
end

return M
