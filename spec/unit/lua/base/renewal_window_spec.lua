-- When a server wants its certificates renewed: read from whoever wrote it, and put into bounds.
local window = require "lest.base.renewal_window"

describe("a renewal window", function()
  it("is read as it is written", function()
    for _, each in ipairs { { 0.5, 0.75 }, { 0, 0 }, { 0.333, 0.9 }, { 0.1, 0.1 } } do
      local read = window.read(window.write { from = each[1], to = each[2] })
      assert.same({ from = each[1] + 0.0, to = each[2] + 0.0 },
        { from = read.from + 0.0, to = read.to + 0.0 })
    end
    assert.equal("from=0.5, to=0.75", window.write { from = 0.5, to = 0.75 })
    assert.equal("from=0.0, to=0.9", window.write { from = 0, to = 0.9 })
  end)

  it("may have members that nobody knows, in any order", function()
    assert.same({ from = 0.5, to = 0.75 }, window.read "why=reload, to=0.75,from=0.5 , x=?1")
    assert.same({ from = 0.2, to = 0.75 }, window.read "from=0.5, to=0.75, from=0.2")
  end)

  it("is none where anything of it cannot be used", function()
    for _, wrong in ipairs { "", "from=0.5", "to=0.5", "from=0.8, to=0.7", "from=0.5, to=1.1",
      "from=-0.1, to=0.5", "from=.5, to=0.7", "from=0.5, to=0.7500", "from=0x0.1, to=0.5",
      "from=nan, to=nan", "from=inf, to=inf", "from=1e-1, to=0.5", "from=0.5; to=0.7",
      "From=0.5, To=0.7", "from=0.5, to=0.7, to=x", "from=0.5, to=0.7" .. (" "):rep(200),
      "from=2, to=3", "from=0,5, to=0,7" } do
      assert.is_nil(window.read(wrong), wrong)
    end
    assert.is_nil(window.read(nil))
  end)

  it("never begins before a tenth of a certificate's life, nor ends after nine tenths", function()
    for _, each in ipairs {
      { 0.5, 0.75, 1500, 1750 }, { 0, 0, 1100, 1100 }, { 0, 1, 1100, 1900 },
      { 1, 1, 1900, 1900 }, { -5, 99, 1100, 1900 }, { 0.7, 0.2, 1700, 1700 },
    } do
      local from, to = window.times({ from = each[1], to = each[2] }, 1000, 2000)
      assert.same({ each[3], each[4] }, { from, to })
      assert.equal("integer", math.type(from))
    end
    -- A certificate that ends before it begins.
    assert.same({ 2000, 2000 }, { window.times({ from = 0.5, to = 0.7 }, 2000, 1000) })
  end)

  it("is in a configuration what a header can say, and no later than clients would", function()
    assert.same({ from = 0, to = 0.9 }, window.accept { from = 0, to = 0.9 })
    for _, wrong in ipairs { { from = 0.5 }, { from = 0.6, to = 0.5 }, { from = 0.5, to = 0.95 },
      { from = -1, to = 0.5 }, { from = "0.5", to = 0.6 }, { from = 0.5, to = 0.6, x = 1 },
      { from = 0 / 0, to = 0.5 }, "0.5" } do
      assert.is_nil((window.accept(wrong)))
    end
  end)
end)
