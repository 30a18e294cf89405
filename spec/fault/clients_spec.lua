-- What a real `lest serve` bears from its clients, while others are served as if nothing were.
local raw_client = require "support.raw_client"
local serve = require "support.server"
local task = require "lest.task"

local http <const> = raw_client.http
local GET <const> = http("GET", "/cacerts")
local CSR_TYPE <const> = "Content-Type: application/pkcs10"
local BODY <const> = ("A"):rep(1000)

describe("lest serve", function()
  local server, client

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
  before_each(function() client = raw_client.new() end)
  after_each(function() client:close() end)

  local function connect(plain)
    return assert(client:connect { port = server.port, plain = plain })
  end

  local function served(name)
    assert.truthy(server:enroll(name))
    assert.equal(200, (server:curl "/cacerts"))
  end

  it("serves beside 1,000 idle connections", function()
    local hasty <const> = server
    server = start 'header = "2m"'
    finally(function()
      client:close()
      server:stop()
      server = hasty
    end)
    local idle = {}
    for i = 1, 1000 do idle[i] = connect() end
    assert.equal(200, connect():request(GET).status)
    served "idle"
    for _, c in ipairs(idle) do assert.same({ "", "timeout" }, { c:read { timeout = 0 } }) end
  end)

  it("7030-6-n ends who sends one byte a second, wherever, and serves the others meanwhile",
    function()
    local basic = "Authorization: "
      .. serve.basic("slow", server:credential("slow", { "--reusable" }))
    local post = http("POST", "/simpleenroll", { basic, CSR_TYPE }, BODY)
    local head = post:sub(1, -1 - #BODY)
    local slow = {
      hello = { c = connect(true), bytes = client:hello() },
      header = { c = connect(), bytes = head },
      body = { c = connect(), bytes = BODY },
    }
    assert(slow.body.c:send(head))
    for second = 1, 20 do
      local open = 0
      for _, one in pairs(slow) do
        if not one.how then
          one.c:send(one.bytes:sub(second, second))
          local came, how = one.c:read { timeout = 0 }
          one.came = (one.came or "") .. came
          if how == "timeout" then open = open + 1 else one.how = how end
        end
      end
      if second == 1 then served "beside-slow" end
      if open == 0 then break end
      task.sleep(1)
    end
    assert.matches("^HTTP/1.1 408 ", slow.header.came)
    assert.matches("^HTTP/1.1 408 ", slow.body.came)
    assert.is_nil(slow.hello.came:find "HTTP")
    for where, one in pairs(slow) do assert.is_not_nil(one.how, where) end
  end)

  --- How many of many connections, to a server with two workers and two addresses, stay open.
  local function open_of_many(limit)
    local hasty <const> = server
    server = serve.start {
      listen = { "127.0.0.1:0", "127.0.0.2:0" }, config = function(text)
        return (text:gsub("return {",
          ("return { workers = 2, limits = { %s, idle = '1m', header = '1m' },"):format(limit), 1))
      end,
    }
    local raw <close> = raw_client.new()
    finally(function()
      server:stop()
      server = hasty
    end)
    local connections, open = {}, 0
    for host, port in server:logged("ready")[1].listen:gmatch "(%S+):(%d+)" do
      for _ = 1, 12 do
        local c = raw:connect { host = host, port = port }
        if c and c:request(GET) then table.insert(connections, c) end
      end
    end
    for _, c in ipairs(connections) do
      if select(2, c:read { timeout = 0 }) == "timeout" then open = open + 1 end
    end
    return open
  end

  it("holds as many connections as it should in all, with any workers and addresses", function()
    local open = open_of_many "connections = 6"
    -- The kernel may have given all to one worker, whose share is half.
    assert.is_true(open >= 3 and open <= 6, tostring(open))
  end)

  it("holds as many connections of one address in each worker, whichever it calls", function()
    local open = open_of_many "connections_per_address = 6"
    assert.is_true(open >= 6 and open <= 12, tostring(open))
  end)

  it("bears clients that leave at any stage", function()
    local post = http("POST", "/simpleenroll", { CSR_TYPE, "Content-Length: 1000" })
    for _, way in ipairs { "close", "drop", "reset" } do
      for _, bytes in ipairs { "", client:hello():sub(1, 5) } do
        local c = connect(true)
        if bytes ~= "" then assert(c:send(bytes)) end
        c[way](c)
      end
      for _, bytes in ipairs { "", post:sub(1, -3), post .. "MII", GET } do
        local c = connect()
        if bytes ~= "" then assert(c:send(bytes)) end
        c[way](c)
      end
    end
    served "leaving"
  end)

  it("never ended a worker over it", function()
    assert.equal(0, #server:logged "child replaced")
    for _, line in ipairs(server:logged "child ended") do error(line.child .. " ended") end
  end)
end)
