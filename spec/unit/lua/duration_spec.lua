-- Durations are read with their units, and shown in the two largest.
local duration = require "lest.duration"

describe("a duration", function()
  it("is a number with a unit, several of them, or seconds", function()
    assert.equal(7776000, duration.parse "90d")
    assert.equal(5400, duration.parse "1h30m")
    assert.equal(31536000, duration.parse "1y")
    assert.equal(0, duration.parse "0s")
    assert.equal(15, duration.parse(15))
  end)

  it("is refused with a sentence that names it", function()
    local wrongs = { "", "10", "m", "10 m", "-5m", "1.5h", "10M", -1, 1.5, true, "99999999s" }
    for _, wrong in ipairs(wrongs) do
      local seconds, problem = duration.parse(wrong)
      assert.is_nil(seconds)
      assert.matches("no duration", problem)
    end
  end)

  it("is shown in its two largest units", function()
    assert.equal("1d2h", duration.format(93784))
    assert.equal("90d", duration.format(7776000))
    assert.equal("0s", duration.format(0))
    assert.equal("-5m", duration.format(-300))
  end)
end)
