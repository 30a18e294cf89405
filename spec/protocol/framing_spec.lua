-- HTTP/1.1 on the wire, byte by byte, against the whole server (RFC 9110, 9112; peers' rows S2, S4,
-- S13, S16 to S19).
local core = require "lest.core"
local raw_client = require "support.raw_client"
local support = require "support.server"

local http <const> = raw_client.http
local CSR_TYPE <const> = "Content-Type: application/pkcs10"
local GET <const> = http("GET", "/cacerts")

describe("HTTP on the wire", function()
  local server, client, basic

  setup(function()
    server = support.start()
    client = raw_client.new()
    basic = "Authorization: "
      .. support.basic("framing", server:credential("framing", { "--reusable" }))
  end)
  teardown(function()
    client:close()
    server:stop()
  end)

  local function connect(options)
    options = options or {}
    options.port = server.port
    return assert(client:connect(options))
  end

  --- The head of a POST to simpleenroll, with further header lines and without a length.
  local function post(...)
    return http("POST", "/simpleenroll", { basic, CSR_TYPE, ... })
  end

  --- Everything that comes for these bytes, until the server closes.
  local function all_of(bytes)
    local c <close> = connect()
    c:send(bytes)
    return c:read { timeout = 4000 }
  end

  --- The status of the one answer that these bytes get; the connection ends after it, and nothing
  --- that follows them is taken for a request.
  local function refused(bytes)
    local came, how = all_of(bytes .. GET .. GET)
    assert.equal("eof", how)
    local _, answers = came:gsub("HTTP/1%.1 %d%d%d ", "")
    assert.equal(1, answers, bytes:sub(1, 200))
    assert.matches("\r\nConnection: close\r\n", came)
    assert.matches("\r\nContent%-Type: text/plain", came)
    assert.matches("\r\n\r\n%C+\n$", came)
    return tonumber(came:match "^HTTP/1%.1 (%d+) ")
  end

  local function answered(bytes, options)
    local c <close> = connect()
    return assert(c:request(bytes, options))
  end

  it("7030-3.2-a S19 serves any number of requests on a connection, and one a connection",
    function()
    local c <close> = connect()
    assert.equal(200, c:request(GET).status)
    assert.equal(204, c:request(http("GET", "/csrattrs")).status)
    local csr = support.request "framing"
    local first = c:request(http("POST", "/simpleenroll", { basic, CSR_TYPE }, csr))
    assert.equal(200, first.status, first.body)
    assert.is_nil(first.headers.connection)
    local last = c:request(http("GET", "/cacerts", { "Connection: close" }))
    assert.equal(200, last.status)
    assert.equal("close", last.headers.connection)
    assert.equal("eof", select(2, c:read()))
  end)

  it("9112-9.3-a S19 closes after an answer to HTTP/1.0 unless it is asked not to", function()
    local old <const> = GET:gsub("HTTP/1.1", "HTTP/1.0")
    local came, how = all_of(old)
    assert.equal("eof", how)
    assert.matches("^HTTP/1.1 200 ", came)
    local c <close> = connect()
    local kept = old:gsub("\r\n\r\n$", "\r\nConnection: keep-alive\r\n\r\n")
    assert.equal(200, c:request(kept).status)
    assert.equal(200, c:request(GET).status)
    for _, value in ipairs { "close", "CLOSE", "keep-alive, close", "foo , Close ,bar" } do
      _, how = all_of(http("GET", "/cacerts", { "Connection: " .. value }))
      assert.equal("eof", how, value)
    end
  end)

  it("answers pipelined requests in their order", function()
    local came = all_of(GET .. http("GET", "/nosuch") .. http("HEAD", "/cacerts")
      .. http("GET", "/csrattrs", { "Connection: close" }))
    local statuses = {}
    for status in came:gmatch "HTTP/1%.1 (%d+) " do statuses[#statuses + 1] = status end
    assert.same({ "200", "404", "200", "204" }, statuses)
  end)

  it("9110-9.1-a answers HEAD like GET, without the body", function()
    local c <close> = connect()
    local get = c:request(GET)
    for _, target in ipairs { "/cacerts", "/csrattrs", "/nosuch" } do
      local head = c:request(http("HEAD", target), { head = true })
      local full = c:request(http("GET", target))
      assert.equal(full.status, head.status)
      assert.equal(full.headers["content-length"], head.headers["content-length"])
      assert.equal(full.headers["content-type"], head.headers["content-type"])
    end
    assert.equal(get.body, c:request(GET).body)
  end)

  it("9110-15.5.6-a S2 S4 says 405 with Allow for every wrong method", function()
    local allowed <const> = { cacerts = "GET, HEAD", csrattrs = "GET, HEAD", simpleenroll = "POST",
      simplereenroll = "POST" }
    for operation, allow in pairs(allowed) do
      for _, method in ipairs { "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS",
        "TRACE" } do
        if not (", " .. allow .. ","):find(" " .. method .. ",", 1, true) then
          local answer = answered(http(method, "/" .. operation, {}, method == "POST" and "x" or
            nil), { head = method == "HEAD" })
          assert.equal(405, answer.status, method .. " " .. operation)
          assert.equal(allow, answer.headers.allow)
        end
      end
    end
  end)

  it("9110-9.1-b says 501 for a method that nobody knows", function()
    for _, method in ipairs { "FOO", "get", "G", ("M"):rep(200) } do
      assert.equal(501, refused(http(method, "/cacerts")), method)
    end
  end)

  it("says 505 for other versions, and 400 for a line that is none", function()
    for line, status in pairs {
      ["GET /.well-known/est/cacerts HTTP/2.0"] = 505,
      ["GET /.well-known/est/cacerts HTTP/1.2"] = 505,
      ["GET /.well-known/est/cacerts HTTP/0.9"] = 505,
      ["GET /.well-known/est/cacerts"] = 400,
      ["GET /.well-known/est/cacerts HTTP/1.1 "] = 400,
      ["GET /.well-known/est/cacerts HTTP/11"] = 400,
      ["GET /.well-known/est/cacerts http/1.1"] = 400,
      ["GET  /.well-known/est/cacerts HTTP/1.1"] = 400,
      ["GET\t/.well-known/est/cacerts\tHTTP/1.1"] = 400,
      [" GET /.well-known/est/cacerts HTTP/1.1"] = 400,
      ["GET /.well-known/est/ca certs HTTP/1.1"] = 400,
      ["GET /.well-known/est/cacerts\0 HTTP/1.1"] = 400,
      ["G\0T /.well-known/est/cacerts HTTP/1.1"] = 400,
      ["GET .well-known/est/cacerts HTTP/1.1"] = 400,
      ["GET http://localhost/.well-known/est/cacerts HTTP/1.1"] = 400,
      ["GET /.well-known/est/%6 HTTP/1.1"] = 400,
      ["GET /.well-known/est/<x>/cacerts HTTP/1.1"] = 400,
      ["GET /.well-known/est/\xc3\xbc/cacerts HTTP/1.1"] = 400,
      ["CONNECT localhost:443 HTTP/1.1"] = 501,
      ["OPTIONS * HTTP/1.1"] = 501,
      ["\22\3\1\2\0\1\0\1\xfc\3\3"] = 400,
    } do
      assert.equal(status, refused(line .. "\r\nHost: localhost\r\n\r\n"), line)
    end
  end)

  it("takes the absolute form of a target", function()
    assert.equal(200, answered("GET https://localhost/.well-known/est/cacerts HTTP/1.1\r\n"
      .. "Host: localhost\r\n\r\n").status)
  end)

  it("9112-3.2-a wants exactly one good Host", function()
    local start <const> = "GET /.well-known/est/cacerts HTTP/1.1\r\n"
    for _, lines in ipairs { "", "Host: a\r\nHost: a\r\n", "Host: a\r\nhost: b\r\n",
      "Host: a, b\r\n", "Host: a b\r\n", "Host: a/b\r\n", "Host: u@a\r\n", "Host:\r\n",
      "Host: a:99999\r\n", "Host: [::1\r\n", "Host: a\0b\r\n" } do
      assert.equal(400, refused(start .. lines .. "\r\n"), lines)
    end
    for _, good in ipairs { "localhost", "LOCALHOST:8443", "127.0.0.1", "[::1]:8443" } do
      assert.equal(200, answered(start .. "Host: " .. good .. "\r\n\r\n").status, good)
    end
  end)

  it("9112-5.2-a 400 for a folded line, a bare CR or LF, a NUL, and what is no header", function()
    for what, lines in pairs {
      ["folded with a blank"] = "X: a\r\n b\r\n",
      ["folded with a tab"] = "X: a\r\n\tb\r\n",
      ["folded at once"] = " X: a\r\n",
      ["Content-Length in a fold"] = "X: a\r\n Content-Length: 5\r\n",
      ["bare LF"] = "X: a\nY: b\r\n",
      ["bare CR"] = "X: a\rY: b\r\n",
      ["CR CR LF"] = "X: a\r\r\n",
      ["NUL in a value"] = "X: a\0b\r\n",
      ["NUL in a name"] = "X\0Y: a\r\n",
      ["other control characters"] = "X: a\x0bb\r\n",
      ["DEL"] = "X: a\x7fb\r\n",
      ["a blank before the colon"] = "Content-Length : 5\r\n",
      ["a tab before the colon"] = "Content-Length\t: 5\r\n",
      ["no colon"] = "Content-Length 5\r\n",
      ["no name"] = ": x\r\n",
      ["a name that is no token"] = "A(b): x\r\n",
    } do
      assert.equal(400, refused(GET:gsub("\r\n$", "") .. lines .. "\r\n"), what)
    end
    assert.equal(400, refused(GET:gsub("\r\n", "\n")))
  end)

  it("9112-2.2-a skips an empty line before a request", function()
    assert.equal(200, answered("\r\n" .. GET).status)
    local c <close> = connect()
    assert.equal(200, c:request(GET).status)
    assert.equal(200, c:request("\r\n" .. GET).status)
    assert.equal(400, refused(" \r\n"))
  end)

  it("says 414 for a long target, 431 for large and for many headers", function()
    assert.equal(414, refused("GET /" .. ("a"):rep(9000) .. " HTTP/1.1\r\nHost: x\r\n\r\n"))
    assert.equal(404, answered("GET /" .. ("a"):rep(4000) .. " HTTP/1.1\r\nHost: x\r\n\r\n").status)
    assert.equal(431, refused(http("GET", "/cacerts", { "X: " .. ("a"):rep(20000) })))
    local many = {}
    for i = 1, 200 do many[i] = "X-" .. i .. ": y" end
    assert.equal(431, refused(http("GET", "/cacerts", many)))
    -- S16: a header that never ends is refused while it comes.
    local c <close> = connect()
    c:send("GET / HTTP/1.1\r\nHost: x\r\nX: " .. ("a"):rep(40000))
    assert.equal(431, c:response().status)
  end)

  it("9112-6.1-a 9112-7.1.1-a S17 reads chunks of any size, extensions and trailers", function()
    local csr = support.request "framing"
    local chunks = csr:gsub("..?.?.?.?.?.?", function(piece)
      return ('%X;name="a; b";x\r\n%s\r\n'):format(#piece, piece)
    end)
    for _, coding in ipairs { "chunked", "Chunked" } do
      local c <close> = connect()
      local answer = c:request(post("Transfer-Encoding: " .. coding) .. chunks
        .. "000\r\nX-Trailer: y\r\n\r\n")
      assert.equal(200, answer.status, answer.body)
      assert.equal(200, c:request(GET).status)
    end
  end)

  it("9112-6.1-b sends no Transfer-Encoding, and no length with 204", function()
    local empty = answered(http("GET", "/csrattrs"))
    assert.equal(204, empty.status)
    assert.is_nil(empty.headers["content-length"])
    assert.is_nil(empty.headers["transfer-encoding"])
    local came = all_of((GET:gsub("HTTP/1.1", "HTTP/1.0")))
    local head, body = came:match "^(.-)\r\n\r\n(.*)$"
    assert.equal(tostring(#body), head:match "\r\nContent%-Length: (%d+)")
    assert.is_nil(head:find "\r\nTransfer%-Encoding")
  end)

  local CHUNKED_CSR <const> = "5\r\nMAA=\n\r\n0\r\n\r\n"
  it("9112-6.3-a refuses every Transfer-Encoding but chunked, and closes", function()
    for value, status in pairs {
      ["gzip"] = 400, ["identity"] = 400, ["chunked, gzip"] = 400, ["chunked, chunked"] = 400,
      ["chunked;x"] = 400, ["xchunked"] = 400, ["chunke"] = 400, [""] = 400, ["chunked,"] = 400,
      ["\"chunked\""] = 400, ["chun\tked"] = 400, ["\x0bchunked"] = 400,
      ["gzip, chunked"] = 501,
    } do
      assert.equal(status, refused(post("Transfer-Encoding: " .. value) .. CHUNKED_CSR), value)
    end
    assert.equal(400, refused(post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked")
      .. CHUNKED_CSR))
    assert.equal(400, refused(post("Transfer-Encoding: identity", "Transfer-Encoding: chunked")
      .. CHUNKED_CSR))
    assert.equal(400, refused((post("Transfer-Encoding: chunked"):gsub("HTTP/1.1", "HTTP/1.0"))
      .. CHUNKED_CSR))
  end)

  it("9112-6.3-b refuses every bad or differing Content-Length, and closes", function()
    for _, value in ipairs { "5, 6", "5, 5", "-1", "+5", "0x10", "5 5", "5;", "", "five", "5.0",
      "1e3", "18446744073709551621", "99999999999999999999999999" } do
      assert.equal(400, refused(post("Content-Length: " .. value) .. "MAA=\n"), value)
    end
    assert.equal(400, refused(post("Content-Length: 5", "Content-Length: 6") .. "MAA=\n"))
    assert.equal(400, refused(post("Content-Length: 5", "content-length: 5") .. "MAA=\n"))
  end)

  it("9112-6.3-c refuses Transfer-Encoding beside Content-Length, and closes", function()
    local both <const> = { "Content-Length: 5", "Transfer-Encoding: chunked" }
    assert.equal(400, refused(post(both[1], both[2]) .. CHUNKED_CSR))
    assert.equal(400, refused(post(both[2], both[1]) .. CHUNKED_CSR))
    assert.equal(400, refused(post("Content-Length: 0", both[2]) .. CHUNKED_CSR))
  end)

  it("9112-6.3-b refuses every chunk that is not as it should be, and closes", function()
    for what, body in pairs {
      ["a sign"] = "+5\r\nMAA=\n\r\n0\r\n\r\n",
      ["a minus"] = "-5\r\nMAA=\n\r\n0\r\n\r\n",
      ["0x"] = "0x5\r\nMAA=\n\r\n0\r\n\r\n",
      ["no size"] = "\r\nMAA=\n\r\n0\r\n\r\n",
      ["a blank before the size"] = " 5\r\nMAA=\n\r\n0\r\n\r\n",
      ["no hexadecimal"] = "5g\r\nMAA=\n\r\n0\r\n\r\n",
      ["a bare LF after the size"] = "5\nMAA=\n\r\n0\r\n\r\n",
      ["a bare CR after the size"] = "5\rMAA=\n\r\n0\r\n\r\n",
      ["a NUL in an extension"] = "5;a\0b\r\nMAA=\n\r\n0\r\n\r\n",
      ["a bare LF in an extension"] = "5;a\n\r\nMAA=\n\r\n0\r\n\r\n",
      ["more bytes than the size"] = "3\r\nMAA=\n\r\n0\r\n\r\n",
      ["a bare LF after the data"] = "5\r\nMAA=\n\n0\r\n\r\n",
      ["a folded trailer"] = "5\r\nMAA=\n\r\n0\r\nX: a\r\n b\r\n\r\n",
      ["a trailer that is none"] = "5\r\nMAA=\n\r\n0\r\nX a\r\n\r\n",
    } do
      assert.equal(400, refused(post("Transfer-Encoding: chunked") .. body), what)
    end
  end)

  it("9112-6.3-d uses nothing of a body that ends before its length", function()
    local before = server:sql "SELECT count(*) FROM requests"
    local csr = support.request "framing"
    for _, bytes in ipairs {
      post("Content-Length: " .. #csr + 1) .. csr,
      post("Transfer-Encoding: chunked") .. ("%x\r\n%s\r\n"):format(#csr, csr),
      post("Transfer-Encoding: chunked") .. ("%x\r\n%s\r\n0\r\n"):format(#csr, csr),
    } do
      for _, way in ipairs { "half_close", "close", "drop", "reset" } do
        local c <close> = connect()
        c:send(bytes)
        c[way](c)
        if way == "half_close" then assert.equal("", (c:read { timeout = 1000 })) end
      end
    end
    assert.equal(200, answered(GET).status)
    assert.equal(before, server:sql "SELECT count(*) FROM requests")
    local left = 0
    for _, line in ipairs(server:logged "request") do
      if line.reason == "the client left" then left = left + 1 end
    end
    assert.equal(12, left)
  end)

  it("9112-6.3-f S17 takes a POST without a length for an empty one", function()
    local answer = answered(post())
    assert.equal(400, answer.status)
    assert.matches("empty", answer.body)
  end)

  it("9110-15.5.14-a S15 says 413 at once, not after the body", function()
    local big <const> = 100 * 1024 * 1024
    for _, length in ipairs { "Content-Length: " .. big, "Content-Length: 65537" } do
      local c <close> = connect()
      c:send(post(length))
      local answer = assert(c:response { timeout = 2000 }, length)
      assert.equal(413, answer.status)
      assert.equal("close", answer.headers.connection)
    end
    -- A client that goes on sending can still read it (9112-9.6-a).
    local c <close> = connect()
    local answer = c:request(post("Content-Length: " .. big) .. ("A"):rep(200000))
    assert.equal(413, answer.status)
  end)

  it("9110-15.5.14-a counts the data of chunks", function()
    local c <close> = connect()
    local chunk = ("1000\r\n%s\r\n"):format(("A"):rep(4096))
    local answer = c:request(post("Transfer-Encoding: chunked") .. chunk:rep(20))
    assert.equal(413, answer.status)
    for _, size in ipairs { "FFFFFFFFFFFFFFFF", "FFFFFFFFFFFFFFFFFFFF", "10000000000000005",
      "10001" } do
      assert.equal(413, refused(post("Transfer-Encoding: chunked") .. size .. "\r\nMAA=\n\r\n"))
    end
  end)

  it("9112-9.6-a lets a client that posts much read an early answer", function()
    for _, size in ipairs { 30000, 60000, 1000000 } do
      local c <close> = connect()
      local answer = c:request(http("POST", "/simpleenroll", { CSR_TYPE }, ("A"):rep(size)))
      assert.equal(401, answer.status, size)
      assert.is_not_nil(answer.headers["www-authenticate"])
      -- Short bodies are read to their end, so that the connection stays of use.
      local again = answer.headers.connection ~= "close" and c:request(GET)
      assert.equal(size < 65536, again and again.status == 200)
    end
  end)

  it("9110-10.1.1-a S19 says 100 at once, or what else it has to say", function()
    local csr = support.request "framing"
    local expect <const> = "Expect: 100-continue"
    for _, framing in ipairs { "Content-Length: " .. #csr, "Transfer-Encoding: chunked" } do
      local c <close> = connect()
      c:send(post(framing, expect))
      assert.equal(100, assert(c:response { timeout = 1000 }).status)
      local chunked = framing:find "chunked"
      local answer = c:request(chunked and ("%x\r\n%s\r\n0\r\n\r\n"):format(#csr, csr) or csr)
      assert.equal(200, answer.status)
    end
    for _, each in ipairs {
      { 401, http("POST", "/simpleenroll", { CSR_TYPE, expect, "Content-Length: 9" }) },
      { 404, http("POST", "/nosuch", { CSR_TYPE, expect, "Content-Length: 9" }) },
      { 405, http("POST", "/cacerts", { CSR_TYPE, expect, "Content-Length: 9" }) },
      { 415, http("POST", "/simpleenroll", { basic, expect, "Content-Length: 9" }) },
      { 413, post(expect, "Content-Length: 999999") },
    } do
      local c <close> = connect()
      c:send(each[2])
      assert.equal(each[1], assert(c:response { timeout = 1000 }).status)
    end
  end)

  it("9110-10.1.1-b says no 100 to HTTP/1.0", function()
    local c <close> = connect()
    local csr = support.request "framing"
    c:send((post("Expect: 100-continue", "Content-Length: " .. #csr):gsub("HTTP/1.1", "HTTP/1.0")))
    local came, how = c:read { timeout = 300 }
    assert.equal("", came)
    assert.equal("timeout", how)
    assert.equal(200, c:request(csr).status)
  end)

  it("9110-10.1.1-c says 417 to other expectations", function()
    assert.equal(417, refused(post("Expect: foo", "Content-Length: 5") .. "MAA=\n"))
    assert.equal(417, refused(post("Expect: 100-continue, foo", "Content-Length: 5") .. "MAA=\n"))
  end)

  it("takes a request in pieces of any size", function()
    local c <close> = connect()
    local csr = support.request "framing"
    c:trickle(post("Content-Length: " .. #csr) .. csr, 7, 0)
    assert.equal(200, c:response().status)
  end)

  it("is alive and has leaked no request after all this", function()
    assert.equal(200, answered(GET).status)
    assert.same({}, server:logged "request failed")
    assert.same({}, server:logged "task failed")
    assert.is_true(core.base64.decode(answered(GET).body) ~= nil)
  end)
end)
