-- policies/own-name.lua gives each principal a certificate for its own name and for no other.
local policies = require "support.policy"

describe("policies/own-name.lua", function()
  local ask = policies.load "policies/own-name.lua"
  local device = { kind = "basic", name = "device001" }

  it("is what lest ca init writes", function()
    local file <close> = assert(io.open "policies/own-name.lua")
    assert.equal(require("lest.tool.ca.templates").policy(), file:read "a")
  end)

  it("gives a user a certificate for its own name", function()
    local verdict = ask.enroll { principal = device, csr = policies.csr "CN=device001" }
    assert.equal("approve", verdict.verdict)
    assert.same({ { "CN", "device001" } }, verdict.subject)
    assert.is_nil(verdict.san)
  end)

  it("refuses every other request for names", function()
    for _, subject in ipairs { "CN=device002", "CN=Device001", "O=device001", "CN=device001,O=x",
      "CN=device001,CN=device001", "CN=device001,CN=admin" } do
      local verdict = ask.enroll { principal = device, csr = policies.csr(subject) }
      assert.equal("reject", verdict.verdict, subject)
      assert.equal("ask for the subject CN=device001 and nothing else", verdict.reason)
    end
    local verdict = ask.enroll { principal = device,
      csr = policies.csr("CN=device001", { "DNS:device001" }) }
    assert.equal("reject", verdict.verdict)
    verdict = ask.enroll { principal = device, csr = policies.csr({}, { "DNS:device001" }) }
    assert.equal("reject", verdict.verdict)
  end)

  it("lets a certificate enroll for its own name, if it is from here", function()
    local function enroll(is_own, subject)
      return ask.enroll { csr = policies.csr(subject), principal = { kind = "certificate",
        name = "device001", anchors = "own", is_own = is_own } }.verdict
    end
    assert.equal("approve", enroll(true, "CN=device001"))
    assert.equal("reject", enroll(true, "CN=device002"))
    assert.equal("reject", enroll(false, "CN=device001"))
  end)

  it("renews at any time, and has no other hook", function()
    local verdict = ask.reenroll { principal = device, csr = policies.csr "CN=device001",
      previous = { certificate = { not_after = os.time() + 86400 * 365 } } }
    assert.equal("approve", verdict.verdict)
    assert.is_true(verdict.renewal)
    assert.equal("reject", ask.reenroll({ principal = device }).verdict)
    assert.is_nil(ask.csrattrs)
  end)
end)
