-- A copy of a ledger that is in use: of one moment, whole or not at all, and nobody else's to read.
local core = require "lest.core"
local rows = require "support.rows"
local shell = require "support.shell"
local temporary = require "support.temporary"

describe("a backup of a ledger", function()
  local folder, ledger, copy

  before_each(function()
    folder = temporary.folder()
    ledger = assert(core.ledger.open(folder .. "/ledger.db"))
    copy = folder .. "/copy.db"
  end)
  after_each(function()
    ledger:close()
    temporary.clean()
  end)

  local function fill(count)
    assert(ledger:begin())
    for i = 1, count do
      assert(ledger:run("request_add", rows.request { id = "r" .. i, csr = ("x"):rep(60000) }))
    end
    assert(ledger:commit())
  end

  local function list() return shell.capture("ls " .. folder .. " | paste -sd ' '") end

  it("has what was there when it began, and not what came meanwhile", function()
    fill(200)
    local other <close> = assert(core.ledger.open(folder .. "/ledger.db"))
    local calls, last, whole = 0, 0, nil
    assert(ledger:backup(copy, function(done, all)
      calls, whole = calls + 1, all
      assert(done > last and done <= all)
      last = done
      assert(other:run("request_add", rows.request { id = "meanwhile" .. calls }))
    end))
    assert.is_true(calls > 1)
    assert.equal(whole, last)
    assert.equal("600", shell.capture("stat -c %a " .. copy))
    assert.equal("copy.db ledger.db ledger.db-shm ledger.db-wal", list())
    local restored <close> = assert(core.ledger.open(copy, { create = false, sync_later = true }))
    assert.equal(200, #restored:rows("request_list", { limit = 1000 }))
    assert.equal("ok", shell.capture("sqlite3 " .. copy .. " 'PRAGMA integrity_check'"))
    assert.equal(200 + calls, #ledger:rows("request_list", { limit = 1000 }))
  end)

  it("replaces nothing, and leaves nothing behind when it fails", function()
    fill(1)
    local before = list()
    local ok, err = ledger:backup(folder .. "/none/copy.db")
    assert.same({ nil, "io" }, { ok, err.code })
    assert.equal(before, list())
    temporary.file(folder, "copy.db", "mine")
    ok, err = ledger:backup(copy)
    assert.same({ nil, "exists" }, { ok, err.code })
    assert.equal("mine", shell.capture("cat " .. copy))
    assert.is_nil(list():find(".part", 1, true))
    temporary.file(folder, "other.db.part", "another's")
    ok, err = ledger:backup(folder .. "/other.db")
    assert.same({ nil, "exists" }, { ok, err.code })
    assert.equal("another's", shell.capture("cat " .. folder .. "/other.db.part"))
  end)

  it("is not made inside a transaction, which it would end", function()
    assert(ledger:begin())
    assert.error_matches(function() ledger:backup(copy) end, "out of order")
    assert(ledger:commit())
    assert(ledger:backup(copy))
  end)
end)
