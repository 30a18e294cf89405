--- What happens in a simulation, counted by the hour, and what a fleet's operator asks of it.
local M = {}

local HOUR <const> = 3600

--- What is counted in each hour. first: devices that got their first certificate; renewed: in time;
--- by_expired, by_bootstrap: after the end of the one before, and how; anchors: asked for without a
--- renewal; refused: what the ill ones sent.
M.COUNTS = { "first", "renewed", "by_expired", "by_bootstrap", "anchors", "pending", "failed",
  "refused", "power_cuts" }

---@class lest.fleet.tally
---@field from integer
---@field to integer
local Tally = { __name = "lest.fleet.tally" }
Tally.__index = Tally

---@param from integer seconds since 1970
---@param to integer
---@return lest.fleet.tally
function M.new(from, to)
  local self = setmetatable({ from = from, to = to, hours = (to - from + HOUR - 1) // HOUR,
    counts = {}, gauges = {}, latencies = {}, slow = {}, errors = {}, expired = {}, outages = {},
    marks = {}, requests = 0 }, Tally)
  for _, name in ipairs(M.COUNTS) do self.counts[name] = {} end
  for _, name in ipairs { "enrolled", "expired", "away" } do self.gauges[name] = {} end
  return self
end

-- The hour of a time, from 1; what is after the end belongs to the last one.
local function hour_of(self, at)
  return math.max(1, math.min((at - self.from) // HOUR + 1, self.hours))
end

--- Count one.
---@param name string
---@param at integer
function Tally:count(name, at)
  local hours, hour = self.counts[name], hour_of(self, at)
  hours[hour] = (hours[hour] or 0) + 1
end

--- Say that something was so for a while.
---@param name string "enrolled", "expired" or "away"
---@param from integer
---@param to? integer nil: to the end
function Tally:span(name, from, to)
  local steps = self.gauges[name]
  local first = hour_of(self, from)
  steps[first] = (steps[first] or 0) + 1
  if not to or to >= self.to then return end
  local last = hour_of(self, to)
  steps[last] = (steps[last] or 0) - 1
end

--- Note how long an exchange with the server took, in real time.
---@param us integer
function Tally:took(us)
  self.latencies[#self.latencies + 1] = us
end

--- Note why something failed.
---@param message string
function Tally:failed_with(message)
  self.errors[message] = (self.errors[message] or 0) + 1
end

--- A count by the hour, from the first to the last.
---@param name string
---@return integer[]
function Tally:series(name)
  local series, hours = {}, self.counts[name]
  for i = 1, self.hours do series[i] = hours[i] or 0 end
  return series
end

--- How many are in a state at the end of each hour.
---@param name string
---@return integer[]
function Tally:gauge(name)
  local series, steps, now = {}, self.gauges[name], 0
  for i = 1, self.hours do
    now = now + (steps[i] or 0)
    series[i] = now
  end
  return series
end

--- Certificates by the hour, but for the first of each device.
---@return integer[]
function Tally:renewals()
  local series = self:series "renewed"
  for i, count in ipairs(self:late()) do series[i] = series[i] + count end
  return series
end

--- Those of them that came after the end of the one before.
---@return integer[]
function Tally:late()
  local series = self:series "by_expired"
  for i, count in ipairs(self:series "by_bootstrap") do series[i] = series[i] + count end
  return series
end

--- The most of a series in so many elements that follow each other, and where they begin.
---@param series integer[]
---@param size integer
---@param first integer
---@param last integer
---@return integer most
---@return integer at
function M.busiest(series, size, first, last)
  local sum, most, at = 0, 0, first
  for i = first, last do
    sum = sum + series[i] - (i - size >= first and series[i - size] or 0)
    if sum > most then most, at = sum, math.max(first, i - size + 1) end
  end
  return most, at
end

--- The sums of so many elements each; a rest at the end is left out.
---@param series integer[]
---@param size integer
---@return integer[]
function M.bins(series, size)
  local bins = {}
  for i = 1, #series // size do
    local sum = 0
    for j = (i - 1) * size + 1, i * size do sum = sum + series[j] end
    bins[i] = sum
  end
  return bins
end

local function total(series, first, last)
  local sum = 0
  for i = first, last do sum = sum + series[i] end
  return sum
end

-- So many renewals there are in a time on average, so that chance alone makes no herd of them.
local ENOUGH <const> = 60
-- The widths that are tried, in hours.
local WIDTHS <const> = { 1, 6, 24, 168 }

---@class lest.fleet.herd
---@field hours integer how long a time is looked at
---@field mean number renewals in such a time, once the first have begun
---@field peak integer in the busiest, wherever it begins
---@field ratio number
---@field at integer when that begins

--- How crowded the busiest time was, against the mean of all: after the first renewals have begun.
---@return lest.fleet.herd|nil nil: there were too few to tell
function Tally:herd()
  local series, first = self:renewals(), nil
  for i, count in ipairs(series) do
    if count > 0 then first = i break end
  end
  if not first then return nil end
  local hours = #series - first + 1
  local mean = total(series, first, #series) / hours
  local width = WIDTHS[#WIDTHS]
  for i = #WIDTHS, 1, -1 do
    if mean * WIDTHS[i] >= ENOUGH then width = WIDTHS[i] end
  end
  if hours < 2 * width or mean * width < ENOUGH then return nil end
  local peak, at = M.busiest(series, width, first, #series)
  return { hours = width, mean = mean * width, peak = peak, ratio = peak / (mean * width),
    at = self.from + (at - 1) * HOUR }
end

--- The value below which so many of 100 are; 0 of none.
---@param sorted number[]
---@param percent number
---@return number
function M.percentile(sorted, percent)
  if #sorted == 0 then return 0 end
  return sorted[math.max(1, math.ceil(#sorted * percent / 100))]
end

--- Percentiles of what exchanges took, in milliseconds.
---@return { count: integer, p50: number, p95: number, p99: number, max: number }
function Tally:latency()
  local sorted = table.move(self.latencies, 1, #self.latencies, 1, {})
  table.sort(sorted)
  local function at(percent) return M.percentile(sorted, percent) / 1000 end
  return { count = #sorted, p50 = at(50), p95 = at(95), p99 = at(99), max = at(100) }
end

return M
