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
end)
