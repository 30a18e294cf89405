--- Row: p99 of an enrollment beside four strangers who send what costs most, as fast as it is
--- taken, and connect again when they are thrown out; against p99 without them.
local process = require "support.process"
local processes = require "bench.processes"
local rounds = require "bench.rounds"
local sides_module = require "bench.side"

local RATE <const>, THREADS <const> = 40, 64
local SECONDS <const> = { each = 15, all = 60 }

-- Kinds of spec/support/rawtls_flood.c, with the version of TLS.
local KINDS <const> = {
  { "request", "1.3" }, { "hello", "1.2" }, { "empty", "1.3" }, { "get", "1.3" },
}
local ATTACKS <const> = {
  { name = "idle", seconds = SECONDS.each },
  { name = "KeyUpdates", seconds = SECONDS.each, KINDS[1], KINDS[1], KINDS[1], KINDS[1] },
  { name = "hello heads", seconds = SECONDS.each, KINDS[2], KINDS[2], KINDS[2], KINDS[2] },
  { name = "empty records", seconds = SECONDS.each, KINDS[3], KINDS[3], KINDS[3], KINDS[3] },
  { name = "requests", seconds = SECONDS.each, KINDS[4], KINDS[4], KINDS[4], KINDS[4] },
  { name = "one of each", seconds = SECONDS.all, table.unpack(KINDS) },
}

--- Call back while these strangers are at it. They would have a machine of their own; here they
--- leave the CPU to others.
local function beside(side, attack, callback)
  local pids = {}
  for i, kind in ipairs(attack) do
    local out = ("%s/attacker-%d"):format(side.folder, i)
    pids[i] = process.start({ "nice", "-n", "19", process.lest, "run",
      "spec/bench/attacker.lua", side.port, kind[1], kind[2] }, out, out)
  end
  local ok, result = xpcall(callback, debug.traceback)
  for _, pid in ipairs(pids) do process.kill(pid, "KILL") end
  if not ok then error(result, 0) end
  return result
end

--- Whether the workers are still those that were started.
local function restarts(side)
  local gone = 0
  for _, each in ipairs(side.roles) do
    if not processes.command(each.pid):find "%-%-role" and each.role ~= "supervisor" then
      gone = gone + 1
    end
  end
  return gone
end

---@param context bench.context
---@param scope fun(side: bench.side): bench.side
return function(context, scope)
  local counts, data, lines = {}, {}, {}
  for i, attack in ipairs(ATTACKS) do counts[i] = attack.seconds * RATE end
  local sum = 0
  for _, count in ipairs(counts) do sum = sum + count end
  for _, build in ipairs(context.builds) do
    local side = scope(sides_module.lest(build, { requests = sum }))
    local parts, found = rounds.split(side.requests, counts), {}
    for i, attack in ipairs(ATTACKS) do
      local row = beside(side, attack, function()
        return side:load(parts[i], { count = counts[i], threads = THREADS, rate = RATE })
      end)
      local ratio = row.p99_us / (found[1] or row).p99_us
      found[i] = { name = attack.name, median_us = row.median_us, p99_us = row.p99_us,
        ratio = ratio, failed = row.failed, restarts = restarts(side) }
      lines[#lines + 1] = ("  %-10s %-14s p50 %6.1f ms  p99 %6.1f ms  %5.2f of idle, %d refused, "
        .. "%d processes gone"):format(build.name, attack.name, row.median_us / 1000,
        row.p99_us / 1000, ratio, row.failed, found[i].restarts)
    end
    data[build.name] = found
  end
  return data, lines
end
