--- Rows: an enrollment with a ledger that holds many already, beside an empty one.
local filler = require "bench.filler"
local rounds = require "bench.rounds"
local sides_module = require "bench.side"
local tables = require "bench.table"

local THREADS <const> = 64

--- A server of a build whose ledger has `held` enrollments more than it made itself.
local function start(build, context, scope, held)
  local side = scope(sides_module.make(build,
    { requests = context.rounds * context.enrollments + 1 }))
  side.name = held == 0 and build.name .. ", empty" or ("%s, %.0e"):format(build.name, held)
  side.parts = rounds.split(side.requests, rounds.counts(context.rounds, context.enrollments))
  side:run()
  -- The first enrollment is the pattern of the others.
  side.size = side:load(side.parts[1], { count = 1, threads = 1 }).body_bytes
  if held > 0 then
    side:halt()
    filler.fill(side.server:ledger(), held)
    side:run()
  end
  return side
end

---@param context bench.context
---@param scope fun(side: bench.side): bench.side
---@param held integer rows
return function(context, scope, held)
  local sides = {}
  for _, build in ipairs(context.builds) do
    for _, count in ipairs { 0, held } do
      table.insert(sides, start(build, context, scope, count))
    end
  end
  table.insert(sides, scope(sides_module.nginx(sides[1], sides[1].size)))
  local results = rounds.run(sides, context.rounds, function(side, round)
    local file = side.parts and side.parts[round + 1] or side.requests
    return side:load(file, { count = context.enrollments, threads = THREADS })
  end)
  local data, lines = tables.costs(sides, results)
  for i = 1, #sides - 1, 2 do
    local found = rounds.ratio(results[i + 1], results[i], "cpu_us")
    data[sides[i + 1].name].to_empty = found
    lines[#lines + 1] = ("  %s to %s: %.3f (%.3f to %.3f) of the CPU"):format(sides[i + 1].name,
      sides[i].name, found.ratio, found.least, found.most)
  end
  return data, lines
end
