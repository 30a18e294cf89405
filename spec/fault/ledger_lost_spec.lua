-- A ledger that is removed, replaced or cut under a running server: nothing that its ledger would
-- not have is answered, the log says so, and an operator puts it right.
local fleet = require "support.fleet"
local process = require "support.process"
local support = require "support.server"

describe("a ledger under a running server", function()
  local server, devices

  before_each(function()
    server = support.start()
    devices = fleet.new(server, 6, "lost").devices
    assert.equal(200, assert(fleet.post(server, devices[1])).status)
  end)
  after_each(function() server:stop() end)

  local function shell(line)
    process.must(("cd %s && { %s; }"):format(process.quote(server.dir .. "/ledger"), line))
  end

  --- Enrollments fail, the log says why, and no other authority begins with what is there.
  local function assert_lost(words)
    local authority = server:pids("authority")[1]
    for i = 2, 4 do
      local answer = assert(fleet.post(server, devices[i]))
      assert.equal(503, answer.status)
      assert.matches("^%d+$", answer:header "retry-after")
    end
    local line = process.wait_for(function() return server:logged("the ledger is lost")[1] end,
      "the log's line")
    assert.matches(words, line.message, 1, true)
    assert.matches("stop the server, put the ledger in order", line.message, 1, true)
    assert.equal(503, assert(fleet.post(server, devices[5])).status)
    assert.equal(200, (server:curl "/cacerts"))
    assert.same({ authority }, server:pids "authority")
  end

  local function stop()
    process.kill(server.pid)
    server:exit_code()
  end

  it("that is removed is missed, and no other is made in its place", function()
    shell "rm -f ledger.db*"
    assert_lost "ledger.db: was removed"
    stop()
    assert.has_error(function() server:run() end)
    assert.matches("there is no ledger", server:logged("cannot start")[1].message, 1, true)
    server.pid = nil
  end)

  it("that is moved away is not made anew after a crash, and serves when it is back", function()
    shell "mkdir aside; mv ledger.db* aside/"
    assert_lost "ledger.db: was removed"
    process.kill(server:pids("authority")[1], "KILL")
    local line = process.wait_for(function() return server:logged("cannot start")[1] end,
      "the next authority", 30)
    assert.matches("there is no ledger", line.message, 1, true)
    assert.equal(503, assert(fleet.post(server, devices[5])).status)
    shell "mv aside/* ."
    process.wait_for(function()
      return assert(fleet.post(server, devices[5])).status == 200
    end, "recovery", 60)
    assert.equal("ok", server:sql "PRAGMA integrity_check")
    assert.equal("1", server:sql
      "SELECT count(*) FROM certificates WHERE principal_name = 'lost0001'")
  end)

  it("that is replaced by a backup is missed, and serves when it is started anew", function()
    shell "sqlite3 ledger.db '.backup backup.db'; chown --reference=ledger.db backup.db"
    shell "rm -f ledger.db-*; mv backup.db ledger.db"
    assert_lost "ledger.db: was replaced by another file"
    stop()
    server:run()
    assert.equal("1", server:sql "SELECT count(*) FROM certificates")
    assert.equal(200, assert(fleet.post(server, devices[2])).status)
  end)

  --- Replace it while its authority can notice nothing, and then kill that.
  local function replace_and_kill(line)
    local authority = server:pids("authority")[1]
    process.kill(authority, "STOP")
    shell(line)
    process.kill(authority, "KILL")
  end

  it("that is replaced as the authority dies is refused until an operator sends SIGHUP", function()
    shell "sqlite3 ledger.db '.backup backup.db'; chown --reference=ledger.db backup.db"
    assert.equal(200, assert(fleet.post(server, devices[6])).status)
    replace_and_kill "mv ledger.db aside.db; mv ledger.db-wal aside.db-wal; mv backup.db ledger.db"
    local line = process.wait_for(function() return server:logged("cannot start")[1] end,
      "the next authority", 30)
    assert.matches("ledger.db: was replaced by another file since the server started",
      line.message, 1, true)
    assert.matches("stop the server, put the ledger in order", line.message, 1, true)
    assert.equal(503, assert(fleet.post(server, devices[2])).status)
    assert.equal("1", server:sql "SELECT count(*) FROM certificates")
    process.kill(server.pid, "HUP")
    process.wait_for(function()
      return assert(fleet.post(server, devices[2])).status == 200
    end, "the next generation", 60)
  end)

  it("that was replaced as the authority died serves when it is back", function()
    replace_and_kill "cp -p ledger.db other.db; mv ledger.db aside.db; mv other.db ledger.db"
    local line = process.wait_for(function() return server:logged("cannot start")[1] end,
      "the next authority", 30)
    assert.matches("was replaced by another file", line.message, 1, true)
    shell "mv aside.db ledger.db"
    process.wait_for(function()
      return assert(fleet.post(server, devices[2])).status == 200
    end, "recovery", 60)
    assert.equal("2", server:sql "SELECT count(*) FROM certificates")
    assert.equal("ok", server:sql "PRAGMA integrity_check")
  end)

  it("that is replaced beside its WAL does not lend that to the other", function()
    shell "sqlite3 ledger.db '.backup backup.db'; chown --reference=ledger.db backup.db"
    for i = 5, 6 do assert.equal(200, assert(fleet.post(server, devices[i])).status) end
    shell "mv backup.db ledger.db"
    assert.equal(503, assert(fleet.post(server, devices[2])).status)
    process.wait_for(function() return server:logged("the ledger is lost")[1] end, "the log's line")
    stop()
    server:run()
    assert.equal("ok", server:sql "PRAGMA integrity_check")
    assert.equal("1", server:sql "SELECT count(*) FROM certificates")
    assert.equal(200, assert(fleet.post(server, devices[2])).status)
  end)

  for what, line in pairs {
    ["its database, to another name"] = "mv ledger.db aside.db",
    ["its index"] = "rm ledger.db-shm",
  } do
    it("whose files are moved is missed: " .. what, function()
      shell(line)
      assert_lost "was removed"
    end)
  end

  it("is missed also while nobody asks for anything", function()
    shell "rm -f ledger.db*"
    process.wait_for(function() return server:logged("the ledger is lost")[1] end, "the log's line",
      30)
  end)

  it("whose WAL is removed loses nothing of it", function()
    shell "rm ledger.db-wal"
    assert_lost "ledger.db-wal: was removed"
    stop()
    server:run()
    assert.equal("ok", server:sql "PRAGMA integrity_check")
    assert.equal(200, assert(fleet.post(server, devices[5])).status)
    -- What was asked last before it was missed may be there too: nothing says that it is not.
    assert.equal("1", server:sql
      "SELECT count(*) FROM certificates WHERE principal_name = 'lost0001'")
  end)

  it("whose WAL is cut is missed", function()
    shell "truncate -s 0 ledger.db-wal"
    assert_lost "ledger.db-wal: was cut"
  end)

  it("whose database is cut is missed", function()
    shell "truncate -s 4096 ledger.db"
    assert_lost "ledger.db: was cut"
  end)

  it("that is overwritten with a backup is missed, and serves by it when started anew", function()
    shell "sqlite3 ledger.db '.backup backup.db'"
    assert.equal(200, assert(fleet.post(server, devices[6])).status)
    shell "cat backup.db > ledger.db"
    assert_lost "ledger.db: was overwritten with an older copy"
    stop()
    server:run()
    assert.equal("ok", server:sql "PRAGMA integrity_check")
    assert.equal("1", server:sql "SELECT count(*) FROM certificates")
    assert.equal(200, assert(fleet.post(server, devices[2])).status)
  end)

  it("that another process writes is as good as before", function()
    shell "sqlite3 ledger.db 'CREATE TABLE x (y); DROP TABLE x'"
    shell "sqlite3 ledger.db 'PRAGMA wal_checkpoint(TRUNCATE)'"
    for i = 2, 4 do assert.equal(200, assert(fleet.post(server, devices[i])).status) end
    for i = 1, 5 do server:credential("written" .. i, { "--direct" }) end
    shell "sqlite3 ledger.db 'PRAGMA wal_checkpoint(TRUNCATE)'"
    for i = 5, 6 do assert.equal(200, assert(fleet.post(server, devices[i])).status) end
    assert.same({}, server:logged "the ledger is lost")
  end)

  it("whose WAL another process has moved and emptied is as good as before", function()
    shell "sqlite3 ledger.db 'PRAGMA wal_checkpoint(TRUNCATE)'"
    for i = 2, 6 do assert.equal(200, assert(fleet.post(server, devices[i])).status) end
    assert.equal("6", server:sql "SELECT count(*) FROM certificates")
    assert.same({}, server:logged "the ledger is lost")
  end)
end)
