-- Renewals of other forms than the plain one: with simpleenroll, by an RA for others, and after the
-- configuration has changed (RFC 7030 3.7, 4.2.2).
local core = require "lest.core"
local pki = require "support.pki"
local process = require "support.process"
local support = require "support.server"

--- POST a CSR with NAME.pem and NAME.key.
local function post_as(server, name, operation, csr)
  local base = server.folder .. "/" .. name
  return server:post(operation, csr, "--cert", base .. ".pem", "--key", base .. ".key")
end

local function fresh_csr(server, name, options)
  options = options or {}
  options.subject = options.subject or "/CN=" .. name
  return server:csr("fresh-" .. name, options)
end

describe("what lest ca init writes", function()
  local server

  setup(function() server = support.start() end)
  teardown(function() server:stop() end)

  it("7030-4.2.2-d renews with simpleenroll too: the device's own names, by its certificate",
    function()
    local old = core.cert.load(server:enroll "device01")
    local status, body = post_as(server, "device01", "/simpleenroll", fresh_csr(server, "device01"))
    assert.equal(200, status, body)
    local new = support.issued(body)
    assert.equal(old.subject_der, new.subject_der)
    assert.not_equal(old.serial, new.serial)
    for _, options in ipairs { { subject = "/CN=other" }, { subject = "/CN=device01/O=x" },
      { san = "DNS:device01.example" } } do
      status, body = post_as(server, "device01", "/simpleenroll",
        fresh_csr(server, "device01", options))
      assert.equal(403, status)
      assert.matches("^ask for ", body)
    end
  end)
end)

describe("what another CA under the same root has issued", function()
  it("7030-3.3.2-i is no certificate from here, and enrolls nobody by what lest ca init writes",
    function()
    local made <close> = pki.new()
    local other = made:root "other"
    local device = made:issue("device01", { by = other, ext = "extendedKeyUsage = clientAuth" })
    local server <close> = support.make { config = function(text)
      return (text:gsub('own = "ca.pem"', 'own = "anchors.pem"', 1))
    end }
    process.write(server.dir .. "/anchors.pem", process.read(server.dir .. "/ca.pem")
      .. process.read(other.path))
    server:run()
    local status, body = server:post("/simpleenroll", fresh_csr(server, "device01"), "--cert",
      device.path, "--key", device.key)
    assert.same({ 403, "enroll with a user name and password, renew with the certificate\n" },
      { status, body })
    assert.equal("0", server:sql "SELECT count(*) FROM certificates")
  end)
end)

describe("an RA", function()
  local server, made, stranger

  setup(function()
    made = pki.new()
    local other = made:root "other"
    stranger = made:issue("stranger", { by = other,
      ext = "extendedKeyUsage = clientAuth, 1.3.6.1.5.5.7.3.28" })
    server = support.make {
      files = { ["ra.lua"] = process.read "policies/registration-authority.lua",
        ["own.lua"] = process.read "policies/own-name.lua" },
      config = function(text)
        text = text:gsub("profiles = {.-\n  },", [[profiles = {
          device = { lifetime = "90d", keys = { "ec:P-256" }, names = "policy",
            subject = { "CN" }, san = { "DNS" } },
          any = { lifetime = "90d", keys = { "ec:P-256" }, names = "principal",
            eku = { "clientAuth", "anyExtendedKeyUsage" } },
          ra = { lifetime = "90d", keys = { "ec:P-256" }, names = "principal",
            eku = { "clientAuth", "cmcRA" } } },]], 1)
        text = text:gsub('own = "ca.pem"', 'own = "anchors.pem"', 1)
        return (text:gsub("labels = {.-\n  },", [[labels = {
          default = { policy = "ra.lua", profile = "device", auth = { "certificate" },
            renews = { "default", "ra", "any" } },
          strict = { policy = "ra.lua", profile = "device", auth = { "certificate" } },
          any = { policy = "own.lua", profile = "any", auth = { "basic" } },
          ra = { policy = "own.lua", profile = "ra", auth = { "basic" }, } },]], 1))
      end }
    process.write(server.dir .. "/anchors.pem", process.read(server.dir .. "/ca.pem")
      .. process.read(other.path))
    server:run()
    for label, name in pairs { ra = "ra001", any = "any001" } do
      local secret = server:credential(name)
      local status, body = server:post("/" .. label .. "/simpleenroll", server:csr(name), "--user",
        name .. ":" .. secret)
      assert.equal(200, status, body)
      server:save(body, name)
    end
  end)
  teardown(function()
    server:stop()
    pki.__close(made)
  end)

  it("7030-3.7-b renews for others, where the policy approves, and itself as any other", function()
    local options = { subject = "/CN=thing01", san = "DNS:thing01.example" }
    for _, operation in ipairs { "/simpleenroll", "/simplereenroll" } do
      local status, body = post_as(server, "ra001", operation,
        fresh_csr(server, "thing01", options))
      assert.equal(200, status, body)
      local cert = support.issued(body)
      assert.equal("thing01", cert.subject.CN)
      assert.same({ "DNS:thing01.example" }, cert.san)
      assert.same({ "clientAuth" }, cert.eku)
    end
    assert.equal("own:CN=ra001|RA ra001|", server:sql(
      "SELECT principal_name, detail, previous FROM requests ORDER BY seq DESC LIMIT 1"))
    local status, body = post_as(server, "ra001", "/ra/simplereenroll", fresh_csr(server, "ra001"))
    assert.equal(403, status) -- the label takes no certificates
    assert.matches("renewal", body)
    status, body = post_as(server, "ra001", "/simplereenroll", fresh_csr(server, "ra001"))
    assert.equal(200, status, body)
  end)

  it("7030-3.7-b 6402-2.10-a is who has id-kp-cmcRA; any purpose does not stand for it", function()
    local status, body = post_as(server, "any001", "/simplereenroll", fresh_csr(server, "thing02"))
    assert.equal(403, status)
    assert.matches("not that of the certificate being renewed", body)
  end)

  it("7030-3.7-d is none where another CA of the same anchors has made it one", function()
    for operation, reason in pairs {
      ["/simpleenroll"] = "ask for the subject CN=stranger and nothing else\n",
      ["/simplereenroll"] = "the client certificate was not issued by this CA, so there is nothing "
        .. "to renew\n",
    } do
      local status, body = server:post(operation, fresh_csr(server, "thing02"), "--cert",
        stranger.path, "--key", stranger.key)
      assert.same({ 403, reason }, { status, body })
    end
  end)

  it("renews nothing where the label does not renew what the RA's issued", function()
    local status, body = post_as(server, "ra001", "/strict/simplereenroll",
      fresh_csr(server, "thing03"))
    assert.equal(403, status)
    assert.matches("another label", body)
  end)
end)

describe("a renewal after the configuration changed", function()
  local server

  before_each(function() server = support.start() end)
  after_each(function() server:stop() end)

  local function change(...)
    local edits = { ... }
    process.kill(server.pid)
    server:exit_code()
    server:edit_config(function(text)
      for i = 1, #edits, 2 do text = text:gsub(edits[i], edits[i + 1]) end
      return text
    end)
    server:run()
  end

  it("is made by the label's profile where the certificate's was renamed", function()
    server:enroll "device01"
    change("device = {", "thing = {", '"device"', '"thing"')
    local told = server:logged "configuration"
    assert.equal("profiles.device", told[#told].key)
    assert.matches("^it is gone, ", told[#told].message)
    local status, body = post_as(server, "device01", "/simplereenroll",
      fresh_csr(server, "device01"))
    assert.equal(200, status, body)
    assert.equal("thing", server:sql "SELECT profile FROM certificates ORDER BY seq DESC LIMIT 1")
  end)

  it("is warned of by --check, which changes nothing", function()
    local function check()
      local code, _, err = process.run { support.lest, "serve", "--check",
        server.dir .. "/server.lua" }
      assert.equal(0, code, err)
      return err:find('"key":"profiles.device","message":"it is gone', 1, true) ~= nil
    end
    server:enroll "device01"
    local serial = core.cert.load(server:enroll "device02").serial
    assert.is_false(check())
    server:edit_config(function(text)
      return (text:gsub("device = {", "thing = {"):gsub('"device"', '"thing"'))
    end)
    assert.is_true(check())
    server:change("UPDATE certificates SET revoked_at = 1")
    assert.is_false(check())
    assert.equal(serial, server:sql "SELECT serial FROM certificates ORDER BY seq DESC LIMIT 1")
    process.kill(server.pid)
    server:exit_code()
    server:change("UPDATE certificates SET revoked_at = NULL")
    local files = process.must { "ls", server.dir .. "/ledger" }
    assert.is_true(check())
    assert.equal(files, process.must { "ls", server.dir .. "/ledger" })
  end)

  it("is refused with words where the profile was narrowed", function()
    server:enroll "device01"
    change('keys = {[^}]*}', 'keys = "ec:P-384"')
    local status, body = post_as(server, "device01", "/simplereenroll",
      fresh_csr(server, "device01"))
    assert.equal(400, status)
    assert.matches("key of type ec:P%-256 is not allowed here", body)
    change('keys = "ec:P%-384"', 'keys = "ec:P-256", subject = { "O" }')
    status, body = post_as(server, "device01", "/simplereenroll", fresh_csr(server, "device01"))
    assert.equal(400, status)
    assert.equal("the subject attribute CN is not in the profile (it has: O)\n", body)
    assert.equal("reject", server:sql "SELECT verdict FROM requests ORDER BY seq DESC LIMIT 1")
  end)

  it("is refused with words where the label's other profile alone takes the key", function()
    server:enroll "device01"
    change("device = {", 'other = { lifetime = "1d", keys = { "ec:P-256" } },\n    device = {',
      'keys = {[^}]*"ed25519"[^}]*}', 'keys = "ec:P-384"',
      'profile = "device"', 'profiles = { "device", "other" }')
    local status, body = post_as(server, "device01", "/simplereenroll",
      fresh_csr(server, "device01"))
    assert.equal(400, status)
    assert.matches("^a key of type ec:P%-256 is not", body)
  end)
end)

describe("a CA that has left the configuration", function()
  it("7030-4.2.2-g gives nobody a way around a revocation: what it signed stays revoked", function()
    local server <close> = support.start {
      policy = "return { enroll = require 'lest.policy'.own_name() }" }
    server:enroll "device01"
    local gone = core.cert.load(server:enroll "device02")
    process.must { support.lest, "cert", "revoke", gone.serial, "--config",
      server.dir .. "/server.lua" }
    local made <close> = pki.new()
    local new = made:root "new"
    server:edit_config(function(text)
      return (text:gsub('cert = "ca.pem", key = "ca.key"', ('cert = %q, key = %q'):format(new.path,
        new.key), 1))
    end)
    process.kill(server.pid, "HUP")
    process.wait_for(function() return server:logged("ready")[2] end, "the next generation")
    for _, operation in ipairs { "/simpleenroll", "/simplereenroll" } do
      local status, body = post_as(server, "device02", operation, fresh_csr(server, "device02"))
      assert.same({ 403, "the client certificate is revoked\n" }, { status, body })
    end
    local status, body = post_as(server, "device01", "/simpleenroll", fresh_csr(server, "device01"))
    assert.equal(200, status, body)
    assert.equal("CN=new", tostring(support.issued(body).issuer))
  end)
end)
