-- What the kernel says of routes, in a network of this spec's own, and what nobody else can say.
local network = require "support.network"
local process = require "support.process"
local temporary = require "support.temporary"

-- A line for each hint; at SIGUSR2 one once all that came before has been read.
local WATCH <const> = [[
  local core = require "lest.core"
  io.stdout:setvbuf "line"
  local watch = assert(core.loop.routes(function() print "news" end))
  local stop <close> = core.loop.signal(10, function()
    watch:close()
    print "closed"
  end)
  local is_marked
  local mark <close> = core.loop.signal(12, function() is_marked = true end)
  print "watches"
  while core.loop.turn() do
    if is_marked then print "mark" end
    is_marked = false
  end
]]

-- A message to the socket of a process, as only root can send one: bytes in hexadecimal.
local FORGE <const> = [[
  my ($pid, $bytes) = @ARGV;
  socket(my $socket, 16, 3, 0) or die $!;
  send($socket, pack("H*", $bytes), 0, pack("SSLL", 16, 0, $pid, 0)) or die $!;]]

-- RTM_NEWROUTE, 28 bytes, a unicast route of the main table.
local ROUTE <const> = "1c000000180000000000000000000000" .. "02180000fe03000100000000"

describe("core.loop.routes", function()
  local net, file, pid

  before_each(function()
    if not network.is_possible() then return end
    net, file = network.new(), temporary.folder()
    net:run "ip link add veth type veth peer name other"
    pid = process.start(net:words { process.lest, "run",
      temporary.file(file, "watch.lua", WATCH) }, file .. "/out", file .. "/err")
    process.wait_for(function() return process.read(file .. "/out"):find "watches" end, "watching",
      60)
  end)
  after_each(function()
    if net then
      process.kill(pid, "KILL")
      net:close()
    end
    net = nil
    temporary.clean()
  end)

  local function count(word)
    return select(2, process.read(file .. "/out"):gsub(word .. "\n", ""))
  end

  --- Whether this brings news.
  local function is_news(act)
    local marks, news = count "mark", count "news"
    act()
    process.kill(pid, "USR2")
    process.wait_for(function() return count "mark" > marks end, "a mark", 60)
    return count "news" > news
  end

  local function net_does(command)
    return is_news(function() net:run(command) end)
  end

  it("calls back for routes and addresses beyond this machine, for nothing that goes", function()
    if not net then return pending "needs root, and networks of its own" end
    assert.is_false(net_does "ip addr add 127.0.0.5/32 dev lo")
    net:run "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"
    net:run "ip link set other up && ip link set veth up"
    assert.is_true(net_does "ip addr add 10.9.0.1/24 dev veth")
    assert.is_true(net_does "ip route add default via 10.9.0.2")
    assert.is_false(net_does "ip route del default")
    assert.is_true(net_does "ip addr add 10.9.0.7/32 dev veth")
    assert.is_false(net_does "ip addr del 10.9.0.7/32 dev veth")
    assert.is_true(process.alive(pid))
  end)

  it("believes the kernel alone", function()
    if not net then return pending "needs root, and networks of its own" end
    for _, bytes in ipairs { ROUTE, "ffffffff18", "00" } do
      assert.is_false(is_news(function()
        net:run(process.line { "perl", "-e", FORGE, tostring(pid), bytes })
      end), bytes)
    end
  end)

  it("takes what the kernel could not keep for news", function()
    if not net then return pending "needs root, and networks of its own" end
    net:run "ip link set other up && ip link set veth up && ip addr add 10.9.0.1/24 dev veth"
    local batch = {}
    for i = 0, 20000 do
      batch[#batch + 1] = ("route add blackhole 10.%d.%d.0/24"):format(100 + i // 256, i % 256)
    end
    temporary.file(file, "batch", table.concat(batch, "\n") .. "\n")
    process.kill(pid, "STOP")
    net:run("ip -batch " .. file .. "/batch")
    assert.is_true(is_news(function() process.kill(pid, "CONT") end))
    assert.is_true(process.alive(pid))
  end)

  it("says nothing more once it is closed", function()
    if not net then return pending "needs root, and networks of its own" end
    net:run "ip link set other up && ip link set veth up"
    assert.is_true(net_does "ip addr add 10.9.0.1/24 dev veth")
    process.kill(pid, "USR1")
    process.wait_for(function() return count "closed" == 1 end, "the end of the watch", 60)
    assert.is_false(net_does "ip addr add 10.9.1.1/24 dev veth")
  end)

  it("is refused with a reason where a sandbox has no netlink", function()
    local code, out = process.run(network.without_netlink { process.lest, "run",
      temporary.file(temporary.folder(), "refused.lua", [[
        local watch, err = require("lest.core").loop.routes(print)
        print(watch, err.code, err)]]) })
    assert.equal(0, code)
    assert.matches("^nil\tunavailable\t.*when a route appears: Address family not supported", out)
  end)
end)
