-- How much quota.lua allows. Run: lest policy test
local kit = require "lest.policy"
local testing = require "lest.testing"

describe("quota.lua", function()
  local request = testing.request { principal = testing.basic "device001" }

  --- A device with so many certificates, whose request is within its rate or not.
  local function with(active, within)
    return testing.policy("quota.lua", { with = kit.own_name(), options = { active = 2 },
      history = { device = { active = { count = active, more = false } } },
      rate = { ["quota: 20 in 3600 s per address"] = { within = within, count = 1 } } })
  end

  it("leaves the names to the next policy, for a device that has few certificates", function()
    assert.approves(with(0, true), request, { subject = "CN=device001" })
    assert.approves(with(1, true), request, { subject = "CN=device001" })
  end)

  it("refuses one more than a device may have", function()
    assert.rejects(with(2, true), request, "as many certificates as it may")
  end)

  it("refuses what comes too often, renewals too", function()
    assert.rejects(with(0, false), request, "too many requests")
    local renewal = testing.request { operation = "simplereenroll", principal = testing.cert() }
    assert.rejects(with(2, false), renewal, "too many requests")
    assert.approves(with(2, true), renewal)
  end)

  it("is away where the ledger is", function()
    assert.unavailable(testing.policy("quota.lua", { with = kit.own_name(),
      history = { device = { err = "timeout" } } }), request)
  end)
end)
