--- The story of a simulation as a picture: renewals over time, the server's outages shaded, and
--- below how many devices were away or without a certificate. SVG 1.1, light on ink, no script.
local report = require "lest.fleet.report"
local tallies = require "lest.fleet.tally"

local M = {}

local WIDTH <const>, LEFT <const>, RIGHT <const> = 1160, 76, 104
local INNER <const> = WIDTH - LEFT - RIGHT
-- Top and height of the two charts.
local MAIN <const> = { top = 170, height = 280 }
local BELOW <const> = { top = 516, height = 110 }
local HEIGHT <const> = 700

local INK <const>, TEXT <const>, QUIET <const>, GRID <const> = "#12161d", "#e6e9ee", "#8e98a6",
  "#262d38"
local RENEW <const>, FIRST <const>, LATE <const> = "#58c4b0", "#6b8fd6", "#f0a35e"
local AWAY <const>, NONE <const>, SHADE <const> = "#7b8594", "#ef6f6c", "#3a2f33"

local function escape(text)
  return (tostring(text):gsub("[&<>\"]",
    { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }))
end

local function text(x, y, words, more)
  return ('<text x="%.1f" y="%.1f"%s>%s</text>'):format(x, y, more and " " .. more or "",
    escape(words))
end

local function rect(x, y, width, height, fill, more)
  return ('<rect x="%.1f" y="%.1f" width="%.2f" height="%.1f" fill="%s"%s/>'):format(x, y, width,
    height, fill, more and " " .. more or "")
end

local function line(x1, y1, x2, y2, stroke, more)
  return ('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"%s/>'):format(x1, y1, x2, y2,
    stroke, more and " " .. more or "")
end

-- A round number that is not less, and how it is divided.
local function scale(most)
  local power = 10 ^ math.floor(math.log(math.max(most, 1), 10))
  for _, each in ipairs { { 1, 5 }, { 1.2, 4 }, { 1.5, 3 }, { 2, 4 }, { 2.5, 5 }, { 3, 3 },
    { 4, 4 }, { 5, 5 }, { 6, 3 }, { 8, 4 }, { 10, 5 } } do
    local top = each[1] * power
    if top >= most and (top / each[2]) % 1 == 0 then return top // 1, top // each[2] end
  end
  return 10 * power, 2 * power
end

local function most_of(series)
  local most = 0
  for _, value in ipairs(series) do most = math.max(most, value) end
  return most
end

local Plot = {}
Plot.__index = Plot

function Plot:add(piece) self.pieces[#self.pieces + 1] = piece end

function Plot:x(at)
  return LEFT + INNER * (at - self.tally.from) / (self.tally.to - self.tally.from)
end

-- Lines across, with their numbers.
local function add_grid(self, place, top, step)
  for value = 0, top, step do
    local y = place.top + place.height * (1 - value / top)
    self:add(line(LEFT, y, LEFT + INNER, y, value == 0 and QUIET or GRID))
    self:add(text(LEFT - 10, y + 4, ("%d"):format(value), 'class="number" text-anchor="end"'))
  end
end

-- The first days of months, or whole days where the time is short.
local function ticks(from, to)
  local list, last_year = {}, nil
  if to - from < 40 * 86400 then
    for at = (from // 86400 + 1) * 86400, to, 86400 * math.max(1, (to - from) // 86400 // 10) do
      list[#list + 1] = { at = at, name = os.date("!%d %b", at) }
    end
    return list
  end
  local every = math.max(1, (to - from) // (30 * 86400) // 12)
  local date = os.date("!*t", from) --[[@as osdate]]
  local month = date.year * 12 + date.month
  for each = month + (-month) % every + (((-month) % every == 0) and every or 0),
    month + 1200, every do
    local year, of_year = (each - 1) // 12, (each - 1) % 12 + 1
    local days = os.time { year = year, month = of_year, day = 1, hour = 12 }
    local at = days // 86400 * 86400
    if at > to then break end
    local name = os.date("!%b", at)
    if year ~= last_year then name = name .. " " .. year end
    last_year = year
    list[#list + 1] = { at = at, name = name }
  end
  return list
end

local function add_time(self)
  for _, tick in ipairs(ticks(self.tally.from, self.tally.to)) do
    local x = self:x(tick.at)
    for _, place in ipairs { MAIN, BELOW } do
      self:add(line(x, place.top, x, place.top + place.height, GRID))
    end
    self:add(text(x, BELOW.top + BELOW.height + 20, tick.name,
      'class="number" text-anchor="middle"'))
  end
end

-- Outages as shades over both charts; what else happened as a line with its name, one below the
-- other where they are near.
local function add_marks(self)
  local last, row = -math.huge, 0
  for _, mark in ipairs(self.tally.marks) do
    local x = self:x(mark.at)
    local width = mark.to and math.max(2, self:x(mark.to) - x)
    for _, place in ipairs { MAIN, BELOW } do
      if width then
        self:add(rect(x, place.top, width, place.height, SHADE))
      else
        self:add(line(x, place.top, x, place.top + place.height, QUIET, 'stroke-dasharray="2 3"'))
      end
    end
    row = x - last < 150 and (row + 1) % 4 or 0
    last = x
    local at_end = x > LEFT + INNER - 120
    self:add(text(x + (at_end and -4 or 4), MAIN.top + 14 + row * 15, mark.name,
      'class="mark" text-anchor="' .. (at_end and "end" or "start") .. '"'))
  end
end

local function add_bars(self, width, kinds, top)
  local step = INNER * width * 3600 / (self.tally.to - self.tally.from)
  local gap = step > 4 and 1 or 0
  local sums = {}
  for _, kind in ipairs(kinds) do
    for i, count in ipairs(kind.bins) do
      if count > 0 then
        local below = sums[i] or 0
        local y = MAIN.top + MAIN.height * (1 - (below + count) / top)
        self:add(rect(LEFT + (i - 1) * step, y, math.max(step - gap, 0.5),
          MAIN.height * count / top, kind.color))
        sums[i] = below + count
      end
    end
  end
end

-- A mean, named at its right end.
local function add_mean(self, value, top, name, dashes, color)
  if value > top then return end
  local y = MAIN.top + MAIN.height * (1 - value / top)
  self:add(line(LEFT, y, LEFT + INNER, y, color, 'stroke-width="1.2" stroke-dasharray="'
    .. dashes .. '"'))
  self:add(text(LEFT + INNER + 8, y + 4, name, ('class="mark" style="fill:%s"'):format(color)))
end

-- A gauge by the hour as an area with steps; no more of them than a screen has.
local function add_area(self, series, top, color)
  local every, last = math.max(1, #series // (2 * INNER)), 0
  local points = {}
  local function add(x, value)
    points[#points + 1] = ("%.1f,%.1f"):format(LEFT + INNER * x / #series,
      BELOW.top + BELOW.height * (1 - value / top))
  end
  add(0, 0)
  for first = 1, #series, every do
    local value = 0
    for i = first, math.min(first + every - 1, #series) do value = math.max(value, series[i]) end
    if value ~= last then
      add(first - 1, last)
      add(first - 1, value)
      last = value
    end
  end
  add(#series, last)
  add(#series, 0)
  self:add(('<polygon points="%s" fill="%s" fill-opacity="0.55" stroke="%s" stroke-width="1"/>')
    :format(table.concat(points, " "), color, color))
end

local function add_legend(self, y, entries)
  local x = LEFT
  for _, entry in ipairs(entries) do
    self:add(rect(x, y - 9, 11, 11, entry[2], 'rx="2"'))
    self:add(text(x + 17, y, entry[1]))
    x = x + 34 + 6.7 * #entry[1]
  end
end

local HEAD <const> = [[
<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img">
<title>%s</title>
<style>
text { font-family: "Inter", "DejaVu Sans", "Helvetica", sans-serif; font-size: 12.5px; fill: %s }
.head { font-size: 23px; font-weight: 600 } .sub { font-size: 14px; fill: %s }
.axis { font-size: 13.5px; font-weight: 600 } .number { fill: %s; font-size: 12px }
.mark { font-size: 11.5px; fill: %s }
</style>]]

local WORDS <const> = { [1] = "an hour", [6] = "in six hours", [24] = "a day", [168] = "a week" }

-- The width of a bar: as the herd is told, but no more bars than can be seen.
local function width_of(tally, herd)
  local width = herd and herd.hours or 24
  for _, each in ipairs { 6, 24, 168 } do
    if tally.hours / width > INNER / 1.5 and each > width then width = each end
  end
  return width
end

local function add_main(self, figures, width)
  local tally = self.tally
  local kinds = {
    { bins = tallies.bins(tally:series "renewed", width), color = RENEW },
    { bins = tallies.bins(tally:late(), width), color = LATE },
    { bins = tallies.bins(tally:series "first", width), color = FIRST },
  }
  local mean = figures.herd and figures.herd.mean * width / figures.herd.hours
  -- Devices that are switched on for the first time may be many more: their bars end at the top.
  local renewals = tallies.bins(tally:renewals(), width)
  local top, step = scale(math.max(most_of(renewals) * 1.15, mean and mean * 2.2 or 0, 4))
  for _, kind in ipairs(kinds) do
    for i, count in ipairs(kind.bins) do kind.bins[i] = math.min(count, top) end
  end
  for i, count in ipairs(kinds[3].bins) do
    kinds[3].bins[i] = math.min(count, top - math.min(renewals[i], top))
  end
  add_grid(self, MAIN, top, step)
  self:add(text(LEFT, MAIN.top - 44, "Certificates " .. WORDS[width], 'class="axis"'))
  add_legend(self, MAIN.top - 20, { { "renewed in time", RENEW },
    { "renewed after its end", LATE }, { "a device's first", FIRST } })
  add_marks(self)
  add_bars(self, width, kinds, top)
  if mean then
    add_mean(self, mean, top, "mean", "6 4", TEXT)
    add_mean(self, 2 * mean, top, "twice the mean", "2 4", LATE)
  end
end

local function add_below(self)
  local tally = self.tally
  local away, without = tally:gauge "away", tally:gauge "expired"
  local top = scale(math.max(most_of(away), most_of(without), 4) * 1.1)
  add_grid(self, BELOW, top, top % 2 == 0 and top // 2 or top)
  self:add(text(LEFT, BELOW.top - 32, "Devices", 'class="axis"'))
  add_legend(self, BELOW.top - 10, { { "away", AWAY }, { "without a valid certificate", NONE } })
  add_area(self, away, top, AWAY)
  add_area(self, without, top, NONE)
end

--- The picture.
---@param simulation lest.fleet.simulation
---@param figures table of lest.fleet.report
---@return string svg
function M.svg(simulation, figures)
  local tally = simulation.tally
  local title = ("%d devices, %s to %s"):format(figures.devices,
    os.date("!%d %b %Y", tally.from), os.date("!%d %b %Y", tally.to))
  local self = setmetatable({ tally = tally, pieces = { HEAD:format(WIDTH, HEIGHT, WIDTH, HEIGHT,
    escape(title), TEXT, QUIET, QUIET, QUIET), rect(0, 0, WIDTH, HEIGHT, INK) } }, Plot)
  self:add(text(LEFT, 48, title, 'class="head"'))
  local herd = figures.herd and (", the busiest %s %.2f times the mean"):format(
    report.WIDTHS[figures.herd.hours], figures.herd.ratio) or ""
  self:add(text(LEFT, 74, ("%d renewals%s; %d expired for a while, %d lost"):format(
    figures.issued - figures.counts.first, herd, figures.expired, figures.lost),
    'class="sub"'))
  local width = width_of(tally, figures.herd)
  add_time(self)
  add_main(self, figures, width)
  add_below(self)
  self:add(text(LEFT, HEIGHT - 22, ("each renewal in %.1f ms (half of them; 99 %% in %.1f), for "
    .. "%.1f ms of the server's processor"):format(figures.latency_ms.p50, figures.latency_ms.p99,
      figures.cpu_ms_each), 'class="number"'))
  self:add "</svg>\n"
  return table.concat(self.pieces, "\n")
end

return M
