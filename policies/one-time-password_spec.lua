-- Who gets which certificate by one-time-password.lua. Run: lest policy test
local testing = require "lest.testing"

describe("one-time-password.lua", function()
  local policy = testing.policy("one-time-password.lua", { options = { window = "30d" } })

  it("gives who knows the password the own name, and no other", function()
    assert.approves(policy, testing.request { principal = testing.basic "device001" },
      { subject = "CN=device001" })
    assert.rejects(policy, testing.request { principal = testing.basic "device001",
      csr = { subject = "CN=admin" } }, "ask for the subject CN=device001")
  end)

  it("enrolls nobody by a certificate", function()
    for _, principal in ipairs { testing.cert(), testing.idevid { serialNumber = "1" } } do
      assert.rejects(policy, testing.request { principal = principal, operation = "simpleenroll" },
        "enroll with the password")
    end
  end)

  it("renews in the window", function()
    local function renewal(left)
      return testing.request { operation = "simplereenroll",
        principal = testing.cert { left = left } }
    end
    assert.approves(policy, renewal "29d", { renewal = true })
    assert.rejects(policy, renewal "31d", "too early")
  end)

  it("renews at any time without one", function()
    assert.approves(testing.policy "one-time-password.lua",
      testing.request { operation = "simplereenroll", principal = testing.cert { left = "80d" } },
      { renewal = true })
  end)
end)
