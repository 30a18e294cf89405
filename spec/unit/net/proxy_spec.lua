-- Connections from a balancer, which begin with a header that says who the client is (the PROXY
-- protocol, versions 1 and 2).
local https = require "support.https"
local process = require "support.process"
local header = require "support.proxy_header"

local GET <const> = "GET /describe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
local V4 <const>, V6 <const> = "\192\0\2\1", "\x20\x01\x0d\xb8" .. ("\0"):rep(11) .. "\1"

describe("a server behind a balancer", function()
  local folder, server

  setup(function() folder = https.identity() end)
  teardown(function() os.execute("rm -rf " .. folder) end)
  after_each(function() if server then server:stop() end server = nil end)

  local function start(...)
    server = https.start(folder, "proxy=127.0.0.1/32", ...)
    return server
  end

  local function connect(options)
    local all = { plain = true }
    for key, value in pairs(options or {}) do all[key] = value end
    return assert(server:connect(all))
  end

  --- The address of the client that sent this header, as a handler sees it.
  local function told(bytes, how)
    local c = connect()
    if how then c:trickle(bytes, how, 2) else assert(c:send(bytes)) end
    local ok, ended, reason = c:tls()
    if not ok then return nil, ended, reason end
    assert(c:send(GET))
    return c:response().body:match "\naddress=([^\n]+)"
  end

  --- Wait until the server closes a connection, on which it says nothing.
  local function assert_closed(c)
    local came, how = c:read { timeout = 20000 }
    assert.equal("", came)
    assert.not_equal("timeout", how)
  end

  --- What was said of a connection that sent these bytes, at whose end nothing was answered.
  local function refused(bytes)
    local c = connect()
    c:send(bytes)
    assert_closed(c)
    local line = process.wait_for(function()
      return process.read(server.err):match "connection ended.*"
    end, "a line of the log")
    server:stop()
    server = nil
    return line
  end

  it("has the client's address from version 1, also byte by byte", function()
    start()
    assert.equal("192.0.2.1", told(header.text "192.0.2.1"))
    assert.equal("192.0.2.1", told(header.text "192.0.2.1", 1))
    assert.equal("2001:db8::1", told(header.text "2001:db8:0::1"))
    assert.equal("255.255.255.255", told(header.text("255.255.255.255", 65535)))
    assert.equal("192.0.2.1", told(header.text("192.0.2.1", 0)))
  end)

  it("has it from version 2, also byte by byte and with entries and a checksum", function()
    start()
    local entries = header.entry(0x02, "est.example.com") .. header.entry(0xea, "\1vpce-1")
    for name, bytes in pairs {
      ["192.0.2.1"] = { header.binary { address = V4 },
        header.binary { address = V4, entries = entries },
        header.checked { address = V4, entries = entries },
        header.binary { address = V4, entries = header.entry(4, ("\0"):rep(505)) } },
      ["2001:db8::1"] = { header.binary { address = V6 }, header.checked { address = V6 } },
      ["198.51.100.7"] = { header.binary { address = ("\0"):rep(10) .. "\xff\xff\198\51\100\7" } },
    } do
      for _, each in ipairs(bytes) do
        assert.equal(name, told(each))
        assert.equal(name, told(each, 7))
      end
    end
  end)

  it("keeps the connection's address where the balancer itself asks, or knows no other", function()
    start()
    for _, bytes in ipairs { "PROXY UNKNOWN\r\n",
      ("PROXY UNKNOWN %s %s 65535 65535\r\n"):format(("ffff:"):rep(7) .. "ffff",
        ("ffff:"):rep(7) .. "ffff"),
      header.binary { command = 0x20, family = 0 },
      header.binary { command = 0x20, family = 0, entries = "ignored" } } do
      assert.equal("127.0.0.1", told(bytes))
    end
  end)

  it("leaves what follows the header to TLS, also in one piece with it", function()
    start()
    for _, bytes in ipairs { header.text "192.0.2.1", header.binary { address = V4 } } do
      local c = connect()
      c:send(bytes .. server.client:hello())
      assert.equal("\x16\3\3", (c:read { max = 3 }))
    end
    -- A header that comes twice is none of TLS.
    local c = connect()
    c:send(header.text "192.0.2.1" .. header.text "192.0.2.2")
    c:read()
    server:wait "handshake\t192.0.2.1\t"
  end)

  for name, bytes in pairs {
    ["TLS at once"] = "\x16\3\1\2\0\1\0\1\xfc",
    ["HTTP"] = "GET / HTTP/1.1\r\n\r\n",
    ["small letters"] = "proxy TCP4 192.0.2.1 192.0.2.9 50000 8443\r\n",
    ["no carriage return"] = "PROXY TCP4 192.0.2.1 192.0.2.9 50000 8443\n",
    ["two line feeds"] = "PROXY TCP4 192.0.2.1 192.0.2.9 50000 8443\n\n",
    ["no line feed"] = "PROXY TCP4 192.0.2.1 192.0.2.9 50000 8443\rx",
    ["a leading zero"] = header.text "192.0.2.01",
    ["a leading zero of a port"] = "PROXY TCP4 192.0.2.1 192.0.2.9 050 8443\r\n",
    ["a port too large"] = header.text("192.0.2.1", 65536),
    ["a port with a sign"] = "PROXY TCP4 192.0.2.1 192.0.2.9 +500 8443\r\n",
    ["two blanks"] = "PROXY TCP4  192.0.2.1 192.0.2.9 50000 8443\r\n",
    ["a blank at the end"] = "PROXY TCP4 192.0.2.1 192.0.2.9 50000 8443 \r\n",
    ["a word too few"] = "PROXY TCP4 192.0.2.1 192.0.2.9 50000\r\n",
    ["a NUL"] = "PROXY TCP4 192.0.2.1\0 192.0.2.9 50000 8443\r\n",
    ["another family's address"] = "PROXY TCP4 2001:db8::1 2001:db8::9 50000 8443\r\n",
    ["a bad address of its own"] = "PROXY TCP4 192.0.2.1 nothing 50000 8443\r\n",
    ["a scope"] = "PROXY TCP6 fe80::1%eth0 2001:db8::9 50000 8443\r\n",
    ["UDP"] = "PROXY UDP4 192.0.2.1 192.0.2.9 50000 8443\r\n",
    ["a line that is too long"] = "PROXY UNKNOWN " .. ("x"):rep(92) .. "\r\n",
    ["a line without an end"] = "PROXY UNKNOWN " .. ("x"):rep(92),
    ["another version"] = header.binary { command = 0x11, address = V4 },
    ["another command"] = header.binary { command = 0x22, address = V4 },
    ["UDP in version 2"] = header.binary { family = 0x12, address = V4 },
    ["a socket's path"] = header.binary { family = 0x31, entries = ("\0"):rep(216) },
    ["no family"] = header.binary { family = 0 },
    ["too short for an address"] = header.binary { family = 0x21, address = V4 },
    ["too long"] = header.binary { address = V4, entries = header.entry(4, ("\0"):rep(506)) },
    ["far too long"] = header.binary { address = V4, size = 65535 },
    ["an entry that is cut"] = header.binary { address = V4, entries = "\2\0\9abc" },
    ["half an entry's head"] = header.binary { address = V4, entries = "\2\0" },
    ["a wrong checksum"] = header.binary { address = V4, entries = header.entry(3, "abcd") },
    ["a short checksum"] = header.binary { address = V4, entries = header.entry(3, "abc") },
  } do
    it("closes at once for " .. name, function()
      start()
      assert.matches(name:match "too long" or "PROXY header", refused(bytes), 1, true)
    end)
  end

  it("closes at once for who is none of its balancers, header or not", function()
    start()
    local c = connect { from = "127.0.0.2" }
    c:send(header.text "192.0.2.1")
    assert_closed(c)
    process.wait_for(function()
      return process.read(server.err):find("127.0.0.2", 1, true)
    end, "a line of the log")
    assert.equal("192.0.2.1", told(header.text "192.0.2.1"))
  end)

  it("closes for a balancer that leaves, or is too slow", function()
    start "header_ms=300"
    local c = connect()
    c:send "PROXY TCP4"
    assert_closed(c)
    c = connect()
    c:drop()
    server:wait_connections(0)
  end)

  it("counts connections by their client, and not by the balancer", function()
    start "connections_per_address_max=2"
    local held = {}
    for i = 1, 4 do
      held[i] = connect()
      held[i]:send(header.text("192.0.2." .. (i + 1) // 2))
      assert(held[i]:tls())
    end
    -- Those that do not say yet whom they are for keep nobody out.
    for i = 5, 9 do held[i] = connect() end
    assert.equal("192.0.2.7", told(header.text "192.0.2.7"))
    local third = connect()
    third:send(header.text "192.0.2.1")
    assert_closed(third)
    held[1]:drop()
    server:wait_connections(8)
    assert.equal("192.0.2.1", told(header.text "192.0.2.1"))
  end)

  it("has half of its places at most for one that names no clients", function()
    start("connections_max=8", "header_ms=60000")
    local held = {}
    for i = 1, 5 do held[i] = connect() end
    server:wait_connections(5)
    local sixth = connect()
    assert_closed(sixth)
    held[1]:send(header.text "192.0.2.1")
    assert(held[1]:tls())
    assert.equal("192.0.2.1", told(header.text "192.0.2.1"))
  end)
end)

describe("a server that is behind none", function()
  it("reads no such header", function()
    local folder = https.identity()
    local server <close> = https.start(folder)
    local c = assert(server:connect { plain = true })
    c:send(header.text "192.0.2.1")
    c:read()
    server:wait "handshake\t127.0.0.1\t"
    os.execute("rm -rf " .. folder)
  end)
end)
