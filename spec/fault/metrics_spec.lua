-- What is counted: for the whole server, through the ends of its processes, and whatever comes to
-- the monitor or is written by a process that was taken over.
local core = require "lest.core"
local host = require "support.host"
local monitor = require "support.monitor"
local process = require "support.process"
local raw_client = require "support.raw_client"
local support = require "support.server"

describe("/metrics", function()
  local server

  local function start(options)
    options = options or {}
    options.config = options.config or monitor.config "workers = 2"
    server = support.start(options)
    finally(function() server:stop() end)
  end

  local function requests(label, status, operation, verdict)
    return ('lest_requests_total{label="%s",status="%d",operation="%s",verdict="%s"}'):format(
      label, status, operation, verdict or "")
  end

  it("counts requests by label, status, operation and verdict, and how long they took", function()
    start()
    server:enroll "first"
    server:post("/simpleenroll", server:csr "second", "--user", "second:wrong")
    server:curl "/cacerts"
    server:curl "/nowhere/cacerts"
    server:curl "/nonsense"
    monitor.probe(server)
    monitor.wait(server, requests("default", 200, "simpleenroll", "approve"), 1)
    monitor.wait(server, requests("default", 401, "simpleenroll"), 1)
    monitor.wait(server, requests("default", 200, "cacerts"), 1)
    monitor.wait(server, requests("", 404, "cacerts"), 1)
    monitor.wait(server, requests("", 404, ""), 1)
    monitor.wait(server, requests("", 200, "healthz"), 1)
    local samples, text = monitor.samples(server)
    local duration = "lest_request_duration_seconds_"
    assert.equal(2, samples[duration .. 'count{operation="simpleenroll"}'])
    assert.equal(2, samples[duration .. 'bucket{operation="simpleenroll",le="+Inf"}'])
    assert.is_true(samples[duration .. 'sum{operation="simpleenroll"}'] > 0)
    assert.equal(6, samples['lest_handshakes_total{result="ok",version="TLSv1.3"}'])
    assert.equal(6, samples.lest_connections_accepted_total)
    assert.equal(1, samples.lest_ready)
    assert.is_nil(text:find("nowhere", 1, true) or text:find("nonsense", 1, true))
  end)

  it("counts what C refuses by itself", function()
    start()
    local client <close> = raw_client.new()
    local c = client:connect { port = server.port }
    c:send "NONSENSE\r\n\r\n"
    assert.equal(400, c:response().status)
    monitor.wait(server, requests("", 400, ""), 1)
    local left = client:connect { port = server.port, plain = true }
    left:send "no TLS, as it seems"
    monitor.wait(server, 'lest_handshakes_total{result="failed",version=""}', 1)
  end)

  it("goes on counting when a process ends, and shows a gauge of none that has", function()
    start()
    local client <close> = raw_client.new()
    local open = client:connect { port = server.port }
    assert.equal("TLSv1.3", open.info.version)
    for _ = 1, 10 do server:curl "/cacerts" end
    monitor.wait(server, requests("default", 200, "cacerts"), 10)
    monitor.wait(server, "lest_connections", 1)
    for _, pid in ipairs(server:pids "worker") do process.kill(pid, "KILL") end
    monitor.wait(server, 'lest_process_restarts_total{process="worker 1"}', 1)
    monitor.wait(server, 'lest_process_restarts_total{process="worker 2"}', 1)
    monitor.wait(server, "lest_connections", 0)
    process.wait_for(function() return server:curl "/cacerts" == 200 end, "a worker")
    monitor.wait(server, requests("default", 200, "cacerts"), 11)
  end)

  it("tells of a reload that failed, and of the next that did not", function()
    start()
    local ok = "lest_config_last_reload_successful"
    local since = "lest_config_last_reload_success_timestamp_seconds"
    monitor.wait(server, ok, 1)
    local taken = monitor.samples(server)[since]
    assert.is_true(taken > 0 and taken <= os.time())
    local policy = server.dir .. "/policy.lua"
    local text = process.read(policy)
    process.write(policy, "return {")
    process.kill(server.pid, "HUP")
    monitor.wait(server, ok, 0)
    assert.equal(taken, monitor.samples(server)[since])
    assert.equal(1, monitor.samples(server).lest_ready)
    process.write(policy, text)
    process.kill(server.pid, "HUP")
    monitor.wait(server, ok, 1)
  end)

  it("is told again when the monitor ended", function()
    start()
    process.kill(server:pids("monitor")[1], "KILL")
    process.wait_for(function() return (monitor.get(server, "/metrics")) == 200 end, "a monitor")
    monitor.wait(server, 'lest_process_restarts_total{process="monitor"}', 1)
  end)

  it("shows who waits, the ledger and the processes", function()
    start()
    server:enroll "first"
    monitor.wait(server, 'lest_link_up{process="worker 2"}', 1)
    monitor.wait(server, "lest_authority_requests_held", 0)
    local samples = monitor.samples(server)
    assert.is_true(samples['lest_ledger_bytes{file="db"}'] > 0)
    for _, name in ipairs { "supervisor", "authority", "monitor", "worker 1", "worker 2" } do
      for _, gauge in ipairs { "resident_memory_bytes", "open_fds", "max_fds", "cpu_seconds_total",
        "start_time_seconds" } do
        local value = samples[('process_%s{process="%s"}'):format(gauge, name)]
        assert.is_true(value > 0, name .. " " .. gauge)
      end
    end
    assert.equal(1, samples[('lest_build_info{version="%s"}'):format(core.version)])
  end)

  it("shows all descriptors as open where none is left to count them", function()
    if not host.is_root then return pending "needs root, to bound another process" end
    start()
    local open, max = 'process_open_fds{process="worker 1"}', 'process_max_fds{process="worker 1"}'
    for _, pid in ipairs(server:pids "worker") do host.limit(pid, "--nofile=6") end
    monitor.wait(server, max, 6)
    assert.equal(6, monitor.samples(server)[open])
  end)

  it("is at a loopback address that is no other listener's, or nowhere", function()
    for value, problem in pairs { ['"0.0.0.0:9100"'] = "not this machine's own",
      ['"[::]:9100"'] = "not this machine's own", ['"192.0.2.1:9100"'] = "not this machine's own",
      ['"localhost:9100"'] = "is no address", ["true"] = "is no address",
      ['"127.0.0.1:8443"'] = "is an address of 'listen' as well" } do
      local made = support.make { config = function(text)
        return (text:gsub("listen = [^\n]*", 'listen = "127.0.0.1:8443",', 1)
          :gsub("labels = {", "metrics = " .. value .. ",\n  labels = {", 1))
      end }
      local code, _, err = process.run { support.lest, "serve", "--check",
        made.dir .. "/server.lua" }
      made:stop()
      assert.equal(2, code, value)
      assert.matches(problem, err, 1, true)
    end
  end)

  it("is for GET and HEAD of two paths, in plain HTTP", function()
    start()
    assert.equal(404, (monitor.get(server, "/")))
    assert.equal(404, (monitor.get(server, "/.well-known/est/cacerts")))
    assert.equal(405, (monitor.get(server, "/metrics", "-d", "x=y")))
    assert.equal(200, (monitor.get(server, "/metrics", "-I", "-o", "/dev/null")))
  end)

  it("is told under an address or as localhost, not under a name that was led here", function()
    start()
    for _, name in ipairs { "evil.example", "evil.example:9100", "127.0.0.1.evil.example", "1.evil",
      "localhost.evil.example" } do
      local status, body = monitor.get(server, "/metrics", "-H", "Host: " .. name)
      assert.equal(421, status, name)
      assert.is_nil(body:find("lest_", 1, true))
      assert.equal(421, (monitor.get(server, "/healthz", "-H", "Host: " .. name)), name)
    end
    for _, name in ipairs { "localhost:9100", "LOCALHOST", "127.0.0.1", "[::1]:9100" } do
      assert.equal(200, (monitor.get(server, "/metrics", "-H", "Host: " .. name)), name)
    end
  end)

  it("withstands garbage, and clients that say nothing", function()
    start()
    local pid = server:pids("monitor")[1]
    local client <close> = raw_client.new()
    local address = monitor.address(server)
    local where = { host = address:match "^(.*):", port = address:match ":(%d+)$", plain = true }
    for _ = 1, 40 do assert(client:connect(where)) end
    for _, bytes in ipairs { "GET", ("\0"):rep(20000),
      "\22\3\1\2\0\1\0\1\252\3\3" .. ("x"):rep(300),
      "GET /metrics HTTP/1.1\r\n" .. ("A: b\r\n"):rep(2000), "GET /metrics HTTP/9.9\r\n\r\n",
      "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n" } do
      local c = assert(client:connect(where))
      c:send(bytes)
    end
    local c = assert(client:connect(where))
    c:send(("GET /metrics HTTP/1.1\r\nHost: [::1]\r\n\r\n"):rep(2))
    assert.equal(200, assert(c:response()).status)
    assert.equal(200, assert(c:response()).status)
    monitor.samples(server)
    assert.same({ pid }, server:pids "monitor")
    assert.same({}, server:logged "child ended")
  end)

  --- Where a process has its meters mapped.
  local function mapped(pid)
    for line in process.read(("/proc/%d/maps"):format(pid)):gmatch "[^\n]+" do
      local from, to = line:match "^(%x+)%-(%x+) rw.*lest%-meters"
      if from then return tonumber(from, 16), tonumber(to, 16) end
    end
  end

  --- Write into the memory of a process.
  local function overwrite(pid, at, bytes)
    local file <close> = io.open(("/proc/%d/mem"):format(pid), "r+b")
    if not file then return false end
    file:setvbuf "no"
    return file:seek("set", at) and file:write(bytes) and true
  end

  it("believes no numbers of a process that was taken over, but as its own", function()
    if not host.is_root then return pending "needs root, to write into another process" end
    start()
    for _ = 1, 3 do server:curl "/cacerts" end
    monitor.wait(server, requests("default", 200, "cacerts"), 3)
    local workers = server:pids "worker"
    local from, to = mapped(workers[1])
    local garbage = {
      function() return string.pack("I8", math.random(0)) end,
      function() return string.pack("I8", -1) end,
      function() return string.pack("I8", (math.random(28) << 56) | (math.random(0) & 0xffff)) end,
    }
    for _, make in ipairs(garbage) do
      local bytes = {}
      for i = 1, (to - from) // 8 do bytes[i] = make() end
      if not overwrite(workers[1], from, table.concat(bytes)) then
        return pending "the memory of a process cannot be written here"
      end
      -- The copy on the board, and what is told of it.
      monitor.wait(server, 'lest_link_up{process="worker 2"}', 1)
      local told = monitor.samples(server)
      assert.equal(1, told.lest_ready)
      for name, value in pairs(told) do assert.equal(value, value, name) end
    end
    assert.same({}, server:logged "child ended")
    -- It counts no more, and serves.
    for _ = 1, 20 do assert.equal(200, (server:curl "/cacerts")) end
  end)

  it("lets nobody but the supervisor write on the board", function()
    start()
    for _, role in ipairs { "worker", "monitor" } do
      local maps = process.read(("/proc/%d/maps"):format(server:pids(role)[1]))
      assert.matches("r%-%-s [^\n]*lest%-board", maps)
      assert.is_nil(maps:find "rw%-s [^\n]*lest%-board")
    end
    local maps = process.read(("/proc/%d/maps"):format(server:pids("authority")[1]))
    assert.is_nil(maps:find "lest%-board")
  end)

  --- The supervisor's descriptors of memory with this name.
  local function shared(name)
    local found = {}
    for fd in process.must({ "ls", ("/proc/%d/fd"):format(server.pid) }):gmatch "%d+" do
      local path = ("/proc/%d/fd/%s"):format(server.pid, fd)
      local link = process.capture("readlink " .. path) or ""
      if link:find(name, 1, true) then table.insert(found, path) end
    end
    return found
  end

  it("is in memory that none can cut short; nobody can write to the board", function()
    if not host.is_root then return pending "needs root, to reach the memory by its name" end
    start()
    local boards, tables = shared "lest-board", shared "lest-meters"
    assert.same({ 1, 5 }, { #boards, #tables })
    for _, path in ipairs { boards[1], table.unpack(tables) } do
      assert.not_equal(0, (process.run { "truncate", "-s", "0", path }))
      assert.not_equal(0, (process.run { "truncate", "-s", "+4096", path }))
    end
    local function write(path)
      return process.run { "dd", "if=/dev/zero", "of=" .. path, "bs=1", "count=1", "conv=notrunc" }
    end
    assert.not_equal(0, (write(boards[1])))
    assert.equal(0, (write(tables[1])))
    assert.equal(200, (monitor.get(server, "/healthz")))
  end)

  it("writes a name with odd characters so that it is one", function()
    local made = support.make { config = monitor.config() }
    finally(function() made:stop() end)
    server = made
    local key = assert(core.key.load(made.dir .. "/ca.key"))
    local odd = assert(core.issuer.root { key = key, path_len = 0,
      subject = { { "CN", 'a "b" \\ c\nd, =+' } }, not_before = os.time() - 10,
      not_after = os.time() + 1000000 })
    assert(odd:save(made.dir .. "/odd.pem"))
    made:edit_config(function(text)
      return (text:gsub("anchors = {", 'anchors = { ["odd"] = "odd.pem", ', 1))
    end)
    made:run()
    local _, text = monitor.samples(made)
    local line = text:match '[^\n]*role="anchor",name="odd"[^\n]*'
    -- As RFC 4514 escapes it, and then the format.
    assert.matches([[^[^"]*{role="anchor",name="odd",subject="[^"\]*.*",serial="%x+"} %d+$]], line)
    assert.is_nil(line:find('[^\\]"b', 1))
  end)
end)
