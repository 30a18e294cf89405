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
      assert.is_true(words.has[word], word)
    end
    assert.equal("10.0.0.7", words_of.addresses(words)[5])
  end)

  it("has what fits a pattern of Lua, what goes on from a beginning, and numbers", function()
    local of = words_of.of [[ name:find "^pump%-%d+%.[a-f]$" or name:sub(1, 4) == "dev-"
      and tonumber(x) > 5000 and row.site == 'ulm' and request.principal.name and row.hall ]]
    for _, word in ipairs { "pump-7.a", "dev-", "dev-1", "4999", "5000", "5001", "ulm" } do
      assert.is_true(of.has[word], word)
    end
    assert.same({ "site", "hall", "role" }, { of.names[1], of.names[2], of.names[4] })
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

  -- A policy that lets in what a table of its has, beside that table.
  local function with_table(text, options)
    local folder = temporary.folder()
    temporary.file(folder, "devices.csv", "serial,site\nSN-4711-X,ulm\nSN-4712-Y,bonn\n")
    return testing.policy(temporary.file(folder, "x.lua",
      'local lest, policy = require "lest", require "lest.policy"\n'
      .. 'local devices = policy.csv("devices.csv", { key = "serial" })\n' .. text), options)
  end
  local LOOKS_FOR <const> = [[return function(request)
    local serial = request.csr.subject.serialNumber
    local row = serial and devices:row(serial)
    if not row or row.site ~= "ulm" then return policy.reject "not in the list" end
    return policy.approve { subject = { { "CN", %s } } }
  end]]

  it("reaches what a policy lets in by a serial number that only its table has", function()
    local good, bad = LOOKS_FOR:format '"d-" .. row.serial', LOOKS_FOR:format "request.device"
    testing.never { with_table(good), names_outside = "CN=d-*" }
    local message = broken(testing.never, { with_table(bad), names_outside = "CN=d-*" })
    assert.matches('{ "serialNumber", "SN%-4711%-X" }', message)
    assert.matches('csv = { %["devices.csv: SN%-4711%-X"%] = { serial = "SN%-4711%-X", site = "u',
      message)
  end)

  it("reaches it by what the spec answers, in place of the table", function()
    local answer = { csv = { ["devices.csv: only-here-99"] = { serial = "only-here-99",
      site = "ulm" } } }
    local message = broken(testing.never, { with_table(LOOKS_FOR:format "row.serial", answer),
      names_outside = "CN=SN-*" })
    assert.matches("it has the name CN=only%-here%-99", message)
  end)

  it("goes on from the requests that the spec has decided", function()
    local text = [[return function(request)
      if request.principal.name ~= ("x"):rep(7) .. #request.label then
        return policy.reject "no"
      end
      return policy.approve { subject = request.csr.subject }
    end]]
    local own = policy(text)
    local message = broken(testing.never, { own, names_outside = "CN=d*" })
    assert.matches("but was never tried: no request was approved", message)
    assert.approves(own, testing.request { principal = testing.basic(("x"):rep(7) .. 7) })
    message = broken(testing.never, { own, names_outside = "CN=d*" })
    assert.matches("it has the name ", message)
    assert.matches('testing.basic "' .. ("x"):rep(7) .. 7 .. '"', message)
  end)

  it("says of what was never tried that it was not", function()
    local kit = require "lest.policy"
    local closed = policy [[return policy.first { policy.reject "closed" }]]
    local function holds() return true end
    for _, each in ipairs { { testing.never, { closed, lifetime_over = "1d" } },
      { testing.never, { closed, unless = kit.principal { anchors = "factory" } } },
      { testing.always, closed, holds }, { testing.always, closed, "it is so", holds } } do
      local message = broken(table.unpack(each))
      assert.matches("search_spec.lua:%d+: .*, but was never tried: no request was approved "
        .. "%(%d+ requests: approve 0, reject %d+%); say `vacuous = true` if that is meant",
        message)
    end
    assert.matches("never tried: no request came to pending",
      broken(testing.never, { closed, verdict = "pending", lifetime_over = "1d" }))
    testing.never { closed } -- that nothing is approved is what it says
    testing.never { closed, lifetime_over = "1d", vacuous = true }
    testing.always(closed, holds, { vacuous = true })
    testing.always(closed, "it is so", holds, { vacuous = true })
    local open = policy [[return policy.own_name()]]
    assert.matches("never tried: `when` held for no request",
      broken(testing.never, { open, when = function() return false end }))
    assert.matches("never tried: `unless` held for every request",
      broken(testing.never, { open, unless = function() return true end }))
    assert.matches("search_spec.lua:%d+: testing.always: vacous: unknown",
      broken(testing.always, closed, holds, { vacous = true }))
    testing.always(policy [[return policy.first { policy.consent() }]], holds)
  end)

  it("is the same for the same seed, whoever asks math.random", function()
    local property = { name = "x", policy = policy [[return policy.own_name()]], needs = {},
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
