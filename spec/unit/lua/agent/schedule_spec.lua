-- When an agent renews, and when it tries again: functions of time.
local core = require "lest.core"
local schedule = require "lest.agent.schedule"

local DAY <const> = 86400

describe("schedule.renewal", function()
  local life <const> = { not_before = 1000000, not_after = 1000000 + 90 * DAY }
  local plan <const> = { renew_at = 2 / 3, spread = 0.1 }

  it("is at a share of the life, and a device's place in a window behind it", function()
    assert.equal(life.not_before + 60 * DAY, schedule.renewal(life, plan, 0))
    assert.equal(life.not_before + 64 * DAY + DAY // 2, schedule.renewal(life, plan, 0.5))
    assert.is_true(schedule.renewal(life, plan, 0.999) < life.not_before + 69 * DAY)
  end)

  it("is so long before the end, with a number of seconds", function()
    local early = { renew_at = 30 * DAY, spread = 0 }
    assert.equal(life.not_after - 30 * DAY, schedule.renewal(life, early, 0.5))
    -- Longer than the life: not at once, over and over.
    early.renew_at = 100 * DAY
    assert.equal(life.not_before + 9 * DAY, schedule.renewal(life, early, 0.5))
  end)

  it("leaves at least half of the rest, however wide the window", function()
    local wide = { renew_at = 2 / 3, spread = 60 * DAY }
    assert.is_true(schedule.renewal(life, wide, 0.9999) <= life.not_before + 75 * DAY)
  end)

  it("is in the server's window, within the life", function()
    assert.equal(life.not_before + 27 * DAY,
      schedule.renewal(life, plan, 0.5, { from = 0.2, to = 0.4 }))
    assert.equal(life.not_before + 9 * DAY,
      schedule.renewal(life, plan, 0.5, { from = 0, to = 0 }))
    assert.equal(life.not_after - 9 * DAY,
      schedule.renewal(life, plan, 0.5, { from = 1, to = 1 }))
  end)
end)

describe("schedule.retry", function()
  local now <const> = 1000000
  local function most(failures, ends)
    return schedule.retry(now, failures, ends, nil, function() return 1 end) - now
  end

  it("doubles its bound with each failure, and has a longest", function()
    assert.equal(30, most(1, now + 300 * DAY))
    assert.equal(60, most(2, now + 300 * DAY))
    assert.equal(6 * 3600, most(20, now + 300 * DAY))
    assert.equal(6 * 3600, most(20000, now + 300 * DAY))
  end)

  it("grows denser as the end comes near, and not sparser", function()
    local before = math.huge
    for hours = 47, 0, -1 do
      local bound = most(20, now + hours * 3600 + 1)
      assert.is_true(bound <= before)
      assert.is_true(bound <= math.max(60, (hours * 3600 + 1) // 8 + 1))
      before = bound
    end
    assert.equal(60, before)
    assert.equal(3600, most(20, now - DAY))
  end)

  it("is any time up to its bound, and never now", function()
    local function at(random)
      return schedule.retry(now, 5, now + 300 * DAY, nil, function() return random end) - now
    end
    assert.equal(1, at(0))
    assert.equal(240, at(0.5))
  end)

  it("is not before the time that a server has asked for", function()
    local function at(asked)
      return schedule.retry(now, 1, now + 300 * DAY, now + asked, function() return 0.5 end) - now
    end
    assert.same({ 7200, 15 }, { at(7200), at(1) })
  end)
end)

describe("schedule.asked", function()
  local now <const> = 1000000
  local function after(asked, left)
    return schedule.asked(now, asked, left and now + left) - now
  end

  it("is what a server asks for, within a week", function()
    assert.equal(7200, after(7200, 300 * DAY))
    assert.equal(7 * DAY, after(365 * DAY, 300 * DAY))
    assert.equal(7 * DAY, after(365 * DAY))
    assert.is_true(7 * DAY <= schedule.RETRY_MOST_S)
    assert.is_nil(schedule.asked(now, nil, now + DAY))
  end)

  it("is within half of what is left of a certificate, and at least a minute", function()
    local left, times = DAY, 0
    while left > 120 do
      left, times = left - after(7 * DAY, left), times + 1
    end
    assert.equal(10, times)
    assert.equal(60, after(7 * DAY, 100))
    assert.equal(30, after(30, 100))
    assert.equal(7 * DAY, after(7 * DAY, -DAY))
  end)
end)

describe("schedule.poll", function()
  it("7030-4.2.3 is not before the server wants it, and a little later for some", function()
    local at = schedule.poll(1000, 600, function() return 0 end)
    assert.equal(1600, at)
    assert.equal(1659, schedule.poll(1000, 600, function() return 0.999 end))
    assert.equal(1001, schedule.poll(1000, 0, function() return 0 end))
  end)
end)

describe("schedule.after_outage", function()
  local function at(since, ends, random)
    return schedule.after_outage(100 * DAY, 100 * DAY - since, ends, function() return random end)
  end

  it("is at once after a short one, and where there is no time to lose", function()
    assert.is_nil(at(3599, 130 * DAY, 0.5))
    assert.is_nil(at(3600, nil, 0.5))
    assert.is_nil(at(3600, 99 * DAY, 0.5))
  end)

  it("spreads those who waited over most of what they still have", function()
    assert.equal(100 * DAY, at(3600, 120 * DAY, 0))
    assert.equal(117 * DAY, at(3600, 120 * DAY, 1))
    assert.equal(103 * DAY, at(3600, 104 * DAY, 1))
  end)
end)

describe("schedule.is_believable", function()
  it("is no clock before lest was built, nor before the certificate in use", function()
    assert.is_false(schedule.is_believable(0))
    assert.is_false(schedule.is_believable(core.built - 1))
    assert.is_true(schedule.is_believable(core.built))
    assert.is_false(schedule.is_believable(core.built, core.built + DAY))
    assert.is_true(schedule.is_believable(core.built + DAY - 60, core.built + DAY))
  end)
end)
