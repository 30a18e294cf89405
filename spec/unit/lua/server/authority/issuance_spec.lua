-- What follows from a verdict, with a real ledger: which profile counts, vetoes, limits, secrets.
local core = require "lest.core"
local credentials = require "lest.server.ledger.credentials"
local issuance = require "lest.server.authority.issuance"
local record = require "lest.server.authority.record"
local refusal = require "lest.server.wire.refusal"
local request_module = require "lest.server.authority.request"
local temporary = require "support.temporary"

describe("a verdict", function()
  local authority, label, ca_key, ca, now, issued, serial, told

  setup(function()
    now = core.clock.wall_us() // 1000000
    ca_key = assert(core.key.generate "ec:P-256")
    ca = assert(core.issuer.root { key = ca_key, subject = "CN=Root", not_before = now - 60,
      not_after = now + 90 * 86400 })
  end)

  before_each(function()
    now, issued, serial = core.clock.wall_us() // 1000000, { device = 0, strict = 0 }, 0
    told = {}
    local ledger = assert(core.ledger.open(temporary.folder() .. "/ledger.db"))
    local function profile(changes)
      return setmetatable(changes, { __index = { names = "policy", keys = { "ec:P-256" },
        key_usage = { "digitalSignature" }, eku = { "clientAuth" }, subject = { "CN" },
        san = { "DNS" }, lifetime = 86400, backdate = 60, key_change = "allowed", crl_urls = {},
        ocsp_urls = {}, ca_issuer_urls = {} } })
    end
    local function limit(name)
      return { wait = function() return issued[name] >= 2 and 7 or nil end,
        count = function() issued[name] = issued[name] + 1 end }
    end
    local function clock() return now end
    authority = {
      config = { limits = { pending_per_principal = 2 }, profiles = { device = profile {},
        strict = profile { key_change = "forbidden" }, other = profile {} } },
      issued = { device = limit "device", strict = limit "strict" },
      issuers = { [""] = { cert = ca, id = "us",
        issuer = assert(core.issuer.new { cert = ca, key = ca_key }) } },
      ledger = ledger, clock = clock,
      credentials = credentials.new { ledger = ledger, clock = clock },
      outbox = { issued = function(_, ...) table.insert(told, table.pack(...)) end },
    }
    label = { cas = { "" }, profiles = { "device", "strict" }, profile = "device",
      lost_answer = 3600,
      pending_expires = 1000, retry_after = 60 }
  end)
  after_each(function()
    authority.ledger:close()
    temporary.clean()
  end)

  --- A request of a name, proven by a secret if it has one.
  local function ask(name, options)
    options = options or {}
    serial = serial + 1
    local key = options.key or assert(core.key.generate "ec:P-256")
    local build = { key = key, subject = { { "CN", options.subject or name } },
      san = options.san, challenge_password = options.challenge_password }
    local request = request_module.new({}, { id = "r-" .. serial, operation = "simpleenroll",
      label = "default", address = "192.0.2.1", tls = { version = "TLSv1.3", cipher = "x" },
      csr = assert(core.csr.build(build)):der() }, label, now)
    request:read_csr()
    request:prove("basic", { name = name }, { kind = "basic", name = name }, name)
    request.purpose = { key_hash = request.key_hash, label = "default",
      operation = "simpleenroll" }
    if options.secret then
      request.credentials[1] = assert(authority.credentials:check(name, options.secret,
        request.purpose))
    end
    return request
  end

  local function approve(request, changes)
    local finish = { subject = { { "CN", request.principal.name } } }
    for key, value in pairs(changes or {}) do finish[key] = value end
    return issuance.issue(authority, request, finish)
  end

  local function pending(request, changes)
    return issuance.hold(authority, request, changes or {})
  end

  --- The row of a request that waits, as its next poll finds it.
  local function waiting(request)
    return authority.ledger:rows("pending_find", { principal_kind = "basic", now = now,
      principal_name = request.ledger_name, label = "default", operation = "simpleenroll",
      key_hash = request.key_hash })[1]
  end

  it("is held to the label's profiles", function()
    assert.is_string(approve(ask "alice").certificate)
    assert.is_string(approve(ask "bob", { profile = "strict" }).certificate)
    assert.equal(500, approve(ask "carl", { profile = "other" }).status)
  end)

  it("is held to key_change of the profile that it names, for holders of ours", function()
    local key = assert(core.key.generate "ec:P-256")
    local made = approve(ask("alice", { key = key }))
    local function again(with)
      local request = ask("alice", { key = with })
      request.principal.certificate = assert(core.cert.parse(made.certificate))
      request.own = { serial = made.serial, issuer = "us", profile = "device" }
      return request
    end
    label.lost_answer = 0
    now = now + 1
    assert.equal(400, approve(again(), { profile = "strict" }).status)
    assert.is_string(approve(again(key), { profile = "strict" }).certificate)
    assert.is_string(approve(again()).certificate)
  end)

  it("renews in the profile of the certificate, unless the policy says another", function()
    local made = approve(ask "alice", { profile = "strict" })
    local function renewal()
      local request = ask "alice"
      request.previous = assert(core.cert.parse(made.certificate))
      request.principal.certificate = request.previous
      request.own = { serial = made.serial, issuer = "us", profile = "strict" }
      return request
    end
    -- strict keeps the key, and this one is another.
    assert.equal(400, approve(renewal(), { renewal = true }).status)
    assert.is_string(approve(renewal(), { renewal = true, profile = "device" }).certificate)
  end)

  it("is nothing after an operator's veto", function()
    local made = approve(ask "alice")
    local request = ask "alice"
    request.principal.certificate = assert(core.cert.parse(made.certificate))
    request.own = { serial = made.serial, issuer = "us", profile = "device" }
    assert(authority.ledger:run("certificate_revoke", { serial = made.serial, issuer = "us",
      reason = "superseded", now = now }))
    local answer = approve(request)
    assert.same({ 403, "the client certificate is revoked" }, { answer.status, answer.reason })
    local held = ask "bob"
    assert.equal(202, pending(held).status)
    held.pending = waiting(held)
    assert(authority.ledger:run("approval_put", { pending_id = held.pending.id, operator = "o",
      verdict = "reject", note = "stolen", tell = "not yours", holds_until = now + 20, now = now }))
    held.id = "r-later"
    for i, verdict in ipairs { approve, pending } do
      held.id = "r-later" .. i
      answer = verdict(held)
      assert.equal(403, answer.status)
      assert.equal("not yours; the request is refused until "
        .. os.date("!%Y-%m-%d %H:%M:%S UTC", now + 20), answer.reason)
    end
  end)

  it("tells a device in one short line why it is rejected, however long that was", function()
    local held = ask "bob"
    pending(held)
    held.pending = waiting(held)
    assert(authority.ledger:run("approval_put", { pending_id = held.pending.id, operator = "o",
      verdict = "reject", note = "x", tell = ("no\n"):rep(330), holds_until = now + 20,
      now = now }))
    held.id = "r-later"
    local reason = pending(held).reason
    assert.matches("^no no .*%.%.%.; the request is refused until ", reason)
    assert.truthy(#reason < 600)
    assert.not_matches("%c", reason)
  end)

  it("issues no more than per_minute", function()
    for i = 1, 2 do assert.is_string(approve(ask("n" .. i)).certificate) end
    local answer = approve(ask "n3")
    assert.same({ 503, 7 }, { answer.status, answer.retry_after })
    assert.equal(2, issued.device)
  end)

  it("gives the same certificate to who asked twice meanwhile", function()
    local key = assert(core.key.generate "ec:P-256")
    local one, two = ask("alice", { key = key }), ask("alice", { key = key })
    local made = approve(one)
    local again = approve(two)
    assert.same({ made.certificate, true }, { again.certificate, again.replayed })
    assert.equal(1, issued.device)
  end)

  it("uses a one-time secret up, for one key", function()
    local secret = assert(authority.credentials:add { name = "alice" }).secret
    local one, two = ask("alice", { secret = secret }), ask("alice", { secret = secret })
    assert.is_string(approve(one).certificate)
    assert.equal(401, approve(two).status)
    assert.is_nil((authority.credentials:check("alice", secret, two.purpose)))
    assert.equal("fetch", authority.credentials:check("alice", secret, one.purpose).may)
    now = now + label.lost_answer
    assert.is_nil((authority.credentials:check("alice", secret, one.purpose)))
  end)

  it("that is to wait reserves a one-time secret, for one key and as long as it waits", function()
    local secret = assert(authority.credentials:add { name = "alice" }).secret
    local one, two = ask("alice", { secret = secret }), ask("alice", { secret = secret })
    assert.equal(202, pending(one, { expires = 50 }).status)
    assert.equal(401, pending(two).status)
    two.id = "r-later"
    assert.equal(401, approve(two).status)
    assert.equal("poll", authority.credentials:check("alice", secret, one.purpose).may)
    now = now + 49
    -- Whatever the policy says now: a request ends when it was said at first.
    one.pending, one.id = waiting(one), "poll-1"
    assert.equal(202, pending(one, { expires = 9999 }).status)
    assert.equal("poll", authority.credentials:check("alice", secret, one.purpose).may)
    assert.is_nil((authority.credentials:check("alice", secret, two.purpose)))
    now = now + 1
    assert.equal("enroll", authority.credentials:check("alice", secret, two.purpose).may)
    two.id = "r-last"
    assert.equal(202, pending(two, { expires = 50 }).status)
    assert.is_nil((authority.credentials:check("alice", secret, one.purpose)))
  end)

  it("keeps what operators should know: how many are needed, and when the device comes back",
    function()
    local request = ask "alice"
    pending(request, { needed = 2, retry_after = 30 })
    local row = waiting(request)
    assert.same({ 2, now, 30, now + 1000 }, { row.needed, row.polled, row.retry_after,
      row.waits_until })
    for _, name in ipairs { "alice", "bob" } do
      assert(authority.ledger:run("approval_put", { pending_id = row.id, operator = name,
        verdict = "approve", now = now }))
    end
    -- The policy knew of one when it decided, and there are two by now.
    now, request.pending, request.id = now + 30, row, "poll-1"
    request.approvals = { { operator = "alice", time = now } }
    pending(request, { needed = 2 })
    row = waiting(request)
    assert.same({ "approved", now, 60 }, { row.state, row.polled, row.retry_after })
    -- It knows both, and is not satisfied.
    request.id, request.approvals = "poll-2", { { operator = "alice" }, { operator = "bob" } }
    pending(request)
    row = waiting(request)
    assert.same({ "waiting", nil }, { row.state, row.needed })
  end)

  it("waits anew where the request that it belongs to ended while it was made", function()
    local request = ask "alice"
    pending(request, { expires = 50 })
    local before = waiting(request)
    request.pending, request.id, now = before, "poll-1", now + 50
    local answer = pending(request, { reason = "ask Bob", expires = 50 })
    assert.same({ 202, "ask Bob; the one before it ended at "
      .. os.date("!%Y-%m-%d %H:%M:%S UTC", now) .. " without a certificate" },
      { answer.status, answer.reason })
    assert.not_equal(before.id, waiting(request).id)
    now, request.id, request.pending = now + 50, "poll-2", nil
    assert.equal(("x"):rep(1000), pending(request, { reason = ("x"):rep(1000) }).reason)
  end)

  it("waits as long as the policy says, or else the label", function()
    for expires, request in pairs { [50] = ask "alice", [1000] = ask "bob" } do
      assert.equal(202, pending(request, { expires = expires < 1000 and expires or nil }).status)
      assert.equal(now + expires, waiting(request).expires)
    end
  end)

  it("waits anew once the time is over", function()
    local request = ask "alice"
    pending(request, { expires = 50 })
    local before = waiting(request)
    now = now + 50
    assert.is_nil(waiting(request))
    local again = ask("alice", { key = false })
    again.csr, again.key_hash, again.begin.csr = request.csr, request.key_hash, request.begin.csr
    assert.equal(202, pending(again).status)
    assert.not_equal(before.id, waiting(request).id)
    assert.equal("expired", authority.ledger:rows("pending_get", { id = before.id })[1].state)
  end)

  it("lets so many of a device wait, however often they poll", function()
    local first = ask "alice"
    pending(first)
    pending(ask "alice")
    assert.equal(429, pending(ask "alice").status)
    first.pending, first.id = waiting(first), "poll-1"
    assert.equal(202, pending(first, { reason = "still" }).status)
    assert.equal(202, pending(ask "bob").status)
  end)

  it("ends what waits: a certificate is issued for it once", function()
    local request = ask "alice"
    pending(request)
    request.pending, request.id, label.lost_answer = waiting(request), "r-later", 0
    local made = approve(request)
    local row = authority.ledger:rows("pending_get", { id = request.pending.id })[1]
    assert.same({ "issued", made.serial }, { row.state, row.serial })
    now, request.id = now + 1, "r-again"
    local ok, problem = pcall(approve, request)
    assert.is_false(ok)
    assert.equal("the pending request was decided meanwhile", problem)
  end)

  it("raises what the ledger says, and takes only a used secret for a refusal", function()
    local request = ask "alice"
    request.credentials = { { one_time = true } }
    authority.credentials = { use = function()
      return nil, core.error.new { code = "ledger", message = "the disk" }
    end }
    local ok, problem = pcall(approve, request)
    assert.is_false(ok)
    assert.equal("ledger", problem.code)
  end)

  it("is found again for the very request only, for a while", function()
    local key = assert(core.key.generate "ec:P-256")
    local made = approve(ask("alice", { key = key, challenge_password = "one" }))
    local function again(options)
      options.key = options.key or key
      return record.lost_answer(authority, ask("alice", options))
    end
    -- What a client may sign anew at each try is no other request.
    assert.equal(made.certificate, again({ challenge_password = "two" }).certificate)
    assert.is_nil(again { subject = "bob" })
    assert.is_nil(again { san = { "DNS:x" } })
    assert.is_nil(again { key = ca_key })
    now = now + label.lost_answer
    assert.is_table(again {})
    now = now + 1
    assert.is_nil(again {})
  end)

  it("is asked for again with the request that waits, or not at all", function()
    local key = assert(core.key.generate "ec:P-256")
    local request = ask("alice", { key = key, challenge_password = "one" })
    pending(request)
    local function poll(options)
      options.key = key
      local next_one = ask("alice", options)
      local ok, result = pcall(record.find_pending, authority, next_one)
      if ok then return result, next_one end
      assert(refusal.is(result), tostring(result))
      return nil, result
    end
    local approvals, polled = poll { challenge_password = "two" }
    assert.same({}, approvals)
    assert.equal(waiting(request).id, polled.pending.id)
    for _, options in ipairs { { subject = "bob" }, { san = { "DNS:x" } } } do
      local found, refused = poll(options)
      assert.is_nil(found)
      assert.equal(403, refused.status)
    end
    local function say(verdict)
      assert(authority.ledger:run("approval_put", { pending_id = polled.pending.id,
        operator = "o", verdict = verdict, note = "for operators", now = now }))
    end
    say "approve"
    assert.equal("o", poll({})[1].operator)
    say "reject"
    local found, refused = poll {}
    assert.is_nil(found)
    assert.equal(403, refused.status)
    assert.matches("^an operator has rejected the request; the request is refused until 20",
      refused.reason)
  end)
end)
