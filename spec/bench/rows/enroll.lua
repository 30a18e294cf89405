--- Rows: a whole enrollment against a static GET of a bare nginx, each on a fresh TLS 1.3
--- connection.
local rounds = require "bench.rounds"
local sides_module = require "bench.side"
local tables = require "bench.table"

local NGINX_PER_ENROLLMENT <const> = 2 -- cheaper ones, so more of them for the clock's ticks
local IDLE <const> = 1000

--- Memory before and after the rounds, and with idle connections.
local function watch(sides)
  local memory = {}
  for i, side in ipairs(sides) do memory[i] = { fresh = side:memory() } end
  return memory, function()
    for i, side in ipairs(sides) do
      memory[i].loaded = side:memory()
      memory[i].idle = side:with_idle(IDLE, function() return side:memory() end)
    end
  end
end

--- Start a server for each build, and an nginx whose answers are as long as theirs.
local function start(context, scope)
  local sides = {}
  local requests = context.rounds * context.enrollments + 1
  for i, build in ipairs(context.builds) do
    sides[i] = scope(sides_module.lest(build, { requests = requests }))
    sides[i].parts = rounds.split(sides[i].requests,
      rounds.counts(context.rounds, context.enrollments))
  end
  local size = sides[1]:load(sides[1].parts[1], { count = 1, threads = 1 }).body_bytes
  table.insert(sides, scope(sides_module.nginx(sides[1], size)))
  return sides
end

---@param context bench.context
---@param scope fun(side: bench.side): bench.side
---@param threads integer connections at a time
return function(context, scope, threads)
  local sides = start(context, scope)
  local memory, finish = watch(sides)
  local results = rounds.run(sides, context.rounds, function(side, round)
    local count = context.enrollments
    if side.parts then
      return side:load(side.parts[round + 1], { count = count, threads = threads })
    end
    return side:load(side.requests, { count = count * NGINX_PER_ENROLLMENT, threads = threads })
  end)
  finish()
  local data, lines = tables.costs(sides, results)
  lines[#lines + 1] = ("  %-16s %-14s %6s %12s %12s %12s"):format("RSS/PSS in MiB", "process",
    "CPU us", "fresh", "loaded", "1,000 idle")
  for i, side in ipairs(sides) do
    local found, more = tables.processes(side, results[i], memory[i])
    data[side.name].processes = found
    table.move(more, 1, #more, #lines + 1, lines)
  end
  return data, lines
end
