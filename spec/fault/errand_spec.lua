-- Operators' commands in a server that runs: the same as without one, for who may come in, and as
-- nobody else; what becomes of them when somebody leaves, lies or dies.
local control = require "lest.tool.control"
local core = require "lest.core"
local host = require "support.host"
local process = require "support.process"
local support = require "support.server"

describe("a command while the server runs", function()
  local server, config, path

  setup(function()
    server = support.make { policy = [[
      local policy = require "lest.policy"
      return { enroll = function(request)
        if request.principal.name:find "^wait" then return policy.pending { reason = "wait" } end
        return policy.approve { subject = { { "CN", request.principal.name } } }
      end }]] }
    path = server.folder .. "/control.sock"
    server:edit_config(function(text)
      return (text:gsub("labels = {", ("control = { path = %q, group = 4242 },\n  labels = {")
        :format(path), 1))
    end)
    server:run()
    config = server.dir .. "/server.lua"
    os.execute("chmod 755 " .. server.dir .. " && chmod 644 " .. config)
  end)
  teardown(function() server:stop() end)

  local function lest(...)
    return process.run { server.lest, ... }
  end

  local function acts()
    return core.json.decode(process.must { server.lest, "ledger", "acts", "--json", "--config",
      config })
  end

  --- A member of the group, who has no right on any file of the server.
  local function member(...)
    return process.run { "setpriv", "--reuid=65534", "--regid=65534", "--groups=4242", server.lest,
      ... }
  end

  local function ends()
    process.wait_for(function()
      local _, out = process.run { "pgrep", "-P", tostring(server:pids("control")[1]) }
      return out == ""
    end, "the end of all commands", 20)
  end

  it("says what it says without one", function()
    server:enroll "first"
    server:credential "other"
    local serial = core.json.decode(select(2, lest("cert", "list", "--json", "--config",
      config)))[1].serial
    for _, words in ipairs { { "credential", "list" }, { "credential", "list", "--json" },
      { "credential", "list", "--limit", "1" }, { "credential", "show", "first" },
      { "credential", "show", "nobody" }, { "cert", "list" }, { "cert", "list", "--wide" },
      { "cert", "list", "--state", "nonsense" }, { "cert", "show", serial },
      { "cert", "show", serial, "--json" }, { "cert", "show", "0a" }, { "request", "list" },
      { "request", "list", "--name", "first", "--since", "1d", "--json" },
      { "request", "record", "first" }, { "request", "record", "nobody" },
      { "request", "list", "--refused-early" }, { "pending", "list" }, { "pending", "show", "x" },
      { "pending", "approve", "x", "y" },
      { "explain", "first" }, { "explain", "nobody", "--json" }, { "log" }, { "log", "--json" },
      { "credential", "remove", "nobody" },
      { "cert", "revoke" }, { "credential" }, { "credential", "list", "--help" } } do
      table.move({ "--config", config }, 1, 2, #words + 1, words)
      local there = { lest(table.unpack(words)) }
      table.insert(words, "--direct")
      local here = { lest(table.unpack(words)) }
      assert.same(here, there, table.concat(words, " "))
    end
  end)

  it("is of who the kernel says, and is in the ledger with that", function()
    lest("credential", "add", "noted", "--config", config)
    local row = acts()[1]
    assert.same({ "credential_add", "noted", "ok", "socket", core.system.user_id() },
      { row.operation, row.subject, row.result, row.through, row.uid })
    assert.equal(core.system.user_name(), row.account)
    process.run { "env", "SUDO_USER=alice", server.lest, "credential", "remove", "noted",
      "--config", config }
    assert.equal(host.is_root and "alice" or core.system.user_name(), acts()[1].account)
    lest("credential", "add", "noted", "--direct", "--config", config)
    assert.equal("file", acts()[1].through)
    lest("credential", "remove", "nobody-at-all", "--config", config)
    assert.equal("not_found", acts()[1].result)
    local logged = server:logged "command"
    assert.equal("credential remove", logged[#logged - 1].command)
    assert.equal(core.system.user_id(), logged[#logged - 1].uid)
  end)

  it("is for a member of the group, who has no right on files and decides as itself", function()
    if not host.is_root then return pending "needs root, to be another account" end
    local secret = server:credential "wait1"
    assert.equal(202, (server:post("/simpleenroll", server:csr "wait1", "--user",
      "wait1:" .. secret)))
    local code, out, err = member("pending", "list", "--json", "--config", config)
    assert.same({ 0, "" }, { code, err })
    local id = core.json.decode(out)[1].id
    code, out, err = member("pending", "approve", id, "--as", "root", "--config", config)
    assert.equal("", out)
    assert.equal(7, code)
    assert.matches("%-%-as is for root; you decide as 'nobody'", err)
    code = member("pending", "approve", id, "--config", config)
    assert.equal(0, code)
    code, out = lest("pending", "show", id, "--config", config)
    assert.equal(0, code)
    assert.matches("approve by nobody", out)
    -- Its word for sudo is no proof.
    process.run { "setpriv", "--reuid=65534", "--regid=65534", "--groups=4242", "env",
      "SUDO_USER=alice", server.lest, "pending", "approve", id, "--config", config }
    assert.equal("nobody", acts()[1].account)
    assert.equal(65534, acts()[1].uid)
    -- With the socket alone, and in no other way.
    assert.equal(0, (member("cert", "list", "--control", path)))
    code, out, err = member("cert", "list", "--direct", "--config", config)
    assert.equal("", out)
    assert.equal(1, code)
    assert.matches("ledger.db", err)
  end)

  it("puts a decision on the desk of a member, who may not read the ledger", function()
    if not host.is_root then return pending "needs root, to be another account" end
    server:enroll "desk1"
    os.execute("chmod 644 " .. server.dir .. "/policy.lua")
    local code, out, err = member("repl", "--request", "desk1", "--config", config, "-e",
      "request.device", "-e", "decide()")
    assert.same({ 0, "" }, { code, err }, out)
    assert.matches('^"desk1"\napprove by policy.lua:%d+\n.*\nas recorded\n$', out)
    code, out, err = process.run { "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
      server.lest, "repl", "--request", "desk1", "--config", config, "-e", "request" }
    assert.same({ true, "" }, { code ~= 0, out })
    assert.matches("^lest repl: .*Permission denied", err)
  end)

  it("names socket and group to whom it is not for", function()
    if not host.is_root then return pending "needs root, to be another account" end
    local code, _, err = process.run { "setpriv", "--reuid=65534", "--regid=65534",
      "--clear-groups", server.lest, "pending", "list", "--config", config }
    assert.equal(1, code)
    assert.truthy(err:find(path, 1, true), err)
    assert.matches("for members of the group 4242", err)
  end)

  it("reads the files that its words name where it was given, and shows no password", function()
    local password = "a very secret text"
    local file = server:file("password", password .. "\n")
    os.execute(("chmod 600 %s"):format(file))
    assert.equal(0, (lest("credential", "add", "filed", "--password-file", file, "--config",
      config)))
    assert.equal(0, (process.run(("echo %s | %s credential add piped --password-file - "
      .. "--config %s"):format(process.quote(password), server.lest, config))))
    local status = server:curl("/csrattrs", "--user", "filed:" .. password)
    assert.is_true(status == 200 or status == 204)
    local code, out, err = lest("credential", "add", "x", "--password-file", file .. "-not",
      "--config", config)
    assert.equal("", out)
    assert.equal(2, code)
    assert.matches("No such file", err)
    assert.is_nil(process.read(server.log_file):find(password, 1, true))
    assert.is_nil(process.must { "strings", server:ledger() }:find(password, 1, true))
    local names = {}
    for i = 1, 20000 do names[i] = ("many%05d"):format(i) end
    local list = server:file("names", table.concat(names, "\n"))
    code, out, err = lest("credential", "add", "--from", list, "--config", config)
    assert.equal(20000, select(2, out:gsub("\n", "")))
    assert.equal(0, code, err)
    assert.matches("20000 credentials made", err)
  end)

  --- What a member may write to, and read.
  local function members_folder(name)
    local folder = ("%s/%s"):format(server.folder, name)
    process.must { "install", "-d", "-m", "700", "-o", "65534", "-g", "65534", folder }
    return folder
  end

  it("gives a member a copy of the ledger, as a file of theirs, whole or not at all", function()
    if not host.is_root then return pending "needs root, to be another account" end
    local folder = members_folder "copies"
    local file = folder .. "/copy.db"
    local code, out, err = member("ledger", "backup", file, "--json", "--config", config)
    assert.same({ 0, "" }, { code, err })
    assert.equal(file, core.json.decode(out).file)
    assert.equal("600 65534", process.capture("stat -c '%a %u' " .. file))
    assert.equal("ok", process.capture(("sqlite3 %s 'PRAGMA integrity_check'"):format(file)))
    assert.equal(process.capture(("sqlite3 %s 'SELECT count(*) FROM requests'"):format(
      server:ledger())), process.capture(("sqlite3 %s 'SELECT count(*) FROM requests'"):format(
      file)))
    local row = acts()[1]
    assert.same({ "ledger_backup", file, "ok", "socket", 65534 },
      { row.operation, row.subject, row.result, row.through, row.uid })
    code, out, err = member("ledger", "backup", file, "--config", config)
    assert.same({ 1, "" }, { code, out })
    assert.equal(("lest ledger backup: %s exists already and is not overwritten\n"):format(file),
      err)
    assert.equal("copy.db", process.capture("ls -A " .. folder))
    -- Only it may say where; the server's account writes nothing by a name.
    code, out, err = member("ledger", "backup", server.folder .. "/not-mine.db", "--config", config)
    assert.equal("", out)
    assert.equal(1, code)
    assert.matches("not%-mine.db: cannot be written", err)
    assert.is_false(process.exists(server.folder .. "/not-mine.db"))
    assert.is_nil(select(2, process.run { "ls", "-A", (server:ledger():match "^(.*)/") })
      :find("copy-", 1, true))
  end)

  it("imports the certificates that a member has, by the trust of the server", function()
    if not host.is_root then return pending "needs root, to be another account" end
    local folder = members_folder "old"
    local issuer = assert(core.issuer.new { cert = assert(core.cert.load(server.dir .. "/ca.pem")),
      key = assert(core.key.load(server.dir .. "/ca.key")) })
    local pems, ders = {}, {}
    for i = 1, 250 do
      ders[i] = assert(issuer:issue { public_key = assert(core.key.generate "ec:P-256")
        :public_der(), subject = "CN=old" .. i, not_before = os.time() - 60,
        not_after = os.time() + 86400, eku = { "clientAuth" } })
      pems[i] = assert(core.cert.parse(ders[i])):pem()
    end
    process.write(folder .. "/many.pem", table.concat(pems))
    process.write(folder .. "/one.der", ders[1])
    os.execute(("chown -R 65534 %s && chmod 600 %s/*"):format(folder, folder))
    os.execute("chmod 600 " .. server.dir .. "/ca.pem")
    finally(function() os.execute("chmod 644 " .. server.dir .. "/ca.pem") end)
    local function import(run, ...)
      return { run("cert", "import", folder .. "/many.pem", folder .. "/one.der", "--config",
        config, ...) }
    end
    assert.same({ 0, "250 imported, 1 in the ledger already, 0 refused\n",
      ("lest cert import: %s/one.der (CN=old1): is in the ledger already\n"):format(folder) },
      import(member))
    assert.same({ "cert_import", "socket", 65534 }, { acts()[1].operation, acts()[1].through,
      acts()[1].uid })
    assert.same(import(lest, "--direct"), import(member))
    process.write(folder .. "/large.pem", ("#"):rep(17 << 20))
    local code, out, err = member("cert", "import", folder .. "/large.pem", "--config", config)
    assert.same({ 2, "" }, { code, out })
    assert.matches("16 MiB go to a server that runs; %-%-direct takes more", err)
    assert.equal("250", process.capture(([[sqlite3 %s "SELECT count(*) FROM requests
      WHERE reason = 'imported by nobody'"]]):format(server:ledger())))
  end)

  it("asks its question at the terminal, and takes no line more", function()
    server:enroll "asked"
    local revoke = ("%s cert revoke --name asked --config %s"):format(server.lest, config)
    local code, _, err = process.run("echo n | " .. revoke)
    assert.equal(7, code)
    assert.matches("Revoke for good this certificate", err)
    code = process.run(revoke .. " </dev/null")
    assert.equal(7, code)
    local out
    code, out = process.run("printf 'y\\nnext\\n' | " .. revoke)
    assert.equal(0, code)
    assert.matches("^revoked ", out)
  end)

  it("runs what is listed, with the options that are", function()
    local function try(...)
      local session <close> = assert(control.enter(path))
      local words, out = {}, {}
      for i, word in ipairs { ... } do words[i] = core.base64.encode(word) end
      local done, err = session:ask({ op = "command", words = words }, { part = function(frame)
        if frame.data then table.insert(out, core.base64.decode(frame.data)) end
      end })
      return done and done.code or err.code, table.concat(out)
    end
    for _, words in ipairs { { "ledger", "init" }, { "repl" }, { "policy", "test" },
      { "run", "x.lua" }, { "serve" }, { "init", "list" },
      { "../../x", "list" }, { "credential" }, { "cert", "--help" } } do
      assert.equal("refused", (try(table.unpack(words))), table.concat(words, " "))
    end
    for _, words in ipairs { { "cert", "list", "--ledger", "/etc/passwd" },
      { "cert", "list", "--direct" } } do
      local code, out = try(table.unpack(words))
      assert.equal(7, code)
      assert.matches("is not for a server that runs", out)
    end
    local code, out = try("credential", "add", "x", "--password-file", "/etc/shadow")
    assert.equal(2, code)
    assert.matches("did not come with the command", out)
    code, out = try("cert", "import", "/etc/passwd")
    assert.equal(2, code)
    assert.matches("did not come with the command", out)
    local written = server.folder .. "/by-name"
    code, out = try("ledger", "backup", written)
    assert.equal(2, code)
    assert.matches("is opened where the command was typed", out)
    assert.is_false(process.exists(written))
    assert.equal("protocol", (try()))
    assert.equal("protocol", (try("cert", "list\0")))
    ends()
  end)

  it("follows what happens, until who asked has gone", function()
    local out = server.folder .. "/followed"
    local pid = process.start({ server.lest, "log", "--follow", "--config", config }, out,
      server.folder .. "/followed.err")
    process.wait_for(function()
      return #server:logged "command" > 0 and process.read(out):find "VERDICT"
    end, "the log's head")
    server:enroll "followed"
    process.wait_for(function() return process.read(out):find "followed" end, "the decision")
    process.kill(pid, "TERM")
    ends()
  end)

  it("is one of a bounded number", function()
    server:enroll "held"
    local sessions = {}
    finally(function()
      for _, session in ipairs(sessions) do session:close() end
      ends()
    end)
    local words = {}
    for i, word in ipairs { "cert", "revoke", "--name", "held" } do
      words[i] = core.base64.encode(word)
    end
    for i = 1, 16 do
      sessions[i] = assert(control.enter(path))
      local asked
      sessions[i].waiting[1] = { part = function(frame) asked = asked or frame.ask end,
        done = function() end }
      assert(sessions[i]:send { id = 1, op = "command", words = words })
      process.wait_for(function()
        core.loop.timer(10, function() end)
        core.loop.turn()
        return asked
      end, "the question")
    end
    local code, _, err = lest("cert", "list", "--config", config)
    assert.equal(5, code)
    assert.matches("too many commands run at once", err)
    -- The second command of one connection.
    sessions[1].last = 1
    local _, problem = sessions[1]:ask { op = "command", words = words }
    assert.equal("usage", problem.code)
  end)

  it("ends when who asked has gone", function()
    server:enroll "left"
    local session = assert(control.enter(path))
    local words = {}
    for i, word in ipairs { "cert", "revoke", "--name", "left" } do
      words[i] = core.base64.encode(word)
    end
    assert(session:send { id = 1, op = "command", words = words })
    process.wait_for(function()
      local _, out = process.run { "pgrep", "-P", tostring(server:pids("control")[1]) }
      return out ~= ""
    end, "the command")
    session:close()
    ends()
    local row = core.json.decode(select(2, lest("cert", "list", "--json", "--name", "left",
      "--config", config)))[1]
    assert.equal("valid", row.state)
  end)

  it("leaves a place for root", function()
    if not host.is_root then return pending "needs root, to be other accounts" end
    local pids = {}
    finally(function()
      for _, pid in ipairs(pids) do pcall(process.kill, pid, "TERM") end
      ends()
    end)
    for i = 1, 13 do
      pids[i] = process.start({ "setpriv", "--reuid=" .. 65533 + i % 2, "--regid=65534",
        "--groups=4242", server.lest, "log", "--follow", "--control", path },
        server.folder .. "/place.out", server.folder .. "/place.err" .. i)
    end
    local function refused()
      local count = 0
      for i = 1, 13 do
        local err = process.read(server.folder .. "/place.err" .. i)
        if err:find "too many commands" then count = count + 1 end
      end
      return count
    end
    process.wait_for(function() return refused() > 0 end, "one too many", 20)
    assert.equal(1, refused())
    assert.equal(0, (lest("cert", "list", "--config", config)))
  end)

  local function packed(...)
    local words = {}
    for i, word in ipairs { ... } do words[i] = core.base64.encode(word) end
    return words
  end

  local function is_answered()
    local session <close> = assert(control.enter(path))
    return session:ask { op = "status" } ~= nil
  end

  it("ends also when who asked was gone before it had begun", function()
    for _ = 1, 4 do
      local session = assert(control.enter(path))
      assert(session:send { id = 1, op = "command", words = packed("log", "--follow") })
      session:close()
    end
    assert.is_true(is_answered())
    ends()
    assert.equal(0, #server:logged "lua error")
  end)

  it("is sent no more lines than it reads, and nobody waits for that", function()
    local session <close> = assert(control.enter(path))
    assert(session:send { id = 1, op = "command", words = packed("log", "--follow") })
    local line = core.base64.encode(("x"):rep(4095) .. "\n")
    for _ = 1, 40 do session:send { id = 1, op = "input", data = line } end
    assert.is_true(is_answered())
    session:close()
    ends()
  end)

  it("has files of a bounded number of pieces, and bytes of their names too", function()
    local function refused_at(name_of, data)
      local session <close> = assert(control.enter(path))
      for i = 1, 1100 do
        local _, err = session:ask { op = "file", path = core.base64.encode(name_of(i)),
          data = core.base64.encode(data) }
        if err then return err.code, i end
      end
    end
    assert.same({ "too_large", 1025 }, { refused_at(function() return "one" end, "x") })
    local code, at = refused_at(function(i) return ("n"):rep(100000) .. i end, "")
    assert.equal("too_large", code)
    assert.is_true(at < 700)
  end)

  it("finds room for root's files, however many another account leaves", function()
    if not host.is_root then return pending "needs root, to be another account" end
    local script = server:file("fill.lua", [[
      local control, core = require "lest.tool.control", require "lest.core"
      local sessions = {}
      for i = 1, 6 do
        sessions[i] = assert(control.enter(arg[1]))
        for _, size in ipairs { 90000, 5000, 100 } do
          local data = core.base64.encode(("x"):rep(size))
          repeat
            local ok = sessions[i]:ask { op = "file", path = core.base64.encode "a", data = data }
          until not ok
        end
      end
      print "full"
      io.stdout:flush()
      require "lest".sleep(300) ]])
    os.execute("chmod 644 " .. script)
    local pid = process.start({ "setpriv", "--reuid=65534", "--regid=65534", "--groups=4242",
      server.lest, "run", script, path }, server.folder .. "/fill.out",
      server.folder .. "/fill.err")
    finally(function() pcall(process.kill, pid, "KILL") end)
    process.wait_for(function()
      return process.read(server.folder .. "/fill.out"):find "full"
    end, "one who fills the room", 60)
    local names = { "name" }
    for i = 2, 100 do names[i] = "roomy-" .. i end
    local code, _, err = lest("credential", "add", "--from", server:file("roomy",
      table.concat(names, "\n") .. "\n"), "--config", config)
    assert.equal(0, code, err)
  end)

  it("says so in words when the server does not answer", function()
    local pid = server:pids("control")[1]
    process.kill(pid, "STOP")
    finally(function() pcall(process.kill, pid, "CONT") end)
    local session <close> = assert(control.enter(path))
    local _, err = session:ask({ op = "status" }, { patience_s = 0.3 })
    assert.equal("timeout", err.code)
    assert.matches("the server does not answer within", tostring(err))
  end)

  it("is whole or not at all where the server dies under it", function()
    local count = #core.json.decode(select(2, lest("credential", "list", "--json", "--limit",
      "all", "--config", config)))
    local lines = { "name,password" }
    for i = 1, 3000 do lines[i + 1] = ("slow%d,some-password-%d"):format(i, i) end
    local list = server:file("slow", table.concat(lines, "\n"))
    local pid = process.start({ server.lest, "credential", "add", "--from", list, "--config",
      config }, server.folder .. "/slow.out", server.folder .. "/slow.err")
    local before = server:pids("control")[1]
    process.wait_for(function()
      local _, out = process.run { "pgrep", "-P", tostring(before) }
      return out ~= ""
    end, "the command")
    process.kill(before, "KILL")
    process.wait_for(function() return not process.alive(pid) end, "its end", 20)
    assert.matches("each change is there whole or not at all",
      process.read(server.folder .. "/slow.err"))
    process.wait_for(function()
      return lest("ledger", "acts", "--config", config) == 0 and server:pids("control")[1] ~= before
    end, "another control process")
    assert.equal(count, #core.json.decode(select(2, lest("credential", "list", "--json", "--limit",
      "all", "--config", config))))
  end)

  it("goes on over a reload, and so does the next", function()
    local pid = process.start({ "sh", "-c", ([[for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
      %s credential list --limit 1 --config %s || exit 1; done; echo all]]):format(server.lest,
      config) }, server.folder .. "/loop.out", server.folder .. "/loop.err")
    for _ = 1, 3 do
      local count = #server:logged "ready"
      process.kill(server.pid, "HUP")
      process.wait_for(function() return #server:logged "ready" > count end, "a generation")
    end
    process.wait_for(function() return not process.alive(pid) end, "their end", 30)
    assert.matches("all\n$", process.read(server.folder .. "/loop.out"),
      process.read(server.folder .. "/loop.err"))
  end)
end)
