-- A label that insists on what its /csrattrs asks for (RFC 7030 4.5.2, RFC 9908; peers' row S68).
local core = require "lest.core"
local support = require "support.server"

local POLICY <const> = [[
local policy = require "lest.policy"
return {
  enroll = function(request) return policy.approve { subject = request.csr.subject } end,
  csrattrs = function(request)
    if request.label == "broken" then return "text" end
    if not request.principal then return { "challengePassword" } end
    return { { template = { subject = { { "CN", request.principal.name }, { "O" } } } } }
  end,
}
]]

local ALL <const> = [[
local policy = require "lest.policy"
return function(request) return policy.approve { subject = request.csr.subject } end
]]

local LABELS <const> = [[labels = {
  plain = { policy = "all.lua", profile = "device", auth = { "basic" }, channel_binding = "off",
    csrattrs_enforced = true, csrattrs = {
    "challengePassword", { key = "ec:P-256", digest = "sha256" }, "serialNumber",
    { extensions = { { oid = "2.5.29.37", value = "\x30\x0a\6\8\x2b\6\1\5\5\7\3\2" } } } } },
  advice = { policy = "all.lua", profile = "device", auth = { "basic" }, channel_binding = "off",
    csrattrs = { "challengePassword" } },
  nothing = { policy = "all.lua", profile = "device", auth = { "basic" }, channel_binding = "off",
    csrattrs_enforced = true },
  template = { policy = "all.lua", profile = "device", auth = { "basic" }, channel_binding = "off",
    csrattrs_enforced = true, csrattrs = {
    { template = { subject = { { "CN" }, { "O", "Acme" } }, key = "ec:P-256",
      san = { "DNS:host.example", "IP:" }, extensions = { { oid = "extendedKeyUsage" } },
      attributes = { { oid = "2.999.1", values = { "\5\0" } } } } } } },
  hook = { policy = "hooks.lua", profile = "device", auth = { "basic" }, channel_binding = "off",
    csrattrs_enforced = true },
  broken = { policy = "hooks.lua", profile = "device", auth = { "basic" }, channel_binding = "off",
    csrattrs_enforced = true },
]]

describe("csrattrs_enforced", function()
  local server, secret

  setup(function()
    server = support.start { files = { ["hooks.lua"] = POLICY, ["all.lua"] = ALL },
      config = function(text)
        text = text:gsub('names = "principal"', 'names = "policy", san = { "DNS", "IP" }, '
          .. 'subject = { "CN", "O", "serialNumber" }', 1)
        text = text:gsub('eku = { "clientAuth" }', 'eku = { "clientAuth", "serverAuth" }', 1)
        return (text:gsub("labels = {", function() return LABELS end, 1))
      end }
    secret = server:credential("device", { "--reusable" })
  end)
  teardown(function() server:stop() end)

  local function enroll(label, plan)
    local all = { key = assert(core.key.generate(plan.kind or "ec:P-256")), subject = "CN=device" }
    for key, value in pairs(plan) do if key ~= "kind" then all[key] = value end end
    local csr = assert(core.csr.build(all))
    local file = server:file("csr", core.est.body_encode(csr:der()))
    return server:post("/" .. label .. "/simpleenroll", file, "--user", "device:" .. secret)
  end

  local function taken(label, plan)
    local status, body = enroll(label, plan)
    assert.equal(200, status, body)
  end

  local function whole(changes)
    local plan = { challenge_password = "x", eku = { "clientAuth" },
      subject = "CN=device,serialNumber=7" }
    for key, value in pairs(changes) do plan[key] = value or nil end
    return plan
  end

  it("7030-4.5.2-c S68 refuses a CSR that lacks what is asked for, and says what", function()
    for lacks, changes in pairs {
      ["challengePassword"] = { challenge_password = false },
      ["a key of type ec:P-256 (it is ec:P-384), the signature ecdsa-with-SHA256 "
        .. "(it is ecdsa-with-SHA384)"] = { kind = "ec:P-384" },
      ["the signature ecdsa-with-SHA256 (it is ecdsa-with-SHA384)"] = { digest = "sha384" },
      ["the attribute serialNumber"] = { subject = "CN=device" },
      ["the extension extendedKeyUsage"] = { eku = false },
      ["the extension extendedKeyUsage as it is asked for"] = { eku = { "serverAuth" } },
      ["challengePassword, the attribute serialNumber"] = { challenge_password = false,
        subject = "CN=device" },
    } do
      local status, body = enroll("plain", whole(changes))
      assert.same({ 400, "the request lacks what /csrattrs asks for: " .. lacks .. "\n" },
        { status, body })
    end
    local row = server:sql "SELECT verdict, reason FROM requests ORDER BY rowid DESC LIMIT 1"
    assert.matches("reject", row)
    assert.matches("the request lacks what /csrattrs asks for", row)
  end)

  it("7030-4.5.2-c S68 takes one that has all, and what more it likes", function()
    taken("plain", whole { key_usage = { "digitalSignature" } })
    taken("plain", whole { subject = "CN=device",
      attributes = { { oid = "2.5.4.5", values = { "\x13\1" .. "7" } } } })
    for _, label in ipairs { "advice", "nothing" } do
      taken(label, {})
    end
  end)

  it("9908-3.4-c 9908-3.4-l refuses a CSR that does not fit the template", function()
    local function fitting(changes)
      local plan = { subject = "CN=device,O=Acme", san = { "DNS:host.example", "IP:192.0.2.1" },
        eku = { "clientAuth" }, attributes = { { oid = "2.999.1", values = { "\5\0" } } } }
      for key, value in pairs(changes) do plan[key] = value or nil end
      return plan
    end
    taken("template", fitting {})
    for pattern, changes in pairs {
      ["no place for OU=x of the subject"] = { subject = "CN=device,O=Acme,OU=x" },
      ["wants CN in the subject"] = { subject = "O=Acme" },
      ["the subject of the template, in its order"] = { subject = "O=Acme,CN=device" },
      ["the extension subjectAltName as it is asked for"] = { san = { "DNS:host.example" } },
      ["the extension subjectAltName"] = { san = false },
      ["the extension extendedKeyUsage"] = { eku = false },
      ["the attribute 2.999.1"] = { attributes = false },
      ["a key of type ec:P-256 (it is ec:P-384)"] = { kind = "ec:P-384" },
    } do
      local status, body = enroll("template", fitting(changes))
      assert.equal(400, status, pattern)
      assert.matches(pattern, body, 1, true)
    end
  end)

  it("asks the policy's hook with who is proven to ask", function()
    taken("hook", { subject = "CN=device,O=any" })
    local status, body = enroll("hook", { subject = "CN=other,O=any" })
    assert.equal(400, status)
    assert.matches("no place for CN=other", body, 1, true)
    assert.same({ 400 }, { (enroll("hook", {})) })
    assert.equal(500, (enroll("broken", {})))
  end)
end)
