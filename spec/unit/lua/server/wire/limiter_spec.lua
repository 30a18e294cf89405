-- The limiter counts attempts a minute for each key, in bounded memory.
local limiter = require "lest.server.wire.limiter"

describe("a limiter", function()
  local now, limit

  before_each(function()
    now = 0
    limit = limiter.new { per_minute = 3, now_ms = function() return now end, keys_max = 100 }
  end)

  it("lets through so many a minute for each key", function()
    for _ = 1, 3 do
      assert.is_nil(limit:wait "a")
      limit:count "a"
    end
    assert.equal(60, limit:wait "a")
    assert.is_nil(limit:wait "b")
    now = 121000
    assert.is_nil(limit:wait "a")
  end)

  it("counts what it lets through, and nothing else", function()
    for _ = 1, 3 do assert.is_nil(limit:take "a") end
    for _ = 1, 3 do assert.equal(60, limit:take "a") end
    now = 80000 -- two thirds of the window before still count: two of three, not four of six
    assert.is_nil(limit:take "a")
  end)

  it("counts in windows of another length, and says what it has counted", function()
    local hourly = limiter.new { per_minute = 2, now_ms = function() return now end,
      window_ms = 3600000 }
    for _ = 1, 2 do assert.is_nil(hourly:take "a") end
    now = 60000
    assert.equal(3540, hourly:take "a")
    assert.same({ 2, 3540000 }, { hourly:recent "a" })
    assert.equal(1, hourly:held())
    now = 3600000 + 1800000
    assert.equal(1, (hourly:recent "a"))
    assert.is_nil(hourly:take "a")
    assert.equal(2, hourly:held())
    now = 4 * 3600000
    assert.equal(0, hourly:held())
  end)

  it("says how long, to the end of the window", function()
    for _ = 1, 3 do limit:count "a" end
    for at, expected in pairs { [0] = 60, [1] = 59, [30000] = 30, [58000] = 2, [59000] = 1,
      [59999] = 1 } do
      now = at
      assert.equal(expected, limit:wait "a")
    end
  end)

  it("counts an older window by the share of it that is within a minute", function()
    now = 59000
    for _ = 1, 3 do limit:count "a" end
    -- Just past the edge all three still count, a second later two of them do.
    now = 60000
    assert.equal(60, limit:wait "a")
    now = 61000
    assert.is_nil(limit:wait "a")
    limit:count "a"
    assert.equal(59, limit:wait "a")
    -- 3 * 1/3 and the one that came since are fewer than three.
    now = 100000
    assert.is_nil(limit:wait "a")
    limit:count "a"
    assert.equal(20, limit:wait "a")
    -- At 40 s, 3 * 1/3 is one; a millisecond later it is none.
    now = 100001
    assert.is_nil(limit:wait "a")
  end)

  it("forgets a window that is older than a minute", function()
    for _ = 1, 3 do limit:count "a" end
    now = 119999
    assert.is_nil(limit:wait "a")
    assert.is_nil(limit:wait "b")
    for _ = 1, 3 do limit:count "a" end
    now = 240000
    for _ = 1, 2 do limit:count "a" end
    assert.is_nil(limit:wait "a")
    limit:count "a"
    assert.equal(60, limit:wait "a")
  end)

  it("keeps bounded memory", function()
    for i = 1, 10000 do limit:count("key" .. i) end
    local kept = 0
    for _ in pairs(limit.counts) do kept = kept + 1 end
    for _ in pairs(limit.before) do kept = kept + 1 end
    assert.is_true(kept <= 200)
  end)

  it("takes back what turned out to be no failure", function()
    for _ = 1, 3 do limit:count "a" end
    limit:uncount "a"
    assert.is_nil(limit:wait "a")
    limit:count "a"
    assert.is_number(limit:wait "a")
    now = 60000
    limit:uncount "a"
    assert.is_nil(limit:wait "a")
    for _ = 1, 5 do limit:uncount "a" end
    for _ = 1, 3 do
      assert.is_nil(limit:wait "a")
      limit:count "a"
    end
    assert.is_number(limit:wait "a")
    limit:uncount "never counted"
    assert.is_nil(limit:wait "never counted")
  end)

  it("counts an IPv6 network, of which one subscriber has every address, as one", function()
    for address, network in pairs {
      ["192.0.2.1"] = "192.0.2.1", ["unix"] = "unix",
      ["2001:db8:1:2:3:4:5:6"] = "2001:db8:1:2::/64",
      ["2001:db8::5"] = "2001:db8:0:0::/64", ["2001:db8:1:2::"] = "2001:db8:1:2::/64",
      ["::1"] = "0:0:0:0::/64", ["::2:3:4:5:6:7"] = "0:0:2:3::/64", ["1::"] = "1:0:0:0::/64",
      [":"] = "::/64", ["::"] = "0:0:0:0::/64",
    } do
      assert.equal(network, limiter.network(address))
    end
  end)

  it("knows the site of an address", function()
    for address, site in pairs {
      ["192.0.2.1"] = "192.0.2.0/24", ["192.0.2.254"] = "192.0.2.0/24", ["unix"] = "unix",
      ["2001:db8:1:2:3:4:5:6"] = "2001:db8:1::/48", ["2001:db8::5"] = "2001:db8:0::/48",
    } do
      assert.equal(site, limiter.site(address))
    end
  end)
end)
