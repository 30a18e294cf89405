-- policy.rate: how often such requests come, counted for all workers together.
local process = require "support.process"
local support = require "support.server"

local POLICY <const> = [[
local policy = require "lest.policy"

local enroll = policy.first {
  policy.when(policy.principal { name = "dev-*" }, policy.unless(
    policy.rate { per = "device", most = 3, every = "1h" }, policy.reject "too often")),
  policy.when(policy.principal { name = "a-*" }, policy.unless(
    policy.rate { per = { "label", "address" }, most = 2, every = "1h", name = "all" },
    policy.reject "too many from there")),
  policy.when(policy.principal { name = "b-*" }, policy.unless(
    policy.rate { per = { "label", "address" }, most = 2, every = "1h", name = "all" },
    policy.reject "too many from there")),
  policy.when(policy.principal { name = "often" }, function(request)
    local rate = policy.rate { per = "device", most = 1000, every = "1h", name = "often" }
    for i = 1, 20 do assert(rate(request)) end
  end),
  policy.own_name(),
}
return { enroll = enroll }
]]

describe("policy.rate", function()
  local server
  setup(function()
    server = support.start { policy = POLICY, config = function(text)
      return (text:gsub("profiles = {", "workers = 3,\n%0", 1))
    end }
  end)
  teardown(function() server:stop() end)

  local secrets = {}
  local serial = 0
  local function enroll(name)
    serial = serial + 1
    secrets[name] = secrets[name] or server:credential(name, { "--reusable" })
    local status, body = server:post("/simpleenroll", server:csr("key" .. serial,
      { subject = "/CN=" .. name }), "--user", name .. ":" .. secrets[name])
    return status, status ~= 200 and body or nil
  end

  it("counts a device whichever worker it comes to, and no other with it", function()
    for _ = 1, 3 do assert.equal(200, (enroll "dev-1")) end
    for _ = 1, 3 do assert.same({ 403, "too often\n" }, { enroll "dev-1" }) end
    assert.equal(200, (enroll "dev-2"))
    local workers = {}
    for _, line in ipairs(server:logged "request") do workers[line.role] = true end
    assert.is_truthy(next(workers, next(workers)), "more than one worker")
  end)

  it("counts together what has one name, and is as the key says", function()
    assert.equal(200, (enroll "a-1"))
    assert.equal(200, (enroll "b-1"))
    assert.same({ 403, "too many from there\n" }, { enroll "a-2" })
    assert.same({ 403, "too many from there\n" }, { enroll "b-2" })
  end)

  it("is asked a few times a request: then the answer is later", function()
    local status, body = enroll "often"
    assert.same({ 503, "the request cannot be decided now\n" }, { status, body })
    assert.matches("a policy asks no more than 16 times",
      server:sql "SELECT detail FROM requests WHERE principal_name = 'often'")
  end)

  it("begins anew with the authority", function()
    assert.equal(403, (enroll "dev-1"))
    local authority = server:pids("authority")[1]
    process.kill(authority, "KILL")
    process.wait_for(function()
      local now = server:pids("authority")[1]
      return now and now ~= authority
    end, "another authority", 20)
    process.wait_for(function() return (enroll "dev-1") == 200 end, "an answer", 20)
  end)
end)
