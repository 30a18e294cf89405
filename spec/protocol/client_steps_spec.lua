-- A client's connection that is driven by hand: what is sent is what was said, and answers are read
-- strictly and within bounds.
local core = require "lest.core"
local est = require "support.est"
local lest_client = require "lest.client"
local support = require "support.server"
local task = require "lest.task"

local http = est.http

describe("a connection that is driven by hand", function()
  local world, server, client

  setup(function() world = est.world() end)
  teardown(function() world:close() end)
  before_each(function()
    server = world:serve()
    client = world:client(server)
  end)
  after_each(function()
    client:close()
    server:stop()
  end)

  local function ask(bytes, options)
    if not client.connection then assert(client:connect()) end
    server:answer(bytes)
    assert(client:send { path = "/x" })
    return client:receive(options)
  end

  local function refused(code, bytes, options)
    local response, err = ask(bytes, options)
    assert.is_nil(response)
    assert.equal(code, err.code, tostring(err))
    client.connection:close()
    client.connection = nil
    return err
  end

  it("can be looked at", function()
    local connection <close> = assert(client:connect())
    assert.same({ "TLSv1.3", "explicit", "localhost", server.port },
      { connection.tls.version, connection.tls.trust, connection.tls.host, connection.port })
    assert.equal(world.server.cert, connection.tls.chain[1])
    assert.same({ world.server.cert, world.root.cert }, connection.tls.path)
  end)

  it("7030-3.6-a is verified before a byte is sent", function()
    local stranger = world.pki:root "stranger2"
    local distrusting <close> = world:client(server, { trust = stranger.path })
    local made, err = distrusting:connect()
    assert.is_nil(made)
    assert.equal("trust", err.code)
    local other = world.pki:issue("other2", { by = world.root, ext = est.server_ext "DNS:other" })
    server:stop()
    server = world:serve { entity = other }
    client:close()
    client = world:client(server)
    made, err = client:connect()
    assert.is_nil(made)
    assert.matches("not for localhost", tostring(err))
    assert.same({}, server:requests())
  end)

  it("says that there is no server, that it is silent, or wants a certificate", function()
    local closed <close> = world:client { url = "https://localhost:1" }
    assert.equal("network", select(2, closed:connect()).code)
    server:on_connect { "stall" }
    local hasty <close> = world:client(server, { timeout = 1 })
    assert.equal("timeout", select(2, hasty:connect()).code)
    server:stop()
    server = world:serve { ca = world.root.path }
    local stranger = world.pki:issue("nobody", { by = world.pki:root "no-root" })
    local nobody <close> = world:client(server, { cert = stranger.path, key = stranger.key })
    local made, err = nobody:connect()
    if made then made, err = nobody:receive() end -- TLS 1.3: the alert comes after our handshake
    assert.is_nil(made)
    assert.equal("unauthenticated", err.code, tostring(err))
  end)

  it("sends an operation as the client would, or as one likes", function()
    assert(client:connect())
    server:answer(http(200), 3)
    local csr = assert(core.csr.build { key = world.key, subject = "CN=x" })
    assert(client:send { operation = "simpleenroll", body = csr })
    assert(client:receive())
    assert(client:send { operation = "simpleenroll", body = "no CSR",
      headers = { ["Content-Type"] = "text/plain", ["content-transfer-encoding"] = false } })
    assert(client:receive())
    assert(client:send { method = "PUT", path = "/a b", headers = { Host = "evil" } })
    local requests = server:requests()
    assert.same({ "POST", "/.well-known/est/simpleenroll", "application/pkcs10", "base64" },
      { requests[1].method, requests[1].target, requests[1].headers["content-type"],
        requests[1].headers["content-transfer-encoding"] })
    assert.equal(csr, est.csr_of(requests[1]))
    assert.same({ "text/plain", "no CSR" }, { requests[2].headers["content-type"],
      requests[2].body })
    assert.is_nil(requests[2].headers["content-transfer-encoding"])
    assert.equal(requests[1].connection, requests[2].connection)
  end)

  it("sends exactly these bytes", function()
    local raw = "GET  /\tx HTTP/9.9\r\nbro\0ken\n\n\255"
    local bytes <close> = world:serve()
    local other <close> = world:client(bytes)
    assert(other:connect())
    assert(other:send { raw = "GET /x HTTP/1.1\r\nHost: a\r\nX:  two  \r\n\r\n" })
    assert.equal("GET /x HTTP/1.1\r\nHost: a\r\nX:  two  \r\n\r\n", bytes:request().head)
    assert(client:connect())
    assert(client:send { raw = raw })
    local refusal = assert(server:wait("refused", 1))[1]
    assert.equal(raw:sub(1, #refusal.bytes), refusal.bytes)
  end)

  it("lets no line end into a head but by raw", function()
    assert(client:connect())
    for _, what in ipairs { { path = "/x\r\nX: y" }, { method = "GET\n" },
      { path = "/", headers = { X = "a\r\nY: b" } },
      { path = "/", headers = { ["X\r\nY"] = "b" } } } do
      assert.has_error(function() client:send(what) end)
    end
    assert.has_error(function() client:send { operation = "nothing" } end)
    assert.has_error(function() client:send { pth = "/" } end)
  end)

  it("7030-6-b sends a password only when told to, and where explicit anchors vouch",
    function()
    server:answer(http(200), 3)
    local me <close> = world:client(server, { username = "u", password = "p" })
    assert(me:connect())
    assert(me:send { path = "/x" })
    assert(me:receive())
    assert(me:send { path = "/x", password = true })
    assert(me:receive())
    local requests = server:requests()
    assert.is_nil(requests[1].headers.authorization)
    assert.equal("Basic dTpw", requests[2].headers.authorization)
    me.session.anchors = "system"
    assert.equal("trust", select(2, me:send { path = "/x", password = true }).code)
    assert(client:connect())
    assert.equal("usage", select(2, client:send { path = "/x", password = true }).code)
  end)

  it("reads answers of every framing, in any pieces", function()
    local response = assert(ask { { trickle = http(200, { ["X-A"] = "b" }, "hello"), gap = 1 } })
    assert.same({ 200, "b", "hello" }, { response.status, response:header "x-a", response.body })
    assert.equal(http(200, { ["X-A"] = "b" }, "hello"), response.raw)
    response = assert(ask("HTTP/1.1 103 Early\r\nX: no\r\n\r\nHTTP/1.1 200 OK\r\n"
      .. "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: x\r\n\r\n"))
    assert.same({ "abc", nil }, { response.body, response:header "X" })
    assert.equal(204, assert(ask "HTTP/1.1 204\r\n\r\n").status)
    assert(client:send { method = "HEAD", path = "/x" })
    server:answer "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
    assert.equal("", assert(client:receive()).body)
    response = assert(ask { "HTTP/1.0 200 OK\r\n\r\nto the end", "close" })
    assert.equal("to the end", response.body)
  end)

  it("keeps what came behind an answer for the next", function()
    assert(client:connect())
    server:answer(http(200, {}, "one") .. http(404, {}, "two"))
    assert(client:send { path = "/x" })
    assert.equal("one", assert(client:receive()).body)
    local second = assert(client:receive())
    assert.same({ 404, "two", http(404, {}, "two") }, { second.status, second.body, second.raw })
  end)

  local MALFORMED <const> = {
    ["no status line"] = "hello\r\n\r\n",
    ["another protocol"] = "HTTP/2 200\r\n\r\n",
    ["a status that is none"] = "HTTP/1.1 20x OK\r\n\r\n",
    ["line ends without CR"] = "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    ["a header without a colon"] = "HTTP/1.1 200 OK\r\nbroken\r\n\r\n",
    ["a folded header"] = "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
    ["a zero byte"] = "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
    ["a second status line"] = "HTTP/1.1 200 OK\r\nX: a\r\nHTTP/1.1 201 OK\r\n\r\n",
    ["two lengths"] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ["a length and chunks"] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
      .. "Transfer-Encoding: chunked\r\n\r\n",
    ["a bad chunk"] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
  }
  for what, bytes in pairs(MALFORMED) do
    local id = what:find "lengths" and "9112-6.3-b " or ""
    it(id .. "refuses " .. what .. ", with the bytes", function()
      local err = refused("protocol", bytes)
      assert.equal(bytes, err.raw)
      if what:find "CR" then assert.matches("ends without a CR", err.message) end
    end)
  end

  it("reads no more than it may", function()
    refused("too_large", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
    refused("too_large", "HTTP/1.1 200 OK\r\n" .. ("X: y\r\n"):rep(300) .. "\r\n")
    refused("too_large", "HTTP/1.1 200 OK\r\nX: " .. ("y"):rep(300000))
    refused("too_large", ("HTTP/1.1 100 Continue\r\n\r\n"):rep(200000))
    refused("too_large", "HTTP/1.1 200 OK\r\n\r\n" .. ("y"):rep(5 * 1024 * 1024))
  end)

  it("says after how many bytes it ended, or how many it had in time", function()
    local part = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal"
    for _, how in ipairs { "close", "drop", "reset" } do
      local err = refused("closed", { part, how })
      if how ~= "reset" then
        assert.matches(("after %d bytes: the answer was cut short"):format(#part), err.message)
      end
      assert.equal(part, err.raw)
    end
    refused("closed", { "HTTP/1.1 200 OK\r\n\r\nno end", "drop" })
    refused("closed", { "", "close" })
    local err = refused("timeout", { part, "stall" }, { timeout = 1 })
    assert.matches(("but %d bytes"):format(#part), err.message)
  end)

  it("does one operation at a time, several connections all at once", function()
    local one, two = assert(client:connect()), assert(client:connect())
    assert.equal(two, client.connection)
    server:answer { { delay = 100 }, http(200, {}, "a") }
    server:answer(http(200, {}, "b"))
    assert(one:send { path = "/1" })
    assert(server:wait("request", 1))
    local first = task.spawn(function() return assert(one:receive()).body end)
    assert.has_error(function() one:receive() end)
    assert(two:send { path = "/2" })
    local bodies = { assert(two:receive()).body, first:wait() }
    table.sort(bodies) -- which request takes which answer is not said
    assert.same({ "a", "b" }, bodies)
    one:close()
    two:close()
    assert.has_error(function() two:send { path = "/" } end)
  end)

  it("is closed where a task that waits for it is cancelled", function()
    assert(client:connect())
    server:answer { "stall" }
    assert(client:send { path = "/x" })
    local waiting = task.spawn(function() client:receive() end)
    waiting:cancel()
    assert(server:wait("closed", 1))
    client.connection = nil
  end)

  it("ends what another task waits for when it is closed", function()
    local connection = assert(client:connect())
    server:answer { "stall" }
    assert(client:send { path = "/x" })
    local results
    local waiting = task.spawn(function() results = table.pack(client:receive()) end)
    assert(server:wait("request", 1))
    connection:close()
    assert.is_true(waiting.done)
    assert.same({ nil, "closed", "" }, { results[1], results[2].code, results[2].raw })
    connection:close()
    client.connection = nil
  end)

  it("needs one: there is none without connect", function()
    assert.has_error(function() client:send { path = "/" } end)
    assert.has_error(function() client:receive() end)
  end)

  it("tells a trace", function()
    local kinds = {}
    client.trace = function(event) kinds[#kinds + 1] = event.kind end
    assert(client:connect())
    server:answer(http(200))
    assert(client:send { path = "/x" })
    assert(client:receive())
    assert(client:send { raw = "?\r\n\r\n" })
    assert.is_nil((client:receive { timeout = 1 }))
    assert.equal("connect tls request answer request failure", table.concat(kinds, " "))
  end)
end)

describe("a connection to lest serve", function()
  it("asks and is told off", function()
    local server = support.start()
    local client <close> = lest_client { url = server.url, trust = server.root }
    assert(client:connect())
    assert(client:send { operation = "cacerts" })
    assert.equal("application/pkcs7-mime", assert(client:receive()):header "Content-Type")
    assert(client:send { operation = "simpleenroll", body = "no CSR" })
    assert.equal(401, assert(client:receive()).status)
    assert(client:send { raw = "broken\r\n\r\n" })
    assert.equal(400, assert(client:receive()).status)
    assert.equal("closed", select(2, client:receive()).code)
    server:stop()
  end)
end)
