-- lest.all runs its elements side by side, and loses no failure.
local all = require "lest.all"
local core = require "lest.core"
local task = require "lest.task"

describe("lest.all", function()
  local function fail_some(options)
    options.each = function(x)
      task.sleep(0)
      if x == 2 then error "the second" end
      if x == 4 then return nil, core.error.new { code = "refused", message = "the fourth" } end
      return x * x
    end
    return pcall(all, { 1, 2, 3, 4 }, options)
  end

  it("runs at most `limit` at once", function()
    local running, most = 0, 0
    all({ 1, 2, 3, 4, 5, 6 }, { limit = 2, each = function()
      running = running + 1
      most = math.max(most, running)
      task.sleep(0.005)
      running = running - 1
    end })
    assert.equal(2, most)
  end)

  it("raises all failures at once, raised or returned, and has the other results", function()
    local ok, failures = fail_some {}
    assert.is_false(ok)
    assert.same({ [1] = 1, [3] = 9 }, failures.results)
    assert.same({ 2, 4 }, { failures[1].index, failures[2].index })
    assert.same({ 2, 4 }, { failures[1].element, failures[2].element })
    assert.equal("refused", failures[2].err.code)
    assert.matches("^2 of 4 failed\n  2: [^\n]*all_spec.lua:10: the second\n  4: the fourth$",
      tostring(failures))
  end)

  it("returns them with `collect`, and nothing where none failed", function()
    local ok, results, failures = fail_some { collect = true }
    assert.is_true(ok)
    assert.same({ [1] = 1, [3] = 9 }, results)
    assert.equal(2, #failures)
    assert.same({ { 5 }, n = 1 }, table.pack(all({ 5 }, { collect = true, each = math.abs })))
  end)

  it("says where each was raised, and who asked", function()
    local _, failures = fail_some {}
    assert.matches("\nstack traceback:\n[^\n]*in function 'error'\n[^\n]*all_spec.lua:10:",
      failures[1].err)
    assert.matches("started at [^\n]*%)$", failures[1].err)
    assert.matches("the second\nstack traceback:", failures.traceback)
  end)

  it("ends a program with the exit code of the first, and names so many", function()
    local list = {}
    for i = 1, 30 do
      list[i] = function() return nil, core.error.new { code = "refused", message = "no " .. i } end
    end
    local _, failures = pcall(all, list)
    assert.equal(7, failures.exit_code)
    assert.equal(30, #failures)
    assert.matches("^30 of 30 failed\n  1: no 1\n.*\n  10: no 10\n  %.%.%.$", tostring(failures))
  end)

  it("takes what has no words for what it is", function()
    local mute = setmetatable({}, { __tostring = function() error "no" end })
    local _, failures = pcall(all, { function() error(mute) end })
    assert.equal("1 of 1 failed\n  1: table", tostring(failures))
    assert.equal(mute, failures[1].err)
  end)

  it("raises what says that memory was short as it is", function()
    assert.same({ false, "not enough memory" },
      { pcall(all, { function() error("not enough memory", 0) end, function() error "x" end }) })
  end)

  it("names a mistake where it was made", function()
    for problem, call in pairs {
      ["element 1 is a number"] = function() all { 1 } end,
      ["takes a list"] = function() all() end,
      ["no option 'limt', did you mean 'limit'"] = function() all({}, { limt = 1 }) end,
      ["'limit' is a whole number from 1"] = function() all({}, { limit = 0 }) end,
      ["'each' is a function"] = function() all({}, { each = 1 }) end,
    } do
      local ok, message = pcall(call)
      assert.is_false(ok)
      assert.matches("all_spec.lua:%d+: .*" .. problem, message)
    end
  end)
end)
