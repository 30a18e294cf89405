-- What is run after a renewal: with nothing of the agent in it, and not for ever.
local core = require "lest.core"
local hooks = require "lest.agent.deploy.hooks"
local process = require "support.process"
local task = require "lest.task"
local temporary = require "support.temporary"

local EVENT <const> = { event = "installed", identity = "dev9", generation = 3,
  cert = "/state/cert.pem", chain = "/state/chain.pem", serial = "0a", subject = "CN=dev9",
  not_after = 1900000000 }

local function shell(script, timeout)
  return hooks.run({ command = { "/bin/sh", "-c", script }, timeout = timeout or 90 }, EVENT)
end

describe("a hook that is a command", function()
  after_each(temporary.clean)

  it("is told by its environment, which holds nothing else", function()
    local path = temporary.folder() .. "/out"
    assert(hooks.run({ command = { "/bin/sh", "-c", "env >" .. path }, timeout = 90 }, EVENT))
    local names = {}
    for name in process.read(path):gmatch "([%w_]+)=[^\n]*\n" do names[#names + 1] = name end
    table.sort(names)
    assert.same({ "LANG", "LEST_CERT", "LEST_CHAIN", "LEST_EVENT", "LEST_GENERATION",
      "LEST_IDENTITY", "LEST_NOT_AFTER", "LEST_SERIAL", "LEST_SUBJECT", "PATH", "PWD" }, names)
    assert.matches("\nLEST_GENERATION=3\n", "\n" .. process.read(path))
  end)

  it("gets its arguments as they are: no shell reads them", function()
    local path = temporary.folder() .. "/a $(touch b); c"
    assert(hooks.run({ command = { "touch", path }, timeout = 90 }, EVENT))
    assert.is_true(process.exists(path))
  end)

  it("has no descriptor of the agent, and a session of its own", function()
    local path = temporary.folder() .. "/out"
    local secret <close> = assert(io.open("/etc/passwd")) -- luacheck: ignore 211
    assert(shell(("ls /proc/self/fd >%s; cut -d' ' -f 1,6 /proc/$$/stat >>%s"):format(path, path)))
    local text = process.read(path)
    -- The last one is that of the folder which ls reads.
    assert.matches("^0\n1\n2\n3\n%d", text)
    local pid, session = text:match "\n(%d+) (%d+)\n$"
    assert.equal(pid, session)
  end)

  it("gives the last lines of what it writes, however much that is", function()
    local _, said = assert(shell "seq 1 200000; echo done; echo '\27[31mred'")
    assert.matches("199998 | 199999 | 200000 | done | red$", said)
    local none, err = shell "seq 1 200000 >&2; echo the last line >&2; exit 3"
    assert.is_nil(none)
    assert.matches("^/bin/sh: ended with 3: .*200000 | the last line$", err.message)
    assert.is_true(#err.message < 2000)
  end)

  it("is ended at its deadline, with what it has started", function()
    local path = temporary.folder() .. "/pid"
    local none, err = shell(("sleep 600 & echo $! >%s; wait"):format(path), 1)
    assert.is_nil(none)
    assert.matches("takes longer than 1 seconds", err.message)
    local pid = process.read(path):match "%d+"
    -- It was killed; the kernel may take a moment to end it.
    process.wait_for(function()
      local _, state = pcall(process.read, ("/proc/%s/stat"):format(pid))
      return not state:find "%(sleep%)" or state:find "%(sleep%) [ZX]" ~= nil
    end, "the end of what it has started")
  end)

  it("that is not there or is killed says so", function()
    local none, err = hooks.run({ command = { "no-such-program-here" }, timeout = 90 }, EVENT)
    assert.is_nil(none)
    assert.matches("cannot be run", err.message)
    none, err = shell "kill -KILL $$"
    assert.is_nil(none)
    assert.matches("was ended by signal 9", err.message)
  end)
end)

describe("a hook that is a function", function()
  local function run(fn, timeout)
    return hooks.run({ run = fn, timeout = timeout or 90 }, EVENT)
  end

  it("is called with the event, and may wait", function()
    local seen
    assert(run(function(event)
      task.sleep(0.01)
      seen = event
    end))
    assert.equal(EVENT, seen)
    assert(task.spawn(function() return run(function() task.sleep(0.01) end) end):wait())
  end)

  it("fails by an error, or by nothing and a reason", function()
    local none, err = run(function() error "the broker is away" end)
    assert.is_nil(none)
    assert.matches("the function: .*the broker is away", err.message)
    none, err = run(function() return nil, "the broker is away" end)
    assert.is_nil(none)
    assert.equal("the function: the broker is away", err.message)
    assert(run(function() return nil end))
  end)

  it("is ended at its deadline, whether it runs or waits", function()
    local none, err = run(function() while true do end end, 1) -- luacheck: ignore 542
    assert.is_nil(none)
    assert.matches("takes longer than 1 seconds %(at .*hooks_spec.lua:%d+%)", err.message)
    none, err = run(function() task.sleep(600) end, 1)
    assert.is_nil(none)
    assert.matches("takes longer than 1 seconds", err.message)
  end)
end)

describe("an event", function()
  it("says what a hook wants to know of the certificate", function()
    local pki = require "support.pki"
    local ca <close> = pki.new()
    local root = ca:root "root"
    local event = hooks.event("dev9", { number = 4, paths = { cert = "c", chain = "h" },
      certificate = root.cert }, "rolled back")
    assert.same({ event = "rolled back", identity = "dev9", generation = 4, cert = "c", chain = "h",
      serial = root.cert.serial, subject = "CN=root", not_after = root.cert.not_after }, event)
    assert.is_true(event.not_after > core.clock.wall_us() // 1000000)
  end)
end)
