-- Who gets which certificate by factory.lua. Run: lest policy test
local kit = require "lest.policy"
local testing = require "lest.testing"

describe("factory.lua", function()
  local policy = testing.policy "factory.lua"

  -- Some requests of every kind are tried; `lest policy fuzz` searches on.
  it("gives nobody else a first certificate, and no other name", function()
    local function is_renewal(request) return request.operation == "simplereenroll" end
    testing.never { policy, unless = kit.any { is_renewal, kit.principal { anchors = "factory" } } }
    testing.never { policy, unless = is_renewal,
      names_outside = { "CN=device-*", "serialNumber=*" } }
  end)

  describe("enroll", function()
    it("names a device by its factory certificate, whatever the request says", function()
      assert.approves(policy, testing.request {
        principal = testing.idevid { serialNumber = "SN-0042" }, csr = { subject = "CN=admin" } },
        { subject = "CN=device-SN-0042,serialNumber=SN-0042", san = {} })
    end)

    it("refuses passwords, and certificates of others", function()
      local WHY <const> = "a factory certificate is required"
      assert.rejects(policy, testing.request { principal = testing.basic "device001" }, WHY)
      assert.rejects(policy, testing.request { principal = testing.cert() }, WHY)
      assert.rejects(policy, testing.request {
        principal = testing.idevid { serialNumber = "1", anchors = "elsewhere" } }, WHY)
    end)

    it("refuses a serial number that is missing, or means something in a name", function()
      for _, serial in ipairs { "a.b", "a b", "-1", "a/b" } do
        assert.rejects(policy, testing.request {
          principal = testing.idevid { serialNumber = serial } },
          { reason = "no name can be made", detail = "serialNumber" })
      end
      assert.rejects(policy, testing.request { principal = testing.idevid { CN = "x" } },
        { reason = "no name can be made", detail = "is missing" })
    end)
  end)

  describe("reenroll", function()
    local function renewal(left)
      return testing.request { operation = "simplereenroll",
        principal = testing.cert { subject = "CN=device-SN-0042", left = left } }
    end

    it("renews in the last 30 days", function()
      assert.approves(policy, renewal "29d", { renewal = true, subject = "CN=device-SN-0042" })
      assert.rejects(policy, renewal "31d", "too early: renewal opens in 1d")
    end)
  end)
end)
