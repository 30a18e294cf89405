-- The policies of policies/ are rules as any other: one policy stacks the four, behind tests of
-- address, key and time, in a real server.
local core = require "lest.core"
local pki = require "support.pki"
local process = require "support.process"
local support = require "support.server"

local POLICY <const> = [[
local policy = require "lest.policy"
local factory, operators = require "factory", require "two-operators"
local authority, own_name = require "registration-authority", require "own-name"

return {
  enroll = policy.first {
    policy.unless(policy.address { "127.0.0.0/8", "::1" }, policy.reject "not from there"),
    policy.when(policy.principal { kind = "basic", name = "far-*" },
      policy.unless(policy.address "192.0.2.0/24", policy.reject "too far")),
    policy.when(policy.key { type = "ec:P-384" }, policy.reject "use P-256"),
    policy.when(policy.principal { anchors = "factory" }, factory.enroll),
    policy.named("by an RA", policy.when(policy.principal { is_own = true }, authority.enroll)),
    policy.when(policy.principal { name = "op-*" }, operators.enroll),
    policy.when(policy.principal { name = "dev-*" }, own_name.enroll),
    policy.when(policy.principal { name = "name-*" }, policy.names {
      CN = "x-${principal.name}", san = { "DNS:${principal.name}.example.com", "IP:${address}" } }),
    function(request)
      if request.principal.name == "broken" then return request.nothing end
    end,
  },
  reenroll = policy.first {
    policy.when(policy.key { reuse = true }, policy.reject "make a new key"),
    policy.unless(policy.validity { expired = 0 }, policy.reject "it has expired"),
    authority.reenroll,
  },
}
]]

describe("the policies together", function()
  local server, makers, device

  setup(function()
    makers = pki.new()
    local root = makers:root "makers"
    device = makers:issue("device", { by = root, subject = "/O=Maker/serialNumber=SN-42",
      ext = "extendedKeyUsage = clientAuth" })
    device.odd = makers:issue("odd", { by = root, subject = "/O=Maker/serialNumber=a.b",
      ext = "extendedKeyUsage = clientAuth" })
    local files = {}
    for _, name in ipairs { "factory", "two-operators", "registration-authority", "own-name" } do
      files[name .. ".lua"] = process.read("policies/" .. name .. ".lua")
    end
    server = support.start { policy = POLICY, files = files, config = function(text)
      return (text:gsub('anchors = { own = "ca.pem" }', function()
        return ('anchors = { own = "ca.pem", factory = %q }'):format(root.path)
      end):gsub('names = "principal",[^\n]*', 'names = "policy", san = { "DNS", "IP" },\n'
        .. 'subject = { "CN", "serialNumber" },', 1))
    end }
  end)
  teardown(function()
    if server then server:stop() end
    pki.__close(makers)
  end)

  --- The status, the body, and the rule of the log's line.
  local function ask(...)
    local count = #server:logged "request"
    local status, body = server:post(...)
    process.wait_for(function() return #server:logged "request" > count end, "the line", 10)
    local lines = server:logged "request"
    return status, body, lines[#lines].rule
  end

  local function enroll(name, options)
    return ask("/simpleenroll", server:csr(name, options), "--user",
      name .. ":" .. server:credential(name))
  end

  local function with(cert, name)
    return ask("/simpleenroll", server:csr(name), "--cert", cert.path, "--key", cert.key)
  end

  it("name a device by the certificate of its maker", function()
    local status, body, rule = with(device, "whatever")
    assert.equal(200, status, body)
    local cert = assert(core.cert.load(server:save(body, "whatever")))
    assert.equal("serialNumber=SN-42,CN=device-SN-42", tostring(cert.subject))
    assert.matches("^names at factory.lua:%d+$", rule)
  end)

  it("refuse a serial number that means something elsewhere, and the ledger says why", function()
    local status, body = with(device.odd, "odd")
    assert.same({ 403, "no name can be made for this request\n" }, { status, body })
    assert.matches("serialNumber 'a.b' is not letters, digits",
      server:sql "SELECT detail FROM requests ORDER BY seq DESC LIMIT 1")
  end)

  it("give others their own name, and renew it for a new key", function()
    local status, body, rule = enroll "dev-1"
    assert.equal(200, status, body)
    assert.matches("^own_name at own%-name.lua:%d+$", rule)
    local path = server:save(body, "dev-1")
    local old = server.folder .. "/dev-1.key"
    local again = server:csr("dev-1b", { subject = "/CN=dev-1" })
    status, body, rule = ask("/simplereenroll", again, "--cert", path, "--key", old)
    assert.equal(200, status, body)
    assert.matches("^renew at registration%-authority.lua:%d+$", rule)
  end)

  it("wait for operators", function()
    local status, body, rule = enroll "op-1"
    assert.equal(202, status, body)
    assert.matches("^two%-operators.lua:%d+$", rule)
  end)

  it("make names of what is proven", function()
    local status, body = enroll "name-1"
    assert.equal(200, status, body)
    local cert = assert(core.cert.load(server:save(body, "name-1")))
    assert.equal("CN=x-name-1", tostring(cert.subject))
    assert.same({ "DNS:name-1.example.com", "IP:127.0.0.1" }, cert.san)
  end)

  it("refuse what a test keeps out, and what no rule is for", function()
    for name, why in pairs { ["far-1"] = "too far", other = "no rule allows this request" } do
      local status, body = enroll(name)
      assert.same({ 403, why .. "\n" }, { status, body })
    end
  end)

  it("issue nothing where a rule fails, and the log names its line", function()
    assert.equal(500, (enroll "broken"))
    local message = server:logged("policy failed")[1].message
    assert.matches("^first at policy.lua:6: [^\n]*policy.lua:%d+: request has no field 'nothing'",
      message)
  end)
end)
