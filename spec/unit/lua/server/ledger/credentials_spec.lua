-- The life of a credential: made, hashed, reserved, used, expired and removed.
local core = require "lest.core"
local credentials = require "lest.server.ledger.credentials"
local rows = require "support.rows"
local temporary = require "support.temporary"

describe("credentials", function()
  local ledger, store, now, computed

  -- scrypt as it is, but cheap, and counted
  local function scrypt(password, salt)
    computed = computed + 1
    return core.secret.scrypt(password, salt, { n = 16, r = 1, p = 1 })
  end

  before_each(function()
    now, computed = 1000000, 0
    ledger = assert(core.ledger.open(temporary.folder() .. "/ledger.db"))
    store = credentials.new { ledger = ledger, clock = function() return now end, scrypt = scrypt }
  end)

  after_each(function()
    ledger:close()
    temporary.clean()
  end)

  local function context(changes)
    local made = { key_hash = "k1", label = "default", operation = "simpleenroll" }
    for key, value in pairs(changes or {}) do made[key] = value end
    return made
  end

  local OTHERS <const> = { { key_hash = "k2" }, { label = "factory" },
    { operation = "simplereenroll" } }

  local function check(name, secret, changes)
    return store:check(name, secret, context(changes))
  end

  local function assert_refused(name, secret, changes)
    local who, err = check(name, secret, changes)
    assert.is_nil(who)
    assert.equal("unauthenticated", err.code)
    assert.equal("the user name or the password is wrong", err.message)
    return err
  end

  it("finds a Bearer token among however many of its name", function()
    local made = {}
    for i = 1, 70 do
      made[i] = assert(store:add { name = "line-4", kind = "bearer", reusable = i < 3 })
    end
    local purpose = context { kind = "bearer" }
    for _, i in ipairs { 1, 2, 3, 70 } do
      local who = assert(store:check_token(made[i].secret, purpose))
      assert.same({ made[i].id, "enroll" }, { who.id, who.may })
      assert.is_true(store:use(who, purpose, now + 60))
    end
    local who = assert(store:check_token(made[1].secret, purpose))
    assert.equal(1, store:remove(made[1].id))
    assert.is_nil((store:use(who, purpose, now + 60)))
    assert.is_nil((store:check_token(made[1].secret, purpose)))
    assert.equal("fetch", store:check_token(made[3].secret, purpose).may)
    local _, err = store:check_token(made[3].secret, context { kind = "bearer", key_hash = "k2" })
    assert.equal("the one-time secret is used up", err.reason)
  end)

  it("makes a random secret, gives it once and stores it hashed", function()
    local facts = { site = "Ulm", rack = 7, hot = true }
    local made = assert(store:add { name = "device001", facts = facts })
    assert.matches("^[a-z2-7]+$", made.secret)
    local who = assert(check("device001", made.secret))
    assert.same({ made.id, "device001", "basic", true, "enroll" },
      { who.id, who.name, who.kind, who.one_time, who.may })
    assert.same(facts, who.facts)
    assert.is_nil(who.hash)
    assert.is_nil(who.salt)
    for _, row in ipairs(ledger:rows("credentials_live",
      { name = "device001", kind = "basic", now = now })) do
      for column, value in pairs(row) do assert.not_equal(made.secret, value, column) end
    end
    assert_refused("device001", made.secret .. "x")
    assert_refused("device002", made.secret)
    assert.equal(0, computed)
  end)

  it("takes a chosen password, one-time unless reusable", function()
    local made = assert(store:add { name = "a", password = "päss:wörd" })
    assert.is_nil(made.secret)
    assert(store:add { name = "b", password = "same", reusable = true })
    assert.is_true(check("a", "päss:wörd").one_time)
    local who = assert(check("b", "same"))
    assert.is_false(who.one_time)
    assert.is_true(store:use(who, context(), now + 10))
    assert.equal("enroll", check("b", "same", { key_hash = "k2" }).may)
    assert_refused("a", "same")
  end)

  it("refuses to make what could never be sent or stored", function()
    local facts = {}
    for i = 1, 64 do facts["f" .. i] = i end
    assert(store:add { name = "x", facts = facts, expires_s = 1 })
    facts.one_more = 1
    for _, wanted in ipairs { { name = "" }, { name = "a:b" }, { name = "a\nb" }, { name = "\xff" },
      { name = ("x"):rep(256) }, { name = "x", password = "" },
      { name = "x", password = ("x"):rep(1025) }, { name = "x", facts = { "numbered" } },
      { name = "x", facts = { a = {} } }, { name = "x", facts = { a = "\xff" } }, {},
      { name = "x", facts = { [("x"):rep(65)] = 1 } },
      { name = "x", facts = { a = ("x"):rep(4097) } }, { name = "x", facts = facts },
      { name = "x", expires_s = 0 } } do
      local made, err = store:add(wanted)
      assert.is_nil(made)
      assert.equal("usage", err.code)
    end
  end)

  it("looks for no secret that is longer than any can be", function()
    assert(store:add { name = "long", password = ("x"):rep(1024), reusable = true })
    local purpose = { key_hash = "k", label = "l", operation = "o" }
    assert.is_table(store:check("long", ("x"):rep(1024), purpose))
    local found, err = store:check("long", ("x"):rep(1025), purpose)
    assert.is_nil(found)
    assert.equal("no such secret can exist", err.detail)
  end)

  it("spares a one-time secret where a reusable one of the same words does", function()
    assert(store:add { name = "both", password = "the same", reusable = true })
    assert(store:add { name = "both", password = "the same" })
    local found = assert(store:check("both", "the same", { key_hash = "k", label = "l",
      operation = "o" }))
    assert.is_false(found.one_time)
  end)

  it("refuses names and secrets that cannot exist", function()
    assert(store:add { name = "device001" })
    for _, name in ipairs { "", "\xff", "a\0b", ("x"):rep(300) } do assert_refused(name, "x") end
    for _, secret in ipairs { "", ("x"):rep(1025) } do assert_refused("device001", secret) end
  end)

  it("ends an unused credential when it expires", function()
    local made = assert(store:add { name = "a", expires_s = 60 })
    assert.equal(now + 60, made.expires)
    now = now + 59
    local who = assert(check("a", made.secret))
    now = now + 1
    assert_refused("a", made.secret)
    assert.equal("unauthenticated", select(2, store:use(who, context(), now + 10)).code)
  end)

  it("lets a used one-time credential only fetch again, with its key, within the window", function()
    local made = assert(store:add { name = "a", expires_s = 60 })
    assert.is_true(store:use(assert(check("a", made.secret)), context(), now + 100))
    now = now + 99 -- past its expiry
    local who = assert(check("a", made.secret))
    assert.equal("fetch", who.may)
    assert.equal("unauthenticated", select(2, store:use(who, context(), now + 100)).code)
    assert.equal("unauthenticated", select(2, store:reserve(who, context(), now + 100)).code)
    for _, other in ipairs(OTHERS) do assert_refused("a", made.secret, other) end
    assert.is_nil(store:check("a", made.secret, {}))
    now = now + 1
    assert_refused("a", made.secret)
  end)

  it("lets a reserved one-time credential only poll, with its key, and then be used", function()
    local made = assert(store:add { name = "a", expires_s = 60 })
    local who = assert(check("a", made.secret))
    assert.is_true(store:reserve(who, context(), now + 100))
    now = now + 90
    who = assert(check("a", made.secret))
    assert.equal("poll", who.may)
    for _, other in ipairs(OTHERS) do
      assert_refused("a", made.secret, other)
      assert.equal("unauthenticated", select(2, store:reserve(who, context(other), now + 9)).code)
      assert.equal("unauthenticated", select(2, store:use(who, context(other), now + 9)).code)
    end
    assert.is_true(store:reserve(who, context(), now + 100))
    now = now + 90
    assert.is_true(store:use(who, context(), now + 100))
    assert.equal("fetch", check("a", made.secret).may)
    assert.equal(now, store:list("a")[1].used_at)
  end)

  it("gives a one-time credential back once the request that held it is over", function()
    local made = assert(store:add { name = "a", expires_s = 200 })
    assert.is_true(store:reserve(assert(check("a", made.secret)), context(), now + 100))
    local held = store:list("a")[1]
    assert.same({ "reserved", now + 100, "k1" }, { held.state, held.bound_until, held.key_hash })
    now = now + 99
    assert_refused("a", made.secret, { key_hash = "k2" })
    now = now + 1
    local free = store:list("a")[1]
    assert.same({ "unused", nil, nil }, { free.state, free.bound_until, free.key_hash })
    local other = { key_hash = "k2" }
    local who, first = check("a", made.secret, other), check("a", made.secret)
    assert.same({ "enroll", "enroll" }, { who.may, first.may })
    assert.is_true(store:reserve(who, context(other), now + 50))
    assert.equal("unauthenticated", select(2, store:reserve(first, context(), now + 50)).code)
    assert.equal("unauthenticated", select(2, store:use(first, context(), now + 50)).code)
    assert.equal("k2", store:list("a")[1].key_hash)
    now = now + 99 -- its own time is all but over
    assert.is_true(store:use(assert(check("a", made.secret)), context(), now + 10))
  end)

  it("takes back nothing that was used, and gives nothing back whose own time is over", function()
    local used, old = assert(store:add { name = "a" }), assert(store:add { name = "b",
      expires_s = 100 })
    assert.is_true(store:use(assert(check("a", used.secret)), context(), now + 100))
    assert.is_true(store:reserve(assert(check("b", old.secret)), context(), now + 100))
    now = now + 100
    assert_refused("a", used.secret)
    assert_refused("b", old.secret)
    assert.same({ "used", "expired" }, { store:list("a")[1].state, store:list("b")[1].state })
  end)

  it("tells who knows a random secret why it is good for nothing, and nobody else", function()
    local function reason(name, text, changes)
      return (select(2, check(name, text, changes)) or {}).reason
    end
    local other = { key_hash = "k2" }
    local one = assert(store:add { name = "a", expires_s = 60 })
    local held = assert(store:add { name = "b", expires_s = 60 })
    local used = assert(store:add { name = "c" })
    local chosen = assert(store:add { name = "d", password = "guessed" })
    assert.is_true(store:reserve(assert(check("b", held.secret)), context(), now + 70))
    assert.is_true(store:use(assert(check("c", used.secret)), context(), now + 70))
    assert.is_true(store:use(assert(check("d", "guessed")), context(), now + 70))
    assert.matches("held by a pending request", reason("b", held.secret, other))
    assert.matches("is used up", reason("c", used.secret, other))
    assert.is_nil(reason("d", "guessed", other))
    now = now + 70
    assert.matches("time of the secret is over: a new", reason("a", one.secret))
    assert.matches("request that waited has ended", reason("b", held.secret))
    assert.matches("used up: a new one", reason("c", used.secret))
    assert.is_nil(reason("d", "guessed"))
    assert.is_nil(reason("a", used.secret))
    assert.is_nil(reason("a", "wrong"))
    assert.equal(1, store:remove "a")
    assert.is_nil(reason("a", one.secret))
    assert.is_truthy(chosen.id)
  end)

  it("gives a one-time credential to the first of two that were both authenticated", function()
    local made = assert(store:add { name = "a" })
    local first, second = check("a", made.secret), check("a", made.secret, { key_hash = "k2" })
    assert.same({ "enroll", "enroll" }, { first.may, second.may })
    assert.is_true(store:use(second, context { key_hash = "k2" }, now + 100))
    assert.equal("unauthenticated", select(2, store:use(first, context(), now + 100)).code)
    assert_refused("a", made.secret)
    assert.equal("fetch", check("a", made.secret, { key_hash = "k2" }).may)
  end)

  it("keeps several credentials of one name apart, and prefers what is bound to the key", function()
    local one, two = assert(store:add { name = "a" }), assert(store:add { name = "a" })
    assert.equal(one.id, check("a", one.secret).id)
    assert.equal(two.id, check("a", two.secret).id)
    for _ = 1, 2 do assert(store:add { name = "b", password = "same" }) end
    local who = assert(check("b", "same"))
    assert.is_true(store:use(who, context(), now + 100))
    assert.same({ who.id, "fetch" }, { check("b", "same").id, check("b", "same").may })
    local other = assert(check("b", "same", { key_hash = "k2" }))
    assert.not_equal(who.id, other.id)
    assert.equal("enroll", other.may)
  end)

  it("removes by name or by id, at once", function()
    local one, two = assert(store:add { name = "a" }), assert(store:add { name = "a" })
    local who = check("a", one.secret)
    assert.equal(1, store:remove(one.id))
    assert_refused("a", one.secret)
    assert.equal("unauthenticated", select(2, store:use(who, context(), now + 10)).code)
    assert.equal(1, #store:list "a")
    assert.equal(1, store:remove "a")
    assert_refused("a", two.secret)
    assert.equal(0, store:remove "a")
    assert.equal(0, store:remove "\xff")
    assert.same({}, store:list())
  end)

  it("lists all, or page after page, without a secret", function()
    for i = 1, 1003 do
      assert(ledger:run("credential_add", rows.credential { id = "c" .. i, name = "n" .. i }))
    end
    local list = assert(store:list())
    assert.equal(1003, #list)
    assert.equal("n1", list[1003].name)
    assert.is_nil(list[1].hash)
  end)

  describe("with chosen passwords", function()
    before_each(function()
      assert(store:add { name = "known", password = "right", reusable = true })
      assert(store:add { name = "random" })
      computed = 0
    end)

    local function cost_of(name, secret)
      local before = computed
      check(name, secret)
      return computed - before
    end

    it("cost one scrypt for a wrong secret, whoever's", function()
      for _ = 1, 5 do assert(store:add { name = "known", password = "another" }) end
      for _, name in ipairs { "known", "random", "unknown" } do
        assert.equal(1, cost_of(name, "wrong"), name)
        assert.equal(1, cost_of(name, "wrong"), name .. " again")
      end
    end)

    it("cost nobody scrypt once the last is removed", function()
      assert.equal(1, store:remove "known")
      for _, name in ipairs { "known", "random", "unknown" } do
        assert.equal(0, cost_of(name, "wrong"), name)
      end
    end)

    it("remember a success for a while, not a failure, and not past a removal", function()
      assert.equal(1, cost_of("known", "right"))
      assert.equal(0, cost_of("known", "right"))
      assert.equal(1, cost_of("known", "wrong"))
      assert(check("known", "right"))
      now = now + 300
      assert.equal(1, cost_of("known", "right"))
      store:remove "known"
      assert_refused("known", "right")
      assert(store:add { name = "known", password = "new" })
      assert_refused("known", "right")
    end)

    it("keep the memory of successes bounded, without a password in it", function()
      store.secrets.cache_max = 10
      for i = 1, 25 do
        assert(store:add { name = "n" .. i, password = "pw" .. i, reusable = true })
        assert(check("n" .. i, "pw" .. i))
        local count = 0
        for key in pairs(store.secrets.cache) do
          count = count + 1
          assert.is_nil(key:find("pw" .. i, 1, true))
        end
        assert.is_true(count <= 10)
        assert.equal(count, store.secrets.cached)
      end
    end)

    it("see what changed while scrypt was computed", function()
      store.secrets.scrypt = function(...)
        local hash = scrypt(...)
        store:remove "known"
        return hash
      end
      assert_refused("known", "right")
    end)

    it("give back what the pool says when it is full", function()
      store.secrets.scrypt = function()
        return nil, core.error.new { code = "unavailable", message = "full" }
      end
      for _, name in ipairs { "known", "unknown" } do
        local who, err = check(name, "wrong")
        assert.is_nil(who)
        assert.equal("unavailable", err.code)
      end
    end)

    it("work on the pool of threads, inside a task", function()
      local task = require "lest.task"
      local pool <close> = assert(core.pool.new())
      local real = credentials.new { ledger = ledger, scrypt = function(password, salt, cost)
        return task.await(function(callback)
          local ok, err = pool:scrypt(password, salt, callback, cost)
          if not ok then callback(nil, err) end
        end)
      end }
      assert(real:add { name = "pooled", password = "pw" })
      local who
      task.spawn(function() who = real:check("pooled", "pw", context()) end):wait()
      assert.equal("pooled", who.name)
    end)
  end)
end)
