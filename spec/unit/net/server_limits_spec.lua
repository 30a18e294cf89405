-- What the server bears: slow, silent, leaving and too many clients.
local https = require "support.https"
local process = require "support.process"

local END <const> = "\\r\\n\\r\\n"
local GET <const> = "GET %s HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"

describe("the server", function()
  local folder, server

  setup(function() folder = https.identity() end)
  teardown(function() os.execute("rm -rf " .. folder) end)
  after_each(function() if server then server:stop() end server = nil end)

  local function start(...)
    server = https.start(folder, ...)
    return server
  end

  local function between(low, high, value)
    assert.is_true(value >= low and value <= high, ("%.2f s"):format(value))
  end

  describe("has an absolute deadline for", function()
    it("a ClientHello that comes byte by byte", function()
      start "handshake_ms=500"
      local out, seconds = server:client("hello", 100)
      assert.equal("[closed]\n", out)
      between(0.4, 5, seconds)
      server:wait "handshake\t127.0.0.1\tthe TLS handshake took too long"
    end)

    it("a header that comes byte by byte", function()
      start "header_ms=500"
      local out, seconds = server:client("slow", 50, GET:format "/describe", "read")
      assert.matches("^HTTP/1.1 408 ", out)
      between(0.4, 5, seconds)
    end)

    it("the first request after the handshake, without a word", function()
      start "header_ms=400"
      local out, seconds = server:client("connect", "read")
      assert.equal("", out)
      between(0.3, 5, seconds)
    end)

    it("a body that comes byte by byte", function()
      start "body_ms=500"
      local out, seconds = server:client("send", "POST /echo HTTP/1.1\\r\\nHost: x\\r\\n"
        .. "Content-Length: 100\\r\\n\\r\\n", "slow", 50, ("x"):rep(100), "read")
      assert.matches("^HTTP/1.1 408 ", out)
      between(0.4, 5, seconds)
      server:wait "abort\t/echo\ttimeout"
    end)

    it("the answer of the Lua side", function()
      start "answer_ms=400"
      local out, seconds = server:client("send", GET:format "/never", "read")
      assert.matches("^HTTP/1.1 503 .*Retry%-After: 10\r\n", out)
      between(0.3, 5, seconds)
      server:wait "abort\t/never\ttimeout"
    end)

    it("a client that never reads a large answer", function()
      start "write_ms=500"
      local pid = server:start_client("rcvbuf", 4096, "send", GET:format "/big", "sleep", 20000)
      server:wait "request\tGET\t/big"
      server:wait_connections(1)
      server:wait_connections(0, 5)
      process.kill(pid)
    end)

    it("silence between two requests", function()
      start "idle_ms=400"
      local out, seconds = server:client("send", GET:format "/empty", "read")
      assert.matches("^HTTP/1.1 204 ", out)
      between(0.3, 5, seconds)
    end)
  end)

  it("ends a connection after so many requests, and says so before", function()
    start "requests_per_connection_max=2"
    local out = server:client("send", GET:format "/empty", "want", END, "send",
      GET:format "/empty", "read")
    local head = "HTTP/1.1 204 No Content\r\nDate: [^\r]+\r\nX%-Request%-Id: [%w-]+\r\n"
    assert.matches("^" .. head .. "\r\n" .. head .. "Connection: close\r\n\r\n$", out)
  end)

  it("refuses a request beyond those under way, before anybody sees it", function()
    start "requests_max=1"
    local pid = server:start_client("send", GET:format "/never", "read")
    server:wait "request\tGET\t/never"
    local out = server:client("send", GET:format "/describe", "read")
    assert.matches("^HTTP/1.1 503 .*Retry%-After: 10\r\n", out)
    assert.is_nil(server:said():find "describe")
    process.kill(pid)
    server:wait "abort\t/never\tclosed"
    local _, code = server:curl("/empty", "-w", "%{http_code}")
    assert.equal("204", code)
  end)

  describe("when the client leaves:", function()
    for _, stage in ipairs {
      { "before the handshake", { "plain" } },
      { "in the handshake", { "hello", 3 } },
      { "after the handshake", { "connect" } },
      { "in the header", { "send", "GET / HTT" } },
      { "in the body", { "send", "POST /echo HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 9"
        .. "\\r\\n\\r\\nabc" }, "abort\t/echo\tclosed" },
      { "in a chunk", { "send", "POST /echo HTTP/1.1\\r\\nHost: x\\r\\nTransfer-Encoding: chunked"
        .. "\\r\\n\\r\\n5\\r\\nab" }, "abort\t/echo\tclosed" },
      { "before the answer", { "send", GET:format "/never", "sleep", 100 },
        "abort\t/never\tclosed" },
      { "before the answer, having sent more",
        { "send", (GET:format "/never"):rep(1000), "sleep", 100 } },
      { "in the answer", { "send", GET:format "/big", "want", "xxxx" } },
      { "after the answer", { "send", GET:format "/empty", "want", END } },
    } do
      for _, way in ipairs { "close", "reset" } do
        it(stage[1] .. " (" .. way .. ")", function()
          start("answer_ms=1000")
          local words = { table.unpack(stage[2]) }
          if way == "reset" then words[#words + 1] = "reset" end
          server:client(table.unpack(words))
          if stage[3] then server:wait(stage[3]) end
          server:wait_connections(0, 5)
          assert.same({ 0, 0 }, { server:count() })
          assert.equal(0, (server:curl "/describe"))
        end)
      end
    end

    for _, version in ipairs { "1.2", "1.3" } do
      it("only halfway, it still gets its answer, TLS " .. version, function()
        start()
        for _, how in ipairs { { "fin" }, { "close_notify" }, { "close_notify", "fin" } } do
          local words = { "tls", version, "send", GET:format "/slow", "sleep", 50 }
          for _, action in ipairs(how) do words[#words + 1] = action end
          words[#words + 1] = "read"
          assert.matches("\r\n\r\nslow\n$", (server:client(table.unpack(words))))
        end
        assert.is_nil(server:said():find "answered\tfalse")
      end)

      it("it is noticed while the answer is being made, TLS " .. version, function()
        start()
        server:client("tls", version, "send", GET:format "/slow?0.5", "sleep", 50)
        server:wait "abort\t/slow%?0.5\tclosed\tclosed\n.*answered"
      end)
    end
  end)

  describe("at its bounds:", function()
    it("counts by address, before TLS", function()
      start "connections_per_address_max=2"
      local pid = server:start_client("idle", 2, "sleep", 20000)
      server:wait_connections(2)
      assert.matches("^%[", (server:client("connect", "send", GET:format "/empty", "read")))
      assert.matches("^HTTP/1.1 204 ",
        (server:client("from", "127.0.0.2", "send", GET:format "/empty", "want", END)))
      process.kill(pid)
      server:wait_connections(0)
      assert.matches("^HTTP/1.1 204 ",
        (server:client("send", GET:format "/empty", "want", END)))
    end)

    it("closes the connection that was idle longest for a new one, never a busy one", function()
      start "connections_max=3"
      local busy = server:start_client("send", GET:format "/slow?2", "want", "slow")
      server:wait "request\tGET\t/slow"
      local out = server:client("idle", 2, "send", GET:format "/empty", "want", END,
        "held")
      assert.matches("held 1\n$", out)
      server:wait("answered\ttrue", 5)
      process.kill(busy)
    end)

    for what, words in pairs {
      head = { "send", "GET / HTT" },
      body = { "send", "POST /echo HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 9\\r\\n\\r\\nabc" },
      answer = { "send", GET:format "/big" },
    } do
      it("closes the oldest for a new one, too, where its " .. what .. " takes its time", function()
        start("connections_max=2", "header_ms=60000", "body_ms=60000", "write_ms=60000")
        local slow = { "rcvbuf", 4096, "send", GET:format "/empty", "want", END,
          table.unpack(words) }
        table.move({ "sleep", 60000 }, 1, 2, #slow + 1, slow)
        local pids = { server:start_client(table.unpack(slow)) }
        server:wait "GET\t/empty"
        pids[2] = server:start_client(table.unpack(slow))
        server:wait "GET\t/empty.*GET\t/empty"
        process.must "sleep 0.2"
        for _ = 1, 3 do
          local out, seconds = server:client("send", GET:format "/empty", "want", END)
          assert.matches("^HTTP/1.1 204 ", out)
          between(0, 30, seconds)
        end
        for _, pid in ipairs(pids) do process.kill(pid) end
      end)
    end

    it("leaves new ones waiting while all are busy", function()
      start "connections_max=2"
      for _ = 1, 2 do server:start_client("send", GET:format "/slow?2", "want", "slow") end
      server:wait "request.*request"
      local out, seconds = server:client("send", GET:format "/empty", "want", END)
      assert.matches("^HTTP/1.1 204", out)
      between(0.3, 20, seconds)
    end)

    it("bears 1,000 idle connections and still answers", function()
      start "connections_per_address_max=2000"
      local out, seconds = server:client("idle", 1000, "send", GET:format "/empty", "want",
        END, "held")
      assert.matches("^HTTP/1.1 204 .*held 1000\n$", out)
      between(0, 60, seconds)
      server:wait_connections(0)
    end)

    it("waits without spinning when there are no descriptors left", function()
      start()
      process.must(("prlimit --pid %d --nofile=16"):format(server.pid))
      local pid = server:start_client("idle", 4, "sleep", 1500)
      local others = server:start_client("plain", "sleep", 1500)
      for _ = 1, 20 do server:start_client("plain", "sleep", 1500) end
      process.must "sleep 1"
      local stat = process.read(("/proc/%d/stat"):format(server.pid)):match "%) (.*)"
      local fields = {}
      for field in stat:gmatch "%S+" do fields[#fields + 1] = tonumber(field) or field end
      assert.is_true(fields[12] + fields[13] < 50, "the server spins")
      assert.matches("no file descriptor is left", process.read(server.err))
      process.kill(pid)
      process.kill(others)
      server:wait_connections(0, 5)
      assert.equal(0, (server:curl "/describe"))
    end)
  end)

  describe("when it is told to", function()
    it("stops accepting, closes idle connections, and lets the busy ones finish", function()
      start()
      local _, slow = server:start_client("send", GET:format "/slow?0.5", "read")
      local idle, idle_out = server:start_client("send", GET:format "/empty", "read")
      server:wait "request.*request"
      process.must "sleep 0.1"
      process.kill(server.pid, "USR2")
      process.wait_for(function() return not process.alive(idle) end, "the idle one's end")
      assert.matches("204", process.read(idle_out))
      process.wait_for(function() return process.read(slow):find "slow\n$" end, "the answer")
      assert.matches("Connection: close", process.read(slow))
      assert.equal("[connect]\n", (server:client "connect"))
      assert.same({ 0, 0 }, { server:count() })
    end)

    it("pauses and resumes", function()
      start()
      process.kill(server.pid, "TTIN")
      local _, out = server:start_client("send", GET:format "/empty", "want", END)
      process.must "sleep 0.3"
      assert.equal("", process.read(out))
      process.kill(server.pid, "TTOU")
      process.wait_for(function() return process.read(out):find "204" end, "the answer")
    end)

    it("closes everything at once, from inside a callback too", function()
      start()
      local out = server:client("idle", 3, "send", (GET:format "/close"):rep(3), "read", "held")
      assert.matches("held 0\n$", out)
      assert.is_true(process.alive(server.pid))
      assert.equal("", process.read(server.err))
    end)
  end)

  it("drops plain HTTP, and says what it was", function()
    start()
    local out = server:client("plain", "send", GET:format "/", "read")
    assert.is_nil(out:find "HTTP")
    server:wait "handshake\t127.0.0.1"
    assert.matches("http request", process.read(server.err))
  end)

  it("answers a client on IPv6, where there is one", function()
    local interfaces <const> = "/proc/net/if_inet6"
    if not (process.exists(interfaces) and process.read(interfaces):find "lo\n") then
      return pending "no IPv6 here"
    end
    server = https.start(folder, "listen=[::1]:0")
    assert.matches("^%[::1%]:%d+$", server.address)
    local _, out = server:curl "/describe"
    assert.matches("\naddress=::1\n", out)
  end)
end)
