--- Row: 1,000 devices from one `lest run`: the client's CPU a device against the server's, and its
--- memory for each device that is under way.
local cjson = require "cjson"
local process = require "support.process"
local sides_module = require "bench.side"

local DEVICES <const>, LIMIT <const> = 1000, 100
local TOOL <const> = LEST_PREFIX .. "/bench/start_bench"

---@param context bench.context
---@param scope fun(side: bench.side): bench.side
return function(context, scope)
  local data = {}
  local lines = { ("  %-10s %10s %10s %10s %9s %9s %14s"):format("", "client us", "server us",
    "client/srv", "a second", "peak MiB", "KiB each (100)") }
  for _, build in ipairs(context.builds) do
    local side = scope(sides_module.lest(build, { requests = DEVICES + 1 }))
    local secrets, one, others = process.read(side.requests .. ".secrets"), side.folder .. "/one",
      side.folder .. "/others"
    local first = secrets:match "^[^\n]*\n"
    process.write(one, first)
    process.write(others, secrets:sub(#first + 1))
    local script = { side.server.lest, "run", "spec/bench/devices.lua", side.server.url,
      side.dir .. "/ca.pem" }
    local function measure(file)
      local words = { TOOL, 1, table.unpack(script) }
      table.move({ file, LIMIT }, 1, 2, #words + 1, words)
      return cjson.decode(process.must(words))[1]
    end
    -- One device needs libcurl, too, and all that TLS loads: the others add to that.
    local single = measure(one)
    local _, before = side:cpu_s()
    local found = measure(others)
    local _, after = side:cpu_s()
    local row = {
      client_us = (found.cpu_ms - single.cpu_ms) * 1000 / (DEVICES - 1),
      server_us = (after - before) * 1e6 / DEVICES, per_s = DEVICES / found.wall_ms * 1000,
      peak_kib = found.peak_kib, kib_each = (found.peak_kib - single.peak_kib) / (LIMIT - 1),
    }
    data[build.name] = row
    table.insert(lines, ("  %-10s %10.0f %10.0f %10.2f %9.0f %9.1f %14.0f"):format(build.name,
      row.client_us, row.server_us, row.client_us / row.server_us, row.per_s, row.peak_kib / 1024,
      row.kib_each))
  end
  return data, lines
end
