-- The limiter counts attempts a minute for each key, in bounded memory.
local limiter = require "lest.server.authority.limiter"

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
    assert.is_number(limit:wait "a")
    assert.is_nil(limit:wait "b")
    now = 121000
    assert.is_nil(limit:wait "a")
  end)

  it("counts across the edge of a window", function()
    now = 59000
    for _ = 1, 3 do limit:count "a" end
    now = 61000
    limit:count "a"
    assert.is_number(limit:wait "a")
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
end)
