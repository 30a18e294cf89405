-- What operators say of requests that wait, and what that comes to.
local core = require "lest.core"
local operator = require "lest.server.ledger.operator"
local rows = require "support.rows"
local temporary = require "support.temporary"

describe("pending requests", function()
  local ledger, now, labels

  before_each(function()
    ledger = assert(core.ledger.open(temporary.folder() .. "/ledger.db"))
    now, labels = 1000, { [""] = { pending_expires = 700 } }
  end)

  after_each(function()
    ledger:close()
    temporary.clean()
  end)

  local function run(operation, arguments)
    return operator.run(ledger, operation, arguments or {},
      { clock = function() return now end, labels = labels })
  end

  local function assert_fails(code, operation, arguments)
    local result, err = run(operation, arguments)
    assert.is_nil(result)
    assert.equal(code, err.code)
    return err.message
  end

  local function put(changes)
    local row = rows.pending { now = now, expires = now + 100, csr = "\x30\0\xff" }
    for key, value in pairs(changes or {}) do row[key] = value end
    assert(ledger:run("pending_put", row))
  end

  local function ids(state)
    local list = {}
    for i, row in ipairs(assert(run("pending_list", { state = state }))) do list[i] = row.id end
    return table.concat(list, " ")
  end

  it("are approved and rejected, and show what that comes to", function()
    put()
    local row = assert(run("pending_approve", { id = "p1", operator = "alice", note = "ok" }))
    assert.same({ "approved", "alice", "ok" },
      { row.state, row.approvals[1].operator, row.approvals[1].note })
    assert.equal("alice", run("pending_list")[1].approvals[1].operator)
    row = assert(run("pending_reject", { id = "p1", operator = "bob", tell = "no" }))
    assert.same({ "rejected", "no" }, { row.state, row.approvals[2].tell })
    assert.same({ "", "p1" }, { ids(), ids "rejected" })
    assert.equal("\x30\0\xff", core.base64.decode(run("pending_show", { id = "p1" }).csr))
  end)

  it("are approved once as many operators have as the policy wants", function()
    put { needed = 2 }
    for name, state in pairs { alice = "waiting", bob = "approved" } do
      if state == "approved" then
        assert.equal("waiting", run("pending_approve", { id = "p1", operator = "alice" }).state)
        assert.equal(state, run("pending_approve", { id = "p1", operator = name }).state)
      end
    end
    assert.same({ "", "p1" }, { ids "waiting", ids "approved" })
  end)

  it("are refused as long as is said, or else as long as the label lets a request wait", function()
    put()
    local function reject(name, hold_s)
      return assert(run("pending_reject", { id = "p1", operator = name, hold_s = hold_s })).expires
    end
    assert.equal(now + 700, reject "alice")
    assert.equal(now + 5, reject("alice", 5))
    assert.equal(now + 9000, reject("bob", 9000))
    labels = {}
    assert.equal(now + 100, reject "bob")
    now = now + 100
    assert.same({ "", "p1" }, { ids "rejected", ids "expired" })
  end)

  it("that are over are expired everywhere, before anything has marked them", function()
    put()
    assert(ledger:run("request_add", rows.request { verdict = "pending", pending_id = "p1" }))
    local function states()
      return { run("pending_show", { id = "p1" }).state,
        run("request_show", { id = "r1" }).pending_state,
        run("request_list", { verdict = "pending" })[1].pending_state, ids "waiting",
        ids "expired" }
    end
    assert.same({ "waiting", "waiting", "waiting", "p1", "" }, states())
    now = now + 99
    assert.same({ "waiting", "waiting", "waiting", "p1", "" }, states())
    now = now + 1
    assert.same({ "expired", "expired", "expired", "", "p1" }, states())
    assert.equal("expired", run("pending_list", { state = "expired" })[1].state)
    assert.equal("", ids())
  end)

  it("are decided by nobody once they are over or unknown, and no transaction stays open",
    function()
    put()
    assert_fails("not_found", "pending_approve", { id = "p2", operator = "alice" })
    assert_fails("not_found", "pending_show", { id = "\xff" })
    now = now + 100
    local words = assert_fails("refused", "pending_approve", { id = "p1", operator = "alice" })
    assert.equal("the request 'p1' waits no longer: it expired at 1970-01-01 00:18:20 UTC, and the "
      .. "device has to ask again", words)
    now = now - 50
    assert(ledger:run("pending_issue", { id = "p1", serial = "0a", now = now }))
    words = assert_fails("refused", "pending_reject", { id = "p1", operator = "alice" })
    assert.matches("the certificate 0a was issued for it", words)
    now = now + 100
    local row = run("pending_show", { id = "p1" })
    assert.same({ "issued", {} }, { row.state, row.approvals })
    assert(ledger:begin())
    assert(ledger:rollback())
  end)

  it("are over where a rejection is taken back after their time", function()
    put()
    assert(run("pending_reject", { id = "p1", operator = "alice", hold_s = 500 }))
    now = now + 200
    assert.equal("expired", run("pending_approve", { id = "p1", operator = "alice" }).state)
    assert_fails("refused", "pending_approve", { id = "p1", operator = "bob" })
  end)

  it("are decided by so many operators as a policy can be told of", function()
    put()
    for i = 1, 64 do assert(run("pending_approve", { id = "p1", operator = "o" .. i })) end
    local words = assert_fails("refused", "pending_approve", { id = "p1", operator = "o65" })
    assert.matches("64 operators", words)
    assert(run("pending_reject", { id = "p1", operator = "o64" }))
    assert.equal(64, #run("pending_show", { id = "p1" }).approvals)
  end)

  it("take bounded text of what can be seen", function()
    put()
    for what, most in pairs { note = 1000, tell = 300, operator = 255 } do
      local function say(text)
        local arguments = { id = "p1", operator = "alice", [what] = text }
        return run("pending_reject", arguments)
      end
      assert.truthy(say(("\u{e9}"):rep(most // 2)))
      for _, text in ipairs { ("x"):rep(most + 1), ("x"):rep(1 << 20), "\27[2J", "a\nb", "\xff",
        "\u{202e}", "\u{200b}", "a\0b" } do
        local row, err = say(text)
        assert.is_nil(row)
        assert.equal("usage", err.code)
      end
    end
  end)
end)
