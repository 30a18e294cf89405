-- The write-ahead log: who stands in the way of its checkpoints, and what can only be read.
local core = require "lest.core"
local process = require "support.process"
local rows = require "support.rows"
local shell = require "support.shell"
local temporary = require "support.temporary"

describe("a ledger's WAL", function()
  local folder, path, reader

  before_each(function()
    folder = temporary.folder()
    path = folder .. "/ledger.db"
    core.ledger.open(path):close()
  end)
  after_each(function()
    if reader then reader:close() end
    reader = nil
    temporary.clean()
  end)

  --- Another process that reads what the ledger has now, and does not end.
  local function read_on()
    reader = assert(io.popen(("sqlite3 %s >/dev/null"):format(path), "w"))
    reader:write("BEGIN; SELECT count(*) FROM requests;\n.shell touch ", folder, "/reads\n")
    reader:flush()
    process.wait_for(function() return core.system.exists(folder .. "/reads") end, "the reader")
  end

  local WRITER <const> = [[
    local core = require "lest.core"
    local rows = dofile "spec/support/rows.lua"
    local path, batches = ...
    local ledger <close> = assert(core.ledger.open(path, { sync_later = true }))
    for batch = 1, tonumber(batches) do
      assert(ledger:begin())
      for i = 1, 100 do
        assert(ledger:run("request_add", rows.request { id = batch .. "-" .. i,
          csr = ("x"):rep(8000) }))
      end
      local durable = false
      assert(ledger:commit(function(ok) durable = assert(ok) end))
      while not durable do core.loop.turn() end
      local rest = core.loop.timer(20, function() durable = false end)
      while durable do core.loop.turn() end
      rest:close()
    end]]

  local function write(batches)
    local script = temporary.file(folder, "write.lua", WRITER)
    return shell.lest("run", script, path, tostring(batches))
  end

  it("is kept beside each database that has replaced its own", function()
    local sums = {}
    for i = 1, 2 do
      local ledger <close> = assert(core.ledger.open(path, { sync_later = true }))
      assert(ledger:run("request_add", rows.request { id = "r" .. i }))
      shell.capture(("sqlite3 %s '.backup %s.new' && mv %s.new %s"):format(path, path, path, path))
      ledger:close()
      sums[i] = shell.capture(("md5sum < %s-wal.lost"):format(path))
    end
    assert.equal(sums[1], sums[2])
    assert.is_true(core.system.exists(path .. "-wal.lost.1"))
  end)

  it("is told of, once, when another process keeps it from being moved", function()
    read_on()
    local result = write(20)
    assert.equal(0, result.code, result.err)
    local _, count = result.err:gsub('"event":"checkpoint failed"', "")
    assert.equal(1, count)
    assert.matches("another process reads the ledger, and does not end", result.err, 1, true)
  end)

  it("that cannot be moved at the start is no good start", function()
    local ledger <close> = assert(core.ledger.open(path))
    assert(ledger:run("request_add", rows.request { id = "before" }))
    read_on()
    assert(ledger:run("request_add", rows.request { id = "after" }))
    local value, err = core.ledger.open(path, { sync_later = true })
    assert.is_nil(value)
    assert.equal("ledger_busy", err.code)
    assert.matches("another process reads the ledger, and does not end", err.message, 1, true)
    reader:close()
    reader = nil
    assert(core.ledger.open(path, { sync_later = true })):close()
  end)

  it("and its ledger are not opened where they can only be read", function()
    if core.system.user_id() ~= 0 then return pending "needs root, to become another" end
    local script = temporary.file(folder, "open.lua",
      "print(require('lest.core').ledger.open(..., { create = false }))")
    assert(os.execute(("chmod 777 %s && chmod 644 %s"):format(folder, path)))
    local told = shell.run("setpriv --reuid 65534 --clear-groups "
      .. shell.line("run", script, path)).out
    assert.equal("nil\t" .. path .. ": the ledger cannot be written\n", told)
  end)
end)
