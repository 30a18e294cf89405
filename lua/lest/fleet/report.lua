--- What came of a simulation, in words, numbers and a file for other tools.
local duration = require "lest.duration"
local tallies = require "lest.fleet.tally"

local M = {}

local HOUR <const> = 3600

local function date(seconds)
  return os.date("!%Y-%m-%d", seconds)
end

--- Every hour, as CSV.
---@param tally lest.fleet.tally
---@return string
function M.csv(tally)
  local lines = { ("time,%s,enrolled,without_certificate,away"):format(
    table.concat(tallies.COUNTS, ",")) }
  local series = {}
  for i, name in ipairs(tallies.COUNTS) do series[i] = tally:series(name) end
  for _, name in ipairs { "enrolled", "expired", "away" } do
    series[#series + 1] = tally:gauge(name)
  end
  for hour = 1, tally.hours do
    local row = { os.date("!%Y-%m-%dT%H:%M:%SZ", tally.from + (hour - 1) * HOUR) }
    for i, each in ipairs(series) do row[i + 1] = each[hour] end
    lines[#lines + 1] = table.concat(row, ",")
  end
  return table.concat(lines, "\n") .. "\n"
end

local function sum(series)
  local all = 0
  for _, count in ipairs(series) do all = all + count end
  return all
end

-- Devices that were without a valid certificate for a while, and came back.
local function expired_devices(simulation)
  local count = 0
  for _, device in ipairs(simulation.devices) do
    if device.was_expired then count = count + 1 end
  end
  return count
end

-- How long after its end an outage is looked for in the renewals, as a multiple of its length.
local AFTERMATH <const> = 3

-- The busiest time after the end of each outage, against the mean of all times.
local function outages(tally, herd)
  local list, renewals = {}, tally:renewals()
  for _, mark in ipairs(tally.marks) do
    if mark.to then
      local each, long = { at = mark.at, seconds = mark.to - mark.at }, mark.to - mark.at
      list[#list + 1] = each
      local first = (mark.to - tally.from) // HOUR + 1
      local last = math.min(first + AFTERMATH * long // HOUR, #renewals)
      each.peak = herd and tallies.busiest(renewals, herd.hours, first, last)
      each.ratio = herd and each.peak / herd.mean
    end
  end
  return list
end

--- The figures of a simulation, for JSON.
---@param simulation lest.fleet.simulation
---@return table
function M.figures(simulation)
  local tally, counts = simulation.tally, {}
  local herd = tally:herd()
  for _, name in ipairs(tallies.COUNTS) do counts[name] = sum(tally:series(name)) end
  local issued = counts.first + counts.renewed + counts.by_expired + counts.by_bootstrap
  return {
    devices = #simulation.devices, from = tally.from, to = tally.to, counts = counts,
    issued = issued, herd = herd, outages = outages(tally, herd), states = simulation.states,
    expired = expired_devices(simulation), lost = simulation:lost(), errors = tally.errors,
    latency_ms = tally:latency(), server_cpu_s = simulation.cpu_s, took_s = simulation.took_s,
    cpu_ms_each = issued > 0 and simulation.cpu_s * 1000 / issued or 0,
  }
end

M.WIDTHS = { [1] = "hour", [6] = "six hours", [24] = "day", [168] = "week" }

local function herd_text(herd)
  if not herd then return "too few renewals to tell of a herd" end
  return ("the busiest %s had %d, on %s: %.2f times the mean of %.1f"):format(M.WIDTHS[herd.hours],
    herd.peak, date(herd.at), herd.ratio, herd.mean)
end

local function outage_text(each, herd)
  local text = ("%s from %s"):format(duration.format(each.seconds), date(each.at))
  if not herd then return text end
  return ("%s: the busiest %s after it had %d renewals, %.2f times the mean"):format(text,
    M.WIDTHS[herd.hours], each.peak, each.ratio)
end

local function sorted(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    return map[a] > map[b] or map[a] == map[b] and a < b
  end)
  return keys
end

local function errors_text(errors)
  local parts = {}
  for i, key in ipairs(sorted(errors)) do parts[i] = ("%d %s"):format(errors[key], key) end
  return parts[1] and table.concat(parts, ", ") or "none"
end

--- The figures in lines for people: a word, and what there is to say.
---@param figures table
---@return string[][] rows
function M.rows(figures)
  local counts, states, latency = figures.counts, figures.states, figures.latency_ms
  local rows = {
    { "time", ("%s to %s (%s), in %.0f s"):format(date(figures.from), date(figures.to),
      duration.format(figures.to - figures.from), figures.took_s) },
    { "devices", ("%d: %d valid at the end, %d away, %d expired, %d without a first one"):format(
      figures.devices, states.valid, states.away, states.expired, states.never) },
    { "lost", ("%d that could have had a certificate"):format(figures.lost) },
    { "certificates", ("%d first, %d renewals in time, %d too late (%d by the expired one, %d by "
      .. "bootstrap)"):format(counts.first, counts.renewed, counts.by_expired + counts.by_bootstrap,
      counts.by_expired, counts.by_bootstrap) },
    { "renewals", herd_text(figures.herd) },
  }
  for _, each in ipairs(figures.outages) do
    rows[#rows + 1] = { "outage", outage_text(each, figures.herd) }
  end
  rows[#rows + 1] = { "expired", ("%d devices for a while, which came back"):format(
    figures.expired) }
  rows[#rows + 1] = { "failures", errors_text(figures.errors) }
  rows[#rows + 1] = { "power cuts", tostring(counts.power_cuts) }
  rows[#rows + 1] = { "latency", ("50 %% within %.1f ms, 95 %% %.1f, 99 %% %.1f, at most %.1f")
    :format(latency.p50, latency.p95, latency.p99, latency.max) }
  rows[#rows + 1] = { "server", ("%.1f s of the processor, %.1f ms for each certificate"):format(
    figures.server_cpu_s, figures.cpu_ms_each) }
  return rows
end

return M
