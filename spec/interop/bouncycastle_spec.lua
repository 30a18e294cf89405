-- Bouncy Castle's EST client (org.bouncycastle.est) over its own TLS and over Java's. It sends no
-- User-Agent, wants a challenge before it shows a password, and takes base64 in one line too.
local core = require "lest.core"
local process = require "support.process"
local support = require "support.server"
local two_tier = require "support.two_tier"
local vectors = require "support.vectors"

local JARS <const> = "/usr/share/java/bcprov.jar:/usr/share/java/bcutil.jar"
  .. ":/usr/share/java/bcpkix.jar:/usr/share/java/bctls.jar"

describe("Bouncy Castle", function()
  local classes

  setup(function()
    classes = process.folder()
    process.must { "javac", "-cp", JARS, "-d", classes, "spec/interop/BouncyCastle.java" }
  end)
  teardown(function() os.execute("rm -rf " .. classes) end)

  local function run(server, secret, ...)
    return process.must({ "java", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp",
      classes .. ":" .. JARS, "BouncyCastle", "localhost:" .. server.port, server.root, "castle",
      secret, ... }, { dir = server.folder })
  end

  it("proves its password by Digest, where a label asks for that first", function()
    local server <close> = support.start { config = function(text)
      return (text:gsub("labels = {", [[labels = {
        old = { policy = "policy.lua", profile = "device", auth = { "basic", "digest" },
          digest_first = true }, ]], 1))
    end }
    run(server, server:credential("castle", { "--kind", "digest" }), "BCJSSE", "old")
    server:verify "enrolled.pem"
    assert.equal("digest", server:sql "SELECT principal_kind FROM certificates")
  end)

  it("reads CSR attributes and a template beside them, byte by byte", function()
    local server <close> = support.start { config = function(text)
      return (text:gsub("labels = {", [[labels = {
        asks = { policy = "policy.lua", profile = "device", csrattrs = { "challengePassword",
          { key = "ec:P-384", digest = "sha384" }, { extensions = {
            { oid = "2.5.29.17", value = "\x30\x03\x82\x01x" } } },
          { template = { subject = { { "CN" }, { "O", "Acme" } }, key = "rsa:3072",
            san = { "IP:" } } } } }, ]], 1))
    end }
    local said = {}
    for line in run(server, "-", "BCJSSE", "asks", "csrattrs"):gmatch "[^\n]+" do
      said[#said + 1] = line
    end
    local _, body = server:curl "/asks/csrattrs"
    assert.equal(vectors.hex(core.base64.decode(body)), table.remove(said))
    table.sort(said)
    assert.same({ "1.2.840.10045.2.1 with values", "1.2.840.10045.4.3.3",
      "1.2.840.113549.1.9.14 with values", "1.2.840.113549.1.9.16.2.61 with values",
      "1.2.840.113549.1.9.7" }, said)
  end)

  it("7030-3.5-c links its request to its connection by tls-unique", function()
    local server <close> = support.start { config = function(text)
      return (text:gsub("labels = {", [[labels = {
        linked = { policy = "policy.lua", profile = "device", auth = { "basic" },
          channel_binding = "required" }, ]], 1))
    end }
    run(server, server:credential "castle", "BCJSSE", "linked", "linked")
    server:verify "enrolled.pem"
    local tls = server:sql "SELECT tls FROM requests"
    assert.matches('"channel_bound":true', tls)
    assert.matches("TLSv1%.2", tls)
  end)

  it("S22 gets a key that the server makes", function()
    local server <close> = support.start { policy = [[
      local policy = require "lest.policy"
      return { serverkeygen = function(request)
        return policy.approve { subject = { { "CN", request.principal.name } } }
      end }]], config = function(text)
        text = text:gsub("profiles = {", [[%0
          keys = { lifetime = "7d", keys = "ec:P-256", names = "principal",
            server_keys = { "rsa:2048" } },]], 1)
        return (text:gsub("labels = {", [[%0
          keys = { policy = "policy.lua", profile = "keys", auth = "basic" },]], 1))
      end }
    run(server, server:credential "castle", "BCJSSE", "keys", "serverkeygen")
    server:verify "enrolled.pem"
    local key = process.must({ "openssl", "pkey", "-in", "enrolled.key", "-pubout" },
      { dir = server.folder })
    assert.equal(process.must({ "openssl", "x509", "-in", "enrolled.pem", "-noout", "-pubkey" },
      { dir = server.folder }), key)
  end)

  it("S20 waits as long as it is told, and asks again", function()
    local server <close> = support.start { policy = [[
      local policy = require "lest.policy"
      return { enroll = function(request)
        if #request.approvals == 0 then
          return policy.pending { "by hand", retry_after = "2s" }
        end
        return policy.approve { subject = { { "CN", request.principal.name } } }
      end }]], config = function(text)
        return (text:gsub("labels = {", [[%0
          slow = { policy = "policy.lua", profile = "device", auth = "basic" },]], 1))
      end }
    local secret = server:credential "castle"
    local approves = process.start({ "sh", "-c", ([[
      until id=$(sqlite3 -readonly %s 'SELECT id FROM pending') && [ "$id" ]; do sleep 0.2; done
      exec %s pending approve "$id" --as otto --config %s/server.lua]]):format(server:ledger(),
      server.lest, server.dir) }, server.folder .. "/approved", server.folder .. "/approved.err")
    finally(function() process.kill(approves) end)
    local said = run(server, secret, "BCJSSE", "slow", "pending")
    assert.matches("^waits\n", said)
    server:verify "enrolled.pem"
  end)

  for provider, tiers in pairs { BCJSSE = 1, SunJSSE = 2 } do
    it(("enrolls and renews over %s with a CA of %d"):format(provider, tiers), function()
      local server <close> = two_tier.start_with(tiers)
      local secret = server:credential "castle"
      local said = run(server, secret, provider)
      assert.equal(("cacerts: %d\ncsrattrs: false\n"):format(tiers), said)
      server:verify "enrolled.pem"
      server:verify "renewed.pem"
    end)
  end
end)
