-- lest cert and lest request as an operator types them: tables, JSON, copies, and what is revoked.
local cjson = require "cjson"
local core = require "lest.core"
local rows = require "support.rows"
local shell = require "support.shell"
local temporary = require "support.temporary"

local DAY <const> = 86400

describe("an operator's command", function()
  local folder, path, config, ledger, now

  before_each(function()
    folder = temporary.folder()
    path = folder .. "/ledger.db"
    ledger = assert(core.ledger.open(path))
    now = core.clock.wall_us() // 1000000
    config = temporary.file(folder, "server.lua", [[return {
      tls = { cert = "server.pem", key = "server.key" }, ledger = "ledger.db",
      ca = { cert = "ca.pem", key = "ca.key" },
      profiles = { device = { lifetime = "90d", keys = { "ec:P-256" } } },
      labels = { default = { policy = "policy.lua", profile = "device", auth = "basic" } },
    }]])
    for i, days in ipairs { 3, 30, -3 } do
      local id = "83f42c5cfb64-3466-" .. i
      assert(ledger:run("request_add", rows.request { id = id, time_us = now * 1000000,
        principal_name = "device00" .. i .. ("x"):rep(40), reason = ("why "):rep(50),
        verdict = "reject", serial = ("%032x"):format(i) }))
      assert(ledger:run("certificate_add", rows.certificate { serial = ("%032x"):format(i),
        request_id = id, not_after = now + days * DAY, label = "default",
        subject = ("CN=Pümpe00%d\27[2J,O=%s"):format(i, ("ü"):rep(100)) }))
    end
  end)

  after_each(function()
    ledger:close()
    temporary.clean()
  end)

  local function lest(command, ...)
    return shell.lest(command, select(1, ...), "--config", config, select(2, ...))
  end

  local function json(...)
    local result = lest(...)
    assert.equal(0, result.code, result.err)
    return cjson.decode(result.out)
  end

  --- The same where COLUMNS says how wide a line is.
  local function in_columns(columns, command, ...)
    return shell.run(("COLUMNS=%d "):format(columns)
      .. shell.line(command, "list", "--config", config, ...)).out
  end

  it("prints tables as wide as the terminal, and all columns where that is asked", function()
    local long = ("x"):rep(60)
    for i, kind in ipairs { "device00", "own:CN=device00", "gateway00" } do
      assert(ledger:run("pending_put", rows.pending { id = ("%016x"):format(i), now = now,
        expires = now + DAY, needed = 2, key_hash = "k" .. i, principal_name = kind .. i .. long,
        subject = "CN=device00" .. long, reason = long }))
      local id = ("%016x"):format(i)
      assert(ledger:run("credential_add", rows.credential { id = id, expires = now + DAY,
        name = kind:gsub(":", "") .. long, facts = ('{"site":"%s"}'):format(long) }))
      assert(ledger:run("credential_reserve", { seq = i, id = id, key_hash = "k1", label = "",
        operation = "simpleenroll", bound_until = now + DAY, now = now }))
    end
    for _, command in ipairs { "cert", "request", "pending", "credential" } do
      local out = in_columns(80, command)
      assert.equal(4, select(2, out:gsub("\n", "")))
      for line in out:gmatch "[^\n]+" do
        assert.is_true(utf8.len(line) <= 80, line)
        assert.is_nil(line:find "\27")
      end
      local wide = lest(command, "list", "--wide").out
      assert.is_true(#wide > #out * 3 // 2)
      local longest = 0
      for line in in_columns(140, command):gmatch "[^\n]+" do
        longest = math.max(longest, utf8.len(line))
      end
      assert.is_true(longest > 80 and longest <= 140, command)
    end
    assert.matches(("0"):rep(31) .. "1  valid    ", lest("cert", "list").out, 1, true)
  end)

  it("reads a copy with each command that changes nothing", function()
    local made = json("credential", "add", "device001", "--json")
    assert(ledger:run("pending_put", rows.pending { now = now, expires = now + DAY }))
    local copy = folder .. "/monday.db"
    assert.equal(0, lest("ledger", "backup", copy).code)
    assert.equal(0, lest("credential", "remove", "device001").code)
    for _, words in ipairs { { "cert", "list" }, { "request", "list" }, { "pending", "list" },
      { "credential", "list" }, { "pending", "show", "p1" }, { "credential", "show", "device001" },
      { "credential", "show", made.id }, { "cert", "show", ("%032x"):format(1) },
      { "request", "show", "83f42c5cfb64-3466-1" } } do
      local result = shell.lest(table.unpack(table.move({ "--ledger", copy }, 1, 2, #words + 1,
        words)))
      assert.same({ 0, "" }, { result.code, result.err })
      assert.matches(words[3] and "%w" or "\n[^\n]+\n", result.out)
    end
  end)

  it("cuts nothing in a pipe, and asks a terminal how wide it is", function()
    assert.matches(("ü"):rep(100), lest("cert", "list").out, 1, true)
    local line = "stty cols 100; " .. shell.line("cert", "list", "--config", config)
    local out = shell.run("env -u COLUMNS script -qec " .. shell.quote(line) .. " /dev/null").out
    assert.matches("%.%.%.\r?\n", out)
    assert.equal(100, utf8.len(out:match "[^\r\n]*%.%.%."))
  end)

  it("leaves out the columns that what is asked for fixes", function()
    assert.not_matches("STATE", lest("cert", "list", "--state", "valid").out)
    assert.matches("STATE", lest("cert", "list", "--state", "valid", "--wide").out)
    assert.not_matches("VERDICT", lest("request", "list", "--verdict", "reject").out)
    assert.matches("VERDICT", lest("request", "list", "--verdict", "pending").out)
    assert.not_matches("DEVICE", lest("request", "list", "--device", "x").out)
    assert.not_matches("STATE", lest("pending", "list", "--state", "waiting").out)
    assert.not_matches("NAME", lest("credential", "list", "x").out)
  end)

  it("says what expires in a week, as a table and as JSON", function()
    local out = lest("cert", "list", "--expires-before", "7d").out
    assert.equal(2, select(2, out:gsub("\n", "")))
    assert.matches("Pümpe001", out)
    local list = json("cert", "list", "--state", "valid", "--expires-before", "60d", "--json")
    assert.same({ "valid", 3, 30 }, { list[1].state, (list[1].not_after - now) // DAY,
      (list[2].not_after - now) // DAY })
    local late = os.date("!%Y-%m-%d", now + 40 * DAY)
    assert.equal(2, #json("cert", "list", "--expires-before", late, "--json"))
    assert.equal(1, #json("cert", "list", "--expires-after", "7d", "--expires-before", late,
      "--label", "default", "--name", "PE002", "--serial", "000", "--since", "1970-01-01",
      "--json"))
    assert.equal("expired", json("cert", "list", "--state", "expired", "--json")[1].state)
    local cut = lest("cert", "list", "--expires-before", "60d", "--limit", "1")
    assert.equal("lest cert list: the first 1; --limit gives more\n", cut.err)
  end)

  it("says why something was refused yesterday", function()
    assert.equal(3, #json("request", "list", "--verdict", "reject", "--since", "1d", "--json"))
    assert.equal(0, #json("request", "list", "--until", "1d", "--json"))
    assert.equal(1, #json("request", "list", "--name", "device002", "--json"))
    assert.equal(1, #json("request", "list", "--serial", ("%032x"):format(2), "--json"))
    assert.equal(3, #json("request", "list", "--id", "83f42c5cfb64", "--label", "", "--json"))
  end)

  it("shows of a request what was asked for and what was given", function()
    local csr = core.csr.build { key = core.key.generate "ec:P-256", subject = "CN=pump9",
      san = { "DNS:pump9.example", "DNS:b" } }
    assert(ledger:run("request_add", rows.request { id = "r9", csr = csr:der(), serial = "0f" }))
    for issuer, request_id in pairs { ca = "r9", cb = "83f42c5cfb64-3466-1" } do
      assert(ledger:run("certificate_add", rows.certificate { serial = "0f", issuer = issuer,
        request_id = request_id, subject = "CN=" .. issuer, not_after = now + DAY,
        facts = '{"site":"Ulm"}' }))
    end
    local row = json("request", "show", "r9", "--json")
    assert.same({ "CN=pump9", "DNS:pump9.example,DNS:b" }, { row.subject, row.san })
    assert.same({ "CN=ca", "valid", "Ulm" },
      { row.issued.subject, row.issued.state, row.issued.facts.site })
    assert.matches("BEGIN CERTIFICATE-----\nMAD/", row.issued.pem, 1, true)
    local out = lest("request", "show", "r9").out
    assert.matches("subject +CN=pump9\n.-BEGIN CERTIFICATE REQUEST.-state +valid\nsubject +CN=ca\n"
      .. ".-BEGIN CERTIFICATE%-", out)
  end)

  it("names what it cannot read in a time or a name", function()
    for _, case in ipairs {
      { "'soon' is neither a duration", "cert", "list", "--expires-before", "soon" },
      { "'2026-02-30' is neither", "request", "list", "--since", "2026-02-30" },
      { "an empty name is in every name", "cert", "list", "--name", "" },
      { "must be one of", "cert", "list", "--state", "gone" },
      { "'xyz' is no serial number", "request", "list", "--serial", "xyz" },
      { "name a certificate", "cert", "revoke" },
      { "name a certificate", "cert", "revoke", "0a", "--name", "x" },
      { "name a certificate", "cert", "revoke", "--name", "" },
      { "--exact is of --name", "cert", "revoke", "0a", "--exact" },
      { "--exact is of --name", "cert", "revoke", "--device", "x", "--exact", "--yes" },
    } do
      local result = lest(table.unpack(case, 2))
      assert.equal(2, result.code, result.err)
      assert.matches(case[1], result.err, 1, true)
    end
  end)

  it("reads while another process writes, and changes nothing", function()
    assert(ledger:begin())
    assert.equal(3, #json("cert", "list", "--json"))
    assert.equal(3, #json("request", "list", "--json"))
    json("request", "show", "83f42c5cfb64-3466-1", "--json")
    assert(ledger:rollback())
  end)

  it("reads a copy that nobody can write, and leaves it alone", function()
    local copy = folder .. "/copies/monday.db"
    assert(os.execute("mkdir " .. folder .. "/copies"))
    assert(ledger:backup(copy))
    assert(os.execute(("chmod 400 %s; chmod 500 %s/copies"):format(copy, folder)))
    finally(function() os.execute(("chmod 700 %s/copies"):format(folder)) end)
    local function state()
      return shell.capture(("(ls %s/copies; cat %s) | md5sum"):format(folder, copy))
    end
    local before = state()
    local function ask(...)
      local result = shell.lest(...)
      assert.equal(0, result.code, result.err)
      return cjson.decode(result.out)
    end
    assert.equal(3, #ask("cert", "list", "--ledger", copy, "--json"))
    assert.equal(3, #ask("request", "list", "--ledger", copy, "--json"))
    local shown = ask("cert", "show", ("%032x"):format(1), "--ledger", copy, "--json")
    assert.equal("valid", shown[1].state)
    ask("request", "show", "83f42c5cfb64-3466-1", "--ledger", copy, "--json")
    assert.equal(before, state())
    local none = shell.lest("cert", "list", "--ledger", folder .. "/none.db")
    assert.equal(1, none.code)
    assert.matches("there is no ledger", none.err)
  end)

  it("changes no ledger of an older version to read it", function()
    local old = folder .. "/old.db"
    assert(os.execute(("sqlite3 %s < spec/fixtures/ledger_v3.sql"):format(old)))
    local result = shell.lest("cert", "list", "--ledger", old)
    assert.equal(1, result.code)
    assert.matches("of an older version (schema 3); a server of this one brings it to schema",
      result.err, 1, true)
    assert.equal("3", shell.capture(("sqlite3 %s 'PRAGMA user_version'"):format(old)))
  end)

  it("revokes what has a name once that is said", function()
    local function states()
      local list = {}
      for i, row in ipairs(json("cert", "list", "--json")) do list[i] = row.state end
      return table.concat(list, " ")
    end
    local words = shell.line("cert", "revoke", "--config", config, "--name", "pe00")
    for _, answer in ipairs { "", "n\n", "\n", "no\n" } do
      local result = shell.run(words, answer)
      assert.equal(7, result.code)
      assert.equal("", result.out)
      assert.matches("Pümpe001", result.err)
      assert.matches("these 2 certificates? [y/N]", result.err, 1, true)
      assert.matches("nothing was revoked", result.err)
    end
    assert.equal("expired valid valid", states())
    local result = shell.run(words, "y\n")
    assert.equal(0, result.code, result.err)
    assert.equal(2, select(2, result.out:gsub("revoked 0+%d  CN=Pümpe00%d\\x1b", "")))
    assert.equal("expired revoked revoked", states())
    local again = lest("cert", "revoke", "--name", "pe00", "--yes")
    assert.equal(7, again.code)
    assert.equal("lest cert revoke: no certificate of the name 'pe00' could be revoked: "
      .. "2 are revoked already, 1 has expired\n", again.err)
    local never = lest("cert", "revoke", "--name", "pe99", "--yes")
    assert.equal(1, never.code)
    assert.equal("lest cert revoke: there is no certificate of the name 'pe99'\n", never.err)
  end)

  --- A certificate of device001, which is none of those above.
  local function issue(serial, subject, days)
    assert(ledger:run("request_add", rows.request { id = "r" .. serial, serial = serial,
      principal_name = "device001" }))
    assert(ledger:run("certificate_add", rows.certificate { serial = serial, subject = subject,
      request_id = "r" .. serial, not_after = now + days * DAY }))
  end

  it("says which credentials of what was revoked are still good", function()
    issue("aa", "CN=pump7", 1)
    issue("bb", "CN=x", 1)
    issue("cc", "CN=x", 1)
    issue("dd", "CN=x", -1)
    for i, change in ipairs { {}, { one_time = 0 }, { expires = now - 1 }, { name = "pump7" } } do
      local row = rows.credential { id = "c" .. i, name = "device001" }
      for key, value in pairs(change) do row[key] = value end
      assert(ledger:run("credential_add", row))
    end
    local hint = "lest cert revoke: 2 credentials of 'device001' are still good: "
      .. "lest credential remove device001\n"
    local one = lest("cert", "revoke", "bb", "--yes")
    assert.same({ 0, "revoked\n", hint }, { one.code, one.out, one.err })
    local named = lest("cert", "revoke", "--name", "pump7", "--yes", "--json")
    local told = { { name = "device001", good = 2 }, { name = "pump7", good = 1 } }
    assert.same({ revoked = { "aa" }, credentials = told }, cjson.decode(named.out))
    assert.equal(hint .. "lest cert revoke: 1 credential of 'pump7' is still good: "
      .. "lest credential remove pump7\n", named.err)
    local device = lest("cert", "revoke", "--device", "device001", "--yes")
    assert.same({ 0, "revoked cc  CN=x\n", hint }, { device.code, device.out, device.err })
    -- Also where there is nothing left to revoke, or never was.
    device = lest("cert", "revoke", "--device", "device001")
    assert.equal(7, device.code)
    assert.matches("3 are revoked already, 1 has expired\n" .. hint, device.err, 1, true)
    device = lest("cert", "revoke", "--device", "pump7")
    assert.equal(1, device.code)
    assert.matches("1 credential of 'pump7' is still good", device.err)
    assert(ledger:run("credential_remove_name", { name = "device001", now = now }))
    assert.matches("already, 1 has expired\n$", lest("cert", "revoke", "--device",
      "device001").err)
  end)

  it("says how a device may be called that nothing is found of", function()
    issue("aa", "CN=x", 1)
    for _, words in ipairs { { "cert", "list" }, { "request", "list" } } do
      local result = lest(words[1], words[2], "--device", "sensor-1")
      assert.equal(0, result.code)
      assert.equal(("lest %s list: nothing of the device 'sensor-1'; one that first came with a "
        .. "certificate, or was imported, is called as in 'own:CN=sensor-1', and --name looks "
        .. "into all names\n"):format(words[1]), result.err)
      assert.equal("", lest(words[1], words[2], "--device", "device001").err)
    end
    local result = lest("cert", "revoke", "--device", "sensor-1")
    assert.same({ 1, "" }, { result.code, result.out })
    assert.matches("lest cert revoke: the device 'sensor-1' has no certificate; one that first "
      .. "came with a certificate, or was imported, is called as in 'own:CN=sensor-1'",
      result.err, 1, true)
  end)

  it("revokes without asking where it is told to", function()
    local result = lest("cert", "revoke", "--name", "o=" .. ("ü"):rep(100), "--exact", "--yes",
      "--reason", "keyCompromise", "--json")
    assert.same({ 0, "" }, { result.code, result.err })
    assert.equal(2, #cjson.decode(result.out).revoked)
    assert.equal("keyCompromise",
      json("cert", "list", "--state", "revoked", "--json")[1].revocation_reason)
  end)
end)
