-- policies/two-operators.lua issues once two different operators have approved.
local policies = require "support.policy"

describe("policies/two-operators.lua", function()
  local ask = policies.load "policies/two-operators.lua"

  local function enroll(approvals, subject)
    return ask.enroll { principal = { kind = "basic", name = "device001" }, approvals = approvals,
      csr = policies.csr(subject or "CN=device001") }
  end

  it("waits for two, and says how many are missing", function()
    local verdict = enroll {}
    assert.equal("pending", verdict.verdict)
    assert.equal("awaiting 2 more of 2 operators", verdict.reason)
    assert.equal(300, verdict.retry_after)
    verdict = enroll { { operator = "alice", time = 1 } }
    assert.equal("awaiting 1 more of 2 operators", verdict.reason)
  end)

  it("counts operators, not approvals", function()
    assert.equal("pending",
      enroll({ { operator = "alice", time = 1 }, { operator = "alice", time = 2 } }).verdict)
  end)

  it("approves the device's own name then", function()
    local verdict = enroll { { operator = "alice", time = 1 }, { operator = "bob", time = 2 } }
    assert.equal("approve", verdict.verdict)
    assert.same({ { "CN", "device001" } }, verdict.subject)
  end)

  it("asks no operator about a request that it refuses anyway", function()
    assert.equal("reject", enroll({}, "CN=other").verdict)
    assert.equal("reject", enroll({ { operator = "a", time = 1 }, { operator = "b", time = 2 } },
      "CN=device001,CN=other").verdict)
  end)
end)
