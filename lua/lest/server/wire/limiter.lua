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
--- of the counts is forgotten at the end of its window), window_ms (default a minute, and then
--- per_minute is per that).
---@param options { per_minute: integer, now_ms: (fun(): integer), keys_max?: integer,
--- window_ms?: integer }
---@return lest.limiter
function M.new(options)
  return setmetatable({
    most = options.per_minute, now_ms = options.now_ms, keys_max = options.keys_max or 20000,
    window_ms = options.window_ms or WINDOW_MS,
    counts = {}, before = {}, size = 0, size_before = 0, started_ms = options.now_ms(),
  }, Limiter)
end

-- Two windows are kept and the older one counts by the share of it that is still within a minute.
local function turn_window(self)
  local now, window = self.now_ms(), self.window_ms
  local elapsed = now - self.started_ms
  if elapsed < window and self.size < self.keys_max then return window - elapsed end
  local is_near = elapsed < 2 * window
  self.before, self.size_before = is_near and self.counts or {}, is_near and self.size or 0
  self.counts, self.size = {}, 0
  self.started_ms = is_near and self.started_ms + math.min(elapsed, window) or now
  return math.max(0, window - (now - self.started_ms))
end

--- How many events a key has had within the last window.
---@param key string
---@return integer count
---@return integer left milliseconds of the window that is on
function Limiter:recent(key)
  local left = turn_window(self)
  local count, before = self.counts[key] or 0, self.before[key]
  return before and count + before * left // self.window_ms or count, left
end

--- How many keys are kept, some of them twice: of both windows.
---@return integer
function Limiter:held()
  turn_window(self)
  return self.size + self.size_before
end

--- Seconds until this key may try again, or nil if it may now.
---@param key string
---@return integer|nil
function Limiter:wait(key)
  local recent, left = self:recent(key)
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
