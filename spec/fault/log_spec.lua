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

  it("gets what a role writes beside it, without what a terminal would obey", function()
    server:ask("worker", 1, [[
      io.stderr:write("red \27[31m\u{9b}1m and \u{e9}\n", ("x"):rep(20000), "\n")
      print "printed"
      core.log.write("info", "after")
      return true]])
    server:wait_logged "after"
    local lines = {}
    for line in server:log():gmatch "[^\n]+" do
      if line:sub(1, 1) ~= "{" then table.insert(lines, line) end
    end
    assert.same({ "red ?[31m?1m and \u{e9}", ("x"):rep(8191), "printed" }, lines)
  end)

  it("is for people on a terminal, whichever process writes", function()
    if not (os.execute "script --version >/dev/null 2>&1") then return pending "needs script" end
    local other = host.make {}
    finally(function() other:stop() end)
    local shown = other.folder .. "/shown"
    other.pid = process.start({ "script", "-qefc", process.line { other.lest, "serve",
      other.folder .. "/server.lua" }, shown }, other.folder .. "/out", other.folder .. "/err")
    other.generation = 1
    other:ask("worker", 1, [[core.log.write("info", "spoken", { "n", 7 }) return true]])
    other:wait("a line", function()
      return process.read(shown):find "%d%d:%d%d:%d%d info%s+worker 1: spoken n=7"
    end)
  end)
end)

describe("a reader of the log that stops", function()
  --- A server whose log goes through a pipe, the process that reads that, and the pipe's path.
  local function read_by_cat(config)
    local server = host.make(config)
    finally(function() server:stop() end)
    local pipe = server.folder .. "/pipe"
    process.must { "mkfifo", pipe }
    server.pid = process.start({ "sh", "-c", [[exec "$@" 2>"$0"]], pipe, server.lest, "serve",
      server.folder .. "/server.lua" }, server.folder .. "/out", server.folder .. "/err")
    local reader = process.start({ "cat", pipe }, server.log_file, server.folder .. "/err")
    server:wait_ready(1)
    return server, reader, pipe
  end

  it("holds nobody: lines are dropped, and counted once it reads again", function()
    local server, reader = read_by_cat { workers = 1 }
    process.kill(reader, "STOP")
    local log = [[
      for i = 1, 500 do core.log.write("info", "many", { "text", ("x"):rep(1000) }) end]]
    -- More than all pipes and queues hold; each answer comes.
    for _ = 1, 4 do assert.equal("true", server:ask("worker", 1, log .. " return true")) end
    local pid = server:role_pid("worker", 1)
    process.kill(pid, "KILL")
    server:wait("another worker", function()
      local ok, other = pcall(server.role_pid, server, "worker", 1)
      return ok and other ~= pid
    end)
    process.kill(reader, "CONT")
    local dropped = server:wait_logged("log lines dropped")[1].lines
    local kept = server:logged "many"
    assert.is_true(dropped > 0 and #kept > 0)
    assert.is_true(#kept + dropped >= 2000, ("%d kept, %d dropped"):format(#kept, dropped))
    server:ask("worker", 1, [[core.log.write("info", "again") return true]])
    server:wait_logged "again"
  end)

  it("may leave: what nobody can take is counted, and said to who reads next", function()
    local server, reader, pipe = read_by_cat {}
    process.kill(reader, "KILL")
    process.wait_for(function() return not process.alive(reader) end, "the reader's end")
    server:ask("worker", 1, [[core.log.write("error", "lost") return true]])
    local pid = server:role_pid("worker", 1)
    process.kill(pid, "KILL") -- the supervisor has something to say
    server:wait("another worker", function()
      local ok, other = pcall(server.role_pid, server, "worker", 1)
      return ok and other ~= pid
    end)
    process.start({ "cat", pipe }, server.log_file, server.folder .. "/err")
    local dropped = server:wait("a reader", function()
      server:ask("worker", 1, [[core.log.write("info", "again") return true]])
      return server:logged("log lines dropped")[1]
    end)
    assert.is_true(dropped.lines > 0)
  end)

  it("may never have been there, as on a full disk", function()
    local server = host.make {}
    local function serve(path)
      local line = [[exec "$0" serve "$1" --check 2>/dev/full]]
      return (process.run { "sh", "-c", line, server.lest, path })
    end
    assert.equal(0, serve(server.folder .. "/server.lua"))
    assert.equal(2, serve(server.folder .. "/none.lua"))
  end)
end)
