-- Who can reach what in a real server that was started as root.
local elsewhere = require "support.elsewhere"
local fleet = require "support.fleet"
local host = require "support.host"
local process = require "support.process"
local rogue = require "support.rogue"
local support = require "support.server"

if not host.is_root then
  return describe("the separation of processes", function()
    it("keeps workers from the key", function() pending "needs root" end)
  end)
end

describe("the separation of processes", function()
  local server, worker, authority, uid

  setup(function()
    server = support.start()
    worker, authority = server:pids("worker")[1], server:pids("authority")[1]
    uid = {
      worker = math.tointeger(tonumber(host.status(worker, "Uid"):match "^%d+")),
      authority = math.tointeger(tonumber(host.status(authority, "Uid"):match "^%d+")),
    }
    server:enroll "first"
  end)
  teardown(function() server:stop() end)

  it("runs from a folder that is closed to the accounts it becomes", function()
    local closed = server.folder .. "/closed"
    process.must { "sh", "-c", ('mkdir -m 700 %s && cp -rL "%s/bin" "%s/share" %s')
      :format(closed, LEST_PREFIX, LEST_PREFIX, closed) }
    local other = support.make { policy = [[
      local lest, policy = require "lest", require "lest.policy"
      for name in pairs(debug.getmetatable(lest).__names) do
        local there, problem = pcall(function() return lest[name] end)
        assert(there or name == "issuer" or name == "agent", problem)
      end
      return { enroll = function(request)
        return policy.approve { subject = { { "CN", request.principal.name } } }
      end }]] }
    finally(function() other:stop() end)
    other:run(closed .. "/bin/lest")
    other:enroll "from-closed"
  end)

  --- What came of opening these files as a user.
  local function open_as(who, paths)
    local agent <close> = rogue.agent(server, uid[who])
    return agent:call("open", paths)
  end

  local function proc(pid)
    local paths = {}
    for _, name in ipairs { "mem", "environ", "maps", "syscall", "stack", "auxv", "fd/0", "fd/3",
      "fd/5", "root/etc/passwd", "cwd/ledger.db", "task/" .. pid .. "/mem" } do
      table.insert(paths, ("/proc/%d/%s"):format(pid, name))
    end
    return paths
  end

  local function assert_denied(who, paths)
    for i, result in ipairs(open_as(who, paths)) do
      assert.truthy(result:find "Permission denied" or result:find "Operation not permitted"
        or result:find "No such file", paths[i] .. ": " .. result)
    end
  end

  it("gives each role its own user, no way to more rights, and no dump of its memory", function()
    assert.is_true(uid.worker ~= uid.authority and uid.worker ~= 0 and uid.authority ~= 0)
    for _, role in ipairs { "worker", "authority" } do
      for _, pid in ipairs(server:pids(role)) do
        local id = tostring(uid[role])
        assert.equal(table.concat({ id, id, id, id }, "\t"), host.status(pid, "Uid"))
        assert.is_nil(host.status(pid, "Gid"):find "%f[%d]0%f[%D]")
        assert.is_nil(host.status(pid, "Groups"):find "%f[%d]0%f[%D]")
        assert.equal("1", host.status(pid, "NoNewPrivs"))
        for _, set in ipairs { "CapInh", "CapPrm", "CapEff", "CapAmb" } do
          assert.equal("0000000000000000", host.status(pid, set), set)
        end
        assert.equal("0\n", process.must { "stat", "-c", "%u", ("/proc/%d/environ"):format(pid) })
        assert.matches("core file size%s+0%s+0%s", process.read(("/proc/%d/limits"):format(pid)))
      end
    end
  end)

  it("keeps a worker from the CA's key and from every other process's memory", function()
    local paths = { server.dir .. "/ca.key", server:ledger(), server:ledger() .. "-wal",
      server.dir .. "/server.key" }
    for _, pid in ipairs { authority, server.pid, worker } do
      for _, path in ipairs(proc(pid)) do table.insert(paths, path) end
    end
    assert_denied("worker", paths)
    -- The harness can tell: its own memory is open to it, as is what is public.
    assert.same({ "read" }, open_as("worker", { server.dir .. "/ca.pem" }))
  end)

  it("keeps the authority from the workers, and from the key's file", function()
    local paths = { server.dir .. "/ca.key", server.dir .. "/server.key" }
    for _, pid in ipairs { worker, server.pid } do
      for _, path in ipairs(proc(pid)) do table.insert(paths, path) end
    end
    assert_denied("authority", paths)
  end)

  it("lets nobody attach to a role", function()
    local number = ({ x86_64 = 101, aarch64 = 117 })[process.must "uname -m":gsub("\n", "")]
    if not number then return pending "no number of ptrace for this machine" end
    for _, who in ipairs { "worker", "authority" } do
      local agent <close> = rogue.agent(server, uid[who])
      for _, pid in ipairs { worker, authority, server.pid } do
        local out = agent:call("shell", ([[perl -e '
          print syscall(%d, 16, %d, 0, 0) == 0 ? "attached" : "refused"']]):format(number, pid))
        assert.equal("refused", out)
      end
    end
  end)

  it("lets no role write where root reads, nor a worker where the authority does", function()
    local files = { "sh", "-c", "cd " .. server.dir .. " && cat *.* | sha256sum" }
    local before = process.must(files)
    local agents = {
      worker = rogue.agent(server, uid.worker),
      authority = rogue.agent(server, uid.authority),
    }
    local function can(who, line)
      local out = agents[who]:call("shell", ("cd %s && (%s) && echo DONE"):format(server.dir, line))
      return out:find "DONE" ~= nil
    end
    local function try(who, target, line)
      assert.is_false(can(who, line), ("%s: %s: %s"):format(who, target, line))
    end
    assert.is_true(can("authority", "touch ledger/new && rm ledger/new"))
    for who in pairs(agents) do
      for _, file in ipairs { "server.lua", "policy.lua", "ca.pem", "ca.key", "server.pem",
        "server.key" } do
        try(who, file, ("echo x >>%s"):format(file))
        try(who, file, ("mv %s %s.old"):format(file, file))
        try(who, file, ("rm -f %s && test ! -e %s"):format(file, file))
      end
      try(who, "the folder", "touch new.lua")
      try(who, "the binary", ("echo x >>%s"):format(support.lest))
      try(who, "the modules", ("touch %s/share/lua/5.4/lest/new.lua"):format(LEST_PREFIX))
    end
    try("worker", "the ledger", "ls ledger")
    try("worker", "the ledger", "echo x >>ledger/ledger.db")
    try("worker", "the ledger", "touch ledger/new")
    for _, agent in pairs(agents) do agent:close() end
    assert.equal(before, process.must(files))
    server:enroll "after"
  end)

  it("lets no role signal the supervisor or the other role", function()
    for _, who in ipairs { "worker", "authority" } do
      local agent <close> = rogue.agent(server, uid[who])
      agent:call("shell", ("kill -KILL %d"):format(server.pid))
      agent:call("shell", ("kill -KILL %d"):format(who == "worker" and authority or worker))
    end
    assert.is_true(process.alive(server.pid))
    assert.same({ authority }, server:pids "authority")
    assert.equal(worker, server:pids("worker")[1])
  end)

  it("leaves no descriptor open in a role but its own", function()
    fleet.new(server, 5, "load"):start():wait()
    server.http = nil
    local function kinds(pid)
      local found = {}
      local _, out = process.run(("cd /proc/%d/fd && for f in *; do readlink $f; done"):format(pid))
      for target in out:gmatch "[^\n]+" do
        local kind = target:gsub(":%[%d+%]", "")
        if kind:sub(1, #server.folder) == server.folder then kind = kind:sub(#server.folder + 2) end
        found[kind] = (found[kind] or 0) + 1
      end
      return found
    end
    local function assert_only(role, allowed)
      for _, pid in ipairs(server:pids(role)) do
        for kind, count in pairs(kinds(pid)) do
          assert.is_true(allowed[kind] ~= nil and count <= allowed[kind],
            ("%s: %d of %s"):format(role, count, kind))
        end
      end
    end
    local workers = #server:pids "worker"
    -- Idle clients go away by themselves; until then they are sockets of a worker.
    process.wait_for(function()
      for _, pid in ipairs(server:pids "worker") do
        if kinds(pid).socket > 4 then return false end
      end
      return true
    end, "the clients' end", 30)
    local ours = { ["/dev/null"] = 1, ["anon_inode:[eventpoll]"] = 1,
      pipe = 4 } -- libevent's, for signals; standard output and error
    local function with(more)
      for kind, count in pairs(ours) do more[kind] = more[kind] or count end
      return more
    end
    assert_only("worker", with { socket = 4 }) -- listening, the authority's, control's, the inbox
    assert_only("control", with { socket = 2 + workers })
    -- A pool for scrypt and one for the ledger; a connection, one for checkpoints, and the sync's,
    -- of the WAL and of the database's header; what anybody may fetch.
    assert_only("authority", with { socket = 1 + workers, ["anon_inode:[eventfd]"] = 2,
      ["ca/ledger/ledger.db"] = 3, ["ca/ledger/ledger.db-wal"] = 3,
      ["ca/ledger/ledger.db-shm"] = 1, ["/memfd:lest-sealed (deleted)"] = 1,
      ["/memfd:lest-crl (deleted)"] = 1 })
  end)
end)

describe("what asks CAs elsewhere", function()
  local server, ca, backend

  setup(function()
    ca = elsewhere.ca()
    server = elsewhere.server { backend = ca.command }
    server:run()
    backend = server:pids("backend")[1]
  end)
  teardown(function()
    server:stop()
    ca:close()
  end)

  it("has an account of its own, no way to more rights, and no dump of its memory", function()
    assert.equal("54321\t54321\t54321\t54321", host.status(backend, "Uid"))
    for _, role in ipairs { "worker", "authority" } do
      assert.is_nil(host.status(server:pids(role)[1], "Uid"):find("54321", 1, true))
    end
    assert.is_nil(host.status(backend, "Groups"):find "%f[%d]0%f[%D]")
    assert.equal("1", host.status(backend, "NoNewPrivs"))
    for _, set in ipairs { "CapInh", "CapPrm", "CapEff", "CapAmb" } do
      assert.equal("0000000000000000", host.status(backend, set), set)
    end
    assert.equal("0\n", process.must { "stat", "-c", "%u", ("/proc/%d/environ"):format(backend) })
  end)

  it("reaches no key, no ledger, no control and no other process", function()
    local paths = { server.dir .. "/ca.key", server.dir .. "/server.key", server:ledger(),
      server:ledger():match "^(.*/)" .. "control.sock" }
    for _, pid in ipairs { server:pids("worker")[1], server:pids("authority")[1], server.pid } do
      for _, name in ipairs { "mem", "environ", "maps", "fd/0", "cwd/ledger.db" } do
        table.insert(paths, ("/proc/%d/%s"):format(pid, name))
      end
    end
    local agent <close> = rogue.agent(server, 54321)
    for i, result in ipairs(agent:call("open", paths)) do
      assert.truthy(result:find "Permission denied" or result:find "Operation not permitted"
        or result:find "No such file", paths[i] .. ": " .. result)
    end
    agent:call("shell", ("kill -KILL %d %d"):format(server:pids("authority")[1],
      server:pids("worker")[1]))
    assert.is_true(process.alive(server.pid))
    server:enroll "device"
  end)
end)
