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
    process.must { support.lest, "ledger", "backup", folder .. "/" .. name, "--config",
      server.dir .. "/server.lua" }
    return folder .. "/" .. name
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
    local ledger = assert(core.ledger.open(server:ledger(), { create = false }))
    assert(ledger:begin())
    for i = 1, 400 do
      assert(ledger:run("request_add", { id = "r" .. i, time_us = 1, operation = "o", label = "",
        verdict = "v", csr = ("x"):rep(60000) }))
    end
    assert(ledger:commit())
    ledger:close()
    local pid = process.start({ support.lest, "ledger", "backup", folder .. "/killed.db",
      "--config", server.dir .. "/server.lua" }, "/dev/null", "/dev/null")
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
end)
