-- The ledger's file: versions, damage, a full disk, kill -9, two processes.
local core = require "lest.core"
local rows = require "support.rows"
local shell = require "support.shell"
local temporary = require "support.temporary"

describe("the ledger's file", function()
  local folder, path

  before_each(function()
    folder = temporary.folder()
    path = folder .. "/ledger.db"
  end)

  after_each(temporary.clean)

  local function sqlite(sql)
    return shell.capture("sqlite3 " .. path .. " \"" .. sql .. "\"")
  end

  local function assert_refused(code, words)
    local value, err = core.ledger.open(path, { create = false })
    assert.is_nil(value)
    assert.equal(code, err.code)
    assert.matches(words, err.message)
    assert.matches(path, err.message, 1, true)
  end

  it("is migrated from schema 1, its rows kept", function()
    assert(os.execute("sqlite3 " .. path .. " < spec/fixtures/ledger_v1.sql"))
    assert.equal("1", sqlite "PRAGMA user_version")
    do
      local ledger <close> = assert(core.ledger.open(path))
      assert.equal("device001", ledger:rows("credential_list", { limit = 1 })[1].name)
      assert.equal("0a", ledger:rows("certificate_find", { serial = "0a" })[1].serial)
      assert.equal(1, ledger:run("pending_put", rows.pending()))
    end
    assert.equal(tostring(core.ledger.schema_version), sqlite "PRAGMA user_version")
  end)

  it("has the same schema whether made new or migrated", function()
    local function schema()
      core.ledger.open(path):close()
      return sqlite("SELECT group_concat(sql, ' ; ') FROM"
        .. " (SELECT sql FROM sqlite_schema ORDER BY name)")
    end
    local new = schema()
    os.remove(path)
    assert(os.execute("sqlite3 " .. path .. " < spec/fixtures/ledger_v1.sql"))
    assert.equal(new, schema())
  end)

  it("is refused when a newer lest wrote it, and left as it is", function()
    core.ledger.open(path):close()
    sqlite "PRAGMA user_version = 1000"
    assert_refused("ledger", "newer lest")
    assert.equal("1000", sqlite "PRAGMA user_version")
  end)

  it("is refused when it is another program's database", function()
    sqlite "CREATE TABLE songs (id)"
    assert_refused("ledger", "another program")
    assert.equal("songs", sqlite "SELECT group_concat(name) FROM sqlite_schema")
  end)

  it("is refused when it is no database at all", function()
    temporary.file(folder, "ledger.db", ("not a database "):rep(100))
    assert_refused("ledger", "not a ledger")
  end)

  describe("is looked at by check(), which", function()
    local function check()
      local state = "cd " .. folder .. " && { ls; cat *.db *-wal; } 2>&1 | md5sum"
      local before = shell.capture(state)
      local ok, err = core.ledger.check(path)
      assert.equal(before, shell.capture(state))
      return ok, err
    end

    it("says what to do where there is none, or an empty file", function()
      for _, place in ipairs { folder .. "/ledger.db", folder .. "/nowhere/ledger.db" } do
        path = place
        local ok, err = check()
        assert.is_nil(ok)
        assert.equal("not_found", err.code)
        assert.equal(path .. ": there is no ledger", err.message)
        assert.matches("restored from a backup; 'lest ledger init' makes a new one", err.detail, 1,
          true)
      end
      path = temporary.file(folder, "ledger.db", "")
      assert.matches("an empty file", select(2, check()).message, 1, true)
    end)

    it("changes none, in use or not, old or new", function()
      assert(os.execute("sqlite3 " .. path .. " < spec/fixtures/ledger_v1.sql"))
      assert.is_true(check())
      core.ledger.open(path):close()
      assert.is_true(check())
      local ledger <close> = assert(core.ledger.open(path))
      assert(ledger:run("pending_put", rows.pending()))
      assert.is_true(check())
    end)

    it("refuses what open() refuses", function()
      core.ledger.open(path):close()
      sqlite "PRAGMA user_version = 1000"
      assert.matches("newer lest", select(2, check()).message)
      os.remove(path)
      temporary.file(folder, "ledger.db", ("not a database "):rep(100))
      assert.matches("not a ledger", select(2, check()).message)
      assert.equal("config", select(2, core.ledger.check ":memory:").code)
    end)

    it("takes a path as it is", function()
      for _, name in ipairs { "/100%41?mode=memory#x.db", "//x.db" } do
        path = folder .. name
        core.ledger.open(path):close()
        assert.is_true(check())
        path = "/" .. path
        assert.is_true(check())
      end
    end)

    it("refuses a folder where nothing can be made", function()
      if core.system.user_id() ~= 0 then return pending "needs root" end
      local script = temporary.file(folder, "check.lua",
        "print(require('lest.core').ledger.check(...))")
      local function told()
        return shell.run("setpriv --reuid 65534 --clear-groups "
          .. shell.line("run", script, path)).out
      end
      assert(os.execute("chmod 755 " .. folder))
      core.ledger.open(path):close()
      assert(os.execute("chmod 666 " .. path))
      assert.matches("cannot be opened (Permission denied)", told(), 1, true)
      assert(os.execute("chmod 777 " .. folder))
      assert.equal("true\n", told())
    end)
  end)

  it("is made of an empty file, as a process leaves it that ended between two steps", function()
    temporary.file(folder, "ledger.db", "")
    local ledger <close> = assert(core.ledger.open(path))
    assert.equal(1, ledger:run("request_add", rows.request()))
  end)

  it("is not made of what is left of one, unless asked", function()
    temporary.file(folder, "ledger.db", "")
    assert_refused("ledger", "an empty file, not a ledger")
    sqlite "PRAGMA journal_mode = WAL"
    assert_refused("ledger", "an empty database, not a ledger")
    assert.equal("0", sqlite "PRAGMA user_version")
  end)

  it("is refused when a table is gone", function()
    core.ledger.open(path):close()
    sqlite "DROP TABLE approvals"
    assert_refused("ledger", "failed")
  end)

  it("is not made unless asked, nor in a folder that is not there, nor in memory", function()
    assert_refused("not_found", "there is no ledger")
    path = folder .. "/none/ledger.db"
    assert.equal("ledger", select(2, core.ledger.open(path)).code)
    for _, odd in ipairs { "", ":memory:", "file:x?mode=memory" } do
      assert.equal("config", select(2, core.ledger.open(odd)).code)
    end
  end)

  -- Fill the ledger inside a transaction; what a batch sees when the disk ends under it.
  local function fill(ledger)
    assert(ledger:run("request_add", rows.request { id = "before" }))
    assert(ledger:begin())
    local value, err
    for i = 1, 1000 do
      value, err = ledger:savepoint()
      if not value then break end
      value, err = ledger:run("request_add", rows.request { id = "r" .. i, csr = ("x"):rep(20000) })
      if not value then break end
      assert(ledger:release())
    end
    assert.is_nil(value)
    return err
  end

  it("loses a whole batch to a full disk, and runs nothing of it by itself", function()
    local ledger <close> = assert(core.ledger.open(path, { max_pages = 100 }))
    local err = fill(ledger)
    assert.equal("ledger", err.code)
    assert.matches("disk is full", err.message)
    for _, method in ipairs { "rollback_to", "release", "savepoint", "commit" } do
      local value, lost = ledger[method](ledger)
      assert.is_nil(value)
      assert.matches("transaction was lost", lost.message)
    end
    assert.is_true(ledger:rollback())
    assert.equal(1, #ledger:rows("request_list", { limit = 10 }))
    assert(ledger:begin())
    assert(ledger:run("request_add", rows.request { id = "after" }))
    assert(ledger:commit())
  end)

  it("loses a whole batch to a full file system and goes on when there is room", function()
    local mount = folder .. "/tiny"
    assert(os.execute("mkdir " .. mount))
    if not os.execute("mount -t tmpfs -o size=640k tmpfs " .. mount .. " 2>/dev/null") then
      pending "mounting needs root"
      return
    end
    finally(function() os.execute("umount -l " .. mount) end)
    local ledger <close> = assert(core.ledger.open(mount .. "/ledger.db"))
    assert(os.execute("head -c 200k /dev/zero > " .. mount .. "/ballast"))
    local err
    for i = 1, 100 do
      local value
      value, err = ledger:run("request_add", rows.request { id = "r" .. i, csr = ("x"):rep(20000) })
      if not value then break end
    end
    assert.equal("ledger", err.code)
    assert(os.remove(mount .. "/ballast"))
    assert(ledger:begin())
    assert(ledger:run("request_add", rows.request { id = "after" }))
    assert(ledger:commit())
  end)

  it("waits no longer than it was told for a lock that another process holds", function()
    core.ledger.open(path):close()
    local script = temporary.file(folder, "hold.lua", [[
      local l = require "lest.core".ledger.open(...)
      assert(l:begin())
      io.stdout:write("held\n"):flush()
      os.execute "sleep 5 >/dev/null"]])
    local pipe, pid = shell.start(script, path)
    finally(function()
      os.execute("kill -9 " .. pid)
      pipe:close()
    end)
    assert.equal("held", pipe:read "l")
    local ledger <close> = assert(core.ledger.open(path, { busy_ms = 100 }))
    local started = core.clock.monotonic_ms()
    assert.equal("ledger_busy", select(2, ledger:begin()).code)
    local waited = core.clock.monotonic_ms() - started
    assert.is_true(waited >= 90 and waited < 2000, waited .. " ms")
  end)

  it("has after kill -9 all that was committed, and no half of a transaction", function()
    local script = temporary.file(folder, "write.lua", [[
      local l = assert(require "lest.core".ledger.open(...))
      local function add(id)
        assert(l:run("request_add",
          { id = id, time_us = 1, operation = "o", label = "", verdict = "v" }))
      end
      for i = 1, 1e9 do
        assert(l:begin())
        add("a" .. i)
        add("b" .. i)
        assert(l:commit())
        io.stdout:write(i, "\n"):flush()
      end]])
    for _ = 1, 3 do
      os.execute("rm -f " .. path .. "*")
      local pipe, pid = shell.start(script, path)
      local last = 0
      for _ = 1, 20 + math.random(40) do last = tonumber(pipe:read "l") end
      os.execute("kill -9 " .. pid)
      for line in pipe:lines() do last = tonumber(line) or last end
      pipe:close()
      local ledger <close> = assert(core.ledger.open(path))
      local a, b = 0, 0
      for _, row in ipairs(ledger:rows("request_list", { limit = 1000000 })) do
        if row.id:sub(1, 1) == "a" then a = a + 1 else b = b + 1 end
      end
      assert.equal(a, b)
      assert.is_true(a >= last and a <= last + 1, a .. " rows, " .. last .. " reported")
      assert.equal("ok", sqlite "PRAGMA integrity_check")
    end
  end)

  it("gives a one-time credential to one of two processes", function()
    local count <const> = 100
    local ledger <close> = assert(core.ledger.open(path))
    for i = 1, count do assert(ledger:run("credential_add", rows.credential { id = "c" .. i })) end
    local script = temporary.file(folder, "race.lua", ([[
      local path, key = ...
      local l = assert(require "lest.core".ledger.open(path))
      io.stdout:write("ready\n"):flush()
      repeat local f = io.open(path .. ".go") until f
      for i = 1, %d do
        assert(l:begin())
        local won = assert(l:run("credential_use", { seq = i, id = "c" .. i, key_hash = key,
          label = "", operation = "simpleenroll", bound_until = 2000, now = 1000 }))
        assert(l:commit())
        io.stdout:write(won, "\n")
      end]]):format(count))
    local one <close> = shell.start(script, path, "k1")
    local two <close> = shell.start(script, path, "k2")
    assert.equal("ready", one:read "l")
    assert.equal("ready", two:read "l")
    temporary.file(folder, "ledger.db.go", "")
    for i = 1, count do
      assert.equal(1, tonumber(one:read "l") + tonumber(two:read "l"), "credential " .. i)
    end
  end)

  it("is made once when several processes open it at the same time", function()
    local script = temporary.file(folder, "open.lua", [[
      local path = ...
      repeat local f = io.open(path .. ".go") until f
      local l, err = require "lest.core".ledger.open(path)
      io.stdout:write(l and "opened" or tostring(err), "\n")]])
    local pipes = {}
    for i = 1, 4 do pipes[i] = shell.start(script, path) end
    temporary.file(folder, "ledger.db.go", "")
    for i = 1, 4 do
      assert.equal("opened", pipes[i]:read "l")
      pipes[i]:close()
    end
  end)
end)
