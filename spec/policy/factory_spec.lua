-- policies/factory.lua enrolls a device by its factory certificate, by the name in it.
local core = require "lest.core"
local policies = require "support.policy"

local key = assert(core.key.generate "ec:P-256")

-- A certificate with this subject; who signed it was checked before a policy runs.
local function certificate(subject)
  return assert(core.issuer.root { key = key, subject = subject, not_before = os.time(),
    not_after = os.time() + 3600 })
end

local function factory(subject, anchors)
  return { kind = "certificate", name = "x", anchors = anchors or "factory",
    certificate = certificate(subject) }
end

describe("policies/factory.lua", function()
  local ask = policies.load "policies/factory.lua"

  it("names a device by its factory certificate, whatever the request says", function()
    local verdict = ask.enroll { csr = policies.csr("CN=admin", { "DNS:admin.example" }),
      principal = factory { { "O", "Maker" }, { "serialNumber", "SN-0042" } } }
    assert.equal("approve", verdict.verdict)
    assert.same({ { "CN", "device-SN-0042" }, { "serialNumber", "SN-0042" } }, verdict.subject)
    assert.is_nil(verdict.san)
  end)

  it("refuses a password, and a certificate of somebody else", function()
    local csr = policies.csr "CN=x"
    local subject = { { "serialNumber", "1" } }
    assert.equal("reject", ask.enroll({ csr = csr, principal = factory(subject, "own") }).verdict)
    assert.equal("reject",
      ask.enroll({ csr = csr, principal = { kind = "basic", name = "1" } }).verdict)
  end)

  it("refuses a serial number that is none, or means something elsewhere", function()
    for _, subject in ipairs { { { "CN", "x" } }, { { "serialNumber", "a.b" } },
      { { "serialNumber", "-1" } }, { { "serialNumber", "a b" } }, { { "serialNumber", "a/b" } },
      { { "serialNumber", ("1"):rep(60) } } } do
      local verdict = ask.enroll { csr = policies.csr "CN=x", principal = factory(subject) }
      assert.equal("reject", verdict.verdict, subject[1][2])
      assert.equal("no name can be made for this request", verdict.reason)
    end
  end)

  it("renews in the last 30 days", function()
    local function days(left)
      return ask.reenroll { csr = policies.csr "CN=x",
        previous = { certificate = { not_after = os.time() + left * 86400 } } }
    end
    assert.equal("reject", days(31).verdict)
    assert.equal("approve", days(29).verdict)
  end)
end)
