-- What a function returns that could not do its work, and that a cause is not lost on the way.
local core = require "lest.core"
local fail = require "lest.base.fail"
local temporary = require "support.temporary"
local trust = require "lest.client.trust"

describe("fail", function()
  it("gives nil and an error with its fields", function()
    local cause = core.error.new { code = "io", message = "gone" }
    local result, err = fail("config", "it cannot be read", { cause = cause, detail = "x" })
    assert.is_nil(result)
    assert.is_true(core.error.is(err))
    assert.same({ "config", "it cannot be read", "x" }, { err.code, err.message, err.detail })
    assert.equal(cause, err.cause)
    assert.error_matches(function() fail("config", "x", cause) end, "field 'cause'")
  end)

  it("says why trust anchors cannot be read", function()
    local path = temporary.file(temporary.folder(), "ca.pem", "no certificate")
    local opened, err = trust.open(path)
    assert.is_nil(opened)
    assert.equal("config", err.code)
    assert.matches("ca.pem: ", tostring(err.cause))
    temporary.clean()
  end)
end)
