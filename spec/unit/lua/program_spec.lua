-- Programs that run beside the loop for long: what they log, and how they are asked to end.
local core = require "lest.core"
local process = require "support.process"
local task = require "lest.task"
local temporary = require "support.temporary"

describe("a program beside the loop", function()
  local folder

  before_each(function() folder = temporary.folder() end)
  after_each(temporary.clean)

  local function start(line, options)
    local ended
    options.input, options.timeout_ms = "", 60000
    options.callback = function(how) ended = how end
    local program, err = core.process.program({ "sh", "-c", line }, options)
    return program, function()
      while not ended do task.sleep(0.01) end
      return ended
    end, err
  end

  it("appends its errors to a log, which nobody else can read", function()
    local log = folder .. "/log"
    for _, word in ipairs { "one", "two" } do
      local program <close>, wait = start("echo " .. word .. " >&2; echo out", { log = log })
      local ended = wait()
      assert.same({ 0, "out\n", "" }, { ended.code, ended.output, ended.errors })
      assert.equal(0, program.pid)
    end
    assert.equal("one\ntwo\n", process.read(log))
    assert.equal("600\n", process.must { "stat", "-c", "%a", log })
  end)

  it("is not started where its log cannot be written, or is a link", function()
    process.must { "ln", "-s", "elsewhere", folder .. "/log" }
    for _, path in ipairs { folder .. "/log", folder .. "/none/log" } do
      local program, _, err = start("true", { log = path })
      assert.is_nil(program)
      assert.matches("cannot be written", err.message, 1, true)
    end
  end)

  it("is asked to end, and may take its time", function()
    local program <close>, wait = start(
      "trap 'echo bye; exit 3' TERM; echo > " .. folder .. "/up; while :; do sleep 0.05; done", {})
    assert.is_true(program.pid > 0)
    while not core.system.exists(folder .. "/up") do task.sleep(0.01) end
    program:stop()
    local ended = wait()
    assert.same({ 3, "bye\n" }, { ended.code, ended.output })
    program:stop()
  end)

  describe("that is a function", function()
    local function apart(work, options)
      options = options or {}
      local ended
      options.input, options.timeout_ms = "in", options.timeout_ms or 60000
      options.callback = function(how) ended = how end
      local program = assert(core.process.program(work, options))
      while not ended do task.sleep(0.01) end
      return ended, program
    end

    it("has a loop of its own, and gives a string", function()
      local pid, here = core.process.pid, "here"
      local ended = apart(function()
        here = "there"
        local waited = task.spawn(function() task.sleep(0.01) return core.process.pid end)
        while not waited.done do core.loop.turn() end
        return ("%s %s %s"):format(here, io.read "a", waited:wait() ~= pid)
      end)
      assert.same({ 0, "there in true", "here" }, { ended.code, ended.output, here })
    end)

    it("has no files but the first three, and the lock", function()
      local lock <close> = assert(core.folder.lock(folder .. "/lock"))
      local other <close> = assert(io.open(folder .. "/other", "w"))
      assert(other and lock)
      -- (of its loop it has some that are no files)
      local function files()
        local found = {}
        for fd = 3, 1023 do
          local target = core.folder.target("/proc/self/fd/" .. fd)
          if target and target:find "^/" then found[#found + 1] = target end
        end
        return table.concat(found, "\n")
      end
      assert.equal("", apart(files).output)
      assert.equal(folder .. "/lock", apart(files, { keep = lock }).output)
    end)

    it("holds the lock for as long as it lives", function()
      local path = folder .. "/lock"
      local lock = assert(core.folder.lock(path))
      local program <close> = assert(core.process.program(function()
        while true do task.sleep(1) end
      end, { input = "", timeout_ms = 60000, keep = lock, callback = error }))
      lock:close()
      assert.equal("unavailable", select(2, core.folder.lock(path)).code)
      program:close()
      assert(core.folder.lock(path)):close()
    end)

    it("has failed where it raises, or gives no string", function()
      assert.equal(1, apart(function() error "no" end).code)
      assert.equal(1, apart(function() return nil end).code)
    end)

    it("hears no signal, and ends when it is late, or closed", function()
      local ended = apart(function()
        process.must { "kill", "-TERM", core.process.pid }
        return "still here"
      end)
      assert.equal("still here", ended.output)
      local function sleep()
        while true do task.sleep(1) end
      end
      assert.is_true(apart(sleep, { timeout_ms = 200 }).late)
      local program = assert(core.process.program(sleep, { input = "", timeout_ms = 60000,
        callback = error }))
      local pid = process.own(program.pid)
      assert.is_true(process.alive(pid))
      program:close()
      assert.is_false(process.alive(pid))
    end)
  end)
end)
