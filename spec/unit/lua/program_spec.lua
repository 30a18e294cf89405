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
end)
