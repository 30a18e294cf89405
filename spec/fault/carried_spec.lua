-- An agent that is killed at any write while a request is carried away, or its answer comes, or
-- whose disk is full then: nothing is lost, and the folder has a whole identity all the time.
local agents = require "support.agent"
local core = require "lest.core"
local process = require "support.process"
local shell = require "support.shell"
local temporary = require "support.temporary"

local KILLED <const> = 137

describe("a request that is carried, of an agent that dies", function()
  local server, it_is, folder, before

  setup(function()
    server = agents.server { edit = function(text)
      return (text:gsub("%-%- fullcmc = true", 'fullcmc = true, lost_answer = "30d"', 1))
    end }
  end)
  teardown(function() server:stop() end)

  before_each(function()
    it_is = agents.new(server)
    assert.equal(0, it_is:once().code)
    before, folder = it_is:cert(), process.folder()
  end)
  after_each(function()
    os.execute("rm -rf " .. process.quote(folder))
    temporary.clean()
  end)

  --- A copy of the device.
  local function copy(i)
    local path = ("%s/%d"):format(folder, i)
    process.must { "cp", "-a", it_is.folder, path }
    return path
  end

  local function line_of(command, file)
    return shell.line("agent", command, file, "agent.lua",
      table.unpack(command == "export" and { "--identity", "dev9" } or {}))
  end

  --- Run `lest agent` there, which dies at a write to its state folder; 0: it counts them. Or what
  --- becomes of it there is another variable's.
  local function run(path, at, command, file, variable)
    return process.run(("cd %s; env ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0 "
      .. "LD_PRELOAD=%s/fixture/death.so DEATH_FOLDER=/state %s=%d %s %s"):format(path,
      LEST_PREFIX, variable or "DEATH_AT", at, at == 0 and "DEATH_COUNT=count" or "",
      line_of(command, file)))
  end

  local function again(path, command, file)
    return shell.run(process.line { "cd", path } .. " && " .. line_of(command, file))
  end

  local function forward(path)
    local said = shell.lest("forward", path .. "/stick", "--to", server.url, "--trust", server.root)
    assert.equal(0, said.code, said.err)
  end

  --- The identity as a consumer finds it.
  local function identity(path)
    local cert = assert(core.cert.load(path .. "/state/dev9/cert.pem"))
    local key = assert(core.key.load(path .. "/state/dev9/key.pem"))
    assert.equal(cert.public_key.der, key:public_der())
    return cert
  end

  local function count(command, file)
    local path = copy(0)
    assert.equal(0, (run(path, 0, command, file)))
    return #process.read(path .. "/count")
  end

  it("is exported once more, and its answer taken", function()
    local writes = count("export", "stick")
    assert.is_true(writes > 5, writes)
    for i = 1, writes do
      local path = copy(i)
      assert.equal(KILLED, (run(path, i, "export", "stick")), i)
      assert.equal(before, identity(path))
      assert.equal(0, again(path, "export", "stick").code, i)
      forward(path)
      local said = again(path, "import", "stick.answer")
      assert.equal(0, said.code, ("%d: %s"):format(i, said.err))
      assert.not_equal(before, identity(path))
    end
  end)

  it("has its answer taken once more", function()
    assert.equal(0, again(it_is.folder, "export", "stick").code)
    forward(it_is.folder)
    local writes = count("import", "stick.answer")
    assert.is_true(writes > 8, writes)
    local new = identity(folder .. "/0")
    local old = 0
    for i = 1, writes do
      local path = copy(i)
      assert.equal(KILLED, (run(path, i, "import", "stick.answer")), i)
      local now = identity(path)
      if now == before then old = old + 1 else assert.equal(new, now, i) end
      local said = again(path, "import", "stick.answer")
      assert.equal(0, said.code, ("%d: %s"):format(i, said.err))
      assert.equal(new, identity(path), i)
      assert.equal(0, shell.lest("agent", "status", path .. "/agent.lua").code, i)
    end
    assert.is_true(old > 2 and old < writes, old)
  end)

  it("has a full disk, and nothing is lost", function()
    local i, failed = 0, 0
    for at = 1, count("export", "stick") do
      i = i + 1
      local path = copy(i)
      -- What was not kept was not given away.
      local code = run(path, at, "export", "stick", "FULL_AT")
      assert.equal(code == 0, process.exists(path .. "/stick"), at)
      failed = failed + (code == 0 and 0 or 1)
      assert.equal(0, again(path, "export", "stick").code, at)
    end
    assert.is_true(failed > 5, failed)
    os.execute("rm -rf " .. process.quote(folder .. "/0"))
    assert.equal(0, again(it_is.folder, "export", "stick").code)
    forward(it_is.folder)
    local writes = count("import", "stick.answer")
    local new = identity(folder .. "/0")
    for at = 1, writes do
      local path = copy(i + at)
      run(path, at, "import", "stick.answer", "FULL_AT")
      identity(path)
      local said = again(path, "import", "stick.answer")
      assert.equal(0, said.code, ("%d: %s"):format(at, said.err))
      assert.equal(new, identity(path), at)
    end
  end)
end)
