-- A ledger that is locked or whose disk is full: 503, nothing is issued, and it recovers by
-- itself.
local core = require "lest.core"
local disks = require "support.disk"
local fleet = require "support.fleet"
local host = require "support.host"
local process = require "support.process"
local support = require "support.server"
local all = require "lest.all"
local task = require "lest.task"

--- Ask for certificates of many devices at once; every answer has this status.
local function expect(server, devices, status)
  local answers = all(devices, { limit = 30, each = function(device)
    return assert(fleet.post(server, device))
  end })
  for i, answer in ipairs(answers) do
    assert.equal(status, answer.status, devices[i].name .. ": " .. answer.body)
    if status == 503 then assert.matches("^%d+$", answer:header "retry-after") end
  end
end

local function certificates(server)
  return tonumber(server:sql "SELECT count(*) FROM certificates")
end

describe("a ledger that is locked", function()
  local server, authority

  setup(function()
    server = support.start { config = function(text)
      return (text:gsub("labels = {", "watchdog = \"2s\",\n  labels = {", 1))
    end }
    authority = server:pids("authority")[1]
  end)
  teardown(function() server:stop() end)

  it("is 503 with Retry-After for all, nothing is issued, and it recovers by itself", function()
    local devices = fleet.new(server, 30, "locked").devices
    local locker = process.start({ "sh", "-c",
      ("(echo 'BEGIN EXCLUSIVE;'; echo '.print locked'; sleep 60) | exec sqlite3 %s"):format(
        server:ledger()) }, server.folder .. "/locker.out", server.folder .. "/locker.err")
    process.wait_for(function()
      return process.read(server.folder .. "/locker.out"):find "locked"
    end, "the lock")
    local started = core.clock.monotonic_ms()
    expect(server, devices, 503)
    -- One wait for the lock a turn, not one a request.
    assert.is_true(core.clock.monotonic_ms() - started < 10000)
    assert.equal(0, certificates(server))
    -- What does not write is answered meanwhile.
    assert.equal(200, (server:curl "/cacerts"))
    process.must(("pkill -KILL -P %d; kill -KILL %d 2>&1 || :"):format(locker, locker))
    expect(server, devices, 200)
    assert.equal(#devices, certificates(server))
    assert.same({ authority }, server:pids "authority")
    assert.same({}, server:logged "child stuck")
  end)

  it("stays right while others write now and then", function()
    local devices = fleet.new(server, 40, "busy")
    local running = devices:start(10)
    local names = {}
    while not running.done do
      names[1] = "other" .. #names
      fleet.secrets(server, names)
      task.sleep(0.02)
    end
    running:wait()
    devices:check()
  end)
end)

describe("a ledger that can only be read", function()
  local server, folder

  before_each(function()
    server = support.start()
    folder = server.dir .. "/ledger"
  end)
  after_each(function()
    process.run { "umount", "-l", folder }
    server:stop()
  end)

  it("is 503 until it can be written again, and recovers by itself", function()
    if not host.is_root then return pending "needs root, to mount" end
    local devices = fleet.new(server, 3, "read").devices
    if process.run { "mount", "--bind", folder, folder } ~= 0 then
      return pending "nothing can be mounted here"
    end
    process.must { "mount", "-o", "remount,bind,ro", folder }
    process.kill(server:pids("authority")[1], "KILL")
    process.wait_for(function() return server:logged("cannot start")[1] end, "a failed start", 30)
    expect(server, devices, 503)
    assert.equal(200, (server:curl "/cacerts"))
    process.must { "mount", "-o", "remount,bind,rw", folder }
    process.wait_for(function()
      return assert(fleet.post(server, devices[1])).status == 200
    end, "recovery", 60)
    expect(server, devices, 200)
    assert.equal(#devices, certificates(server))
  end)
end)

describe("a ledger whose disk is full", function()
  it("is 503 with Retry-After, nothing is issued, and it recovers by itself", function()
    local server <close> = support.make()
    local disk <close>, why = disks.under(server)
    if not disk then return pending(why) end
    server:run()
    local authority = server:pids("authority")[1]
    local devices = fleet.new(server, 40, "full").devices
    expect(server, { devices[1] }, 200)
    disk:fill()
    -- What fits into pages that are there already may still be issued.
    local full
    for _, device in ipairs(devices) do
      local answer = assert(fleet.post(server, device))
      full = full or answer.status == 503
      assert.is_true(answer.status == 200 or answer.status == 503, tostring(answer.status))
      if answer.status == 503 then
        assert.matches("^%d+$", answer:header "retry-after")
        assert.equal("0", server:sql(
          "SELECT count(*) FROM certificates WHERE principal_name = '" .. device.name .. "'"))
        assert.equal("unused", server:sql(
          "SELECT state FROM credentials WHERE name = '" .. device.name .. "'"))
      end
    end
    assert.is_true(full)
    assert.same({ authority }, server:pids "authority")
    disk:free()
    process.wait_for(function()
      return assert(fleet.post(server, devices[#devices])).status == 200
    end, "recovery")
    expect(server, devices, 200)
    assert.equal(#devices, certificates(server))
    assert.equal("ok", server:sql "PRAGMA integrity_check")
    assert.same({ authority }, server:pids "authority")
  end)
end)
