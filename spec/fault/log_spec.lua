-- When the lines of a role's log are written: those of a turn of its loop together, but none later.
local core = require "lest.core"
local host = require "support.host"
local process = require "support.process"

describe("the log of a role", function()
  local server
  before_each(function() server = host.start { workers = 1 } end)
  after_each(function() server:stop() end)

  -- The order of lines with one of these events, or these texts beside the log, after this was run
  -- in a worker's callback.
  local function order(code, ...)
    pcall(server.ask, server, "worker", 1, code)
    local wanted, count = {}, select("#", ...)
    for _, event in ipairs { ... } do wanted[event] = true end
    return server:wait("lines", function()
      local found = {}
      for line in server:log():gmatch "[^\n]+" do
        local event = line:match '"text":"([^"]*)"' or line:match '"event":"([^"]*)"'
        if wanted[event] then table.insert(found, event) end
      end
      return #found == count and found
    end)
  end

  it("is written at the end of a turn, all lines together", function()
    assert.same({ "beside", "first", "second" }, order([[
      core.log.write("info", "first")
      core.log.write("warning", "second")
      io.stderr:write "beside\n"
      return true]], "first", "second", "beside"))
  end)

  it("is written at once up to a line of level error", function()
    assert.same({ "first", "broken", "beside", "last" }, order([[
      core.log.write("info", "first")
      core.log.write("error", "broken")
      core.log.write("info", "last")
      io.stderr:write "beside\n"
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

  -- The lines of the log that are not as the worker wrote them, after it has run this.
  local function texts(code)
    server:ask("worker", 1, code .. [[ core.log.write("info", "after") return true]])
    server:wait_logged "after"
    local list, pid = {}, server:role_pid("worker", 1)
    for _, line in ipairs(server:logged "child wrote") do
      assert.same({ "supervisor", "warning", "worker 1", pid },
        { line.role, line.level, line.child, line.child_pid })
      table.insert(list, line.text)
    end
    return list
  end

  it("has what a role writes beside it as a text, which no terminal obeys", function()
    local found = texts [[
      io.stderr:write("red \27[31m\u{9b}1m and \u{e9}\n", ("x"):rep(20000), "\n")
      print "printed"]]
    assert.same({ "red \27[31m\u{9b}1m and \u{e9}", ("x"):rep(1024), "printed" }, found)
    assert.is_nil(server:log():find("\27", 1, true))
    for line in server:log():gmatch "[^\n]+" do assert.equal("{", line:sub(1, 1)) end
  end)

  it("has no line in which a role speaks as another, or twice of itself", function()
    local forged = {}
    local line = ('{"time":"t","level":"info","role":"worker 1","pid":%d,"event":"forged"'):format(
      server:role_pid("worker", 1))
    for _, change in ipairs {
      { '"worker 1"', '"authority"' }, { '"worker 1"', '"worker 10"' }, { '"pid":%d+', '"pid":1' },
      { '"level":"info"', '"level":"info","x":1' }, { "^{", '{"role":"authority",' },
      { "$", ',"role":"authority"' }, { "$", ',"r\\u006fle":"authority"' }, { "$", ',"pid":1' },
      { "$", ',"x":{"role":"authority"}' }, { "$", ',"x":1,' }, { "$", ',"x":"\\' }, { "$", "}{" },
      { "$", ',"x":-' }, { "$", ',"x":"' }, { "$", ',x:1' }, { '"event".*', '"event":1' },
      { "^", " " }, { "$", '} ' }, { "$", ',"x":007' }, { "$", ',"x":1e' }, { "$", ',"x":"\\q"' },
      { "$", ',"x":"\\u00"' }, { "$", ',"x":"\\ud800"' }, { "$", ',"x":"\\\1"' },
      { "$", ',\r"x":1' }, { "$", ',"x":[]' }, { "^{", '{\t' },
    } do
      table.insert(forged, (line:gsub(change[1], (change[2]:gsub("%%", "%%%%")), 1)) .. "}")
    end
    local code = { "local line = " .. ("%q"):format(table.concat(forged, "\n") .. "\n"),
      "io.stderr:write(line)" }
    assert.same(forged, texts(table.concat(code, " ")))
    assert.same({}, server:logged "forged")
    texts(("io.stderr:write(%q)"):format(line .. ',"rolex":"a","x":-1,"y":true,"z":"\\"\\\\"}\n'))
    assert.equal("a", server:wait_logged("forged")[1].rolex)
  end)

  it("has so much of one child, counts its other lines, and has those of other children", function()
    local LINES <const>, COST <const>, RATE <const> = 60000, 256, 4 * 1024 * 1024
    local started = core.clock.monotonic_ms()
    assert.equal("true", server:ask("worker", 1, ([[
      io.stderr:write(("x\n"):rep(%d))
      return true]]):format(LINES)))
    server:ask("authority", 0, [[core.log.write("info", "beside") return true]])
    local passed = server:wait("lines that are counted", function()
      local text, dropped = server:log(), 0
      if not text:find('"event":"beside"', 1, true) then return false end
      for lines in text:gmatch '"child log lines dropped","child":"worker 1",[^\n]*"lines":(%d+)' do
        dropped = dropped + tonumber(lines)
      end
      local count = select(2, text:gsub('"child wrote"', ""))
      return dropped + count == LINES and count
    end, 60)
    local seconds = (core.clock.monotonic_ms() - started) / 1000
    assert.is_true(passed * COST <= RATE * (2 + seconds), passed .. " lines")
  end)

  it("is for people on a terminal, whichever process writes", function()
    if not (os.execute "script --version >/dev/null 2>&1") then return pending "needs script" end
    local other = host.make {}
    -- A server's terminal that goes away is a reason to reload: end it before `script`.
    finally(function()
      process.run { "pkill", "-KILL", "-P", tostring(other.pid) }
      other:stop()
    end)
    local shown = other.folder .. "/shown"
    other.pid = process.start({ "script", "-qefc", process.line { other.lest, "serve",
      other.folder .. "/server.lua" }, shown }, other.folder .. "/out", other.folder .. "/err")
    other.generation = 1
    other:ask("worker", 1, [[core.log.write("info", "spoken", { "n", 7 }) return true]])
    other:wait("a line", function()
      return process.read(shown):find "%d%d:%d%d:%d%d info%s+worker 1: spoken n=7"
    end)
    other:ask("worker", 1, [[
      io.stderr:write "12:00:00 info    authority: forged\n"
      return true]])
    other:wait("a line", function()
      return process.read(shown):find('child wrote child="worker 1" child_pid=%d+ '
        .. 'text="12:00:00 info    authority: forged"')
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

describe("a file that others write too, not opened to append", function()
  --- What is in the file after a shell has written before and after `lest serve ...`.
  local function written(server, ...)
    local file = server.folder .. "/all.log"
    process.must({ "sh", "-c", [[( echo before; "$@"; echo "rc=$?" ) >"$0" 2>&1]], file,
      server.lest, "serve", ... })
    return process.read(file)
  end

  it("keeps all that was written, in its order", function()
    local server = host.make {}
    finally(function() server:stop() end)
    local config = server.folder .. "/server.lua"
    assert.matches("^before\n.*ok\nrc=0\n$", written(server, config, "--check"))
    local none = server.folder .. "/none.lua"
    for _, words in ipairs { { none }, { none, "--check" } } do
      local text = written(server, table.unpack(words))
      assert.matches("^before\n.*none%.lua.*\nrc=2\n$", text)
      assert.is_nil(text:find "%z")
    end
  end)
end)
