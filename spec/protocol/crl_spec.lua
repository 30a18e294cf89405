-- The CRLs of a configuration: which client certificates they refuse, and what is said of those
-- that cannot do what they are there for.
local pki = require "support.pki"
local process = require "support.process"
local raw_client = require "support.raw_client"
local support = require "support.server"
local two_tier = require "support.two_tier"

local POLICY <const> = [[
local policy = require "lest.policy"
return {
  enroll = function(request)
    return policy.approve { subject = { { "CN", request.principal.name } } }
  end,
  reenroll = policy.renew {},
}
]]

describe("the CRLs of a server", function()
  local ca, factory, other, device, client, server

  setup(function()
    ca = pki.new()
    factory = ca:root "factory"
    other = ca:root "other"
    device = ca:issue("device001", { by = factory, ext = "extendedKeyUsage = clientAuth" })
    ca:crl(other, {})
    client = raw_client.new()
  end)
  teardown(function()
    client:close()
    pki.__close(ca)
  end)
  after_each(function()
    if server then server:stop() end
    server = nil
  end)

  local function configuration(more)
    return function(text)
      return (text:gsub('anchors = { own = "ca.pem" }', function()
        return ('anchors = { own = "ca.pem", factory = %q }%s'):format(factory.path,
          more ~= "" and ", " .. more or "")
      end))
    end
  end

  --- A server whose configuration has these words too.
  local function start(more)
    server = support.start { policy = POLICY, config = configuration(more) }
  end

  local function check(more)
    server = support.make { policy = POLICY, config = configuration(more) }
    local code, out, err = process.run { support.lest, "serve", server.dir .. "/server.lua",
      "--check" }
    return code, out .. err
  end

  --- The status of an enrollment with the factory's certificate.
  local function enroll()
    local c = assert(client:connect { port = server.port, cert = device.path, key = device.key })
    local answer = c:request(raw_client.http("POST", "/simpleenroll",
      { "Content-Type: application/pkcs10" }, support.request "device001"))
    c:close()
    return answer.status, answer.body
  end

  it("are not needed for a CA unless the configuration says so", function()
    start ""
    assert.equal(200, (enroll()))
  end)

  it("are needed for every CA but the server's own where the configuration says so", function()
    start "crl_required = true"
    local status, body = enroll()
    assert.equal(403, status)
    assert.equal("the client certificate is not accepted here\n", body)
    -- Whom we issued to is known from the ledger.
    local own = server:enroll "device002"
    local csr = server:csr("device002", { reuse = true })
    assert.equal(200, (server:post("/simplereenroll", csr, "--cert", own, "--key",
      server.folder .. "/device002.key")))
    server:stop()
    ca:crl(factory, {})
    start(("crls = %q, crl_required = true"):format(ca:path "factory.crl"))
    assert.equal(200, (enroll()))
  end)

  it("are not needed for what the ledger has, under a root that is the anchor", function()
    server = two_tier.make()
    server:edit_config(function(text)
      return (text:gsub("anchors = {", "crl_required = true, %0", 1))
    end)
    server:run()
    assert.same({}, server:logged "configuration")
    local base = server:enroll "device001"
    local function renew()
      local csr = server:csr("new", { subject = "/CN=device001" })
      return server:post("/simplereenroll", csr, "--cert", base, "--key",
        server.folder .. "/device001.key")
    end
    assert.equal(200, (renew()))
    server:change("UPDATE certificates SET serial = '0' || serial WHERE renews IS NULL")
    local status, body = renew()
    assert.equal(403, status)
    assert.equal("the client certificate is not accepted here\n", body)
  end)

  it("are named in the log when they are no anchor's", function()
    start(("crls = %q"):format(ca:path "other.crl"))
    local line = assert(server:logged("configuration")[1])
    assert.equal("warning", line.level)
    assert.equal(ca:path "other.crl", line.key)
    assert.matches("CN=other, whose certificate is neither among the anchors nor", line.message)
    assert.is_nil(server:logged("configuration")[2])
  end)

  it("are named by --check when they are over, or no anchor's", function()
    ca:crl(factory, {}, { over = true })
    local code, output = check(("crls = { %q, %q }"):format(ca:path "factory.crl",
      ca:path "other.crl"))
    assert.equal(0, code, output)
    assert.matches("other.crl.*CN=other, whose certificate is neither among the anchors", output)
    assert.matches("factory.crl.*CN=factory expired at 2020%-02%-01.*: clients of it are refused",
      output)
  end)

  it("are not spoken of when they are of the server's own CA, whose root is the anchor", function()
    server = two_tier.make()
    local dir = server.dir
    process.write(dir .. "/lists.cnf", "[ca]\ndefault_ca = lists\n[lists]\ndefault_md = sha256\n"
      .. "database = " .. dir .. "/index.txt\n")
    process.write(dir .. "/index.txt", "")
    process.must { "openssl", "ca", "-config", dir .. "/lists.cnf", "-cert", dir .. "/ca.pem",
      "-keyfile", dir .. "/ca.key", "-gencrl", "-crldays", "30", "-out", dir .. "/own.crl" }
    server:edit_config(function(text)
      return (text:gsub("anchors = ", 'crls = "own.crl", anchors = ', 1))
    end)
    local code, out, err = process.run { support.lest, "serve", dir .. "/server.lua", "--check" }
    assert.same({ 0, "ok\n", "" }, { code, out, err })
  end)

  it("are not spoken of when they are in order", function()
    ca:crl(factory, {})
    local code, output = check(("crls = %q"):format(ca:path "factory.crl"))
    assert.equal(0, code)
    assert.equal("ok\n", output)
  end)
end)
