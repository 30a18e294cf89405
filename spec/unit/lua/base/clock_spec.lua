-- A clock that looks behind is said where certificates are not valid yet by it.
local clock = require "lest.base.clock"
local core = require "lest.core"

describe("a clock that looks behind", function()
  it("is said of what is not yet valid, once, wherever that stands", function()
    local cause = core.error.new { code = "cert_untrusted",
      message = "certificate CN=x (depth 0) is not trusted: certificate is not yet valid: 2030" }
    local err = core.error.new { code = "trust", message = "it is not accepted", cause = cause }
    local pattern = "; this machine's clock says %d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d UTC"
    assert.matches("^it is not accepted" .. pattern .. "$", clock.explain(err).message)
    assert.matches("^it is not accepted" .. pattern .. "$", clock.explain(err).message)
    assert.matches(pattern, clock.explain(cause).message)
  end)

  it("is not said of anything else", function()
    local err = core.error.new { code = "trust", message = "it is expired", cause = "a text" }
    assert.equal("it is expired", clock.explain(err).message)
  end)

  it("is before the day of the build", function()
    assert.is_false(clock.is_behind())
    local built = core.built
    finally(function() core.built = built end)
    core.built = built + 10 * 365 * 86400
    assert.is_true(clock.is_behind())
  end)

  it("writes a time, and of what is none its number", function()
    assert.equal("1970-01-01 00:00:00 UTC", clock.text(0))
    assert.equal("9999-12-31 23:59:59 UTC", clock.text(253402300799))
    assert.equal("253402300800 s after 1970", clock.text(253402300800))
    assert.equal(math.maxinteger .. " s after 1970", clock.text(math.maxinteger))
    assert.equal(math.mininteger .. " s after 1970", clock.text(math.mininteger))
  end)

  it("reads a time as it is written, and shorter ones", function()
    for text, seconds in pairs { ["1970-01-01"] = 0, ["2000-02-29 12:30"] = 951827400,
      ["2026-01-31 12:00:01"] = 1769860801, ["2026-01-31T12:00:01Z"] = 1769860801,
      ["9999-12-31 23:59:59 UTC"] = 253402300799 } do
      assert.equal(seconds, clock.parse(text), text)
    end
    for _, days in ipairs { 0, 59, 60, 365, 11016, 20454, 47540, 2932896 } do
      assert.equal(days * 86400, clock.parse(clock.text(days * 86400)))
    end
    for _, text in ipairs { "", "2026", "2026-02-29", "2026-13-01", "2026-00-10", "2026-01-32",
      "2026-01-31 24:00", "2026-01-31 12:60", "2026-1-1", "x026-01-31", "2026-01-31 12",
      "2026-01-31 12:00 CET", "2026-01-31x12:00" } do
      assert.is_nil(clock.parse(text), text)
    end
  end)
end)
