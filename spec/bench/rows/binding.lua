--- Row: an enrollment whose CSR is linked to its connection against one that is not, each from a
--- `lest run` of so many devices in turn: the client's and the server's CPU.
local cjson = require "cjson"
local process = require "support.process"
local rounds = require "bench.rounds"
local sides_module = require "bench.side"

local DEVICES <const>, LIMIT <const> = 100, 50
local TOOL <const> = LEST_PREFIX .. "/bench/start_bench"

--- One round: so many devices, of the secrets that stand in a file.
local function measure(side, how, file)
  local _, before = side:cpu_s()
  local found = cjson.decode(process.must { TOOL, 1, side.server.lest, "run",
    "spec/bench/devices.lua", side.server.url, side.dir .. "/ca.pem", file, LIMIT, "", how })[1]
  local _, after = side:cpu_s()
  return { client_us = found.cpu_ms * 1000 / DEVICES, server_us = (after - before) * 1e6 / DEVICES }
end

--- The secrets of a side as files of so many devices each.
local function files_of(side, count)
  local files, lines = {}, io.lines(side.requests .. ".secrets")
  for i = 1, count do
    local part = {}
    for n = 1, DEVICES do part[n] = assert(lines()) end
    files[i] = ("%s/devices.%d"):format(side.folder, i)
    process.write(files[i], table.concat(part, "\n") .. "\n")
  end
  return files
end

---@param context bench.context
---@param scope fun(side: bench.side): bench.side
return function(context, scope)
  local data, lines = {}, {}
  for _, build in ipairs(context.builds) do
    local count = 2 * (context.rounds + 1)
    local side = scope(sides_module.lest(build, { requests = count * DEVICES + 1 }))
    local files, ways = files_of(side, count), { { how = "linked" }, { how = "free" } }
    local results = rounds.run(ways, context.rounds, function(way)
      return measure(side, way.how, table.remove(files))
    end)
    local row = {}
    for i, way in ipairs(ways) do
      for _, field in ipairs { "client_us", "server_us" } do
        row[way.how .. "_" .. field] = rounds.of(results[i], field)
      end
      lines[#lines + 1] = ("  %-10s %-7s %7.0f us of CPU of the client, %7.0f us of the server")
        :format(build.name, way.how, row[way.how .. "_client_us"], row[way.how .. "_server_us"])
    end
    for _, field in ipairs { "client_us", "server_us" } do
      local found = rounds.ratio(results[1], results[2], field)
      row[field] = found
      lines[#lines + 1] = ("  linked / free, %s: %.3f (%.3f to %.3f)"):format(field, found.ratio,
        found.least, found.most)
    end
    data[build.name] = row
  end
  return data, lines
end
