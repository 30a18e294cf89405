--- Counts events for each key in windows of a minute, in bounded memory: failed logins, issues.
---
---   local failures = limiter.new { per_minute = 10, now_ms = core.clock.monotonic_ms }
---   if failures:wait("device001") then ... end   --> seconds to wait, or nil
---   failures:count("device001")
local M = {}

local WINDOW_MS <const> = 60000

---@class lest.limiter
local Limiter = {}
Limiter.__index = Limiter

-- The first groups of an IPv6 address.
local function prefix(address, count)
  local head, tail = address:match "^(.-)::(.*)$"
  local groups, after = {}, {}
  for group in (head or address):gmatch "[^:]+" do table.insert(groups, group) end
  for group in (tail or ""):gmatch "[^:]+" do table.insert(after, group) end
  while tail and #groups + #after < 8 do table.insert(groups, "0") end
  table.move(after, 1, #after, #groups + 1, groups)
  return ("%s::/%d"):format(table.concat(groups, ":", 1, math.min(count, #groups)), 16 * count)
end

--- Whom an address stands for: an IPv4 host, or an IPv6 network of 64 bits, which is what one
--- subscriber has at least.
---@param address string
---@return string
function M.network(address)
  if not address:find(":", 1, true) then return address end
  return prefix(address, 4)
end

--- Whose neighbour an address is: one holder may have many of the hosts in it. An IPv4 network of
--- 24 bits, or an IPv6 network of 48, which is what a site is given.
---@param address string
---@return string
function M.site(address)
  if address:find(":", 1, true) then return prefix(address, 3) end
  return (address:gsub("%.%d+$", ".0/24"))
end

--- options: per_minute, now_ms (a monotonic clock), keys_max (default 20000: past it the older half
--- of the counts is forgotten at the end of its window).
---@param options { per_minute: integer, now_ms: (fun(): integer), keys_max: integer }
---@return lest.limiter
function M.new(options)
  return setmetatable({
    most = options.per_minute, now_ms = options.now_ms, keys_max = options.keys_max or 20000,
    counts = {}, before = {}, size = 0, started_ms = options.now_ms(),
  }, Limiter)
end

-- Two windows are kept and the older one counts by the share of it that is still within a minute.
local function turn_window(self)
  local now = self.now_ms()
  local elapsed = now - self.started_ms
  if elapsed >= WINDOW_MS or self.size >= self.keys_max then
    self.before = elapsed < 2 * WINDOW_MS and self.counts or {}
    self.counts, self.size = {}, 0
    self.started_ms = elapsed < 2 * WINDOW_MS and self.started_ms + math.min(elapsed, WINDOW_MS)
      or now
  end
  return math.max(0, WINDOW_MS - (now - self.started_ms))
end

--- Seconds until this key may try again, or nil if it may now.
---@param key string
---@return integer|nil
function Limiter:wait(key)
  local left = turn_window(self)
  local recent = (self.counts[key] or 0) + (self.before[key] or 0) * left // WINDOW_MS
  if recent < self.most then return nil end
  return math.max(1, left // 1000)
end

---@param key string
function Limiter:count(key)
  turn_window(self)
  if not self.counts[key] then self.size = self.size + 1 end
  self.counts[key] = (self.counts[key] or 0) + 1
end

--- Count an event of a key, unless it has had as many as it may.
---@param key string
---@return integer|nil wait seconds until it may try again: then nothing was counted
function Limiter:take(key)
  local wait = self:wait(key)
  if not wait then self:count(key) end
  return wait
end

--- Take one event of a key back: it turned out to be none.
---@param key string
function Limiter:uncount(key)
  local counts = (self.counts[key] or 0) > 0 and self.counts or self.before
  if (counts[key] or 0) > 0 then counts[key] = counts[key] - 1 end
end

return M
