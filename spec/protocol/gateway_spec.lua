-- `lest forward --listen`, and devices that reach a server by it alone.
local agents = require "support.agent"
local process = require "support.process"
local shell = require "support.shell"
local temporary = require "support.temporary"

-- What a device calls the server, and does not reach: TEST-NET-1.
local NOWHERE <const> = "https://192.0.2.1:9"

-- A stranger in the place of a gateway, with one answer to everything.
local STRANGER <const> = [[
local core = require "lest.core"
local server = assert(core.server.new { listen = "127.0.0.1:0", tls = false,
  on_request = function(exchange)
    exchange:respond { status = tonumber(arg[1]), headers = { { "Retry-After", "604800" },
      { "Content-Type", arg[2] } }, body = arg[3] }
  end })
print(server.address)
io.stdout:flush()
while true do core.loop.turn() end
]]

describe("lest forward --listen", function()
  local server, pids

  setup(function()
    server = agents.server { edit = function(text)
      return (text:gsub("%-%- fullcmc = true", 'fullcmc = true, lost_answer = "30d"', 1)
        :gsub('"certificate", "basic" }', '"certificate", "basic", "challenge" }', 1))
    end }
  end)
  teardown(function() server:stop() end)
  before_each(function() pids = {} end)
  after_each(function()
    for _, pid in ipairs(pids) do
      if process.alive(pid) then process.kill(pid, "KILL") end
    end
    temporary.clean()
  end)

  local function start(words, out, log)
    local pid = process.start(words, out, log)
    pids[#pids + 1] = pid
    return pid
  end

  --- A gateway; its address, process id and log.
  local function gateway(to)
    local folder = temporary.folder()
    local log = folder .. "/log"
    local pid = start({ process.lest, "forward", "--listen", "127.0.0.1:0", "--to",
      to or server.url, "--trust", server.root }, folder .. "/out", log)
    local line = process.wait_for(function()
      assert(process.alive(pid), process.read(log))
      return process.logged(log, "forwarding")[1]
    end, "the gateway", 60)
    return "http://" .. line.listen, pid, log
  end

  local function stranger(...)
    local folder = temporary.folder()
    local script = temporary.file(folder, "stranger.lua", STRANGER)
    start({ process.lest, "run", script, ... }, folder .. "/out", folder .. "/log")
    local address = process.wait_for(function()
      return process.read(folder .. "/out"):match "^(%g+)\n"
    end, "the stranger", 60)
    return "http://" .. address
  end

  local serial = 0

  --- A device that reaches the gateway at an address alone, and has a secret.
  local function sensor(address)
    serial = serial + 1
    local name = ("sensor%d"):format(serial)
    local it = agents.new(server)
    process.write(it:file "secret", server:credential(name, { "--kind", "challenge" }))
    it.fields = { url = ("%q"):format(NOWHERE), gateway = ("%q"):format(address),
      username = "nil", password_file = "nil", challenge_file = '"secret"',
      subject = ('"CN=%s"'):format(name), timeout = '"20s"' }
    it:configure(it.fields)
    it.subject = "CN=" .. name
    return it
  end

  local function curl(address, ...)
    local words = { "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", ... }
    words[#words] = address .. words[#words]
    return tonumber((select(2, process.run(words))))
  end

  it("gets a device that reaches nothing else its certificates, and shows who asked", function()
    local address, pid = gateway()
    local it = sensor(address)
    local said = it:once()
    assert.equal(0, said.code, said.err)
    local first = it:cert()
    assert.equal(it.subject, tostring(first.subject))
    assert.equal(0, it:once("--renew").code)
    local second = it:cert()
    assert.not_equal(first.public_key.der, second.public_key.der)
    assert.equal(first.serial, server:sql("SELECT renews FROM certificates WHERE serial = '"
      .. second.serial .. "'"))
    assert.same({ "ok", 0 }, { it:status().state, it:status().code })
    -- The address is the gateway's, who asked the device.
    local lines = server:logged "request"
    local line = lines[#lines]
    assert.same({ "fullcmc", second.serial, "127.0.0.1" }, { line.operation, line.serial,
      (line.address:gsub(":%d+$", "")) })
    assert.matches(it.subject, line.principal or line.who or "", 1, true)
    process.kill(pid, "TERM")
    process.wait_for(function() return not process.alive(pid) end, "the gateway's end", 60)
  end)

  it("sends on nothing that a connection proves, or that is no message", function()
    local address = gateway()
    local est = address .. "/.well-known/est"
    local cmc = "Content-Type: application/pkcs7-mime"
    assert.same({ 200, 200, 404, 404, 404, 404, 404, 404 }, { curl(est, "/cacerts"),
      curl(address, "/crl/ca.crl"), curl(est, "/csrattrs"),
      curl(est, "-d", "x", "/simpleenroll"), curl(est, "-d", "x", "/simplereenroll"),
      curl(address, "/healthz"), curl(est, "/cacerts?a"), curl(address, "/crl/..%2fca.crl") })
    assert.same({ 405, 405, 415, 400, 400, 404 }, { curl(est, "/fullcmc"),
      curl(est, "-d", "x", "/cacerts"), curl(est, "-d", "x", "/fullcmc"),
      curl(est, "-H", cmc, "-d", "x", "/fullcmc"), curl(est, "-H", cmc, "-d", "", "/fullcmc"),
      curl(est, "/nowhere/cacerts") })
    local folder = temporary.folder()
    process.write(folder .. "/large", ("A"):rep(300 * 1024))
    assert.equal(413, curl(est, "-H", cmc, "--data-binary", "@" .. folder .. "/large", "/fullcmc"))
    assert.matches("only fullcmc, cacerts and CRLs", select(2, process.run { "curl", "-s",
      address .. "/crl/..%2fca.crl" }))
    local _, body = process.run { "curl", "-s", "--cacert", server.root,
      server.url .. "/crl/ca.crl" }
    local _, other = process.run { "curl", "-s", address .. "/crl/ca.crl" }
    assert.equal(body, other)
  end)

  it("is a network that is away where the server is, and the same request is sent later", function()
    local nowhere, pid = gateway "https://localhost:1"
    local it = sensor(nowhere)
    local said = it:once()
    assert.equal(6, said.code, said.err)
    assert.matches("the gateway has no answer of the server: .*502", it:status().error)
    process.kill(pid, "KILL")
    process.wait_for(function() return not process.alive(pid) end, "the gateway's end", 60)
    assert.equal(6, it:once("--try").code)
    it.fields.gateway = ("%q"):format((gateway()))
    it:configure(it.fields)
    assert.equal(0, it:once("--try").code)
    assert.equal(it.subject, tostring(it:cert().subject))
  end)

  it("is believed in nothing by a device", function()
    local good = sensor((gateway()))
    assert.equal(0, good:once().code)
    local before = good:cert()
    local _, bag = process.run { "curl", "-s", "--cacert", server.root, server.url
      .. "/.well-known/est/cacerts" }
    for _, lie in ipairs { { "403", "text/plain", "you are refused" },
      { "202", "text/plain", "come back in a week" },
      { "200", "application/pkcs7-mime", "MAMCAQU=" },
      -- An answer for all: nobody has signed it.
      { "200", "application/pkcs7-mime; smime-type=certs-only", (bag:gsub("%s", "")) } } do
      good.fields.gateway = ("%q"):format(stranger(table.unpack(lie)))
      good:configure(good.fields)
      local said = good:once("--renew")
      assert.equal(6, said.code, said.err)
      assert.equal(before, good:cert())
      local status = good:status()
      assert.same({ "failing", 1 }, { status.state, status.code })
      local memory = require "cjson".decode(process.read(good:state "state.json"))
      assert.is_true(memory.retry.at - os.time() < 86400, "put off for a week")
    end
    good.fields.gateway = ("%q"):format((gateway()))
    good:configure(good.fields)
    assert.equal(0, good:once("--renew").code)
  end)

  it("says what is wrong with its words, and with those of a device", function()
    for _, words in ipairs { { "--listen", "127.0.0.1:0" }, {}, { "x", "--listen", "127.0.0.1:0",
      "--to", server.url }, { "--listen", "127.0.0.1:0", "--to", "http://localhost" },
      { "--listen", "nowhere", "--to", server.url } } do
      local all = { "forward", "--trust", server.root, table.unpack(words) }
      local said = shell.lest(table.unpack(all))
      assert.is_true(said.code == 2 or said.code == 1, table.concat(words, " "))
    end
    local it = sensor "https://localhost:1"
    assert.matches("gateway: is http://HOST:PORT alone", it:run("--check").err)
    it.fields.gateway, it.fields.trust = '"http://localhost:1"', '"system"'
    it:configure(it.fields)
    assert.matches("gateway: needs 'trust', a file", it:run("--check").err)
  end)
end)
