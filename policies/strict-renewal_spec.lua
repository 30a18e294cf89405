-- Who renews by strict-renewal.lua. Run: lest policy test
local kit = require "lest.policy"
local testing = require "lest.testing"

describe("strict-renewal.lua", function()
  local policy = testing.policy "strict-renewal.lua"

  local function renewal(certificate, key)
    return testing.request { operation = "simplereenroll", principal = testing.cert(certificate),
      csr = { key = key } }
  end

  it("renews in the last 30 % of a certificate's life", function()
    assert.approves(policy, renewal { age = "70d", left = "20d" }, { renewal = true })
    assert.rejects(policy, renewal { age = "60d", left = "31d" },
      "renew in the last 30 %")
  end)

  it("renews what has expired at most 7 days ago", function()
    assert.approves(policy, renewal { expired = "6d" }, { renewal = true })
    assert.rejects(policy, renewal { expired = "8d" }, "renew in the last 30 %")
  end)

  it("wants a new key, unless it is told otherwise", function()
    local certificate = { age = "70d", left = "20d" }
    assert.rejects(policy, renewal(certificate, "same"), "make a new key")
    assert.approves(testing.policy("strict-renewal.lua", { options = { new_key = false } }),
      renewal(certificate, "same"), { renewal = true })
  end)

  it("has no say about first certificates", function()
    assert.approves(testing.policy("strict-renewal.lua", { with = kit.own_name() }),
      testing.request { principal = testing.basic "device001" }, { subject = "CN=device001" })
  end)
end)
