--- Row: latency of 50 enrollments a second, open loop, Poisson arrivals, while an operator has a
--- request parked (`lest repl --attach`), and while a statement of theirs runs on and on; against
--- the same with nobody attached.
local process = require "support.process"
local rounds = require "bench.rounds"
local server_module = require "support.server"
local sides_module = require "bench.side"

local RATE <const>, SECONDS <const>, THREADS <const> = 50, 10, 64

local BUSY <const> = "while true do pcall(function() for _ = 1, 1000 do end end) end\n"

--- Attach, have one request parked, and type this besides; calls back meanwhile.
local function beside(side, typed, callback)
  local server = side.server
  local shown = side.folder .. "/attached"
  process.write(shown, "")
  local prompt <close> = assert(io.popen(process.line { server.lest, "repl", "--attach",
    server.dir .. "/server.lua", { raw = "> " .. process.quote(shown) .. " 2>&1" } }, "w"))
  prompt:setvbuf "no"
  prompt:write 'break_at { principal = "parked" }\nwait(40)\n'
  local secret = side:credential "parked"
  local pid = process.start({ "curl", "-sS", "--cacert", server.root, "--user",
    "parked:" .. secret, "-H", "Content-Type: application/pkcs10",
    "--data-binary", server_module.request "parked",
    server.url .. "/.well-known/est/simpleenroll" }, side.folder .. "/curl",
    side.folder .. "/curl.err")
  local function is_parked() return process.read(shown):find "parked in worker" end
  process.wait_for(is_parked, "a parked request", 30)
  prompt:write(typed)
  local ok, result = xpcall(callback, debug.traceback)
  -- It is still there, and no statement was in its way.
  local is_held = process.alive(pid) and not process.read(shown):find "decided"
  process.kill(pid, "KILL")
  if not ok then error(result, 0) end
  assert(is_held, "the request did not stay parked")
  return result
end

local KINDS <const> = {
  { name = "nobody", run = function(_, callback) return callback() end },
  { name = "one is parked", run = function(side, callback)
    return beside(side, "", callback)
  end },
  { name = "and one types", run = function(side, callback)
    return beside(side, BUSY:rep(SECONDS), callback)
  end },
}

---@param context bench.context
---@param scope fun(side: bench.side): bench.side
return function(context, scope)
  local each, data, lines = RATE * SECONDS, {}, {}
  local counts = {}
  for i = 1, context.rounds * #KINDS do counts[i] = each end
  local side = scope(sides_module.lest(context.builds[1], { requests = #counts * each }))
  local parts, results = rounds.split(side.requests, counts), {}
  for i in ipairs(KINDS) do results[i] = {} end
  for round = 1, context.rounds do
    for i, kind in ipairs(KINDS) do
      results[i][round] = kind.run(side, function()
        return side:load(parts[(round - 1) * #KINDS + i],
          { count = each, threads = THREADS, rate = RATE })
      end)
    end
  end
  for i, kind in ipairs(KINDS) do
    local failed = 0
    for _, result in ipairs(results[i]) do failed = failed + result.failed end
    data[i] = { name = kind.name, median_us = rounds.of(results[i], "median_us"),
      p99_us = rounds.of(results[i], "p99_us"), failed = failed,
      ratio = rounds.ratio(results[i], results[1], "p99_us") }
    lines[i] = ("  %-14s p50 %6.1f ms  p99 %6.1f ms  %5.2f of nobody's (%.2f to %.2f), %d refused")
      :format(kind.name, data[i].median_us / 1000, data[i].p99_us / 1000, data[i].ratio.ratio,
      data[i].ratio.least, data[i].ratio.most, failed)
  end
  return data, lines
end
