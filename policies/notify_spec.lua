-- What notify.lua tells a service, and when it is called again. Run: lest policy test
local testing = require "lest.testing"

describe("notify.lua", function()
  local asked

  local function answering(answer, token)
    return testing.policy("notify.lua", { options = { url = "https://a/lest", token = token },
      http = function(question)
        asked = question
        return answer
      end })
  end

  it("has told it where the service answers so", function()
    for _, status in ipairs { 200, 201, 204 } do
      assert.is_true(answering(status):issued(testing.event()))
      assert.matches("^POST https://a/lest", asked)
      assert.is_true(answering(status):revoked(testing.event { reason = "superseded" }))
    end
  end)

  it("is called again where it does not", function()
    for _, answer in ipairs { 500, 404, 302, { err = "timeout" } } do
      for _, kind in ipairs { "issued", "revoked" } do
        local heard, problem = answering(answer)[kind](answering(answer), testing.event())
        assert.is_false(heard)
        assert.matches(type(answer) == "table" and "timeout" or "answers " .. answer, problem)
      end
    end
  end)

  it("decides nothing", function()
    assert.rejects(answering(200), testing.request(), "not offered")
  end)
end)
