-- What lest costs, measured in one run: see `spec/bench/run --help`.
package.path = "spec/?.lua;" .. package.path
local cjson = require "cjson"
local nginx = require "bench.nginx"
local process = require "support.process"
local processes = require "bench.processes"
local raw_server = require "support.raw_server"
local report = require "bench.report"
local server_module = require "support.server"

local WORKERS <const> = 2
local NGINX_PER_ENROLLMENT <const> = 2 -- cheaper ones, so more of them for the clock's ticks
local TOOLS <const> = "build/release/bench/"

-- What the tools take; more connections at a time than these are more than two cores can drive.
local MOST <const> = { rounds = 100, enrollments = 100000, connections = 64 }

local function parse_arguments(words)
  local options = { rounds = 5, enrollments = 1000, connections = 64, json = false }
  local i = 1
  while words[i] do
    local name = words[i]:match "^%-%-(%a+)$"
    if name == "json" then
      options.json = true
    elseif MOST[name] then
      i = i + 1
      local number = math.tointeger(tonumber(words[i]))
      if not number or number < 1 or number > MOST[name] then
        io.stderr:write(("spec/bench/run: --%s takes a number from 1 to %d\n"):format(name,
          MOST[name]))
        os.exit(2)
      end
      options[name] = number
    else
      io.stderr:write("spec/bench/run: '", words[i], "' is not understood (--help)\n")
      os.exit(2)
    end
    i = i + 1
  end
  return options
end

local function median(values)
  table.sort(values)
  return values[(#values + 1) // 2]
end

-- Roles of lest's processes, in the order of the report.
local function roles_of(pid)
  local roles = {}
  for _, each in ipairs(processes.tree(pid)) do
    local role = processes.command(each):match "%-%-role (%w+)" or "supervisor"
    table.insert(roles, { pid = each, role = role })
  end
  return roles
end

local function nginx_roles(pid)
  local roles = {}
  for i, each in ipairs(processes.tree(pid)) do
    table.insert(roles, { pid = each, role = i == 1 and "nginx master" or "nginx worker" })
  end
  return roles
end

local function cpu_of(roles)
  local spent, sum = {}, 0
  for i, each in ipairs(roles) do
    spent[i] = processes.cpu_s(each.pid)
    sum = sum + spent[i]
  end
  return spent, sum
end

--- Run load_bench against a server; CPU of each of its processes, in microseconds a request.
local function load_server(roles, port, connections, count, file)
  local before, sum_before = cpu_of(roles)
  local result = cjson.decode(process.must {
    TOOLS .. "load_bench", port, connections, count, file,
  })
  local after, sum_after = cpu_of(roles)
  if result.failed > 0 then error(("%d of %d requests failed"):format(result.failed, count), 0) end
  result.cpu_us = (sum_after - sum_before) * 1e6 / count
  result.each_us = {}
  for i in ipairs(roles) do result.each_us[i] = (after[i] - before[i]) * 1e6 / count end
  return result
end

local function memory_of(roles)
  local list = {}
  for i, each in ipairs(roles) do list[i] = processes.memory(each.pid) end
  return list
end

local function memory_with_connections(roles, port, file, folder)
  local out = folder .. "/idle.out"
  local pid = process.start({ TOOLS .. "load_bench", port, "idle", 1000, file }, out,
    folder .. "/idle.err")
  process.wait_for(function()
    assert(process.alive(pid), process.read(folder .. "/idle.err"))
    return process.read(out):find "ready"
  end, "1,000 connections", 30)
  local memory = memory_of(roles)
  process.kill(pid, "KILL")
  return memory
end

--- The requests of one round of a file made by prepare.lua.
local function split_requests(file, folder, rounds, count)
  local input <close> = assert(io.open(file, "rb"))
  local files = {}
  for round = 1, rounds do
    files[round] = ("%s/requests.%d"):format(folder, round)
    local output <close> = assert(io.open(files[round], "wb"))
    for _ = 1, count do
      local line = input:read "L"
      output:write(line, input:read(math.tointeger(tonumber(line))))
    end
  end
  return files
end

--- A port that was free a moment ago: nginx cannot be asked to take one.
local function free_port(dir)
  local held <close> = raw_server.start { cert = dir .. "/server.pem", key = dir .. "/server.key" }
  return held.port
end

local function configure(text)
  local count
  text, count = text:gsub("names = \"principal\",", "%0\n      per_minute = 1000000,")
  assert(count == 1, "the configuration of `lest ca init` has changed")
  return (text:gsub("listen = ", ("workers = %d,\n  %%0"):format(WORKERS), 1))
end

local function measure(server, options)
  local folder = server.folder
  local total = options.rounds * options.enrollments
  process.must { server_module.lest, "run", "spec/bench/prepare.lua", server.dir .. "/server.lua",
    total, folder .. "/requests" }
  local files = split_requests(folder .. "/requests", folder, options.rounds, options.enrollments)
  server:run()
  local lest = { roles = roles_of(server.pid), rounds = {} }
  lest.fresh = memory_of(lest.roles)
  local yardstick
  local ratios, rates, latencies = {}, {}, {}
  for round = 1, options.rounds do
    local mine = load_server(lest.roles, server.port, options.connections, options.enrollments,
      files[round])
    if not yardstick then
      yardstick = nginx.start { folder = folder, dir = server.dir, port = free_port(server.dir),
        workers = WORKERS, size = mine.body_bytes }
      server.nginx_pid = yardstick.pid
      yardstick.roles = nginx_roles(yardstick.pid)
      yardstick.fresh, yardstick.rounds = memory_of(yardstick.roles), {}
    end
    local other = load_server(yardstick.roles, yardstick.port, options.connections,
      options.enrollments * NGINX_PER_ENROLLMENT, yardstick.requests)
    lest.rounds[round], yardstick.rounds[round] = mine, other
    ratios[round] = mine.cpu_us / other.cpu_us
    rates[round], latencies[round] = mine.count / mine.seconds, mine.median_us
  end
  local get = "GET /.well-known/est/cacerts HTTP/1.1\r\nHost: localhost\r\n\r\n"
  process.write(folder .. "/cacerts", ("%d\n%s"):format(#get, get))
  for _, each in ipairs { lest, yardstick } do each.loaded = memory_of(each.roles) end
  lest.held = memory_with_connections(lest.roles, server.port, folder .. "/cacerts", folder)
  yardstick.held = memory_with_connections(yardstick.roles, yardstick.port, yardstick.requests,
    folder)
  local spread = { ratios[1], ratios[1] }
  for _, ratio in ipairs(ratios) do
    spread[1], spread[2] = math.min(spread[1], ratio), math.max(spread[2], ratio)
  end
  return {
    lest = lest, nginx = yardstick, ratio = median(ratios), spread = spread, rate = median(rates),
    latency_us = median(latencies),
  }
end

--- The medians over the rounds of each process, by name.
local function summarise(side)
  local list = {}
  for i, each in ipairs(side.roles) do
    local values = {}
    for round, result in ipairs(side.rounds) do values[round] = result.each_us[i] end
    list[i] = { role = each.role, cpu_us = median(values), fresh = side.fresh[i],
      loaded = side.loaded[i], held = side.held[i] }
  end
  local whole = {}
  for round, result in ipairs(side.rounds) do whole[round] = result.cpu_us end
  return { cpu_us = median(whole), processes = list }
end

local function stop(server)
  if server.nginx_pid then process.kill(server.nginx_pid) end
  server:stop()
end

local options = parse_arguments(arg)
local pki = cjson.decode(process.must { TOOLS .. "pki_bench" })
local server = server_module.make { config = configure }
local ok, result = xpcall(measure, debug.traceback, server, options)
stop(server)
if not ok then error(result, 0) end
report.print({
  options = options, pki = pki, lest = summarise(result.lest), nginx = summarise(result.nginx),
  ratio = result.ratio, spread = result.spread, enrollments_per_s = result.rate,
  latency_us = result.latency_us,
}, options.json)
