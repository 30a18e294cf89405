-- A decision ends as a verdict whatever a hook does.
local decision = require "lest.server.worker.decision"
local lest = require "lest"
local policy = require "lest.policy"
local task = require "lest.task"

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

  it("is none where the process has no memory, and an error where the hook took it", function()
    local ok, problem = pcall(decision.run, function() error("not enough memory", 0) end, {},
      LIMITS)
    assert.same({ false, "not enough memory" }, { ok, problem })
    local function hoard() return ("x"):rep(LIMITS.memory) end
    local function raise_later()
      local _, caught = pcall(hoard)
      task.sleep(0.001)
      error(caught, 0)
    end
    for _, hook in ipairs { hoard, raise_later, function() return lest.retry { hoard } end,
      function() return lest.all { hoard } end } do
      local verdict = decision.run(hook, {}, LIMITS)
      assert.same({ "error", "the decision used more than its memory" },
        { verdict.verdict, verdict.detail })
    end
  end)

  it("bounds what its hook starts, also after a wait, and ends it", function()
    local function after_a_wait(fn)
      return function()
        return lest.all { function()
          task.sleep(0.001)
          return fn()
        end }
      end
    end
    local limits = { seconds = 1, memory = LIMITS.memory }
    local verdict = decision.run(after_a_wait(function() while true do end end), {}, limits)
    assert.equal("error", verdict.verdict)
    assert.matches("took too long", verdict.detail)
    verdict = decision.run(after_a_wait(function() return ("x"):rep(LIMITS.memory) end), {}, LIMITS)
    assert.same({ "error", "the decision used more than its memory" },
      { verdict.verdict, verdict.detail })
    local ended = false
    verdict = decision.run(function()
      task.spawn(function()
        local closing <close> = setmetatable({}, { __close = function() ended = true end })
        task.sleep(1000)
        return closing
      end)
      return policy.reject "no"
    end, {}, LIMITS)
    assert.same({ "reject", true }, { verdict.verdict, ended })
  end)

  it("waits past its deadline where that is deferred meanwhile, and no longer", function()
    local limit
    local limits = { seconds = 1, memory = LIMITS.memory, on_limit = function(made)
      limit = limit or made
    end }
    local verdict = decision.run(function()
      limit:defer(limit.deadline_ms + 400)
      task.sleep(1.2)
      return policy.reject "in time"
    end, {}, limits)
    assert.equal("in time", verdict.reason)
    limit = nil
    verdict = decision.run(function()
      limit:defer(limit.deadline_ms - 900)
      task.sleep(1000)
    end, {}, limits)
    assert.matches("took too long", verdict.detail)
  end)

  local here = debug.getinfo(1, "S").short_src

  local function detail_of(hook, profiles)
    local verdict = decision.run(hook, {}, LIMITS, profiles)
    assert.equal("error", verdict.verdict)
    return verdict.detail:match "^[^\n]*"
  end

  local function expect(line, text, hook)
    assert.equal(("%s:%s: %s"):format(here, line, text), detail_of(hook))
  end

  it("names the line of a mistake, also of one that the hook ends with", function()
    local line = debug.getinfo(1, "l").currentline
    local function tail() return policy.approve { subjet = 1 } end
    local function plain()
      local verdict = policy.reject { resaon = 1 }
      return verdict
    end
    local function misspelt() return policy.aprove {} end
    local function helper() return tail() end
    local function renewal() return policy.renew { windw = "1d" } end
    local subject = "policy.approve: subjet: unknown, did you mean 'subject'?"
    expect(line + 1, subject, tail)
    expect(line + 1, subject, helper)
    expect(line + 3, "policy.reject: resaon: unknown, did you mean 'reason'?", plain)
    expect(line + 6, "lest.policy has no 'aprove', did you mean 'approve'?", misspelt)
    expect(line + 8, "policy.renew: windw: unknown, did you mean 'window'?", renewal)
  end)

  it("names the line also of an error that is no text, and says what it is", function()
    local line = debug.getinfo(1, "l").currentline + 3
    local function raising(value, level)
      return function()
        error(value, level)
      end
    end
    local function object(to_text) return setmetatable({}, { __tostring = to_text }) end
    expect(line, "a table was raised as an error: []", raising {})
    expect(line, 'a table was raised as an error: {"code":"x"}', raising { code = "x" })
    expect(line, "error() was called without a message", raising(nil))
    expect(line, "an error of type table", raising(object(function() error "no" end)))
    expect(line, "an error of type table", raising { print })
    expect(line, "its own words", raising(object(function() return "its own words" end)))
    expect(line, "no place", raising("no place", 0))
    expect(line, "a verdict was raised as an error: write `return policy.reject ...`",
      raising(policy.reject "no"))
  end)

  it("is not held up by an error that never says what it is", function()
    local loop = setmetatable({}, { __tostring = function() while true do end end })
    assert.matches("an error of type table$", detail_of(function() error(loop) end))
  end)

  it("says what a hook returned in place of a verdict, and whose it is", function()
    local line = debug.getinfo(1, "l").currentline
    for expected, value in pairs {
      ["a boolean, not a verdict, as policy.approve"] = true, ["'approve', not"] = "approve",
      ["a function, not a verdict: call it"] = policy.own_name(),
    } do
      local said = detail_of(function() return value end)
      assert.truthy(said:find(("%s:%d (the hook): the policy returned %s"):format(here, line + 5,
        expected), 1, true), said)
    end
    assert.matches("the policy returned nil, not a verdict: write `return policy.approve",
      detail_of(function() policy.reject "no" end))
  end)

  it("is an error for a profile that the label does not have, with those that it has", function()
    local function hook() return policy.approve { renewal = true, profile = "devise" } end
    assert.matches("%(the hook%): the label does not have the profile 'devise', did you mean "
      .. "'device'%?: it has device, other$", detail_of(hook, { "device", "other" }))
    assert.equal("approve", decision.run(hook, {}, LIMITS, { "devise" }).verdict)
  end)

  it("takes no verdict that was changed after it was made", function()
    local verdict = policy.reject "no"
    verdict.reason = {}
    assert.same({ verdict = "error", detail = "a verdict was changed after it was made" },
      decision.fields(verdict))
  end)
end)
