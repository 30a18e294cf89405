-- policies/registration-authority.lua lets an RA of the own CA ask for the names of others.
local core = require "lest.core"
local policies = require "support.policy"

local key = assert(core.key.generate "ec:P-256")
local now <const> = os.time()
local issuer = assert(core.issuer.new { key = key, cert = assert(core.issuer.root { key = key,
  subject = "CN=root", not_before = now, not_after = now + 7200 }) })

-- Who shows a certificate with these purposes; who signed it was checked before a policy runs.
local function holder(eku, anchors, is_own)
  return { kind = "certificate", name = "ra001", anchors = anchors or "own",
    is_own = is_own == nil or is_own,
    certificate = assert(core.cert.parse(assert(issuer:issue { public_key = key:public_der(),
      subject = "CN=ra001", not_before = now, not_after = now + 3600, eku = eku }))) }
end

local RA <const> = { "clientAuth", "1.3.6.1.5.5.7.3.28" }

describe("policies/registration-authority.lua", function()
  local ask = policies.load "policies/registration-authority.lua"

  local function enroll(who, subject, san)
    return ask.enroll { principal = who, csr = policies.csr(subject, san) }
  end

  it("7030-3.7-b gives an RA of the own CA what it asks for", function()
    local verdict = enroll(holder(RA), "O=Ex,CN=device042", { "DNS:device042.example" })
    assert.equal("approve", verdict.verdict)
    assert.equal("CN=device042,O=Ex", tostring(verdict.subject))
    assert.same({ "DNS:device042.example" }, verdict.san)
    assert.equal("RA ra001", verdict.detail)
  end)

  it("7030-3.7-b 6402-2.10-a gives everybody else the own name only", function()
    for _, who in ipairs { holder { "clientAuth" }, holder { "2.5.29.37.0" }, holder {},
      { kind = "basic", name = "ra001" } } do
      assert.equal("reject", enroll(who, "CN=device042").verdict)
      assert.equal("reject", enroll(who, "CN=ra001,O=Ex").verdict)
      assert.equal("reject", enroll(who, "CN=ra001", { "DNS:ra001" }).verdict)
      assert.same({ { "CN", "ra001" } }, enroll(who, "CN=ra001").subject)
    end
  end)

  it("7030-3.7-d gives an RA of another CA no rights, whatever anchors it has", function()
    for _, anchors in ipairs { "factory", "own" } do
      local verdict = enroll(holder(RA, anchors, false), "CN=device042")
      assert.equal("reject", verdict.verdict)
      assert.equal("ask for the subject CN=ra001 and nothing else", verdict.reason)
    end
  end)

  it("7030-3.7-b lets an RA renew for others, and nobody else", function()
    local function reenroll(who)
      return ask.reenroll { principal = who, csr = policies.csr "CN=device042" }
    end
    assert.same("CN=device042", tostring(reenroll(holder(RA)).subject))
    for _, who in ipairs { holder { "clientAuth" }, holder(RA, "own", false) } do
      assert.equal("reject", reenroll(who).verdict)
    end
  end)

  it("renews at any time", function()
    local verdict = ask.reenroll { csr = policies.csr "CN=ra001",
      previous = { certificate = { not_after = now + 86400 } } }
    assert.is_true(verdict.renewal)
  end)
end)
