-- The ledger's interface: types, constraints, transactions, and what each statement finds.
local core = require "lest.core"
local rows = require "support.rows"
local shell = require "support.shell"
local temporary = require "support.temporary"

describe("the ledger", function()
  local path, ledger

  before_each(function()
    path = temporary.folder() .. "/ledger.db"
    ledger = assert(core.ledger.open(path))
  end)

  after_each(function()
    ledger:close()
    temporary.clean()
  end)

  local function assert_fails(code, value, err)
    assert.is_nil(value)
    assert.equal(code, err.code, tostring(err))
  end

  it("makes its files private whatever the umask", function()
    local folder = temporary.folder()
    local script = temporary.file(folder, "open.lua", [[
      local ledger <close> = require "lest.core".ledger.open(...)
      os.execute("stat -c %a " .. ... .. "*")]])
    local made = shell.capture(("umask 0; %s run %s %s/ledger.db | tr '\\n' ' '"):format(
      shell.binary, script, folder))
    assert.equal("600 600 600 ", made) -- the database, its -shm and its -wal
  end)

  it("gives back integers, texts, bytes and NULL as they went in", function()
    local csr = "\0\xff\x80 bytes \0"
    assert.equal(1, ledger:run("request_add", rows.request { csr = csr, reason = "grün",
      detail = "", time_us = math.maxinteger }))
    local row = assert(ledger:rows("request_get", { id = "r1" }))[1]
    assert.equal(csr, row.csr)
    assert.equal("grün", row.reason)
    assert.equal("", row.detail)
    assert.equal(math.maxinteger, row.time_us)
    assert.is_nil(row.profile)
    assert.same({}, ledger:rows("request_get", { id = "r2" }))
  end)

  it("takes every statement's parameters in their types", function()
    local samples = { integer = 1, text = "x", blob = "\xff" }
    for name, statement in pairs(core.ledger.statements()) do
      local values = {}
      for parameter, kind in pairs(statement.parameters) do values[parameter] = samples[kind] end
      local list, err = ledger:rows(name, values)
      assert.is_true(list ~= nil or err.code == "ledger_constraint", name .. ": " .. tostring(err))
    end
  end)

  it("raises on a programmer's mistake and names it", function()
    local function assert_raises(words, parameters)
      assert.error_matches(function() ledger:run("pending_expire", parameters) end, words)
    end
    assert_raises("did you mean 'now'", { noww = 1 })
    assert_raises("named, not numbered", { 1 })
    assert_raises("needs 'now'", nil)
    assert_raises("takes an integer", { now = "1" })
    assert_raises("takes an integer", { now = 1.5 })
    assert.error_matches(function() ledger:run("nonsense") end, "no statement 'nonsense'")
    assert.error_matches(function() ledger:rows("request_get", { id = 1 }) end, "takes a string")
    assert.error_matches(function() ledger:commit() end, "no transaction is open")
    assert.is_true(ledger:rollback())
    assert.error_matches(function() ledger:savepoint() end, "out of order")
    assert(ledger:begin())
    assert.error_matches(function() ledger:begin() end, "out of order")
    assert(ledger:savepoint())
    assert.error_matches(function() ledger:commit() end, "a savepoint is open")
    assert.error_matches(function() core.ledger.open(path, { bussy_ms = 1 }) end, "'busy_ms'")
  end)

  it("refuses text from outside that is not UTF-8", function()
    for _, bad in ipairs { "\xff", "a\0b", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
      "\xe2\x82" } do
      assert_fails("malformed", ledger:rows("request_get", { id = bad }))
      assert.is_false(core.utf8.is_text(bad))
    end
    assert.is_true(core.utf8.is_text "\u{7f} é € 😀")
  end)

  it("refuses what a constraint forbids", function()
    assert(ledger:run("request_add", rows.request()))
    assert_fails("ledger_constraint", ledger:run("request_add", rows.request()))
    assert(ledger:run("certificate_add", rows.certificate()))
    local value, err = ledger:run("certificate_add", rows.certificate { key_hash = "k2" })
    assert_fails("ledger_constraint", value, err)
    assert.matches("certificates.serial", err.detail)
    assert.equal(1, ledger:run("certificate_add", rows.certificate { issuer = "ca2" }))
  end)

  it("takes no certificate without the request it answers", function()
    assert_fails("ledger_constraint", ledger:run("certificate_add", rows.certificate()))
  end)

  it("keeps what was committed and nothing of what was rolled back", function()
    assert(ledger:begin())
    assert(ledger:run("request_add", rows.request()))
    assert(ledger:rollback())
    assert(ledger:begin())
    assert(ledger:run("request_add", rows.request { id = "r2" }))
    assert(ledger:commit())
    assert(ledger:begin())
    assert(ledger:run("request_add", rows.request { id = "r3" }))
    ledger:close()
    ledger = assert(core.ledger.open(path))
    local list = assert(ledger:rows("request_list", { limit = 10 }))
    assert.equal(1, #list)
    assert.equal("r2", list[1].id)
  end)

  it("lets one request of a batch fail alone", function()
    assert(ledger:begin())
    assert(ledger:savepoint())
    assert(ledger:run("request_add", rows.request()))
    assert(ledger:release())
    assert(ledger:savepoint())
    assert(ledger:run("request_add", rows.request { id = "r2" }))
    assert_fails("ledger_constraint", ledger:run("request_add", rows.request { id = "r1" }))
    assert(ledger:rollback_to())
    assert(ledger:release())
    assert(ledger:savepoint())
    assert(ledger:run("request_add", rows.request { id = "r3" }))
    assert(ledger:release())
    assert(ledger:commit())
    assert.same({}, ledger:rows("request_get", { id = "r2" }))
    assert.equal(2, #ledger:rows("request_list", { limit = 10 }))
  end)

  describe("that is synced later", function()
    local later

    before_each(function() later = assert(core.ledger.open(path, { sync_later = true })) end)
    after_each(function() later:close() end)

    it("tells from the loop, and in order, that commits are durable", function()
      local told = {}
      for i = 1, 3 do
        assert(later:begin())
        assert(later:run("request_add", rows.request { id = "r" .. i }))
        assert.is_true(later:commit(function(durable, err) told[i] = { durable, err, #told } end))
      end
      later:sync(function(durable) told[4] = { durable, nil, #told } end)
      assert.same({}, told)
      assert.equal(3, #ledger:rows("request_list", { limit = 10 }))
      while #told < 4 do core.loop.turn() end
      assert.same({ { true, nil, 0 }, { true, nil, 1 }, { true, nil, 2 }, { true, nil, 3 } }, told)
    end)

    it("takes the next batch while it syncs one, and from a callback", function()
      local ended = 0
      local function batch(id, callback)
        assert(later:begin())
        assert(later:run("request_add", rows.request { id = id }))
        assert(later:commit(callback))
      end
      batch("r1", function()
        ended = ended + 1
        batch("r2", function() ended = ended + 1 end)
      end)
      while ended < 2 do core.loop.turn() end
      assert.equal(2, #ledger:rows("request_list", { limit = 10 }))
    end)

    it("calls nobody for a commit that failed or after it is closed", function()
      local calls = 0
      local function count() calls = calls + 1 end
      assert.error_matches(function() later:commit(count) end, "no transaction is open")
      assert(later:begin())
      assert(later:run("request_add", rows.request()))
      assert(later:commit(function()
        count()
        later:close()
      end))
      later:sync(function() later:sync(count) end)
      later:sync(count)
      while calls < 1 do core.loop.turn() end
      for _ = 1, 3 do
        local timer <close> = core.loop.timer(1, function() end) -- luacheck: ignore 211
        core.loop.turn()
      end
      assert.equal(1, calls)
    end)

    it("moves long WALs into the database meanwhile, also when it is closed then", function()
      local function size_of(file) return tonumber(shell.capture("stat -c %s " .. file)) end
      local before, batches = size_of(path), 0
      local function batch()
        batches = batches + 1
        assert(later:begin())
        for i = 1, 10 do
          assert(later:run("request_add", rows.request { id = batches .. "-" .. i,
            csr = ("x"):rep(30000) }))
        end
        assert(later:commit(batches < 60 and batch or function() later:close() end))
      end
      batch()
      while batches < 60 do core.loop.turn() end
      for _ = 1, 20 do
        local timer <close> = core.loop.timer(10, function() end) -- luacheck: ignore 211
        core.loop.turn()
      end
      assert.is_true(size_of(path) > before + 4 * 1024 * 1024)
      assert.equal(600, #ledger:rows("request_list", { limit = 1000 }))
      assert.equal("ok", shell.capture("sqlite3 " .. path .. " 'PRAGMA integrity_check'"))
    end)

    it("waits for the disk where nobody is told", function()
      assert(later:begin())
      assert(later:run("request_add", rows.request()))
      assert.is_true(later:commit())
      assert.equal(1, later:run("request_add", rows.request { id = "r2" }))
    end)
  end)

  it("raises where a callback waits for a ledger that is not synced later", function()
    assert(ledger:begin())
    local function nothing() end
    assert.error_matches(function() ledger:commit(nothing) end, "not opened with sync_later")
    assert.error_matches(function() ledger:sync(nothing) end, "not opened with sync_later")
    assert.error_matches(function() ledger:commit(1) end, "function expected")
  end)

  it("says busy when another connection holds the write lock, and reads meanwhile", function()
    assert(ledger:run("request_add", rows.request()))
    local other <close> = assert(core.ledger.open(path, { busy_ms = 20 }))
    assert(ledger:begin())
    assert_fails("ledger_busy", other:begin())
    assert_fails("ledger_busy", other:run("pending_expire", { now = 1 }))
    assert.equal(1, #other:rows("request_list", { limit = 10 }))
    assert(ledger:commit())
    assert(other:begin())
    assert(other:rollback())
  end)

  it("is only read where it was opened so", function()
    assert(ledger:run("request_add", rows.request()))
    local reader <close> = assert(core.ledger.open(path, { create = false, read_only = true }))
    assert.equal(1, #reader:rows("request_list", { limit = 10 }))
    assert_fails("ledger", reader:run("request_add", rows.request { id = "r2" }))
    assert.equal(1, #reader:rows("request_list", { limit = 10 }))
    assert_fails("not_found", core.ledger.open(path .. "-none", { read_only = true }))
    shell.capture(("sqlite3 %s 'PRAGMA user_version = 4'"):format(path))
    assert_fails("ledger", core.ledger.open(path, { read_only = true }))
  end)

  it("is read no further where it came into use meanwhile", function()
    assert(ledger:run("request_add", rows.request()))
    ledger:close()
    local reader <close> = assert(core.ledger.open(path, { create = false, read_only = true }))
    assert.equal(1, #reader:rows("request_list", { limit = 10 }))
    ledger = assert(core.ledger.open(path))
    assert(ledger:run("request_add", rows.request { id = "r2" }))
    assert_fails("ledger_busy", reader:rows("request_list", { limit = 10 }))
  end)

  it("pages its lists, newest first", function()
    for i = 1, 5 do assert(ledger:run("request_add", rows.request { id = "r" .. i })) end
    local page = ledger:rows("request_list", { limit = 2 })
    assert.same({ "r5", "r4" }, { page[1].id, page[2].id })
    page = ledger:rows("request_list", { limit = 9, before = page[2].seq })
    assert.same({ "r3", "r2", "r1" }, { page[1].id, page[2].id, page[3].id })
  end)

  it("prepares a statement once, whatever it is asked", function()
    local function cpu_of(name, values)
      local least = math.huge
      for _ = 1, 5 do
        local before = os.clock()
        for _ = 1, 500 do ledger:rows(name, values) end
        least = math.min(least, os.clock() - before)
      end
      return least
    end
    -- Both look for a row by an index, and take as long; to prepare one takes eight times that.
    local known = cpu_of("key_known", { key_hash = ("0"):rep(64) })
    local live = cpu_of("credentials_live", { name = "nobody", kind = "digest", now = 0 })
    assert.is_true(live < 3 * known, ("%.6f s beside %.6f s"):format(live, known))
  end)

  local function plan_of(statement)
    local quoted = statement.sql:gsub("'", "'\\''")
    local pipe <close> = io.popen(("sqlite3 %s 'EXPLAIN QUERY PLAN %s'"):format(path, quoted))
    return pipe:read "a"
  end

  it("looks rows up by an index, and walks no table", function()
    local by = {
      certificate_again = "certificates_again (<expr>=?",
      key_compromised = "certificates_again (<expr>=?",
      key_known = "certificates_again (<expr>=?",
      certificate_list_principal = "requests_principal (principal_name=? AND seq<?",
      credential_salt = "credentials_scrypt (secret_kind=? AND name=?",
      credential_use = "INTEGER PRIMARY KEY (rowid=?",
      credentials_live = "credentials_name (name=?",
      certificate_list_device = "requests_device (device=? AND seq<?",
      certificate_profile_live = "certificates_profile (profile=? AND not_after>?",
      certificate_profile_next = "certificates_profile (profile>?",
      outbox_add_revoked = "certificates_1 (serial=? AND issuer=?",
      outbox_claim = "outbox_1 (serial=? AND issuer=? AND policy=? AND kind=?",
      outbox_count = "outbox_due (label=? AND policy=?",
      outbox_depth = "outbox_since",
      outbox_drop_failed = "outbox_failed (label>? AND label<?",
      outbox_late = "outbox_since (since<?",
      outbox_new = "outbox_new (policy=?",
      outbox_next = "outbox_due ((label,policy)>(?,?)",
      outbox_of = "outbox_1 (serial=?",
      pending_count = "pending_live (principal_name=?",
      pending_find = "pending_live (principal_name=? AND principal_kind=? AND key_hash=?",
    }
    for name, statement in pairs(core.ledger.statements()) do
      local plan = plan_of(statement)
      assert.is_nil(plan:gsub("SCAN %(subquery", ""):find "SCAN", name .. plan)
      if by[name] then assert.is_truthy(plan:find(by[name], 1, true), name .. plan) end
    end
  end)

  it("counts for a policy in indexes alone, in their order, and to an end", function()
    for name, statement in pairs(core.ledger.statements()) do
      local about, what = name:match "^history_(%a+)_?(%a*)$"
      if about then
        local plan = plan_of(statement)
        assert.is_truthy(statement.parameters.most, name)
        assert.is_nil(plan:find "TEMP B%-TREE", name .. plan)
        -- The rows themselves are read of what waits, and of a key, whose index has a part of it.
        if what ~= "pending" and (about ~= "key" or what == "refused") then
          assert.is_nil(plan:find "USING INDEX", name .. plan)
        end
      end
    end
  end)

  it("begins each page of a list where the last one ended, and sorts none", function()
    local by = {
      act_list = "INTEGER PRIMARY KEY (rowid<?)",
      certificate_list = "INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
      certificate_later = "requests_device (device=?",
      certificate_list_device = "requests_device (device=? AND seq<?)",
      certificate_list_ends = "certificates_profile (profile=? AND not_after>? AND not_after<?)",
      certificate_list_serial = "certificates_1 (serial>? AND serial<?)",
      outbox_due = "outbox_due (label=? AND policy=? AND next_at<?)",
      outbox_list = "INTEGER PRIMARY KEY (rowid<?)",
      outbox_stranded = "outbox_due (label=? AND policy=? AND next_at>? AND next_at<?",
      shadow_list = "INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
      request_list_id = "requests_1 (id>? AND id<?)",
      certificate_list_principal = "requests_principal (principal_name=? AND seq<?)",
      certificate_list_revoked = "certificates_revoked (seq>? AND seq<?)",
      certificate_list_key = "certificates_again (<expr>=? AND not_after>?)",
      crl_entries = "certificates_crl (issuer=? AND (not_after,serial)>(?,?))",
      credential_list = "credentials_list (seq<?)",
      crl_next = "PRIMARY KEY (issuer>?)",
      credential_list_name = "credentials_name (name=? AND rowid<?)",
      pending_list = "pending_open (seq<?)",
      pending_list_expired = "pending_state (state=? AND seq<?)",
      pending_list_state = "pending_state (state=? AND seq<?)",
      order_due = "orders_open (ca=?)",
      order_list = "orders_list (seq<?)",
      refusal_list = "INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
      request_after = "INTEGER PRIMARY KEY (rowid>?)",
      request_list = "INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
      request_list_device = "requests_device (device=? AND seq>? AND seq<?)",
      request_list_device_verdict =
        "requests_device_verdict (device=? AND verdict=? AND seq>? AND seq<?)",
      request_list_principal = "requests_principal (principal_name=? AND seq>? AND seq<?)",
      request_list_principal_verdict =
        "requests_principal_verdict (principal_name=? AND verdict=? AND seq>? AND seq<?)",
      request_list_verdict = "requests_verdict (verdict=? AND seq>? AND seq<?)",
      revocation_list = "INTEGER PRIMARY KEY (rowid>?)",
      request_recorded = "INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    }
    for name, statement in pairs(core.ledger.statements()) do
      if statement.parameters.limit then
        local plan = plan_of(statement)
        assert.is_nil(plan:find "TEMP B%-TREE", name .. plan)
        assert.is_truthy(plan:find(by[name], 1, true), name .. plan)
        -- Of a device also the rows whose principal is their own.
        local own = by[name]:gsub("requests_device", "requests_principal"):gsub("%(device=",
          "(principal_name=")
        if name:find "_device" then assert.is_truthy(plan:find(own, 1, true), name .. plan) end
      end
    end
  end)

  describe("certificates", function()
    before_each(function()
      assert(ledger:run("request_add", rows.request()))
      assert(ledger:run("certificate_add", rows.certificate { serial = "01", issued_at = 1000 }))
      assert(ledger:run("certificate_add", rows.certificate { serial = "02", issued_at = 1001 }))
    end)

    it("are found again for the same key, principal, label and operation in the window", function()
      local same = rows.again()
      assert.equal("02", ledger:rows("certificate_again", same)[1].serial)
      assert.equal("\x30\0\xff", ledger:rows("certificate_again", same)[1].der)
      for key, other in pairs { since = 1002, now = 2000, key_hash = "k2",
        label = "factory", operation = "simplereenroll", renews = "01" } do
        local wanted = rows.again { [key] = other }
        assert.same({}, ledger:rows("certificate_again", wanted), key)
      end
    end)

    it("are found again for the same principal or device, and for no other", function()
      assert(ledger:run("certificate_add", rows.certificate { serial = "03", device = "device001",
        principal_name = "own:CN=x", issued_at = 1002 }))
      for serial, who in pairs {
        ["03"] = { principal_name = "own:CN=x", device = "own:CN=x" }, ["02"] = {},
      } do
        local again = ledger:rows("certificate_again", rows.again(who))
        assert.equal("03", again[1].serial)
        assert.equal("device001", again[1].device)
        assert.equal(serial, again[#again - (serial == "02" and 1 or 0)].serial)
      end
      assert.same({}, ledger:rows("certificate_again",
        rows.again { principal_name = "device002", device = "device002" }))
    end)

    it("are told apart by the whole hash of the key, where its beginning is the same", function()
      local one, other = ("a"):rep(64), ("a"):rep(63) .. "b"
      assert(ledger:run("certificate_add", rows.certificate { serial = "03", key_hash = one }))
      assert(ledger:run("certificate_add", rows.certificate { serial = "04", key_hash = other }))
      for serial, key_hash in pairs { ["03"] = one, ["04"] = other } do
        local same = rows.again { key_hash = key_hash }
        assert.equal(serial, ledger:rows("certificate_again", same)[1].serial)
        assert.equal(1, #ledger:rows("key_known", { key_hash = key_hash }))
      end
      local none = rows.again { key_hash = ("a"):rep(62) .. "bb" }
      assert.same({}, ledger:rows("certificate_again", none))
      assert.same({}, ledger:rows("key_known", { key_hash = none.key_hash }))
    end)

    it("tell that a key is compromised once one of them is revoked for that", function()
      local key = { key_hash = rows.again().key_hash }
      local issuer = rows.certificate().issuer
      assert(ledger:run("certificate_revoke", { serial = "02", issuer = issuer,
        reason = "superseded", now = 5 }))
      assert.same({}, ledger:rows("key_compromised", key))
      assert(ledger:run("certificate_revoke", { serial = "01", issuer = issuer,
        reason = "keyCompromise", now = 5 }))
      assert.equal("01", ledger:rows("key_compromised", key)[1].serial)
      assert.same({}, ledger:rows("key_compromised", { key_hash = "k2" }))
    end)

    it("are found again as the renewal of one certificate", function()
      assert(ledger:run("certificate_add", rows.certificate { serial = "03", renews = "01" }))
      local wanted = rows.again { renews = "01" }
      assert.equal("03", ledger:rows("certificate_again", wanted)[1].serial)
      wanted.renews = "02"
      assert.same({}, ledger:rows("certificate_again", wanted))
    end)

    it("are not given again once revoked, and revoked once", function()
      local revoke = { serial = "02", issuer = "ca", reason = "superseded", now = 1100 }
      assert.equal(1, ledger:run("certificate_revoke", revoke))
      assert.equal(0, ledger:run("certificate_revoke", revoke))
      local same = rows.again()
      assert.equal("01", ledger:rows("certificate_again", same)[1].serial)
      assert(ledger:run("certificate_add", rows.certificate { serial = "09", issuer = "ca2" }))
      assert(ledger:run("certificate_add", rows.certificate { serial = "09" }))
      assert.equal(1, ledger:run("certificate_revoke", { serial = "09", issuer = "ca2",
        reason = "superseded", now = 1100 }))
      for issuer, expected in pairs { ca = false, ca2 = true } do
        local found = ledger:rows("certificate_get", { serial = "09", issuer = issuer })
        assert.equal(1, #found)
        assert.equal(issuer, found[1].issuer)
        assert.equal(expected, found[1].revoked_at ~= nil)
      end
      local row = ledger:rows("certificate_get", { serial = "02", issuer = "ca" })[1]
      assert.equal(1100, row.revoked_at)
    end)
  end)

  it("finds the newest salt of a name, a kind and a cost, and no other's", function()
    for i, credential in ipairs {
      { salt = "one", cost = "8:8:1" }, { salt = "two", cost = "8:8:1" },
      { salt = "dear", cost = "16:8:1" }, { salt = "random", secret_kind = "random" },
      { salt = "another's", name = "device002" },
    } do
      assert(ledger:run("credential_add", rows.credential {
        id = "c" .. i, name = credential.name, salt = credential.salt,
        secret_kind = credential.secret_kind or "scrypt", cost = credential.cost or "8:8:1" }))
    end
    for cost, salt in pairs { ["8:8:1"] = "two", ["16:8:1"] = "dear" } do
      assert.same({ { salt = salt } },
        ledger:rows("credential_salt", { name = "device001", cost = cost }))
    end
    assert.same({}, ledger:rows("credential_salt", { name = "device001", cost = "32:8:1" }))
  end)

  describe("pending requests", function()
    local function find(now)
      return ledger:rows("pending_find", rows.identity { now = now or 1000 })[1]
    end

    it("7030-4.2.3-q are one row for an identity and key, whatever the CSR's bytes", function()
      assert.equal(1, ledger:run("pending_put", rows.pending()))
      assert.equal(1, ledger:run("pending_put", rows.pending { id = "p2", csr = "other", now = 1010,
        expires = 9000 }))
      local row = find()
      assert.same({ "p1", 1000, 1010, 5000 }, { row.id, row.created, row.updated, row.expires })
      assert.equal("other", ledger:rows("pending_get", { id = "p1" })[1].csr)
      assert(ledger:run("pending_put", rows.pending { id = "p3", key_hash = "k2" }))
      assert.equal(2, #ledger:rows("pending_list", { now = 1000, limit = 10 }))
    end)

    it("end when they expire and may then begin anew", function()
      assert(ledger:run("pending_put", rows.pending()))
      assert.is_nil(find(5000))
      assert.equal(1, ledger:run("pending_expire", { now = 5000 }))
      assert.equal(0, ledger:run("approval_put", { pending_id = "p1", operator = "a",
        verdict = "approve", now = 5000 }))
      assert(ledger:run("pending_put", rows.pending { id = "p2", now = 5000, expires = 9000 }))
      assert.equal("p2", find(5000).id)
    end)

    it("are over when they expire, before anything has marked them", function()
      assert(ledger:run("pending_put", rows.pending()))
      for now, there in pairs { [4999] = 1, [5000] = 0 } do
        assert.equal(there, #ledger:rows("pending_list", { now = now, limit = 10 }))
      end
      assert.equal(0, ledger:run("approval_put", { pending_id = "p1", operator = "alice",
        verdict = "approve", now = 5000 }))
      assert.equal(0, ledger:run("pending_settle", { id = "p1", seen = 0, now = 5000 }))
      assert.equal(0, ledger:run("pending_issue", { id = "p1", serial = "0a", now = 5000 }))
      assert.equal(1, ledger:run("pending_issue", { id = "p1", serial = "0a", now = 4999 }))
    end)

    it("take no say once a certificate is issued", function()
      assert(ledger:run("pending_put", rows.pending()))
      assert.equal(1, ledger:run("pending_issue", { id = "p1", serial = "0a", now = 1100 }))
      assert.equal(0, ledger:run("approval_put", { pending_id = "p1", operator = "alice",
        verdict = "reject", now = 1100 }))
      assert.equal(0, ledger:run("pending_settle", { id = "p1", seen = 0, now = 1100 }))
      assert.same({}, ledger:rows("approval_list", { pending_id = "p1" }))
      assert.equal("issued", ledger:rows("pending_get", { id = "p1" })[1].state)
    end)

    local function say(operator, verdict, note, holds_until)
      local changes = assert(ledger:run("approval_put", { pending_id = "p1", operator = operator,
        verdict = verdict, note = note, holds_until = holds_until, now = 1100 }))
      assert(ledger:run("pending_settle", { id = "p1", seen = 0, now = 1100 }))
      return changes, find().state
    end

    it("count an operator once, and a rejection outweighs", function()
      assert(ledger:run("pending_put", rows.pending()))
      assert.equal("waiting", find().state)
      assert.same({ 1, "approved" }, { say("alice", "approve") })
      assert.same({ 1, "approved" }, { say("alice", "approve", "again") })
      assert.same({ 1, "rejected" }, { say("bob", "reject") })
      assert.equal(0, ledger:run("pending_issue", { id = "p1", serial = "0a", now = 1100 }))
      assert.same({ 1, "approved" }, { say("bob", "approve") })
      local list = ledger:rows("approval_list", { pending_id = "p1" })
      assert.same({ "alice", "again", "bob" },
        { list[1].operator, list[1].note, list[2].operator })
      assert.equal(1, ledger:run("pending_issue", { id = "p1", serial = "0a", now = 1100 }))
      assert.equal(0, ledger:run("pending_issue", { id = "p1", serial = "0b", now = 1100 }))
    end)

    it("are approved by as many as the policy needs, and more than it knew of", function()
      assert(ledger:run("pending_put", rows.pending { needed = 2 }))
      assert.same({ 1, "waiting" }, { say("alice", "approve") })
      assert.same({ 1, "waiting" }, { say("alice", "approve", "again") })
      assert.same({ 1, "approved" }, { say("bob", "approve") })
      local function settle(seen)
        assert.equal(1, ledger:run("pending_settle", { id = "p1", seen = seen, now = 1100 }))
        return find().state
      end
      -- The policy has seen two, and still waits: for whom, it does not say.
      assert.equal("waiting", settle(2))
      assert.equal("approved", settle(1))
      assert(ledger:run("pending_put", rows.pending { needed = 3 }))
      assert.equal("waiting", settle(1))
      assert(ledger:run("pending_put", rows.pending()))
      assert.equal("approved", settle(0))
    end)

    it("are rejected as long as the longest rejection holds, and wait as before without one",
      function()
      assert(ledger:run("pending_put", rows.pending()))
      local function expires(now) return (find(now) or {}).expires end
      say("alice", "reject", nil, 9000)
      assert.equal(9000, expires(8999))
      say("bob", "reject", nil, 3000)
      assert.equal(9000, expires())
      say("alice", "approve")
      assert.equal(3000, expires())
      assert.is_nil(find(3000))
      say("bob", "approve")
      assert.equal(5000, expires(4999))
    end)

    it("are listed as expired once they are over, marked or not", function()
      for i, state in ipairs { "waiting", "approved", "rejected", "expired", "issued" } do
        assert(ledger:run("pending_put", rows.pending { id = state, key_hash = state,
          expires = 5000 + i }))
        if state == "issued" then
          assert(ledger:run("pending_issue", { id = state, serial = "0a", now = 1100 }))
        elseif state == "approved" or state == "rejected" then
          assert(ledger:run("approval_put", { pending_id = state, operator = "alice", now = 1100,
            verdict = state == "approved" and "approve" or "reject",
            holds_until = state == "rejected" and 5003 or nil }))
          assert(ledger:run("pending_settle", { id = state, seen = 0, now = 1100 }))
        end
      end
      local function ids(now, state)
        local list = {}
        local found = state
          and ledger:rows("pending_list_state", { state = state, now = now, limit = 10 })
          or ledger:rows("pending_list_expired", { now = now, limit = 10 })
        for i, row in ipairs(found) do list[i] = row.id end
        return table.concat(list, " ")
      end
      assert.equal("", ids(5000))
      assert.equal("waiting", ids(5001))
      assert.equal("rejected approved waiting", ids(5003))
      for state, last in pairs { waiting = 5000, approved = 5001, rejected = 5002 } do
        assert.equal(1, select(2, ids(last, state):gsub(state, "")), state)
        assert.is_nil(ids(last + 1, state):find(state), state)
      end
      assert.equal("issued", ids(9000, "issued"))
      assert.equal(4, ledger:run("pending_expire", { now = 9000 }))
      assert.equal("expired rejected approved waiting", ids(9000))
      assert.equal("expired", ledger:rows("pending_ended", rows.identity {
        key_hash = "expired" })[1].id)
      assert.same({}, ledger:rows("pending_ended", rows.identity { key_hash = "issued" }))
    end)

    it("stay what an operator has said when they are polled", function()
      assert(ledger:run("pending_put", rows.pending()))
      for state, verdict in pairs { rejected = "reject", approved = "approve" } do
        say("alice", verdict)
        assert.equal(1, ledger:run("pending_put", rows.pending { id = "p2", csr = state }))
        assert.same({ "p1", state, state }, { find().id, find().state, find().csr })
      end
    end)

    it("are counted for their device while operators have them before them", function()
      local function count(device, now)
        local sum = 0
        for _, row in ipairs(ledger:rows("pending_count", { device = device, now = now })) do
          sum = sum + row.count
        end
        return sum
      end
      for i = 1, 3 do
        for _, other in ipairs { false, "device002" } do
          local id = other and "other" .. i or "p" .. i
          assert(ledger:run("pending_put", rows.pending { id = id, key_hash = id,
            principal_name = other and "own:CN=x" or "device001", device = other or nil,
            expires = 5000 + i }))
          assert(ledger:run("approval_put", { pending_id = id, operator = "alice", now = 1100,
            verdict = i == 1 and "reject" or "approve" }))
          assert(ledger:run("pending_settle", { id = id, seen = 0, now = 1100 }))
        end
      end
      for _, device in ipairs { "device001", "device002" } do
        -- The first is rejected; the others are over one after the other.
        for now, expected in pairs { [1100] = 2, [5001] = 2, [5002] = 1, [5003] = 0 } do
          assert.equal(expected, count(device, now), device .. " at " .. now)
        end
      end
      assert(ledger:run("pending_issue", { id = "p2", serial = "0a", now = 1100 }))
      assert.equal(1, count("device001", 1100))
      assert.equal(0, count("own:CN=x", 1100))
    end)
  end)
end)
