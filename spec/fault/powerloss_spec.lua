-- A loss of power, by a disk that forgets what was not synced (spec/support/powerloss.c).
local core = require "lest.core"
local fleet = require "support.fleet"
local powerloss = require "support.powerloss"
local process = require "support.process"
local rows = require "support.rows"
local support = require "support.server"
local task = require "lest.task"
local temporary = require "support.temporary"

-- An ASan build wants its runtime first, which then has pwrite() for itself: such a disk forgets
-- nothing, but its syncs can fail.
local FORGETS <const> = not LEST_PREFIX:find "asan"
local function lose_power(pid)
  process.kill(pid, "RTMIN+3")
end

describe("a loss of power", function()
  it("takes a commit that was not synced and none that was", function()
    if not FORGETS then return pending "needs a build without sanitizers" end
    local folder = temporary.folder()
    finally(temporary.clean)
    local script = temporary.file(folder, "commit.lua", [[
      local core = require "lest.core"
      local path, how = ...
      local ledger = assert(core.ledger.open(path, { sync_later = true }))
      assert(ledger:begin())
      assert(ledger:run("request_add",
        { id = how, time_us = 1, operation = "o", label = "", verdict = "v" }))
      local durable = false
      assert(ledger:commit(function(ok) durable = ok end))
      while how == "synced" and not durable do core.loop.turn() end
      os.execute("kill -s RTMIN+3 " .. core.process.pid)]])
    local path = folder .. "/ledger.db"
    core.ledger.open(path):close()
    local lest = powerloss.wrapper(folder, folder .. "/none")
    local lost = 0 -- seldom where a process starts slowly: the disk may have synced by then
    for try = 1, 60 do
      if try > 10 and lost > 0 then break end
      for _, how in ipairs { "lost", "synced" } do
        os.execute("rm -f " .. path .. "*")
        core.ledger.open(path):close()
        local code = process.run { lest, "run", script, path, how }
        assert.equal(137, code)
        local ledger <close> = assert(core.ledger.open(path))
        local found = ledger:rows("request_get", { id = how })[1] ~= nil
        if how == "synced" then assert.is_true(found) end
        if not found then lost = lost + 1 end
        assert(ledger:run("request_add", rows.request { id = "after" }))
      end
    end
    -- Every other time the disk had written a half by itself, seldom the half that counts.
    assert.is_true(lost >= 1)
  end)

  describe("of the authority's machine", function()
    local server, failing

    before_each(function()
      server = support.make()
      failing = server.dir .. "/syncs-fail"
      process.must { "chmod", "755", server.dir }
      server:run(powerloss.wrapper(server.folder, failing))
    end)
    after_each(function() server:stop() end)

    local function new_authority(old)
      return process.wait_for(function()
        local pid = server:pids("authority")[1]
        return pid and pid ~= old and pid
      end, "an authority", 30)
    end

    it("takes no certificate that a client has, and gives no secret two", function()
      if not FORGETS then return pending "needs a build without sanitizers" end
      local devices = fleet.new(server, 240, "power")
      local running = devices:start(20, 120)
      local authority = new_authority(nil)
      for round = 1, 8 do
        while devices.answers < round * 25 and not running.done do task.sleep(0.002) end
        task.sleep(math.random() / 150)
        lose_power(authority)
        authority = new_authority(authority)
      end
      running:wait()
      devices:check()
      assert.equal("ok", server:sql "PRAGMA integrity_check")
    end)

    it("whose disk does not answer keeps nobody waiting, and nobody's certificate", function()
      local devices = fleet.new(server, 3, "hanging").devices
      local authority = new_authority(nil)
      process.write(failing .. ".hang", "")
      local started = core.clock.monotonic_ms()
      for _, device in ipairs(devices) do
        local answer = assert(fleet.post(server, device))
        assert.equal(503, answer.status)
        assert.matches("^%d+$", answer:header "retry-after")
      end
      -- One wait for the disk, not one a request.
      assert.is_true(core.clock.monotonic_ms() - started < 10000)
      assert.equal(1, #server:logged "the ledger's disk does not answer")
      assert.equal(200, (server:curl "/cacerts"))
      os.remove(failing .. ".hang")
      process.wait_for(function()
        return server:logged("the ledger's disk answers again")[1]
      end, "the disk")
      for _, device in ipairs(devices) do
        assert.equal(200, assert(fleet.post(server, device)).status)
      end
      assert.equal("3", server:sql "SELECT count(*) FROM certificates")
      assert.same({ authority }, server:pids "authority")
    end)

    it("that could not sync ends the authority, and no certificate left before", function()
      local device = fleet.new(server, 1, "failing").devices[1]
      local authority = new_authority(nil)
      process.write(failing, "")
      assert.equal(503, assert(fleet.post(server, device)).status)
      local line = process.wait_for(function()
        return server:logged("the ledger cannot be synced")[1]
      end, "the authority's last words")
      assert.matches("cannot be made durable (Input/output error)", line.message, 1, true)
      os.remove(failing)
      new_authority(authority)
      process.wait_for(function()
        return assert(fleet.post(server, device)).status == 200
      end, "a certificate", 30)
      assert.equal("1", server:sql "SELECT count(*) FROM certificates")
    end)
  end)
end)
