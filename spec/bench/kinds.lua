--- Several kinds of one thing at one server, in rounds, each as a ratio to the first.
local rounds = require "bench.rounds"

local M = {}

---@param names string[] the first is the yardstick
---@param count integer of rounds
---@param measure fun(name: string): { cpu_us: number }
---@return table<string, table> data
---@return string[] lines
function M.compare(names, count, measure)
  local kinds = {}
  for i, name in ipairs(names) do kinds[i] = { name = name } end
  local results = rounds.run(kinds, count, function(kind) return measure(kind.name) end)
  local data, lines = {}, {}
  for i, name in ipairs(names) do
    local found = rounds.ratio(results[i], results[1], "cpu_us")
    found.cpu_us = rounds.of(results[i], "cpu_us")
    data[name] = found
    lines[i] = ("  %-12s %7.0f us of CPU an enrollment, %6.3f of %s (%.3f to %.3f)"):format(name,
      found.cpu_us, found.ratio, names[1], found.least, found.most)
  end
  return data, lines
end

return M
