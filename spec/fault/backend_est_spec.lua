-- A CA behind another EST server that gives no request its certificate again, and a server that is
-- reloaded and stopped while that CA is silent or away: what was approved and held is not lost.
local elsewhere = require "support.elsewhere"
local process = require "support.process"
local support = require "support.server"

local DEVICES <const>, RELOADS <const> = 4, 3

describe("what a CA that repeats nothing is asked for", function()
  local upstream, server, stopped

  before_each(function()
    upstream = support.make { policy = [[
      local policy = require "lest.policy"
      return { enroll = function(request)
        return policy.approve { subject = request.csr.subject, san = request.csr.san }
      end }]], listen = { "127.0.0.1:" .. process.free_port() }, config = function(text)
        return (text:gsub('names = "principal"', 'names = "policy"', 1))
      end }
    upstream:run()
    stopped = {}
  end)

  --- Have the CA's processes do nothing: the kernel accepts connections for them.
  local function silence()
    table.insert(stopped, upstream.pid)
    process.kill(upstream.pid, "STOP")
    for _, role in ipairs { "worker", "authority" } do
      for _, pid in ipairs(upstream:pids(role)) do
        table.insert(stopped, pid)
        process.kill(pid, "STOP")
      end
    end
  end

  local function wake()
    for i = #stopped, 1, -1 do process.kill(stopped[i], "CONT") end
    stopped = {}
  end

  after_each(function()
    wake()
    if server then server:stop() end
    server = nil
    upstream:stop()
  end)

  local function start()
    local secret = upstream:credential("ra", { "--reusable", "--password-file",
      upstream:file("secret", "correct horse battery") })
    assert.truthy(secret)
    os.execute("chmod -R a+rX " .. upstream.folder)
    server = elsewhere.server { backend = ([[backend = "est", url = %q, trust = %q, cert = %q,
      username = "ra", password_file = %q, timeout = "20s"]]):format(upstream.url,
        upstream.dir .. "/ca.pem", upstream.dir .. "/ca.pem", upstream.folder .. "/secret"),
      label = [[ca = "far", when_away = "hold"]], top = 'drain = "1s",' }
    server:run()
  end

  local function states() return server:sql "SELECT state FROM orders ORDER BY seq" end

  --- The same word for each device.
  local function each(word) return (word .. "\n"):rep(DEVICES):sub(1, -2) end

  local function post_all()
    for i = 1, DEVICES do
      local name = "pump" .. i
      server:post("/simpleenroll", server:csr(name), "--user",
        name .. ":" .. server:credential(name), "--max-time", "0.5")
    end
  end

  local function authorities() return #server:logged "child ended" end

  local function reload(number)
    local ended = authorities()
    process.kill(server.pid, "HUP")
    process.wait_for(function() return #server:logged "ready" == number + 1 end, "the reload", 30)
    -- The authority and the backend of the generation before.
    process.wait_for(function() return authorities() >= ended + 3 end, "the old one's end", 30)
  end

  local function check_certificates()
    process.wait_for(function() return states() == each "issued" end, "all certificates", 90)
    for i = 1, DEVICES do
      local count = "SELECT count(*) FROM certificates WHERE subject = 'CN=pump%d'"
      assert.equal("1", upstream:sql(count:format(i)))
      assert.equal("1", server:sql(count:format(i)))
    end
  end

  it("is held over reloads while it takes connections and says nothing", function()
    silence()
    start()
    post_all()
    process.wait_for(function() return states() == each "asked" end, "the orders", 60)
    for i = 1, RELOADS do
      reload(i)
      process.wait_for(function() return states() == each "asked" end, "the next asks", 60)
      assert.equal(each "0", server:sql "SELECT doubt FROM orders ORDER BY seq")
    end
    wake()
    check_certificates()
  end)

  it("is held over a stop while it takes connections and says nothing", function()
    silence()
    start()
    post_all()
    process.wait_for(function() return states() == each "asked" end, "the orders", 60)
    process.kill(server.pid, "TERM")
    assert.equal(0, server:exit_code(30))
    assert.equal(each "held", states())
    -- The others may have been asked for longer than a connection may take.
    assert.equal("0|0", server:sql "SELECT tries, doubt FROM orders ORDER BY seq DESC LIMIT 1")
    wake()
    server:run()
    check_certificates()
  end)

  it("is held over reloads while it refuses connections", function()
    start()
    process.kill(upstream.pid)
    upstream:exit_code(30)
    post_all()
    for i = 1, RELOADS do reload(i) end
    assert.equal("", (states():gsub("asked", ""):gsub("held", ""):gsub("\n", "")))
    upstream:run()
    check_certificates()
  end)
end)
