-- A label's shadow sees live requests once they are answered, and decides nothing; what it would
-- have decided otherwise is printed. Whatever goes wrong in it is nobody else's matter.
local core = require "lest.core"
local json = require "lest.json"
local monitor = require "support.monitor"
local process = require "support.process"
local raw_server = require "support.raw_server"
local support = require "support.server"

local POLICY <const> = [[
local lest, policy = require "lest", require "lest.policy"
local function of_inventory(request)
  local res = lest.http.get("INVENTORY/" .. request.principal.name, { trust = "CA" })
  if not res then return policy.unavailable "the inventory is away" end
  return policy.approve { subject = { { "CN", assert(res:json()).host } } }
end
local within = policy.rate { per = "label", most = 2, every = "1h" }
return { enroll = function(request)
  if request.principal.name:find "^rated" and not within(request) then
    return policy.reject "too many"
  end
  if request.principal.name:find "^listed" then return of_inventory(request) end
  if request.principal.name == "closed" then return policy.reject "closed" end
  return policy.approve { subject = request.csr.subject }
end }
]]

describe("a shadow", function()
  local server, inventory

  local function start(shadow)
    server = support.make { config = function(text)
      return (text:gsub('names = "principal"', 'names = "policy"'):gsub("labels = {",
        'workers = 1, metrics = "127.0.0.2:0",\n  labels = {', 1):gsub('policy = "policy.lua",',
        'policy = "policy.lua", shadow = { file = "next.lua" },'))
    end }
    inventory = raw_server.start {
      cert = server.dir .. "/server.pem", key = server.dir .. "/server.key",
    }
    local function with_places(text)
      return (text:gsub("INVENTORY", inventory.url):gsub("CA\"", server.dir .. '/ca.pem"'))
    end
    process.write(server.dir .. "/policy.lua", with_places(POLICY))
    process.write(server.dir .. "/next.lua", with_places(shadow(POLICY)))
    server:run()
  end
  after_each(function()
    inventory:stop()
    server:stop()
  end)

  local function enroll(name)
    local secret = server:credential(name)
    return (server:post("/simpleenroll", server:csr(name), "--user", name .. ":" .. secret))
  end

  local function shadows()
    return tonumber(server:sql "SELECT count(*) FROM shadows")
  end

  local function wait_for(count)
    process.wait_for(function() return shadows() >= count end, "what the shadow said")
  end

  local function compare(...)
    local code, out, err = process.run { server.lest, "policy", "shadow", "--config",
      server.dir .. "/server.lua", ... }
    assert.equal("", err)
    return code, out
  end

  it("tells who would get another verdict or other names, and changes nothing", function()
    start(function(text)
      return (text:gsub('return policy.reject "closed"', "")
        :gsub("subject = request.csr.subject",
          'subject = { { "CN", "n-" .. request.principal.name } }'))
    end)
    inventory:answer(raw_server.http(200, {}, '{ "host": "pump-7" }'))
    assert.equal(200, enroll "listed7")
    inventory:request()
    assert.equal(403, enroll "closed")
    assert.equal(200, enroll "device001")
    wait_for(3)
    local code, out = compare()
    assert.equal(1, code)
    assert.matches("1  other names  by next.lua:%d+\n +%S+ +%S+ %S+ UTC  device001  "
      .. "CN=device001 %-> CN=n%-device001\n", out)
    assert.matches("1  reject %-> approve  by next.lua:%d+\n +.*  closed  was: closed\n", out)
    assert.matches("1 as before, 2 otherwise, 0 not decided again\n$", out)
    local result
    code, out = compare("--json", "--label", "default", "--since", "1h")
    result = assert(json.decode(out))
    assert.same({ 1, 1, 2 }, { code, result.same, result.different })
    assert.equal("CN=device001\nCN=pump-7",
      server:sql "SELECT subject FROM certificates ORDER BY 1")
    assert.equal(1, #inventory:requests(), "the inventory was asked twice")
  end)

  it("is not compared where there is none, or nothing that it has seen", function()
    start(function(text) return text end)
    local function run()
      return process.run { server.lest, "policy", "shadow", "--config", server.dir .. "/server.lua",
        "--label", "default" }
    end
    local code, out, err = run()
    assert.same({ 0, "0 as before, 0 otherwise, 0 not decided again\n" }, { code, out })
    assert.matches("the shadow has not decided about any request yet\n$", err)
    local config = server.dir .. "/server.lua"
    process.write(config, (process.read(config):gsub('shadow = { file = "next.lua" },', "")))
    code, out, err = run()
    assert.same({ 2, "" }, { code, out })
    assert.matches("label 'default' has no shadow, and the ledger has no verdict of one\n$", err)
  end)

  it("asks for itself what only it asks, and what changes nothing", function()
    start(function(text)
      return (text:gsub("lest.http.get%(\"INVENTORY/", 'lest.http.get("INVENTORY/v2/')
        :gsub("return policy.reject \"closed\"",
          'return policy.reject((lest.http.post("INVENTORY/closed", "x")))'))
    end)
    inventory:answer(raw_server.http(200, {}, '{ "host": "pump-7" }'), 2)
    assert.equal(200, enroll "listed7")
    assert.equal(403, enroll "closed")
    wait_for(2)
    local targets = {}
    for i, request in ipairs(inventory:requests()) do targets[i] = request.target end
    assert.same({ "/listed7", "/v2/listed7" }, targets)
    local code, out = compare()
    assert.equal(0, code)
    assert.matches("1  not decidable: nobody could answer http POST https://.*/%*", out)
    assert.matches("1 as before, 0 otherwise, 1 not decided again\n$", out)
  end)

  it("counts no request twice, and what was counted is replayed", function()
    start(function(text) return text end)
    for i, status in ipairs { 200, 200, 403 } do
      assert.equal(status, enroll("rated" .. i))
      wait_for(i)
    end
    local code, out = compare()
    assert.same({ 0, "3 as before, 0 otherwise, 0 not decided again\n" }, { code, out })
    code, out = process.run { server.lest, "policy", "replay", "--config",
      server.dir .. "/server.lua" }
    assert.same({ 0, "3 as before, 0 otherwise, 0 not decided again\n" }, { code, out })
  end)

  it("fails alone: it raises or never ends, and the clients see nothing of it", function()
    start(function()
      return [[return { enroll = function(request)
        local name = request.principal.name
        if name == "raises" then error "on purpose" end
        while true do end
      end }]]
    end)
    for i, name in ipairs { "raises", "endless", "after", "later" } do
      local started_us = core.clock.monotonic_us()
      assert.equal(200, enroll(name))
      if i <= 2 then wait_for(i) end
      assert.is_true(core.clock.monotonic_us() - started_us < 60 * 1000000)
    end
    assert.equal("error", server:sql "SELECT DISTINCT verdict FROM shadows")
    assert.is_true(#server:logged "shadow failed" >= 2)
    assert.same({}, server:logged "policy failed")
    -- It rests after the one that did not end; on a slow machine that may be over.
    process.wait_for(function()
      local samples = monitor.samples(server)
      local function counted(result)
        return samples[('lest_shadow_decisions_total{label="default",result="%s"}'):format(result)]
          or 0
      end
      return counted "failed" >= 2 and counted "failed" + counted "dropped" == 4
    end, "what was counted")
  end)

  it("that cannot be loaded is an error of the start, with its key", function()
    start(function(text) return text end)
    process.write(server.dir .. "/next.lua", "return { enrol = function() end }")
    local code, _, err = process.run { server.lest, "serve", "--check",
      server.dir .. "/server.lua" }
    assert.equal(2, code)
    assert.matches("labels.default.shadow.*unknown hook 'enrol', did you mean 'enroll'", err)
  end)
end)
