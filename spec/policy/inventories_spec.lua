-- Inventories of a real server: a list of devices that is exchanged, broken and put right under it,
-- and a service that is away.
local core = require "lest.core"
local process = require "support.process"
local raw_server = require "support.raw_server"
local support = require "support.server"

local POLICY <const> = [[
local policy = require "lest.policy"
local NAME <const> = "${principal.name}"
local devices = policy.csv("devices.csv", { key = "name" })
local listed = policy.listed(devices, NAME, { state = "sold" })
local stock = policy.sqlite("stock.db", "SELECT host FROM stock WHERE name = :key")
local service = policy.http { url = "URL/${key}", trust = "CA", cache = "1h", timeout = "2s" }
return { enroll = policy.first {
  policy.when(policy.principal { name = "far-*" },
    policy.names { row = policy.listed(service, NAME), CN = "${row.host}" }),
  policy.when(policy.principal { name = "stock-*" },
    policy.names { row = policy.listed(stock, NAME), CN = "${row.host}" }),
  policy.unless(listed, policy.reject "not in the list"),
  policy.names { row = listed, CN = "${row.host}", san = "DNS:${row.host}.example.com" },
} }
]]

describe("inventories", function()
  local server, service

  setup(function()
    server = support.make { files = { ["devices.csv"] = "name,host,state\nann,pump-1,sold\n" },
      config = function(text)
        return (text:gsub('names = "principal",[^\n]*', 'names = "policy", san = { "DNS" },')
          :gsub("labels = {", "workers = 1,\n  labels = {", 1))
      end }
    process.must { "sqlite3", server.dir .. "/stock.db",
      "CREATE TABLE stock (name TEXT, host TEXT); INSERT INTO stock VALUES ('stock-1', 'h-1')" }
    service = raw_server.start { cert = server.dir .. "/server.pem",
      key = server.dir .. "/server.key" }
    process.write(server.dir .. "/policy.lua",
      (POLICY:gsub("URL", service.url):gsub('"CA"', '"' .. server.dir .. '/ca.pem"')))
    server:run()
  end)
  teardown(function()
    if service then service:stop() end
    if server then server:stop() end
  end)

  local function enroll(name)
    return server:post("/simpleenroll", server:csr(name), "--user",
      name .. ":" .. server:credential(name))
  end

  local function list(text)
    process.write(server.dir .. "/next.csv", text)
    assert(os.rename(server.dir .. "/next.csv", server.dir .. "/devices.csv"))
  end

  it("say who gets which name, from the next request on", function()
    local status, body = enroll "ann"
    assert.equal(200, status, body)
    local cert = assert(core.cert.load(server:save(body, "ann")))
    assert.same({ "CN=pump-1", { "DNS:pump-1.example.com" } }, { tostring(cert.subject), cert.san })
    assert.equal(403, (enroll "ben"))
    list "name,host,state\nann,pump-1,lost\nben,pump-2,sold\n"
    assert.equal(403, (enroll "ann"))
    assert.equal(200, (enroll "ben"))
  end)

  it("answer nothing by a file that is broken, and the log says why once", function()
    list "name,host,state\ncat,pump-3\n"
    for _ = 1, 2 do
      local status, body, headers = enroll "ben"
      assert.same({ 503, "an inventory cannot be asked now\n" }, { status, body })
      assert.truthy(headers["retry-after"])
    end
    local away = server:logged "inventory away"
    assert.equal(1, #away)
    assert.matches("row 2 has 2 fields, and the header 3", away[1].message)
    assert.equal("unavailable",
      server:sql "SELECT verdict FROM requests ORDER BY seq DESC LIMIT 1")
    list "name,host,state\nben,pump-2,sold\n"
    assert.equal(200, (enroll "ben"))
  end)

  it("keep the answers of a service, and are away where it is", function()
    service:answer(raw_server.http(200, {}, '{ "host": "far-7" }'))
    for _ = 1, 2 do
      local status, body = enroll "far-1"
      assert.equal(200, status, body)
    end
    assert.equal("/far-1", service:request().target)
    assert.equal("CN=far-7",
      server:sql "SELECT subject FROM certificates ORDER BY seq DESC LIMIT 1")
    service:answer(raw_server.http(500, {}, ""))
    assert.equal(503, (enroll "far-2"))
    service:answer(raw_server.http(404, {}, ""))
    local status, body = enroll "far-3"
    assert.same({ 403, "no name can be made for this request\n" }, { status, body })
  end)

  it("look into a database, as it is now", function()
    local status, body = enroll "stock-1"
    assert.equal(200, status, body)
    assert.equal("CN=h-1", tostring(assert(core.cert.load(server:save(body, "stock-1"))).subject))
    assert.equal(403, (enroll "stock-2"))
    process.must { "sqlite3", server.dir .. "/stock.db",
      "INSERT INTO stock VALUES ('stock-2', 'h-2')" }
    assert.equal(200, (enroll "stock-2"))
    process.must { "sqlite3", server.dir .. "/stock.db", "ALTER TABLE stock RENAME TO other" }
    assert.equal(503, (enroll "stock-1"))
    local away = server:logged "inventory away"
    assert.matches("stock.db$", away[#away].inventory)
    assert.matches("no such table: stock", away[#away].message)
  end)

  it("are read by --check", function()
    process.write(server.dir .. "/devices.csv", "name,host\n")
    process.write(server.dir .. "/policy.lua", "local policy = require 'lest.policy'\n"
      .. "local all = policy.csv('devices.csv', { key = 'nam' })\nreturn function() return all end")
    local code, _, err = process.run { server.lest, "serve", "--check",
      server.dir .. "/server.lua" }
    assert.equal(2, code)
    assert.matches("^lest serve: labels.default.policy: [^\n]*policy.lua:2: policy.csv: [^\n]*"
      .. "devices.csv: row 1: there is no column 'nam'", err)
  end)
end)
