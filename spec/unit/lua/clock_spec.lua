-- The injected clock: made by one process, gone by in others that name it on their command line.
local core = require "lest.core"
local process = require "support.process"
local temporary = require "support.temporary"

-- 2031-03-04 05:06:07 UTC
local AT <const> = 1930367167

describe("an injected clock", function()
  local folder

  before_each(function() folder = temporary.folder() end)
  after_each(temporary.clean)

  --- Run a script of a process that makes a clock, and then sees `line` run by it.
  local function script(text)
    process.write(folder .. "/make.lua", text)
    return process.run { process.lest, "run", folder .. "/make.lua", folder .. "/clock" }
  end

  local MAKE <const> = ("local core = require 'lest.core'\n"
    .. "assert(core.process.make_clock(arg[1], %d * 1000000))\n"):format(AT)

  local function make(more)
    local code, out, err = script(MAKE .. (more or ""))
    assert.equal(0, code, err)
    return out
  end

  local function seen(text)
    process.write(folder .. "/see.lua", text)
    return process.run { process.lest, "--clock", folder .. "/clock", "run", folder .. "/see.lua" }
  end

  it("is the time of who made it, who may set it, and of Lua's own functions", function()
    local out = make [[
      local before = core.clock.monotonic_us()
      print(core.clock.is_injected(), core.clock.wall_us() // 60000000, os.time() // 60)
      print(os.date "!%Y-%m-%d")
      core.process.set_clock(86400 * 1000000)
      print(core.clock.wall_us() // 60000000, os.time() // 60, os.date("!%Y", 0))
      print(os.time { year = 2000, month = 1, day = 2, hour = 12 } > 900000000)
      print(core.clock.monotonic_us() - before < 600 * 1000000)
    ]]
    assert.equal(("true\t%d\t%d\n2031-03-04\n1440\t1440\t1970\ntrue\ntrue\n"):format(AT // 60,
      AT // 60), out)
  end)

  it("is the time of a process that names it, as it is set meanwhile", function()
    make()
    local code, out = seen [[
      local core = require "lest.core"
      print(core.clock.is_injected(), os.date "!%Y-%m-%d", core.process.clock())
    ]]
    assert.equal(("true\t2031-03-04\t%s/clock\n"):format(folder), out)
    assert.equal(0, code)
  end)

  it("is what a certificate is verified by", function()
    process.must { "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
      "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder .. "/key", "-subj", "/CN=root",
      "-days", "30", "-out", folder .. "/root.pem" }
    process.write(folder .. "/verify.lua", [[
      local core = require "lest.core"
      local root = assert(core.cert.load_all(arg[2]))[1]
      local store = assert(core.store.new { anchors = { root } })
      print(store:verify(root) ~= nil)
      assert(core.process.make_clock(arg[1], (root.not_after + 60) * 1000000))
      print(store:verify(root) ~= nil)
      core.process.set_clock((root.not_after - 60) * 1000000)
      print(store:verify(root) ~= nil)
    ]])
    assert.equal("true\nfalse\ntrue\n", process.must { process.lest, "run",
      folder .. "/verify.lua", folder .. "/clock", folder .. "/root.pem" })
  end)

  it("is not made twice, nor over a file, nor set by who only reads it", function()
    make()
    assert.equal(1, (script(MAKE)))
    os.remove(folder .. "/clock")
    local _, _, err = script(MAKE .. "core.process.make_clock(arg[1] .. '2', 1)")
    assert.matches("goes by an injected clock already", err, 1, true)
    os.remove(folder .. "/clock")
    make()
    local code, _, problem = seen "require('lest.core').process.set_clock(1)"
    assert.equal(1, code)
    assert.matches("this process has made no clock", problem, 1, true)
  end)

  it("is refused where it is none, or where others may set it", function()
    local function refused(why)
      local code, out, err = seen "print 'ran'"
      assert.equal(2, code)
      assert.equal("", out)
      assert.matches(why, err, 1, true)
    end
    refused "the clock cannot be opened"
    process.write(folder .. "/clock", ("x"):rep(24))
    refused "is no clock"
    os.remove(folder .. "/clock")
    make()
    process.must { "chmod", "g+w", folder .. "/clock" }
    refused "others may set this clock"
    process.must { "mv", folder .. "/clock", folder .. "/other" }
    process.must { "chmod", "g-w", folder .. "/other" }
    process.must { "ln", "-s", "other", folder .. "/clock" }
    refused "the clock cannot be opened"
  end)

  it("is this machine's where nobody injects one", function()
    assert.is_false(core.clock.is_injected())
    local wall = tonumber(process.must { "date", "+%s" })
    assert.is_true(math.abs(core.clock.wall_us() // 1000000 - wall) < 60)
  end)
end)
