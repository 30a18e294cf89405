-- What the server bears: slow, silent, leaving and too many clients.
local core = require "lest.core"
local https = require "support.https"
local process = require "support.process"
local rawtls = require "support.rawtls"

local END <const> = "\r\n\r\n"
local GET <const> = "GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
local POST <const> = "POST /echo HTTP/1.1\r\nHost: x\r\n"

describe("the server", function()
  local folder, server

  setup(function() folder = https.identity() end)
  teardown(function() os.execute("rm -rf " .. folder) end)
  after_each(function() if server then server:stop() end server = nil end)

  local function start(...)
    server = https.start(folder, ...)
    return server
  end

  local function connect(options)
    return assert(server:connect(options))
  end

  --- A new connection that has sent bytes.
  local function sent(bytes, options)
    local c = connect(options)
    assert(c:send(bytes))
    return c
  end

  --- Several that say nothing; and how many of them the server has not closed.
  local function idle(count)
    local list = {}
    for i = 1, count do list[i] = connect() end
    return list
  end

  local function held(list)
    local count = 0
    for _, c in ipairs(list) do
      if select(2, c:read { timeout = 0 }) == "timeout" then count = count + 1 end
    end
    return count
  end

  describe("has an absolute deadline for", function()
    --- What came until the server closed, after at least so many seconds, and at most 5.
    local function ended(seconds, act)
      local began = core.clock.monotonic_ms()
      local came = act()
      local took = (core.clock.monotonic_ms() - began) / 1000
      assert.is_true(took >= seconds and took <= 5, ("%.2f s"):format(took))
      return came
    end

    --- Send a byte each 50 ms, until the server says something; all that, to its end.
    local function drip(c, bytes)
      for i = 1, #bytes do
        c:send(bytes:sub(i, i))
        local came, how = c:read { max = 1, timeout = 50 }
        if how ~= "timeout" then return came .. c:read() end
      end
    end

    it("a ClientHello that comes byte by byte", function()
      start "handshake_ms=500"
      local hello = rawtls.hello(1, "\xc0\x2b")
      assert.equal("", ended(0.4, function() return drip(connect { plain = true }, hello) end))
      server:wait "handshake\t127.0.0.1\tthe TLS handshake took too long"
    end)

    it("a header that comes byte by byte", function()
      start "header_ms=500"
      assert.matches("^HTTP/1.1 408 ", ended(0.4, function()
        return drip(connect(), GET:format "/describe")
      end))
    end)

    it("the first request after the handshake, without a word", function()
      start "header_ms=400"
      assert.equal("", ended(0.3, function() return (connect():read()) end))
    end)

    it("a body that comes byte by byte", function()
      start "body_ms=500"
      assert.matches("^HTTP/1.1 408 ", ended(0.4, function()
        return drip(sent(POST .. "Content-Length: 100" .. END), ("x"):rep(100))
      end))
      server:wait "abort\t/echo\ttimeout"
    end)

    it("the answer of the Lua side", function()
      start "answer_ms=400"
      assert.matches("^HTTP/1.1 503 .*Retry%-After: 10\r\n", ended(0.3, function()
        return (server:raw(GET:format "/never"))
      end))
      server:wait "abort\t/never\ttimeout"
    end)

    it("a client that never reads a large answer", function()
      start "write_ms=500"
      sent(GET:format "/big", { rcvbuf = 4096 })
      server:wait "request\tGET\t/big"
      server:wait_connections(1)
      server:wait_connections(0, 5)
    end)

    it("silence between two requests", function()
      start "idle_ms=400"
      assert.matches("^HTTP/1.1 204 ", ended(0.3, function()
        return (server:raw(GET:format "/empty"))
      end))
    end)
  end)

  it("ends a connection after so many requests, and says so before", function()
    start "requests_per_connection_max=2"
    local c = sent(GET:format "/empty")
    assert.matches("^HTTP/1.1 204 No Content\r\nDate: [^\r]+\r\nX%-Request%-Id: [%w-]+\r\n\r\n$",
      (c:read { stop = END }))
    assert(c:send(GET:format "/empty"))
    local came, how = c:read()
    assert.matches("\r\nConnection: close\r\n\r\n$", came)
    assert.equal("eof", how)
  end)

  it("refuses a request beyond those under way, before anybody sees it", function()
    start "requests_max=1"
    local busy = sent(GET:format "/never")
    server:wait "request\tGET\t/never"
    assert.matches("^HTTP/1.1 503 .*Retry%-After: 10\r\n", (server:raw(GET:format "/describe")))
    assert.is_nil(server:said():find "describe")
    busy:drop()
    server:wait "abort\t/never\tclosed"
    local _, code = server:curl("/empty", "-w", "%{http_code}")
    assert.equal("204", code)
  end)

  describe("when the client leaves:", function()
    -- Before it leaves: what it sends, over TLS or not, what the server then says, and how far it
    -- reads the answer.
    for _, stage in ipairs {
      { "before the handshake", plain = true },
      { "in the handshake", "\22\3\1", plain = true },
      { "after the handshake" },
      { "in the header", "GET / HTT" },
      { "in the body", POST .. "Content-Length: 9" .. END .. "abc", said = "head\tPOST",
        abort = "abort\t/echo\tclosed" },
      { "in a chunk", POST .. "Transfer-Encoding: chunked" .. END .. "5\r\nab",
        said = "head\tPOST", abort = "abort\t/echo\tclosed" },
      { "before the answer", GET:format "/never", said = "request\tGET",
        abort = "abort\t/never\tclosed" },
      { "before the answer, having sent more", (GET:format "/never"):rep(1000),
        said = "request\tGET" },
      { "in the answer", GET:format "/big", stop = "xxxx" },
      { "after the answer", GET:format "/empty", stop = END },
    } do
      for _, way in ipairs { "drop", "reset" } do
        it(stage[1] .. " (" .. way .. ")", function()
          -- Short only where no answer is meant to come.
          start("answer_ms=" .. (stage.stop and 20000 or 1000))
          local c = connect { plain = stage.plain }
          if stage[2] then assert(c:send(stage[2])) end
          if stage.said then server:wait(stage.said) end
          if stage.stop then
            assert.equal("ok", select(2, c:read { stop = stage.stop, timeout = 20000 }))
          end
          c[way](c)
          if stage.abort then server:wait(stage.abort) end
          server:wait_connections(0, 5)
          assert.same({ 0, 0 }, { server:count() })
          assert.equal(0, (server:curl "/describe"))
        end)
      end
    end

    for _, version in ipairs { "1.2", "1.3" } do
      it("only halfway, it still gets its answer, TLS " .. version, function()
        start()
        for _, way in ipairs { "fin", "notify", "half_close" } do
          local c = sent(GET:format "/slow", { min = version, max = version })
          c[way](c)
          assert.matches("\r\n\r\nslow\n$", (c:read()), way)
        end
        assert.is_nil(server:said():find "answered\tfalse")
      end)

      it("it is noticed while the answer is being made, TLS " .. version, function()
        start()
        local c = sent(GET:format "/slow?0.5", { min = version, max = version })
        server:wait "request\tGET\t/slow"
        c:drop()
        server:wait "abort\t/slow%?0.5\tclosed\tclosed\n.*answered"
      end)
    end
  end)

  describe("at its bounds:", function()
    it("counts by address, before TLS", function()
      start "connections_per_address_max=2"
      local two = idle(2)
      server:wait_connections(2)
      assert.is_nil((server:connect()))
      assert.equal(204, connect({ from = "127.0.0.2" }):request(GET:format "/empty").status)
      for _, c in ipairs(two) do c:drop() end
      server:wait_connections(1)
      assert.equal(204, connect():request(GET:format "/empty").status)
    end)

    it("closes the connection that was idle longest for a new one, never a busy one", function()
      start "connections_max=3"
      local busy = sent(GET:format "/slow?2")
      server:wait "request\tGET\t/slow"
      local two = idle(2)
      assert.equal(204, connect():request(GET:format "/empty").status)
      assert.equal(1, held(two))
      assert.equal("slow\n", busy:response().body)
    end)

    for what, bytes in pairs {
      head = "GET / HTT", body = POST .. "Content-Length: 9" .. END .. "abc",
      answer = GET:format "/big",
    } do
      it("closes the oldest for a new one, too, where its " .. what .. " takes its time", function()
        start("connections_max=2", "header_ms=60000", "body_ms=60000", "write_ms=60000")
        for _ = 1, 2 do
          local c = connect { rcvbuf = 4096 }
          assert.equal(204, c:request(GET:format "/empty").status)
          assert(c:send(bytes))
        end
        process.settle(server.pid) -- it has read what was sent
        for _ = 1, 3 do
          local c <close> = connect { timeout = 30000 }
          assert.equal(204, c:request(GET:format "/empty", { timeout = 30000 }).status)
        end
      end)
    end

    it("leaves new ones waiting while all are busy", function()
      start "connections_max=2"
      local first, second = sent(GET:format "/slow?2"), sent(GET:format "/slow?2")
      server:wait "request.*request"
      assert.equal(204, connect { timeout = 20000 }:request(GET:format "/empty").status)
      -- It got in because one of them was done.
      server:wait "answered\ttrue"
      for _, c in ipairs { first, second } do assert.equal("slow\n", c:response().body) end
    end)

    it("bears 1,000 idle connections and still answers", function()
      -- They may wait for the last one longer than the server waits for a first request by default.
      start("connections_per_address_max=2000", "header_ms=60000")
      local many = idle(1000)
      assert.equal(204, connect():request(GET:format "/empty").status)
      assert.equal(1000, held(many))
      server.client:close()
      server:wait_connections(0)
    end)

    it("waits without spinning when there are no descriptors left", function()
      start()
      process.must(("prlimit --pid %d --nofile=16"):format(server.pid))
      local all = idle(4)
      for _ = 1, 21 do all[#all + 1] = connect { plain = true } end
      process.must "sleep 1"
      local stat = process.read(("/proc/%d/stat"):format(server.pid)):match "%) (.*)"
      local fields = {}
      for field in stat:gmatch "%S+" do fields[#fields + 1] = tonumber(field) or field end
      assert.is_true(fields[12] + fields[13] < 50, "the server spins")
      assert.matches("no file descriptor is left", process.read(server.err))
      for _, c in ipairs(all) do c:drop() end
      server:wait_connections(0, 5)
      assert.equal(0, (server:curl "/describe"))
    end)
  end)

  describe("when it is told to", function()
    it("stops accepting, closes idle connections, and lets the busy ones finish", function()
      start()
      local slow, done = sent(GET:format "/slow?0.5"), connect()
      assert.equal(204, done:request(GET:format "/empty").status)
      server:wait "request.*request"
      process.kill(server.pid, "USR2")
      assert.same({ "", "eof" }, { done:read() })
      local answer = slow:response()
      assert.same({ "slow\n", "close" }, { answer.body, answer.headers.connection })
      local refused, how = server:connect()
      assert.same({ nil, "reset" }, { refused, how })
      slow:drop()
      server:wait_connections(0)
      assert.same({ 0, 0 }, { server:count() })
    end)

    it("pauses and resumes", function()
      start()
      process.kill(server.pid, "TTIN")
      local c = connect { plain = true }
      assert(c:send(server.client:hello()))
      assert.same({ "", "timeout" }, { c:read { timeout = 300 } })
      process.kill(server.pid, "TTOU")
      assert.equal("\22", (c:read { max = 1 }))
    end)

    it("closes everything at once, from inside a callback too", function()
      start()
      local three = idle(3)
      server:raw((GET:format "/close"):rep(3))
      assert.equal(0, held(three))
      assert.is_true(process.alive(server.pid))
      assert.equal("", process.read(server.err))
    end)
  end)

  it("drops plain HTTP, and says what it was", function()
    start()
    assert.is_nil(server:raw(GET:format "/", { plain = true }):find "HTTP")
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
