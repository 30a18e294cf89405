-- What webhook.lua makes of a service's answers. Run: lest policy test
local kit = require "lest.policy"
local testing = require "lest.testing"

describe("webhook.lua", function()
  local request = testing.request { principal = testing.basic "device001" }

  local function answering(answer)
    return testing.policy("webhook.lua", { with = kit.own_name(),
      options = { url = "https://ra/decide" }, http = function(question)
        assert.matches("^POST https://ra/decide", question)
        return answer
      end })
  end

  it("leaves the names to the next policy, where the service approves", function()
    assert.approves(answering { json = { verdict = "approve" } }, request,
      { subject = "CN=device001" })
  end)

  it("refuses and holds as the service says", function()
    assert.rejects(answering { json = { verdict = "reject", reason = "lost" } }, request, "lost")
    assert.holds(answering { json = { verdict = "pending" } }, request)
    assert.rejects(answering { json = { verdict = "reject", reason = { 1 } } }, request)
  end)

  it("issues nothing without a verdict of the service", function()
    for _, answer in ipairs { 500, 302, { body = "approve" }, { json = { "approve" } },
      { json = { verdict = "approved" } }, { json = { verdict = true } },
      { json = { approve = true } }, { err = "timeout" } } do
      assert.unavailable(answering(answer), request, "cannot be decided now")
    end
  end)
end)
