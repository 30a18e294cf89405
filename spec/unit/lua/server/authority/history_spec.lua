-- What the ledger knows of a request, counted over few rows and over 100,000.
local core = require "lest.core"
local history = require "lest.server.authority.history"
local process = require "support.process"
local temporary = require "support.temporary"

local NOW <const> = 1000000
local ABOUT <const> = { "principal", "device", "subject", "key" }

-- Rows of one device with one key and subject: so many certificates (half of them over, one in a
-- thousand revoked), and as many refusals. `own` is NULL for a device's own, its name for others'.
local FILL <const> = [[
  PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF;
  BEGIN;
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
  INSERT INTO requests (id, time_us, operation, label, principal_kind, principal_name, key_hash,
    verdict, reason, serial, device, subject)
  SELECT 'r' || i, i * 1000000, 'simpleenroll', '', 'basic', %s, '%s',
    iif(i %% 2, 'approve', 'reject'), 'no ' || i, iif(i %% 2, printf('%%032x', i), NULL), %s,
    iif(i %% 2, NULL, 'CN=%s') FROM n;
  INSERT INTO certificates (issuer, serial, der, fingerprint, subject, san, principal_kind,
    principal_name, label, operation, profile, key_hash, request_id, not_before, not_after,
    issued_at, facts, renews, revoked_at, revocation_reason, device)
  SELECT 'ca', serial, x'3000', 'f', 'CN=%s', '', 'basic', principal_name, label, operation,
    'device', key_hash, id, 1000, %d + %d - seq, seq, '{}', iif(seq %% 3 = 0, 'x', NULL),
    iif(seq %% 1001 = 0, seq, NULL), iif(seq %% 1001 = 0, 'superseded', NULL), device
  FROM requests WHERE verdict = 'approve';
  COMMIT;]]

local ONE_MORE <const> = [[
  INSERT INTO certificates (issuer, serial, der, fingerprint, subject, san, principal_kind,
    principal_name, label, operation, profile, key_hash, request_id, not_before, not_after,
    issued_at, facts)
  SELECT 'ca', 'new', der, fingerprint, 'CN=y', san, principal_kind, principal_name, label,
    operation, profile, 'k', request_id, not_before, 2000000, issued_at, facts
  FROM certificates LIMIT 1]]

describe("the history of a request", function()
  local path, authority

  before_each(function()
    path = temporary.folder() .. "/ledger.db"
    assert(core.ledger.open(path)):close()
  end)
  after_each(function()
    if authority then authority.ledger:close() end
    authority = nil
    temporary.clean()
  end)

  --- Fill it; `active` of the certificates end at NOW or later.
  local function fill(count, options)
    local name = options.name or "dev"
    process.must({ "sqlite3", path }, { stdin = FILL:format(count, options.principal or "'dev'",
      options.key or ("ab"):rep(32), options.device or "NULL", name, name, NOW - 1,
      options.active or 0) })
  end

  local function request(options)
    return { ledger_name = options.principal or "dev", device = options.device or "dev",
      key_hash = options.key or ("ab"):rep(32),
      csr = { subject = setmetatable(options.subject or { {} }, { __tostring = function()
        return "CN=" .. (options.name or "dev")
      end }) }, history = {} }
  end

  local function ask(about, options)
    authority = authority or { ledger = assert(core.ledger.open(path)),
      clock = function() return NOW end }
    return history.of(authority, request(options or {}), about)
  end

  local function counts(known)
    local result = {}
    for state, tally in pairs(known) do
      result[state] = (tally.count > 0 or tally.more)
        and tally.count .. (tally.more and "+" or "") or nil
    end
    return result
  end

  it("counts all where there are few", function()
    fill(20, { active = 6 })
    for _, about in ipairs(ABOUT) do
      local known = ask(about)
      assert.same({ issued = "10", active = "3", expired = "7", renewed = "3", refused = "10" },
        counts(known), about)
      assert.same({ 19, 5, NOW - 2, 15, 20, "no 20" }, { known.issued.last, known.active.last,
        known.expired.last, known.renewed.last, known.refused.last, known.refused.reason }, about)
    end
    for _, about in ipairs(ABOUT) do
      local other = { principal = "o", device = "o", name = "o", key = ("ac"):rep(32) }
      assert.same({}, counts(ask(about, other)), about)
      -- A key that begins as that one does is another one.
      if about == "key" then
        assert.same({}, counts(ask(about, { key = ("ab"):rep(31) .. "ac" })))
      end
    end
  end)

  it("has what a device was given under other names", function()
    fill(20, { principal = "'own:CN=dev'", device = "'dev'", active = 100 })
    assert.same({ issued = "10", active = "10", renewed = "3", refused = "10" },
      counts(ask "device"))
    assert.same({}, counts(ask "principal"))
    local principal = { principal = "own:CN=dev", device = "own:CN=dev" }
    assert.same({ issued = "7", active = "7", refused = "10" },
      counts(ask("principal", principal)))
    assert.same({}, counts(ask("device", principal)))
  end)

  it("finds a subject by itself, by the name of who asked, and by the device's", function()
    fill(20, { active = 100 })
    process.must({ "sqlite3", path }, { stdin = [[
      UPDATE certificates SET device = 'dev', principal_name = 'own:CN=dev' WHERE seq IN (1, 2);
      UPDATE certificates SET principal_name = 'thief' WHERE seq = 3;
      UPDATE certificates SET device = 'thief' WHERE seq = 4;
      UPDATE certificates SET subject = 'CN=pump' WHERE seq = 5;
      UPDATE certificates SET revoked_at = 7, revocation_reason = 'x' WHERE seq IN (2, 3, 6)]] })
    assert.same({ issued = "9", active = "6", revoked = "3", renewed = "2", refused = "10" },
      counts(ask "subject"))
    assert.same({ issued = "1", active = "1", renewed = "1" },
      counts(ask("subject", { name = "pump" })))
    assert.same({}, counts(ask("subject", { name = "thief" })))
    assert.equal("8", counts(ask "device").issued)
    local thief = { principal = "thief", device = "thief" }
    assert.same({ issued = "2", active = "1", revoked = "1" }, counts(ask("device", thief)))
  end)

  it("knows nothing of a subject that is empty", function()
    assert.is_nil((ask("subject", { subject = {} })))
  end)

  it("of 100,000 rows counts the active ones all, and all others to a bound", function()
    fill(100000, { active = 200 })
    for _, about in ipairs(ABOUT) do
      local known = ask(about)
      assert.same({ issued = "1000+", active = "100", expired = "900+", renewed = "334+",
        revoked = "50", refused = "1000+" }, counts(known), about)
      assert.equal("no 100000", known.refused.reason)
      assert.equal("superseded", known.revoked.reason)
      assert.equal(99 * 1001, known.revoked.last)
    end
  end)

  it("of more active ones than the bound says so", function()
    fill(6000, { active = 4000 })
    for _, about in ipairs(ABOUT) do
      local known = ask(about)
      assert.is_true(known.active.more, about)
      assert.is_true(known.issued.more, about)
      assert.equal(1000, known.active.count)
    end
  end)

  it("has a reason that a message takes, however it is written", function()
    fill(2, {})
    process.must { "sqlite3", path, ("UPDATE requests SET reason = '%s' WHERE verdict = 'reject'")
      :format(("\u{200b}"):rep(333)) }
    local known = ask "device"
    assert.matches("^\\u{200b}", known.refused.reason)
    assert(core.message.encode { type = "told", id = "a", number = 1, history = known })
  end)

  for what, count in pairs { [""] = 20, [", with more than are counted"] = 3000 } do
    it("is told apart from what it was before" .. what, function()
      fill(count, { active = 10 })
      local seen = request {}
      authority = { ledger = assert(core.ledger.open(path)), clock = function() return NOW end }
      assert.is_false(history.has_changed(authority, seen))
      history.of(authority, seen, "device")
      assert.is_false(history.has_changed(authority, seen))
      authority.ledger:close()
      process.must { "sqlite3", path, ONE_MORE }
      authority.ledger = assert(core.ledger.open(path))
      assert.is_true(history.has_changed(authority, seen))
      -- What was not asked about is no matter of the decision.
      local other = request {}
      history.of(authority, other, "key")
      assert.is_false(history.has_changed(authority, other))
    end)
  end

  it("is told apart also where another certificate ended meanwhile", function()
    fill(20, { active = 100 })
    local seen = request {}
    authority = { ledger = assert(core.ledger.open(path)), clock = function() return NOW end }
    history.of(authority, seen, "device")
    authority.ledger:close()
    process.must { "sqlite3", path, ONE_MORE .. "; UPDATE certificates SET revoked_at = 1 WHERE "
      .. "seq = 1" }
    authority.ledger = assert(core.ledger.open(path))
    assert.is_true(history.has_changed(authority, seen))
  end)
end)
