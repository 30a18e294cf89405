-- A machine whose clock is set while the server runs, or is wrong when it starts.
local fleet = require "support.fleet"
local process = require "support.process"
local support = require "support.server"

-- Less than the time that secrets of a fleet are good for.
local AHEAD <const> = 1800
-- An ASan build wants its runtime first; then this clock is one among several.
local CAN_BE_SET <const> = not LEST_PREFIX:find "asan"

describe("a clock that", function()
  local server, lest, offset

  before_each(function()
    server = support.make { config = function(text)
      return (text:gsub("names = \"principal\",", "%0 per_minute = 20,", 1)
        :gsub('"certificate", "basic" }', '"certificate", "basic", "digest" }', 1))
    end }
    process.must { "chmod", "755", server.dir }
    offset, lest = server.dir .. "/offset", server.folder .. "/lest-by-clock"
    process.write(lest, ("#!/bin/sh\nexport CLOCK_OFFSET=%s LD_PRELOAD=%s/fixture/clock.so\n"
      .. "exec %s \"$@\"\n"):format(offset, LEST_PREFIX, support.lest))
    process.must { "chmod", "755", lest }
  end)
  after_each(function() server:stop() end)

  local function set(seconds)
    process.write(offset, tostring(seconds))
    process.must { "chmod", "644", offset }
  end

  --- Begin anew, and wait until the authority that was is gone.
  local function reload()
    local before = server:pids("authority")[1]
    process.kill(server.pid, "HUP")
    process.wait_for(function()
      local pids = server:pids "authority"
      return #pids == 1 and pids[1] ~= before
    end, "the new generation", 30)
  end

  local function post(device)
    return assert(fleet.post(server, device)).status
  end

  it("was ahead and is put right refuses nobody, now and after a reload", function()
    if not CAN_BE_SET then return pending "needs a build without sanitizers" end
    set(AHEAD)
    server:run(lest)
    local devices = fleet.new(server, 24, "ahead").devices
    for i = 1, 20 do assert.equal(200, post(devices[i])) end
    set(0)
    reload()
    for i = 21, 24 do assert.equal(200, post(devices[i])) end
    assert.matches("it is behind, or was ahead", server:logged("clock")[1].message, 1, true)
    assert.equal("20", server:sql("SELECT count(*) FROM certificates WHERE issued_at > "
      .. os.time() + AHEAD // 2))
  end)

  it("was ahead and is put right keeps nobody out who answers by Digest", function()
    if not CAN_BE_SET then return pending "needs a build without sanitizers" end
    set(0)
    server:run(lest)
    for i, offset_s in ipairs { AHEAD // 3, AHEAD // 2, AHEAD, 0 } do
      local name = "digest-" .. i
      local secret = server:credential(name, { "--kind", "digest" })
      set(offset_s)
      assert.equal(200, (server:curl("/simpleenroll", "--digest", "-u", name .. ":" .. secret, "-H",
        "Content-Type: application/pkcs10", "--data-binary", (support.request(name)))))
    end
  end)

  it("comes to another day has all that ends soon told again", function()
    if not CAN_BE_SET then return pending "needs a build without sanitizers" end
    set(0)
    server:run(lest)
    assert.same({}, server:logged "configuration")
    set(340 * 86400)
    local line = process.wait_for(function() return server:logged("configuration")[1] end,
      "the next day", 30)
    assert.equal("tls.cert", line.key)
    assert.matches("^the certificate of CN=localhost ends at .*, in %d+d", line.message)
  end)

  it("is before its CA's certificate issues nothing, and the log says so", function()
    if not CAN_BE_SET then return pending "needs a build without sanitizers" end
    set(-400 * 86400)
    server:run(lest)
    local warning = server:logged("clock")[1]
    assert.equal("warning", warning.level)
    assert.matches("nothing is issued before", warning.message, 1, true)
    assert.equal(500, post(fleet.new(server, 1, "before").devices[1]))
    assert.equal("0", server:sql "SELECT count(*) FROM certificates")
    assert.matches("the CA's certificate is not valid yet",
      server:sql "SELECT detail FROM requests")
  end)
end)
