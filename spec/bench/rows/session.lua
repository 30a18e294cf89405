--- Row: what an operator at a terminal does to others. In tmux one request is parked and stepped
--- through, by hands that take their time, while 50 enrollments a second come, open loop, Poisson
--- arrivals; against the same with nobody there. What the terminal showed is in the report:
--- docs/live.md has one.
local process = require "support.process"
local rounds = require "bench.rounds"
local server_module = require "support.server"
local sides_module = require "bench.side"

local RATE <const>, SECONDS <const>, THREADS <const> = 50, 12, 64

-- What is typed, at which prompt, a second after what was before.
local TYPED <const> = { { "attached", 'break_at { principal = "parked" }' },
  { "parked", "request.csr.subject" }, { "parked", "step()" }, { "parked", "step()" },
  { "parked", "#ledger \"request\" { limit = 5 }" }, { "parked", "step()" },
  { "parked", "step()" }, { "parked", "verdict.verdict" }, { "parked", "resume()" } }

--- Start an operator; returns what waits until he has done all, and gives what he saw.
local function start_operator(side)
  local server, folder = side.server, side.folder
  local typist = { "spec/support/typist", folder .. "/terminal" }
  local function line(...) return process.line { typist[1], typist[2], ... } end
  local ask = process.line { "curl", "-sS", "--cacert", server.root, "--user",
    "parked:" .. side:credential "parked", "-H", "Content-Type: application/pkcs10",
    "--data-binary", server_module.request "parked", "-o", folder .. "/answer",
    server.url .. "/.well-known/est/simpleenroll" }
  local lines = { "set -e", line("open", process.line { server.lest, "repl", "--attach",
    server.dir .. "/server.lua" }) }
  for i, typed in ipairs(TYPED) do
    table.insert(lines, line("type", typed[1], typed[2]))
    table.insert(lines, (i == 1 and ask .. " & " or "") .. "sleep 1")
  end
  table.insert(lines, line("show", "attached"))
  table.insert(lines, line "close")
  local shown, err = folder .. "/shown", folder .. "/typist.err"
  local pid = process.start({ "sh", "-c", table.concat(lines, "\n") }, shown, err)
  return function()
    process.wait_for(function() return not process.alive(pid) end, "the operator", 30)
    local text = process.read(shown)
    assert(text:find "decided: [^\n]*approve", process.read(err) .. text)
    return text
  end
end

---@param context bench.context
---@param scope fun(side: bench.side): bench.side
return function(context, scope)
  local each, names = RATE * SECONDS, { "nobody", "an operator" }
  local counts = { RATE }
  for _ = 1, 2 * context.rounds do table.insert(counts, each) end
  local side = scope(sides_module.lest(context.builds[1],
    { requests = RATE + 2 * context.rounds * each }))
  local parts, results, shown = rounds.split(side.requests, counts), { {}, {} }, nil
  local function load(part, count)
    return side:load(parts[part], { count = count, threads = THREADS, rate = RATE })
  end
  load(1, RATE)
  for round = 1, context.rounds do
    results[1][round] = load(2 * round, each)
    local finish = start_operator(side)
    results[2][round] = load(2 * round + 1, each)
    shown = finish()
  end
  local data, lines = {}, {}
  for i, name in ipairs(names) do
    local failed = 0
    for _, result in ipairs(results[i]) do failed = failed + result.failed end
    local ratio = rounds.ratio(results[i], results[1], "p99_us")
    data[i] = { name = name, median_us = rounds.of(results[i], "median_us"),
      p99_us = rounds.of(results[i], "p99_us"), failed = failed, ratio = ratio }
    lines[i] = ("  %-12s p50 %6.1f ms  p99 %6.1f ms  %5.2f of nobody's (%.2f to %.2f), %d refused")
      :format(name, data[i].median_us / 1000, data[i].p99_us / 1000, ratio.ratio, ratio.least,
      ratio.most, failed)
  end
  data.shown = shown
  for text in shown:gmatch "[^\n]+" do table.insert(lines, "    " .. text) end
  return data, lines
end
