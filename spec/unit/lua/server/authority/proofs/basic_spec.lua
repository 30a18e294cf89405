-- A secret and its limits: what counts as a failed attempt, and when a hash may be computed.
local basic = require "lest.server.authority.proofs.basic"
local core = require "lest.core"
local kinds = require "lest.server.wire.kinds"
local limiter = require "lest.server.wire.limiter"
local refusal = require "lest.server.wire.refusal"
local request_module = require "lest.server.authority.request"

describe("an attempt with a secret", function()
  local counts, waits, limits

  before_each(function()
    counts, waits, limits = {}, {}, {}
    for _, name in ipairs { "network", "name_there", "name" } do
      local function count_by(step)
        return function(_, key)
          counts[name .. " " .. key] = (counts[name .. " " .. key] or 0) + step
        end
      end
      limits[name] = { wait = function() return waits[name] end, count = count_by(1),
        uncount = count_by(-1) }
    end
    limits.kind_there = limiter.new { per_minute = math.maxinteger,
      now_ms = function() return 0 end }
  end)

  local function all_counted(number)
    assert.same({ ["network 192.0.2.1"] = number, ["name_there 192.0.2.1 alice"] = number,
      ["name alice"] = number }, counts)
  end

  --- Prove with a store whose check() is given; the request, or the refusal.
  local function prove(check, certificate)
    local store = { check = function(_, name, text, purpose, attempt)
      assert.same({ "alice", "secret", "simpleenroll" }, { name, text, purpose.operation })
      return check(attempt)
    end }
    local label = { auth = { assert(kinds.parse "certificate"), assert(kinds.parse "basic") } }
    local request = request_module.new({}, { id = "a-1", operation = "simpleenroll",
      label = "default", address = "192.0.2.1" }, label, 0)
    if certificate then request:prove("certificate", {}, {}, "own:CN=alice") end
    local ok, problem = pcall(basic.prove, { failures = limits, credentials = store }, request,
      { username = "alice", password = "secret" })
    if ok then return request end
    assert(refusal.is(problem), tostring(problem))
    return problem
  end

  local function wrong()
    return nil, core.error.new { code = "unauthenticated", message = "wrong" }
  end

  local function right()
    return { name = "alice", may = "enroll", facts = {} }
  end

  it("that is right counts for nothing, with a hash or without", function()
    assert.equal("alice", prove(right).ledger_name)
    assert.same({}, counts)
    prove(function(attempt)
      assert.is_true(attempt.charge())
      all_counted(1)
      return right()
    end)
    all_counted(0)
  end)

  it("that is wrong counts once for the network, the name there and the name", function()
    assert.equal(401, prove(wrong).status)
    all_counted(1)
    counts = {}
    local refused = prove(function(attempt)
      assert.is_true(attempt.charge())
      assert.is_true(attempt.charge())
      return wrong()
    end)
    assert.equal(401, refused.status)
    all_counted(1)
  end)

  it("that could not be judged counts for nothing, and is 503", function()
    local refused = prove(function(attempt)
      attempt.charge()
      return nil, core.error.new { code = "unavailable", message = "the pool is full" }
    end)
    assert.equal(503, refused.status)
    all_counted(0)
  end)

  for _, name in ipairs { "network", "name_there", "name" } do
    it("is limited by failures of the " .. name, function()
      waits[name] = 42
      local refused = prove(function(attempt)
        assert.is_true(attempt.is_limited)
        assert.is_false(attempt.charge())
        return wrong()
      end)
      assert.same({ 429, 42 }, { refused.status, refused.retry_after })
      assert.same({}, counts)
      -- A secret that needs no hash is taken at any time.
      assert.equal("alice", prove(right).ledger_name)
    end)
  end

  it("waits for the longest of its limits", function()
    waits = { network = 7, name_there = 50, name = 20 }
    assert.equal(50, prove(wrong).retry_after)
  end)

  it("waits a moment where others under way fill its limits", function()
    local refused = prove(function(attempt)
      assert.is_false(attempt.is_limited)
      waits.name = 30
      assert.is_false(attempt.charge())
      return nil, core.error.new { code = "unavailable", message = "too many attempts" }
    end)
    assert.same({ 429, 5 }, { refused.status, refused.retry_after })
    assert.same({}, counts)
  end)

  it("with a used-up secret takes nothing beside a certificate that is enough", function()
    local function used_up() return { name = "alice", may = "fetch", facts = {} } end
    assert.equal("the one-time secret is used up", prove(used_up, true).reason)
    assert.equal("alice", prove(used_up).ledger_name)
    assert.equal("own:CN=alice", prove(right, true).ledger_name)
  end)
end)
