-- `lest agent` over a whole rollover of the CA (`lest ca rollover`): the links that the server
-- gives take it from the old root to the new one (RFC 7030 4.1.3, RFC 4210 4.4), and it never
-- loses it.
local agents = require "support.agent"
local core = require "lest.core"
local process = require "support.process"
local temporary = require "support.temporary"

describe("lest agent", function()
  local server, old, new
  setup(function() server = agents.server { auto = true, lifetime = "10m" } end)
  teardown(function()
    server:stop()
    temporary.clean()
  end)

  -- Its server is known by this file alone, which nobody changes.
  local function agent(more)
    more.trust = ("%q"):format(server:file("root.pem", old:pem()))
    return agents.new(server, more)
  end

  local function step(...)
    local out = process.must { server.lest, "ca", "rollover", server.dir, ... }
    assert.matches("the server has taken it up", out)
  end

  local function has(it_is, root)
    for _, cert in ipairs(core.cert.load_all(it_is:state "anchors.pem") or {}) do
      if cert == root then return true end
    end
    return false
  end

  local function await(what, look) process.wait_for(look, what, 120) end

  local function once(it_is, ...)
    local result = it_is:once(...)
    assert.equal(0, result.code, result.err)
  end

  it("7030-4.1.3-h is taken from one root to the next", function()
    old = assert(core.cert.load(server.root))
    -- It renews seven seconds after each certificate, which must be time to store it.
    local here = agent { renew_at = '"593s"', spread = "0.0" }
    local away, long_away = agent {}, agent {}
    for _, each in ipairs { here, away, long_away } do once(each) end
    assert.equal(old.ski, here:cert().aki)
    here:start()

    step "begin"
    new = assert(core.cert.load_all(server.root))[2]
    await("the new root", function() return has(here, new) end)
    assert.is_true(has(here, old))
    assert.equal(old.ski, here:cert().aki)

    step("switch", "--now")
    await("a certificate under the new root", function() return here:cert().aki == new.ski end)
    -- It was not here since before `begin`, and follows the link.
    assert.is_false(has(away, new))
    once(away, "--renew")
    assert.equal(new.ski, away:cert().aki)
    assert.is_true(has(away, new))

    step("finish", "--force")
    local serial = here:cert().serial
    await("a certificate after that", function() return here:cert().serial ~= serial end)
    assert.equal(new.ski, here:cert().aki)
    once(away, "--renew")
    here:stop()
    assert.equal("ok", here:status().state)
    for _, event in ipairs { "attempt failed", "operator needed", "trust anchors not refreshed" } do
      assert.same({}, process.logged(here:file "log", event))
    end

    -- One that comes only now is not known any more, and keeps what it has.
    local before = long_away:cert()
    assert.not_equal(0, long_away:once("--renew").code)
    assert.equal(before, long_away:cert())
    assert.matches("does not accept the client certificate", long_away:status().error)
  end)
end)
