-- An agent over the weeks, with a clock that is set for it and for its server: renewal at its time,
-- what comes after the end, and the trust anchors.
local cjson = require "cjson"
local core = require "lest.core"
local process = require "support.process"
local shell = require "support.shell"
local support = require "support.server"
local temporary = require "support.temporary"

local DAY <const> = 86400
-- An ASan build wants its runtime first; then this clock is one among several.
local CAN_BE_SET <const> = not LEST_PREFIX:find "asan"

describe("lest agent, in time,", function()
  if not CAN_BE_SET then return pending "needs a build without sanitizers" end

  local server, folder, offset
  local first_day, today = 0, 0

  --- So many days after a spec's start. Time goes on from one to the next.
  local function set(days)
    today = days
    process.write(offset, tostring(math.floor((first_day + days) * DAY)))
    process.must { "chmod", "644", offset }
  end

  setup(function()
    local place = process.folder()
    process.must { "chmod", "755", place }
    offset = place .. "/offset"
    set(0)
    local lest = place .. "/lest"
    process.write(lest, ("#!/bin/sh\nexport CLOCK_OFFSET=%s LD_PRELOAD=%s/fixture/clock.so\n"
      .. "exec %s \"$@\"\n"):format(offset, LEST_PREFIX, support.lest))
    process.must { "chmod", "755", lest }
    server = support.start { lest = lest, policy = [[
      local policy = require "lest.policy"
      return { enroll = policy.own_name(), reenroll = policy.renew {} }]],
      config = function(text)
        return (text:gsub('lifetime = "[^"]*"', 'lifetime = "9d"')
          :gsub("default = {", 'default = { expired_grace = "7d",', 1)
          :gsub("profiles = {", [[%0 soon = { lifetime = "9d", keys = { "ec:P-256" },
            names = "principal", renewal_window = { from = 0.3, to = 0.3 } },]])
          :gsub("labels = {", [[%0 soon = { policy = "policy.lua", profile = "soon",
            auth = { "certificate", "basic" } },]]))
      end }
  end)
  teardown(function() server:stop() end)
  before_each(function()
    first_day = first_day + today
    set(0)
    folder = temporary.folder()
  end)
  after_each(temporary.clean)

  local serial = 0

  local function configure(more)
    serial = serial + 1
    local name = "dev" .. serial
    process.write(folder .. "/secret", server:credential(name))
    process.must { "cp", server.root, folder .. "/ca.pem" }
    process.write(folder .. "/agent.lua", ([[
      return { state = "state", identities = { dev9 = { url = %q, trust = "ca.pem", username = %q,
        password_file = "secret", subject = "CN=%s", spread = 0, %s } } }]]):format(server.url,
        name, name, more or ""))
  end

  local function once(...)
    local result = shell.run(("%s agent %s/agent.lua --once %s"):format(server.lest, folder,
      table.concat({ ... }, " ")))
    return result.code, result.err
  end

  local function status()
    return cjson.decode(shell.run(("%s agent status %s/agent.lua --json"):format(server.lest,
      folder)).out)[1]
  end

  local function cert()
    return assert(core.cert.load(folder .. "/state/dev9/cert.pem"))
  end

  it("renews at two thirds of the life, and not before", function()
    configure()
    assert.equal(0, (once()))
    local first = cert()
    set(5.9)
    assert.equal(0, (once()))
    assert.equal(first, cert())
    set(6.1)
    assert.equal(0, (once()))
    assert.not_equal(first, cert())
    assert.equal(2, status().generation)
  end)

  it("renews when the server wants it", function()
    configure 'label = "soon",'
    assert.equal(0, (once()))
    local first = cert()
    set(2.6)
    assert.equal(0, (once()))
    assert.equal(first, cert())
    set(2.8)
    assert.equal(0, (once()))
    assert.not_equal(first, cert())
  end)

  it("asks for the trust anchors each day", function()
    configure()
    assert.equal(0, (once()))
    local function asked()
      return cjson.decode(process.read(folder .. "/state/dev9/state.json")).anchors.at
    end
    local first = asked()
    set(0.5)
    assert.equal(0, (once()))
    assert.equal(first, asked())
    set(1.1)
    assert.equal(0, (once()))
    assert.is_true(asked() > first + DAY // 2)
    -- One that does not answer today is no failure.
    set(2.2)
    process.must { "sed", "-i", "s/:" .. server.port .. "/:1/", folder .. "/agent.lua" }
    local code, err = once()
    assert.equal(0, code)
    assert.matches("trust anchors not refreshed", err)
  end)

  it("renews with what has ended, as long as the server lets it", function()
    configure()
    assert.equal(0, (once()))
    local first = cert()
    set(12)
    assert.same({ "expired", 2, "expired" }, { status().state, status().severity, status().next })
    local code, err = once()
    assert.equal(0, code, err)
    assert.matches('"way":"expired"', err)
    assert.not_equal(first.public_key.der, cert().public_key.der)
    assert.is_true(cert().not_after > first.not_after)
  end)

  it("goes back to its first credential after that, and calls for a person where it is used up",
    function()
      configure()
      assert.equal(0, (once()))
      local first = cert()
      set(20)
      local code, err = once()
      assert.equal(8, code, err)
      assert.matches('"way":"expired".*"way":"bootstrap".*operator needed', err)
      assert.same({ "operator", 2 }, { status().state, status().severity })
      assert.equal(first, cert())
      local name = "dev" .. serial
      process.write(folder .. "/secret", server:credential(name))
      code, err = once()
      assert.equal(0, code, err)
      assert.matches('"way":"bootstrap"', err)
      assert.equal(0, status().severity)
    end)

  it("tries the ways that it was told, and no other", function()
    configure 'fallbacks = { "bootstrap" },'
    assert.equal(0, (once()))
    set(12)
    local code, err = once()
    assert.equal(4, code, err)
    assert.is_nil(err:find '"way":"expired"')
    assert.equal("failing", status().state)
  end)

  it("takes an operator's new file of anchors before what it has learnt", function()
    configure()
    assert.equal(0, (once()))
    set(6.1)
    process.write(folder .. "/ca.pem", process.must { "openssl", "req", "-x509", "-newkey", "ec",
      "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=other",
      "-addext", "basicConstraints=critical,CA:true" })
    local code, err = once()
    assert.equal(3, code, err)
    assert.matches("trust anchors changed", err)
    process.must { "cp", server.root, folder .. "/ca.pem" }
    assert.equal(0, (once "--try"))
    assert.equal(2, status().generation)
  end)
end)
