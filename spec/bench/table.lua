--- Lines that show what sides cost beside each other.
local rounds = require "bench.rounds"

local M = {}

--- CPU a request against the last side (nginx), rate and latency; data for JSON and lines.
---@param sides bench.side[]
---@param results table[][] of rounds.run()
---@return table data
---@return string[] lines
function M.costs(sides, results)
  local data = {}
  local lines = { ("  %-16s %8s %22s %9s %8s %8s"):format("", "CPU us", "ratio to nginx",
    "a second", "p50 ms", "p99 ms") }
  local nginx = results[#sides]
  for i, side in ipairs(sides) do
    local mine, ratio = results[i], rounds.ratio(results[i], nginx, "cpu_us")
    local row = { cpu_us = rounds.of(mine, "cpu_us"), to_nginx = ratio,
      per_s = rounds.of(mine, "per_s"), p50_us = rounds.of(mine, "median_us"),
      p99_us = rounds.of(mine, "p99_us") }
    data[side.name] = row
    lines[#lines + 1] = ("  %-16s %8.0f %6.2f (%5.2f to %5.2f) %9.0f %8.1f %8.1f"):format(side.name,
      row.cpu_us, ratio.ratio, ratio.least, ratio.most, row.per_s, row.p50_us / 1000,
      row.p99_us / 1000)
  end
  -- With --against: the same work by both builds, round by round.
  if sides[2].name == "against" then
    local found = rounds.ratio(results[1], results[2], "cpu_us")
    data.against = found
    lines[#lines + 1] = ("  %s to %s: %.3f (%.3f to %.3f) of the CPU"):format(sides[1].name,
      sides[2].name, found.ratio, found.least, found.most)
  end
  return data, lines
end

local function mib(memory, kind)
  local value = memory[kind]
  return value and ("%.1f"):format(value / 1024) or "-"
end

--- CPU and memory of each process of a side.
---@param side bench.side
---@param results table[] by round
---@param memory { fresh: table[], loaded: table[], idle: table[] }
function M.processes(side, results, memory)
  local data, lines = {}, {}
  for i, each in ipairs(side.roles) do
    local spent = {}
    for round, result in ipairs(results) do spent[round] = result.each_us[i] end
    data[i] = { role = each.role, cpu_us = rounds.median(spent) }
    local words = {}
    for k, when in ipairs { "fresh", "loaded", "idle" } do
      local found = memory[when][i]
      data[i][when], words[k] = found, mib(found, "rss") .. "/" .. mib(found, "pss")
    end
    lines[i] = ("  %-16s %-14s %6.0f %12s %12s %12s"):format(side.name, each.role, data[i].cpu_us,
      table.unpack(words))
  end
  return data, lines
end

return M
