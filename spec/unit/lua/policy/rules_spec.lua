-- The kit's rules: which one decides, what a plain function may do among them, and that a mistake
-- is told when the policy is loaded, with its line.
local decision = require "lest.server.worker.decision"
local hooks = require "lest.server.worker.hooks"
local policy = require "lest.policy"
local temporary = require "support.temporary"

local function yes() return true end
local function no() return false end

describe("policy.first", function()
  it("takes the first verdict, and asks no rule after it", function()
    local asked = 0
    local hook = policy.first {
      policy.when(no, policy.reject "never"),
      function() asked = asked + 1 end,
      policy.unless(no, policy.pending "here"),
      function() asked = asked + 100 end,
    }
    assert.equal("here", hook({}).reason)
    assert.equal(1, asked)
  end)

  it("refuses where no rule decides, and says so", function()
    local verdict = policy.first { policy.when(no, policy.reject "never"), no } {}
    assert.equal("reject", verdict.verdict)
    assert.equal("no rule allows this request", verdict.reason)
    assert.equal("none of 2 rules has decided", verdict.detail)
  end)

  it("gives each request a verdict of its own, also where it was made once", function()
    local closed = policy.reject "closed"
    for _, hook in ipairs { policy.first { closed }, policy.when(yes, closed),
      policy.first { function() return closed end } } do
      local verdict = hook {}
      verdict.detail = "of one request"
      assert.is_nil(hook({}).detail)
    end
    assert.is_nil(closed.rule)
  end)

  it("has the verdict say which rule decided", function()
    local inner = policy.first { policy.named("by name", policy.when(yes, policy.reject "x")) }
    assert.equal("by name", policy.first { inner }({}).rule)
    local line = debug.getinfo(1, "l").currentline + 1
    local outer = policy.first { policy.when(yes, policy.reject "x") }
    assert.equal("when at rules_spec.lua:" .. line, outer({}).rule)
    line = debug.getinfo(1, "l").currentline + 1
    outer = policy.first { function() return policy.reject "x" end }
    assert.equal("rules_spec.lua:" .. line, outer({}).rule)
    assert.equal("mine", policy.named("mine", policy.own_name()) {
      principal = { name = "x" }, csr = { subject = {}, san = {} } }.rule)
  end)

  it("is stopped by what is no answer", function()
    for problem, hook in pairs {
      ["a rule returns a verdict or nil, not a boolean"] = policy.first { yes },
      ["a test returns true or false, not a verdict"] =
        policy.first { policy.when(function() return policy.reject() end, policy.reject()) },
      ["the inventory is away"] =
        policy.first { function() return nil, "the inventory is away" end, policy.reject() },
      ["no list"] =
        policy.first { policy.unless(function() return nil, "no list" end, policy.reject()) },
      ["it is away"] = policy.first { policy.when(policy.none {
        policy.named("list", function() return nil, "it is away" end) }, policy.reject()) },
    } do
      assert.error_matches(function() hook {} end, problem)
    end
  end)
end)

describe("policy.all, any and none", function()
  it("are tests of tests", function()
    local T <const>, F <const> = yes, no
    for _, case in ipairs {
      -- tests, all, any, none
      { { T }, true, true, false }, { { F }, false, false, true },
      { { T, F }, false, true, false }, { { F, T }, false, true, false },
      { { T, T }, true, true, false }, { { F, F }, false, false, true },
    } do
      local tests = case[1]
      assert.same({ case[2], case[3], case[4] },
        { policy.all(tests) {}, policy.any(tests) {}, policy.none(tests) {} })
    end
  end)

  it("ask no test whose answer would change nothing", function()
    local function never() error "asked" end
    assert.is_false(policy.all { no, never } {})
    assert.is_true(policy.any { yes, never } {})
    assert.is_false(policy.none { yes, never } {})
  end)

  it("compose with when, unless and each other", function()
    local test = policy.all { policy.any { no, yes }, policy.none { no } }
    assert.equal("a", policy.when(test, policy.unless(no, policy.reject "a")) {}.reason)
    assert.is_nil(policy.unless(test, policy.reject "a") {})
  end)
end)

describe("a mistake in a rule", function()
  after_each(temporary.clean)

  local function load_text(text)
    return hooks.load(temporary.file(temporary.folder(), "policy.lua",
      "local policy = require 'lest.policy'\n\nreturn { enroll = " .. text .. " }"))
  end

  it("is told with the policy's line when it is loaded", function()
    for text, problem in pairs {
      ["policy.when(policy.key { reuse = true })"] =
        "policy.when: what follows the test must be a rule or a verdict, not nil",
      ["policy.when(nil, policy.reject())"] = "policy.when: the test must be a test, as ",
      ["policy.unless(policy.reject(), policy.reject())"] =
        "policy.unless: the test is a verdict, not a test",
      ["policy.when(policy.own_name(), policy.reject())"] =
        "policy.when: the test is a rule, not a test",
      ["policy.first {}"] = "policy.first: the list is empty",
      ["policy.first()"] = "policy.first takes a list, as { rule, rule }, not nil",
      ["policy.first(policy.reject())"] = "takes a list, as { rule, rule }, not a verdict",
      ["policy.first { policy.key { reuse = true } }"] =
        "policy.first: [1]: is a test, not a rule: write policy.when(test, verdict)",
      ["policy.first { policy.reject(), nil, policy.reject() }"] =
        "policy.first: [2]: must be a rule or a verdict, not nil",
      ["policy.first { policy.own_name, 5 }"] = "[2]: must be a rule or a verdict, not a number",
      ["policy.first { rule = policy.reject() }"] = "'rule': a list has no named entries",
      ["policy.all { policy.own_name() }"] = "policy.all: [1]: is a rule, not a test",
      ["policy.any(print)"] = "policy.any takes a list, as { test, test }, not a function",
      ["policy:first {}"] = "write policy.first with a dot, not a colon",
      ["policy.frist {}"] = "lest.policy has no 'frist', did you mean 'first'?",
      ["policy.named('', print)"] = "policy.named: the name must be a printable text",
      ["policy.named('a\\n', print)"] = "policy.named: the name must be a printable text",
      ["policy.named('a', policy.reject())"] = "policy.named takes a name and a rule or test, not",
      ["policy.renew { windw = 1 }"] = "policy.renew: windw: unknown, did you mean 'window'?",
    } do
      local loaded, err = load_text(text)
      assert.is_nil(loaded, text)
      assert.truthy(err.message:find("policy.lua:3: ", 1, true), err.message)
      assert.truthy(err.message:find(problem, 1, true), err.message)
    end
  end)

  it("is also a test where a hook is wanted", function()
    local _, err = load_text "policy.key { reuse = true }"
    assert.matches("hook 'enroll' is a test, not a rule: write policy.when", err.message)
  end)

  it("that shows in a request is told with the rule's line", function()
    local loaded = assert(load_text
      "policy.first {\n\n  policy.when(function(r) return r.nme end, policy.reject()) }")
    local verdict = decision.run(loaded.hooks.enroll, setmetatable({}, {
      __index = function() error("no such field", 2) end }), { seconds = 5, memory = 1 << 24 })
    assert.equal("error", verdict.verdict)
    assert.matches("^first at policy.lua:3: [^\n]*/policy.lua:5: no such field", verdict.detail)
  end)
end)
