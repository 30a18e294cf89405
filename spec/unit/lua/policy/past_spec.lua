-- Tests of the past: history, revoked, rate; asked for where they are asked, and no sooner.
local policy = require "lest.policy"
local view = require "lest.server.worker.view"

local NOW <const> = 1000000

local function known(changes)
  local all = {}
  for _, state in ipairs { "issued", "active", "expired", "revoked", "renewed", "refused",
    "pending" } do
    all[state] = { count = 0, more = false }
  end
  for state, tally in pairs(changes or {}) do
    tally.more = tally.more or false
    all[state] = tally
  end
  return all
end

--- A request whose ledger says this of it, and what was asked.
local function request(parts, rate)
  local asked = {}
  return view.new { time = NOW, history = function(about)
    asked[#asked + 1] = about
    return parts[about]
  end, rate = rate }, asked
end

describe("request.history", function()
  it("is asked for where it is looked at, once", function()
    local seen, asked = request { device = known {
      issued = { count = 3, last = 5, reason = "x" } } }
    local history = seen.history
    assert.same({}, asked)
    assert.equal(3, history.device.issued.count)
    assert.equal(5, history.device.issued.last)
    assert.equal("x", history.device.issued.reason)
    assert.is_false(history.device.issued.more)
    assert.is_nil(history.device.active.last)
    assert.same({ "device" }, asked)
    assert.is_nil(history.subject)
  end)

  it("is closed and read-only", function()
    local seen = request { device = known() }
    for problem, look in pairs {
      ["request.history has no field 'devise', did you mean 'device'?"] =
        function() return seen.history.devise end,
      ["request.known has no field 'isued', did you mean 'issued'?"] =
        function() return seen.history.device.isued end,
      ["request.tally has no field 'cont', did you mean 'count'?"] =
        function() return seen.history.device.issued.cont end,
      ["request.tally is read-only"] = function() seen.history.device.issued.count = 0 end,
      ["request.history is read-only"] = function() seen.history.device = nil end,
    } do
      assert.error_matches(look, problem, nil, true)
    end
  end)

  it("ends the decision where there is no answer", function()
    local stop = require "lest.policy.stop"
    local seen = view.new { history = function() return nil, "the authority is away" end }
    local ok, problem = pcall(function() return seen.history.key end)
    assert.is_false(ok)
    local verdict = stop.verdict(problem)
    assert.same({ "unavailable", "request.history.key: the authority is away" },
      { verdict.verdict, verdict.detail })
    assert.is_nil(view.new {}.history)
  end)
end)

describe("policy.history", function()
  local function holds(options, parts)
    return policy.history(options)((request(parts)))
  end

  it("compares counts, and when the last one was", function()
    local parts = { device = known { active = { count = 4, last = NOW - 60 } }, key = known() }
    for _, case in ipairs {
      { { active = { most = 4 } }, true }, { { active = { most = 3 } }, false },
      { { active = { least = 4 } }, true }, { { active = { least = 5 } }, false },
      { { active = { within = "1m" } }, true }, { { active = { within = "59s" } }, false },
      { { active = { least = 1, most = 9, within = "1h" } }, true },
      { { revoked = { most = 0 } }, true }, { { revoked = { within = "1d" } }, false },
      { { active = { most = 4 }, revoked = { least = 1 } }, false },
    } do
      assert.equal(case[2], (holds({ device = case[1] }, parts)))
    end
    assert.same({ false, 4 }, { holds({ device = { active = { most = 3 } } }, parts) })
    assert.is_true(holds({ device = { active = { most = 4 } }, key = { issued = { most = 0 } } },
      parts))
    assert.is_false(holds({ device = { active = { most = 4 } }, key = { issued = { least = 1 } } },
      parts))
  end)

  it("passes no request that has no such part", function()
    assert.same({ false, "no subject" }, { holds({ subject = { active = { most = 0 } } }, {}) })
  end)

  it("knows neither yes nor no where the count ends before", function()
    local parts = { device = known { issued = { count = 1000, more = true },
      expired = { count = 2, more = true } } }
    assert.is_false(holds({ device = { issued = { most = 999 } } }, parts))
    assert.is_true(holds({ device = { issued = { least = 999 } } }, parts))
    assert.is_true(holds({ device = { expired = { least = 2 } } }, parts))
    for _, bounds in ipairs { { most = 2 }, { least = 3 } } do
      local result, problem = holds({ device = { expired = bounds } }, parts)
      assert.same({ "nil", "the ledger has too many certificates to count these" },
        { type(result), problem })
    end
  end)
end)

describe("policy.revoked", function()
  local parts = { device = known(), key = known { revoked = { count = 1, last = NOW - 60,
    reason = "keyCompromise" } } }
  local function holds(options)
    return (policy.revoked(options)((request(parts))))
  end

  it("holds where a certificate of one of them was", function()
    assert.is_false(holds { of = "device" })
    assert.is_true(holds { of = "key" })
    assert.is_true(holds { of = { "device", "subject", "key" } })
    assert.is_true(holds { of = "key", reason = { "superseded", "keyCompromise" } })
    assert.is_false(holds { of = "key", reason = "superseded" })
    assert.is_true(holds { of = "key", within = "1m" })
    assert.is_false(holds { of = "key", within = "59s" })
  end)

  it("asks no further than it must", function()
    local seen, asked = request(parts)
    policy.revoked { of = { "key", "device" } } (seen)
    assert.same({ "key" }, asked)
  end)
end)

describe("policy.rate", function()
  it("asks with its place, or by its name", function()
    local asked
    local seen = request({}, function(question)
      asked = question
      return { within = question.most > 1, count = 2 }
    end)
    local test = policy.rate { per = "device", most = 5, every = "1m" }
    assert.same({ true, 2 }, { test(seen) })
    assert.same({ { "device" }, 5, 60 }, { asked.per, asked.most, asked.every })
    assert.matches("past_spec%.lua:%d+$", asked.place)
    assert.same({ false, 2 }, { policy.rate { per = { "label", "key" }, most = 1, every = 3,
      name = "all" } (seen) })
    assert.same({ "all", { "label", "key" } }, { asked.name, asked.per })
    local place = asked.place
    policy.rate { per = "device", most = 5, every = "1m" } (seen)
    assert.not_equal(place, asked.place)
  end)

  it("knows neither yes nor no of who has proven nothing", function()
    local result, problem = policy.rate { per = "address", most = 5, every = "1m" } (view.new {})
    assert.same({ "nil", "who has proven nothing is not counted" }, { type(result), problem })
  end)

  it("ends the decision where it cannot be told", function()
    local stop = require "lest.policy.stop"
    local seen = request({}, function() return nil, "no room" end)
    local _, problem = pcall(policy.rate { per = "key", most = 5, every = "1m" }, seen)
    assert.equal("policy.rate: no room", stop.verdict(problem).detail)
  end)
end)

describe("a mistake in a test of the past", function()
  it("is told with a hint", function()
    for problem, call in pairs {
      ["policy.history: devise: unknown, did you mean 'device'?"] =
        { "history", { devise = {} } },
      ["policy.history: device.activ: unknown, did you mean 'active'?"] =
        { "history", { device = { activ = {} } } },
      ["policy.history: device.active.max: unknown"] =
        { "history", { device = { active = { max = 5 } } } },
      ["policy.history: device.active.most: 1000 is out of range (0 to 999)"] =
        { "history", { device = { active = { most = 1000 } } } },
      ["policy.history: nothing is stated: write policy.history { device = "] = { "history", {} },
      ["policy.revoked takes a table, as { of = \"device\" }, not a string"] =
        { "revoked", "device" },
      ["policy.revoked: of: is missing"] = { "revoked", { within = "1d" } },
      ["policy.rate: per[1]: 'ip' is not one of address, network"] =
        { "rate", { per = "ip", most = 1, every = "1m" } },
      ["policy.rate: every: "] = { "rate", { per = "label", most = 1, every = "32d" } },
      ["policy.rate: most: "] = { "rate", { per = "label", most = 0, every = "1d" } },
    } do
      local ok, told = pcall(policy[call[1]], call[2])
      assert.is_false(ok)
      assert.is_truthy(told:find(problem, 1, true), told)
    end
  end)
end)
