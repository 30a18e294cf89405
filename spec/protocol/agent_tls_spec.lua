-- A server whose certificate an agent renews: `tls = { cert, key }` files that `lest agent` writes,
-- from whichever EST server, and a hook that has the server take them up.
local core = require "lest.core"
local process = require "support.process"
local support = require "support.server"

local POLICY <const> = [[
local policy = require "lest.policy"
return {
  enroll = function(request)
    return policy.approve { subject = request.csr.subject, san = request.csr.san }
  end,
  reenroll = policy.renew {},
}]]

describe("a server whose certificate an agent renews", function()
  local server
  setup(function()
    server = support.start { policy = POLICY, config = function(text)
      return (text:gsub('names = "principal"', 'names = "policy", subject = { "CN" }, '
        .. 'san = { "DNS", "IP" }', 1):gsub('eku = %b{}', 'eku = { "clientAuth", "serverAuth" }', 1)
        :gsub('lifetime = "90d"', 'lifetime = "1h"', 1))
    end }
  end)
  teardown(function() server:stop() end)

  local function shown()
    return assert(core.cert.parse_all(process.must(("openssl s_client -connect 127.0.0.1:%s "
      .. "</dev/null 2>/dev/null"):format(server.port))))[1]
  end

  local function once()
    local code, _, err = process.run { server.lest, "agent", server.folder .. "/agent.lua",
      "--once" }
    assert.equal(0, code, err)
  end

  it("shows the next one as soon as the hook has run", function()
    server:file("secret", server:credential "web")
    server:file("agent.lua", ([[return { state = "state", identities = { web = {
      url = %q, trust = %q, username = "web", password_file = "secret", subject = "CN=localhost",
      san = { "DNS:localhost", "IP:127.0.0.1" },
      files = { { path = "ca/server.key", content = "key" },
        { path = "ca/server.pem", content = "fullchain" } },
      hooks = { { command = { %q, "policy", "reload", "--config", %q } } } } } }]]):format(
      server.url, server.root, server.lest, server.dir .. "/server.lua"))
    local first = shown()
    once()
    local second = shown()
    assert.is_true(second ~= first)
    assert.same({ "DNS:localhost", "IP:127.0.0.1" }, second.san)
    assert.equal(200, (server:curl "/cacerts"))
    local code = process.run { server.lest, "check", "--config", server.dir .. "/server.lua",
      "--within", "1m" }
    assert.equal(0, code)
    once() -- nothing is due
    assert.is_true(shown() == second)
  end)
end)
