-- Whoever asks how many questions about certificates: the authority signs no more than it may, and
-- enrolls meanwhile; one that is away is said to be.
local core = require "lest.core"
local process = require "support.process"
local raw_client = require "support.raw_client"
local rogue_module = require "support.rogue"
local support = require "support.server"

local NONCE <const> = "1.3.6.1.5.5.7.48.1.2"

--- A server with these settings in its configuration, and what to ask about a device of it.
local function start(settings, make)
  local server = (make or support.start) { config = function(text)
    return (text:gsub("profiles = {", settings .. "\n  profiles = {", 1))
  end }
  server:enroll "device"
  local ca = assert(core.cert.load(server.root))
  local cert = assert(core.cert.load(server.folder .. "/device.pem"))
  return server, assert(core.ocsp.request(ca, cert)), cert
end

--- The request again, with a nonce: no answer of before will do.
local function with_nonce(request, nonce)
  local der = require "support.der"
  local list = request:sub(5) -- two SEQUENCEs of less than 128 bytes
  return der.seq(der.seq(list, der.tlv(0xa2, der.seq(der.seq(der.oid(NONCE),
    der.tlv(4, der.tlv(4, nonce)))))))
end

local function post(connection, request)
  local response = assert(connection:request(table.concat({ "POST /ocsp HTTP/1.1", "Host: h",
    "Content-Type: application/ocsp-request", "Content-Length: " .. #request }, "\r\n")
    .. "\r\n\r\n" .. request))
  assert.equal(200, response.status)
  local read = assert(core.ocsp.parse_response(response.body))
  return read.responses and read.responses[1].state or read.status, response.body
end

describe("a flood of questions about certificates", function()
  it("10,000 times the same costs one signature", function()
    local server <close>, request =
      start "workers = 1, limits = { requests_per_connection = 20000 },"
    local client <close> = raw_client.new()
    local connection <close> = assert(client:connect { port = server.port })
    local _, first = post(connection, request)
    for _ = 1, 10000 do
      local state, body = post(connection, request)
      assert.equal("good", state)
      assert.equal(first, body)
    end
  end)

  it("has so many signed in a second, and devices enroll meanwhile", function()
    local server <close>, request = start("workers = 1, limits = { ocsp_per_second = 3, "
      .. "requests_per_connection = 20000, ocsp_per_address_per_minute = 1000000 },")
    local client <close> = raw_client.new()
    local connection <close> = assert(client:connect { port = server.port })
    local count = { good = 0, tryLater = 0 }
    local started = core.clock.monotonic_ms()
    for i = 1, 300 do
      local state = post(connection, with_nonce(request, ("%032d"):format(i)))
      count[state] = count[state] + 1
      if i == 150 then server:enroll "another" end
    end
    -- Within a window and the one before, twice as many at most.
    local seconds = (core.clock.monotonic_ms() - started) // 1000 + 1
    assert.is_true(count.good >= 3 and count.good <= 3 * 2 * (seconds + 1), count.good)
    assert.is_true(count.tryLater > 0 or seconds > 50)
    process.wait_for(function()
      return post(connection, with_nonce(request, ("x"):rep(32))) == "good"
    end, "the next second", 30)
  end)

  it("has so many signed in a minute for one address, and others are answered", function()
    local server <close>, request =
      start "workers = 1, limits = { ocsp_per_address_per_minute = 5 },"
    local client <close> = raw_client.new()
    local connection <close> = assert(client:connect { port = server.port })
    local states = {}
    for i = 1, 12 do states[i] = post(connection, with_nonce(request, ("%032d"):format(i))) end
    assert.same({ "good", "good", "good", "good", "good", "tryLater" },
      table.move(states, 1, 6, 1, {}))
    assert.equal("tryLater", states[12])
    -- What was not asked yet costs one more; what is kept costs none.
    local other <close> = assert(client:connect { port = server.port, from = "127.0.0.9" })
    assert.equal("good", (post(other, request)))
    assert.equal("good", (post(connection, request)))
  end)
end)

describe("a worker that was taken over", function()
  it("has its share of signatures and no other's, and nothing else than answers", function()
    local server <close>, request = start("workers = 3, limits = { ocsp_per_second = 9 },",
      rogue_module.server)
    local rogue <close> = rogue_module.start(server, 2)
    local other <close> = rogue_module.start(server, 3)
    local link, honest = rogue:connect(), other:connect()
    local count = { good = 0, tryLater = 0 }
    local started = core.clock.monotonic_ms()
    local function ask(on, i)
      local said = assert(on:ask { type = "check", number = i,
        request = with_nonce(request, ("%032d"):format(i)) })
      assert.equal(i, said.number)
      assert.is_nil(said.next_update)
      local read = assert(core.ocsp.parse_response(said.response))
      return read.responses and read.responses[1].state or read.status
    end
    for i = 1, 200 do
      local state = ask(link, i)
      count[state] = count[state] + 1
    end
    local seconds = (core.clock.monotonic_ms() - started) // 1000 + 1
    assert.is_true(count.good >= 3 and count.good <= 3 * 2 * (seconds + 1), count.good)
    process.wait_for(function() return ask(honest, 1) == "good" end, "the share of another", 30)
    -- Garbage is answered, too.
    local said = assert(link:ask { type = "check", number = 1000, request = "garbage" })
    assert.equal(core.ocsp.failure "malformedRequest", said.response)
    -- What is no such message ends the channel.
    local _, how = link:ask "garbage"
    assert.equal("closed", how)
  end)
end)

describe("while there is no authority", function()
  it("gives what it has, and says of all else to try later", function()
    local server <close>, request = start "workers = 1,"
    local client <close> = raw_client.new()
    local connection <close> = assert(client:connect { port = server.port })
    local state, body = post(connection, request)
    assert.equal("good", state)
    process.must { "chmod", "000", server:ledger() }
    process.kill(server:pids("authority")[1], "KILL")
    process.wait_for(function() return server:logged("child ended")[1] end, "the authority's end")
    process.wait_for(function()
      return post(connection, with_nonce(request, "n")) == "tryLater"
    end, "the worker to know", 30)
    assert.equal(body, select(2, post(connection, request)))
    process.must { "chmod", "600", server:ledger() }
    process.wait_for(function()
      return post(connection, with_nonce(request, "n")) == "good"
    end, "recovery", 60)
    -- Another authority has another key for it.
    assert.are_not.equal(body, select(2, post(connection, request)))
  end)
end)
