-- A question to somebody else's database: it reads that file alone, for a bounded time, and says
-- what kept it from an answer.
local core = require "lest.core"
local process = require "support.process"
local temporary = require "support.temporary"

describe("core.lookup", function()
  local folder, path

  local function sql(text) return process.must { "sqlite3", path, text } end

  before_each(function()
    folder = temporary.folder()
    path = folder .. "/devices.db"
    sql [[CREATE TABLE devices (serial TEXT PRIMARY KEY, host TEXT, slot INTEGER, weight REAL);
      CREATE VIEW sold AS SELECT serial, host FROM devices WHERE slot > 0;
      INSERT INTO devices VALUES ('7', 'pump-7', 3, 1.5), ('8', NULL, 0, NULL)]]
  end)
  after_each(temporary.clean)

  local function open(query) return core.lookup.open(path, query) end

  local function ask(query, key)
    local lookup <close> = assert(open(query))
    return lookup:ask(key, 1000)
  end

  it("gives the row of a key, or none", function()
    local lookup <close> = assert(open [[
      SELECT host, slot, weight FROM devices WHERE serial = :key;]])
    assert.same({ "host", "slot", "weight" }, lookup:columns())
    for _ = 1, 2 do
      assert.same({ host = "pump-7", slot = 3, weight = "1.5" }, lookup:ask("7", 1000))
      assert.same({ slot = 0 }, lookup:ask("8", 1000))
      assert.is_nil(lookup:ask("9", 1000))
      assert.is_nil(lookup:ask("7' OR '1'='1", 1000))
    end
    sql "UPDATE devices SET host = 'pump-8' WHERE serial = '8'"
    assert.equal("pump-8", lookup:ask("8", 1000).host)
    assert.same({ host = "pump-7" }, ask("SELECT host FROM sold WHERE serial = :key", "7"))
  end)

  it("gives a float that is a whole number as that", function()
    local value = "SELECT CAST(:key AS REAL) AS weight"
    for text, expected in pairs { ["1"] = 1, ["0"] = 0, ["-3.0"] = -3,
      ["9007199254740992"] = 1 << 53, ["1.25"] = "1.25",
      ["1e18"] = "1.0e+18", ["1e999"] = "Inf", ["-1e999"] = "-Inf" } do
      local weight = ask(value, text).weight
      assert.equal(expected, weight, text)
      assert.equal(math.type(expected), math.type(weight), text)
    end
  end)

  it("waits for nobody where a pipe is put in the place of the database", function()
    process.must { "mkfifo", folder .. "/pipe" }
    local lookup, err = core.lookup.open(folder .. "/pipe", "SELECT :key")
    if lookup then lookup, err = lookup:ask("7", 1000) end
    assert.is_nil(lookup)
    assert.truthy(err)
  end)

  it("takes one SELECT with the parameter :key, which reads this file", function()
    for query, expected in pairs {
      [""] = "not one statement",
      ["SELECT 1 WHERE :key; SELECT 2"] = "not one statement",
      ["SELECT 1"] = "one parameter",
      ["SELECT ?"] = "one parameter",
      ["SELECT :key, :other"] = "one parameter",
      ["SELECT :kez"] = "one parameter",
      ["SELEC host"] = "does not take the query",
      ["SELECT hots FROM devices WHERE serial = :key"] = "no such column: hots",
      ["DELETE FROM devices WHERE serial = :key"] = "not authorized",
      ["INSERT INTO devices (serial) VALUES (:key) RETURNING host"] = "not authorized",
      ["ATTACH :key AS other"] = "not authorized",
      ["PRAGMA table_info(devices)"] = "not authorized",
      ["SELECT load_extension(:key)"] = "not authorized",
      ["BEGIN"] = "not authorized",
      ["VACUUM INTO :key"] = "no SELECT",
    } do
      local lookup, err = open(query)
      assert.is_nil(lookup)
      assert.equal("usage", err.code)
      assert.truthy(tostring(err):find(expected, 1, true), query .. ": " .. tostring(err))
    end
    assert.equal("2\n", sql "SELECT count(*) FROM devices")
  end)

  it("ends what takes too long, and is good for the next question", function()
    local lookup <close> = assert(open [[WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL
      SELECT i + 1 FROM n WHERE i < CAST(:key AS INTEGER)) SELECT count(*) AS count FROM n]])
    local _, err = lookup:ask("1000000000", 50)
    assert.equal("timeout", err.code)
    assert.equal(10, lookup:ask("10", 5000).count)
  end)

  it("gives no second row, and no long value", function()
    local _, err = ask("SELECT host FROM devices WHERE slot < :key + 9", "0")
    assert.equal("too_large", err.code)
    assert.matches("more than one row", err.message)
    _, err = ask("SELECT zeroblob(length(:key) * 70000) AS x", "k")
    assert.equal("too_large", err.code)
  end)

  it("waits for no other's lock", function()
    local query <const> = "SELECT host FROM devices WHERE serial = :key"
    local lookup <close> = assert(open(query))
    local writer <close> = assert(io.popen(("sqlite3 '%s' >/dev/null"):format(path), "w"))
    writer:setvbuf "no"
    writer:write("BEGIN EXCLUSIVE;\n.shell touch '", folder, "/locked'\n")
    process.wait_for(function() return process.exists(folder .. "/locked") end, "the lock")
    local _, err = lookup:ask("7", 1000)
    assert.equal("ledger_busy", err.code)
    writer:write "ROLLBACK;\n.quit\n"
    writer:close()
    assert.equal("pump-7", lookup:ask("7", 1000).host)
  end)

  it("says what is no database", function()
    for _, place in ipairs { folder .. "/lost.db", folder, ":memory:", "", "file:" .. path } do
      local lookup, err = core.lookup.open(place, "SELECT :key AS x")
      assert.is_nil(lookup, place)
      assert.truthy(err)
    end
    assert.is_false(process.exists(folder .. "/lost.db"))
    temporary.file(folder, "devices.db", ("no database"):rep(100))
    local _, err = open "SELECT host FROM devices WHERE serial = :key"
    assert.equal("io", err.code)
  end)

  it("survives a file that is cut or overwritten under it", function()
    local lookup <close> = assert(open "SELECT host FROM devices WHERE serial = :key")
    assert.truthy(lookup:ask("7", 1000))
    temporary.file(folder, "devices.db", "")
    local row, err = lookup:ask("7", 1000)
    assert.is_nil(row)
    assert.truthy(err)
  end)
end)
