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
    local side = scope(sides_module.lest(build, { requests = DEVICES }))
    local empty = side.folder .. "/empty"
    process.write(empty, "")
    local script = { side.server.lest, "run", "spec/bench/devices.lua", side.server.url,
      side.dir .. "/ca.pem" }
    local function measure(secrets)
      local words = { TOOL, 1, table.unpack(script) }
      table.move({ secrets, LIMIT }, 1, 2, #words + 1, words)
      return cjson.decode(process.must(words))[1]
    end
    -- The same script without a device: what a device adds to.
    local nothing = measure(empty)
    local _, before = side:cpu_s()
    local found = measure(side.requests .. ".secrets")
    local _, after = side:cpu_s()
    local row = {
      client_us = (found.cpu_ms - nothing.cpu_ms) * 1000 / DEVICES,
      server_us = (after - before) * 1e6 / DEVICES, per_s = DEVICES / found.wall_ms * 1000,
      peak_kib = found.peak_kib, kib_each = (found.peak_kib - nothing.peak_kib) / LIMIT,
    }
    data[build.name] = row
    table.insert(lines, ("  %-10s %10.0f %10.0f %10.2f %9.0f %9.1f %14.0f"):format(build.name,
      row.client_us, row.server_us, row.client_us / row.server_us, row.per_s, row.peak_kib / 1024,
      row.kib_each))
  end
  return data, lines
end
