-- What an identity does next, from what it remembers, and what it remembers of a failure.
local failure = require "lest.agent.failure"
local identities = require "lest.agent.identity"
local places = require "lest.fleet.place"
local schedule = require "lest.agent.schedule"

local NOW <const>, DAY <const> = 1930367167, 86400

describe("the plan of an identity", function()
  --- With so many days left of a life of 90.
  local function plan_of(memory, left)
    local identity = identities.new("dev", { renew_at = 0.5, spread = 0.1, anchors_every = DAY },
      places.new(), { clock = function() return NOW end, random = math.random, log = print })
    identity.memory, memory.place = memory, 0.5
    identity.life = { not_before = NOW + (left - 90) * DAY, not_after = NOW + left * DAY,
      fingerprint = "x" }
    return identity:plan(NOW)
  end

  --- Half through it, with a retry that was set then and is due at another time.
  local function plan(set, at)
    return plan_of({ retry = { set = set, at = at } }, 45)
  end

  it("waits as long as an outage has it wait, which is weeks", function()
    assert.same({ NOW + 30 * DAY, "retry" }, { plan(NOW, NOW + 30 * DAY) })
  end)

  it("waits as long as a server wants that has a request wait", function()
    local at = schedule.poll(NOW, 365 * DAY, function() return 0.999 end)
    assert.same({ at, "poll" },
      { plan_of({ retry = { set = NOW, at = at }, pending = { since = NOW } }, -1) })
  end)

  it("lets what was issued rest, also where it has ended by this clock at once", function()
    assert.same({ NOW + 50, "expired" }, { plan_of({ issued = NOW - 10 }, 0) })
    assert.same({ NOW, "expired" }, { plan_of({ issued = NOW - 60 }, 0) })
    assert.same({ NOW, "expired" }, { plan_of({ issued = NOW + 1 }, 0) })
  end)

  it("asks for the anchors where a clock that was ahead has noted when it did", function()
    local anchors = { at = NOW + 100 * DAY }
    assert.same({ NOW, "anchors" }, { plan_of({ anchors = anchors }, 80) })
  end)

  it("believes no retry that another clock has set", function()
    assert.same({ NOW, "retry" }, { plan(NOW, NOW + 46 * DAY) })
    assert.same({ NOW, "retry" }, { plan(NOW + 1, NOW + DAY) })
  end)
end)

describe("a failure", function()
  --- What is remembered of some in a row, a minute after each other, with 90 days left.
  local function after(errors, ends)
    local now = NOW
    local identity = { memory = {}, life = { not_after = ends or NOW + 90 * DAY },
      say = function() end, world = { random = function() return 0.5 end } }
    for _, err in ipairs(errors) do
      failure.note(identity, "renew", err, now)
      now = now + 60
    end
    return identity.memory
  end

  it("of the network waits for one, and any other does not", function()
    for _, code in ipairs { "network", "timeout", "closed" } do
      assert.equal(0, failure.network_due(after { { code = code } }))
    end
    for _, code in ipairs { "unavailable", "tls", "refused", "pending" } do
      assert.is_nil(failure.network_due(after { { code = code } }))
    end
    assert.is_nil(failure.network_due({}))
  end)

  it("holds on to what a server has asked for, also while nobody answers", function()
    local busy = { code = "unavailable", retry_after = 7200 }
    local memory = after { busy, { code = "network" }, { code = "network" } }
    assert.equal(NOW + 7200, memory.retry.at)
    assert.equal(NOW + 7200, failure.network_due(memory))
    memory = after { { code = "pending", retry_after = 7200 }, { code = "network" } }
    assert.is_true(failure.network_due(memory) >= NOW + 7200)
    assert.is_truthy(memory.pending)
    assert.is_nil(failure.network_due(after { busy }))
  end)

  it("is tried again before a certificate ends, whatever the server has asked for", function()
    local memory = after({ { code = "unavailable", retry_after = 7 * DAY } }, NOW + DAY)
    assert.equal(NOW + DAY // 2, memory.retry.at)
  end)

  it("counts no more once there is a network after a quiet time", function()
    local identity = identities.new("dev", {}, places.new(), { random = math.random })
    identity.memory = after { { code = "network" }, { code = "network" } }
    assert.is_true(identity:hear_of_network(false))
    assert.equal(2, identity.memory.failures)
    assert.is_true(identity:hear_of_network(true))
    assert.is_nil(identity.memory.failures)
    identity.memory = after { { code = "tls" } }
    assert.is_false(identity:hear_of_network(true))
    assert.equal(1, identity.memory.failures)
  end)
end)
