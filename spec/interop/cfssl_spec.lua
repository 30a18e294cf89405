-- A CA elsewhere that is cfssl's: `cfssl serve` of Debian, with an auth key.
local core = require "lest.core"
local elsewhere = require "support.elsewhere"
local process = require "support.process"
local support = require "support.server"

local KEY <const> = "0123456789abcdef0123456789abcdef"

local CONFIG <const> = [[
{ "signing": { "default": { "auth_key": "k", "expiry": "24h",
    "usages": ["digital signature", "client auth"] },
  "profiles": { "long": { "auth_key": "k", "expiry": "4800h",
    "usages": ["digital signature", "client auth"] } } },
  "auth_keys": { "k": { "type": "standard", "key": "%s" } } }]]

-- cfssl's own certdb/sqlite/migrations/001.
local DATABASE <const> = [[
CREATE TABLE certificates (serial_number blob NOT NULL, authority_key_identifier blob NOT NULL,
  ca_label blob, status blob NOT NULL, reason int, expiry timestamp, revoked_at timestamp,
  pem blob NOT NULL, PRIMARY KEY (serial_number, authority_key_identifier));]]

describe("a CA behind cfssl", function()
  local ca, cfssl, port, server

  local function run(...)
    cfssl = process.start({ "cfssl", "serve", "-address", "127.0.0.1", "-port", port, "-ca",
      ca.folder .. "/ca.pem", "-ca-key", ca.folder .. "/ca.key", "-config",
      ca.folder .. "/config.json", ... }, "/dev/null", ca.folder .. "/cfssl.log")
    process.wait_for(function()
      return process.run { "curl", "-s", "-o", "/dev/null", "-d", "{}",
        ("http://127.0.0.1:%s/api/v1/cfssl/info"):format(port) } == 0
    end, "cfssl", 20)
  end

  before_each(function()
    ca = elsewhere.ca()
    port = tostring(process.free_port())
    process.write(ca.folder .. "/config.json", CONFIG:format(KEY))
    run()
  end)
  after_each(function()
    if server then server:stop() end
    server = nil
    process.kill(cfssl, "KILL")
    ca:close()
  end)

  local function start(key, more)
    process.write(ca.folder .. "/auth.key", key .. "\n")
    server = elsewhere.server { backend = ([[backend = "cfssl", url = "http://127.0.0.1:%s",
      auth_key_file = %q, cert = %q %s]]):format(port, ca.folder .. "/auth.key",
      ca.folder .. "/ca.pem", more or "") }
    server:run()
  end

  local function ask(name)
    local secret = server:credential(name)
    return server:post("/simpleenroll", server:csr(name), "--user", name .. ":" .. secret)
  end

  it("issues what was approved", function()
    start(KEY)
    local status, body = ask "pump"
    assert.equal(200, status, body)
    local cert = support.issued(body)
    assert.equal("CN=pump", tostring(cert.subject))
    assert.equal("CN=Elsewhere", tostring(cert.issuer))
    assert.equal("issued", server:sql "SELECT state FROM orders")
    assert.is_nil(server:logged("CA not reached")[1])
  end)

  --- Revoke what was issued to the device, and wait for what comes of it.
  local function revoke(name)
    local serial = server:sql(("SELECT serial FROM certificates WHERE subject = 'CN=%s'"):format(
      name))
    process.must { support.lest, "cert", "revoke", serial, "--reason", "keyCompromise", "--config",
      server.dir .. "/server.lua" }
    return process.wait_for(function()
      local state = server:sql(([[SELECT state FROM orders WHERE kind = 'revoke' AND
        serial = '%s']]):format(serial))
      return state ~= "held" and state ~= "asked" and state
    end, "the revocation", 30), serial
  end

  it("revokes where it has a database, and says so where it has none", function()
    start(KEY)
    assert.equal(200, (ask "pump"))
    assert.equal("failed", (revoke "pump"))
    assert.equal("cfssl has no database (-db-config), and revokes nothing",
      server:sql "SELECT problem FROM orders WHERE kind = 'revoke'")
    process.kill(cfssl, "KILL")
    process.wait_for(function() return not process.alive(cfssl) end, "its end", 10)
    local db = ca.folder .. "/certs.db"
    process.must { "sqlite3", db, DATABASE }
    process.write(ca.folder .. "/db.json", ('{ "driver": "sqlite3", "data_source": "%s" }'):format(
      db))
    run("-db-config", ca.folder .. "/db.json")
    assert.equal(200, (ask "valve"))
    local state, serial = revoke "valve"
    assert.equal("revoked", state)
    assert.equal("revoked|1", (process.must { "sqlite3", db,
      "SELECT status, reason FROM certificates" }:gsub("%s+$", "")))
    assert.equal(serial, core.cert.parse((process.must { "sqlite3", db,
      "SELECT pem FROM certificates" })).serial)
  end)

  it("is not believed where its profile gives more than was approved", function()
    start(KEY, [[, profile = "long"]])
    assert.equal(502, (ask "pump"))
    assert.truthy(server:sql("SELECT problem FROM orders")
      :find("valid for longer than was approved", 1, true))
  end)

  it("that does not take the key is no device's fault", function()
    start(("f"):rep(32))
    assert.equal(502, (ask "pump"))
    assert.equal("failed", server:sql "SELECT state FROM orders")
  end)

  it("is away, and comes back", function()
    start(KEY)
    process.kill(cfssl, "KILL")
    process.wait_for(function() return not process.alive(cfssl) end, "its end", 10)
    assert.equal(503, (ask "pump"))
    run()
    assert.equal(200, (ask "pump2"))
  end)
end)
