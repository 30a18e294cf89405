-- Searches for a request that breaks a policy: the code that is printed makes the same request,
-- what is found is small, and the same seed finds the same.
local plans = require "lest.testing.plan"
local random_numbers = require "lest.testing.random"
local search = require "lest.testing.search"
local temporary = require "support.temporary"
local testing = require "lest.testing"
local words_of = require "lest.testing.words"

local function facts_of(request)
  local ok, facts = pcall(request.facts, request, testing.NOW)
  return ok and facts or nil
end

describe("a plan of a request", function()
  local words <const> = words_of.of '"device-*" "factory" "10.0.0.0/8" \'DNS:*.example.com\''

  it("has the words of the policy, and what fits its patterns", function()
    for _, word in ipairs { "device-a", "factory", "10.0.0.0/8", "a.example.com" } do
      assert.is_true(words[word], word)
    end
    assert.equal("10.0.0.7", words_of.addresses(words)[5])
  end)

  it("is printed as the code that makes the same request", function()
    local random, compared = random_numbers.new(5), 0
    for _ = 1, 150 do
      local plan = plans.fresh(random, words)
      local ok, request = pcall(plans.request, plan)
      local facts = ok and facts_of(request)
      if facts then
        local code = plans.code(plan, "")
        local chunk = assert(load("local testing = ... return " .. code))
        local again = facts_of(chunk(testing))
        assert.equal(facts.csr.subject_der, again.csr.subject_der, code)
        assert.equal(facts.csr.san_der, again.csr.san_der, code)
        assert.equal(facts.csr.key_hash, again.csr.key_hash, code)
        assert.same({ facts.principal.name, facts.principal.anchors, facts.time, facts.address,
          #facts.approvals, facts.operation }, { again.principal.name, again.principal.anchors,
          again.time, again.address, #again.approvals, again.operation }, code)
        compared = compared + 1
      end
    end
    assert.is_true(compared > 60)
  end)

  it("is one of every kind", function()
    local random, seen = random_numbers.new(1), {}
    for _ = 1, 400 do
      local plan = plans.fresh(random, words)
      seen[plan.principal[1]] = true
      for _, field in ipairs { "previous", "approvals", "time", "address", "operation" } do
        seen[field] = seen[field] or plan[field] ~= nil
      end
      for field, value in pairs(plan.csr or {}) do
        seen[field] = true
        if field == "key" then seen[value] = true end
      end
    end
    for _, what in ipairs { "basic", "cert", "idevid", "previous", "approvals", "time", "address",
      "operation", "subject", "subject_der", "san", "change", "rsa:2048", "ed25519", "same" } do
      assert.is_true(seen[what] == true, what)
    end
  end)
end)

describe("a search", function()
  after_each(temporary.clean)

  local function policy(text)
    return testing.policy(temporary.file(temporary.folder(), "x.lua",
      'local lest, policy = require "lest", require "lest.policy"\n' .. text))
  end

  -- The message of testing.always or never where it fails.
  local function broken(fn, ...)
    local given = table.pack(...)
    local ok, message = pcall(function() fn(table.unpack(given)) end)
    return not ok and message or nil
  end

  it("finds a name that a policy takes from the request, and makes it small", function()
    local message = broken(testing.never, { policy [[return function(request)
      return policy.approve { subject = request.csr.subject, san = request.csr.san }
    end]], names_outside = { "CN=device*" } })
    assert.matches("^[^\n]*search_spec.lua:%d+: ", message)
    assert.matches("it never comes to approve with a name outside CN=device%*, but not for this",
      message)
    assert.matches("it has the name ", message)
    local code = message:match "\n\n(it%(.*)$"
    assert.is_true(select(2, code:gsub("\n", "\n")) <= 8, code)
    assert.matches("assert.is_not.approves%(policy, testing.request", code)
  end)

  it("finds nothing where there is nothing", function()
    local names = policy [[return policy.when(policy.principal { kind = "basic" },
      policy.names { CN = "device-${principal.name}", lifetime = "90d" })]]
    testing.never { names, names_outside = "CN=device-*" }
    testing.never { names, lifetime_over = "90d" }
    testing.never { names, unless = function(r) return r.principal.kind == "basic" end }
    testing.always(names, function(request, verdict)
      return verdict.verdict ~= "approve" or request.principal.kind == "basic"
    end)
  end)

  it("finds a lifetime, a principal, and a policy that fails where all is away", function()
    local kit = require "lest.policy"
    local own = policy [[return function(request)
      local lifetime = request.csr.key_type:find "^rsa" and "91d" or "90d"
      return policy.approve { subject = { { "CN", "x" } }, lifetime = lifetime }
    end]]
    assert.matches('key = "rsa:%d+"', broken(testing.never, { own, lifetime_over = "90d" }))
    assert.matches("never comes to approve so, but not",
      broken(testing.never, { own, unless = kit.principal { anchors = "factory" } }))
    local asks = policy [[return function()
      local res = lest.http.get "https://inventory/"
      return policy.reject(res.status)
    end]]
    local message = broken(testing.never, { asks, verdict = "error" })
    assert.truthy(message:find('http = { ["GET https://inventory/"] = { err = "nobody answers" } }',
      1, true), message)
  end)

  it("is the same for the same seed, whoever asks math.random", function()
    local property = { name = "x", policy = policy [[return policy.own_name()]],
      holds = function() return true end }
    local counts = {}
    for i = 1, 2 do
      local each = search.new(property, 3)
      math.randomseed(i)
      each:go_on(40)
      counts[i] = { each.count, each.random.state }
    end
    assert.same(counts[1], counts[2])
  end)

  it("wants a property to say true or false", function()
    local message = broken(testing.always, policy [[return policy.own_name()]], function() end)
    assert.matches("a property returns true or false, not a nil", message)
    assert.matches("search_spec.lua:%d+: testing.never: names: unknown",
      broken(function() testing.never { names = 1 } end))
  end)
end)
