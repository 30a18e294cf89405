-- The rates of policies: what is counted by what, and how much memory whom it is for.
local rates_module = require "lest.server.authority.rates"

describe("the authority's rates", function()
  local now, rates
  before_each(function()
    now = 0
    rates = rates_module.new { now_ms = function() return now end, keys_max = 100,
      all_keys_max = 150 }
  end)

  local function request(device, changes)
    local made = { device = device, ledger_name = device, key_hash = "k", channel = { worker = 1 },
      csr = { subject = "CN=x" }, begin = { address = "192.0.2.7", label = "default" } }
    for key, value in pairs(changes or {}) do made[key] = value end
    return made
  end

  local function question(changes)
    local made = { name = "policy.lua:1", per = { "device" }, most = 2, every = 60 }
    for key, value in pairs(changes or {}) do made[key] = value end
    return made
  end

  local function take(device, changes, of)
    return rates:take(request(device, of), question(changes))
  end

  it("let through so many in each period, and say what was counted", function()
    assert.same({ within = true, count = 1 }, take "a")
    assert.same({ within = true, count = 2 }, take "a")
    for _ = 1, 2 do assert.same({ within = false, count = 2, wait = 60 }, take "a") end
    assert.is_true(take "b".within)
    now = 59999
    assert.equal(1, take "a".wait)
    now = 120000
    assert.same({ within = true, count = 1 }, take "a")
  end)

  it("are apart where anything of the question is another", function()
    for _ = 1, 2 do take "a" end
    assert.is_false(take "a".within)
    for _, changes in ipairs { { name = "policy.lua:2" }, { most = 3 }, { every = 61 },
      { per = { "principal" } }, { per = { "device", "label" } } } do
      assert.equal(1, take("a", changes).count)
    end
  end)

  it("count by what the authority knows of the request", function()
    local others <const> = {
      address = { begin = { address = "192.0.2.8", label = "default" } },
      network = { begin = { address = "192.0.3.7", label = "default" } },
      principal = { ledger_name = "z" }, device = { device = "z" },
      subject = { csr = { subject = "CN=z" } }, key = { key_hash = "z" },
      label = { begin = { address = "192.0.2.7", label = "z" } },
    }
    for per, other in pairs(others) do
      assert.equal(1, take("a", { per = { per } }).count, per)
      assert.equal(2, take("a", { per = { per } }).count, per)
      assert.equal(1, take("a", { per = { per } }, other).count, per)
    end
    -- One host, and its neighbours.
    assert.equal(1, take("a", { name = "n", per = { "network" } }).count)
    assert.equal(2, take("a", { name = "n", per = { "network" } }, others.address).count)
    -- Keys that are put together the same way from other parts are not the same.
    assert.equal(1, take("a", { name = "m", per = { "principal", "key" } },
      { ledger_name = "ab", key_hash = "c" }).count)
    assert.equal(1, take("a", { name = "m", per = { "principal", "key" } },
      { ledger_name = "a", key_hash = "bc" }).count)
    local long = ("x"):rep(5000)
    assert.equal(1, take(long).count)
    assert.equal(2, take(long).count)
    assert.equal(1, take(long .. "y").count)
  end)

  it("give one device a tenth of the keys", function()
    local made = 0
    for i = 1, 50 do
      if take("a", { per = { "key" } }, { key_hash = "k" .. i }) then made = made + 1 end
    end
    assert.equal(10, made)
    local _, problem = take("a", { per = { "key" } }, { key_hash = "k51" })
    assert.equal("the rate has no room for one more key", problem)
    -- What it has, it goes on counting; others have theirs; the next period is another one.
    assert.equal(2, take("a", { per = { "key" } }, { key_hash = "k1" }).count)
    assert.equal(1, take("b", { per = { "key" } }, { key_hash = "k51" }).count)
    now = 60000
    assert.equal(1, take("a", { per = { "key" } }, { key_hash = "k60" }).count)
  end)

  it("end where they are full, and forget nobody for it", function()
    for i = 1, 100 do assert.is_table(take("d" .. i)) end
    assert.is_nil((take "d101"))
    assert.equal(2, take "d1".count)
    for i = 1, 50 do assert.is_table(take("d" .. i, { name = "another" })) end
    assert.is_nil((take("d51", { name = "another" })))
    now = 180000
    assert.equal(1, take "d101".count)
  end)

  it("are so many a worker", function()
    for i = 1, 64 do assert.is_table(take("a", { name = "r" .. i })) end
    local _, problem = take("a", { name = "r65" })
    assert.equal("a worker counts no more than 64 rates", problem)
    assert.equal(2, take("a", { name = "r1" }).count)
    assert.is_table(take("a", { name = "r65" }, { channel = { worker = 2 } }))
  end)
end)
