-- The journal of a decision: what it notes, what bounds it, and that a policy cannot undo it.
local core = require "lest.core"
local decision = require "lest.server.worker.decision"
local journals = require "lest.policy.journal"
local lest = require "lest"
local policy = require "lest.policy"
local rule = require "lest.policy.rule"
local task = require "lest.task"
local trace = require "lest.base.trace"

local SECONDS <const>, MEMORY <const> = 5, 64 * 1024 * 1024

--- Decide with a journal of these options.
local function decide(hook, options, request)
  local journal = journals.new(options)
  local verdict = decision.run(hook, request or {},
    { seconds = SECONDS, memory = MEMORY, journal = journal })
  return verdict, journal
end

--- "depth kind name outcome saw" of each step; a place is without its line.
local function lines_of(journal)
  local lines = {}
  local steps, more = journals.steps(journal)
  for i, step in ipairs(steps) do
    assert.equal("integer", math.type(step.us))
    lines[i] = ("%d %s %s %s%s"):format(step.depth, step.kind, step.name:gsub(":%d+$", ""),
      step.outcome, step.saw ~= nil and " " .. tostring(step.saw) or "")
  end
  return lines, more
end

local function no() return false, "192.0.2.7" end
local function yes() return true, 42 end

describe("a journal", function()
  it("has each rule and test in order, with what it said and saw", function()
    local verdict, journal = decide(policy.first {
      policy.when(no, policy.reject "never"),
      function() end,
      policy.named("mine", policy.when(policy.all { yes, policy.none { no } },
        policy.first { policy.pending "here" })),
      function() error "not asked" end,
    })
    assert.equal("pending", verdict.verdict)
    local spec <const> = "journal_spec.lua"
    assert.same({
      "0 rule first at " .. spec .. " pending",
      "1 rule when at " .. spec .. " -",
      "2 test " .. spec .. " no 192.0.2.7",
      "1 rule " .. spec .. " -",
      "1 rule mine pending",
      "2 test all at " .. spec .. " yes",
      "3 test " .. spec .. " yes 42",
      "3 test none at " .. spec .. " yes",
      "4 test " .. spec .. " no 192.0.2.7",
      "2 rule first at " .. spec .. " pending",
      "3 rule policy.pending pending",
    }, (lines_of(journal)))
  end)

  it("has a hook that is one function, and what raised or did not end", function()
    local _, journal = decide(function() return policy.reject "no" end)
    assert.same({ "0 rule journal_spec.lua reject" }, (lines_of(journal)))
    local function broken() error "on purpose" end
    local verdict
    verdict, journal = decide(policy.first { policy.when(broken, policy.reject()) })
    assert.equal("error", verdict.verdict)
    assert.same({ "0 rule first at journal_spec.lua error", "1 rule when at journal_spec.lua error",
      "2 test journal_spec.lua error" }, (lines_of(journal)))
    _, journal = decide(function() return 5 end)
    assert.same({ "0 rule journal_spec.lua error" }, (lines_of(journal)))
    -- A policy may catch an error: what follows is no deeper.
    _, journal = decide(policy.first { function(request)
      pcall(policy.first { broken }, request)
      return policy.first { no, policy.reject() }(request)
    end })
    assert.equal("2 rule journal_spec.lua error", (lines_of(journal))[3])
  end)

  it("is that of the tasks which a decision starts, and of no other", function()
    local first = policy.first { policy.reject "no" }
    local _, journal = decide(function(request)
      lest.all { function() first(request) end, function() task.sleep(0.001) first(request) end }
      task.start({ context = {} }, first, request)
      return policy.reject()
    end)
    assert.equal(4, #journals.steps(journal))
    assert.is_nil(task.context())
    lest.run(function() assert.is_nil(task.context()) end)
    assert.equal(1, journals.outside("http", "q", function() return 1 end))
  end)

  it("keeps 200 steps, and says how many there were more", function()
    local verdict, journal = decide(policy.first { function(request)
      local many = policy.first { no, no, policy.when(no, policy.reject()), policy.pending() }
      for _ = 1, 2000 do many(request) end
      return policy.reject("done")
    end })
    assert.equal("done", verdict.reason)
    local lines, more = lines_of(journal)
    assert.same({ 200, 9802 }, { #lines, more })
    assert.equal("0 rule first at journal_spec.lua reject", lines[1])
  end)

  it("has what a test saw in a word, whatever that is", function()
    local loop = {}
    loop[1] = loop
    for expected, value in pairs {
      [true] = true, [7] = 7, ["0.5"] = 0.5, ["inf"] = math.huge, ["function"] = print,
      ["DNS:a, DNS:b"] = { "DNS:a", "DNS:b" }, ["..."] = loop, ["table"] = {},
      ["\27[2J"] = "\27[2J",
      [("x"):rep(200) .. "..."] = ("x"):rep(100000),
      [("x"):rep(199) .. "..."] = ("x"):rep(199) .. "\xc3\xa4\xc3\xa4",
    } do
      local _, journal = decide(policy.first { policy.when(function() return false, value end,
        policy.reject()) })
      local steps = journals.steps(journal)
      assert.equal(expected, steps[3].saw)
    end
    local mean = setmetatable({}, { __index = function() error "asked" end, __len = error,
      __tostring = error, __pairs = error })
    local _, journal = decide(policy.first { policy.when(function() return false, mean end,
      policy.reject()) })
    assert.equal("table", journals.steps(journal)[3].saw)
  end)

  it("fits into its bounds as a text of JSON", function()
    local _, journal = decide(policy.first { function(request)
      local test = policy.named(("\u{e9}"):rep(50), function()
        return false, ("\27"):rep(200)
      end)
      for _ = 1, 300 do policy.any { test }(request) end
      return policy.reject()
    end })
    local text = journals.texts(journal)
    assert.is_true(#text <= 32768)
    assert.is_nil(text:find "\27")
    local steps, more = journals.steps(journal)
    assert.equal(302, #steps + more)
    assert.is_true(#steps >= 10)
  end)

  it("tells who watches, before and after, who may wait", function()
    local events = {}
    local verdict = decide(policy.first { policy.when(yes, function()
      return policy.reject(journals.outside("csv", "42", function() return "x" end))
    end) }, { watch = function(event)
      task.sleep(0.001)
      events[#events + 1] = ("%s %s %d %s %s"):format(event.at, event.kind, event.depth,
        event.outcome or event.question or "", tostring(event.saw))
      if event.kind == "rule" and event.at == "after" then
        assert.equal("reject", event.result.verdict)
        assert.is_true(event.us < 3000000)
      end
    end })
    assert.equal("x", verdict.reason)
    assert.same({ "before rule 0  nil", "before rule 1  nil", "before test 2  nil",
      "after test 2 yes 42", "before rule 2  nil", "before csv 3 42 nil", "after csv 3 42 nil",
      "after rule 2 reject nil", "after rule 1 reject nil", "after rule 0 reject nil" }, events)
  end)

  it("gives a policy nothing to read, change or take away", function()
    local _, journal = decide(policy.first { no, function()
      local mine = task.context()
      assert.is_nil(next(mine))
      assert.is_false(getmetatable(mine))
      assert.error_matches(function() mine.steps = {} end, "nothing to be set")
      assert.is_nil(mine.steps)
      assert.error(function() setmetatable(mine, {}) end)
      -- What a policy puts into a module, or adds under any name, changes nothing that is there.
      local kept = { rule.begin, rule.follow, journals.texts }
      rule.begin, rule.follow, journals.texts = print, print, print
      local verdict = policy.first { no, policy.reject "truly" } {}
      rule.begin, rule.follow, journals.texts = table.unpack(kept)
      assert.same({ nil, nil, nil }, { journals.take, journals.enter, journals.leave })
      local forged = setmetatable({ verdict = {} }, getmetatable(verdict))
      rule.follow(policy.named("forged", function() return forged end), {})
      return verdict
    end })
    assert.same({ "0 rule first at journal_spec.lua reject", "1 rule journal_spec.lua -",
      "1 rule journal_spec.lua reject", "2 rule journal_spec.lua -", "2 rule policy.reject reject",
      "2 rule forged error" }, (lines_of(journal)))
  end)
end)

describe("a question to the outside", function()
  local function ask_once(kind, question, ask, options)
    local result
    local _, journal = decide(function()
      result = table.pack(journals.outside(kind, question, ask))
      return policy.reject()
    end, options)
    return journals.calls(journal)[1], result, journal
  end

  it("is noted with its answer, the hash of that, and its time", function()
    local call, result = ask_once("csv", "42", function() return { host = "a", tags = { "x" } } end)
    assert.same({ host = "a", tags = { "x" } }, result[1])
    assert.same({ host = "a", tags = { "x" } }, call.answer)
    assert.equal(core.secret.sha256 '{"host":"a","tags":["x"]}', call.sha256)
    assert.same({ "csv", "42", "integer" }, { call.kind, call.question, math.type(call.us) })
    call = ask_once("csv", "43", function() return nil end)
    assert.same({ true }, { call.is_nothing, call.err, call.answer })
  end)

  it("is noted with its error", function()
    local call, result = ask_once("http", "q", function()
      return require "lest.base.fail"("network", "gone\27[2J away", { unknown = true })
    end)
    assert.equal("network", result[2].code)
    assert.same({ code = "network", message = "gone away", unknown = true }, call.err)
    call = ask_once("http", "q", function() return nil, "no list" end)
    assert.same({ message = "no list" }, call.err)
    call = ask_once("http", "q", function() error "on purpose" end)
    assert.same({ message = "it did not end" }, call.err)
  end)

  it("keeps 64 KiB of answers, and else their hashes", function()
    local _, journal = decide(function()
      for i = 1, 100 do
        journals.outside("csv", tostring(i), function() return { ("x"):rep(1000) } end)
      end
      return policy.reject()
    end)
    local calls, more = journals.calls(journal)
    assert.same({ 64, 36 }, { #calls, more })
    _, journal = decide(function()
      for i = 1, 40 do
        journals.outside("csv", tostring(i), function() return ("x"):rep(2000) end)
      end
      return policy.reject()
    end)
    local kept = 0
    for _, each in ipairs((journals.calls(journal))) do kept = kept + (each.answer and 1 or 0) end
    assert.equal(32, kept)
    local large = ("x"):rep(10 * 1024 * 1024)
    local call, result = ask_once("csv", "q", function() return large end)
    assert.equal(large, result[1])
    assert.is_nil(call.answer)
    assert.equal(core.secret.sha256('"' .. large .. '"'), call.sha256)
    call = ask_once("csv", "q", function() return "short" end, { keeps_answers = false })
    assert.is_nil(call.answer)
    assert.equal(core.secret.sha256 '"short"', call.sha256)
    -- One that is deeper than a record may be.
    local deep = 1
    for _ = 1, 33 do deep = { deep } end
    call = ask_once("csv", "q", function() return deep end)
    assert.same({ nil, 64 }, { call.answer, #call.sha256 })
    call = ask_once("csv", "q", function() return deep[1] end)
    assert.same(deep[1], call.answer)
    -- What no JSON has words for.
    call, result = ask_once("csv", "q", function() return print end)
    assert.same({ print, nil, nil }, { result[1], call.answer, call.sha256 })
  end)

  it("is short and printable, and still its own", function()
    local long = ("y"):rep(600)
    local first = ask_once("csv", long .. "\27[2J1", function() return 1 end)
    local second = ask_once("csv", long .. "\27[2J2", function() return 1 end)
    assert.is_true(#first.question < 600)
    assert.is_nil(first.question:find "%c")
    assert.not_equal(first.question, second.question)
    local spaced = {}
    for i, question in ipairs { "a b", "a  b", "a b ", "a\tb", "\u{200b}", "\\u{200b}" } do
      local call = ask_once("csv", question, function() return 1 end)
      assert.is_nil(spaced[call.question], question)
      spaced[call.question] = i
    end
    assert.equal(1, spaced["a b"])
    local hostile = {}
    for i = 1, 64 do hostile[i] = ('"\\'):rep(250) .. i end
    local _, journal = decide(function()
      for _, question in ipairs(hostile) do
        journals.outside("csv", question, function() return ("z"):rep(900) end)
      end
      return policy.reject()
    end)
    local _, text = journals.texts(journal)
    assert.is_true(#text <= 98304)
    local calls, more = journals.calls(journal)
    assert.equal(64, #calls + more)
  end)

  it("is answered by a record, and not asked", function()
    local asked = 0
    local function ask() asked = asked + 1 end
    local function source(kind, question)
      if question == "42" then return { host = "a" } end
      if question == "43" then return nil, { code = "timeout", message = "late" } end
      if question == "44" then return nil end
      journals.undecidable(kind, question)
    end
    local _, result = ask_once("csv", "42", ask, { outside = source })
    assert.same({ host = "a" }, result[1])
    _, result = ask_once("csv", "43", ask, { outside = source })
    assert.same({ "timeout", "late" }, { result[2].code, result[2].message })
    _, result = ask_once("csv", "44", ask, { outside = source })
    assert.same({ nil, nil }, { result[1], result[2] })
    local verdict = decide(function()
      return journals.outside("csv", "45", ask)
    end, { outside = source })
    assert.matches("not decidable: the record has no answer to csv 45", verdict.detail)
    assert.equal(0, asked)
  end)

  it("is refused where it is none", function()
    for _, wrong in ipairs { { "HTTP", "q" }, { "", "q" }, { "http", 5 },
      { ("x"):rep(33), "q" } } do
      local verdict = decide(function()
        local answer = journals.outside(wrong[1], wrong[2], function() return 1 end)
        return answer
      end)
      assert.matches("journal_spec.lua:%d+: journal.outside: a", verdict.detail)
    end
  end)
end)

describe("a text of the ledger", function()
  it("is read whatever it holds", function()
    for _, json in ipairs { "{}", "[1,null,true]", "[[]]", '[["x",5,{},[],-1,{}]]', '[{"more":[]}]',
      '[{"kind":5,"err":{"code":{}},"status":"x","us":-5}]', '[[null]]' } do
      for _, read in ipairs { trace.read_steps, trace.read_calls } do
        local list, more = read(json)
        for _, each in ipairs(list) do
          assert.is_true(each.us >= 0)
          assert.is_string(each.kind)
        end
        assert.is_true(more >= 0)
      end
    end
    for _, broken in ipairs { "", "[", "5", '"x"' } do assert.is_nil((trace.read_steps(broken))) end
    assert.same({ {}, 0 }, { trace.read_steps(nil) })
  end)
end)
