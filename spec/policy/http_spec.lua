-- A policy that asks an inventory over HTTPS: straight-line code that blocks nobody.
local process = require "support.process"
local raw_server = require "support.raw_server"
local support = require "support.server"

local POLICY <const> = [[
local lest, policy = require "lest", require "lest.policy"
return { enroll = function(request)
  local name = request.principal.name
  local res, err = lest.http.get("INVENTORY/devices/" .. lest.url.escape(name), { trust = "CA" })
  if not res or res.status >= 500 then
    return policy.unavailable { "the inventory is away", retry_after = "9s",
      detail = err or res.status }
  end
  if res.status ~= 200 then return policy.reject { "not in the inventory", detail = name } end
  return policy.approve { subject = { { "CN", assert(res:json()).host } } }
end }
]]

describe("a policy with lest.http", function()
  local server, inventory

  setup(function()
    server = support.make { config = function(text)
      text = text:gsub('names = "principal"', 'names = "policy"')
      local more = 'limits = { decision = "3s" }, workers = 1,\n  labels = {'
      return (text:gsub("labels = {", more, 1))
    end }
    inventory = raw_server.start {
      cert = server.dir .. "/server.pem", key = server.dir .. "/server.key",
    }
    local policy = POLICY:gsub("INVENTORY", inventory.url):gsub("CA\"", server.dir .. '/ca.pem"')
    process.write(server.dir .. "/policy.lua", policy)
    server:run()
  end)
  teardown(function()
    inventory:stop()
    server:stop()
  end)

  local function enroll(name)
    local secret = server:credential(name)
    return server:post("/simpleenroll", server:csr(name), "--user", name .. ":" .. secret)
  end

  it("takes the name that the inventory has", function()
    inventory:answer(raw_server.http(200, {}, '{ "host": "pump-7", "owner": null }'))
    local status, body = enroll "serial 7"
    assert.equal(200, status, body)
    assert.equal("/devices/serial%207", inventory:request().target)
    assert.equal("CN=pump-7",
      server:sql "SELECT subject FROM certificates ORDER BY seq DESC LIMIT 1")
  end)

  it("refuses what the inventory does not know", function()
    inventory:answer(raw_server.http(404, {}, ""))
    local status, body = enroll "unknown"
    assert.equal(403, status)
    assert.equal("not in the inventory\n", body)
    inventory:request()
  end)

  it("serves others while one request waits", function()
    local secret = server:credential "slow"
    local csr = server:csr "slow"
    local out, err = server.folder .. "/slow.out", server.folder .. "/slow.err"
    local pid = process.start({ "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert",
      server.dir .. "/ca.pem", "--user", "slow:" .. secret, "--data-binary", "@" .. csr, "-H",
      "Content-Type: application/pkcs10", server.url .. "/.well-known/est/simpleenroll" }, out, err)
    inventory:request() -- the policy's question is there, and is not answered yet
    for _ = 1, 5 do assert.equal(200, (server:curl "/cacerts")) end
    assert.is_true(process.alive(pid))
    inventory:answer(raw_server.http(200, {}, '{ "host": "slow" }'))
    process.wait_for(function() return not process.alive(pid) end, "the slow enrollment")
    assert.equal("200", process.read(out))
  end)

  it("7030-6-q issues nothing when the inventory does not answer in time", function()
    local status = enroll "late"
    assert.equal(500, status)
    assert.matches("took too long", server:logged("policy failed")[1].message)
    assert.equal("error",
      server:sql "SELECT verdict FROM requests WHERE principal_name = 'late'")
  end)
end)
