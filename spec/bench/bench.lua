-- What lest costs, measured in one run: see `spec/bench/run --help`.
package.path = "spec/?.lua;" .. package.path
local cjson = require "cjson"
local process = require "support.process"

-- What takes minutes or much disk runs by name only.
local ROWS <const> = {
  { "pki", "pki", "the PKI path of an enrollment against raw verify + sign" },
  { "enroll", "enroll", "enrollment against nginx, 64 connections; memory of each process", 64 },
  { "enroll-16", "enroll", "the same with 16 connections: fewer requests share a commit", 16 },
  { "tracing", "tracing", "enrollment by five rules; --against a build that notes less" },
  { "reenroll", "reenroll", "re-enrollment with mutual TLS against nginx with ssl_verify_client" },
  { "proofs", "proofs", "enrollment by a JSON Web Token and by Digest, against Basic" },
  { "cmc", "cmc", "enrollment by a message of CMC against the plain one" },
  { "ways", "ways", "enrollment by a pre-shared key, by SRP, with a server's key, against Basic" },
  { "public", "public", "what anybody may fetch over plain HTTP against nginx with such a file" },
  { "start", "start", "lest --version, run and enroll: time and memory, beside curl" },
  { "agent", "agent", "`lest agent` with 1, 100 and 10,000 identities (two minutes)",
    by_name = true },
  { "network", "network", "from a network's being there until an agent has renewed (root only)",
    by_name = true },
  { "crl", "crl", "a CRL of 100,000 entries: time and memory", by_name = true },
  { "fleet", "fleet", "1,000 devices in one `lest run`: client against server" },
  { "binding", "binding", "enrollment that is linked to its connection against one that is not" },
  { "latency", "latency", "p50 and p99 at 30 % and 70 % load, open loop, Poisson arrivals", 0 },
  { "idle", "latency", "the same at 70 % beside 10,000 idle TLS connections", 10000 },
  { "parked", "parked", "p99 of 50 enrollments a second beside a request that is parked",
    by_name = true },
  { "session", "session", "the same beside an operator in tmux, and what the terminal showed",
    by_name = true },
  { "attackers", "attackers", "p99 beside four strangers who cost what they can (two minutes)",
    by_name = true },
  { "replay", "replay", "100,000 recorded requests decided again (a minute)", 100000,
    by_name = true },
  { "scale", "scale", "enrollment with 10^6 in the ledger, beside an empty one (2.5 GB)", 1000000,
    by_name = true },
  { "scale-10m", "scale", "the same with 10^7 (25 GB, a quarter of an hour)", 10000000,
    by_name = true },
}

-- More are no better measured.
local MOST <const> = { rounds = 100, enrollments = 100000 }

local function usage()
  io.write [[
What lest costs: ratios measured in one run, in rounds in which all sides take turns. Installs
nothing (spec/setup test does).
  spec/bench/run [--json] [--rounds N] [--enrollments N] [--against BUILD_DIR] [ROW...]
--against: measure also another build of lest, which has its bin/lest there, beside this one
Rows (without a name: all but those marked *):
]]
  for _, row in ipairs(ROWS) do
    io.write(("  %s %-10s %s\n"):format(row.by_name and "*" or " ", row[1], row[3]))
  end
end

local function fail(...)
  io.stderr:write("spec/bench/run: ", string.format(...), "\n")
  os.exit(2)
end

local function row_named(name)
  for _, row in ipairs(ROWS) do
    if row[1] == name then return row end
  end
  fail("there is no row '%s' (--help)", name)
end

local function parse_arguments(words)
  local options = { rounds = 5, enrollments = 1000, rows = {} }
  local i = 1
  local function value()
    i = i + 1
    return words[i] or fail("%s takes a value", words[i - 1])
  end
  while words[i] do
    local name = words[i]:match "^%-%-(%a+)$"
    if name == "help" or words[i] == "-h" then
      usage()
      os.exit(0)
    elseif name == "json" then
      options.json = true
    elseif name == "against" then
      options.against = value()
    elseif MOST[name] then
      local number = math.tointeger(tonumber(value()))
      if not number or number < 1 or number > MOST[name] then
        fail("--%s takes a number from 1 to %d", name, MOST[name])
      end
      options[name] = number
    elseif words[i]:find "^%-" then
      fail("'%s' is not understood (--help)", words[i])
    else
      table.insert(options.rows, row_named(words[i]))
    end
    i = i + 1
  end
  if #options.rows == 0 then
    for _, row in ipairs(ROWS) do
      if not row.by_name then table.insert(options.rows, row) end
    end
  end
  return options
end

--- The builds that are measured: this one, and the one of --against.
local function builds_of(options)
  local builds = { { name = "lest", prefix = LEST_PREFIX } }
  if options.against then
    local prefix = process.must { "realpath", options.against }:gsub("\n", "")
    if not process.exists(prefix .. "/bin/lest") then fail("there is no %s/bin/lest", prefix) end
    builds[2] = { name = "against", prefix = prefix }
  end
  return builds
end

--- Run a row, and stop all servers that it has started.
local function measure(row, context)
  local sides = {}
  local function scope(side)
    table.insert(sides, side)
    return side
  end
  local run = require("bench.rows." .. row[2])
  local ok, data, lines = xpcall(run, debug.traceback, context, scope, row[4])
  for _, side in ipairs(sides) do side:stop() end
  if not ok then error(data, 0) end
  return data, lines
end

local options = parse_arguments(arg)
---@class bench.context
local context = { builds = builds_of(options), rounds = options.rounds,
  enrollments = options.enrollments }
local all = {}
for _, row in ipairs(options.rows) do
  if not options.json then
    print(("%s: %s"):format(row[1], row[3]))
    io.flush()
  end
  local data, lines = measure(row, context)
  all[row[1]] = data
  if not options.json then print(table.concat(lines, "\n") .. "\n") end
end
if options.json then print(cjson.encode(all)) end
