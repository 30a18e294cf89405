-- `lest agent` where a network appears: what waits for one is tried within seconds.
local agent = require "support.agent"
local cjson = require "cjson"
local network = require "support.network"
local process = require "support.process"
local temporary = require "support.temporary"

local is_possible <const> = network.is_possible()

describe("lest agent, where a network appears", function()
  local here, there, server, it_is

  setup(function()
    if not is_possible then return end
    here, there = network.new(), network.new()
    network.connect(here, there)
    there:run "ip addr add 10.9.0.1/24 dev veth && ip link set veth up"
    server = agent.server { lest = there:wrap(process.lest), hosts = { "10.9.0.1" },
      listen = { "10.9.0.1:0" } }
    server.url = "https://10.9.0.1:" .. server.port
  end)
  teardown(function()
    if not is_possible then return end
    server:stop()
    here:close()
    there:close()
  end)
  local function up()
    here:run "ip link set veth up && ip addr add 10.9.0.2/24 dev veth"
  end

  local function down()
    here:run "ip link set veth down && ip addr flush dev veth"
  end

  after_each(function()
    if it_is then it_is:stop() end
    it_is = nil
    if is_possible then down() end
    temporary.clean()
  end)

  local function remember(edit)
    local memory = cjson.decode(process.read(it_is:state "state.json"))
    edit(memory)
    process.write(it_is:state "state.json", cjson.encode(memory))
  end

  local function wait_logged(event, count)
    return process.wait_for(function()
      local lines = process.logged(it_is:file "log", event)
      return #lines >= (count or 1) and lines
    end, event, 120)
  end

  it("renews within seconds, whatever it has waited for so far", function()
    if not is_possible then return pending "needs root, and networks of its own" end
    it_is = agent.new(server)
    it_is.environment = here:words {}
    up()
    assert.equal(0, it_is:once().code)
    local serial = it_is:cert().serial
    down()
    assert.equal(6, it_is:once("--renew").code)
    local now = os.time()
    remember(function(memory)
      assert.is_true(memory.retry.offline)
      -- As after two hours of it, and with hardly a hope to be tried again.
      memory.failures, memory.failing_since = 20, now - 7200
      memory.retry.at = now + 3000
    end)
    it_is:start()
    wait_logged "agent started"
    up()
    wait_logged "certificate stored"
    assert.equal(1, wait_logged("network appeared")[1].waiting)
    assert.not_equal(serial, it_is:cert().serial)
    assert.equal("ok", it_is:status().state)
  end)

  it("tries again at once where one appears during an attempt that fails", function()
    if not is_possible then return pending "needs root, and networks of its own" end
    it_is = agent.new(server)
    it_is.environment = here:words {}
    assert.equal(6, it_is:once().code)
    remember(function(memory)
      memory.failures, memory.retry.at = 20, memory.retry.set -- the next pause is up to an hour
    end)
    up()
    there:run "ip route add blackhole 10.9.0.2/32" -- its answers come nowhere
    it_is:start()
    wait_logged "agent started"
    here:run "ip addr add 10.9.1.2/24 dev veth"
    wait_logged "network appeared"
    wait_logged "attempt failed"
    there:run "ip route del blackhole 10.9.0.2/32"
    wait_logged "certificate stored"
  end)

  it("goes on without, where a sandbox lets it hear nothing", function()
    if not is_possible then return pending "needs root, and networks of its own" end
    it_is = agent.new(server)
    local inside = here:words {}
    it_is.environment = table.move(network.without_netlink {}, 1, 4, #inside + 1, inside)
    up()
    it_is:start()
    wait_logged "certificate stored"
    local lines = wait_logged "network not watched"
    assert.equal(1, #lines)
    assert.matches("Address family not supported", lines[1].message)
  end)
end)
