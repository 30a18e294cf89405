-- Lines of the log that strangers can cause: how many, how long.
local core = require "lest.core"
local lines = require "lest.server.wire.lines"

describe("lines of a stranger", function()
  local written, now, shows_debug, originals

  before_each(function()
    written, now, shows_debug = {}, 1000, false
    originals = { core.log, core.clock }
    core.log = {
      write = function(level, event, fields) table.insert(written, { level, event, fields }) end,
      shows = function() return shows_debug end,
    }
    core.clock = { monotonic_ms = function() return now end }
  end)
  after_each(function() core.log, core.clock = table.unpack(originals) end)

  it("are written so often in a period, and the others are counted", function()
    local refusals = lines.new "refusal"
    for i = 1, 1000 do refusals:write("info", { "n", i }) end
    assert.equal(200, #written)
    assert.same({ "info", "refusal", { "n", 1 } }, written[1])
    now = now + 12500
    refusals:write("info", { "n", 1001 })
    assert.same({ { "warning", "lines left out",
      { "message", "refusal: 800 more within 12 seconds" } },
      { "info", "refusal", { "n", 1001 } } }, table.move(written, 201, 203, 1, {}))
  end)

  it("need not be made where they are left out", function()
    local refusals = lines.new "refusal"
    for _ = 1, 200 do
      assert.is_false(refusals:leaves_out())
      refusals:write("info", {})
    end
    assert.is_true(refusals:leaves_out())
    assert.is_true(refusals:leaves_out())
    now = now + 10000
    assert.is_false(refusals:leaves_out())
    assert.equal("refusal: 2 more within 10 seconds", written[201][3][2])
  end)

  it("are all written for who looks for a fault", function()
    shows_debug = true
    local refusals = lines.new "refusal"
    for _ = 1, 300 do refusals:write("info", {}) end
    assert.equal(300, #written)
  end)

  it("hold as much of its words as a reader needs", function()
    assert.is_false(lines.short(nil))
    assert.equal("a\27b", lines.short "a\27b") -- the log escapes it
    assert.equal(("x"):rep(200) .. "...", lines.short(("x"):rep(5000)))
  end)
end)
