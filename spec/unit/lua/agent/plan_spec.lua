-- What an identity does next, from what it remembers.
local identities = require "lest.agent.identity"
local places = require "lest.fleet.place"

local NOW <const>, DAY <const> = 1930367167, 86400

describe("the plan of an identity", function()
  --- Half through a life of 90 days, with a retry that was set then and is due at another time.
  local function plan(set, at)
    local identity = identities.new("dev", { renew_at = 0.5, spread = 0.1, anchors_every = DAY },
      places.new(), { clock = function() return NOW end, random = math.random, log = print })
    identity.memory = { place = 0.5, retry = { set = set, at = at } }
    identity.life = { not_before = NOW - 45 * DAY, not_after = NOW + 45 * DAY, fingerprint = "x" }
    return identity:plan(NOW)
  end

  it("waits as long as an outage has it wait, which is weeks", function()
    assert.same({ NOW + 30 * DAY, "retry" }, { plan(NOW, NOW + 30 * DAY) })
  end)

  it("believes no retry that another clock has set", function()
    assert.same({ NOW, "retry" }, { plan(NOW, NOW + 46 * DAY) })
    assert.same({ NOW, "retry" }, { plan(NOW + 1, NOW + DAY) })
  end)
end)
