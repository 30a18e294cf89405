-- Who gets which certificate by own-name.lua. Run: lest policy test
local testing = require "lest.testing"

describe("own-name.lua", function()
  local policy = testing.policy "own-name.lua"

  describe("enroll", function()
    it("gives a device that knows its password its own name", function()
      assert.approves(policy, testing.request { principal = testing.basic "device001" },
        { subject = "CN=device001", san = {} })
    end)

    it("refuses another name than the user's", function()
      assert.rejects(policy, testing.request { principal = testing.basic "device001",
        csr = { subject = "CN=admin" } }, "ask for the subject CN=device001")
    end)

    it("refuses alternative names", function()
      assert.rejects(policy, testing.request { principal = testing.basic "device001",
        csr = { subject = "CN=device001", san = "DNS:admin.example.com" } },
        "no subject alternative names")
    end)

    it("renews so too, with the certificate from here", function()
      assert.approves(policy, testing.request { principal = testing.cert() },
        { subject = "CN=device001" })
    end)

    it("refuses the certificate of somebody else's CA", function()
      assert.rejects(policy, testing.request { principal = testing.idevid { CN = "device001" } },
        "enroll with a user name and password")
    end)
  end)

  describe("reenroll", function()
    it("renews with the same names", function()
      assert.approves(policy, testing.request { operation = "simplereenroll",
        principal = testing.cert { subject = "CN=device001" } },
        { renewal = true, subject = "CN=device001" })
    end)

    it("grants no change of names", function()
      assert.rejects(policy, testing.request { operation = "simplereenroll",
        principal = testing.cert(), csr = { change = { subject = "CN=admin" } } },
        "a change of names is not granted here")
    end)
  end)
end)
