-- Redirects to other servers, which the caller must allow (RFC 7030 3.2.1).
local core = require "lest.core"
local est = require "support.est"
local shell = require "support.shell"

local http = est.http

describe("a redirect to another server", function()
  local world, server, other

  setup(function() world = est.world() end)
  teardown(function() world:close() end)
  before_each(function()
    server, other = world:serve(), world:serve()
  end)
  after_each(function()
    server:stop()
    other:stop()
  end)

  local function to(target, operation)
    return http(307, { Location = target.url .. "/.well-known/est/" .. operation })
  end

  local function client(options)
    local all = { redirects = { other.url } }
    for key, value in pairs(options or {}) do all[key] = value end
    return world:client(server, all)
  end

  local function fails(code, pattern, found, err)
    assert.is_nil(found)
    assert.equal(code, err.code)
    assert.matches(pattern, err.message, 1, true)
  end

  it("7030-3.2.1-b is followed over a new TLS session where it is allowed", function()
    server:answer(to(other, "csrattrs"))
    other:answer(est.csrattrs { "challengePassword" })
    assert.equal("challengePassword", assert(client():csrattrs())[1].name)
    assert.same({ 1, 1 }, { #server:requests(), #other:requests() })
    assert.equal(1, #other:all "hello")
    assert.equal("localhost:" .. other.port, other:requests()[1].headers.host)
  end)

  it("7030-3.2.1-b is verified as the first one: by its anchors and its own name", function()
    local misnamed <close> = world:serve { entity = world.pki:issue("misnamed",
      { by = world.root, ext = est.server_ext "DNS:elsewhere.example" }) }
    local stranger <close> = world:serve { entity = world.pki:issue("stranger",
      { by = world.pki:root "unknown", ext = est.server_ext "DNS:localhost" }) }
    for _, target in ipairs { misnamed, stranger } do
      server:answer(to(target, "csrattrs"))
      fails("trust", "", client({ redirects = { target.url } }):csrattrs())
      assert.equal(0, #target:requests())
    end
  end)

  it("7030-3.2.1-c is an error where the caller does not allow it, which says how to", function()
    for _, redirects in ipairs { {}, { "https://localhost:1" }, { server.url } } do
      server:answer(to(other, "csrattrs"))
      fails("protocol", "or allow it (redirects, --redirect)",
        client({ redirects = redirects }):csrattrs())
    end
    assert.equal(0, #other:requests())
  end)

  it("9110-11.6.2-a carries no password along, and answers what the other one asks", function()
    local basic = { ["WWW-Authenticate"] = 'Basic realm="est"' }
    for _, preemptive in ipairs { true, false } do
      if not preemptive then server:answer(http(401, basic)) end
      server:answer(to(other, "csrattrs"))
      other:answer(http(401, basic))
      other:answer(est.csrattrs())
      local asks = client { username = "u", password = "p", preemptive = preemptive }
      assert(asks:csrattrs())
      local requests = other:requests()
      assert.is_nil(requests[#requests - 1].headers.authorization)
      assert.equal("Basic " .. core.base64.encode "u:p", requests[#requests].headers.authorization)
      -- Nor is what the other one was told the first one's.
      server:answer(est.csrattrs())
      assert(asks:csrattrs())
      local first = server:requests()
      assert.equal(preemptive, first[#first].headers.authorization ~= nil)
    end
  end)

  it("9110-15.4.8-a takes a POST along whole, but not with a secret in its CSR", function()
    server:answer(est.csrattrs())
    server:answer(to(other, "simpleenroll"))
    other:answer(est.issued { world.device.cert })
    assert(client({ channel_binding = false }):enroll { key = world.key, subject = "CN=device" })
    assert.equal(server:requests()[2].body, other:requests()[1].body)
    server:answer(est.csrattrs())
    server:answer(to(other, "simpleenroll"))
    fails("protocol", "a request that has a secret", client({ challenge = "x" }):enroll {
      key = world.key, subject = "CN=device" })
    assert.equal(1, #other:requests())
  end)

  it("9110-15.4-a is followed back, and not in a circle", function()
    server:answer(to(other, "csrattrs"), 3)
    other:answer(to(server, "csrattrs"), 3)
    fails("protocol", "in a circle", client():csrattrs())
    assert.same({ 3, 3 }, { #server:requests(), #other:requests() })
  end)

  it("is allowed by --redirect, which takes origins alone", function()
    server:answer(to(other, "csrattrs"))
    other:answer(est.csrattrs())
    local function ask(...)
      return shell.lest("csrattrs", server.url, "--trust", world.root.path, ...)
    end
    assert.equal(0, ask("--redirect", "https://other.example", "--redirect", other.url).code)
    for _, wrong in ipairs { "http://localhost", "https://localhost/x", "https://local host",
      "https://localhost?x" } do
      local result = ask("--redirect", wrong)
      assert.equal(2, result.code)
      assert.matches("is no origin, as https://HOST[:PORT]", result.err, 1, true)
    end
  end)
end)
