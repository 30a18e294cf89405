-- The control socket: who may come in, what a hostile visitor gets, and whose socket it is at a
-- start, a reload and the end.
local control = require "lest.tool.control"
local core = require "lest.core"
local host = require "support.host"
local json = require "lest.json"
local process = require "support.process"
local support = require "support.server"

local function with(text)
  return { config = function(config)
    return (config:gsub("labels = {", text .. ",\n  labels = {", 1))
  end }
end

local function socket_of(server) return server.dir .. "/ledger/control.sock" end

local function start(options)
  local server = support.start(options)
  finally(function() server:stop() end)
  return server
end

local function reload(server)
  local count = #server:logged "ready"
  process.kill(server.pid, "HUP")
  process.wait_for(function() return #server:logged "ready" > count end, "the new generation")
end

local function status(path)
  local session <close> = assert(control.enter(path))
  return session:ask { op = "status" }
end

--- What `lest run` prints of what came of a visit as another account.
local function visit_as(words, server, path)
  local script = server:file("visit.lua", [[
    local control = require "lest.tool.control"
    local session, err = control.enter(arg[1])
    local answer
    if session then answer, err = session:ask { op = "status" } end
    print(answer and "generation " .. answer.generation or err)]])
  os.execute("chmod 644 " .. script)
  local all = table.move(words, 1, #words, 1, {})
  for _, word in ipairs { server.lest, "run", script, path } do table.insert(all, word) end
  return process.must(all)
end

describe("the control socket", function()
  it("is beside the ledger for its owner alone, and says which server it is", function()
    local server = start(with "workers = 2")
    local path = socket_of(server)
    assert.equal("srw-------\n", process.must { "stat", "-c", "%A", path })
    process.wait_for(function() return #status(path).workers == 2 end, "both workers")
    local found = status(path)
    assert.equal(core.version, found.version)
    assert.equal(1, found.generation)
    assert.equal(server.dir .. "/ledger/ledger.db", found.ledger)
  end)

  it("is not there without one, nor when the server has ended", function()
    local server = support.start(with "control = false")
    assert.is_false((core.system.exists(socket_of(server))))
    assert.same({}, server:pids "control")
    server:stop()
    server = support.start()
    assert.is_true((core.system.exists(socket_of(server))))
    server:stop()
    assert.is_false((core.system.exists(socket_of(server))))
    local _, err = control.enter(socket_of(server))
    assert.equal("not_found", err.code)
  end)

  it("passes a console's frames to the worker that they name", function()
    local server = start(with "workers = 2")
    local path = socket_of(server)
    process.wait_for(function() return #status(path).workers == 2 end, "both workers")
    local session <close> = assert(control.enter(path))
    for worker = 1, 2 do
      assert.equal(worker, assert(session:ask {
        op = "console", worker = worker, act = "open" }).worker)
    end
    local _, err = session:ask { op = "console", worker = 3 }
    assert.equal("not_found", err.code)
  end)

  it("tells who speaks to a worker that it has ended, and has the next one", function()
    local server = start(with "workers = 1")
    local path = socket_of(server)
    local session <close> = assert(control.enter(path))
    local function open() return session:ask { op = "console", worker = 1, act = "open" } end
    process.wait_for(open, "the worker")
    local gone
    session.on_event = function(frame) gone = gone or frame end
    process.kill(server:pids("worker")[1], "KILL")
    process.wait_for(function()
      session:ask { op = "status" }
      return gone
    end, "the news")
    assert.equal("worker_gone", gone.event)
    process.wait_for(open, "the next")
  end)

  it("serves others while the ledger is asked, and lets nobody ask without end", function()
    local server = start()
    local path = socket_of(server)
    server:change([[WITH RECURSIVE n(i) AS
      (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
      INSERT INTO requests (id, time_us, operation, label, verdict, principal_name)
      SELECT 'r' || i, i, 'simpleenroll', '', 'approve', hex(zeroblob(500)) FROM n]])
    local slow <close> = assert(control.enter(path))
    local other <close> = assert(control.enter(path))
    local answers = {}
    for id = 1, 10 do
      slow.waiting[id] = { part = function() end, done = function(rows, err)
        answers[#answers + 1] = rows and "rows" or err.code
      end }
      assert(slow:send { id = id, op = "ledger", what = "request", query = { limit = 100 } })
    end
    slow.last = 10
    assert(other:ask { op = "status" })
    assert.is_true(#answers < 10)
    process.wait_for(function()
      other:ask { op = "status" }
      return not next(slow.waiting)
    end, "all answers", 20)
    table.sort(answers)
    assert.same({ "rows", "rows", "rows", "rows", "rows", "rows", "rows", "rows", "rows",
      "unavailable" }, answers)
    assert.same({}, slow:ask { op = "ledger", what = "credential", query = {} })
  end)

  it("takes so much at a console as a log has room for", function()
    local server = start(with "workers = 1")
    local session <close> = assert(control.enter(socket_of(server)))
    local function ask(frame)
      frame.op, frame.worker = "console", 1
      return session:ask(frame)
    end
    process.wait_for(function() return ask { act = "open" } end, "the worker")
    local err
    for i = 1, 60 do
      local done
      done, err = ask { act = "eval", code = "--" .. ("x"):rep(60000) }
      if not done then
        assert.is_true(i > 50)
        break
      end
    end
    assert.matches("too much was opened and typed: wait %d+ s", err and err.message)
    assert.is_nil((ask { act = "open" }))
    assert.is_true(#server:logged "console statement" <= 3060)
  end)

  it("stays over a reload, and after its process was killed", function()
    local server = start()
    local path = socket_of(server)
    reload(server)
    process.wait_for(function() return status(path).generation == 2 end, "the new generation")
    local before = server:pids("control")[1]
    process.kill(before, "KILL")
    process.wait_for(function() return status(path).pid ~= before end, "another process")
  end)

  it("changes its place and mode with the configuration, and leaves the old place", function()
    local server = start()
    local other = server.folder .. "/there.sock"
    server:edit_config(with(("control = { path = %q, group = 'root' }"):format(other)).config)
    reload(server)
    process.wait_for(function() return not core.system.exists(socket_of(server)) end, "its end")
    assert.equal("srw-rw----\n", process.must { "stat", "-c", "%A", other })
    server:edit_config(function(text)
      return (text:gsub("group = 'root'", "mode = '0600'"))
    end)
    reload(server)
    assert.equal("srw-------\n", process.must { "stat", "-c", "%A", other })
    process.wait_for(function() return status(other).generation == 3 end, "the new generation")
  end)

  it("keeps the one there is where a reload fails", function()
    local server = start()
    local other = server.folder .. "/there.sock"
    process.write(server.dir .. "/policy.lua", "return {")
    server:edit_config(with(("control = %q"):format(other)).config)
    process.kill(server.pid, "HUP")
    process.wait_for(function() return server:logged("reload failed")[1] end, "the failure")
    assert.equal(1, status(socket_of(server)).generation)
    assert.is_false((core.system.exists(other)))
    assert.is_false((core.system.exists(other .. ".new")))
  end)

  it("takes the place of a dead server's, and of nothing else", function()
    local server = support.start()
    finally(function() server:stop() end)
    local path = socket_of(server)
    local function check(problem)
      local code, _, err = process.run { server.lest, "serve", server.dir .. "/server.lua",
        "--listen", "127.0.0.1:0" }
      assert.equal(2, code)
      assert.truthy(err:find(problem, 1, true), err)
    end
    check "another server listens"
    process.kill(server.pid, "KILL")
    process.wait_for(function() return #server:pids "worker" == 0 end, "the end")
    assert.is_true((core.system.exists(path)))
    server:run()
    assert.equal(1, status(path).generation)
    process.kill(server.pid, "TERM")
    process.wait_for(function() return not process.alive(server.pid) end, "the end")
    process.write(server.folder .. "/victim", "mine")
    process.must { "ln", "-s", server.folder .. "/victim", path }
    check "is no socket"
    assert.equal("mine", process.read(server.folder .. "/victim"))
    process.must { "rm", path }
    process.write(path, "a file")
    check "is no socket"
    process.must { "rm", path }
    server:run()
  end)

  it("is in no folder where another account writes", function()
    local server = support.make()
    local open = server.folder .. "/open"
    process.must { "mkdir", "-m", "1777", open }
    server:edit_config(with(("control = %q"):format(open .. "/c.sock")).config)
    for _, words in ipairs { {}, { "--check" } } do
      local code, _, err = process.run { server.lest, "serve", server.dir .. "/server.lua",
        "--listen", "127.0.0.1:0", table.unpack(words) }
      assert.equal(2, code)
      assert.truthy(err:find("may write in the folder", 1, true), err)
    end
  end)

  it("is told wrongly in words", function()
    for value, problem in pairs { ["7"] = "must be a path, a table or false",
      ['{ mode = "0666" }'] = "not one of 0600, 0660", ['{ mode = "0660" }'] = "is for a group",
      ['{ grup = "x" }'] = "did you mean 'group'?", ['"a\\nb"'] = "is not a path",
      ['{ group = "no-such-group" }'] = "there is no group" } do
      local made = support.make(with("control = " .. value))
      local code, _, err = process.run { made.lest, "serve", "--check", made.dir .. "/server.lua" }
      assert.equal(2, code)
      assert.truthy(err:find(problem, 1, true), err)
    end
  end)
end)

describe("a visitor at the control socket", function()
  local server, path

  setup(function()
    server = support.start()
    path = socket_of(server)
  end)
  teardown(function() server:stop() end)

  local function raw()
    local channel = assert(core.door.enter(path, 1000))
    local state = { frames = {}, channel = channel }
    channel:on_close(function() state.closed = true end)
    channel:on_message(function(text) table.insert(state.frames, json.decode(text)) end)
    return state
  end

  local function wait_closed(state)
    process.wait_for(function() return state.closed end, "its end", 10)
  end

  it("is let go for what is no frame", function()
    for _, text in ipairs { "{", "7", "[]", "\0\0\0\4", '{"v":2,"id":1,"op":"status"}',
      '{"v":1,"op":"status"}', '{"v":1,"id":0,"op":"status"}',
      '{"v":1,"id":1.5,"op":"status"}', '{"v":1,"id":1,"op":7}',
      '{"v":1,"id":1,"id":1,"op":"status"}', ("["):rep(10000), (" "):rep(195000) } do
      local state = raw()
      assert(state.channel:send(text))
      wait_closed(state)
      assert.equal("protocol", state.frames[1].error.code)
    end
    assert.equal(1, status(path).generation)
  end)

  it("is told what this server does not know", function()
    local session <close> = assert(control.enter(path))
    local answer, err = session:ask { op = "format the disk" }
    assert.is_nil(answer)
    assert.equal("usage", err.code)
  end)

  it("is told who may, where it may not", function()
    if not host.is_root then return pending "needs root, to be another account" end
    process.must { "chmod", "755", server.dir .. "/ledger" }
    finally(function() process.must { "chmod", "700", server.dir .. "/ledger" } end)
    local nobody = { "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups" }
    assert.matches("Permission denied", visit_as(nobody, server, path))
    -- Past its mode, too.
    process.must { "chmod", "666", path }
    local said = visit_as(nobody, server, path)
    assert.matches("is for root, for the account that serves it and for no group", said)
    assert.truthy(said:find(path, 1, true))
    assert.equal(65534, server:logged("control refused")[1].uid)
  end)

  it("has no place among a thousand, and is one of a hundred again when they have left", function()
    local all = {}
    for i = 1, 1000 do all[i] = raw() end
    process.wait_for(function()
      local closed = 0
      for _, each in ipairs(all) do closed = closed + (each.closed and 1 or 0) end
      return closed == 1000 - 128
    end, "those who have no place", 20)
    assert.equal("unavailable", all[1000].frames[1].error.code)
    assert.equal(200, (server:curl "/cacerts"))
    for _, each in ipairs(all) do
      if not each.closed then each.channel:close() end
    end
    process.wait_for(function() return pcall(status, path) end, "a place")
  end)

  it("is let go where it never reads, and holds nobody", function()
    local channel = assert(core.door.enter(path, 1000))
    local sent = true
    local frame = json.line { v = 1, id = 1, op = "status" }
    for _ = 1, 20000 do sent = sent and channel:send(frame) end
    assert.equal(1, status(path).generation)
    process.wait_for(function() return not channel:send(frame) end, "its end")
  end)

  it("comes in as a member of the group", function()
    if not host.is_root then return pending "needs root, to be another account" end
    local other = support.make()
    local there = other.folder .. "/c.sock"
    other:edit_config(with(("control = { path = %q, group = 4242 }"):format(there)).config)
    other:run()
    finally(function() other:stop() end)
    assert.equal("4242\n", process.must { "stat", "-c", "%g", there })
    local member = { "setpriv", "--reuid=65534", "--regid=65534", "--groups=4242" }
    assert.equal("generation 1\n", visit_as(member, other, there))
    local first = { "setpriv", "--reuid=65533", "--regid=4242", "--clear-groups" }
    assert.equal("generation 1\n", visit_as(first, other, there))
    local stranger = { "setpriv", "--reuid=65534", "--regid=65534", "--groups=4243" }
    assert.matches("Permission denied", visit_as(stranger, other, there))
    process.must { "chmod", "666", there }
    assert.matches("for members of the group 4242", visit_as(stranger, other, there))
  end)

  it("has a share of the places, so that one account keeps no other out", function()
    if not host.is_root then return pending "needs root, to be another account" end
    local other = support.make()
    local there = other.folder .. "/c.sock"
    other:edit_config(with(("control = { path = %q, group = 4242 }"):format(there)).config)
    other:run()
    finally(function() other:stop() end)
    local script = other:file("crowd.lua", [[
      local control = require "lest.tool.control"
      local inside, problem = {}, nil
      for _ = 1, 40 do
        local session = control.enter(arg[1])
        local answer, err
        if session then answer, err = session:ask { op = "status" } end
        if answer then table.insert(inside, session) else problem = problem or err end
      end
      print(#inside, problem.message)
      io.stdout:flush()
      io.read()]])
    os.execute("chmod 644 " .. script)
    local out, keys = other.folder .. "/crowd.out", other.folder .. "/crowd.keys"
    process.must { "mkfifo", keys }
    process.start({ "sh", "-c", ("setpriv --reuid=65534 --regid=65534 --groups=4242 "
      .. "%s run %s %s <%s"):format(other.lest, script, there, keys) }, out,
      other.folder .. "/crowd.err")
    local held = assert(io.open(keys, "w"))
    process.wait_for(function() return process.read(out):find "\n" end, "the crowd", 30)
    assert.equal("32\ttoo many are at the control socket\n", process.read(out))
    local neighbour = { "setpriv", "--reuid=65533", "--regid=65533", "--groups=4242" }
    assert.equal("generation 1\n", visit_as(neighbour, other, there))
    assert.equal(1, status(there).generation)
    held:close()
  end)

  it("speaks to no socket that a third account has put there", function()
    if not host.is_root then return pending "needs root, to be another account" end
    local folder = process.folder()
    process.must { "chmod", "1777", folder }
    local code = [[socket(S, AF_UNIX, SOCK_SEQPACKET, 0); bind(S, sockaddr_un($ARGV[0]));
      listen(S, 5); accept(C, S) while 1]]
    local trap = process.start({ "setpriv", "--reuid=65534", "--clear-groups", "perl", "-MSocket",
      "-e", code, folder .. "/c.sock" }, folder .. "/out", folder .. "/err")
    finally(function() process.kill(trap, "KILL") end)
    process.wait_for(function()
      local _, err = control.enter(folder .. "/c.sock")
      return err.code == "refused" and tostring(err):find "not trusted"
    end, "the refusal")
  end)
end)
