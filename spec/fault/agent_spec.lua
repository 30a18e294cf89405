-- An agent that is killed at any instant, whose disk is full or cannot be written: its folder holds
-- a working identity all the time, and in the end it has what the server says that it has.
-- AGENT_KILLS=500 kills as often at random, and at each write of everything; by default it is some
-- dozens of times.
local cjson = require "cjson"
local core = require "lest.core"
local process = require "support.process"
local shell = require "support.shell"
local support = require "support.server"
local temporary = require "support.temporary"

local KILLS <const> = math.tointeger(tonumber(os.getenv "AGENT_KILLS" or "24")) or 24
local SIDE_BY_SIDE <const> = 4
-- Of the writes of a first enrollment, and of the places at which a disk is full, each so-manyth.
local STRIDE <const> = KILLS > 24 and 1 or 3
local KILLED <const> = 137

describe("an agent that dies", function()
  local server, folder, template

  setup(function()
    server = support.start {
      policy = [[
        local policy = require "lest.policy"
        return { enroll = policy.own_name(), reenroll = policy.renew {} }]],
    }
    template = temporary.folder()
    process.write(template .. "/secret", server:credential "dev9")
    process.write(template .. "/agent.lua", ([[
      return { state = "state", identities = { dev9 = { url = %q, trust = %q, username = "dev9",
        password_file = "secret", subject = "CN=dev9" } } }]]):format(server.url, server.root))
    assert.equal(0, shell.lest("agent", template .. "/agent.lua", "--once").code)
  end)
  teardown(function()
    server:stop()
    temporary.clean()
  end)
  before_each(function() folder = process.folder() end)
  after_each(function() os.execute("rm -rf " .. process.quote(folder)) end)

  --- So many copies of the device.
  local function copies(count)
    os.execute(("rm -rf %s/*"):format(folder))
    for i = 1, count do process.must { "cp", "-a", template, ("%s/%d"):format(folder, i) } end
  end

  --- As many new devices, each with a secret of its own.
  local serial = 0
  local function newcomers(count)
    os.execute(("rm -rf %s/*"):format(folder))
    for i = 1, count do
      serial = serial + 1
      local device, path = "new" .. serial, ("%s/%d"):format(folder, i)
      process.must { "mkdir", path }
      process.write(path .. "/secret", server:credential(device))
      local text = process.read(template .. "/agent.lua"):gsub("dev9", "%0", 1)
        :gsub('username = "dev9"', ('username = "%s"'):format(device))
        :gsub('CN=dev9', "CN=" .. device)
      process.write(path .. "/agent.lua", text)
    end
  end

  --- Run an agent in each of these folders, some side by side, with `environment(i)` before its
  --- command; the exit codes.
  local function run(count, arguments, environment)
    local lines = {}
    for i = 1, count do
      lines[i] = ("cd %s/%d; env %s %s >>log 2>&1; echo $? >code"):format(folder, i,
        environment and environment(i) or "", shell.line("agent", "agent.lua", "--once",
        table.unpack(arguments)))
    end
    process.write(folder .. "/lines", table.concat(lines, "\0") .. "\0")
    process.must(("xargs -0 -P %d -n 1 sh -c <%s/lines"):format(SIDE_BY_SIDE, folder))
    local codes = {}
    for i = 1, count do
      codes[i] = math.tointeger(tonumber(process.read(("%s/%d/code"):format(folder, i))))
    end
    return codes
  end

  local function death(i, variable)
    -- An ASan build wants its runtime first; what the agent writes by is not the runtime's.
    return ("ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0 LD_PRELOAD=%s/fixture/death.so "
      .. "DEATH_FOLDER=/state %s=%d"):format(LEST_PREFIX, variable or "DEATH_AT", i)
  end

  --- The identity as a consumer finds it now; nil: there is none yet.
  local function identity(i)
    local path = ("%s/%d/state/dev9/"):format(folder, i)
    if not core.file.read(path .. "cert.pem") then return nil end
    local cert, key = assert(core.cert.load(path .. "cert.pem")), core.key.load(path .. "key.pem")
    assert.is_truthy(key, ("%d: no key"):format(i))
    assert.equal(cert.public_key.der, key:public_der(), ("%d: another key"):format(i))
    local store = core.store.new { anchors = core.cert.load_all(server.root) }
    assert(store:verify(cert, { untrusted = core.cert.load_all(path .. "chain.pem") or {} }))
    return cert
  end

  --- Each has the certificate that the ledger has for its key, and that there once.
  local function agree(count)
    for i = 1, count do
      local cert = assert.is_truthy(identity(i), i) and identity(i)
      local rows = server:sql(("SELECT lower(serial) FROM certificates WHERE key_hash = '%s'")
        :format(cert.key_hash))
      assert.equal(cert.serial, rows, i)
    end
  end

  --- How many changes a run makes.
  local function changes(arguments)
    local path = folder .. "/1/count"
    run(1, arguments, function() return death(0) .. " DEATH_COUNT=" .. path end)
    return #process.read(path)
  end

  --- Each so-manyth of the changes, as a function of the copy's number, and how many these are.
  local function each_of(count)
    return function(i) return 1 + (i - 1) * STRIDE end, 1 + (count - 1) // STRIDE
  end

  local function all(codes, wanted)
    for i, code in ipairs(codes) do assert.equal(wanted, code, i) end
  end

  it("holds a whole identity after each of its writes, and goes on from there", function()
    copies(1)
    local count = changes { "--renew" }
    assert.is_true(count > 20, count)
    copies(count)
    local before = identity(1)
    all(run(count, { "--renew" }, function(i) return death(i) end), KILLED)
    local old, new = 0, 0
    for i = 1, count do
      local cert = identity(i)
      if cert == before then old = old + 1 else new = new + 1 end
    end
    assert.is_true(old > 10 and new > 2, ("%d old, %d new"):format(old, new))
    -- What was asked for is asked for again, with the same key.
    local keys = {}
    for i = 1, count do
      local path = ("%s/%d/state/dev9/next/"):format(folder, i)
      local key = core.key.load(path .. "key.pem")
      -- With its certificate, it is in use at the next start, and renewed once more.
      keys[i] = key and not core.cert.load(path .. "cert.pem") and key:public_der() or nil
    end
    all(run(count, { "--renew" }), 0)
    for i = 1, count do
      local cert = identity(i)
      assert.not_equal(before, cert, i)
      if keys[i] then assert.equal(keys[i], cert.public_key.der, i) end
    end
    agree(count)
  end)

  it("gets its first certificate by a secret that is good once, wherever it dies", function()
    newcomers(1)
    local at, count = each_of(changes {})
    newcomers(count)
    all(run(count, {}, function(i) return death(at(i)) end), KILLED)
    for i = 1, count do identity(i) end
    all(run(count, {}), 0)
    agree(count)
  end)

  it("hands what it has to its readers in the end, wherever it dies", function()
    local text = process.read(template .. "/agent.lua"):gsub('subject = "CN=dev9"', [[%0,
      files = { { path = "out.pem", content = "fullchain" }, { folder = "tls" } }, rollback = true,
      hooks = { { command = { "./hook" } } }]])
    local function prepare(count)
      copies(count)
      for i = 1, count do
        local place = ("%s/%d/"):format(folder, i)
        process.write(place .. "agent.lua", text)
        process.write(place .. "hook", ('#!/bin/sh\necho "$LEST_EVENT $LEST_SERIAL" >>%snotes\n')
          :format(place))
        process.must { "chmod", "755", place .. "hook" }
      end
      -- The first certificate is handed over, too.
      all(run(count, {}), 0)
    end
    prepare(1)
    local at, count = each_of(changes { "--renew" })
    prepare(count)
    all(run(count, { "--renew" }, function(i) return death(at(i)) end), KILLED)
    for i = 1, count do identity(i) end
    all(run(count, {}), 0)
    for i = 1, count do
      local cert, place = identity(i), ("%s/%d/"):format(folder, i)
      assert.equal(cert, core.cert.load(place .. "out.pem"), i)
      assert.equal(cert, core.cert.load(place .. "tls/tls.crt"), i)
      local notes = process.read(place .. "notes")
      -- At least once, and of nothing that was not in use.
      assert.equal(("installed %s\n"):format(cert.serial), notes:match "[^\n]*\n$", i)
      assert.not_matches("rolled back", notes, 1, true)
      assert.is_true(select(2, notes:gsub("\n", "")) <= 4, notes)
    end
  end)

  it("is killed at random, again and again, and has a whole identity each time", function()
    local count = math.min(KILLS, 12)
    copies(count)
    local killed = 0
    for _ = 1, math.max(1, KILLS // count) do
      local codes = run(count, { "--renew" }, function()
        return ("timeout -s KILL 0.%03d"):format(math.random(10, 250))
      end)
      for i, code in ipairs(codes) do
        identity(i)
        assert.is_true(code == 0 or code == KILLED, code)
        if code == KILLED then killed = killed + 1 end
      end
    end
    assert.is_true(killed > 0)
    all(run(count, { "--renew" }), 0)
    agree(count)
  end)

  it("keeps what it has while there is no space, or nothing can be written", function()
    copies(1)
    local at, count = each_of(changes { "--renew" })
    count = count + 1
    copies(count)
    local before = identity(1)
    run(count, { "--renew" }, function(i)
      return i < count and death(at(i), "FULL_AT") or death(1, "READ_ONLY")
    end)
    for i = 1, count do identity(i) end
    assert.equal(before, identity(1))
    assert.equal(before, identity(count))
    assert.matches("No space left", process.read(folder .. "/1/log"))
    assert.matches("Read%-only file system", process.read(("%s/%d/log"):format(folder, count)))
    all(run(count, { "--renew" }), 0)
    agree(count)
  end)

  it("says that the disk is full, and why, to who asks", function()
    copies(1)
    assert.equal(1, run(1, { "--renew" }, function() return death(1, "FULL_AT") end)[1])
    local status = shell.lest("agent", "status", folder .. "/1/agent.lua", "--json")
    assert.equal("ok", cjson.decode(status.out)[1].state) -- its certificate is good
  end)
end)
