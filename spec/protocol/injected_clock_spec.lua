-- A server and its clients by an injected clock, which this process has made and sets.
local core = require "lest.core"
local fleet = require "support.fleet"
local process = require "support.process"
local support = require "support.server"

local DAY <const> = 86400
-- 2031-03-04 05:06:07 UTC
local AT <const> = 1930367167

describe("a server by an injected clock", function()
  local server, folder

  setup(function()
    folder = process.folder()
    process.must { "chmod", "755", folder }
    assert(core.process.make_clock(folder .. "/clock", AT * 1000000))
    process.write(folder .. "/lest", ("#!/bin/sh\nexec %s --clock %s/clock \"$@\"\n"):format(
      support.lest, folder))
    process.must { "chmod", "755", folder .. "/lest" }
    server = support.start { lest = folder .. "/lest" }
  end)
  teardown(function() server:stop() end)

  local function enroll(name)
    local device = fleet.new(server, 1, name).devices[1]
    local response, err = fleet.post(server, device)
    if not response then return nil, err end
    assert.equal(200, response.status, response.body)
    return assert(core.pkcs7.decode(core.base64.decode(response.body)))[1]
  end

  it("warns of it, and all its roles date their lines by it", function()
    local warning = server:logged("injected clock")[1]
    assert.equal("warning", warning.level)
    assert.matches("never for a server that others rely on", warning.message, 1, true)
    local dated = {}
    for line in io.lines(server.log_file) do
      dated[line:match '"time":"(%d+)' or line:match "(%d%d%d%d)-" or line] = true
    end
    assert.same({ ["2031"] = true }, dated)
    assert.same({}, server:logged "clock")
  end)

  it("dates what it issues and records, and says so in its answers", function()
    local cert = assert(enroll "first")
    assert.is_true(math.abs(cert.not_before - AT) < DAY, cert.not_before)
    assert.equal("2031", server:sql(
      "SELECT strftime('%Y', max(issued_at), 'unixepoch') FROM certificates"))
    local _, _, headers = server:curl("/cacerts", "-k")
    assert.matches("2031", headers.date, 1, true)
  end)

  --- What a client says of the server, by this clock or by the machine's.
  local function judged(lest)
    process.write(folder .. "/client.lua", ([[
      local lest = require "lest"
      local got, err = lest.client { url = %q, trust = %q }:cacerts()
      print(got and "trusted" or err)
    ]]):format(server.url, server.root))
    return process.must { lest, "run", folder .. "/client.lua" }
  end

  it("is refused by clients whose clock is another one", function()
    assert.equal("trusted\n", judged(server.lest))
    assert.matches("not yet valid", judged(support.lest), 1, true)
  end)

  it("follows it at once, in what it verifies and in what it makes", function()
    local old = assert(enroll "second")
    core.process.set_clock((old.not_after + DAY) * 1000000)
    local cert = assert(enroll "third")
    assert.is_true(cert.not_before > old.not_after)
    -- Its own certificate has a year: the client goes by the same clock.
    core.process.set_clock((AT + 700 * DAY) * 1000000)
    assert.matches("expired", judged(server.lest), 1, true)
    core.process.set_clock((AT + 3600) * 1000000)
    assert.equal("trusted\n", judged(server.lest))
  end)

  it("looks at it all the time for what waits for a day to come", function()
    local clock = require "lest.server.authority.clock"
    assert.is_true(clock.every_ms(10000) < 100)
    assert.equal(2, clock.every_ms(2))
    local before = #server:logged "configuration"
    core.process.set_clock((AT + 340 * DAY) * 1000000)
    process.wait_for(function() return #server:logged "configuration" > before end,
      "what ends soon by the new day", 60)
    core.process.set_clock((AT + 7200) * 1000000)
  end)

  it("has another certificate for itself once a clock that was ahead is put right", function()
    local own <close> = support.start { lest = folder .. "/lest", auto = true }
    local function shown()
      local out = process.must(("openssl s_client -connect 127.0.0.1:%s -showcerts </dev/null "
        .. "2>/dev/null"):format(own.port))
      return assert(core.cert.parse_all(out))[1]
    end
    local function stapled()
      local _, out = process.run({ "openssl", "s_client", "-connect", "127.0.0.1:" .. own.port,
        "-status" }, { stdin = "" })
      return out:match "This Update: (%a+ +%d+)"
    end
    local first = shown()
    local function wait_for_staple(day)
      process.wait_for(function() return stapled() == day end, "what is said on " .. day, 60)
    end
    wait_for_staple "Mar  4"
    core.process.set_clock((AT + 2 * DAY) * 1000000)
    wait_for_staple "Mar  6"
    core.process.set_clock((AT + 10800) * 1000000)
    wait_for_staple "Mar  4"
    assert.is_true(first == shown())
    core.process.set_clock((AT + 80 * DAY) * 1000000)
    process.wait_for(function() return shown() ~= first end, "a renewal", 60)
    core.process.set_clock((AT + 10800) * 1000000)
    process.wait_for(function() return shown().not_before < AT + DAY end,
      "a certificate that is good today", 60)
    -- By a clock that is before the CA none is good, and no other one is tried again and again.
    local last = shown()
    core.process.set_clock((AT - 30 * DAY) * 1000000)
    for _ = 1, 20 do assert.is_true(last == shown()) end
    core.process.set_clock((AT + 10800) * 1000000)
  end)

  it("gives operators' commands its time, through the control socket", function()
    local text = process.must { support.lest, "cert", "list", "--json", "--config",
      server.dir .. "/server.lua" }
    assert.matches('"issued_at": 19303', text, 1, true)
    process.must { support.lest, "cert", "revoke", "--device", "first0001", "--config",
      server.dir .. "/server.lua" }
    assert.equal("2031", server:sql(
      "SELECT strftime('%Y', max(revoked_at), 'unixepoch') FROM certificates"))
  end)

  it("does not start by a file that others may set", function()
    process.must { "cp", folder .. "/clock", folder .. "/theirs" }
    process.must { "chmod", "666", folder .. "/theirs" }
    local code, _, err = process.run { support.lest, "--clock", folder .. "/theirs", "serve",
      "--check", server.dir .. "/server.lua" }
    assert.equal(2, code)
    assert.matches("others may set this clock", err, 1, true)
  end)
end)
