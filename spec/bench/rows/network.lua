--- Row: how long it takes `lest agent` from an address on its network until it has renewed, after
--- hours without one. In networks of its own; root only.
local agent_module = require "support.agent"
local cjson = require "cjson"
local core = require "lest.core"
local network = require "support.network"
local process = require "support.process"

local HERE <const>, THERE <const> = "10.9.0.2/24", "10.9.0.1"
local WITHOUT_S <const> = 7200

local function remember(agent)
  local path <const> = agent:state "state.json"
  local memory, now = cjson.decode(process.read(path)), os.time()
  memory.failures, memory.failing_since = 20, now - WITHOUT_S
  memory.retry.at = now + 3000
  process.write(path, cjson.encode(memory))
end

local function logged(agent, event)
  process.wait_for(function() return #process.logged(agent:file "log", event) > 0 end, event, 120)
end

--- Seconds from an address until the new certificate is in use.
local function once(here, agent)
  here:run "ip link set veth down && ip addr flush dev veth"
  assert(agent:once("--renew").code == 6, "it renews without a network")
  remember(agent)
  os.remove(agent:file "log")
  local before = agent:cert().serial
  local pid = agent:start()
  logged(agent, "agent started")
  local start_ms = core.clock.monotonic_ms()
  here:run("ip link set veth up && ip addr add " .. HERE .. " dev veth")
  process.wait_for(function() return agent:cert().serial ~= before end, "a renewal", 120)
  local took_ms = core.clock.monotonic_ms() - start_ms
  process.kill(pid, "TERM")
  process.wait_for(function() return not process.alive(pid) end, "the agent's end", 60)
  return took_ms / 1000
end

---@param context bench.context
---@param scope fun(side: { stop: function })
return function(context, scope)
  assert(network.is_possible(), "needs root, and networks of its own")
  local here, there = network.new(), network.new()
  scope { stop = function()
    here:close()
    there:close()
  end }
  network.connect(here, there)
  there:run("ip addr add " .. THERE .. "/24 dev veth && ip link set veth up")
  local server = scope(agent_module.server { lest = there:wrap(process.lest), hosts = { THERE },
    listen = { THERE .. ":0" } })
  server.url = ("https://%s:%d"):format(THERE, server.port)
  local agent = agent_module.new(server)
  agent.environment = here:words {}
  here:run("ip link set veth up && ip addr add " .. HERE .. " dev veth")
  assert(agent:once().code == 0, "it gets no certificate")
  local seconds = {}
  for i = 1, context.rounds do seconds[i] = once(here, agent) end
  local sorted = table.move(seconds, 1, #seconds, 1, {})
  table.sort(sorted)
  local data = { seconds = seconds, least = sorted[1], median = sorted[(#sorted + 1) // 2],
    most = sorted[#sorted] }
  return data, { ("  %d times: %.1f s, %.1f to %.1f s"):format(#seconds, data.median, data.least,
    data.most) }
end
