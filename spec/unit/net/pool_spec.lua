-- The pool of threads answers by callback, is bounded, and never holds the loop.
local core = require "lest.core"

local cheap <const> = { n = 16, r = 1, p = 1 }

describe("the pool of threads", function()
  it("answers by callback with what the blocking call gives", function()
    local pool <close> = assert(core.pool.new())
    local hash, err
    assert(pool:scrypt("password", "salt", function(...) hash, err = ... end))
    while not hash and core.loop.turn() do end -- luacheck: ignore 542
    assert.is_nil(err)
    assert.equal(core.secret.scrypt("password", "salt"), hash)
  end)

  it("lets the loop turn meanwhile, and end when nothing is under way", function()
    local pool <close> = assert(core.pool.new { threads = 1 })
    local ticks, hash = 0, nil
    local timer
    local function tick()
      ticks = ticks + 1
      timer = not hash and core.loop.timer(1, tick)
    end
    tick()
    assert(pool:scrypt("x", "y", function(value) hash = value end, { n = 1 << 15 }))
    while core.loop.turn() do end -- luacheck: ignore 542
    assert.equal(32, #hash)
    assert.is_true(ticks > 5, ticks .. " ticks")
    assert.is_falsy(timer)
  end)

  it("refuses with `unavailable` beyond its bound, and takes more once there is room", function()
    local pool <close> = assert(core.pool.new { threads = 1, queue = 2 })
    local done = 0
    local function count() done = done + 1 end
    assert(pool:scrypt("a", "s", count, cheap))
    assert(pool:scrypt("b", "s", count, cheap))
    local ok, err = pool:scrypt("c", "s", count, cheap)
    assert.is_nil(ok)
    assert.equal("unavailable", err.code)
    while done < 2 do assert(core.loop.turn()) end
    assert(pool:scrypt("c", "s", count, cheap))
    while done < 3 do assert(core.loop.turn()) end
  end)

  it("gives each of many jobs its own answer", function()
    local pool <close> = assert(core.pool.new { threads = 4, queue = 200 })
    local answers, count = {}, 0
    for i = 1, 200 do
      assert(pool:scrypt("p" .. i, "s", function(hash)
        answers[i] = hash
        count = count + 1
      end, cheap))
    end
    while count < 200 do assert(core.loop.turn()) end
    for i = 1, 200 do assert.equal(core.secret.scrypt("p" .. i, "s", cheap), answers[i]) end
  end)

  it("calls nobody back once it is closed, also by a callback", function()
    local pool = assert(core.pool.new { threads = 1, queue = 100 })
    local called = 0
    for _ = 1, 50 do
      assert(pool:scrypt("x", "y", function()
        called = called + 1
        pool:close()
      end, cheap))
    end
    while core.loop.turn() do end -- luacheck: ignore 542
    assert.equal(1, called)
    assert.error_matches(function() pool:scrypt("x", "y", print, cheap) end, "closed lest.pool")
    pool = assert(core.pool.new { threads = 2 })
    for _ = 1, 20 do assert(pool:scrypt("x", "y", function() called = called + 1 end)) end
    pool:close()
    core.loop.turn()
    assert.equal(1, called)
  end)
end)
