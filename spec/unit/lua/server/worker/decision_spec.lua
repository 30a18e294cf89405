-- A decision ends as a verdict whatever a hook does.
local decision = require "lest.server.worker.decision"
local policy = require "lest.policy"

local LIMITS <const> = { seconds = 5, memory = 64 * 1024 * 1024 }

describe("a decision", function()
  it("is the verdict of its hook", function()
    local verdict = decision.run(function(request) return policy.reject(request) end, "no", LIMITS)
    assert.same({ "reject", "no" }, { verdict.verdict, verdict.reason })
    assert.equal("reject", decision.run(nil, {}, LIMITS).verdict)
  end)

  it("is an error for what is no verdict, and for an error of any kind", function()
    local mute = setmetatable({}, { __tostring = function() error "not even this" end })
    for _, hook in ipairs { function() return 5 end, function() error "on purpose" end,
      function() error(mute) end, function() error() end } do
      local verdict = decision.run(hook, {}, LIMITS)
      assert.equal("error", verdict.verdict)
      assert.is_string(verdict.detail)
    end
  end)

  it("takes no verdict that was changed after it was made", function()
    local verdict = policy.reject "no"
    verdict.reason = {}
    assert.same({ verdict = "error", detail = "a verdict was changed after it was made" },
      decision.fields(verdict))
  end)
end)
