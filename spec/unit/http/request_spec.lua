-- Heads of requests are read strictly: what two readers could read differently is refused (RFC
-- 9112).
local http = require("lest.core").http

--- The bytes of a head: a request line and header lines.
local function head(line, ...)
  return table.concat({ line, ... }, "\r\n") .. "\r\n\r\n"
end

local function get(...)
  return head("GET / HTTP/1.1", "Host: h", ...)
end

local function post(...)
  return head("POST / HTTP/1.1", "Host: h", ...)
end

--- Refused with this status, however the bytes are cut, and never understood before.
local function refused(status, bytes, limits)
  local request, err = http.parse_request(bytes, limits)
  assert.is_nil(request, bytes:sub(1, 200))
  assert.equal("http", err.code)
  assert.equal(status, err.status, bytes:sub(1, 200) .. " -> " .. err.message)
  assert.is_true(#err.message > 10)
  local decided = false
  for len = 0, #bytes, #bytes > 400 and 97 or 1 do
    local part, part_err = http.parse_request(bytes:sub(1, len), limits)
    if part == nil then
      decided = true
      assert.equal(err.message, part_err.message)
    else
      assert.is_false(part)
      assert.is_false(decided)
    end
  end
end

local function refuses(status, inputs)
  for _, bytes in ipairs(inputs) do refused(status, bytes) end
end

local function accepts(inputs, check)
  for _, bytes in ipairs(inputs) do
    local request, err = http.parse_request(bytes)
    assert.is_truthy(request, bytes .. " -> " .. tostring(err))
    if check then check(request) end
  end
end

describe("http request", function()
  it("gives method, path, query, headers and framing", function()
    local bytes = head("POST /.well-known/est/simpleenroll?a=%20b?c HTTP/1.1",
      "Host: est.example:8443",
      "content-length: 5", "X-Odd:\t a  b \t", "Empty:", "Obs: \xe9")
    local request = assert(http.parse_request(bytes .. "hello"))
    assert.equal("POST", request.method)
    assert.equal("/.well-known/est/simpleenroll", request.path)
    assert.equal("a=%20b?c", request.query)
    assert.equal("est.example:8443", request.host)
    assert.equal("1.1", request.version)
    assert.equal("length", request.framing)
    assert.equal(5, request.body_len)
    assert.equal(#bytes, request.head_len)
    assert.is_true(request.keep_alive)
    assert.same({ "X-Odd", "a  b" }, request.headers[3])
    assert.same({ "Empty", "" }, request.headers[4])
    assert.same({ "Obs", "\xe9" }, request.headers[5])
  end)

  it("asks for more until the last byte of a head, and leaves a pipelined request alone", function()
    local first = post("Content-Length: 0")
    for len = 0, #first - 1 do assert.is_false(http.parse_request(first:sub(1, len))) end
    local request = assert(http.parse_request(first .. "GET /next HTTP/1.1\r\n"))
    assert.equal(#first, request.head_len)
    assert.equal(0, request.body_len)
  end)

  it("9112-2.2-a skips one empty line before the request line, not two", function()
    accepts({ "\r\n" .. get() }, function(request) assert.equal(#get() + 2, request.head_len) end)
    refuses(400, { "\r\n\r\n" .. get(), "\n" .. get(), " " .. get(), "\r" .. get() })
  end)

  it("refuses request lines that are not method, target and version", function()
    refuses(400, {
      "GET /\r\n", "GET\r\n", "GET  / HTTP/1.1\r\n", "GET /  HTTP/1.1\r\n", "GET / HTTP/1.1 \r\n",
      "GET\t/ HTTP/1.1\r\n", "GET / x HTTP/1.1\r\n", "GET / http/1.1\r\n", "GET / HTTP/11\r\n",
      "GET / HTTP/1.\r\n", "GET / HTTP/1.10\r\n", "GET / HTTP/01.1\r\n", "G@T / HTTP/1.1\r\n",
      "(GET) / HTTP/1.1\r\n", "G\0T / HTTP/1.1\r\n", " GET / HTTP/1.1\r\n", "GET /\0 HTTP/1.1\r\n",
      "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\n", "HTTP/1.1 200 OK\r\n", "GET / HTTPS/1.1\r\n",
      "GET  HTTP/1.1\r\n", "GET httpz://h/ HTTP/1.1\r\n", "GET https:/h/ HTTP/1.1\r\n",
    })
  end)

  it("S18 answers 505 to other versions", function()
    refuses(505, { "GET / HTTP/2.0\r\n", "PRI * HTTP/2.0\r\n", "GET / HTTP/0.9\r\n",
      "GET / HTTP/1.2\r\n" })
  end)

  it("9110-9.1-b tells known methods, which are case-sensitive, from others", function()
    for method, known in pairs { GET = true, HEAD = true, POST = true, PUT = true, DELETE = true,
      OPTIONS = true, PATCH = true, TRACE = true, CONNECT = true, FOO = false, get = false,
      POSTS = false,
      ["M-SEARCH"] = false } do
      local request = assert(http.parse_request(head(method .. " / HTTP/1.1", "Host: h")))
      assert.equal(method, request.method)
      assert.equal(known, request.method_known, method)
    end
  end)

  it("takes paths and https URIs as targets, and nothing else", function()
    accepts({ head("GET https://h HTTP/1.1", "Host: h"), head("GET HTTPS://H:443/ HTTP/1.1",
      "Host: h"),
      head("GET https://h?q HTTP/1.1", "Host: h:443"), head("GET https://h:/ HTTP/1.1",
        "Host: h") },
      function(request) assert.equal("/", request.path) end)
    accepts { head("GET //a//b/../%2e%2E/~!$&'()*+,;=:@-._ HTTP/1.1", "Host: h") }
    refuses(501, { head("OPTIONS * HTTP/1.1", "Host: h"),
      head("CONNECT h:443 HTTP/1.1", "Host: h:443") })
    refuses(400, { head("GET * HTTP/1.1", "Host: h"), head("OPTIONS ** HTTP/1.1", "Host: h"),
      head("GET h:443 HTTP/1.1", "Host: h"), head("GET http://h/ HTTP/1.1", "Host: h"),
      head("GET ftp://h/ HTTP/1.1", "Host: h"), head("GET https:// HTTP/1.1", "Host: h"),
      head("GET https:/// HTTP/1.1", "Host: h"), head("GET https://u@h/ HTTP/1.1", "Host: h"),
      head("GET https://h\\@x/ HTTP/1.1", "Host: h"), head("GET a HTTP/1.1", "Host: h") })
  end)

  it("takes http URIs instead where there is no TLS", function()
    local plain <const> = { plain = true }
    for _, target in ipairs { "http://h", "HTTP://H:80/", "http://h:/", "/" } do
      local request = assert(http.parse_request(head("GET " .. target .. " HTTP/1.1", "Host: h"),
        plain))
      assert.equal("/", request.path)
    end
    refused(400, head("GET https://h/ HTTP/1.1", "Host: h"), plain)
    refused(400, head("GET http://h:443/ HTTP/1.1", "Host: h"), plain)
  end)

  it("refuses at once what begins no request, as a ClientHello", function()
    for _, byte in ipairs { "\x16", "\0", " ", "\t", "\x80", "\xff", "(" } do
      refused(400, byte)
      refused(400, byte .. get())
    end
    assert.is_false(http.parse_request "G")
    assert.is_false(http.parse_request "\r")
  end)

  it("refuses targets with characters that a URI cannot hold", function()
    for _, bad in ipairs { "#", "<", ">", '"', "\\", "^", "`", "{", "|", "}", "%", "%4", "%zz",
      "%4z", "\x7f",
      "\x01", "\xc3\xa9", "\t", "[", "]" } do
      refused(400, head("GET /a" .. bad .. " HTTP/1.1", "Host: h"))
      refused(400, head("GET /a?" .. bad .. " HTTP/1.1", "Host: h"))
    end
  end)

  it("9112-3.2-a wants exactly one good Host", function()
    refuses(400, { head("GET / HTTP/1.1"), head("GET / HTTP/1.1", "X-Host: h"),
      head("GET / HTTP/1.1", "Host: a", "Host: a"), head("GET / HTTP/1.0", "Host: a", "hOST: b"),
      head("GET https://h/ HTTP/1.1") })
    for _, bad in ipairs { "", "a b", "a,b", "a/b", "u@h", "h:", "h:1:2", "h:99999", "h:x",
      "h:-1", "[::1", "::1",
      "[g::1]", "[]", "h:65536", "h%41", "h#", "https://h", "h:123456", "\xc3\xa9" } do
      -- An empty port is allowed by the grammar.
      if bad ~= "h:" then refused(400, head("GET / HTTP/1.1", "Host: " .. bad)) end
    end
    accepts { head("GET / HTTP/1.1", "Host: h:"), head("GET / HTTP/1.1",
      "HOST:est-1.example_x.com:65535"),
      head("GET / HTTP/1.1", "Host: [2001:db8::1]:8443"), head("GET / HTTP/1.1",
        "Host: [::ffff:1.2.3.4]"),
      head("GET / HTTP/1.0") }
  end)

  it("refuses an absolute target whose host is not that of Host", function()
    refuses(400, { head("GET https://a/ HTTP/1.1", "Host: b"),
      head("GET https://a:8443/ HTTP/1.1", "Host: a"),
      head("GET https://a/ HTTP/1.1", "Host: a:8443") })
  end)

  it("refuses bare LF and bare CR everywhere", function()
    refuses(400, { "GET / HTTP/1.1\nHost: h\n\n", "GET / HTTP/1.1\r\nHost: h\n\r\n",
      get("A: b\nC: d"),
      "GET / HTTP/1.1\r\nHost: h\r\n\n", get("A: b\rC: d"), get("A: b\r\r"), get("A: \r\rb"),
      "GET / HTTP/1.1\r\r\nHost: h\r\n\r\n", "GET /\r HTTP/1.1\r\n" })
  end)

  it("refuses NUL and other control characters in names and values", function()
    for code = 0, 31 do
      local c = string.char(code)
      if c ~= "\t" then refused(400, get("A: b" .. c .. "c")) end
      refused(400, get("A" .. c .. "B: c"))
    end
    refuses(400, { get "A: b\x7f", get "A\x7f: b", get "A\x80: b" })
  end)

  it("refuses names that are not tokens: blanks before the colon, none, other signs", function()
    refuses(400, { get "A : b", get "Content-Length : 5", get "A\t: b", get ": b", get "A",
      get "A b: c", get "A(b): c",
      get '"A": c', get "A;b: c", get "A/b: c", get "A,b: c", get "A=b: c", get "A@b: c",
        get "{A}: c" })
  end)

  it("9112-5.2-a refuses folded lines, also right after the request line", function()
    refuses(400, { get("A: b", " c"), get("A: b", "\tc"), get(" A: b"), get("A: b", " "),
      head("GET / HTTP/1.1", " Host: h"), head("GET / HTTP/1.1", "\tX: y", "Host: h"),
      post("Transfer-Encoding:", " chunked") })
  end)

  it("9112-6.3-b refuses every Content-Length that is not one decimal number", function()
    for _, bad in ipairs { "", "-1", "+5", "0x10", "5, 6", "5,5", "5 5", "5,", ",5", "1e3", "5.0",
      "five", "5;a=b", '"5"',
      "9223372036854775808", "18446744073709551616", "99999999999999999999999", "\xb2", "5\t5",
        "５" } do
      refused(400, post("Content-Length: " .. bad))
    end
    refuses(400, { post("Content-Length: 5", "Content-Length: 6"), post("Content-Length: 5",
      "content-length: 5"),
      post("Content-Length: 5", "X: y", "CONTENT-LENGTH: 5") })
    accepts({ post "Content-Length: 007", post "Content-Length:7\t " },
      function(request) assert.equal(7, request.body_len) end)
    local most = assert(http.parse_request(post "Content-Length: 9223372036854775807"))
    assert.equal(math.maxinteger, most.body_len)
  end)

  it("9112-6.3-c refuses Transfer-Encoding beside Content-Length", function()
    refuses(400, { post("Content-Length: 5", "Transfer-Encoding: chunked"),
      post("Transfer-Encoding: chunked", "Content-Length: 5"), post("TRANSFER-ENCODING: x",
        "Content-Length: 0") })
  end)

  it("9112-6.3-a refuses Transfer-Encoding in every disguise but chunked", function()
    for _, bad in ipairs { "gzip", "identity", "", "xchunked", "chunkedx", "chunked, gzip",
      "chunked, chunked", "chunked,",
      ", chunked", "chunked;q=1", '"chunked"', "chunked chunked", "chunked, identity",
      "\xa0chunked", "chunk",
      "chunked\xa0" } do
      refused(400, post("Transfer-Encoding: " .. bad))
    end
    refuses(400, { post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
      post("Transfer-Encoding: gzip", "Transfer-Encoding: chunked"),
      post("Transfer-Encoding: \vchunked"),
      post("Transfer-Encoding : chunked"), post("Transfer-Encoding\t: chunked"),
      post(" Transfer-Encoding: chunked"),
      post("X: y\nTransfer-Encoding: chunked"), post("X: y\rTransfer-Encoding: chunked"),
      post("Transfer-Encoding: chunked\0"), head("POST / HTTP/1.0", "Host: h",
        "Transfer-Encoding: chunked") })
    accepts({ post "Transfer-Encoding: chunked", post "transfer-encoding:\tCHUNKED " },
      function(request) assert.equal("chunked", request.framing) end)
  end)

  it("answers 501 to a coding before chunked", function()
    refuses(501, { post "Transfer-Encoding: gzip, chunked",
      post "Transfer-Encoding: gzip,deflate , Chunked" })
  end)

  it("refuses Content-Type or Authorization twice", function()
    refuses(400, { post("Content-Type: application/pkcs10", "content-type: application/pkcs10"),
      get("Authorization: Basic YTpi", "Authorization: Basic YTpj") })
  end)

  it("9110-10.1.1-a notes who waits for 100 Continue", function()
    local request = assert(http.parse_request(post("Expect: 100-Continue", "Content-Length: 5")))
    assert.is_true(request.expect_continue)
    request = assert(http.parse_request(post("Expect: 100-continue", "Transfer-Encoding: chunked")))
    assert.is_true(request.expect_continue)
    request = assert(http.parse_request(post("Expect: 100-continue")))
    assert.is_false(request.expect_continue)
  end)

  it("9110-10.1.1-b ignores expectations of HTTP/1.0", function()
    accepts({ head("POST / HTTP/1.0", "Expect: 100-continue", "Content-Length: 5"),
      head("POST / HTTP/1.0", "Expect: foo", "Content-Length: 5") },
      function(request) assert.is_false(request.expect_continue) end)
  end)

  it("9110-10.1.1-c answers 417 to other expectations", function()
    refuses(417, { post "Expect: foo", post "Expect:", post("Expect: 100-continue, foo",
      "Content-Length: 5"),
      post("Expect: 100-continue", "Expect: foo") })
  end)

  it("9112-9.3-a knows when the connection may stay", function()
    local function keeps(version, ...)
      return assert(http.parse_request(head("GET / HTTP/" .. version, "Host: h", ...))).keep_alive
    end
    assert.is_true(keeps "1.1")
    assert.is_false(keeps "1.0")
    assert.is_false(keeps("1.1", "Connection: close"))
    assert.is_false(keeps("1.1", "connection: Upgrade, CLOSE"))
    assert.is_false(keeps("1.1", "Connection: keep-alive", "Connection: close"))
    assert.is_true(keeps("1.0", "Connection: Keep-Alive"))
    assert.is_false(keeps("1.0", "Connection: keep-alive, close"))
    refuses(400, { get "Connection: a b", get 'Connection: "close"' })
  end)

  it("answers 414 to a long request line, whether it ends or not", function()
    local line = "GET /" .. ("a"):rep(8192 - 5 - 11) .. " HTTP/1.1\r\n"
    assert.equal(8192, #line)
    accepts { line .. "Host: h\r\n\r\n" }
    refuses(414, { "GET /a" .. line:sub(6), ("a"):rep(8192), ("a"):rep(100000) })
  end)

  it("S16 answers 431 to many or long headers, whether they end or not", function()
    local function padded(size)
      return head("GET / HTTP/1.1", "Host: h", "A: " .. ("a"):rep(size - 9 - 3 - 2 - 2))
    end
    accepts { padded(16384) }
    refuses(431, { padded(16385), padded(16384):sub(1, -3) .. "A:\r\n\r\n",
      "GET / HTTP/1.1\r\nA: " .. ("a"):rep(20000) })
    local many = {}
    for i = 1, 63 do many[i] = "X: " .. i end
    accepts { get(table.unpack(many)) }
    many[64] = "X: 64"
    refused(431, get(table.unpack(many)))
  end)

  it("keeps to the limits it is given", function()
    refused(414, get(), { line_max = 10 })
    refused(431, get("A: b"), { fields_max = 12 })
    refused(431, get("A: b"), { headers_max = 1 })
    assert.has_error(function() http.parse_request("", { lines_max = 1 }) end)
  end)
end)
