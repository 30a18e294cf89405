-- "Behind a balancer" of OPERATING.md: its configurations of HAProxy and of nginx, between clients
-- and two servers, which know each client by its own address.
local process = require "support.process"
local s_client = require "support.s_client"
local support = require "support.server"

-- Each balancer has clients of its own, at 127.0.N.0/24.
local POLICY <const> = [[
local policy = require "lest.policy"
return {
  enroll = policy.first {
    policy.when(policy.address { "127.0.1.2", "127.0.2.2", "127.0.3.2", "127.0.4.2" },
      policy.own_name()),
    policy.reject "not from there",
  },
}
]]

-- Balancers connect from 127.0.0.1.
local LISTEN <const> = { "127.0.0.1:0,proxy=127.0.0.1", "127.0.0.4:0,psk,proxy=127.0.0.1" }
local HAPROXY <const> = "/usr/sbin/haproxy"
local STREAM <const> = "/usr/lib/nginx/modules/ngx_stream_module.so"

local function edit(text)
  return (text:gsub("labels = {", 'listen_http = { { address = "127.0.0.3:0", proxy = '
    .. '"127.0.0.1" }, "127.0.0.2:0" }, shutdown_delay = "1h", workers = 1, limits = { '
    .. "connections_per_address = 8, address_failures_per_minute = 3 },\n  %0", 1))
end

--- The configuration of the guide that begins so, with these servers.
local function from_guide(start, servers)
  local guide = process.read "OPERATING.md":match "\n## Behind a balancer\n(.-)\n## "
  local text = assert(guide:match("\n```\n(" .. start .. "[^`]*\n)```"), start)
  for i, address in ipairs { "192%.0%.2%.11:8443", "192%.0%.2%.12:8443" } do
    local count
    text, count = text:gsub(address, "127.0.0.1:" .. servers[i].port)
    assert.equal(1, count)
  end
  return text
end

local function haproxy(words)
  return function(servers, port)
    local text = from_guide("listen est\n", servers)
    text = text:gsub("bind :8443", "bind 127.0.0.1:" .. port):gsub("inter 2s", "inter 100ms")
    return text:gsub("send%-proxy%-v2", words), { HAPROXY, "-db", "-f" }
  end
end

local function nginx(servers, port, folder)
  local text = from_guide("stream {\n", servers):gsub("listen 8443", "listen 127.0.0.1:" .. port)
  return ("load_module %s;\npid %s/nginx.pid;\nerror_log %s/nginx.log;\nevents {}\n%s"):format(
    STREAM, folder, folder, text), { "/usr/sbin/nginx", "-g", "daemon off;", "-c" }
end

local KEYS <const> = [[
listen keys
  mode tcp
  timeout connect 5s
  timeout client 1m
  timeout server 1m
  bind 127.0.0.1:%s
  server a 127.0.0.4:%s send-proxy-v2
]]

local BALANCERS <const> = {
  { name = "HAProxy", needs = HAPROXY, make = haproxy "send-proxy-v2" },
  { name = "HAProxy with version 1", needs = HAPROXY, make = haproxy "send-proxy" },
  { name = "HAProxy with a checksum", needs = HAPROXY,
    make = haproxy "send-proxy-v2 proxy-v2-options crc32c,unique-id" },
  { name = "nginx", needs = STREAM, make = nginx },
}

describe("two servers behind", function()
  local a, b, secret

  setup(function()
    a = support.make { policy = POLICY, config = edit, listen = LISTEN }
    b = setmetatable({ folder = process.folder(), lest = a.lest, listen = LISTEN },
      getmetatable(a))
    b.dir, b.root = b.folder .. "/ca", b.folder .. "/ca/ca.pem"
    process.must { "chmod", "755", b.folder }
    process.must { "cp", "-a", a.dir, b.dir }
    a:run()
    b:run()
    -- Whichever a client gets to.
    secret = a:credential("device", { "--reusable" })
    b:credential("device", { "--reusable", "--password-file", b:file("secret", secret .. "\n") })
  end)
  teardown(function()
    b:stop()
    a:stop()
  end)

  --- Run a balancer, which is stopped by the function that comes back.
  local function run(text, words)
    local folder = process.folder()
    process.write(folder .. "/conf", text)
    table.insert(words, folder .. "/conf")
    local pid = process.start(words, folder .. "/out", folder .. "/err")
    return function()
      process.kill(pid)
      local said = process.read(folder .. "/out") .. process.read(folder .. "/err")
      process.run { "rm", "-r", folder }
      return said
    end
  end

  --- Start one of the balancers: curl_at(address, path, ...) asks as a client with this address, as
  --- server:curl; and what stops it.
  local function start(balancer)
    local port = process.free_port()
    local stop = run(balancer.make({ a, b }, port, a.folder))
    local through = setmetatable({ url = "https://localhost:" .. port }, { __index = a })
    local function curl_at(address, path, ...)
      return through:curl(path, "--interface", address, ...)
    end
    local ok, problem = pcall(process.wait_for, function()
      return (curl_at("127.0.0.9", "/cacerts")) == 200
    end, balancer.name, 20)
    if not ok then error(problem .. stop()) end
    return curl_at, stop
  end

  local function is_missing(balancer)
    return not process.exists(balancer.needs) and "needs " .. balancer.needs
  end

  --- Of both: how many lines of the log, or rows of the ledger, have an address.
  local function logged(address)
    local count = 0
    for _, server in ipairs { a, b } do
      for _, line in ipairs(server:logged "request") do
        count = count + (line.address == address and 1 or 0)
      end
    end
    return count
  end

  local function rows(where)
    local count = 0
    for _, server in ipairs { a, b } do
      count = count + tonumber(server:sql("SELECT count(*) FROM requests WHERE " .. where))
    end
    return count
  end

  for number, balancer in ipairs(BALANCERS) do
    it(balancer.name .. " know each client by its own address", function()
      if is_missing(balancer) then return pending(is_missing(balancer)) end
      local curl_at, stop = start(balancer)
      finally(stop)
      local network = ("127.0.%d."):format(number)
      local function enroll(address, password)
        return curl_at(address, "/simpleenroll", "--data-binary", "@" .. a:csr "device", "-H",
          "Content-Type: application/pkcs10", "--user", "device:" .. password)
      end
      for _ = 1, 4 do
        local status, body = enroll(network .. 2, secret)
        assert.equal(200, status, body)
        assert.equal("CN=device", tostring(support.issued(body).subject))
        status, body = enroll(network .. 3, secret)
        assert.equal(403, status, body)
        assert.matches("not from there", body)
      end
      assert.equal(4, logged(network .. 2))
      assert.equal(4, logged(network .. 3))
      assert.equal(4, rows(("address = '%s2' AND verdict = 'approve'"):format(network)))
      assert.equal(0, rows "address = '127.0.0.1'")
      -- What one of them gets wrong keeps no other out.
      process.wait_for(function() return (enroll(network .. 4, "wrong")) == 429 end, "a bound", 20)
      assert.equal(401, (enroll(network .. 5, "wrong")))
    end)
  end

  it("a balancer let nobody in without it, and the log says so", function()
    local function ask(...)
      return (process.run { "curl", "-sk", "--max-time", "20", a.url .. "/healthz", ... })
    end
    local CLOSED <const> = { [35] = true, [56] = true } -- of curl
    assert.is_true(CLOSED[ask()])
    assert.is_true(CLOSED[ask("--interface", "127.0.0.2", "--haproxy-protocol")])
    assert.equal(0, ask "--haproxy-protocol")
    local said = {}
    process.wait_for(function()
      for _, line in ipairs(a:logged "connection ended") do said[line.message] = line.address end
      return said["there is no PROXY header"]
    end, "a line of the log")
    assert.equal("127.0.0.1", said["there is no PROXY header"])
    assert.equal("127.0.0.2",
      said["only a balancer may connect here, and this address is of none"])
  end)

  it("a balancer have it over plain HTTP as well", function()
    local function ask(endpoint, ...)
      local _, status = process.run { "curl", "-s", "--max-time", "20", "-o", "/dev/null", "-w",
        "%{http_code}", "http://" .. endpoint .. "/ca/ca.cer", ... }
      return status
    end
    local first, second = a:logged("ready")[1].listen_http:match "^(%S+) (%S+)$"
    assert.equal("200", ask(first, "--haproxy-protocol"))
    assert.equal("000", ask(first))
    assert.equal("000", ask(first, "--haproxy-protocol", "--interface", "127.0.0.2"))
    assert.equal("200", ask(second))
    assert.equal("400", ask(second, "--haproxy-protocol"))
  end)

  it("HAProxy know clients with keys by their own addresses", function()
    if is_missing(BALANCERS[1]) then return pending(is_missing(BALANCERS[1])) end
    local port = process.free_port()
    finally(run(KEYS:format(port, a.ports[2]), { HAPROXY, "-db", "-f" }))
    local key = a:credential("keyed", { "--kind", "psk", "--reusable" })
    local function ask(address, with)
      return s_client.request({ address = "127.0.0.1", port = port }, { "-psk_identity", "keyed",
        "-psk", with, "-bind", address }, "GET", "/cacerts")
    end
    process.wait_for(function() return ask("127.0.5.9", key) end, "HAProxy", 20)
    for _ = 1, 4 do assert.is_nil((ask("127.0.5.2", ("%064x"):format(1)))) end
    assert.is_nil((ask("127.0.5.2", key)))
    assert.equal(200, assert(ask("127.0.5.3", key)).status)
  end)

  it("HAProxy or nginx stop one after another, and no request fails", function()
    local asks, stops = {}, {}
    finally(function()
      for _, stop in ipairs(stops) do stop() end
    end)
    for _, number in ipairs { 1, 4 } do
      local balancer = BALANCERS[number]
      if not is_missing(balancer) then
        asks[#asks + 1], stops[#stops + 1] = start(balancer)
      end
    end
    local function ask(count)
      for _ = 1, count do
        for _, curl_at in ipairs(asks) do
          local status, _, headers = curl_at("127.0.0.7", "/cacerts")
          assert.equal(200, status, headers.curl_error)
        end
      end
    end
    process.kill(a.pid)
    ask(6)
    -- HAProxy has seen it, for which shutdown_delay waits. That this is over, ^C says.
    process.wait_for(function()
      local before = #a:logged "request"
      for _ = 1, 4 do asks[1]("127.0.0.8", "/cacerts") end
      return #asks < 2 or #a:logged "request" == before
    end, "a server that gets no more clients", 20)
    assert.is_true(process.alive(a.pid))
    process.kill(a.pid, "INT")
    ask(6)
    assert.equal(0, a:exit_code())
    ask(6)
  end)
end)
