-- lest.retry tries again what may work later, and nothing else; its chance, clock and sleep are the
-- spec's.
local core = require "lest.core"
local retry = require "lest.retry"
local task = require "lest.task"

describe("lest.retry", function()
  local random, sleep, now_us = retry.random, retry.sleep, retry.now_us
  local slept, now, calls

  before_each(function()
    slept, now, calls = {}, 0, 0
    retry.random = function() return 1 end
    retry.now_us = function() return now end
    retry.sleep = function(seconds)
      slept[#slept + 1] = seconds
      now = now + math.floor(seconds * 1000000)
    end
  end)
  after_each(function() retry.random, retry.sleep, retry.now_us = random, sleep, now_us end)

  local function err_of(code, fields)
    fields = fields or {}
    fields.code, fields.message = code, code
    return core.error.new(fields)
  end

  --- A function that fails so often.
  local function failing(times, err)
    return function()
      calls = calls + 1
      if calls <= times then return nil, err end
      return "done", calls
    end
  end

  it("returns what the first try that succeeds returns", function()
    assert.same({ "done", 3 },
      { retry.retry { failing(2, err_of "network"), times = 5, backoff = "1s" } })
    assert.same({ 1, 2 }, slept)
  end)

  it("doubles the pause up to `most`, and gives up after `times`", function()
    local result, err = retry.retry { failing(99, err_of "timeout"), times = 6, backoff = 0.5,
      most = 3 }
    assert.same({ nil, "timeout" }, { result, err.code })
    assert.equal(6, calls)
    assert.same({ 0.5, 1, 2, 3, 3 }, slept)
  end)

  it("pauses for any part of that, by chance", function()
    local chances = { 0, 0.25 }
    retry.random = function() return table.remove(chances, 1) end
    retry.retry { failing(2, err_of "network"), backoff = 4 }
    assert.same({ 0, 2 }, slept)
  end)

  it("tries no error again that stays", function()
    for _, err in ipairs { err_of "refused", err_of "unauthenticated", err_of "usage", "words",
      err_of("network", { unknown = true }) } do
      calls = 0
      assert.is_nil((retry.retry { failing(99, err) }))
      assert.equal(1, calls)
    end
  end)

  it("asks `when` instead, if there is one", function()
    assert.equal("done", (retry.retry { failing(1, "words"), when = function(err)
      return err == "words"
    end }))
  end)

  it("comes back no earlier than the server asks, and not where that is too long", function()
    retry.random = function() return 0 end
    retry.retry { failing(1, err_of("unavailable", { retry_after = 7 })) }
    assert.same({ 7 }, slept)
    calls = 0
    assert.is_nil((retry.retry { failing(1, err_of("pending", { retry_after = 61 })) }))
    assert.equal(1, calls)
  end)

  it("begins no try later than `within`", function()
    assert.is_nil((retry.retry { failing(99, err_of "network"), times = 100, backoff = 2, most = 2,
      within = "5s" }))
    assert.equal(3, calls)
  end)

  it("tries again after an error that was raised, and raises the last", function()
    local err = err_of "network"
    local ok, raised = pcall(retry.retry, { times = 2, function()
      calls = calls + 1
      error(err)
    end })
    assert.same({ false, err, 2 }, { ok, raised, calls })
    ok, raised = pcall(retry.retry, { function() error "a mistake" end })
    assert.is_false(ok)
    assert.matches("retry_spec.lua:%d+: a mistake$", raised)
  end)

  it("ends with the task that it runs in", function()
    retry.sleep = sleep
    local trying = task.spawn(retry.retry, { failing(99, err_of "network"), backoff = "1h",
      most = "1h" })
    assert.is_false(trying.done)
    trying:cancel()
    assert.is_true(trying.done)
    assert.equal(1, calls)
  end)

  it("names a mistake where it was made", function()
    for problem, call in pairs {
      ["takes a table"] = function() retry.retry() end,
      ["call: is missing"] = function() retry.retry {} end,
      ["times: .*1"] = function() retry.retry { print, times = 0 } end,
      ["backof: unknown, did you mean 'backoff'"] = function()
        retry.retry { print, backof = 1 }
      end,
      ["backoff: 'soon' is no duration"] = function() retry.retry { print, backoff = "soon" } end,
    } do
      local ok, message = pcall(call)
      assert.is_false(ok)
      assert.matches("retry_spec.lua:%d+: lest.retry.*" .. problem, message)
    end
  end)
end)
