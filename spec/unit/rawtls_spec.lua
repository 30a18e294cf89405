-- The fixtures raw_client and raw_server, against each other.
local core = require "lest.core"
local pki = require "support.pki"
local raw_client = require "support.raw_client"
local raw_server = require "support.raw_server"

describe("raw fixtures", function()
  local ca, root, leaf, device, client
  setup(function()
    ca = pki.new()
    root = ca:root "root"
    leaf = ca:issue("localhost", { by = root, ext = "subjectAltName = DNS:localhost,IP:127.0.0.1" })
    device = ca:issue("device", { by = root, ext = "extendedKeyUsage = clientAuth" })
    client = raw_client.new()
  end)
  teardown(function()
    client:close()
    ca:__close()
  end)

  local function start(settings)
    settings = settings or {}
    settings.cert, settings.key = leaf.path, leaf.key
    return raw_server.start(settings)
  end

  it("answer requests in order and record them", function()
    local server <close> = start()
    server:answer(raw_server.http(200, { ["X-A"] = "b" }, "hello"))
    server:answer(raw_server.http(204))
    server:answer "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    local c = assert(client:connect { port = server.port, ca = root.path })
    local answer = c:request "GET /one HTTP/1.1\r\nHost: h\r\n\r\n"
    assert.same({ 200, "hello", "b", "ok" }, { answer.status, answer.body, answer.headers["x-a"],
      answer.how })
    assert.equal(204,
      c:request("POST /two HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nxyz").status)
    assert.equal("abc",
      c:request("POST /three HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" ..
      "2\r\nhi\r\n0\r\n\r\n").body)
    c:close()
    local requests = assert(server:wait("closed", 1)) and server:requests()
    assert.equal(3, #requests)
    assert.same({ "GET", "/one", "" }, { requests[1].method, requests[1].target, requests[1].body })
    assert.same({ "xyz", "3" }, { requests[2].body, requests[2].headers["content-length"] })
    assert.equal("hi", requests[3].body)
    assert.equal(1, requests[3].connection)
    assert.equal("eof", server:all("closed")[1].how)
  end)

  it("choose versions and certificates, and agree on bindings", function()
    for _, version in ipairs { "1.2", "1.3" } do
      local server <close> = start { ca = root.path, min = version, max = version }
      local c = assert(client:connect { port = server.port, ca = root.path, cert = device.path,
        key = device.key,
        sni = "localhost" })
      local seen = assert(server:wait("tls", 1))[1].info
      assert.equal("TLSv" .. version, seen.version)
      assert.equal(device.cert:der(), seen.peer)
      assert.equal(leaf.cert:der(), c.info.peer)
      assert.equal("localhost", seen.sni)
      assert.equal(32, #seen.exporter)
      assert.equal(seen.exporter, c:facts().exporter)
      assert.equal(seen.peer_finished, c:facts().finished)
      c:close()
    end
  end)

  it("resume sessions", function()
    for _, version in ipairs { "1.2", "1.3" } do
      local server <close> = start { tickets = 2, max = version }
      server:answer(raw_server.http(200), 2)
      local first = assert(client:connect { port = server.port })
      first:request "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
      first:close()
      local second = assert(client:connect { port = server.port, session = first })
      assert.is_true(second.info.reused)
      assert.is_false(first.info.reused)
    end
  end)

  it("say how a handshake failed", function()
    local server <close> = start { min = "1.3" }
    local c, how, reason = client:connect { port = server.port, max = "1.2" }
    assert.is_nil(c)
    assert.equal("alert", how)
    assert.matches("protocol version", reason)
    assert.equal("alert", assert(server:wait("failed", 1))[1].how)
    assert.is_nil(client:connect { port = 1 })
    server:on_connect "not TLS at all\r\n"
    assert.equal("alert", select(2, client:connect { port = server.port, timeout = 1000 }))
    server:on_connect "stall"
    assert.equal("timeout", select(2, client:connect { port = server.port, timeout = 100 }))
    server:on_connect "drop"
    assert.equal("cut", select(2, client:connect { port = server.port, timeout = 1000 }))
  end)

  it("show each way to end: in order, without close_notify, by reset, by silence", function()
    local server <close> = start()
    for step, how in pairs { close = "eof", drop = "cut", reset = "reset", stall = "timeout",
      half = "eof" } do
      server:answer { "part", { delay = 20 }, step }
      local c = assert(client:connect { port = server.port })
      c:send "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
      local bytes, seen = c:read { timeout = 300 }
      assert.same({ step, "part", how }, { step, bytes, seen })
      c:drop()
    end
    assert(server:wait("closed", 5)) -- what those connections say of their end comes first
    for method, how in pairs { close = "eof", drop = "cut", reset = "reset", half_close = "eof" } do
      local c = assert(client:connect { port = server.port })
      local count = #server:all "closed"
      c:send "GET / HTTP/1.1\r\nHost: h\r\n"
      assert(server:wait("tls", 1))
      c[method](c)
      local closed = assert(server:wait("closed", count + 1))
      assert.same({ method, how }, { method, closed[#closed].how })
    end
    assert.equal("GET / HTTP/1.1\r\nHost: h\r\n", server:all("partial")[1].bytes)
  end)

  it("send slowly, and begin an answer before the body", function()
    local server <close> = start()
    server:answer { "head", "HTTP/1.1 100 Continue\r\n\r\n", "body",
      { trickle = raw_server.http(200, {}, "slow"),
      chunk = 10, gap = 5 } }
    local c = assert(client:connect { port = server.port })
    c:trickle("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n", 7, 2)
    assert.equal(100, c:response().status)
    c:send "body"
    assert.equal("slow", c:response().body)
    assert.equal("body", server:request().body)
    assert.is_nil(server:request(50))
  end)

  it("hold plain connections, and a handshake byte by byte", function()
    local server <close> = start()
    local c = assert(client:connect { port = server.port, plain = true })
    local hello = client:hello { sni = "localhost" }
    assert.equal("\x16\x03", hello:sub(1, 2))
    assert.equal(#hello, c:trickle(hello, 100, 1))
    assert.equal("\x16\x03\x03", c:read { max = 3 })
    c:reset()
    local again = assert(client:connect { port = server.port, plain = true })
    assert(again:tls { ca = root.path })
  end)

  it("answer while the spec waits, as many as there are", function()
    local server <close> = start()
    server:answer(raw_server.http(200, {}, ("x"):rep(300000)), 3)
    for _ = 1, 3 do
      local c <close> = assert(client:connect { port = server.port })
      assert.equal(300000,
        #c:request("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n" ..
        ("y"):rep(200000)).body)
    end
    assert.equal(200000, #server:request().body)
    local many = {}
    for i = 1, 50 do many[i] = assert(client:connect { port = server.port }) end
    assert.equal(53, #assert(server:wait("tls", 53)))
    server:answer(raw_server.http(202), 50)
    for i = 1, 50 do assert.equal(202,
      many[i]:request("GET / HTTP/1.1\r\nHost: h\r\n\r\n").status) end
  end)

  it("record what no parser takes", function()
    local server <close> = start()
    local c = assert(client:connect { port = server.port })
    c:send "GET / HTTP/1.1\nHost: h\n\n"
    assert.equal("GET / HTTP/1.1\nHost: h\n\n", assert(server:wait("refused", 1))[1].bytes)
    assert.is_nil(core.http.parse_request(server:all("refused")[1].bytes))
  end)
end)
