-- Peers that send what is no use, as fast as it is read: a turn of the loop ends, and so do they.
local core = require "lest.core"
local est = require "support.est"
local http = require "lest.http"
local process = require "support.process"
local raw_client = require "support.raw_client"
local support = require "support.server"

-- Far more than a turn may take, and less than a watchdog or a deadline of HTTP.
local FLOOD_MS <const> = 8000

local function with(version, more)
  local settings = { min = version, max = version, suites = raw_client.FLOODS.suites,
    ciphers = raw_client.FLOODS.ciphers }
  for key, value in pairs(more) do settings[key] = value end
  return settings
end

describe("a server whose client floods it with", function()
  local server, client, pids

  setup(function()
    server = support.start { config = function(text)
      return (text:gsub("listen = ", "workers = 1,\n  %0", 1))
    end }
    pids = server:pids "worker"
    client = raw_client.new()
  end)
  teardown(function()
    client:close()
    server:stop()
  end)

  local function flood(kind, version, first, most_ms)
    local c <close> = assert(client:connect(with(version, { port = server.port })))
    return (c:flood(kind, most_ms or FLOOD_MS, first))
  end

  local function goes_on()
    assert.equal(200, (server:curl("/cacerts", "--max-time", "5")))
    assert.same(pids, server:pids "worker")
  end

  for _, row in ipairs {
    { "KeyUpdates", "update", "1.3" }, { "KeyUpdates that want an answer", "request", "1.3" },
    { "heads of handshakes", "hello", "1.2" },
  } do
    it(row[1] .. " ends the connection, and says so", function()
      local before = #server:logged "connection ended"
      assert.not_equal("timeout", flood(row[2], row[3]))
      goes_on()
      local lines = server:logged "connection ended"
      assert.equal(before + 1, #lines)
      assert.equal("the peer sends too many TLS records without data", lines[#lines].message)
    end)
  end

  for _, row in ipairs {
    { "records without a byte", "empty", "1.2" }, { "records without a byte", "empty", "1.3" },
    { "a byte a record", "byte", "1.2" }, { "a byte a record", "byte", "1.3" },
    { "requests", "get", "1.3" },
  } do
    -- Data is read until a head is too large, which takes ten megabytes of empty records.
    it(("%s (TLS %s) is read to its end, and by the same worker"):format(row[1], row[3]), function()
      assert.not_equal("timeout", flood(row[2], row[3], nil, 60000))
      goes_on()
    end)
  end

  local post = "POST /.well-known/est/%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
  for state, first in pairs {
    ["the middle of a head"] = "GET /.well-known/est/cacerts HTTP/1.1\r\nHo",
    ["the middle of a body"] = post:format("simpleenroll", "Authorization: Basic YTpi\r\n"
      .. "Content-Type: application/pkcs10\r\nContent-Length: 9999\r\n") .. "MII",
    ["a body that was answered early"] = post:format("simpleenroll", "Content-Length: 9999\r\n"),
    ["the end"] = raw_client.http("GET", "/cacerts", { "Connection: close" }),
    ["a request after another"] = raw_client.http("GET", "/cacerts"):rep(3),
  } do
    it("KeyUpdates in " .. state .. " ends the connection", function()
      assert.not_equal("timeout", flood("request", "1.3", first))
      goes_on()
    end)
  end

  it("connections that end so writes few lines", function()
    local before, started = #server:logged "connection ended", os.time()
    for _ = 1, 100 do flood("hello", "1.2") end
    local periods = (os.time() - started) // 10 + 2 -- those that the time has touched
    assert.is_true(#server:logged "connection ended" - before <= 20 * periods)
  end)

  it("a handshake in records of a byte refuses it", function()
    local hello = client:hello { max = "1.3" }
    local message, records = hello:sub(6), {}
    for i = 1, #message do records[i] = "\22\3\1\0\1" .. message:sub(i, i) end
    local c <close> = assert(client:connect { port = server.port, plain = true })
    c:send(table.concat(records))
    local _, how = c:read { timeout = 5000 }
    assert.not_equal("timeout", how)
    process.wait_for(function()
      local lines = server:logged "handshake failed"
      return lines[1] and lines[#lines].message:find "too many TLS records"
    end, "the line", 5)
    goes_on()
  end)
end)

describe("a chain of certificates", function()
  local CERTS_MAX <const> = 16

  --- Write a chain file: a leaf, and copies of another certificate.
  local function chain(leaf, other, count)
    local file = os.tmpname()
    process.write(file, process.read(leaf) .. process.read(other):rep(count - 1))
    return file
  end

  for _, version in ipairs { "1.2", "1.3" } do
    it("of a client is bounded before it is parsed, TLS " .. version, function()
      local server <close> = support.start()
      local client <close> = raw_client.new()
      local cert = server:enroll "device"
      local function connect(count)
        local file = chain(cert, server.dir .. "/ca.pem", count)
        local c <close> = client:connect { port = server.port, min = version, max = version,
          cert = file, key = server.folder .. "/device.key" }
        os.remove(file)
        -- In TLS 1.3 a client is done before it is refused.
        return c and c:request(raw_client.http("GET", "/cacerts"))
      end
      assert.equal(200, connect(CERTS_MAX).status)
      assert.is_nil(connect(CERTS_MAX + 1))
      process.wait_for(function()
        local line = server:logged "handshake failed"[1]
        return line and line.message == "the peer's chain has too many certificates"
      end, "the line", 5)
    end)

    it("of a server is bounded before it is parsed, TLS " .. version, function()
      local world <close> = est.world()
      local client = assert(core.http_client.new {
        store = assert(core.store.new { anchors = { world.root.cert } }) })
      local function ask(count)
        local file = chain(world.server.path, world.root.path, count)
        local server <close> = world:serve { min = version, max = version,
          entity = { path = file, key = world.server.key } }
        server:answer(est.http(200, {}, "hello"))
        local res, err = http.send(client, { url = server.url .. "/x", timeout_ms = 10000 })
        os.remove(file)
        return res, err
      end
      assert.equal(200, assert(ask(CERTS_MAX)).status)
      local _, err = ask(CERTS_MAX + 1)
      assert.equal("protocol", err.code)
      assert.matches("too many certificates", err.message)
      client:close()
    end)
  end
end)

describe("a client whose server floods it with", function()
  local world, client

  setup(function()
    world = est.world()
    client = assert(core.http_client.new {
      store = assert(core.store.new { anchors = { world.root.cert } }) })
  end)
  teardown(function()
    client:close()
    world:close()
  end)

  for _, row in ipairs {
    { "interim answers", "interim" }, { "an endless extension of a chunk", "chunk" },
    { "a header without an end", "byte" },
  } do
    it(row[1] .. ", without TLS, gives up before its time is over", function()
      local server <close> = world:serve { plain = true }
      server:answer { "head", { flood = row[2] } }
      local anybody = assert(core.http_client.new { plain_http = true, provisional = true })
      local res, err = http.send(anybody, { url = server.url .. "/x", timeout_ms = 30000,
        max_body = 65536 })
      assert.is_nil(res)
      assert.not_equal("timeout", err.code)
    end)
  end

  for _, row in ipairs {
    { "KeyUpdates", "update", "1.3", "protocol", "too many TLS records" },
    { "KeyUpdates that want an answer", "request", "1.3", "protocol", "too many TLS records" },
    { "heads of handshakes", "hello", "1.2", "protocol", "too many TLS records" },
    { "records without a byte", "empty", "1.3" }, { "records without a byte", "empty", "1.2" },
    { "interim answers", "interim", "1.3", "too_large", "too many bytes" },
    { "an endless extension of a chunk", "chunk", "1.3", "too_large", "too many bytes" },
  } do
    it(("%s (TLS %s) gives up before its time is over"):format(row[1], row[3]), function()
      local server <close> = world:serve(with(row[3], {}))
      server:answer { "head", { flood = row[2] } }
      local res, err = http.send(client, { url = server.url .. "/x", timeout_ms = 30000,
        max_body = 65536 })
      assert.is_nil(res)
      assert.not_equal("timeout", err.code)
      if row[4] then
        assert.equal(row[4], err.code)
        assert.matches(row[5], err.message)
      end
    end)
    it(("%s (TLS %s) on a connection driven by hand, too"):format(row[1], row[3]), function()
      local server <close> = world:serve(with(row[3], {}))
      server:answer { "head", { flood = row[2] } }
      local by_hand <close> = world:client(server, { timeout = 30 })
      local connection = assert(by_hand:connect())
      assert(connection:send { path = "/x" })
      local response, err = connection:receive()
      assert.is_nil(response)
      assert.not_equal("timeout", err.code)
      if row[2] ~= "chunk" then assert.matches(row[5] or "too many bytes", err.message) end
    end)
  end
end)
