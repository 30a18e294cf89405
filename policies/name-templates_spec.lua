-- Which names name-templates.lua gives. Run: lest policy test
local testing = require "lest.testing"

describe("name-templates.lua", function()
  local policy = testing.policy("name-templates.lua", { options = { O = "Example",
    CN = "pump-${principal.name}", san = { "DNS:${principal.credential.host}.example.com" } } })

  it("makes the names of what is proven, whatever the request says", function()
    assert.approves(policy, testing.request { principal = testing.basic("7", { host = "h7" }),
      csr = { subject = "CN=admin" } },
      { subject = { { "O", "Example" }, { "CN", "pump-7" } }, san = { "DNS:h7.example.com" } })
  end)

  it("refuses where a part is missing, or means something in a name", function()
    assert.rejects(policy, testing.request { principal = testing.basic "7" },
      { reason = "no name can be made", detail = "principal.credential.host is missing" })
    for _, host in ipairs { "a.b", "*", "-a", "a b" } do
      assert.rejects(policy, testing.request { principal = testing.basic("7", { host = host }) },
        "no name can be made")
    end
  end)

  it("gives nobody a name of its own making", function()
    assert.rejects(policy, testing.request { principal = testing.cert { subject = "CN=pump-7" },
      operation = "simpleenroll" }, "renew with the certificate that you have")
  end)

  it("renews the names that there are", function()
    assert.approves(policy, testing.request { operation = "simplereenroll",
      principal = testing.cert { subject = "CN=pump-7" } },
      { renewal = true, subject = "CN=pump-7" })
  end)
end)
