-- Who gets which certificate by allow-list.lua. Run: lest policy test
local testing = require "lest.testing"

local WHY <const> = "the device is not in the list"

describe("allow-list.lua", function()
  local policy = testing.policy("allow-list.lua", {
    options = { devices = "https://inventory/devices/${key}", prefix = "pump-" },
    http = { ["https://inventory/devices/42"] = { json = { site = "berlin" } },
      ["https://inventory/devices/43"] = 404, ["https://inventory/devices/44"] = 500 },
  })

  local function factory(serial)
    return testing.request { principal = testing.idevid { serialNumber = serial } }
  end

  it("names a device that is in the list by its factory certificate", function()
    assert.approves(policy, factory "42", { subject = "CN=pump-42,serialNumber=42" })
  end)

  it("refuses the others, and all while the list is away", function()
    assert.rejects(policy, factory "43", WHY)
    assert.unavailable(policy, factory "44")
    assert.rejects(policy, testing.request { principal = testing.idevid { CN = "x" } },
      "no inventory can be asked")
    assert.rejects(policy, testing.request { principal = testing.basic "42" },
      "a factory certificate is required")
  end)

  it("renews what is in the list still, in the window", function()
    local function renewal(serial, left)
      return testing.request { operation = "simplereenroll", principal = testing.cert {
        subject = "CN=pump-" .. serial .. ",serialNumber=" .. serial, left = left } }
    end
    assert.approves(policy, renewal("42", "29d"), { renewal = true })
    assert.rejects(policy, renewal("42", "31d"), "too early")
    assert.rejects(policy, renewal("43", "29d"), WHY)
    assert.unavailable(policy, renewal("44", "29d"))
  end)
end)
