-- Who gets which certificate by two-operators.lua. Run: lest policy test
local testing = require "lest.testing"

describe("two-operators.lua", function()
  local policy = testing.policy "two-operators.lua"

  local function request(...)
    local approvals = {}
    for i, operator in ipairs { ... } do approvals[i] = { operator = operator } end
    return testing.request { principal = testing.basic "device001", approvals = approvals }
  end

  it("waits for two operators", function()
    assert.holds(policy, request(), { reason = "awaiting 2 more", needed = 2, retry_after = "5m" })
    assert.holds(policy, request "alice", "awaiting 1 more")
    assert.approves(policy, request("alice", "bob"), { subject = "CN=device001" })
  end)

  it("waits for as many as it is told", function()
    local three = testing.policy("two-operators.lua", { options = { needed = 3, expires = "1d" } })
    assert.holds(three, request("alice", "bob"), { reason = "awaiting 1 more of 3", needed = 3 })
    assert.approves(three, request("alice", "bob", "carol"))
  end)

  it("counts operators, not how often they approve", function()
    assert.holds(policy, request("alice", "alice"), "awaiting 1 more")
  end)

  it("asks no operator about what is refused anyway", function()
    assert.rejects(policy, testing.request { principal = testing.basic "device001",
      csr = { subject = "CN=admin" } }, "ask for the subject CN=device001")
    assert.rejects(policy, testing.request { principal = testing.cert() },
      "enroll with a user name and password")
  end)

  it("renews without operators", function()
    assert.approves(policy, testing.request { operation = "simplereenroll",
      principal = testing.cert() }, { renewal = true })
  end)
end)
