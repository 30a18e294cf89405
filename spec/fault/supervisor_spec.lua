-- The supervisor starts, replaces, reloads and ends its roles, and drops their rights.
local core = require "lest.core"
local host = require "support.host"
local process = require "support.process"

local STUCK <const> = [[core.process.beat "request-42"; return ("a"):rep(253):find("a*a*a*a*b")]]

describe("the supervisor", function()
  local server

  local function start(config)
    server = host.start(config)
    return server
  end

  --- Wait until a role has a process other than `pid`; returns it.
  local function replaced(role, index, pid)
    return server:wait("a new " .. role, function()
      for _, line in ipairs(server:logged "child started") do
        local name = index > 0 and ("%s %d"):format(role, index) or role
        if line.child == name and line.child_pid ~= pid and process.alive(line.child_pid) then
          return server:role_pid(role, index) == line.child_pid and line.child_pid
        end
      end
    end)
  end

  after_each(function()
    if server then server:stop() end
    server = nil
  end)

  describe("starts", function()
    it("and says where it listens", function()
      start { workers = 2 }
      assert.matches("^127%.0%.0%.1:%d+$", server.listen)
      assert.equal(2, server:logged("ready")[1].workers)
      local port = server.listen:match ":(%d+)$"
      assert.equal(0, (process.run { "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/" .. port }))
    end)

    it("with one socket for both families where the address is [::]", function()
      start { listen = { "[::]:0" } }
      local port = server.listen:match ":(%d+)$"
      assert.equal(0, (process.run { "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/" .. port }))
    end)

    it("processes that ps calls lest, with the role among their arguments", function()
      start { workers = 1 }
      for role, pid in pairs { supervisor = server.pid, worker = server:role_pid("worker", 1),
        authority = server:role_pid("authority", 0) } do
        local told = process.must { "ps", "-o", "comm=,args=", "-p", pid }
        assert.matches("^lest +.*%-%-role " .. role, told)
      end
    end)

    it("gives each role the launch that it needs", function()
      start {}
      assert.equal("worker 1 1 false", server:ask("worker", 1,
        "return table.concat({ launch.role, launch.index, launch.generation, "
        .. "tostring(launch.check) }, ' ')"))
      server:wait("the authority's word", function()
        return server:ask("worker", 1, "return word") == "authority of 1"
      end)
    end)

    it("not, with exit code 2, where the configuration is wrong", function()
      server = host.make "return {\n  listen = = 3\n}\n"
      local code, _, err = server:run()
      assert.equal(2, code)
      assert.matches("server.lua:2: ", err)
      -- Not as root there is a line about that, too.
      assert.equal(host.is_root and 1 or 2, select(2, err:gsub("\n", "")))
      server:configure { listen = { "localhost" } }
      code, _, err = server:run()
      assert.equal(2, code)
      assert.matches("is not ADDRESS:PORT", err)
      server:configure { extra = { { "surprise", "1" } } }
      assert.equal(2, (server:run()))
      server:configure { workers = 1000000 }
      assert.equal(2, (server:run()))
      os.remove(server.folder .. "/server.lua")
      assert.equal(2, (server:run()))
    end)

    it("not where the configuration's text is cut off, wherever", function()
      server = host.make {}
      local cases = { { files = { { "tls.cert\0/etc/passwd", "a key without a path" } } } }
      for _, rest in ipairs { "", "\n{", "\n{}\0tls.cert", "\n{}\0tls.cert\0/etc/passwd" } do
        -- A sanitizer looks for leaks when a process exits early, and may not in one closed off.
        if LEST_PREFIX:find "asan" then break end
        table.insert(cases, { ends_early = true, extra = { { "drain_s", "1\n" .. rest } } })
      end
      for _, case in ipairs(cases) do
        server:configure(case)
        local code, _, err = server:run "--check"
        assert.equal(2, code, err)
        assert.matches("the configuration is cut off", err)
      end
    end)

    it("not where the configuration's text is longer than it may be", function()
      server = host.make { json_size = (1 << 20) - 1 } -- a NUL ends it
      assert.equal(0, (server:run "--check"))
      server:configure { json_size = 1 << 20 }
      local code, _, err = server:run "--check"
      assert.equal(2, code, err)
      assert.matches("the configuration is larger than 1 MiB", err)
    end)

    it("not where what the configuration names is no file, or depends on where one is", function()
      server = host.make {}
      process.must { "mkfifo", server.folder .. "/pipe" }
      for _, path in ipairs { "/dev/null", "README.md", "", server.folder,
        server.folder .. "/pipe" } do
        server:configure { files = { { "tls.cert", path } } }
        local code, _, err = server:run "--check"
        assert.equal(2, code, path)
        assert.matches(("tls.cert: %s: is no file"):format(path), err, 1, true)
      end
      server:configure { files = { { "tls.cert", server.folder .. "/server.lua" } } }
      assert.equal(0, (server:run "--check"))
    end)

    it("not where a role does not start, or an address is taken", function()
      start {}
      local other = host.make { listen = { server.listen } }
      local code, _, err = other:run()
      assert.equal(1, code)
      assert.matches("cannot listen at " .. server.listen:gsub("%p", "%%%0"), err)
      other:configure { worker = { exit = 2 } }
      assert.equal(2, (other:run()))
      other:configure { authority = { exit = 7 } }
      assert.equal(1, (other:run()))
      other:stop()
    end)

    it("not where there is no /proc, and says so", function()
      if not host.is_root then return pending "needs root" end
      if LEST_PREFIX:find "asan" then return pending "a sanitizer needs /proc, too" end
      server = host.make {}
      local code, _, err = process.run { "unshare", "-m", "sh", "-c",
        [[mount -t tmpfs none /proc && exec "$@"]], "sh", server.lest, "--version" }
      assert.equal(1, code)
      assert.equal("lest: /proc/self/exe cannot be read: No such file or directory\n", err)
    end)

    it("nothing for --check, which loads everything", function()
      server = host.make {}
      local code, out, err = server:run "--check"
      assert.same({ 0, "ok\n", "" }, { code, out, err })
      server:configure { worker = { exit = 2 } }
      code, out = server:run "--check"
      assert.same({ 2, "" }, { code, out })
    end)

    it("one worker for each processor that it may use", function()
      if process.run "taskset --version" ~= 0 then return pending "needs taskset" end
      server = host.make { workers = false }
      server:launch("taskset", "-c", "0")
      assert.equal(1, server:logged("ready")[1].workers)
    end)

    it("no more workers than the quota of its control group is worth", function()
      if not host.is_root then return pending "needs root" end
      local own = process.read "/proc/self/cgroup":match "0::(/[^\n]*)"
      local processors = tonumber(process.capture "nproc")
      if not own or processors < 2 then return pending "needs cgroups and two processors" end
      local parent = own == "/" and "" or own:match "^(.*)/[^/]*$"
      for _, case in ipairs { { own, "100000 100000", 1 }, { own, "100001 100000", 2 },
        { own, "max 100000", processors }, { parent, "20000 50000", 1 } } do
        local folder, quota, workers = table.unpack(case)
        server = host.make { workers = false }
        server:launch("unshare", "-m", "sh", "-c", ([[mount -t tmpfs none /sys/fs/cgroup &&
          mkdir -p /sys/fs/cgroup%s && echo "%s" >/sys/fs/cgroup%s/cpu.max && exec "$@"]]):format(
          own, quota, folder), "sh")
        assert.equal(workers, server:logged("ready")[1].workers, quota)
        server:stop()
      end
      server = nil
    end)

    it("refuses addresses of plain HTTP that are others', or alone", function()
      for message, config in pairs {
        ["listen: at least one address is needed"] = { listen = {},
          extra = { { "listen_http", "127.0.0.1:0" } } },
        ["listen_http: 127.0.0.1:0 is there twice"] = {
          extra = { { "listen_http", "127.0.0.1:0" } } },
        ["listen: stands behind listen_http"] = {
          extra = { { "listen_http", "127.0.0.2:0" }, { "listen", "127.0.0.3:0" } } },
      } do
        server = host.make(config)
        local code, _, err = server:run()
        assert.equal(2, code)
        assert.is_truthy(err:find(message, 1, true), err)
        server:stop()
      end
    end)

    it("listens where the command line says", function()
      server = host.make { listen = { "192.0.2.1:1" } }
      server.pid = process.start({ server.lest, "serve", server.folder .. "/server.lua", "--listen",
        "127.0.0.1:0", "--listen", "127.0.0.2:0" }, server.folder .. "/out", server.log_file)
      server:wait_ready(1)
      assert.matches("^127%.0%.0%.1:%d+ 127%.0%.0%.2:%d+$", server.listen)
    end)
  end)

  describe("replaces", function()
    for _, role in ipairs { "worker", "authority" } do
      local index = role == "worker" and 1 or 0
      it("a killed " .. role, function()
        start { workers = 2 }
        local pid = server:role_pid(role, index)
        server:ask(role, index, "core.process.beat 'request-7'")
        process.kill(pid, "KILL")
        assert.is_true(replaced(role, index, pid) ~= pid)
        local line = server:logged("child ended")[1]
        assert.equal(9, line.signal)
        assert.equal("request-7", line.request)
        assert.equal("error", line.level)
      end)
    end

    it("a worker that ends by itself, with a delay that grows", function()
      start {}
      for round = 1, 3 do
        local pid = server:role_pid("worker", 1)
        server:tell("worker", 1, "os.exit(3)")
        server:wait("the end", function() return not process.alive(pid) end)
        replaced("worker", 1, pid)
        assert.equal(3, server:logged("child ended")[round].status)
      end
      local ended, started = server:logged "child ended", server:logged "child started"
      local function seconds(line) return tonumber(line.time:match ":([%d.]+)Z$") end
      local delay = (seconds(started[#started]) - seconds(ended[3])) % 60
      assert.is_true(delay >= 0.39, "delay " .. delay)
    end)

    it("a worker whose loop is stuck, naming its request", function()
      start { watchdog_s = 1, workers = 2 }
      local pid = server:role_pid("worker", 1)
      server:tell("worker", 1, STUCK)
      local line = server:wait_logged("child stuck")[1]
      assert.equal("worker 1", line.child)
      assert.equal("request-42", line.request)
      replaced("worker", 1, pid)
    end)

    it("a stopped authority", function()
      start { watchdog_s = 1 }
      local pid = server:role_pid("authority", 0)
      local function channels() return tonumber(server:ask("worker", 1, "return channels")) end
      local before = channels()
      process.kill(pid, "STOP")
      server:wait_logged "child stuck"
      replaced("authority", 0, pid)
      server:wait("another channel", function() return channels() > before end, 20)
    end)

    it("nobody that a sleeping machine made late", function()
      start { watchdog_s = 1 }
      local pids = { server.pid, server:role_pid("worker", 1), server:role_pid("authority", 0) }
      for _, pid in ipairs(pids) do process.kill(pid, "STOP") end
      os.execute "sleep 3" -- longer than the watchdog waits
      local turns = process.turns(server.pid)
      for _, pid in ipairs(pids) do process.kill(pid, "CONT") end
      server:wait("some looks at them", function()
        return process.turns(server.pid) >= turns + 10
      end, 20)
      assert.equal(pids[2], server:role_pid("worker", 1))
      assert.same({}, server:logged "child stuck")
    end)
  end)

  describe("on SIGHUP", function()
    it("has descriptors for two generations, and lets go of those of the first", function()
      server = host.make { workers = 8 }
      server:launch("prlimit", "--nofile=40:4096")
      local function count()
        return select(2, process.must({ "ls", ("/proc/%d/fd"):format(server.pid) }):gsub("\n", ""))
      end
      local before = count()
      for generation = 2, 4 do
        process.kill(server:role_pid("worker", 1), "KILL")
        server:wait_logged("child ended", generation - 1)
        server:signal "HUP"
        server:wait_ready(generation)
        server:wait("the end of those before", function() return count() == before end)
      end
    end)

    it("starts a new generation and then ends the old one", function()
      start { workers = 2, worker = { linger_ms = 300 } }
      local old = { server:role_pid("worker", 1), server:role_pid("worker", 2),
        server:role_pid("authority", 0) }
      local listen = server.listen
      server:configure { workers = 1 }
      server:signal "HUP"
      server:wait_ready(2)
      assert.equal(listen, server.listen)
      assert.equal("1", server:ask("worker", 1, "return math.tointeger(config.workers)"))
      -- The old authority serves until the old workers have gone.
      assert.is_true(process.alive(old[1]) and process.alive(old[3]))
      server:wait("the old ones' end", function()
        for _, pid in ipairs(old) do
          if process.alive(pid) then return false end
        end
        return true
      end)
      for _, line in ipairs(server:logged "child ended") do assert.equal(0, line.status) end
    end)

    it("listens at new addresses and leaves old ones", function()
      start {}
      local port = server.listen:match ":(%d+)$"
      server:configure { listen = { "127.0.0.2:0" } }
      server:signal "HUP"
      server:wait_ready(2)
      assert.matches("^127%.0%.0%.2:", server.listen)
      server:wait("the old socket's end", function()
        return process.run { "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/" .. port } ~= 0
      end)
    end)

    it("keeps the old generation where the new one does not start", function()
      start {}
      local pids = { server:role_pid("worker", 1), server:role_pid("authority", 0) }
      local failures = 0
      for _, config in ipairs {
        "return 1 +", { authority = { exit = 1 } }, { worker = { exit = 1 } },
        { listen = { "nowhere" } }, { user = "no-such-user", authority_user = "bin" },
      } do
        if host.is_root or not config.user then
          server:configure(config)
          server:signal "HUP"
          failures = failures + 1
          server:wait_logged("reload failed", failures)
        end
      end
      assert.matches("server.lua:1: ", server:logged("configuration")[1].message)
      assert.equal(pids[1], server:role_pid("worker", 1))
      assert.equal(pids[2], server:role_pid("authority", 0))
      server:configure {}
      server:signal "HUP"
      server:wait_ready(failures + 2)
    end)

    it("waits with the next one until the change is over", function()
      start { worker = { linger_ms = 500 } }
      server:signal "HUP"
      server:wait_logged "reloading"
      server:signal "HUP"
      server:wait_ready(2)
      assert.equal(1, #server:logged "reloading")
      server:wait_ready(3)
    end)

    it("kills what does not drain in time", function()
      start { worker = { linger_ms = 60000 }, drain_s = 1 }
      local pid = server:role_pid("worker", 1)
      server:signal "HUP"
      server:wait_ready(2)
      server:wait("the old worker's end", function() return not process.alive(pid) end)
      assert.equal(1, #server:logged "child did not stop in time")
    end)
  end)

  describe("ends", function()
    it("on SIGTERM: first the workers, then the authority, exit code 0", function()
      server = host.make { worker = { linger_ms = 300 } }
      server.pid = process.start({ "sh", "-c", ("echo $$ >%s/pid; %s serve %s; echo $? >%s/code")
        :format(server.folder, server.lest, server.folder .. "/server.lua", server.folder) },
        server.folder .. "/out", server.log_file)
      server:wait_ready(1)
      local supervisor = process.own(server:logged("ready")[1].pid)
      process.kill(supervisor, "TERM")
      local code = server.folder .. "/code"
      server:wait("the end", function()
        return process.exists(code) and process.read(code):find "\n" ~= nil
      end)
      assert.equal("0\n", process.read(code))
      local order = {}
      for i, line in ipairs(server:logged "child ended") do order[i] = line.child end
      assert.same({ "worker 1", "authority" }, order)
    end)

    it("at once when interrupted twice", function()
      start { worker = { linger_ms = 60000 } }
      server:signal "INT"
      server:wait_logged "terminating"
      server:signal "INT"
      server:wait("the end", function() return not server:alive() end, 3)
    end)

    it("while it starts, too", function()
      server = host.make { authority = { hang = true } }
      server.pid = process.start({ server.lest, "serve", server.folder .. "/server.lua" },
        server.folder .. "/out", server.log_file)
      server:wait_logged "child started"
      server:signal "TERM"
      server:wait("the end", function() return not server:alive() end, 3)
    end)

    it("with no orphan when it is killed", function()
      start { workers = 2 }
      local pids = { server:role_pid("worker", 1), server:role_pid("worker", 2),
        server:role_pid("authority", 0) }
      server:signal "KILL"
      for _, pid in ipairs(pids) do
        server:wait("the children's end", function() return not process.alive(pid) end)
      end
    end)

    it("and a stuck orphan ends by its own alarm", function()
      start { watchdog_s = 1 }
      local pid = server:role_pid("worker", 1)
      server:tell("worker", 1, STUCK)
      server:signal "KILL"
      server:wait("the worker's end", function() return not process.alive(pid) end, 15)
    end)
  end)

  describe("separates", function()
    --- What the descriptors of a process are, without numbers.
    local function descriptors(pid)
      local counts = {}
      local _, out = process.run(("cd /proc/%d/fd && for f in *; do readlink $f; done"):format(pid))
      for target in out:gmatch "[^\n]+" do
        local kind = target:gsub("%[%d+%]", "")
        if kind:sub(1, #server.folder) == server.folder then kind = "file" end
        counts[kind] = (counts[kind] or 0) + 1
      end
      return counts
    end

    it("descriptors: each role has its own and no other", function()
      if not host.is_root then return pending "needs root, to look into a hardened process" end
      server = host.make { workers = 2, listen = { "127.0.0.1:0", "127.0.0.2:0" } }
      -- Something open in whoever starts it must reach nobody.
      server:launch("bash", "-c", 'exec 7</etc/passwd 200</etc/passwd; exec "$@"', "sh")
      local common = { ["/dev/null"] = 1, ["anon_inode:[eventpoll]"] = 1 }
      local function expect(role, index, sockets)
        local found = descriptors(server:role_pid(role, index))
        -- libevent's pipe for signals, the supervisor's for output and errors; the inbox, the
        -- control socket and its connection
        assert.equal(4, found["pipe:"])
        found["pipe:"] = nil
        assert.is_true(found["socket:"] == sockets + 1 or found["socket:"] == sockets + 2,
          role .. " has " .. found["socket:"] .. " sockets")
        found["socket:"] = nil
        assert.same(common, found)
      end
      expect("worker", 2, 2 + 2)
      expect("authority", 0, 1 + 2)
    end)

    it("the core: each role has what it needs of it and no more", function()
      start {}
      local function missing(role, index, fields)
        return server:ask(role, index, ([[
          local list, found = "%s", {}
          for name in list:gmatch "%%S+" do found[#found + 1] = tostring(core[name] == nil) end
          return table.concat(found, " ")]]):format(fields))
      end
      assert.equal("true true true true", missing("authority", 0, "http_client server tls http"))
      assert.equal("true true true", missing("worker", 1, "ledger issuer pool"))
      assert.equal("false false", missing("authority", 0, "ledger issuer"))
      assert.equal("false false", missing("worker", 1, "server http_client"))
    end)

    it("a role from terminals, files and pipes of other processes", function()
      if not host.is_root then return pending "needs root, to look into a hardened process" end
      start { workers = 2 }
      local seen = {}
      for _, role in ipairs { { "worker", 1 }, { "worker", 2 }, { "authority", 0 } } do
        local pid = server:role_pid(table.unpack(role))
        local stat = process.read(("/proc/%d/stat"):format(pid)):match "^.*%) (.*)$"
        local _, _, session, terminal = stat:match "^%S+ (%d+) (%d+) (%d+) (%-?%d+)"
        assert.same({ tostring(pid), "0" }, { session, terminal })
        local output, errors = process.capture(("readlink /proc/%d/fd/1"):format(pid)),
          process.capture(("readlink /proc/%d/fd/2"):format(pid))
        assert.equal(output, errors)
        assert.matches("^pipe:", errors)
        assert.is_nil(seen[errors])
        seen[errors] = true
        -- Standard input is one of its own, too: what one does to it, no other process sees.
        assert.equal("/dev/null", process.capture(("readlink /proc/%d/fd/0"):format(pid)))
      end
    end)

    it("descriptors also where the kernel has no close_range", function()
      if not (os.execute "strace -V >/dev/null 2>&1") then return pending "needs strace" end
      server = host.make {}
      server:launch("bash", "-c", [[exec 7</etc/passwd 200</etc/passwd; exec "$@"]], "sh", "strace",
        "-f", "-qq", "-o", server.folder .. "/trace", "-e", "trace=close_range",
        "-e", "inject=close_range:error=ENOSYS")
      local found = descriptors(server:role_pid("worker", 1))
      assert.is_nil(found["/etc/passwd"])
      assert.matches("INJECTED", process.read(server.folder .. "/trace"))
    end)

    it("nothing of them reaches what a role starts", function()
      start {}
      assert.equal("0 1 2 3", server:ask("worker", 1, [[
        local pipe <close> = io.popen "cd /proc/self/fd && echo *"
        return (pipe:read "l")]]))
    end)

    it("users, groups and rights", function()
      if not host.is_root then return pending "needs root" end
      start {}
      local worker, authority = server:role_pid("worker", 1), server:role_pid("authority", 0)
      assert.equal("1\t1\t1\t1", host.status(worker, "Uid"))
      assert.equal("2\t2\t2\t2", host.status(authority, "Uid"))
      for _, pid in ipairs { worker, authority } do
        assert.equal("1", host.status(pid, "NoNewPrivs"))
        assert.equal("0000000000000000", host.status(pid, "CapPrm"))
        assert.equal("0000000000000000", host.status(pid, "CapEff"))
        assert.equal("root", process.must { "stat", "-c", "%U", ("/proc/%d/environ"):format(pid) }
          :gsub("\n", ""), "dumpable")
        assert.matches("core file size%s+0%s+0", process.read(("/proc/%d/limits"):format(pid)))
      end
      local secret = server.folder .. "/key"
      process.write(secret, "secret")
      process.must { "chmod", "600", secret }
      local try = ("local file, err = io.open(%q); return file and 'open' or err")
      for _, path in ipairs { secret, ("/proc/%d/mem"):format(authority),
        ("/proc/%d/environ"):format(authority), ("/proc/%d/mem"):format(server.pid),
        ("/proc/%d/fd/5"):format(authority) } do
        assert.matches("Permission denied", server:ask("worker", 1, try:format(path)))
      end
      process.must { "chown", "2", secret }
      assert.matches("Permission denied", server:ask("worker", 1, try:format(secret)))
      assert.equal("open", server:ask("authority", 0, try:format(secret)))
      assert.matches("cannot become", server:ask("worker", 1, [[
        local _, err = core.process.drop "root"; return err or "cannot become root: not root"]]))
    end)

    it("groups: a number without an account has none", function()
      if not host.is_root then return pending "needs root" end
      server = host.make { user = "61234", authority_user = "bin" }
      server:launch("setpriv", "--groups", "4,24")
      local worker = server:role_pid("worker", 1)
      assert.equal("61234\t61234\t61234\t61234", host.status(worker, "Uid"))
      assert.equal("", host.status(worker, "Groups"))
      assert.equal(process.capture "id -G bin", host.status(server:role_pid("authority", 0),
        "Groups"):gsub("%s+$", ""))
    end)

    -- The seals of a file in memory that a process has mapped, or has open.
    local SEALS <const> = [[perl -e 'my ($glob, $name) = @ARGV;
      for my $path (glob $glob) {
        next unless readlink($path) =~ m{^/memfd:\Q$name\E };
        open(my $file, "+<", $path) or die "open: $!";
        print fcntl($file, 1034, 0);
        last;
      }' '%s' %s]]
    local SEAL, SHRINK, GROW, WRITE = 1, 2, 4, 8

    it("the configuration from whom it is shared with: nobody can change it", function()
      if not host.is_root then return pending "needs root" end
      start {}
      assert.equal(tostring(SEAL | SHRINK | GROW | WRITE),
        process.must(SEALS:format(("/proc/%d/fd/*"):format(server.pid), "lest-config")))
    end)

    it("the supervisor from a role that would cut its page short", function()
      if not host.is_root then return pending "needs root" end
      start {}
      assert.equal(tostring(SEAL | SHRINK | GROW), process.must(SEALS:format(
        ("/proc/%d/map_files/*"):format(server:role_pid("worker", 1)), "lest-watchdog")))
    end)

    it("a role from serving as root", function()
      if not host.is_root then return pending "needs root" end
      server = host.make { worker = { stay_root = true } }
      local code, _, err = server:run()
      assert.equal(1, code)
      assert.matches("must not serve as root", err)
    end)

    it("the configuration from root", function()
      if not host.is_root then return pending "needs root" end
      server = host.make [[
        local pipe = io.popen "id -u; id -G; cat /etc/shadow 2>&1"
        error(pipe:read "a", 0)]]
      local code, _, err = server:run()
      assert.equal(2, code)
      assert.matches("65534; 65534; .*Permission denied", err)
    end)

    it("only between two users that are neither the same nor root", function()
      if not host.is_root then return pending "needs root" end
      server = host.make {}
      for _, users in ipairs { { "daemon", "daemon" }, { "daemon", "1" }, { "root", "bin" },
        { "daemon", "0" }, { "daemon", "no-such-user" } } do
        server:configure { user = users[1], authority_user = users[2] }
        local code, _, err = server:run "--check"
        assert.equal(2, code, table.concat(users, " "))
        assert.matches("user", err)
      end
      server:configure { unprivileged = true }
      assert.equal(2, (server:run "--check"))
    end)

    it("bugs only, and says so, when not started as root", function()
      if not host.is_root then return pending "runs as root" end
      server = host.make { unprivileged = true }
      process.must { "chmod", "777", server.folder }
      server:launch("setpriv", "--reuid=1", "--regid=1", "--clear-groups")
      assert.equal("warning", server:logged("not separated")[1].level)
      assert.equal("1", server:ask("authority", 0, "return core.process.uid"))
      assert.equal("1", host.status(server:role_pid("worker", 1), "NoNewPrivs"))
    end)
  end)
end)

describe("core.process", function()
  it("reads what a command prints", function()
    local read = core.process.read_command
    assert.equal("two words", read { "echo", "two words" })
    local out, err = read { "no-such-program-here" }
    assert.is_nil(out)
    assert.equal("io", err.code)
    out, err = read { "sh", "-c", "echo x; exit 3" }
    assert.is_nil(out)
    assert.matches("status 3", tostring(err))
    out, err = read { "sh", "-c", "head -c 5000 /dev/zero; sleep 60" }
    assert.is_nil(out)
    assert.equal("too_large", err.code)
    assert.has_error(function() read {} end)
  end)

  it("makes the ledger's folder its user's alone, and takes none that holds something", function()
    if not host.is_root then return pending "needs root" end
    local folder = process.folder()
    local own = core.process.own_folder
    assert.is_true(own(folder .. "/new", "bin"))
    assert.equal("bin 700\n", process.must { "stat", "-c", "%U %a", folder .. "/new" })
    assert.is_true(own(folder .. "/new", "bin"))
    process.must { "mkdir", folder .. "/empty", folder .. "/full", folder .. "/full/x" }
    assert.is_true(own(folder .. "/empty", "bin"))
    local ok, err = own(folder .. "/full", "bin")
    assert.is_nil(ok)
    assert.equal("config", err.code)
    assert.equal("root\n", process.must { "stat", "-c", "%U", folder .. "/full" })
    process.must { "ln", "-s", folder .. "/empty", folder .. "/link" }
    assert.is_nil((own(folder .. "/link", "bin")))
    os.execute("rm -r " .. folder)
  end)

  it("knows no user of a number that none can have, as -1: to the kernel, leave it", function()
    if not host.is_root then return pending "needs root" end
    local folder = process.folder()
    for _, user in ipairs { "4294967295", "4294967296", "18446744073709551616", "-1" } do
      local ok, err = core.process.own_folder(folder .. "/new", user)
      assert.is_nil(ok)
      assert.equal("there is no user " .. user, err.message)
    end
    assert.is_false(process.exists(folder .. "/new"))
    assert.is_true(core.process.own_folder(folder .. "/new", "4294967294"))
    os.execute("rm -r " .. folder)
  end)
end)
