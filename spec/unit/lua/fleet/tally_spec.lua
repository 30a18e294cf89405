-- What a simulation counts, by the hour.
local tallies = require "lest.fleet.tally"

local HOUR <const> = 3600

describe("the tally of a simulation", function()
  local function tally(hours)
    return tallies.new(1000000, 1000000 + hours * HOUR)
  end

  local function at(hour)
    return 1000000 + hour * HOUR
  end

  it("counts by the hour; what is late belongs to the last", function()
    local one = tally(4)
    one:count("renewed", at(0))
    one:count("renewed", at(1) - 1)
    one:count("renewed", at(1))
    one:count("by_expired", at(3))
    one:count("by_bootstrap", at(9))
    assert.same({ 2, 1, 0, 0 }, one:series "renewed")
    assert.same({ 0, 0, 0, 2 }, one:late())
    assert.same({ 2, 1, 0, 2 }, one:renewals())
  end)

  it("says how many were in a state, hour by hour", function()
    local one = tally(5)
    one:span("away", at(1), at(3))
    one:span("away", at(2))
    assert.same({ 0, 1, 2, 1, 1 }, one:gauge "away")
  end)

  it("adds up bins, and leaves a rest out", function()
    assert.same({ 3, 7 }, tallies.bins({ 1, 2, 3, 4, 5 }, 2))
  end)

  it("finds the busiest time wherever it begins", function()
    local series = { 0, 1, 5, 5, 1, 0, 0, 9 }
    local most, first = tallies.busiest(series, 2, 1, 7)
    assert.same({ 10, 3 }, { most, first })
    most, first = tallies.busiest(series, 3, 1, 8)
    assert.same({ 11, 2 }, { most, first })
    assert.equal(9, (tallies.busiest(series, 3, 8, 8)))
  end)

  it("tells the herd against the mean, of a time that has enough", function()
    local one = tally(24 * 40)
    -- Nothing for ten days, then ten an hour, and thrice as many for one hour.
    for hour = 240, 24 * 40 - 1 do
      for _ = 1, hour == 500 and 30 or 10 do one:count("renewed", at(hour)) end
    end
    local herd = one:herd()
    assert.equal(6, herd.hours)
    assert.is_true(math.abs(herd.mean - 60) < 1)
    assert.equal(80, herd.peak)
    assert.is_true(herd.at <= at(500) and herd.at > at(494))
  end)

  it("tells no herd of a few", function()
    local one = tally(24 * 40)
    one:count("renewed", at(3))
    assert.is_nil(one:herd())
    assert.is_nil(tally(10):herd())
  end)

  it("has percentiles that exchanges had", function()
    local one = tally(1)
    for ms = 1, 200 do one:took(ms * 1000) end
    assert.same({ count = 200, p50 = 100.0, p95 = 190.0, p99 = 198.0, max = 200.0 }, one:latency())
    assert.equal(0.0, tally(1):latency().p99)
  end)
end)
