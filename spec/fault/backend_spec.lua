-- A CA elsewhere, and a process that is killed at each step of what is asked of it: one certificate
-- comes of a request, and what was approved outlives who has approved it.
local core = require "lest.core"
local elsewhere = require "support.elsewhere"
local host = require "support.host"
local json = require "lest.json"
local monitor = require "support.monitor"
local process = require "support.process"
local support = require "support.server"

describe("what a CA elsewhere is asked for", function()
  local server, ca

  before_each(function() ca = elsewhere.ca() end)
  after_each(function()
    if server then server:stop() end
    server = nil
    ca:close()
  end)

  local function start(options)
    options = options or {}
    options.backend = (options.backend or ca.command) .. (options.more or "")
    server = elsewhere.server(options)
    server:run()
  end

  --- A device that posts the same request again and again: status, body, headers.
  local function device_of(name)
    local secret, csr = server:credential(name), server:csr(name)
    return function(...)
      return server:post("/simpleenroll", csr, "--user", name .. ":" .. secret, ...)
    end
  end

  local function lest(...)
    local words = { support.lest, ... }
    table.insert(words, "--config")
    table.insert(words, server.dir .. "/server.lua")
    return process.must(words)
  end

  local function orders(columns)
    return server:sql(("SELECT %s FROM orders ORDER BY seq"):format(columns))
  end

  for _, role in ipairs { "backend", "authority" } do
    it("gives one certificate when the " .. role .. " is killed once it has issued", function()
      start { more = ', timeout = "3s"' }
      local ask = device_of "pump"
      ca:tell "lose"
      local status = ask("--max-time", "1")
      assert.equal(0, status)
      process.wait_for(function() return ca:lines("issued")[1] end, "the CA's certificate", 10)
      process.kill(server:pids(role)[1], "KILL")
      ca:tell "issue"
      local body
      process.wait_for(function()
        status, body = ask()
        return status == 200
      end, "the certificate", 30)
      assert.equal(1, #ca:lines "issued")
      assert.equal(ca:lines("issued")[1], core.secret.sha256(support.issued(body):der()))
      assert.equal("1", server:sql "SELECT count(*) FROM certificates")
      assert.equal("issued|1", orders "state, doubt")
    end)
  end

  it("gives one certificate when the authority is killed before it was asked", function()
    start { more = ', timeout = "2s"' }
    local ask = device_of "pump"
    process.kill(server:pids("backend")[1], "STOP")
    ask("--max-time", "1")
    process.wait_for(function() return orders "state" == "asked" end, "the order", 10)
    process.kill(server:pids("authority")[1], "KILL")
    process.kill(server:pids("backend")[1], "KILL")
    process.wait_for(function() return ask() == 200 end, "the certificate", 30)
    assert.equal("1", server:sql "SELECT count(*) FROM certificates")
    assert.equal(1, #ca:lines "issued")
  end)

  it("finds the certificate when the authority is killed once it has recorded it", function()
    start()
    local ask = device_of "pump"
    local _, body = ask()
    process.kill(server:pids("authority")[1], "KILL")
    process.wait_for(function()
      local status, same = ask()
      return status == 200 and same == body
    end, "the same certificate", 20)
    assert.equal(1, #ca:lines "issued")
  end)

  it("is held for while it is away, and issues in order when it is back", function()
    start { label = [[ca = "far", when_away = "hold"]], more = ", at_once = 1" }
    ca:tell "away"
    local ask = {}
    for i = 1, 3 do
      ask[i] = device_of("pump" .. i)
      local status, _, headers = ask[i]()
      assert.equal(202, status)
      assert.is_true(tonumber(headers["retry-after"]) > 0)
    end
    local shown = lest("pending", "list")
    for i = 1, 3 do assert.truthy(shown:find("pump" .. i, 1, true), shown) end
    local id = server:sql "SELECT id FROM orders ORDER BY seq LIMIT 1"
    process.wait_for(function() -- while it is asked again, it is "asked"
      shown = lest("pending", "show", id)
      return shown:find "state +held"
    end, "the held order", 20)
    for _, each in ipairs { "subject +CN=pump1", "ca +far", "reason +it is away",
      "next +%d", "BEGIN CERTIFICATE REQUEST" } do assert.matches(each, shown) end
    assert.is_nil(shown:find("approvals", 1, true))
    local code, _, problem = process.run { support.lest, "pending", "approve", id, "--as", "otto",
      "--config", server.dir .. "/server.lua" }
    assert.equal(1, code)
    assert.matches("is approved, and is its CA's matter: there is nothing to decide", problem)
    -- What was approved is in the ledger, and outlives the process.
    process.kill(server:pids("authority")[1], "KILL")
    local asked = #ca:asked()
    ca:tell "issue"
    process.wait_for(function() return orders "state" == "issued\nissued\nissued" end,
      "all certificates", 90)
    -- The first was being asked for when the process ended, and is taken up again by and by.
    local names = {}
    for i, each in ipairs(ca:asked()) do
      local name = each.subject_text
      if i > asked and name ~= "CN=pump1" then table.insert(names, name) end
    end
    assert.equal("CN=pump2 CN=pump3", table.concat(names, " "))
    for i = 1, 3 do assert.equal(200, (ask[i]())) end
    assert.equal(3, #ca:lines "issued")
  end)

  it("is seen to answer, or not, by whoever watches the server", function()
    server = elsewhere.server { backend = ca.command, top = ('metrics = "127.0.0.1:%d",'):format(
      process.free_port()) }
    server:run()
    --- What /healthz says of it, and /metrics; a program says nothing until it was asked.
    local function seen()
      local status, body = monitor.get(server, "/healthz")
      assert.equal(200, status)
      local cas = json.decode(body).cas
      return cas and cas[1].name == "far" and cas[1].up,
        monitor.samples(server)['lest_ca_up{ca="far"}']
    end
    assert.same({ nil, nil }, { seen() })
    ca:tell "away"
    device_of "pump"()
    process.wait_for(function() return seen() == false end, "away", 10)
    assert.same({ false, 0 }, { seen() })
    assert.equal("it is away", server:logged("CA not reached")[1].message)
    ca:tell "issue"
    process.wait_for(function() return device_of "valve"() == 200 end, "a certificate", 30)
    process.wait_for(function() return seen() == true end, "it is back", 10)
    assert.same({ true, 1 }, { seen() })
    assert.equal("cas.far", server:logged("CA reached")[1].key)
  end)

  it("is not asked for a request that was held when its credential is removed", function()
    start { label = [[ca = "far", when_away = "hold"]] }
    ca:tell "away"
    local ask = device_of "pump"
    assert.equal(202, (ask()))
    lest("credential", "remove", "pump")
    ca:tell "issue"
    process.wait_for(function() return orders "state" == "refused" end, "the end", 90)
    assert.equal(0, #ca:lines "issued")
    assert.equal("the credential was removed", orders "problem")
  end)

  it("has a process of its own, which is watched as the others are", function()
    start { more = ', timeout = "2s"' }
    local pid = server:pids("backend")[1]
    if host.is_root then
      assert.equal(54321, tonumber(host.status(pid, "Uid"):match "^%d+"))
    end
    process.kill(pid, "STOP")
    process.wait_for(function()
      local other = server:pids("backend")[1]
      return other and other ~= pid
    end, "another backend", 30)
    process.wait_for(function() return device_of "pump"() == 200 end, "a certificate", 20)
  end)

  it("is another one after a reload, and nothing is lost", function()
    start()
    local ask = device_of "pump"
    ca:tell "lose"
    ask("--max-time", "1")
    process.wait_for(function() return ca:lines("issued")[1] end, "the CA's certificate", 10)
    process.kill(server.pid, "HUP")
    process.wait_for(function() return #server:logged "ready" == 2 end, "the reload", 30)
    ca:tell "issue"
    process.wait_for(function() return ask() == 200 end, "the certificate", 60)
    assert.equal(1, #ca:lines "issued")
  end)
end)
