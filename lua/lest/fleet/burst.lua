--- The plain load: devices that enroll and renew in real time, so many at once or so many a
--- second, and what that takes. Each does all that lest agent does, so that this process is the
--- bound sooner than a server is; what a server can do at most, spec/bench measures.
local all = require "lest.all"
local core = require "lest.core"
local engines = require "lest.fleet.engine"
local fail = require "lest.base.fail"
local servers = require "lest.fleet.server"
local simulations = require "lest.fleet.simulation"
local tallies = require "lest.fleet.tally"
local task = require "lest.task"

local M = {}

local SECRETS_MAX <const> = 16 * 1024 * 1024

local function secrets_of(fleet, server)
  if server then return server:credentials(simulations.names(fleet)) end
  local text, err = core.file.read(fleet.secrets, SECRETS_MAX)
  if not text then return nil, err end
  local secrets = {}
  for name, secret in text:gmatch "(%S+)[ \t]+(%S+)" do secrets[name] = secret end
  for _, name in ipairs(simulations.names(fleet)) do
    if not secrets[name] then
      return fail("usage", ("%s: has no secret for %s"):format(fleet.secrets, name))
    end
  end
  return secrets
end

-- One step of each device; a latency begins when it was to begin, so that it has the time in which
-- nobody was free.
local function measure(fleet, list, forced, tell)
  local due_us, began_us, done, sorted, failed = {}, core.clock.monotonic_us(), 0, {}, 0
  local at_us = began_us
  for i = 1, #list do
    -- Arrivals that know nothing of each other (a Poisson process).
    if fleet.load.rate then at_us = at_us - math.log(1 - math.random()) * 1e6 / fleet.load.rate end
    due_us[i] = at_us // 1
  end
  all(list, { limit = fleet.concurrency, each = function(device, i)
    local wait_us = due_us[i] - core.clock.monotonic_us()
    if wait_us > 0 then task.sleep(wait_us / 1e6) end
    local from_us = fleet.load.rate and due_us[i] or core.clock.monotonic_us()
    device.identity:step(forced)
    local problem = device.identity.memory.error
    failed = failed + (problem and 1 or 0)
    if problem then device.tally:failed_with(problem.code) end
    if not problem then sorted[#sorted + 1] = core.clock.monotonic_us() - from_us end
    done = done + 1
    tell(done / #list)
    return true
  end })
  table.sort(sorted)
  local seconds = (core.clock.monotonic_us() - began_us) / 1e6
  local function at(percent) return tallies.percentile(sorted, percent) / 1000 end
  return { count = #sorted, failed = failed, seconds = seconds, rate = #sorted / seconds,
    latency_ms = { p50 = at(50), p95 = at(95), p99 = at(99), max = at(100) } }
end

local function run(fleet, server, tell)
  local secrets, err = secrets_of(fleet, server)
  if not secrets then return nil, err end
  local now = engines.now()
  local tally = tallies.new(now, now + 3600)
  local list = simulations.devices(fleet, { url = server and server.url or fleet.url,
    secrets = secrets, tally = tally,
    trust = fleet.trust or server and server.folder .. "/ca.pem" })
  local rounds = {}
  for round = 0, fleet.load.renewals do
    local name = round == 0 and "enroll" or "renew"
    local own_s, server_s = core.clock.cpu_us() / 1e6, server and server:cpu()
    local result = measure(fleet, list, round > 0 and "renew" or nil, function(share)
      tell(name, share)
    end)
    result.name, result.cpu_s = name, core.clock.cpu_us() / 1e6 - own_s
    result.server_cpu_s = server and server:cpu() - server_s
    rounds[#rounds + 1] = result
  end
  return { rounds = rounds, errors = tally.errors, devices = #list }
end

--- Put the load on.
---@param fleet table of lest.fleet.load
---@param tell fun(name: string, share: number)
---@return table? figures
---@return lest.error? err
function M.run(fleet, tell)
  math.randomseed(fleet.seed)
  if fleet.url then return run(fleet, nil, tell) end
  local ok, err = core.folder.ensure(fleet.out, 493) -- 0755
  if not ok then return nil, err end
  local config = fleet.server
  if not config then config, err = servers.make(fleet.out) end
  if not config then return nil, err end
  local server = servers.new(config, { log = fleet.out .. "/server.log", start = fleet.start })
  ok, err = server:start()
  if not ok then return nil, err end
  local figures
  figures, err = run(fleet, server, tell)
  server:stop()
  return figures, err
end

--- The figures in lines for people.
---@param figures table
---@return string[][] rows
function M.rows(figures)
  local rows = { { "ROUND", "CERTIFICATES", "FAILED", "SECONDS", "A SECOND", "P50 MS", "P95 MS",
    "P99 MS", "MAX MS", "CPU S", "SERVER'S CPU S" } }
  for i, each in ipairs(figures.rounds) do
    local latency = each.latency_ms
    rows[i + 1] = { each.name, tostring(each.count), tostring(each.failed),
      ("%.1f"):format(each.seconds), ("%.1f"):format(each.rate), ("%.1f"):format(latency.p50),
      ("%.1f"):format(latency.p95), ("%.1f"):format(latency.p99), ("%.1f"):format(latency.max),
      ("%.1f"):format(each.cpu_s),
      each.server_cpu_s and ("%.1f"):format(each.server_cpu_s) or "" }
  end
  return rows
end

return M
