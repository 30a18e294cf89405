-- What a balancer's probe is told at the TLS listeners, and this machine at the monitor's: whether
-- requests should be sent here.
local cjson = require "cjson"
local core = require "lest.core"
local disks = require "support.disk"
local monitor = require "support.monitor"
local process = require "support.process"
local raw_client = require "support.raw_client"
local support = require "support.server"

local DAY <const> = 86400

describe("/healthz", function()
  local server

  local function start(options)
    server = support.start(options or { config = monitor.config() })
    finally(function() server:stop() end)
  end

  --- Wait until a probe gets this.
  local function wait_told(status, body)
    local last
    local ok = pcall(process.wait_for, function()
      last = table.pack(monitor.probe(server))
      return last[1] == status and last[2] == body
    end, "it", 20)
    if not ok then error(("told %s %s"):format(last[1], last[2]), 2) end
  end

  --- Wait until the monitor says the same, and return what it says.
  local function wait_judged(status)
    local body
    process.wait_for(function()
      local got
      got, body = monitor.get(server, "/healthz")
      return got == status
    end, "the monitor's " .. status)
    local health = cjson.decode(body)
    assert.equal(status == 200, health.ready)
    return health
  end

  it("is ok for a stranger, and no line of the log", function()
    start()
    assert.same({ 200, "ok\n" }, { monitor.probe(server) })
    assert.same({ 200, "" }, { monitor.probe(server, "-I", "-o", "/dev/null") })
    assert.same({}, server:logged "request")
    assert.equal(405, (monitor.probe(server, "-d", "x=y")))
    local health = wait_judged(200)
    assert.same({ true, "ok", false }, { health.authority, health.ledger, health.stopping })
    assert.equal(health.workers, health.workers_linked)
    assert.equal(health.workers, health.workers_serving)
    local days = {}
    for _, each in ipairs(health.certificates) do days[each.role] = each.days end
    assert.equal(core.cert.load(server.dir .. "/server.pem").not_after,
      monitor.samples(server)[('lest_certificate_not_after_timestamp_seconds{role="tls",name="",'
        .. 'subject="CN=localhost",serial="%s"}'):format(
        core.cert.load(server.dir .. "/server.pem").serial)])
    assert.is_true(days.tls > 300 and days.ca > days.tls)
  end)

  it("is a path of its own, below no label", function()
    start()
    for _, path in ipairs { "/healthz/", "/.well-known/est/healthz", "//healthz", "/health" } do
      local status = process.must { "curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}",
        "--path-as-is", server.url .. path }
      assert.equal("404", status, path)
    end
    assert.equal(200, (monitor.probe(server, "-H", "Authorization: Basic eDp5")))
  end)

  it("says while there is no authority, and when there is one again", function()
    start()
    process.must { "chmod", "000", server:ledger() }
    process.kill(server:pids("authority")[1], "KILL")
    wait_told(503, "no authority\n")
    assert.is_false(wait_judged(503).authority)
    process.must { "chmod", "600", server:ledger() }
    wait_told(200, "ok\n")
    wait_judged(200)
  end)

  it("says when the ledger was taken away", function()
    start()
    server:enroll "first"
    os.remove(server:ledger())
    server:post("/simpleenroll", server:csr "second", "--user", "second:x")
    wait_told(503, "no authority\n")
    process.wait_for(function() return wait_judged(503).ledger == "lost" end, "its word")
  end)

  it("says that the disk is full, once an answer was lost to that, until one is not", function()
    server = support.make { config = monitor.config() }
    finally(function() server:stop() end)
    local disk <close>, why = disks.under(server)
    if not disk then return pending(why) end
    server:run()
    local secret = server:credential("device", { "--reusable" })
    local function enroll()
      return (server:post("/simpleenroll", server:csr "device", "--user", "device:" .. secret))
    end
    disk:fill()
    process.wait_for(function() return enroll() == 503 end, "a full disk")
    wait_told(503, "no ledger\n")
    assert.equal("refused", wait_judged(503).ledger)
    disk:free()
    process.wait_for(function() return enroll() == 200 end, "an answer")
    wait_told(200, "ok\n")
    assert.equal("ok", wait_judged(200).ledger)
  end)

  --- Put certificates in the place of the server's, of the same keys and names.
  local function reissue(ca_days, tls_days)
    local now = os.time()
    local key = assert(core.key.load(server.dir .. "/ca.key"))
    local function root(days)
      return assert(core.issuer.root { key = key, path_len = 0,
        subject = tostring(assert(core.cert.load(server.dir .. "/ca.pem")).subject),
        not_before = now - 1000 * DAY, not_after = now + days * DAY })
    end
    local tls_key = assert(core.key.load(server.dir .. "/server.key"))
    local der = assert(assert(core.issuer.new { cert = root(4000), key = key }):issue {
      public_key = tls_key:public_der(), subject = "CN=localhost", san = { "DNS:localhost" },
      eku = { "serverAuth" }, not_before = now - 10 * DAY, not_after = now + tls_days * DAY })
    assert(assert(core.cert.parse(der)):save(server.dir .. "/server.pem"))
    assert(root(ca_days):save(server.dir .. "/ca.pem"))
  end

  local function is_told_that_one_is_over(ca_days, tls_days)
    server = support.make { config = monitor.config() }
    finally(function() server:stop() end)
    reissue(ca_days, tls_days)
    server:run()
    wait_told(503, "a certificate is over\n")
    wait_judged(503)
  end

  it("says that the server's certificate is over", function()
    is_told_that_one_is_over(4000, -1)
  end)

  it("says that the CA's certificate is over", function() is_told_that_one_is_over(-1, 100) end)

  it("says first that the server stops, which it does shutdown_delay later", function()
    start { config = monitor.config 'shutdown_delay = "1h"' }
    process.kill(server.pid)
    wait_told(503, "stopping\n")
    assert.is_true(wait_judged(503).stopping)
    server:enroll "late"
    -- ^C does not wait.
    process.kill(server.pid, "INT")
    assert.equal(0, server:exit_code(20))
  end)

  it("lets nobody wait for a server that stops, and ends what is under way", function()
    start()
    local client <close> = raw_client.new()
    local c = assert(client:connect { port = server.port })
    c:send "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    process.wait_for(function()
      return select(2, monitor.samples(server)):find "lest_connections 1"
    end, "a connection")
    process.kill(server.pid)
    -- Else it would hang in the kernel until the end of the drain.
    process.wait_for(function()
      return (process.run { "curl", "-sk", "--max-time", "20", server.url .. "/healthz" }) == 7
    end, "who comes is refused", 20)
    c:send "\r\n"
    assert.equal(503, c:response().status)
    assert.equal(0, server:exit_code(20))
  end)

  it("stops at once without a shutdown_delay", function()
    start()
    process.kill(server.pid)
    assert.equal(0, server:exit_code(20))
    assert.same({}, server:logged "child did not stop in time")
  end)

  it("goes on through a reload, and is told by one monitor then", function()
    start()
    local client <close> = raw_client.new()
    local c = assert(client:connect { port = server.port })
    local function ask()
      c:send "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
      local answer = c:response()
      assert.equal(200, answer and answer.status or 200)
      return answer and answer.headers.connection ~= "close"
    end
    assert.is_true(ask())
    process.kill(server.pid, "HUP")
    process.wait_for(function() return server:logged("ready")[2] end, "another generation")
    -- The generation before has not more to say than that it goes.
    process.wait_for(function() return not ask() end, "its end")
    process.wait_for(function() return #server:pids "monitor" == 1 end, "one monitor")
    wait_judged(200)
    wait_told(200, "ok\n")
  end)
end)
