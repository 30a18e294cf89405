-- The operations of lest.operator on a ledger, and the commands over them.
local cjson = require "cjson"
local core = require "lest.core"
local credentials = require "lest.server.ledger.credentials"
local operator = require "lest.server.ledger.operator"
local process = require "support.process"
local rows = require "support.rows"
local shell = require "support.shell"
local temporary = require "support.temporary"

describe("an operator", function()
  local folder, path, ledger
  local now

  before_each(function()
    folder = temporary.folder()
    path = folder .. "/ledger.db"
    ledger = assert(core.ledger.open(path))
    now = core.clock.wall_us() // 1000000
  end)

  after_each(function()
    ledger:close()
    temporary.clean()
  end)

  local function run(operation, arguments)
    return operator.run(ledger, operation, arguments or {}, { clock = function() return now end })
  end

  local function assert_fails(code, operation, arguments)
    local result, err = run(operation, arguments)
    assert.is_nil(result)
    assert.equal(code, err.code)
    return err
  end

  local function wait_for_approval()
    assert(ledger:run("pending_put", rows.pending { now = now, expires = now + 100, needed = 2,
      csr = "\x30\0\xff" }))
  end

  it("adds, lists and removes credentials", function()
    local made = assert(run("credential_add", { name = "device001", facts = { site = "Ulm" } }))
    assert.equal(26, #made.secret)
    assert.equal("Ulm", run("credential_list", { name = "device001" })[1].facts.site)
    assert.same({}, run("credential_list", { name = "device002" }))
    assert.same({ removed = 1 }, run("credential_remove", { name = "device001" }))
    assert_fails("not_found", "credential_remove", { name = "device001" })
    assert_fails("usage", "credential_add", { name = "a:b" })
    assert_fails("usage", "credential_subtract")
  end)

  it("finds a certificate by its serial as people copy it", function()
    assert(ledger:run("request_add", rows.request { principal_name = "device001",
      serial = "0a1b" }))
    assert(ledger:run("certificate_add", rows.certificate { serial = "0a1b" }))
    for _, serial in ipairs { "0a1b", "A1B", "0A:1B", " 0a 1b " } do
      local found = assert(run("cert_show", { serial = serial }))
      assert.equal("0a1b", found[1].serial)
    end
    assert.equal("0a1b", run("cert_list", { principal_name = "device001" })[1].serial)
    assert.same({}, run("cert_list", { principal_name = "device002" }))
    assert_fails("not_found", "cert_show", { serial = "0a" })
    assert_fails("usage", "cert_show", { serial = "device001" })
  end)

  it("revokes a certificate once", function()
    assert(ledger:run("request_add", rows.request()))
    assert(ledger:run("certificate_add", rows.certificate { serial = "0a1b" }))
    assert_fails("not_found", "cert_revoke", { serial = "0a", reason = "superseded" })
    assert_fails("usage", "cert_revoke", { serial = "device001", reason = "superseded" })
    local row = assert(run("cert_revoke", { serial = "0A:1B", reason = "keyCompromise" }))
    assert.same({ "0a1b", now, "keyCompromise" },
      { row.serial, row.revoked_at, row.revocation_reason })
    local err = assert_fails("refused", "cert_revoke", { serial = "a1b", reason = "superseded" })
    assert.matches("revoked already", err.message)
    assert.equal("keyCompromise", run("cert_show", { serial = "0a1b" })[1].revocation_reason)
  end)

  it("leaves word of a revocation for hooks, once, with who it was", function()
    assert(ledger:run("request_add", rows.request()))
    for _, serial in ipairs { "0a", "0b" } do
      assert(ledger:run("certificate_add", rows.certificate { serial = serial, label = "x",
        not_after = now + 100 }))
    end
    operator.who = { uid = 0, account = "root", operator = "alice", through = "file" }
    assert(run("cert_revoke", { serial = "0a", reason = "superseded" }))
    operator.who.operator = nil
    assert(run("cert_revoke", { serial = "0b", reason = "superseded" }))
    operator.who = nil
    assert_fails("refused", "cert_revoke", { serial = "0a", reason = "superseded" })
    local found = {}
    for i, row in ipairs(ledger:rows("outbox_list", { limit = 9 })) do
      found[i] = { row.kind, row.serial, row.label, row.policy, row.operator, row.time }
    end
    assert.same({ { "revoked", "0b", "x", "", "root", now },
      { "revoked", "0a", "x", "", "alice", now } }, found)
  end)

  it("makes a revocation due whose issue nobody is to hear of any more", function()
    for _, row in ipairs { { "issued", "0a" }, { "revoked", "0a" }, { "revoked", "0b" } } do
      local entry = { kind = row[1], serial = row[2], issuer = "ca", policy = "/a.lua" }
      assert(ledger:run("outbox_add", { kind = row[1], serial = row[2], issuer = "ca",
        policy = "/a.lua", label = "x", time = now - 10 }))
      entry.next_at = now + 3000
      assert(ledger:run("outbox_again", entry))
    end
    assert.equal(1, run("outbox_drop", { id = "issued-0a" }).entries)
    local found = {}
    for i, row in ipairs(ledger:rows("outbox_list", { limit = 9 })) do
      found[i] = { row.kind, row.serial, row.next_at }
    end
    assert.same({ { "revoked", "0b", now + 3000 }, { "revoked", "0a", now } }, found)
    assert_fails("not_found", "outbox_drop", { id = "issued-0a" })
  end)

  it("begins anew with all events that were given up, or forgets them", function()
    for i, label in ipairs { "x", "x", "y", "y" } do
      local entry = { kind = "issued", serial = "0" .. i, issuer = "ca", policy = "/a.lua" }
      assert(ledger:run("outbox_add", { kind = "issued", serial = entry.serial, issuer = "ca",
        policy = "/a.lua", label = label, time = now - 10 }))
      entry.since = now - 10
      if i ~= 4 then assert(ledger:run("outbox_give_up", entry)) end
    end
    local function states()
      local found = {}
      for _, row in ipairs(ledger:rows("outbox_list", { limit = 9 })) do
        found[row.serial] = row.state
      end
      return found
    end
    assert.equal(1, run("outbox_drop_failed", { label = "y" }).entries)
    assert.same({ ["01"] = "failed", ["02"] = "failed", ["04"] = "waiting" }, states())
    assert.equal(0, run("outbox_retry_failed", { label = "y" }).entries)
    assert.equal(2, run("outbox_retry_failed", {}).entries)
    assert.same({ ["01"] = "waiting", ["02"] = "waiting", ["04"] = "waiting" }, states())
    assert.equal(0, run("outbox_drop_failed", {}).entries)
  end)

  it("revokes none where several CAs have used the serial", function()
    assert(ledger:run("request_add", rows.request()))
    assert(ledger:run("certificate_add", rows.certificate { serial = "01" }))
    assert(ledger:run("certificate_add", rows.certificate { serial = "01", issuer = "other" }))
    local err = assert_fails("refused", "cert_revoke", { serial = "01", reason = "superseded" })
    assert.matches("2 CAs", err.message)
    for _, row in ipairs(run("cert_show", { serial = "01" })) do assert.is_nil(row.revoked_at) end
  end)

  it("finds the decisions about a principal", function()
    assert(ledger:run("request_add", rows.request { principal_name = "device001", csr = "\xff" }))
    assert(ledger:run("request_add", rows.request { id = "r2", principal_name = "device001",
      verdict = "reject" }))
    assert(ledger:run("request_add", rows.request { id = "r3" }))
    local function ids(arguments)
      local list = {}
      for i, row in ipairs(assert(run("request_list", arguments))) do list[i] = row.id end
      return table.concat(list, " ")
    end
    assert.equal("r3 r2 r1", ids {})
    assert.equal("r2 r1", ids { principal_name = "device001" })
    assert.equal("r2", ids { principal_name = "device001", verdict = "reject" })
    assert.equal("r3 r1", ids { verdict = "approve" })
    assert.equal("", ids { principal_name = "\xff" })
    assert.equal("\xff", core.base64.decode(run("request_show", { id = "r1" }).csr))
    assert.is_nil(run("request_show", { id = "r2" }).csr)
    assert_fails("not_found", "request_show", { id = "r4" })
    assert_fails("not_found", "request_show", { id = "\xff" })
  end)

  it("shows a decision by the beginning of its id, where no other begins so", function()
    for _, id in ipairs { "0f3c9a77", "0f3c9b11", "0f3c" } do
      assert(ledger:run("request_add", rows.request { id = id }))
    end
    assert(ledger:run("refusal_add", { id = "77ab", time_us = 1, operation = "simpleenroll",
      label = "", address = "127.0.0.1", status = 401, left_out = 0 }))
    assert.equal("0f3c9a77", run("request_show", { id = "0f3c9a" }).id)
    assert.equal("0f3c", run("request_show", { id = "0f3c" }).id)
    assert.equal("refused early", run("request_show", { id = "77" }).verdict)
    local err = assert_fails("usage", "request_show", { id = "0f3c9" })
    assert.matches("several requests begin with '0f3c9', as 0f3c9a77 and 0f3c9b11", err.message)
    assert_fails("not_found", "request_show", { id = "0f3c9c" })
  end)

  it("reads a list in pages, whatever it is asked for", function()
    assert(ledger:begin())
    for i = 1, 1203 do
      local id, refused = "r" .. i, i % 2 == 0
      assert(ledger:run("request_add", rows.request { id = id, principal_name = "device001",
        verdict = refused and "reject" or "approve", serial = not refused and id or nil }))
      assert(ledger:run("credential_add", rows.credential { id = id }))
      assert(ledger:run("pending_put", rows.pending { id = id, key_hash = id, now = now,
        expires = now + 100 }))
      if not refused then
        assert(ledger:run("certificate_add", rows.certificate { serial = id, request_id = id }))
      end
    end
    assert(ledger:commit())
    for _, case in ipairs {
      { 1203, "credential_list", {} }, { 1203, "credential_list", { name = "device001" } },
      { 602, "cert_list", {} }, { 602, "cert_list", { principal_name = "device001" } },
      { 602, "cert_list", { device = "device001" } },
      { 1203, "request_list", {} },
      { 1203, "request_list", { principal_name = "device001" } },
      { 602, "request_list", { verdict = "approve" } },
      { 601, "request_list", { verdict = "reject" } },
      { 602, "request_list", { verdict = "approve", principal_name = "device001" } },
      { 601, "request_list", { verdict = "reject", principal_name = "device001" } },
      { 1203, "pending_list", {} }, { 1203, "pending_list", { state = "waiting" } },
    } do
      local count, operation, arguments = table.unpack(case)
      local seen, last = 0, math.huge
      arguments.limit = math.maxinteger
      for page in operator.pages(ledger, operation, arguments) do
        assert.is_true(#page <= 500)
        for _, row in ipairs(page) do
          local number = tonumber((row.serial or row.id):sub(2))
          assert.is_true(number < last)
          seen, last = seen + 1, number
        end
      end
      assert.equal(count, seen, operation)
      arguments.limit = 501
      local sizes = {}
      for page in operator.pages(ledger, operation, arguments) do sizes[#sizes + 1] = #page end
      assert.same({ 500, 1 }, sizes)
    end
  end)

  describe("on the command line", function()
    local config

    before_each(function()
      config = temporary.file(folder, "server.lua", [[return {
        tls = { cert = "server.pem", key = "server.key" }, ledger = "ledger.db",
        ca = { cert = "ca.pem", key = "ca.key" },
        profiles = { device = { lifetime = "90d", keys = { "ec:P-256" } } },
        labels = { default = { policy = "policy.lua", profile = "device", auth = "basic" } },
      }]])
    end)

    local function lest(command, ...)
      return shell.lest(command, select(1, ...), "--config", config, select(2, ...))
    end

    local function json(command, ...)
      local result = lest(command, ...)
      assert.equal(0, result.code, result.err)
      return cjson.decode(result.out)
    end

    it("makes a one-time secret and prints it alone on one line", function()
      local result = lest("credential", "add", "device001", "--expires", "24h", "--set", "site=Ulm",
        "--set", "note=a=b")
      assert.same({ 0, "" }, { result.code, result.err })
      assert.matches("^[a-z2-7]+\n$", result.out)
      assert.equal(27, #result.out)
      local list = json("credential", "list", "--json")
      assert.same({ site = "Ulm", note = "a=b" }, list[1].facts)
      assert.is_true(list[1].one_time)
      assert.equal(86400, list[1].expires - list[1].created)
      assert.is_nil(list[1].hash)
      local text = lest("credential", "list", "device001", "--wide").out
      assert.matches("device001 +unused +random", text)
      assert.matches("note=a=b site=Ulm", text)
    end)

    it("takes a password from a file or standard input, and prints nothing", function()
      local file = temporary.file(folder, "password", "bootstrap-pass\nsecond line")
      local result = lest("credential", "add", "device001", "--password-file", file, "--reusable")
      assert.same({ 0, "", "" }, { result.code, result.out, result.err })
      result = shell.run(shell.line("credential", "add", "device002", "--config", config,
        "--password-file", "-", "--json"), "from stdin\n")
      assert.equal(0, result.code, result.err)
      assert.is_nil(cjson.decode(result.out).secret)
      local store = require("lest.server.ledger.credentials").new { ledger = ledger }
      assert.is_false(store:check("device001", "bootstrap-pass", {}).one_time)
      assert.is_true(store:check("device002", "from stdin", {}).one_time)
      assert.matches("device001 +reusable +password", lest("credential", "list", "--wide").out)
    end)

    it("says in one line what is wrong, with an exit code for it", function()
      for _, case in ipairs {
        { 2, "no credential|colon", "credential", "add", "a:b" },
        { 2, "KEY=VALUE", "credential", "add", "a", "--set", "novalue" },
        { 2, "given twice", "credential", "add", "a", "--set", "k=1", "--set", "k=2" },
        { 2, "duration", "credential", "add", "a", "--expires", "soon" },
        { 2, "a second at least", "credential", "add", "a", "--expires", "0s" },
        { 2, "cannot be opened", "credential", "add", "a", "--password-file", folder .. "/none" },
        { 1, "no credential", "credential", "remove", "device009" },
        { 1, "no pending request", "pending", "approve", "p9", "--as", "alice" },
        { 1, "has the serial 0a", "cert", "show", "0a" },
        { 1, "has the serial 0a", "cert", "show", "0x0A" },
        { 2, "no serial number", "cert", "show", "xyz" },
        { 1, "no certificate", "cert", "revoke", "0a" },
        { 2, "must be one of", "cert", "revoke", "0a", "--reason", "certificateHold" },
        { 2, "lest cert list: '0' is no count", "cert", "list", "--limit", "0" },
      } do
        local result = lest(table.unpack(case, 3))
        assert.equal(case[1], result.code, result.err)
        assert.equal("", result.out)
        assert.is_nil(result.err:find "traceback")
        local found = false
        for words in case[2]:gmatch "[^|]+" do found = found or result.err:find(words, 1, true) end
        assert.is_truthy(found, result.err)
      end
    end)

    it("lists, shows and decides pending requests", function()
      wait_for_approval()
      assert.matches("p1 +device001", lest("pending", "list").out)
      local function said(...)
        local result = lest("pending", ...)
        assert.equal(0, result.code, result.err)
        return result.out
      end
      assert.matches("^p1: waiting %(1 of 2%) until 20[^;]+; the policy wants more operators\n$",
        said("approve", "p1", "--as", "alice", "--note", "seen on the bench"))
      assert.matches("p1 .*waiting +1 of 2", said "list")
      assert.matches("^p1: approved %(2 of 2%) until 20[^;]+; the device was told to ask "
        .. "again at 20[^\n]+ UTC\n$", said("approve", "p1", "--as", "bob"))
      local text = said("show", "p1")
      assert.matches("approve by alice, [^\n]+: seen on the bench\n", text)
      assert.matches("approvals +2 of 2\n", text)
      assert.matches("expected +20", text)
      assert.matches("BEGIN CERTIFICATE REQUEST-----\nMAD/\n-----END", text, 1, true)
      assert.matches("^p1: rejected until 20[^;]+; the device is told so when it asks again\n$",
        said("reject", "p1", "--as", "carol", "--tell", "call us", "--note", "odd", "--for", "2h"))
      assert.matches("reject by carol, [^\n]+: odd; the device is told: call us; until 20",
        said("show", "p1"))
      local late = lest("pending", "approve", "p1", "--as", "dan", "--json")
      assert.equal(7, late.code)
      assert.equal("rejected", cjson.decode(late.out)[1].state)
      assert.matches("another operator has rejected it", late.err)
    end)

    it("decides about several, each for itself", function()
      for i = 1, 3 do
        assert(ledger:run("pending_put", rows.pending { id = "p" .. i, key_hash = "k" .. i,
          now = now, expires = i == 2 and now or now + 100, csr = "x" }))
      end
      local result = lest("pending", "approve", "p1", "p2", "p9", "p3", "--as", "alice")
      assert.equal(1, result.code)
      assert.matches("^p1: approved [^\n]+\np3: approved [^\n]+\n$", result.out)
      assert.matches("^lest pending approve: the request 'p2' waits no longer: it expired at "
        .. "[^\n]+, and the device has "
        .. "to ask again\nlest pending approve: there is no pending request "
        .. "'p9'\n$", result.err)
      local list = json("pending", "reject", "p1", "p3", "--as", "bob", "--json")
      assert.same({ "p1", "rejected", "p3", "rejected" },
        { list[1].id, list[1].state, list[2].id, list[2].state })
    end)

    it("takes no text that a terminal, a device or a policy could not take", function()
      wait_for_approval()
      for words, texts in pairs {
        ["characters that cannot be seen"] = { "a\27[2J", "two\nlines", "\u{202e}gpj.exe", "\127" },
        ["no UTF-8 text"] = { "\xff", "\xc0\x80" }, ["more than"] = { ("x"):rep(1001) },
      } do
        for _, text in ipairs(texts) do
          for _, option in ipairs { "--note", "--tell", "--as" } do
            local result = lest("pending", "reject", "p1", "--as", "alice", option, text)
            assert.same({ 2, "" }, { result.code, result.out }, option)
            assert.matches(words, result.err, 1, true)
            assert.is_nil(result.err:find(text, 1, true))
          end
        end
      end
      for _, period in ipairs { "0s", "11y" } do
        assert.equal(2, lest("pending", "reject", "p1", "--as", "a", "--for", period).code)
      end
      assert.equal(2, lest("pending", "reject", "p1", "--as", "").code)
      assert.same({}, json("pending", "show", "p1", "--json").approvals)
    end)

    it("shows what was written before there were such bounds as it is safe", function()
      wait_for_approval()
      assert(ledger:run("approval_put", { pending_id = "p1", operator = "a\27[2J", now = now,
        verdict = "reject", note = "\u{202e}x", tell = "a\nb", holds_until = now + 50 }))
      local text = lest("pending", "show", "p1").out
      assert.matches("reject by a\\x1b[2J", text, 1, true)
      assert.matches("\\u{202e}x; the device is told: a\\x0ab", text, 1, true)
    end)

    it("says what holds a one-time secret, and until when", function()
      local made = assert(run("credential_add", { name = "device001" }))
      assert(ledger:run("credential_reserve", { seq = 1, id = made.id, key_hash = "k1", label = "",
        operation = "simpleenroll", bound_until = now + 100, now = now }))
      assert(ledger:run("pending_put", rows.pending { now = now, expires = now + 100,
        credential_id = made.id }))
      assert.matches("held until 20", lest("credential", "list").out)
      for _, name in ipairs { "device001", made.id } do
        local text = lest("credential", "show", name).out
        assert.matches("state +held until 20.*pending_id +p1\n.*bound_until +20", text)
      end
      local shown = json("credential", "show", "device001", "--json")[1]
      assert.same({ "reserved", "p1", now + 100 },
        { shown.state, shown.pending_id, shown.bound_until })
      assert.equal(1, lest("credential", "show", "device002").code)
      -- A rejection that holds longer keeps the secret as long; who takes it back gives it back.
      assert(run("pending_reject", { id = "p1", operator = "alice", hold_s = 5000 }))
      assert.equal(now + 5000, json("credential", "list", "--json")[1].bound_until)
      assert(run("pending_approve", { id = "p1", operator = "alice" }))
      assert.equal(now + 100, json("credential", "list", "--json")[1].bound_until)
      -- Who approves hears that the device could not come back.
      assert.is_nil(lest("pending", "show", "p1").out:find("removed", 1, true))
      assert(run("credential_remove", { name = made.id }))
      assert.matches("credential_removed true", lest("pending", "show", "p1").out)
      assert.matches("its secret was removed, and it needs another one\n",
        lest("pending", "approve", "p1", "--as", "bob").out)
    end)

    it("knows who decides without being told", function()
      wait_for_approval()
      local words = shell.line("pending", "approve", "p1", "--config", config)
      for variables, name in pairs { [""] = shell.capture "id -un", ["SUDO_USER=bob"] = "bob" } do
        local result = shell.run(("env -i %s %s"):format(variables, words))
        assert.equal(0, result.code, result.err)
        assert.matches("approve by " .. name, lest("pending", "show", "p1").out, 1, true)
      end
    end)

    it("keeps no credential whose secret could not be printed", function()
      for _, words in ipairs { { "a" }, { "a", "--json" } } do
        local result = shell.run(shell.line("credential", "add", "--config", config,
          table.unpack(words)) .. " >/dev/full")
        assert.equal(1, result.code)
        assert.equal("lest credential add: standard output: cannot be written "
          .. "(No space left on device)\n", result.err)
      end
      assert.same({}, json("credential", "list", "--json"))
    end)

    it("tells a ledger that is not there from one it may not look for", function()
      if core.system.user_id() ~= 0 then return pending "needs root" end
      assert(os.execute(("mkdir -m 700 %s/closed; chmod 755 %s"):format(folder, folder)))
      temporary.file(folder, "server.lua", (io.open(config):read("a"):gsub("ledger%.db",
        "closed/ledger.db")))
      local result = shell.run("setpriv --reuid 65534 --clear-groups "
        .. shell.line("cert", "list", "--config", config))
      assert.equal(1, result.code)
      assert.matches("closed/ledger.db: cannot be looked up (Permission denied)", result.err, 1,
        true)
    end)

    it("lists and shows certificates", function()
      assert(ledger:run("request_add", rows.request()))
      assert(ledger:run("certificate_add", rows.certificate { facts = '{"host":"h1"}' }))
      assert(ledger:run("certificate_add", rows.certificate { serial = "0b",
        not_after = now + 1000 }))
      local text = lest("cert", "list").out
      assert.matches("\n0b +valid +[%d-]+ +CN=x\n", text)
      assert.matches("\n0a +expired +1970%-01%-01 +CN=x\n", text)
      text = lest("cert", "list", "--wide").out
      assert.matches("0b +device001 +device001 +CN=x +.-device.-valid", text)
      assert.equal("0b", json("cert", "list", "--limit", "1", "--json")[1].serial)
      local shown = json("cert", "show", "0A", "--json")[1]
      assert.same({ "0a", { host = "h1" } }, { shown.serial, shown.facts })
      assert.matches("BEGIN CERTIFICATE", shown.pem, 1, true)
      assert.matches("fact +host=h1", lest("cert", "show", "0a").out)
    end)

    it("revokes certificates", function()
      assert(ledger:run("request_add", rows.request()))
      for _, serial in ipairs { "0a", "0b" } do
        assert(ledger:run("certificate_add", rows.certificate { serial = serial }))
      end
      local result = lest("cert", "revoke", "0a", "--reason", "keyCompromise")
      assert.same({ 0, "revoked\n", "" }, { result.code, result.out, result.err })
      assert.matches("revocation_reason +keyCompromise", lest("cert", "show", "0a").out)
      assert.matches("0a .-revoked", lest("cert", "list").out)
      local row = json("cert", "revoke", "0b", "--json")
      assert.equal("unspecified", row.revocation_reason)
      assert.matches("BEGIN CERTIFICATE", row.pem, 1, true)
    end)

    it("prints a list of any length as one", function()
      assert(ledger:begin())
      for i = 1, 1100 do
        assert(ledger:run("credential_add", rows.credential { id = "c" .. i,
          name = ("n"):rep(i % 20 + 1) }))
      end
      assert(ledger:commit())
      local cut = lest("credential", "list")
      assert.equal(1001, select(2, cut.out:gsub("\n", "")))
      assert.equal("lest credential list: the newest 1000; --limit gives more\n", cut.err)
      local all = lest("credential", "list", "--limit", "all")
      assert.same({ 1101, "" }, { select(2, all.out:gsub("\n", "")), all.err })
      assert.equal(1, select(2, all.out:gsub("FACTS", "")))
      assert.equal(1100, #json("credential", "list", "--limit", "all", "--json"))
      assert.equal(3, #json("credential", "list", "--limit", "3", "--json"))
      local json_text = require "lest.json"
      local text = lest("credential", "list", "--limit", "2", "--json").out
      assert.equal(json_text.encode(cjson.decode(text)):gsub("%[%]", "{}") .. "\n", text)
      assert.equal("[]\n", lest("pending", "list", "--json").out)
      assert.matches("^ID +PRINCIPAL .*REASON\n$", lest("pending", "list", "--wide").out)
      local full = shell.run(shell.line("credential", "list", "--config", config) .. " >/dev/full")
      assert.equal(1, full.code)
    end)

    it("makes many credentials from a file, all or none", function()
      local file = folder .. "/devices.csv"
      local function add(text, ...)
        process.write(file, text)
        return lest("credential", "add", "--from", file, ...)
      end
      local result = add("\xef\xbb\xbf# devices\r\nbulk1\r\n\r\nbulk3\n", "--set", "site=Ulm")
      assert.same({ 0, "lest credential add: 2 credentials made: 2 random, 0 with the password of "
        .. "the file\n" }, { result.code, result.err })
      assert.matches("^bulk1,%w+\nbulk3,%w+\n$", result.out)
      local secret = result.out:match "bulk1,(%w+)"
      result = add "name,expires,password\nbulk2,24h,pass,word\n"
      assert.same({ 0, "" }, { result.code, result.out })
      assert.matches("0 random, 1 with the password of the file", result.err)
      local store = credentials.new { ledger = ledger }
      local purpose = { key_hash = "k", label = "l", operation = "o" }
      assert(store:check("bulk1", secret, purpose))
      assert(store:check("bulk2", "pass,word", purpose))
      assert.equal("Ulm", json("credential", "list", "bulk3", "--json")[1].facts.site)
      local row = json("credential", "list", "bulk2", "--json")[1]
      assert.equal(86400, row.expires - row.created)
      for text, problem in pairs { ["new1\nnew:2\n"] = "line 2: a name holds no colon",
        ["serial,site\nm-100,Ulm\n"] = "line 1: a file with more than one column begins with a row",
        ["m-100,password1\n"] = "line 1: a file with more than one column begins with a row",
        ["name,name\na,b\n"] = "each once", ["password,expires\n"] = "no column 'name'",
        ["new1\nnew2,x\n"] = "line 2: more than one column needs a first row",
        ["name,password\nnew2,\n"] = "line 2: there is no password",
        ["name,password\nnew2\n"] = "line 2: there are not 2 columns",
        ["name,password\nnew2,Ulm\n"] = "line 2: a password has 8 bytes at least",
        ["name,expires\nnew2,soon\n"] = "line 2: expires: ",
        ["name,password\n,password1"] = "line 2: there is no name",
        ["new1\n\nnew1\n"] = "line 3: the name stands in line 1, too", ["# x\n"] = "no names",
        ["name\n"] = "no names", ['new1"x'] = "line 1: there are no quotes" } do
        result = add(text)
        assert.equal(2, result.code, text)
        assert.matches(problem, result.err, 1, true)
      end
      process.write(file, "new1\nnew2\n")
      local full = shell.run(shell.line("credential", "add", "--from", file, "--config", config)
        .. " >/dev/full")
      assert.equal(1, full.code)
      assert.matches("no credential was made", full.err)
      assert.same({}, json("credential", "list", "new1", "--json"))
      assert.equal(2, lest("credential", "add").code)
      assert.equal(2, lest("credential", "add", "x", "--from", file).code)
    end)

    it("makes no second credential for the names of a file, unless it is told to", function()
      local file = temporary.file(folder, "devices.csv", "new1\nagain\nnew2\n")
      assert.equal(0, lest("credential", "add", "again").code)
      local result = lest("credential", "add", "--from", file)
      assert.same({ 1, "" }, { result.code, result.out })
      assert.matches("'again' has a live credential already; nothing was made", result.err)
      assert.same({}, json("credential", "list", "new1", "--json"))
      assert.equal(0, lest("credential", "add", "--from", file, "--another").code)
      assert.equal(2, #json("credential", "list", "again", "--json"))
      assert.equal(2, lest("credential", "add", "again", "--another").code)
    end)

    it("takes no password of a few letters", function()
      local file = temporary.file(folder, "password", "secret\n")
      local result = lest("credential", "add", "device001", "--password-file", file)
      assert.equal(2, result.code)
      assert.matches("a password has 8 bytes at least", result.err)
      assert.same({}, json("credential", "list", "--json"))
    end)

    it("locks the ledger no longer than it writes, however slowly that is read", function()
      local names, fifo = {}, folder .. "/fifo"
      for i = 1, 3000 do names[i] = "pager" .. i end
      process.write(folder .. "/pager.csv", table.concat(names, "\n"))
      process.must { "mkfifo", fifo }
      local function start(text, ...)
        return process.start({ "sh", "-c", text, fifo, ... }, folder .. "/out", folder .. "/err")
      end
      local reader = start [[exec sleep 600 <"$0"]]
      local writer = start([[exec "$@" >"$0"]], shell.binary, "credential", "add", "--from",
        folder .. "/pager.csv", "--config", config)
      local function last() return json("credential", "list", "pager3000", "--json")[1] end
      process.wait_for(last, "the credentials")
      assert.equal(0, lest("credential", "add", "meanwhile").code)
      process.kill(reader, "KILL")
      process.wait_for(function() return not process.alive(writer) end, "the writer's end")
      assert.is_nil(last())
    end)

    it("lists and shows decisions", function()
      assert(ledger:run("request_add", rows.request { principal_name = "device001",
        csr = "\x30\0\xff", reason = "because", tls = '{"version":"TLSv1.3"}' }))
      assert.matches("r1 +1970%-01%-01 00:16 +approve +device001 +because\n",
        lest("request", "list").out)
      assert.equal("r1", json("request", "list", "--principal", "device001", "--json")[1].id)
      assert.same({}, json("request", "list", "--verdict", "reject", "--json"))
      assert.equal(2, lest("request", "list", "--verdict", "rejected").code)
      assert(ledger:run("request_add", rows.request { id = "r2", verdict = "error",
        detail = "policy.lua:3: no\27 \u{202e}such field\nstack traceback:\n\tmore" }))
      local errors = lest("request", "list", "--verdict", "error", "--wide").out
      assert.matches("policy.lua:3: no \\u{202e}such field\n", errors, 1, true)
      assert.not_matches("traceback", errors)
      assert(ledger:run("request_add", rows.request { id = "r3", verdict = "error",
        detail = "/etc/lest/some policies/own.lua:12: no such device: /a/b" }))
      assert.matches("  own.lua:12: no such device: /a/b\n",
        lest("request", "list", "--verdict", "error").out, 1, true)
      local shown = lest("request", "list", "--verdict", "error", "--json").out
      assert.matches("no\\u001b \\u202esuch field", shown, 1, true)
      local text = lest("request", "show", "r1").out
      assert.matches("reason +because\n", text)
      assert.matches('tls +{"version":"TLSv1.3"}', text)
      assert.matches("BEGIN CERTIFICATE REQUEST-----\nMAD/\n-----END", text, 1, true)
      assert.equal("TLSv1.3", json("request", "show", "r1", "--json").tls.version)
    end)

    it("refuses a ledger that is not there, but makes one to add to", function()
      ledger:close()
      assert(os.execute("rm -f " .. path .. "*"))
      for _, command in ipairs { "credential", "pending", "cert" } do
        local result = lest(command, "list")
        assert.equal(1, result.code)
        assert.matches("there is no ledger", result.err)
      end
      assert.equal(1, lest("credential", "add", "device001").code)
      assert.is_false(core.system.exists(path))
      assert.equal(0, lest("ledger", "init").code)
      assert.equal(0, lest("credential", "add", "device001").code)
      local again = lest("ledger", "init")
      assert.equal(1, again.code)
      assert.matches("is there already, and stays as it is", again.err)
      ledger = assert(core.ledger.open(path, { create = false }))
    end)

    it("leaves no file of root's in a ledger that another owns", function()
      if core.system.user_id() ~= 0 then return pending "needs root" end
      local function owners()
        return shell.run("stat -c %u " .. path .. "* | sort -u").out
      end
      ledger:close()
      local secret = temporary.file(folder, "password", "only root may read this\n")
      assert(os.execute("chmod 600 " .. secret))
      assert(os.execute(("chown 65534:65534 %s %s"):format(folder, path)))
      assert.equal(0, lest("credential", "add", "a", "--password-file", secret).code)
      assert.equal("65534\n", owners())
      assert(os.execute("rm -f " .. path .. "*"))
      assert.equal(0, lest("ledger", "init").code)
      assert.equal("65534\n", owners())
      ledger = assert(core.ledger.open(path))
    end)

    it("says as whom a backup could not be written", function()
      if core.system.user_id() ~= 0 then return pending "needs root" end
      ledger:close()
      assert(os.execute(("chmod 755 %s; mkdir -m 700 %s/backups; chown nobody %s %s*"):format(
        folder, folder, folder, path)))
      local result = lest("ledger", "backup", folder .. "/backups/monday.db")
      assert.equal(1, result.code)
      assert.matches("the backup cannot be made as nobody, the ledger's owner (Permission denied)",
        result.err, 1, true)
      ledger = assert(core.ledger.open(path))
    end)

    it("makes the ledger where the server's authority may use it", function()
      if core.system.user_id() ~= 0 then return pending "needs root" end
      local text = io.open(config):read "a"
      temporary.file(folder, "server.lua", (text:gsub('ledger = "ledger.db"',
        'ledger = "state/ledger.db", user = "daemon", authority_user = "nobody"')))
      assert(os.execute("chmod 755 " .. folder))
      assert.equal(0, lest("ledger", "init").code)
      assert.equal("nobody\n", shell.run("stat -c %U " .. folder .. "/state/* "
        .. folder .. "/state | sort -u").out)
      assert(os.execute(("touch %s/other; chown root %s"):format(folder, folder)))
      temporary.file(folder, "server.lua", (text:gsub('ledger = "ledger.db"',
        'ledger = "new.db", user = "daemon", authority_user = "nobody"')))
      local result = lest("ledger", "init")
      assert.equal(2, result.code)
      assert.matches("must be there for the ledger alone", result.err)
    end)
  end)
end)
