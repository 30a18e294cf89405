-- `lest ledger backup` beside a server that is busy, and what OPERATING.md says of restoring it.
local core = require "lest.core"
local fleet = require "support.fleet"
local process = require "support.process"
local support = require "support.server"

describe("a backup of a server's ledger", function()
  local server, folder

  before_each(function()
    server = support.start()
    folder = server.dir .. "/ledger"
  end)
  after_each(function() server:stop() end)

  local function back_up(name)
    process.must { support.lest, "ledger", "backup", folder .. "/" .. name, "--direct", "--config",
      server.dir .. "/server.lua" }
    return folder .. "/" .. name
  end

  --- Rows of some 24 MB.
  local function fill()
    local ledger <close> = assert(core.ledger.open(server:ledger(), { create = false }))
    assert(ledger:begin())
    for i = 1, 400 do
      assert(ledger:run("request_add", { id = "r" .. i, time_us = 1, operation = "o", label = "",
        verdict = "v", csr = ("x"):rep(60000) }))
    end
    assert(ledger:commit())
  end

  it("that is restored has all that was issued before it, and serves", function()
    local devices = fleet.new(server, 60, "saved")
    local running = devices:start(10)
    devices:wait_answers(20)
    local before = {}
    for _, device in ipairs(devices.devices) do
      if device.certificate then table.insert(before, device) end
    end
    local copy = back_up "copy.db"
    running:wait()
    devices:check()
    process.kill(server.pid)
    server:exit_code()
    os.execute(("rm -f %s-wal %s-shm"):format(server:ledger(), server:ledger()))
    assert(os.rename(copy, server:ledger()))
    server:run()
    assert.equal("ok", server:sql "PRAGMA integrity_check")
    local ledger <close> = assert(core.ledger.open(server:ledger(), { create = false }))
    assert.is_true(#before >= 20)
    for _, device in ipairs(before) do
      local found = assert(ledger:rows("certificate_find", { serial = device.certificate.serial }))
      assert.equal(1, #found)
    end
    assert.equal(200, assert(fleet.post(server, fleet.new(server, 1, "later").devices[1])).status)
  end)

  it("that is killed leaves no file of the name, and the next one is made", function()
    fill()
    local pid = process.start({ support.lest, "ledger", "backup", folder .. "/killed.db",
      "--direct", "--config", server.dir .. "/server.lua" }, "/dev/null", "/dev/null")
    process.wait_for(function()
      return process.exists(folder .. "/killed.db.part") or not process.alive(pid)
    end, "the backup")
    process.kill(pid, "KILL")
    process.wait_for(function() return not process.alive(pid) end, "its end")
    os.remove(folder .. "/killed.db.part")
    if process.exists(folder .. "/killed.db") then os.remove(folder .. "/killed.db") end
    back_up "killed.db"
    assert.equal("ok", process.capture(("sqlite3 %s 'PRAGMA integrity_check'"):format(folder
      .. "/killed.db")))
    assert.equal(200, assert(fleet.post(server, fleet.new(server, 1, "after").devices[1])).status)
  end)

  it("that a server hands over leaves nothing, whichever side dies", function()
    fill()
    local before = process.must { "ls", "-A", folder }
    for _, side in ipairs { "asks", "hands over" } do
      local control = server:pids("control")[1]
      local pid = process.start({ support.lest, "ledger", "backup", server.folder .. "/died.db",
        "--config", server.dir .. "/server.lua" }, "/dev/null", server.folder .. "/died.err")
      process.wait_for(function()
        local _, out = process.run { "pgrep", "-P", tostring(control) }
        return out ~= ""
      end, "the command")
      process.kill(pid, "STOP")
      local code, _, err = process.run { support.lest, "ledger", "backup", server.folder .. "/two",
        "--config", server.dir .. "/server.lua" }
      assert.equal(5, code)
      assert.matches("another copy of the ledger is under way", err)
      local copying = process.own(math.tointeger(process.capture("pgrep -P " .. control)))
      if side == "asks" then
        process.kill(pid, "KILL")
      else
        process.kill(copying, "KILL")
        process.kill(pid, "CONT")
      end
      process.wait_for(function()
        return not process.alive(pid) and not process.alive(copying)
      end, "their ends", 20)
      assert.equal(before, process.must { "ls", "-A", folder })
      assert.is_nil(select(2, process.run { "ls", "-A", server.folder }):find("died.db", 1, true))
    end
    assert.matches("the command was ended", process.read(server.folder .. "/died.err"))
  end)
end)
