--- The rates of policies (policy.rate), counted for all workers together. They are in memory: an
--- authority that begins anew begins them anew.
---
--- Nobody can fill that memory for others. A key is what the authority knows of a request whose
--- principal is proven, not what a worker says; one device makes a tenth of the keys of a rate and
--- no more; one worker makes so many rates. Where there is no room a request is not counted, and
--- that is no "within": the policy learns that it cannot be told.
local core = require "lest.core"
local limiter = require "lest.server.wire.limiter"

local M = {}

local RATES_MAX <const>, KEYS_MAX <const>, ALL_KEYS_MAX <const> = 64, 100000, 400000
local KEY_MAX <const> = 64 -- bytes; a longer one is kept as its hash

-- What a request is counted by.
local KEYS <const> = {
  address = function(request) return limiter.network(request.begin.address) end,
  network = function(request) return limiter.site(request.begin.address) end,
  principal = function(request) return request.ledger_name end,
  device = function(request) return request.device end,
  subject = function(request) return tostring(request.csr.subject) end,
  key = function(request) return request.key_hash end,
  label = function(request) return request.begin.label end,
}

---@class lest.authority.rates
local Rates = {}
Rates.__index = Rates

--- options: now_ms (a monotonic clock), keys_max (of one rate), all_keys_max (of all together).
---@param options { now_ms: (fun(): integer), keys_max?: integer, all_keys_max?: integer }
---@return lest.authority.rates
function M.new(options)
  return setmetatable({
    now_ms = options.now_ms, keys_max = options.keys_max or KEYS_MAX,
    all_keys_max = options.all_keys_max or ALL_KEYS_MAX, by_name = {}, made_by = {},
  }, Rates)
end

local function key_of(request, question)
  local parts = {}
  for i, per in ipairs(question.per) do parts[i] = KEYS[per](request) end
  local key = string.pack(("s4"):rep(#parts), table.unpack(parts))
  return #key <= KEY_MAX and key or core.secret.sha256(key)
end

--- A rate is the same for as long as all of its question is: two lines of a policy that share a
--- name and differ otherwise are two rates.
local function rate_of(self, worker, question)
  local name = ("%s\0%s\0%d\0%d"):format(question.name, table.concat(question.per, "+"),
    question.most, question.every)
  local rate = self.by_name[name]
  if rate then return rate end
  local made = self.made_by[worker] or 0
  if made >= RATES_MAX then return nil end
  self.made_by[worker] = made + 1
  rate = limiter.new { per_minute = question.most, now_ms = self.now_ms,
    window_ms = question.every * 1000, keys_max = math.maxinteger }
  self.by_name[name] = rate
  return rate
end

--- Take the room that one more key needs, for this device.
---@return boolean taken
local function take_room(self, rate, device)
  local all = 0
  for _, each in pairs(self.by_name) do all = all + each:held() end
  if rate.made_in ~= rate.started_ms then rate.made, rate.made_in = {}, rate.started_ms end
  local own = rate.made[device] or 0
  if own >= self.keys_max // 10 or rate:held() >= self.keys_max or all >= self.all_keys_max then
    return false
  end
  rate.made[device] = own + 1
  return true
end

--- Count a request, unless there were as many of its key as may be.
---@param request lest.authority.request of a proven principal
---@param question table `rate` of the message `ask`
---@return table|nil rate as the message `told` has it
---@return string|nil problem it was not counted, and whether it is within cannot be told
function Rates:take(request, question)
  local rate = rate_of(self, request.channel.worker, question)
  if not rate then return nil, ("a worker counts no more than %d rates"):format(RATES_MAX) end
  local key = key_of(request, question)
  local count, left = rate:recent(key)
  if count >= question.most then
    return { within = false, count = count, wait = math.max(1, left // 1000) }
  elseif not rate.counts[key] and not take_room(self, rate, request.device) then
    return nil, "the rate has no room for one more key"
  end
  rate:count(key)
  return { within = true, count = count + 1 }
end

return M
