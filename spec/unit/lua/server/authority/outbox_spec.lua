-- The outbox, with a real ledger and workers of the spec's own: what is written for whom, when it
-- leaves, who gets it again, and what a worker in an attacker's hands can do to it.
local core = require "lest.core"
local message = require "lest.server.wire.message"
local outbox_module = require "lest.server.authority.outbox"
local rows = require "support.rows"
local task = require "lest.task"
local temporary = require "support.temporary"

local KEEP <const>, DECISION <const> = 3600, 10
local CERT <const> = assert(core.issuer.root { key = assert(core.key.generate "ec:P-256"),
  subject = "CN=x", not_before = 1000, not_after = 2000000000 }):der()

describe("the outbox", function()
  local path, ledger, outbox, now, refuses, waiting, others, started, expected
  local write = core.log.write

  -- As a turn: `waiting` calls wait for the disk, where there is one.
  local function turn_of(own)
    return { ledger = own, state = function() return "ok" end,
      unit = function(_, step, ...)
        if refuses then error "the disk is full" end
        return step(...)
      end,
      when_durable = function(_, fn, ...)
        if not waiting then return fn(true, ...) end
        table.insert(waiting, table.pack(fn, ...))
      end }
  end

  local function start()
    local own = assert(core.ledger.open(path))
    table.insert(others, own)
    local policies = {}
    for i, name in ipairs { "a", "b", "c", "slow", "quick", "a" } do
      policies[i] = { file = ("/%s.lua"):format(name) }
    end
    local labels = { default = { policies = policies }, other = { policies = policies } }
    for i = 1, 40 do labels["l" .. i] = { policies = policies } end
    local made = outbox_module.new(turn_of(own), { labels = labels, outbox = { keep = KEEP },
      limits = { decision = DECISION } }, function() return now end, expected)
    table.insert(started, made)
    return made, own
  end

  before_each(function()
    now, refuses, waiting, others, started = 5000, false, nil, {}, {}
    expected = 1
    core.log.write = function() end -- luacheck: ignore 122
    path = temporary.folder() .. "/ledger.db"
    outbox, ledger = start()
    assert(ledger:run("request_add", rows.request()))
  end)
  after_each(function()
    core.log.write = write -- luacheck: ignore 122
    for _, each in ipairs(started) do each:stop() end
    for _, each in ipairs(others) do each:close() end
    temporary.clean()
  end)

  --- A worker that says what its policies listen to, of an outbox.
  local function worker(listens, of, number)
    local channel = { pid = 1, worker = number or 1, told = {} }
    channel.socket = { send = function(_, packet)
      table.insert(channel.told, (assert(message.decode(packet, { event = true }))))
    end }
    for _, each in ipairs(listens) do
      (of or outbox):listens(channel, { label = each[1], policy = each[2],
        issued = each.issued ~= false, revoked = each.revoked ~= false })
    end
    ;(of or outbox):hello(channel)
    return channel
  end

  local function issue(serial, label)
    assert(ledger:run("certificate_add", rows.certificate { serial = serial, label = label,
      der = CERT, device = "own:CN=dev", renews = "77", facts = '{"a":1}' }))
    outbox:issued({ begin = { label = label } }, "ca", serial)
  end

  local function revoke(serial)
    assert(ledger:run("outbox_add_revoked", { serial = serial, issuer = "ca", operator = "alice",
      now = now }))
    assert(ledger:run("certificate_revoke", { serial = serial, issuer = "ca",
      reason = "keyCompromise", now = now }))
  end

  local function waits(state)
    local found = {}
    for _, row in ipairs(ledger:rows("outbox_list", { state = state, limit = 1000 })) do
      table.insert(found, 1, ("%s %s %s"):format(row.kind, row.serial, row.policy))
    end
    return found
  end

  local function ids(channel)
    local found = {}
    for i, event in ipairs(channel.told) do found[i] = event.id end
    return found
  end

  it("has what happened at a label whose policies listen, for each of them", function()
    issue("01", "default")
    worker { { "default", "/a.lua" }, { "default", "/b.lua" },
      { "other", "/c.lua", issued = false } }
    issue("02", "default")
    issue("03", "other")
    issue("04", "l1")
    assert.same({ "issued 02 /a.lua", "issued 02 /b.lua" }, waits())
  end)

  it("tells a worker what there is to know, once that is on disk", function()
    local one = worker { { "default", "/a.lua" } }
    issue("0a", "default")
    waiting = {}
    outbox:look()
    outbox:look()
    assert.same({}, one.told)
    assert.equal(1, #waiting)
    waiting[1][1](true, table.unpack(waiting[1], 2))
    local event = one.told[1]
    assert.equal(CERT, event.certificate)
    assert.same({ "issued-0a", "issued", "default", "/a.lua", 5000, 1, "basic", "device001",
      "own:CN=dev", "simpleenroll", "device", "r1", "77", { a = 1 } },
      { event.id, event.kind, event.label, event.policy, event.time, event.try,
        event.principal.kind, event.principal.name, event.device, event.operation, event.profile,
        event.request_id, event.renews, event.facts })
    assert.is_nil(event.reason)
  end)

  it("tells nothing of what could not be kept, and tells it when it can", function()
    local one = worker { { "default", "/a.lua" } }
    issue("0a", "default")
    waiting = {}
    outbox:look()
    waiting[1][1](false, table.unpack(waiting[1], 2))
    assert.same({}, one.told)
    waiting, refuses = nil, true
    now = now + DECISION + 31
    outbox:look()
    assert.same({}, one.told)
    refuses = false
    outbox:look()
    assert.same({ "issued-0a" }, ids(one))
  end)

  it("forgets what was heard, and tells it no more", function()
    local one = worker { { "default", "/a.lua" } }
    issue("0a", "default")
    outbox:look()
    outbox:heard(one, { number = one.told[1].number })
    now = now + 100000
    outbox:look()
    assert.same({ {}, 1 }, { waits(), #one.told })
    assert.same({ 0, 0 }, { outbox:depth() })
  end)

  it("tells it again where it was not heard, less and less often, with the same id", function()
    local one = worker { { "default", "/a.lua" } }
    issue("0a", "default")
    local pauses = {}
    for try = 1, 9 do
      outbox.listeners.labels.default[1].rests_until_ms = 0
      outbox:look()
      local event = one.told[try]
      assert.same({ "issued-0a", try }, { event.id, event.try })
      outbox:heard(one, { number = event.number, problem = "away" })
      local row = ledger:rows("outbox_list", { limit = 1 })[1]
      assert.equal("away", row.problem)
      pauses[try] = row.next_at - now
      assert.is_true(pauses[try] >= 1 and pauses[try] >= 1 << (try - 1) >> 1
        and pauses[try] <= 1 << (try - 1), pauses[try])
      outbox:look()
      assert.equal(try, #one.told)
      now = row.next_at
    end
  end)

  it("gives up after its time, says so, and begins anew when it is told to", function()
    local one = worker { { "default", "/a.lua" } }
    issue("0a", "default")
    local written = {}
    core.log.write = function(_, event) table.insert(written, event) end -- luacheck: ignore 122
    outbox:look()
    now = now + KEEP
    outbox:heard(one, { number = one.told[1].number, problem = "away" })
    assert.equal("event given up", written[1])
    assert.same({ { "issued 0a /a.lua" }, {} }, { waits "failed", waits "waiting" })
    outbox:look()
    assert.equal(1, #one.told)
    assert.equal(1, ledger:run("outbox_retry", { serial = "0a", kind = "issued", now = now }))
    outbox:look()
    assert.same({ "issued-0a", "issued-0a" }, ids(one))
  end)

  it("keeps what nobody listens to any more for its time, and no longer", function()
    worker { { "default", "/a.lua" }, { "other", "/c.lua" } }
    issue("0a", "default")
    local successor = start()
    local two = worker({ { "default", "/b.lua" } }, successor)
    now = now + KEEP - 1
    successor:look()
    assert.same({ { "issued 0a /a.lua" }, {} }, { waits "waiting", two.told })
    now = now + 100
    successor:look()
    assert.same({ "issued 0a /a.lua" }, waits "failed")
  end)

  it("says of what nobody listens to any more, once all workers have said their hooks", function()
    worker { { "default", "/a.lua" }, { "other", "/c.lua" } }
    for i = 1, 3 do issue("0" .. i, "default") end
    issue("04", "other")
    local written = {}
    core.log.write = function(level, event, fields) -- luacheck: ignore 122
      table.insert(written, { level, event, table.unpack(fields) })
    end
    local function problems()
      local found = {}
      for _, row in ipairs(ledger:rows("outbox_list", { limit = 9 })) do
        found[row.serial] = row.problem
      end
      return found
    end
    expected = 2
    local successor = start()
    worker({ { "other", "/c.lua" } }, successor, 1)
    worker({ { "other", "/c.lua" } }, successor, 1)
    successor:look()
    assert.same({ {}, {} }, { written, problems() })
    worker({ { "other", "/c.lua" } }, successor, 2)
    for _ = 1, 3 do successor:look() end
    local lost = "no policy of the label has this hook any more"
    assert.same({ { "warning", "events wait for a hook that no policy has", "label", "default",
      "policy", "/a.lua", "count", 3 } }, written)
    assert.same({ ["01"] = lost, ["02"] = lost, ["03"] = lost }, problems())
    -- What becomes due later has it, too.
    now = now + 1000
    issue("05", "default")
    successor:look()
    assert.equal(lost, problems()["05"])
    assert.equal(1, #written)
    -- The hook is there again.
    expected = 1
    local third = start()
    local one = worker({ { "default", "/a.lua" }, { "other", "/c.lua" } }, third)
    third:look()
    assert.equal(1, #written)
    assert.same({ "issued-01", "issued-02", "issued-03", "issued-05" }, ids(one))
  end)

  it("is told by another worker where the first has ended, and by none at the same time", function()
    local one = worker { { "default", "/a.lua" } }
    issue("0a", "default")
    outbox:look()
    assert.equal(1, #one.told)
    local two = worker { { "default", "/a.lua" } }
    outbox:look()
    one.closed = true
    outbox:lost(one)
    now = now + 1
    outbox:look()
    assert.same({ "issued-0a" }, ids(two))
    assert.equal(2, two.told[1].try)
    outbox:heard(one, { number = one.told[1].number })
    assert.equal(1, #waits())
  end)

  it("is told by another authority once this one has had its time", function()
    local one = worker { { "default", "/a.lua" } }
    issue("0a", "default")
    outbox:look()
    assert.equal(1, #one.told)
    local successor = start()
    local two = worker({ { "default", "/a.lua" } }, successor)
    now = now + DECISION
    successor:look()
    assert.same({}, two.told)
    now = now + 31
    successor:look()
    assert.same({ "issued-0a" }, ids(two))
  end)

  it("tells of a revocation who wants to hear of it, with who it was and why", function()
    issue("0a", "default")
    revoke "0a"
    outbox:look()
    assert.same({ "revoked 0a " }, waits()) -- no worker has said anything yet
    local one = worker { { "default", "/a.lua" }, { "default", "/b.lua", revoked = false } }
    outbox:look()
    local event = one.told[1]
    assert.same({ 1, "revoked-0a", "/a.lua", "keyCompromise", "alice" },
      { #one.told, event.id, event.policy, event.reason, event.operator })
    outbox:heard(one, { number = event.number })
    issue("0b", "l1")
    revoke "0b"
    outbox:look()
    assert.same({}, waits())
  end)

  it("tells that a certificate was issued before that it was revoked", function()
    local one = worker { { "default", "/a.lua" } }
    issue("0a", "default")
    revoke "0a"
    outbox:look()
    assert.same({ "issued-0a" }, ids(one))
    outbox:heard(one, { number = one.told[1].number, problem = "away" })
    outbox:look()
    assert.equal(1, #one.told)
    now = now + 1
    outbox:look()
    outbox:heard(one, { number = one.told[2].number })
    outbox:look()
    assert.same({ "issued-0a", "issued-0a", "revoked-0a" }, ids(one))
  end)

  it("looks at no revocation while the certificate's issue waits for a later try", function()
    local one = worker { { "default", "/a.lua" } }
    issue("0a", "default")
    outbox:look()
    outbox:heard(one, { number = one.told[1].number, problem = "away" })
    revoke "0a"
    outbox:look()
    local function times()
      local found = {}
      for _, row in ipairs(ledger:rows("outbox_list", { limit = 9 })) do
        found[row.kind] = row.next_at - now
      end
      return found
    end
    assert.is_true(times().issued > 0)
    assert.equal(times().issued, times().revoked)
    for try = 2, 5 do
      now = now + times().issued
      outbox.listeners.labels.default[1].rests_until_ms = 0
      outbox:look()
      outbox:heard(one, { number = one.told[try].number, problem = "away" })
      assert.is_true(times().issued > 0)
      assert.equal(times().issued, times().revoked)
    end
    -- It is due at once where that is over, in either way.
    now = now + times().issued
    outbox.listeners.labels.default[1].rests_until_ms = 0
    outbox:look()
    now = now + KEEP
    outbox:heard(one, { number = one.told[6].number, problem = "away" })
    assert.same({ "issued 0a /a.lua" }, waits "failed")
    outbox.listeners.labels.default[1].rests_until_ms = 0
    outbox:look()
    assert.equal("revoked-0a", one.told[7].id)
    outbox:heard(one, { number = one.told[7].number })
    issue("0b", "default")
    outbox:look()
    revoke "0b"
    outbox:look()
    outbox:heard(one, { number = one.told[8].number })
    outbox:look()
    assert.equal("revoked-0b", one.told[9].id)
  end)

  it("is told though the clock was ahead, and is put right", function()
    local one = worker { { "default", "/a.lua" } }
    issue("0a", "default")
    issue("0b", "default")
    outbox:look()
    outbox:heard(one, { number = one.told[1].number, problem = "away" })
    local was = now
    now = now - 4000
    local successor = start()
    local two = worker({ { "default", "/a.lua" } }, successor)
    successor:look()
    successor:look()
    assert.same({ "issued-0a", "issued-0b" }, ids(two))
    for _, row in ipairs(ledger:rows("outbox_list", { limit = 9 })) do
      assert.is_true(row.since <= now and row.next_at < was, row.serial)
    end
  end)

  it("lets no policy keep another one waiting, and no worker have too many", function()
    local one = worker { { "default", "/slow.lua" }, { "other", "/quick.lua" } }
    for i = 1, 30 do issue(("%02x"):format(i), "default") end
    for _ = 1, 5 do outbox:look() end
    assert.equal(8, #one.told)
    issue("f0", "other")
    outbox:look()
    assert.equal("issued-f0", one.told[9].id)
    local many = {}
    for i = 1, 40 do many[i] = { "l" .. i, "/a.lua" } end
    local two = worker(many)
    for i = 1, 40 do issue(("a%02x"):format(i), "l" .. i) end
    for _ = 1, 5 do outbox:look() end
    assert.equal(16, #two.told)
  end)

  it("lets a policy that goes on failing rest, and tries it with one event", function()
    local one = worker { { "default", "/a.lua" } }
    for i = 1, 30 do issue(("%02x"):format(i), "default") end
    outbox:look()
    for i = 1, 8 do outbox:heard(one, { number = one.told[i].number, problem = "away" }) end
    now = now + 1
    outbox:look()
    assert.equal(8, #one.told)
    outbox.listeners.labels.default[1].rests_until_ms = 0
    outbox:look()
    assert.equal(9, #one.told)
    outbox:heard(one, { number = one.told[9].number })
    outbox:look()
    assert.equal(17, #one.told)
  end)

  it("frees the place of a worker that says nothing", function()
    local one = worker { { "default", "/a.lua" } }
    for i = 1, 9 do issue(("%02x"):format(i), "default") end
    outbox:look()
    assert.equal(8, #one.told)
    for _, taken in pairs(outbox.under_way) do taken.is_late_at = 0 end
    outbox:look()
    assert.same({ 0, 0 }, { one.events, outbox.listeners.labels.default[1].under_way })
    now = now + DECISION + 31
    outbox.listeners.labels.default[1].rests_until_ms = 0
    outbox:look()
    assert.equal(9, #one.told)
  end)

  it("believes no worker about labels, others' events, or what is forgotten", function()
    local one = worker { { "default", "/a.lua" } }
    local two = worker { { "nowhere", "/a.lua" }, { "default", "/a.lua", issued = false } }
    for _, name in ipairs { "/a.lua#3", "/x.lua", "a.lua", "/a.lua#2" } do
      outbox:listens(two, { label = "other", policy = name, issued = true })
    end
    local known = outbox.listeners:of("other", "issued")
    assert.same({ "/a.lua#2" }, { known[1].policy, known[2] })
    outbox:lost(two)
    issue("0a", "default")
    outbox:look()
    assert.same({ "issued-0a" }, ids(one))
    outbox:heard(two, { number = one.told[1].number })
    outbox:heard(one, { number = 999 })
    assert.equal(1, #waits())
  end)

  it("goes on by itself", function()
    local one = worker { { "default", "/a.lua" } }
    issue("0a", "default")
    for _ = 1, 100 do
      if one.told[1] then break end
      task.sleep(0.01)
    end
    assert.same({ "issued-0a" }, ids(one))
    outbox:stop()
    issue("0b", "default")
    task.sleep(0.05)
    assert.equal(1, #one.told)
  end)
end)
