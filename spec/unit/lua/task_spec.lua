-- Tasks wait side by side, and limits bound the time and memory of what a policy does.
local core = require "lest.core"
local all = require "lest.all"
local task = require "lest.task"

describe("tasks", function()
  it("wait side by side and return their results in order", function()
    local before = core.clock.monotonic_ms()
    local squares = all({ 1, 2, 3, 4 }, { each = function(x)
      task.sleep(0.05)
      return x * x
    end })
    assert.same({ 1, 4, 9, 16 }, squares)
    assert.is_true(core.clock.monotonic_ms() - before < 180)
  end)

  it("get all results of a wait, outside of a task too", function()
    local function two()
      return task.await(function(callback)
        return core.loop.timer(0, function() callback(nil, "second") end)
      end)
    end
    assert.same({ n = 2, [2] = "second" }, table.pack(two()))
    assert.same({ n = 2, [2] = "second" }, table.pack(task.spawn(two):wait()))
  end)

  it("wait inside a script's own generator", function()
    local function numbers()
      return coroutine.wrap(function()
        for i = 1, 3 do
          task.sleep(0.001)
          coroutine.yield(i)
        end
      end)
    end
    local seen = task.spawn(function()
      local list = {}
      for i in numbers() do list[#list + 1] = i end
      return list
    end):wait()
    assert.same({ 1, 2, 3 }, seen)
  end)

  it("say so where Lua cannot yield", function()
    local sorting = task.start({ quiet = true }, function()
      table.sort({ 3, 2, 1 }, function(a, b)
        task.sleep(0)
        return a < b
      end)
    end)
    local ok, message = pcall(sorting.wait, sorting)
    assert.is_false(ok)
    assert.matches("cannot wait here", message)
  end)

  it("sleep no less than they are told, whatever the loop's clock has missed", function()
    task.spawn(function()
      for _ = 1, 20 do
        task.sleep(0.001)
        local busy = core.clock.monotonic_us() + 5000
        while core.clock.monotonic_us() < busy do end -- luacheck: ignore 542
        local before = core.clock.monotonic_us()
        task.sleep(0.003)
        assert.is_true(core.clock.monotonic_us() - before >= 3000)
      end
    end):wait()
  end)

  it("take durations, and name a mistake where it was made", function()
    task.sleep "0s"
    for problem, call in pairs {
      ["'soon' is no duration"] = function() task.sleep "soon" end,
      ["%-1 is no duration"] = function() task.sleep(-1) end,
      ["a function, not a number"] = function() task.spawn(1) end,
    } do
      local ok, message = pcall(call)
      assert.is_false(ok)
      assert.matches("task_spec.lua:%d+: .*" .. problem, message)
    end
  end)

  it("raise where they are waited for, with the stack that raised and who started them", function()
    local function deep() error "in the depth" end
    local line = debug.getinfo(1, "l").currentline + 1
    local failing = task.spawn(function() task.sleep(0) deep() end)
    local ok, err = pcall(failing.wait, failing)
    assert.is_false(ok)
    assert.matches("^[^\n]*task_spec.lua:%d+: in the depth\nstack traceback:\n", err)
    assert.matches("in upvalue 'deep'", err)
    assert.matches("started at [^\n]*task_spec.lua:" .. line .. "%)$", err)
    assert.equal(err, failing.trace)
  end)

  it("leave a lest.error what it is, and give it its origin", function()
    local refused = core.error.new { code = "refused", message = "no" }
    local failing = task.spawn(function() task.sleep(0) error(refused) end)
    local ok, err = pcall(failing.wait, failing)
    assert.same({ false, refused, "no" }, { ok, err, tostring(err) })
    assert.matches("^stack traceback:.*task_spec.lua:%d+: in function.*started at ", err.traceback)
  end)

  it("leave alone what says that memory was short", function()
    local failing = task.spawn(function() task.sleep(0) error("not enough memory", 0) end)
    assert.same({ false, "not enough memory" }, { pcall(failing.wait, failing) })
  end)

  it("close their <close> variables when cancelled", function()
    local closed = false
    local waiting = task.spawn(function()
      local guard <close> = setmetatable({}, { __close = function() closed = true end })
      task.sleep(60)
      return guard
    end)
    waiting:cancel()
    assert.is_true(closed)
    assert.is_true(waiting.done)
  end)
end)

describe("limits", function()
  local function bounded(options, fn)
    local limit = core.limit.new(options.deadline_ms or math.maxinteger, options.memory or 0)
    local running = task.start({ limit = limit, quiet = true }, fn)
    local ok = pcall(running.wait, running)
    return ok, limit
  end

  it("end a loop that swallows every error #hook", function()
    local ok, limit = bounded({ deadline_ms = core.clock.monotonic_ms() + 50 }, function()
      while true do pcall(function() while true do end end) end
    end)
    assert.is_false(ok)
    assert.is_true(limit.expired)
    assert.matches("task_spec.lua:%d+", limit.where)
  end)

  it("reach into coroutines that the code makes itself #hook", function()
    local ok, limit = bounded({ deadline_ms = core.clock.monotonic_ms() + 50 }, function()
      coroutine.wrap(function() while true do pcall(function() while true do end end) end end)()
    end)
    assert.is_false(ok)
    assert.is_true(limit.expired)
  end)

  -- What code does to be never done; each gets a coroutine that an earlier request has left.
  local function spin() while true do end end
  local function swallow(fn, ...) while true do pcall(fn, ...) end end
  local function spin_at_close()
    local _ <close> = setmetatable({}, { __close = spin }) -- luacheck: ignore 211
    coroutine.yield()
  end
  local ENDLESS <const> = {
    ["in a coroutine"] = function() coroutine.resume(coroutine.create(spin)) end,
    ["in one that another made"] = function()
      local inner
      coroutine.wrap(function() inner = coroutine.create(spin) end)()
      coroutine.resume(inner)
    end,
    ["in one that an earlier request left"] = function(left) coroutine.resume(left) end,
    ["in coroutines, one after the other"] = function()
      swallow(function() coroutine.wrap(spin)() end)
    end,
    ["in coroutines of a comparison"] = function()
      swallow(table.sort, { 1, 2 }, function() coroutine.wrap(spin)() end)
    end,
    ["as a coroutine closes"] = function()
      local co = coroutine.create(spin_at_close)
      coroutine.resume(co)
      coroutine.close(co)
    end,
    ["after it tried to close who resumed it"] = function()
      local outer = coroutine.running()
      coroutine.wrap(function()
        pcall(coroutine.close, outer)
        spin()
      end)()
    end,
    ["as a block is left"] = function()
      local _ <close> = setmetatable({}, { __close = spin }) -- luacheck: ignore 211
    end,
    ["in a comparison"] = function() table.sort({ 1, 2 }, spin) end,
    ["in comparisons whose errors it swallows"] = function()
      swallow(table.sort, { 1, 2 }, spin)
    end,
    ["in a metamethod"] = function() return setmetatable({}, { __index = spin }).x end,
    ["in a replacement"] = function() return ("x"):gsub("x", spin) end,
    ["in calls that fail"] = function() swallow(error) end,
    ["in a generator"] = function()
      for _ in coroutine.wrap(spin) do end -- luacheck: ignore 542
    end,
    ["without its hook"] = function()
      debug.sethook()
      spin()
    end,
  }
  for what, endless in pairs(ENDLESS) do
    it(("end what is endless %s #hook"):format(what), function()
      local left
      bounded({}, function() left = coroutine.create(spin) end)
      local ok, limit = bounded({ deadline_ms = core.clock.monotonic_ms() + 50 }, function()
        return endless(left)
      end)
      assert.is_false(ok)
      assert.is_true(limit.expired)
    end)
  end

  it("cost short code no hook #hook", function()
    local ok, limit = bounded({ deadline_ms = core.clock.monotonic_ms() + 1000 }, function()
      assert(debug.gethook() == nil)
    end)
    assert.is_true(ok)
    assert.is_false(limit.expired)
  end)

  it("keep the signal of their beat", function()
    local SIGVTALRM <const> = 26
    assert.error_matches(function() core.loop.signal(SIGVTALRM, print) end, "the beat of limits")
  end)

  it("let others go on while what has slices runs, also in coroutines and pcall #hook", function()
    local turns, over = 0, false
    local function count()
      turns = turns + 1
      if not over then core.loop.timer(1, count) end
    end
    count()
    local limit = core.limit.new(core.clock.monotonic_ms() + 5000, 0, 2)
    local running = task.start({ limit = limit, quiet = true }, function()
      local numbers = coroutine.wrap(function()
        while turns < 10 do pcall(function() for _ = 1, 1000 do end end) end
        coroutine.yield "inner"
      end)
      local first = numbers()
      while turns < 20 do pcall(function() for _ = 1, 1000 do end end) end
      return first
    end)
    assert.is_false(running.done)
    assert.equal("inner", running:wait())
    over = true
    assert.is_true(turns >= 20)
    assert.is_false(limit.expired)
  end)

  it("end a slice that cannot be left, and one that its owner cancels #hook", function()
    local limit = core.limit.new(core.clock.monotonic_ms() + 5000, 0, 2)
    local running = task.start({ limit = limit, quiet = true }, function()
      table.sort({ 1, 2 }, function() while true do end end)
    end)
    local ok, problem = pcall(running.wait, running)
    assert.is_false(ok)
    assert.matches("others cannot have a turn", problem)
    running = task.start({ quiet = true,
      limit = core.limit.new(core.clock.monotonic_ms() + 5000, 0, 2) },
      function() while true do end end)
    running:cancel "enough"
    assert.is_true(running.done)
  end)

  it("take another deadline, for what waits for a person", function()
    local soon = core.clock.monotonic_ms() + 20
    local limit = core.limit.new(soon, 0)
    assert.equal(soon, limit.deadline_ms)
    limit:defer(soon + 60000)
    local running = task.start({ limit = limit, quiet = true }, function()
      while core.clock.monotonic_ms() < soon + 20 do end
      return "in time"
    end)
    assert.equal("in time", running:wait())
  end)

  it("cap the memory of a decision, and leave the state usable", function()
    local ok, limit = bounded({ memory = 4 * 1024 * 1024 }, function()
      local hoard = {}
      for i = 1, 1e9 do hoard[i] = ("x"):rep(1000) .. i end
      return hoard
    end)
    assert.is_false(ok)
    assert.is_true(limit.exhausted)
    assert.equal(20000000, #("x"):rep(20000000))
  end)

  it("hold for a task that states others, and so does the context", function()
    local seen = {}
    local limit = core.limit.new(math.maxinteger, 4 * 1024 * 1024)
    local running = task.start({ limit = limit, context = "mine", quiet = true }, function()
      local other = { limit = core.limit.new(math.maxinteger, 0), context = "other", quiet = true }
      task.start(other, function()
        task.sleep(0)
        seen.context = task.context()
        for i = 1, 60000 do seen[i] = ("x"):rep(1000) .. i end
        seen.is_through = true
      end):wait()
    end)
    pcall(running.wait, running)
    assert.is_true(limit.exhausted)
    assert.equal("mine", seen.context)
    assert.is_nil(seen.is_through)
  end)
end)
