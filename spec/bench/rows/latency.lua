--- Rows: latency from the planned arrival in an open loop with Poisson arrivals, at 30 % and 70 %
--- of the rate that a closed loop reaches; also beside many idle TLS connections.
local core = require "lest.core"
local rounds = require "bench.rounds"
local sides_module = require "bench.side"

local CLOSED <const> = { count = 1000, threads = 64 }
local THREADS <const> = 256 -- of the open loop: what waits for one is in its latency
local LOADS <const> = { { share = 0.3, most = 2000 }, { share = 0.7, most = 5000 } }
local SECONDS <const> = 6 -- of arrivals, where so many requests are prepared
local DESCRIPTORS_KEPT <const> = 2000

local function count_of_idle(wanted)
  return math.min(wanted, core.process.rlimit_nofile - DESCRIPTORS_KEPT)
end

--- Every connection of the idle ones may be with one worker, and stays.
local function limits_for(idle)
  local most = 2 * (idle + 1000)
  return ('connections = %d, connections_per_address = %d, idle = "1h"'):format(most, most)
end

local function rss_of(side)
  local sum = 0
  for i, each in ipairs(side:memory()) do
    if side.roles[i].role == "worker" then sum = sum + each.rss end
  end
  return sum
end

local function line_of(name, load, found, more)
  if found.failed > 0 then more = (more or "") .. (", %d refused"):format(found.failed) end
  return ("  %-10s %3.0f %% %7.0f a second: p50 %7.1f ms  p99 %7.1f ms  CPU %5.0f us%s"):format(
    name, load.share * 100, found.rate, found.median_us / 1000, found.p99_us / 1000, found.cpu_us,
    more or "")
end

local function measure(side, load, part)
  local rate = side.capacity * load.share
  local count = math.min(load.most, math.ceil(rate * SECONDS))
  local found = side:load(part, { count = count, threads = THREADS, rate = rate })
  return { rate = rate, share = load.share, median_us = found.median_us, p99_us = found.p99_us,
    cpu_us = found.cpu_us, failed = found.failed }
end

---@param context bench.context
---@param scope fun(side: bench.side): bench.side
---@param idle integer connections that are open meanwhile
return function(context, scope, idle)
  local loads = idle > 0 and { LOADS[2] } or LOADS
  local counts, sum = { CLOSED.count }, CLOSED.count
  for i, load in ipairs(loads) do counts[i + 1], sum = load.most, sum + load.most end
  local sides, data, lines = {}, {}, {}
  for i, build in ipairs(context.builds) do
    local side = scope(sides_module.lest(build, { requests = sum,
      limits = idle > 0 and limits_for(idle) or nil }))
    side.parts = rounds.split(side.requests, counts)
    side.capacity = side:load(side.parts[1], CLOSED).per_s
    sides[i], data[build.name] = side, {}
  end
  for k, load in ipairs(loads) do
    for _, side in ipairs(sides) do
      local found, more
      if idle > 0 then
        local open, before = count_of_idle(idle), rss_of(side)
        side:with_idle(open, function()
          local each = (rss_of(side) - before) / open
          found = measure(side, load, side.parts[k + 1])
          found.idle, found.kib_each = open, each
          more = (", %d idle, %.1f KiB each"):format(open, each)
        end)
      else
        found = measure(side, load, side.parts[k + 1])
      end
      table.insert(data[side.name], found)
      lines[#lines + 1] = line_of(side.name, load, found, more)
    end
  end
  return data, lines
end
