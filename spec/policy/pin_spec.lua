-- `lest policy pin` makes a test of what a server has decided: it passes by the policy that decided
-- so, and fails by one that decides otherwise.
local process = require "support.process"
local recorded = require "support.recorded"

local POLICY <const> = [[
local lest, policy = require "lest", require "lest.policy"
local options = policy.options { prefix = { type = "string", default = "x-" } }

local function of_inventory(request)
  local res, err = lest.http.get("INVENTORY/" .. request.principal.name, { trust = "CA" })
  if not res then return policy.unavailable { "the inventory is away", detail = err } end
  if res.status ~= 200 then return policy.reject "not in the inventory" end
  return policy.approve { subject = { { "CN", options.prefix .. assert(res:json()).host } },
    lifetime = "1d" }
end

return {
  enroll = policy.first {
    policy.when(function(request) return request.principal.name:find "^listed" end, of_inventory),
    policy.when(policy.principal { name = "odd" }, function(request)
      return policy.approve { subject = request.csr.subject }
    end),
    policy.when(policy.principal { name = "wait*" }, policy.pending { "wait", needed = 2 }),
    policy.own_name(),
  },
  reenroll = policy.renew {},
}
]]

local BOTH <const> = [[
local policy = require "lest.policy"
return function(request)
  local auth = request.auth
  if auth.basic.name ~= "both" or auth.certificate.name ~= "device001" then
    return policy.reject "who is this?"
  end
  return policy.approve { subject = { { "CN", "at-" .. request.time } } }
end
]]

describe("lest policy pin", function()
  local server, inventory

  setup(function()
    server, inventory = recorded.start { policy = POLICY, both = BOTH, config = function(text)
      return (text:gsub('policy = "policy.lua"',
        'policy = { file = "policy.lua", options = { prefix = "pump-" } }', 1))
    end }
    recorded.ask_inventory(server, inventory, "7")
    inventory:stop()
    assert.equal(202, recorded.enroll(server, "wait1"))
    assert.equal(400, (server:post("/simpleenroll", server:csr("odd", { subject = "/O=y/CN=odd" }),
      "--user", "odd:" .. server:credential "odd")))
    server:enroll "device001"
    recorded.renew(server)
    recorded.show_both(server)
  end)
  teardown(function() server:stop() end)

  local function pin(...)
    local words = { server.lest, "policy", "pin", "--config", server.dir .. "/server.lua", ... }
    return process.run(words)
  end

  -- What the tests of some requests say.
  local function test(name, ...)
    local texts = {}
    for i, id in ipairs { ... } do
      local code, out, err = pin(id)
      assert.same({ 0, "" }, { code, err }, id)
      texts[i] = out
    end
    local spec = ("%s/%s_spec.lua"):format(server.dir, name) -- beside the policy
    process.write(spec, table.concat(texts))
    return process.run { server.lest, "policy", "test", spec }
  end

  local function ids()
    local found = {}
    for id in server:sql("SELECT id FROM requests ORDER BY seq"):gmatch "%S+" do
      found[#found + 1] = id
    end
    return found
  end

  it("makes tests that pass by the policy that decided, and of every verdict", function()
    local all = ids()
    assert.equal(7, #all)
    local code, out, err = test("all", table.unpack(all))
    assert.equal(0, code, out .. err)
    assert.matches(("\n%d passed, 0 failed\n$"):format(#all), out)
  end)

  it("names the policy as it is seen from the spec", function()
    local id = ids()[1]
    local _, beside = pin(id)
    assert.matches('testing.policy%("policy.lua", { config = "server.lua", label', beside)
    process.must { "mkdir", "-p", server.dir .. "/tests/all" }
    local spec = server.dir .. "/tests/all/x_spec.lua"
    local code, out, err = pin(id, "--spec", spec)
    assert.same({ 0, "" }, { code, err })
    assert.matches('testing.policy%("../../policy.lua", { config = "../../server.lua"', out)
    process.write(spec, out)
    code, out, err = process.run { server.lest, "policy", "test", spec }
    assert.equal(0, code, out .. err)
    local _, apart = pin(id, "--spec", "/x_spec.lua")
    assert.truthy(apart:find(('testing.policy("%s/policy.lua"'):format(server.dir), 1, true), apart)
  end)

  it("makes tests that fail by another policy", function()
    local all = ids()
    local before = process.read(server.dir .. "/policy.lua")
    process.write(server.dir .. "/policy.lua", (before:gsub("not in the inventory", "unknown")
      :gsub('lifetime = "1d"', 'lifetime = "2d"'):gsub("policy.pending", "policy.reject")
      :gsub(", needed = 2", "")))
    local _, out = test("other", table.unpack(all))
    process.write(server.dir .. "/policy.lua", before)
    assert.matches("lifetime: expected 1d\n  +actual 2d", out)
    assert.matches("reason: expected not in the inventory\n  +actual unknown", out)
    assert.matches("expected: pending\n  actual:   reject: wait\n", out)
    assert.matches(("\n%d passed, 3 failed\n$"):format(#all - 3), out)
  end)

  it("finds a decision by its certificate's serial, and by name and time", function()
    local serial = server:sql "SELECT serial FROM requests WHERE principal_name = 'listed7'"
    local id = server:sql "SELECT id FROM requests WHERE principal_name = 'listed7'"
    local _, out = pin(serial)
    assert.truthy(out:find(id, 1, true))
    for _, words in ipairs { { "listed8" }, { "listed8", "--at", "0s" } } do
      local code, found = pin(table.unpack(words))
      assert.equal(0, code)
      assert.matches("assert.rejects", found)
    end
    assert.equal(1, (pin("listed8", "--at", "1d")))
    assert.equal(1, (pin "nobody"))
  end)

  it("has recorded requests for a search to begin with", function()
    local spec = server:file("never_spec.lua", ([[
      local testing = require "lest.testing"
      describe("x", function() testing.never { testing.policy(%q), verdict = "pending" } end)
    ]]):format(server.dir .. "/policy.lua"))
    local function fuzz(...)
      return process.run { server.lest, "policy", "fuzz", spec, "--seconds", "20", ... }
    end
    local code, out, err = fuzz("--recorded", "--config", server.dir .. "/server.lua")
    assert.equal(1, code, out .. err)
    assert.matches("pending", out)
    assert.equal(2, (fuzz "--recorded"))
    assert.equal(2, (fuzz("--label", "default")))
  end)

  it("lets nothing of a request become code", function()
    local evil = [["]] .. "]] os.exit(3) --"
    assert.equal(403, (server:post("/simpleenroll", server:csr("evil",
      { subject = "/CN=" .. evil }), "--user", "evil:" .. server:credential "evil", "-A", evil)))
    local code, out, err = test("evil",
      server:sql "SELECT id FROM requests WHERE principal_name = 'evil'")
    assert.equal(0, code, out .. err)
  end)

  it("says of which answer the record has too little", function()
    server:change([[UPDATE requests
      SET outside = replace(outside, '"body"', '"body_sha256"')
      WHERE principal_name = 'listed7']])
    local _, out = pin(server:sql "SELECT id FROM requests WHERE principal_name = 'listed7'")
    assert.matches("%-%- no answer was kept to http GET %S+/listed7: give one\n", out)
    assert.is_nil(out:find("body_sha256", 1, true))
  end)
end)
