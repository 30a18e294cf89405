-- A ledger of an older schema: all its rows, and the same answers from them.
local core = require "lest.core"
local operator = require "lest.server.ledger.operator"
local process = require "support.process"
local shell = require "support.shell"
local temporary = require "support.temporary"

local NOW <const> = 1300

-- Beside the fixture's rows: requests of 1000 principals, one in ten refused, the others with a
-- certificate; pairs of keys whose hashes begin alike. The first 100 have a credential each.
local FILL <const> = [[
  PRAGMA foreign_keys = OFF;
  BEGIN;
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
  INSERT INTO requests (id, time_us, operation, label, principal_kind, principal_name, csr,
    key_hash, verdict, profile, serial)
  SELECT 'f' || i, 2000000000 + i, 'simpleenroll', '', 'basic', 'filled' || (i %% 1000), x'3000',
    printf('%%012x%%052x', i / 2, i), iif(i %% 10 = 0, 'reject', 'approve'), 'device',
    iif(i %% 10 = 0, NULL, lower(hex(randomblob(4))) || printf('%%024x', i)) FROM n;
  INSERT INTO certificates (issuer, serial, der, fingerprint, subject, san, principal_kind,
    principal_name, label, operation, profile, key_hash, request_id, not_before, not_after,
    issued_at, facts)
  SELECT 'ca', serial, x'3000', 'f', 'CN=x', '', principal_kind, principal_name, label, operation,
    profile, key_hash, id, 1000, 2000, 1000, '{}' FROM requests
  WHERE id LIKE 'f%%' AND serial <> '';
  INSERT INTO credentials (id, name, kind, secret_kind, cost, salt, hash, one_time, created, facts)
  SELECT 'f' || rowid, principal_name, 'basic', 'random', '', x'', zeroblob(32), 1, 1000, '{}'
  FROM requests WHERE id LIKE 'f%%' LIMIT 100;
  COMMIT;]]

describe("a ledger of schema 3", function()
  local folder, path, ledger

  local function sqlite(sql)
    return (process.must({ "sqlite3", path, sql }):gsub("\n$", ""))
  end

  -- What the new schema must not lose, as one text.
  local function rows_of_all_tables()
    local parts = {}
    for _, name in ipairs { "credentials", "requests", "certificates", "pending", "approvals" } do
      local columns = sqlite(("SELECT group_concat(name) FROM pragma_table_info('%s')"
        .. " WHERE name NOT IN ('answer', 'device', 'comment', 'note', 'tell', 'holds_until',"
        .. " 'needed', 'polled', 'retry_after', 'waits_until', 'credential_id', 'rule',"
        .. " 'asked_at', 'stated', 'trace', 'outside', '%s')"):format(name,
        name == "requests" and "subject" or ""))
      parts[#parts + 1] = shell.capture(("sqlite3 -quote %s 'SELECT %s FROM %s' | md5sum"):format(
        path, columns, name))
    end
    return table.concat(parts)
  end

  --- Statements with what plain SQL over whole tables says they give: one column, in order.
  local function questions(names)
    local list = {}
    local function ask(statement, parameters, column, rest, ...)
      local sql = ("SELECT coalesce(group_concat(x), '') FROM (SELECT %s AS x FROM %s)"):format(
        column, rest:format(...))
      if not rest:find "ORDER BY" then sql = sql:gsub("%)$", " ORDER BY seq DESC)") end
      list[#list + 1] = { statement, parameters, column, sqlite(sql) }
    end
    ask("credential_list", {}, "id", "credentials WHERE removed IS NULL")
    ask("request_list", {}, "id", "requests")
    ask("request_list", { verdict = "approve" }, "id", "requests WHERE verdict = 'approve'")
    ask("certificate_list", {}, "serial", "certificates")
    ask("pending_list", { now = NOW }, "id",
      "pending WHERE state IN ('waiting', 'approved') AND expires > %d", NOW)
    for _, verdict in ipairs { "reject", "pending", "error", "unavailable" } do
      ask("request_list_verdict", { verdict = verdict }, "id", "requests WHERE verdict = '%s'",
        verdict)
    end
    for _, state in ipairs { "waiting", "approved", "rejected", "issued" } do
      ask("pending_list_state", { state = state, now = NOW }, "id", "pending WHERE state = '%s'",
        state)
    end
    ask("pending_list_expired", { now = NOW }, "id", "pending WHERE state = 'expired'")
    for _, name in ipairs(names) do
      ask("credential_list_name", { name = name }, "id",
        "credentials WHERE removed IS NULL AND name = '%s'", name)
      ask("credentials_live", { name = name, kind = "basic", now = NOW }, "id",
        "credentials WHERE removed IS NULL"
        .. " AND name = '%s' AND ((state = 'unused' AND coalesce(expires, 9e9) > %d)"
        .. " OR (state <> 'unused' AND bound_until > %d))", name, NOW, NOW)
      local of = { principal_name = name }
      ask("request_list_principal", of, "id", "requests WHERE principal_name = '%s'", name)
      ask("request_list_principal", { principal_name = name, verdict = "approve" }, "id",
        "requests WHERE principal_name = '%s' AND verdict = 'approve'", name)
      ask("request_list_principal_verdict", { principal_name = name, verdict = "reject" }, "id",
        "requests WHERE principal_name = '%s' AND verdict = 'reject'", name)
      ask("certificate_list_principal", of, "serial",
        "certificates WHERE principal_name = '%s'", name)
      ask("pending_count", { device = name, now = NOW }, "count",
        "(SELECT count(*) AS count, 2 AS seq FROM pending WHERE principal_name = '%s'"
        .. " AND state IN ('waiting', 'approved') AND expires > %d UNION ALL SELECT 0, 1)", name,
        NOW)
    end
    return list
  end

  --- The lost answer and the renewal's row of certificates, and the pending requests by identity.
  local function lookups(where)
    local list = {}
    local rows = sqlite("SELECT quote(serial), quote(issuer), quote(key_hash),"
      .. " quote(principal_name), quote(operation), quote(renews),"
      .. " revoked_at IS NULL"
      .. " FROM certificates WHERE " .. where)
    for line in rows:gmatch "[^\n]+" do
      local values = {}
      for value in (line .. "|"):gmatch "(.-)|" do
        values[#values + 1] = value ~= "NULL" and value:gsub("^'(.*)'$", "%1") or false
      end
      list[#list + 1] = values
    end
    return list
  end

  local function fill(count)
    process.must(("sqlite3 %s < spec/fixtures/ledger_v3.sql"):format(path))
    if count > 0 then sqlite(FILL:format(count)) end
  end

  before_each(function()
    folder = temporary.folder()
    path = folder .. "/ledger.db"
  end)

  after_each(function()
    if ledger then ledger:close() end
    ledger = nil
    temporary.clean()
  end)

  local function check_same_answers(names, where)
    local rows, asked, looked = rows_of_all_tables(), questions(names), lookups(where)
    local seconds = {}
    ledger = assert(core.ledger.open(path,
      { progress = function(second) seconds[#seconds + 1] = second end }))
    for i, second in ipairs(seconds) do assert.is_true(second >= i) end
    assert.equal(rows, rows_of_all_tables())
    for _, question in ipairs(asked) do
      local statement, parameters, column, expected = table.unpack(question)
      if core.ledger.statements()[statement].parameters.limit then parameters.limit = 1000000 end
      local values = {}
      for i, row in ipairs(assert(ledger:rows(statement, parameters))) do
        values[i] = row[column]
      end
      assert.equal(expected, table.concat(values, ","), statement)
    end
    for _, known in ipairs(looked) do
      local serial, issuer, key_hash, name, operation, renews, valid = table.unpack(known)
      assert.equal(serial, ledger:rows("certificate_get", { serial = serial, issuer = issuer })[1]
        .serial)
      assert.equal(serial, ledger:rows("certificate_find", { serial = serial })[1].serial)
      local again = ledger:rows("certificate_again", { key_hash = key_hash, device = name,
        principal_name = name, label = "", operation = operation, renews = renews or nil,
        since = 1000, now = NOW })
      assert.same({ valid == "1" and serial or nil }, { again[1] and again[1].serial })
    end
    assert.is_true(#looked > 0)
    assert.equal("ok", sqlite "PRAGMA integrity_check")
    assert.equal("", sqlite "PRAGMA foreign_key_check")
  end

  it("keeps its rows and gives the same answers", function()
    fill(0)
    check_same_answers({ "device001", "device002", "device003", "device004", "device006", "factory",
      "own:CN=x", "nobody" }, "true")
    assert.equal("approved", ledger:rows("pending_find", { principal_kind = "basic", label = "",
      principal_name = "device007", operation = "simpleenroll", now = NOW,
      key_hash = sqlite "SELECT key_hash FROM pending WHERE id = 'p2'" })[1].state)
    local shown = assert(operator.run(ledger, "pending_show", { id = "p5" }))
    assert.same({ "alice", "bob" }, { shown.approvals[1].operator, shown.approvals[2].operator })
    -- What a device was told before, it is told still.
    assert.same({ "unknown", "unknown", shown.expires }, { shown.approvals[2].note,
      shown.approvals[2].tell, shown.approvals[2].holds_until })
    local approved = assert(operator.run(ledger, "pending_show", { id = "p2" })).approvals[1]
    assert.same({ "seen", nil }, { approved.note, approved.tell })
    local one = assert(operator.run(ledger, "request_show", { id = "r1" }))
    assert.same({ "0a1b", '{"version":"TLSv1.3"}' }, { one.serial, one.tls })
    assert.is_nil(one.answer)
    -- A serial that was random stays valid, and is revoked as any other.
    assert.equal("superseded", assert(operator.run(ledger, "cert_revoke", { reason = "superseded",
      serial = "f0e1d2c3b4a5968778695a4b3c2d1e0f" })).revocation_reason)
  end)

  it("knows a device by its renewals, however often it renewed", function()
    fill(0)
    sqlite [[
      INSERT INTO requests (id, time_us, operation, label, principal_kind, principal_name, previous,
        verdict, serial) VALUES
        ('q1', 1, 'simplereenroll', '', 'certificate', 'own:CN=x', '0d', 'approve', '0f'),
        ('q2', 1, 'simplereenroll', '', 'certificate', 'own:CN=x', '0f', 'pending', NULL),
        ('q3', 1, 'simplereenroll', '', 'certificate', 'own:CN=x', '0f', 'reject', NULL),
        ('q4', 1, 'simplereenroll', '', 'certificate', 'own:CN=y', 'ff', 'approve', '10');
      INSERT INTO certificates (issuer, serial, der, fingerprint, subject, san, principal_kind,
        principal_name, label, operation, profile, key_hash, request_id, not_before, not_after,
        issued_at, renews, facts)
      SELECT 'ca', serial, x'3000', 'f', 'CN=x', '', principal_kind, principal_name, label,
        operation, 'device', serial, id, 1000, 2000, 1000, previous, '{}' FROM requests
      WHERE id IN ('q1', 'q4');
      INSERT INTO pending (id, request_id, created, updated, expires, label, operation,
        principal_kind, principal_name, key_hash, csr, subject)
      VALUES ('p6', 'q2', 1000, 1000, 5000, '', 'simplereenroll', 'certificate', 'own:CN=x', 'k',
        x'00', 'CN=x')]]
    ledger = assert(core.ledger.open(path))
    for table_name, expected in pairs { requests = "r5,q1,q2,q3", certificates = "0d,0f",
      pending = "p6" } do
      local id = table_name == "certificates" and "serial" or "id"
      assert.equal(expected, sqlite(("SELECT group_concat(%s) FROM (SELECT * FROM %s"
        .. " WHERE device = 'device003' ORDER BY seq)"):format(id, table_name)))
      assert.equal("0", sqlite(("SELECT count(*) FROM %s WHERE device <> 'device003'"):format(
        table_name)))
    end
    local function serials(arguments)
      local list = {}
      for i, row in ipairs(assert(operator.run(ledger, "cert_list", arguments))) do
        list[i] = row.serial
        if arguments.device then assert.equal(arguments.device, row.device) end
      end
      return list
    end
    assert.same({ "0f", "0d", "0a1b" }, serials { device = "device003" })
    assert.same({ "10" }, serials { device = "own:CN=y" })
    assert.same({ "0f", "0d" }, serials { principal_name = "own:CN=x" })
    assert.same({ "0f", "0d" }, serials { device = "device003", limit = 2 })
    assert.equal(1, ledger:rows("pending_count", { device = "device003", now = NOW })[2].count)
  end)

  it("of 80,000 requests gives the same answers", function()
    fill(80000)
    check_same_answers({ "device003", "filled0", "filled7", "filled999" }, "seq % 997 = 1")
  end)
end)
