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
    local long = decision.run(function() error(("x"):rep(20000), 0) end, {}, LIMITS)
    assert.equal(8000, #long.detail)
  end)

  it("names the place of a mistake, also of one in a tail call, which leaves no line", function()
    local function detail_of(hook) return decision.run(hook, {}, LIMITS).detail end
    local here = debug.getinfo(1, "S").short_src
    local line = debug.getinfo(1, "l").currentline
    local function tail() return policy.approve { subjet = 1 } end
    local function plain()
      local verdict = policy.reject { resaon = 1 }
      return verdict
    end
    local function misspelt() return policy.aprove {} end
    local prefix = here .. ":" .. line + 1
      .. " (the hook): policy.approve: subjet: unknown, did you mean 'subject'?"
    assert.equal(prefix, detail_of(tail):sub(1, #prefix))
    prefix = here .. ":" .. line + 3 .. ": policy.reject: resaon: unknown, did you mean 'reason'?"
    assert.equal(prefix, detail_of(plain):sub(1, #prefix))
    prefix = here .. ":" .. line + 6 .. ": lest.policy has no 'aprove', did you mean 'approve'?"
    assert.equal(prefix, detail_of(misspelt):sub(1, #prefix))
  end)

  it("takes no verdict that was changed after it was made", function()
    local verdict = policy.reject "no"
    verdict.reason = {}
    assert.same({ verdict = "error", detail = "a verdict was changed after it was made" },
      decision.fields(verdict))
  end)
end)
