--- Rounds in which all sides take turns, and their medians: what else the machine does meanwhile
--- hits all of them.
local M = {}

---@param values number[]
---@return number
function M.median(values)
  local sorted = table.move(values, 1, #values, 1, {})
  table.sort(sorted)
  return sorted[(#sorted + 1) // 2]
end

--- Measure each side once a round, in an order that turns with the rounds.
---@generic T
---@param sides bench.side[]
---@param count integer of rounds
---@param measure fun(side: bench.side, round: integer): T
---@return T[][] results by side, then by round
function M.run(sides, count, measure)
  local results = {}
  for i in ipairs(sides) do results[i] = {} end
  for round = 1, count do
    for turn = 1, #sides do
      local i = (turn + round - 2) % #sides + 1
      results[i][round] = measure(sides[i], round)
    end
  end
  return results
end

--- The median of a number over the rounds of a side.
---@param results table[]
---@param field string
---@return number
function M.of(results, field)
  local values = {}
  for i, result in ipairs(results) do values[i] = result[field] end
  return M.median(values)
end

--- A side's number against another's in the same rounds: median, least and most.
---@param results table[]
---@param yardstick table[]
---@param field string
---@return { ratio: number, least: number, most: number }
function M.ratio(results, yardstick, field)
  local values = {}
  for i, result in ipairs(results) do values[i] = result[field] / yardstick[i][field] end
  return { ratio = M.median(values), least = math.min(table.unpack(values)),
    most = math.max(table.unpack(values)) }
end

--- Parts of a file of load_bench, with so many requests in each.
---@param file string
---@param counts integer[]
---@param records? integer of the file that belong to a request (default 1)
---@return string[] files
function M.split(file, counts, records)
  local input <close> = assert(io.open(file, "rb"))
  local files = {}
  for part, count in ipairs(counts) do
    files[part] = ("%s.%d"):format(file, part)
    local output <close> = assert(io.open(files[part], "wb"))
    for _ = 1, count * (records or 1) do
      local line = assert(input:read "L", "there are too few requests")
      output:write(line, input:read(math.tointeger(tonumber(line))))
    end
  end
  return files
end

--- `count` rounds of `each` requests, and one request before them.
---@return integer[]
function M.counts(count, each)
  local counts = { 1 }
  for round = 1, count do counts[round + 1] = each end
  return counts
end

return M
