-- Several policies of one label: all must approve, any may refuse or hold, the last states names.
local decision = require "lest.server.worker.decision"
local hooks = require "lest.server.worker.hooks"
local policy = require "lest.policy"
local stop = require "lest.policy.stop"

local LIMITS <const> = { seconds = 5, memory = 64 * 1024 * 1024 }

local function named(name) return policy.approve { subject = { { "CN", name } } } end

describe("policies of one label", function()
  local asked

  before_each(function() asked = 0 end)

  --- What the stack decides of hooks that give these verdicts.
  local function decide(...)
    local policies = {}
    for i, made in ipairs { ... } do
      policies[i] = { file = "/x/" .. i .. ".lua", hash = tostring(i), hooks = {
        enroll = function()
          asked = asked + 1
          if type(made) == "function" then return made() end
          return made
        end,
      } }
    end
    local joined = hooks.join(policies)
    return decision.run(joined.hooks.enroll, {}, LIMITS), joined
  end

  it("approve by the names of the last that states some", function()
    for _, verdicts in ipairs { { named "a", named "b" }, { policy.consent(), named "b" },
      { named "b", policy.consent() }, { named "a", named "b", policy.consent() } } do
      local verdict = decide(table.unpack(verdicts))
      assert.same({ "approve", { { "CN", "b" } } }, { verdict.verdict, verdict.subject })
    end
  end)

  it("refuse or hold where one does, and ask no other", function()
    for _, made in ipairs { policy.reject "no", policy.pending "no", policy.unavailable "no" } do
      local verdict = decide(named "a", made, named "b")
      assert.same({ made.verdict, "no", 2 }, { verdict.verdict, verdict.reason, asked })
      assert.matches("^stack_spec.lua:%d+$", verdict.rule)
      asked = 0
    end
  end)

  it("issue nothing where one gives no verdict, or fails", function()
    for problem, made in pairs {
      ["the policy returned nil, not a verdict"] = function() end,
      ["a rule returns a verdict or nil, not a boolean"] = function() return true end,
      ["on purpose"] = function() error "on purpose" end,
    } do
      local verdict = decide(made, named "b")
      assert.equal("error", verdict.verdict)
      assert.truthy(verdict.detail:find(problem, 1, true), verdict.detail)
      assert.matches("^1.lua, 2.lua: ", verdict.detail)
    end
  end)

  it("issue nothing where none states names", function()
    for _, verdicts in ipairs { { policy.consent() }, { policy.consent(), policy.consent() } } do
      local verdict = decide(table.unpack(verdicts))
      assert.equal("error", verdict.verdict)
      assert.matches("no policy of the label states names", verdict.detail)
    end
  end)

  it("bound each other: the shortest lifetime, and one profile", function()
    local verdict = decide(policy.consent { lifetime = "2d", profile = "a" },
      policy.approve { subject = { { "CN", "x" } }, lifetime = "3d" },
      policy.consent { lifetime = "1d" })
    assert.same({ 86400, "a" }, { verdict.lifetime, verdict.profile })
    verdict = decide(policy.consent { profile = "a" },
      policy.approve { subject = { { "CN", "x" } }, profile = "b" })
    assert.equal("error", verdict.verdict)
    assert.matches("two profiles, 'b' and 'a'", verdict.detail)
  end)

  it("are known together by their files and all their texts", function()
    local _, one = decide(named "a")
    assert.same({ "/x/1.lua", "1" }, { one.file, one.hash })
    local _, two = decide(named "a", named "b")
    assert.equal("/x/1.lua, /x/2.lua", two.file)
    assert.equal(64, #two.hash)
  end)

  it("have no say where they have no hook", function()
    local enroll = { hooks = { enroll = function() return named "a" end }, file = "a", hash = "" }
    local renew = { hooks = { reenroll = policy.renew(), csrattrs = function() return { "1" } end },
      file = "b", hash = "" }
    local more = { hooks = { csrattrs = function() return { "2" } end }, file = "c", hash = "" }
    local joined = hooks.join { enroll, renew, more }
    assert.equal(enroll.hooks.enroll, joined.hooks.enroll)
    assert.equal(renew.hooks.reenroll, joined.hooks.reenroll)
    assert.same({ "2" }, joined.hooks.csrattrs {})
  end)
end)

describe("a test that knows neither yes nor no", function()
  it("ends the decision, whatever stands around it", function()
    local function away() stop.raise("unavailable", "the list is away", "why") end
    for _, hook in ipairs { policy.first { policy.unless(away, named "a") },
      policy.when(policy.none { away }, named "a"), policy.first { away, named "a" } } do
      local verdict = decision.run(hook, {}, LIMITS)
      assert.same({ "unavailable", "the list is away", "why" },
        { verdict.verdict, verdict.reason, verdict.detail })
    end
  end)
end)
