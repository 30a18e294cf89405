-- When the lines of a role's log are written: those of a turn of its loop together, but none later.
local host = require "support.host"
local process = require "support.process"

describe("the log of a role", function()
  local server
  before_each(function() server = host.start { workers = 1 } end)
  after_each(function() server:stop() end)

  -- The order of lines with one of these events, after this was run in a worker's callback.
  local function order(code, ...)
    pcall(server.ask, server, "worker", 1, code)
    local wanted, last = {}, nil
    for _, event in ipairs { ... } do wanted[event], last = true, event end
    server:wait_logged(last)
    local found = {}
    for event in server:log():gmatch '"event":"([^"]*)"' do
      if wanted[event] then table.insert(found, event) end
    end
    return found
  end

  it("is written at the end of a turn, all lines together", function()
    assert.same({ "beside", "first", "second" }, order([[
      core.log.write("info", "first")
      core.log.write("warning", "second")
      io.stderr:write '{"event":"beside"}\n'
      return true]], "first", "second", "beside"))
  end)

  it("is written at once up to a line of level error", function()
    assert.same({ "first", "broken", "beside", "last" }, order([[
      core.log.write("info", "first")
      core.log.write("error", "broken")
      core.log.write("info", "last")
      io.stderr:write '{"event":"beside"}\n'
      return true]], "first", "broken", "beside", "last"))
  end)

  it("is written where the turn does not end", function()
    assert.same({ "first", "second" }, order([[
      core.log.write("info", "first")
      core.log.write("info", "second")
      os.exit(3)]], "first", "second"))
  end)

  it("keeps every line of a turn that has many, in their order", function()
    assert.equal("true", server:ask("worker", 1, [[
      for i = 1, 300 do
        core.log.write("info", "one of many", { "n", i, "text", ("x"):rep(i * 20) })
      end
      return true]]))
    local lines = server:wait_logged("one of many", 300)
    for i, line in ipairs(lines) do assert.equal(i, line.n) end
  end)

  it("is written by few calls of write", function()
    if not (os.execute "strace -V >/dev/null 2>&1") then return pending "needs strace" end
    server:ask("worker", 1, [[core.log.write("info", "before") return true]])
    local trace = server.folder .. "/trace"
    local pid = server:role_pid("worker", 1)
    local noise = server.folder .. "/noise"
    local tracer = process.start({ "strace", "-qq", "-e", "trace=write,ioctl", "-o", trace, "-p",
      tostring(pid) }, noise, noise)
    process.wait_for(function() return host.status(pid, "TracerPid") ~= "0" end, "the tracer")
    server:ask("worker", 1, [[
      for i = 1, 20 do core.log.write("info", "counted", { "n", i }) end
      return true]])
    server:wait_logged("counted", 20)
    process.kill(tracer, "INT")
    process.wait_for(function() return not process.alive(tracer) end, "the tracer's end")
    local text = process.read(trace)
    assert.equal(1, select(2, text:gsub("write%(2, ", "")))
    assert.equal(0, select(2, text:gsub("TCGETS", "")))
  end)
end)
