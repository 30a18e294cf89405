-- Who gets which certificate by registration-authority.lua. Run: lest policy test
local testing = require "lest.testing"

describe("registration-authority.lua", function()
  local policy = testing.policy "registration-authority.lua"
  local ra = testing.cert { subject = "CN=ra1", eku = { "clientAuth", "cmcRA" } }
  local csr = { subject = "CN=device7", san = "DNS:device7.example.com" }

  it("gives an RA of ours the names that it asks for", function()
    assert.approves(policy, testing.request { principal = ra, csr = csr },
      { subject = "CN=device7", san = { "DNS:device7.example.com" }, detail = "RA ra1" })
  end)

  it("takes nobody for an RA whose certificate is not of ours, or of another purpose", function()
    for _, principal in ipairs {
      testing.cert { subject = "CN=ra1", eku = { "clientAuth", "cmcRA" }, is_own = false },
      testing.cert { subject = "CN=ra1", eku = { "clientAuth", "anyExtendedKeyUsage" } },
    } do
      assert.rejects(policy, testing.request { principal = principal, csr = csr })
    end
  end)

  it("gives others their own name", function()
    assert.approves(policy, testing.request { principal = testing.basic "device001" },
      { subject = "CN=device001" })
  end)

  it("renews for its holder", function()
    assert.approves(policy, testing.request { operation = "simplereenroll",
      principal = testing.cert() }, { renewal = true, subject = "CN=device001" })
  end)
end)
