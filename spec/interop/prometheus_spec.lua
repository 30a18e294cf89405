-- Prometheus scrapes a server, promtool takes what it tells, and HAProxy looks after its health.
local cjson = require "cjson"
local monitor = require "support.monitor"
local process = require "support.process"
local support = require "support.server"

local function has(program)
  return process.capture("command -v " .. program) ~= nil
end

describe("a server beside Prometheus", function()
  local server

  local function start(more)
    server = support.start { config = monitor.config(more) }
    finally(function() server:stop() end)
  end

  --- A program in the background, until the end of this spec.
  local function run(name, words)
    local log = server.folder .. "/" .. name
    local pid = process.start(words, log .. ".out", log .. ".err")
    local stop = server.stop
    server.stop = function(self)
      process.kill(pid, "KILL")
      return stop(self)
    end
    return function() return process.read(log .. ".out") .. process.read(log .. ".err") end
  end

  it("tells what promtool takes", function()
    if not has "promtool" then return pending "needs promtool, of the package prometheus" end
    start()
    server:enroll "first"
    server:curl "/nonsense"
    monitor.wait(server,
      'lest_requests_total{label="",status="404",operation="",verdict=""}', 1)
    local _, text = monitor.samples(server)
    assert.equal("", process.must({ "promtool", "check", "metrics" }, { stdin = text }))
  end)

  it("has examples that promtool takes", function()
    if not has "promtool" then return pending "needs promtool, of the package prometheus" end
    process.must { "promtool", "check", "rules", "examples/alerts.yml" }
    process.must { "promtool", "check", "config", "examples/prometheus.yml" }
  end)

  it("is scraped, and what was counted can be asked for", function()
    if not has "prometheus" then return pending "needs the package prometheus" end
    start()
    server:enroll "first"
    local port = process.free_port()
    local config = server:file("prometheus.yml", process.read("examples/prometheus.yml")
      :gsub("127%.0%.0%.1:9100", monitor.address(server)):gsub("15s", "1s"))
    process.write(server.folder .. "/alerts.yml", process.read "examples/alerts.yml")
    local told = run("prometheus", { "prometheus", "--config.file=" .. config,
      "--storage.tsdb.path=" .. server.folder .. "/tsdb",
      "--web.listen-address=127.0.0.1:" .. port })
    local function ask(query)
      local code, out = process.run { "curl", "-sG", "--max-time", "5", "--data-urlencode",
        "query=" .. query, "http://127.0.0.1:" .. port .. "/api/v1/query" }
      -- It answers otherwise until it has read its folder.
      local ok, answer = pcall(cjson.decode, out)
      local first = code == 0 and ok and answer.data.result[1]
      return first and tonumber(first.value[2])
    end
    local ok = pcall(process.wait_for, function()
      return ask 'sum(lest_requests_total{operation="simpleenroll",verdict="approve"})' == 1
    end, "a scrape", 60)
    assert.is_true(ok, told())
    assert.equal(1, ask 'up{job="lest"}')
    assert.equal(1, ask "lest_ready")
    assert.is_true(ask 'min(lest_certificate_not_after_timestamp_seconds - time())' > 86400)
    assert.equal(1, ask 'sum(lest_request_duration_seconds_count{operation="simpleenroll"})')
  end)

  it("is looked after by HAProxy, through which devices come", function()
    if not has "/usr/sbin/haproxy" then return pending "needs the package haproxy" end
    start 'shutdown_delay = "1h", limits = { connections_per_address = 4096 }'
    local port, socket = process.free_port(), server.folder .. "/haproxy"
    local config = server:file("haproxy.cfg", ([[
global
  stats socket %s
defaults
  mode tcp
  timeout connect 5s
  timeout client 10s
  timeout server 10s
listen est
  bind 127.0.0.1:%s
  option httpchk GET /healthz
  default-server check check-ssl verify none inter 200ms rise 1 fall 1
  server a 127.0.0.1:%s
]]):format(socket, port, server.port))
    local told = run("haproxy", { "/usr/sbin/haproxy", "-db", "-f", config })
    local function state()
      local _, out = process.run { "perl", "-MIO::Socket::UNIX", "-e", [[
        my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or exit 1; print $s "show stat\n";
        print <$s>]], socket }
      for line in out:gmatch "[^\n]+" do
        local fields = {}
        for field in (line .. ","):gmatch "([^,]*)," do fields[#fields + 1] = field end
        if fields[1] == "est" and fields[2] == "a" then return fields[18], fields[38] end
      end
    end
    local function wait_state(wanted, code)
      local ok = pcall(process.wait_for, function()
        local now, got = state()
        return now == wanted and got == code
      end, wanted, 20)
      if not ok then error(table.concat({ wanted, tostring((state())), told() }, "\n"), 2) end
    end
    wait_state("UP", "200")
    server.url = "https://localhost:" .. port
    server:enroll "through"
    process.must { "chmod", "000", server:ledger() }
    process.kill(server:pids("authority")[1], "KILL")
    wait_state("DOWN", "503")
    process.must { "chmod", "600", server:ledger() }
    wait_state("UP", "200")
    process.kill(server.pid)
    wait_state("DOWN", "503")
    process.kill(server.pid, "INT")
  end)
end)
