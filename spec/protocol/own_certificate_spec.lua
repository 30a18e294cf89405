-- `tls = { auto = ... }`: the server's certificate is of its own CA, renews itself, and is swapped
-- under connections that go on.
local core = require "lest.core"
local process = require "support.process"
local raw_client = require "support.raw_client"
local support = require "support.server"

describe("the server's own certificate", function()
  local server
  setup(function()
    server = support.start { auto = true, config = function(text)
      return (text:gsub('listen = {', 'workers = 2, %0', 1))
    end }
  end)
  teardown(function() server:stop() end)

  --- The certificates that a client is shown.
  local function shown()
    local out = process.must(("openssl s_client -connect 127.0.0.1:%s -showcerts </dev/null "
      .. "2>/dev/null"):format(server.port))
    return assert(core.cert.parse_all(out))
  end

  local function reload()
    local count = #server:logged "ready"
    process.kill(server.pid, "HUP")
    process.wait_for(function() return #server:logged "ready" > count end, "the reload", 60)
  end

  local function file() return server.dir .. "/ledger/tls-auto.pem" end

  it("is issued at the first start, for the names, and is in the ledger", function()
    local cert = shown()[1]
    assert.same({ "DNS:localhost", "IP:127.0.0.1" }, cert.san)
    assert.same({ "serverAuth" }, cert.eku)
    assert.equal("localhost", cert.subject.CN)
    assert.is_true(math.abs(cert.not_after - os.time() - 90 * 86400) < 300)
    assert.equal("tls|server|localhost|approve", server:sql(("SELECT c.operation, "
      .. "c.principal_kind, c.principal_name, r.verdict FROM certificates AS c JOIN requests AS r "
      .. "ON r.id = c.request_id WHERE c.serial = '%s'"):format(cert.serial)))
    assert.matches("^600 ", process.must { "stat", "-c", "%a %s", file() })
    assert.equal(200, (server:curl "/cacerts"))
  end)

  it("stays over reloads, restarts and the end of an authority", function()
    local before = shown()[1]
    reload()
    assert.is_true(before == shown()[1])
    local authority = server:pids "authority"[1]
    process.kill(authority, "KILL")
    process.wait_for(function()
      local now = server:pids "authority"[1]
      return now and now ~= authority
    end, "another authority", 60)
    process.wait_for(function() return (server:post("/simpleenroll", server:csr "x")) == 401 end,
      "an answer", 60)
    assert.is_true(before == shown()[1])
    assert.equal("1", server:sql "SELECT count(*) FROM certificates WHERE operation = 'tls'")
  end)

  it("is replaced once it is revoked or what was kept is no good", function()
    local before = shown()[1]
    process.must { server.lest, "cert", "revoke", before.serial, "--config", server.dir
      .. "/server.lua" }
    reload()
    local second = shown()[1]
    assert.is_true(second ~= before)
    assert.is_true(second.public_key.der ~= before.public_key.der)
    assert(core.file.write(file(), (process.read(file()):gsub("CERTIFICATE.*", ""))))
    reload()
    assert.is_true(shown()[1] ~= second)
    server:edit_config(function(text) return (text:gsub('"127.0.0.1"', '"127.0.0.2"')) end)
    reload()
    assert.same({ "DNS:localhost", "IP:127.0.0.2" }, shown()[1].san)
  end)

  it("is renewed while it serves, in each worker, and open connections go on", function()
    server:edit_config(function(text)
      return (text:gsub('"127.0.0.2" }', '%0, lifetime = "12s"', 1))
    end)
    reload()
    local connection <close> = assert(raw_client.new(server):connect { port = server.port })
    local first = shown()[1]
    process.wait_for(function()
      local cert = shown()[1]
      return cert ~= first and cert.not_after > first.not_after
    end, "the next certificate", 90)
    local status = assert(connection:request(raw_client.http("GET", "/cacerts", {}))).status
    assert.equal(200, status)
  end)

  it("goes on while it cannot be renewed, and says so before it ends", function()
    local before, first = #server:logged "server certificate not renewed", shown()[1]
    do
      local other <close> = assert(core.ledger.open(server:ledger()))
      assert(other:begin())
      process.wait_for(function()
        return #server:logged "server certificate not renewed" > before
      end, "a warning", 90)
      assert(other:rollback())
    end
    process.wait_for(function() return shown()[1].not_after > first.not_after end,
      "the next certificate", 90)
  end)

  it("serves where it cannot be kept, and says so", function()
    os.remove(file())
    process.must { "mkdir", file() }
    reload()
    assert.is_true(#server:logged "server certificate not kept" > 0)
    assert.equal(200, (server:curl "/cacerts"))
    process.must { "rmdir", file() }
  end)

  it("is another one at a reload where the kind of its key is", function()
    server:edit_config(function(text)
      return (text:gsub('lifetime = "12s"', 'lifetime = "1d", key = "ed25519"', 1))
    end)
    reload()
    assert.equal("ed25519", shown()[1].public_key.type)
  end)
end)
