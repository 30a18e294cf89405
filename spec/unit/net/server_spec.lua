-- The HTTPS server's exchanges: keeping connections, unwanted bodies, Expect, and the Lua side.
local https = require "support.https"
local process = require "support.process"

local GET <const> = "GET %s HTTP/1.1\r\nHost: x\r\n\r\n"

describe("the server", function()
  local folder, server

  setup(function() folder = https.identity() end)
  teardown(function() os.execute("rm -rf " .. folder) end)
  after_each(function() if server then server:stop() end server = nil end)

  local function start(...)
    server = https.start(folder, ...)
    return server
  end

  it("hands over method, target, headers and the TLS facts", function()
    start()
    local code, out = server:curl("/describe?a=b", "-H", "X: 1", "-H", "x: 2")
    assert.equal(0, code)
    assert.matches("\nmethod=GET\ntarget=/describe%?a=b\npath=/describe\nquery=a=b\n", out)
    assert.matches("\nversion=1.1\naddress=127.0.0.1\naborted=false\nbody=0\n", out)
    -- OpenSSL 3.5 prefers the group in which ML-KEM stands beside it.
    assert.matches("\ntls.version=TLSv1.3\ntls.cipher=TLS_[^\n]*\ntls.group=[xX]25519%w*\n", out)
    assert.matches("\ntls.client_certificate=false\nchain=nil\nsubject=nil\n", out)
    assert.matches("\nhost=localhost:%d+\nx=1|2\n$", out)
  end)

  it("keeps a connection for the next request", function()
    start()
    local _, out = server:curl("/describe", server.url .. "/describe", "-w", "%{num_connects} ")
    assert.matches("^id=%S+%-1\n.*1 id=%S+%-2\n.*0 $", out)
  end)

  it("9112-6.1-a gives a chunked body as it was before chunking", function()
    start()
    local client <close> = assert(server:connect())
    client:send "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    client:send "4;a=b\r\nabcd\r\n"
    client:send "3\r\nefg\r\n0\r\nX-Trailer: y\r\n\r\n"
    assert.equal("abcdefg", client:response().body)
  end)

  it("9110-9.1-a answers HEAD with the headers of GET and no body", function()
    start()
    local out = server:raw "HEAD /describe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert.matches("^HTTP/1.1 200 OK\r\n.*Content%-Length: %d%d+\r\n.*\r\n\r\n$", out)
  end)

  it("9112-9.3-a closes after an HTTP/1.0 request, and keeps it on demand", function()
    start()
    local out = server:raw "GET /describe HTTP/1.0\r\n\r\n"
    assert.matches("Connection: close\r\n.*version=1.0\n", out)
    local client <close> = assert(server:connect())
    client:send "GET /describe HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    assert.equal("keep-alive", client:response().headers.connection)
    assert.equal("close",
      client:request("GET /describe HTTP/1.0\r\n\r\n").headers.connection)
  end)

  it("sends 204 without a length", function()
    start()
    local _, out = server:curl("/empty", "-i")
    assert.matches("^HTTP/1.1 204 No Content\r\nDate: [^\r]+\r\nX%-Request%-Id: [%w-]+\r\n\r\n$",
      out)
  end)

  it("answers what the parser refuses with its status and sentence, and closes", function()
    start()
    local out = server:raw "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 6\r\n\r\n"
    assert.matches("^HTTP/1.1 400 Bad Request\r\n.*Connection: close\r\n\r\n[%w%- ]+%.\n$",
      out)
    assert.matches("^HTTP/1.1 501 ", server:raw "FOO / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert.matches("^HTTP/1.1 505 ", server:raw "GET / HTTP/2.0\r\nHost: x\r\n\r\n")
    assert.matches("^HTTP/1.1 417 ", server:raw "GET / HTTP/1.1\r\nHost: x\r\nExpect: foo\r\n\r\n")
    assert.matches("^HTTP/1.1 431 ",
      server:raw("GET / HTTP/1.1\r\nHost: x\r\nX: " .. ("x"):rep(17000)))
    assert.is_nil(server:said():find "head")
  end)

  it("answers pipelined requests in their order", function()
    start()
    local client <close> = assert(server:connect())
    client:send(GET:format "/slow" .. GET:format "/describe" .. GET:format "/echo")
    assert.equal("slow\n", client:response().body)
    assert.matches("^id=%S+%-2\n", client:response().body)
    local last = client:response()
    assert.same({ 200, "" }, { last.status, last.body })
  end)

  describe("and a sealed file:", function()
    local SIZE <const> = 8 * 1024 * 1024

    it("sends it from where it is, to one who reads slowly too", function()
      start()
      local client <close> = assert(server:connect())
      local head = GET:format "/sealed"
      client:send(head .. head)
      for _ = 1, 2 do
        local answer = client:response()
        assert.equal(tostring(SIZE), answer.headers["content-length"])
        assert.is_true(answer.body == ("0123456789abcdef"):rep(SIZE // 16))
      end
    end)

    it("9110-9.1-a sends none of it to HEAD, and answers what comes next", function()
      start()
      local out = server:raw("HEAD /sealed HTTP/1.1\r\nHost: x\r\n\r\n"
        .. "GET /describe HTTP/1.0\r\n\r\n")
      assert.matches("^HTTP/1.1 200 OK\r\n[^\0]-Content%-Length: 8388608\r\n\r\nHTTP/1.1 200", out)
    end)

    it("lets go of it where the client leaves in the middle", function()
      start()
      local client <close> = assert(server:connect())
      client:send(GET:format "/sealed")
      server:wait "request\tGET\t/sealed"
      client:close()
      server:wait_connections(0)
    end)
  end)

  describe("and a body that is not wanted:", function()
    it("9112-9.6-a lets the client read the answer, whatever it still sends", function()
      start()
      local zeros = server.scratch .. "/zeros"
      process.must { "truncate", "-s", "50M", zeros }
      for _, expect in ipairs { "Expect:", "Expect: 100-continue" } do
        local code, out, err = server:curl("/refuse", "-i", "-H", expect, "--data-binary",
          "@" .. zeros)
        assert.equal(0, code, err)
        assert.matches("HTTP/1.1 401 Unauthorized\r\n.*Connection: close\r\n.*who%?\n$", out)
      end
    end)

    it("keeps the connection when little is left to read", function()
      start()
      local _, out = server:curl("/refuse", server.url .. "/describe", "-d", "abc", "-w",
        "%{num_connects} ")
      assert.matches("^who%?\n1 .*\nbody=3\n.*0 $", out)
    end)

    it("keeps it too when the rest is chunked, and comes late", function()
      start()
      local client <close> = assert(server:connect())
      client:send "POST /refuse HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"
      assert.equal("who?\n", client:response().body)
      client:send "cde\r\n0\r\n\r\nPOST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok"
      assert.equal("ok", client:response().body)
    end)

    it("stops reading when the answer comes in the middle of it", function()
      start()
      local client <close> = assert(server:connect())
      client:send "POST /late-refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 65535\r\n\r\nabc"
      local answer = client:response()
      assert.same({ 403, "no\n" }, { answer.status, answer.body })
      client:send(("x"):rep(65532) .. "GET /empty HTTP/1.1\r\nHost: x\r\n\r\n")
      assert.equal(204, client:response().status)
    end)

    it("9110-15.5.14-a refuses a large one by its length, without reading it", function()
      start("body_max=1000")
      local out = server:raw "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"
      assert.matches("^HTTP/1.1 413 ", out)
      server:wait "abort\t/echo\trefused\trefused"
      assert.matches("^HTTP/1.1 413 ", server:raw("POST /echo HTTP/1.1\r\nHost: x\r\n"
        .. "Transfer-Encoding: chunked\r\n\r\n3e9\r\n" .. ("x"):rep(1001)))
      assert.is_nil(server:said():find "request")
    end)
  end)

  describe("and Expect:", function()
    it("9110-10.1.1-a sends 100 when the head was not refused", function()
      start()
      local client <close> = assert(server:connect())
      client:send "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
      client:send "Expect: 100-continue\r\n\r\n"
      assert.equal("HTTP/1.1 100 Continue\r\n\r\n", client:response().raw)
      local answer = client:request "abc"
      assert.same({ 200, "abc" }, { answer.status, answer.body })
    end)

    it("9110-10.1.1-b ignores it on HTTP/1.0", function()
      start()
      local client <close> = assert(server:connect())
      client:send "POST /echo HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc"
      assert.matches("^HTTP/1.1 200 OK\r\n.*abc$", (client:read()))
    end)
  end)

  describe("and the Lua side:", function()
    it("answers 500 without detail when a callback raises", function()
      start()
      for _, path in ipairs { "/raise", "/raise-head" } do
        local _, out = server:curl(path, "-i", "-d", "abc")
        assert.matches("^HTTP/1.1 500 Internal Server Error\r\n", out)
        assert.matches("\r\n\r\n$", out)
      end
      assert.matches("in the request", process.read(server.err))
    end)

    it("raises for a second answer, which changes nothing", function()
      start()
      local _, out = server:curl "/twice"
      assert.equal("once\n", out)
      server:wait "second\tfalse\t[^\n]*answered already"
    end)

    it("never splits a response", function()
      start()
      local _, out = server:curl("/split", "-i")
      assert.matches("^HTTP/1.1 500 ", out)
      assert.is_nil(out:find "Set%-Cookie")
      server:wait "split\tnil\t"
    end)

    it("may keep an exchange longer than the server does", function()
      start()
      server:curl("/keep?1", "-d", "abc")
      local _, out = server:curl "/kept"
      assert.matches("target=/keep%?1\n.*\naborted=false\nbody=3\n", out)
      server:wait "kept\tfalse\t[^\n]*closed lest.exchange"
    end)

    it("may collect garbage at any moment", function()
      server = https.start(folder, "STRESS")
      for _ = 1, 5 do
        local code, out = server:curl("/describe", server.url .. "/echo", "-d", "abc")
        assert.equal(0, code)
        assert.matches("body=3\n.*abc$", out)
      end
      local c = assert(server:connect())
      c:send(GET:format "/slow?0.2")
      server:wait "request\tGET\t/slow"
      c:drop()
      server:wait "abort"
    end)

    it("cannot set the headers that frame a message", function()
      start()
      server:curl "/framing"
      server:wait "framing\tfalse\t[^\n]*Content%-Length is set by the server"
    end)
  end)
end)
