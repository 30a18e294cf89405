-- What a real `lest serve` bears from its clients, while others are served as if nothing were.
local https = require "support.https"
local process = require "support.process"
local raw_client = require "support.raw_client"
local serve = require "support.server"

local GET <const> = "GET /.well-known/est/cacerts HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"
local BASIC <const> = "Authorization: Basic Zm9vOmJhcg==\\r\\n"
local POST <const> = "POST /.well-known/est/simpleenroll HTTP/1.1\\r\\nHost: localhost\\r\\n"
  .. "Content-Type: application/pkcs10\\r\\nContent-Length: 1000\\r\\n"

describe("lest serve", function()
  local server, pids

  --- A server with these limits; connections take a while to be made on a slow machine.
  local function start(limits)
    return serve.start { config = function(text)
      return (text:gsub("return {", "return { limits = { " .. limits .. " },", 1))
    end }
  end

  setup(function()
    server = start 'handshake = "2s", header = "2s", body = "2s", write = "2s"'
  end)
  teardown(function() server:stop() end)
  before_each(function() pids = {} end)
  after_each(function()
    for _, pid in ipairs(pids) do process.kill(pid, "KILL") end
  end)

  local function client(...)
    local pid, out = https.start_tool("127.0.0.1", server.port, ...)
    pids[#pids + 1] = pid
    return out
  end

  local function served(name)
    assert.truthy(server:enroll(name))
    assert.equal(200, (server:curl "/cacerts"))
  end

  it("serves beside 1,000 idle connections", function()
    local hasty <const> = server
    server = start 'header = "2m"'
    finally(function()
      server:stop()
      server = hasty
    end)
    local out = client("idle", 1000, "send", GET, "want", "\\r\\n\\r\\n", "held", "sleep", 20000)
    process.wait_for(function()
      return process.read(out):find "held"
    end, "the connections", 60)
    assert.matches("200 OK.*held 1000\n$", process.read(out))
    served "idle"
  end)

  it("ends who sends a byte at a time, wherever, and serves the others meanwhile", function()
    local hello = client("hello", 200)
    local header = client("slow", 200, POST .. "\\r\\n", "read")
    local body = client("send", POST .. BASIC .. "\\r\\n", "slow", 200,
      ("A"):rep(1000), "read")
    served "slow"
    for _, out in ipairs { header, body } do
      process.wait_for(function()
        return process.read(out):find "^HTTP/1.1 4%d%d "
      end, "a refusal", 20)
    end
    process.wait_for(function() return process.read(hello):find "closed" end, "the end", 20)
  end)

  it("holds what its limits say in all, however many workers and addresses it has", function()
    local LIMIT <const>, WORKERS <const> = 6, 2
    local hasty <const> = server
    server = serve.start {
      listen = { "127.0.0.1:0", "127.0.0.2:0" }, config = function(text)
        return (text:gsub("return {", ("return { workers = %d, limits = { "
          .. "connections_per_address = %d, idle = '1m', header = '1m' },"):format(WORKERS, LIMIT),
          1))
      end,
    }
    local raw <close> = raw_client.new()
    finally(function()
      server:stop()
      server = hasty
    end)
    local open = 0
    for host, port in server:logged("ready")[1].listen:gmatch "(%S+):(%d+)" do
      for _ = 1, 2 * LIMIT do
        local c = raw:connect { host = host, port = port }
        if c and c:request(raw_client.http("GET", "/cacerts")) then open = open + 1 end
      end
    end
    -- The kernel may have given more to one worker than to the other.
    assert.is_true(open >= LIMIT // WORKERS and open <= LIMIT, tostring(open))
  end)

  it("bears clients that leave at any stage", function()
    for _, actions in ipairs {
      { "plain" }, { "hello", 5 }, { "connect" }, { "send", POST }, { "send", POST .. "\\r\\nMII" },
      { "connect", "reset" }, { "send", POST, "reset" }, { "send", POST .. "\\r\\nMII", "reset" },
    } do
      client(table.unpack(actions))
    end
    served "leaving"
  end)

  it("never ended a worker over it", function()
    assert.equal(0, #server:logged "child replaced")
    for _, line in ipairs(server:logged "child ended") do error(line.child .. " ended") end
  end)
end)
