-- What `lest agent` does with a certificate once it has it: files, hooks, and who is told.
local agents = require "support.agent"
local core = require "lest.core"
local process = require "support.process"
local temporary = require "support.temporary"

describe("lest agent", function()
  local server, agent

  setup(function() server = agents.server() end)
  teardown(function() server:stop() end)
  after_each(function()
    if agent then agent:stop "KILL" end
    agent = nil
    temporary.clean()
  end)

  local FILES <const> = '{ { path = "out.pem", content = "fullchain" } }'

  --- A hook that notes what it was told in `notes`, and fails while there is a file `fail`.
  local HOOK <const> = [[{ { command = { "./hook" } } }]]

  local function new(more, beside)
    agent = agents.new(server, more, beside)
    process.write(agent:file "hook", ([[#!/bin/sh
cd %s
echo "$LEST_EVENT $LEST_GENERATION $LEST_SERIAL" >>notes
if [ -e fail ]; then echo "not $LEST_GENERATION" >&2; [ "$LEST_GENERATION" = 1 ]; fi
]]):format(agent.folder))
    process.must { "chmod", "755", agent:file "hook" }
    process.write(agent:file "notes", "")
    return agent
  end

  local function notes()
    return process.read(agent:file "notes")
  end

  local function deployed()
    return assert(core.cert.parse_all(process.read(agent:file "out.pem")))[1]
  end

  it("writes files and runs hooks, once for each certificate", function()
    new { files = FILES, hooks = HOOK }
    local result = agent:once()
    assert.equal(0, result.code, result.err)
    local first = agent:cert()
    assert.equal(first, deployed())
    assert.equal(("installed 1 %s\n"):format(first.serial), notes())
    assert.equal(0, agent:once().code)
    assert.equal(0, agent:once("--renew").code)
    local second = agent:cert()
    assert.not_equal(first, second)
    assert.equal(second, deployed())
    assert.equal(("installed 1 %s\ninstalled 2 %s\n"):format(first.serial, second.serial), notes())
    assert.same({ "ok", 0 }, { agent:status().state, agent:status().code })
  end)

  it("runs a function of its configuration, which may wait", function()
    new { hooks = [[{ function(event)
      require "lest".sleep(0.01)
      local file <close> = assert(io.open(event.cert:match "^(.*)/state/" .. "/notes", "a"))
      file:write(event.subject, "\n")
    end }]] }
    assert.equal(0, agent:once().code)
    assert.equal("CN=dev9\n", notes())
  end)

  it("says what has failed, and does it again, and nothing that was done", function()
    new { files = FILES, hooks = [[{ { command = { "./hook" } }, { command = { "./later" } } }]] }
    local result = agent:once()
    assert.equal(1, result.code)
    assert.matches("hook failed", result.err)
    local status = agent:status()
    assert.same({ "undeployed", 1, 1 }, { status.state, status.severity, status.code })
    assert.matches("hook: .*later: ended with 127: .*cannot be run", status.error)
    assert.equal("deploy", status.next)
    assert.equal(1, agent:once().code) -- not yet
    process.must { "ln", "-s", "/bin/true", agent:file "later" }
    assert.equal(0, agent:once("--try").code)
    assert.equal(1, select(2, notes():gsub("installed", "")))
    assert.equal("ok", agent:status().state)
  end)

  it("goes back to the last certificate that the hook agreed with, however many it did not",
    function()
      new { files = FILES, hooks = HOOK, rollback = "true", generations = "2" }
      assert.equal(0, agent:once().code)
      local first = agent:cert()
      process.write(agent:file "fail", "")
      for number = 2, 5 do
        assert.equal(1, agent:once("--renew").code)
        assert.same({ first, first }, { agent:cert(), deployed() }, number)
        assert.equal(number, agent:status().generation)
        assert.equal(1, agent:once("--try").code)
        assert.equal(first, agent:cert())
      end
      os.remove(agent:file "fail")
      assert.equal(0, agent:once("--try").code)
      local fifth = agent:cert()
      assert.same({ fifth, 5 }, { deployed(), agent:status().generation })
      for _ = 6, 7 do assert.equal(0, agent:once("--renew").code) end
      local names = core.system.entries(agent:state "generations")
      table.sort(names)
      assert.same({ "6/", "7/" }, names)
      process.write(agent:file "fail", "")
      assert.equal(1, agent:once("--renew").code)
      assert.equal(7, tonumber(core.folder.target(agent:state "current"):match "%d+$"))
    end)

  it("goes back to the former certificate, and stays there until the hook agrees", function()
    new { files = FILES, hooks = HOOK, rollback = "true" }
    assert.equal(0, agent:once().code)
    local first = agent:cert()
    process.write(agent:file "fail", "")
    assert.equal(1, agent:once("--renew").code)
    assert.same({ first, first }, { agent:cert(), deployed() })
    assert.equal(assert(core.key.load(agent:state "key.pem")):public_der(), first.public_key.der)
    assert.matches("installed 2 %x+\nrolled back 1 %x+\n$", notes())
    assert.equal("undeployed", agent:status().state)
    assert.equal(2, agent:status().generation) -- the one to live with
    -- An agent that is started again does not take the newest one for the one in use, nor another.
    assert.equal(1, agent:once().code)
    assert.equal(first, agent:cert())
    os.remove(agent:file "fail")
    assert.equal(0, agent:once("--try").code)
    assert.matches("installed 2 %x+\n$", notes())
    assert.equal(deployed(), agent:cert())
    assert.same({ "ok", 2 }, { agent:status().state, agent:status().generation })
    -- The one that was held is what was renewed from.
    assert.equal(0, agent:once("--renew").code)
    assert.equal(3, agent:status().generation)
  end)

  it("runs a hook again where it was killed meanwhile, and writes what is gone", function()
    new { files = FILES, hooks = [[{ { command = { "./hook" } } }]] }
    process.write(agent:file "hook", ([[#!/bin/sh
cd %s
echo run >>notes
[ -e go ] || exec sleep 600
]]):format(agent.folder))
    agent:start()
    process.wait_for(function() return notes() == "run\n" end, "the hook", 60)
    agent:stop "KILL"
    process.write(agent:file "go", "")
    os.remove(agent:file "out.pem")
    assert.equal(0, agent:once().code)
    assert.equal("run\nrun\n", notes())
    assert.equal(agent:cert(), deployed())
  end)

  it("refuses what cannot be right, with its line", function()
    for pattern, more in pairs {
      ["agent.lua:%d: identities.dev9.files: .*out.pem is written by identities.dev9 already"] = {
        files = '{ { path = "out.pem", content = "cert" }, { path = "out.pem", '
          .. 'content = "key" } }' },
      ["files%[1%].grop: unknown, did you mean 'group'"] = {
        files = '{ { path = "x", content = "cert", grop = "x" } }' },
      ["hooks%[1%].command: must be a list"] = { hooks = '{ { command = "reload" } }' },
      ["rekey: a key in a token stays"] = { key = '"pkcs11:object=x"', rekey = "true" },
      ["key_pin_file: is for a key in a token"] = { key_pin_file = '"pin"' },
      ["a PIN stands in key_pin_file"] = { key = '"pkcs11:object=x;pin-value=1"' },
      ["a TPM makes keys of curves"] = { key = '"tpm2:rsa:2048"' },
      ["key: .*did you mean 'ec:P%-256'"] = { key = '"P-256"' },
    } do
      local result = new(more):run "--check"
      assert.equal(2, result.code, pattern)
      assert.matches(pattern, result.err)
    end
  end)

  it("tells Prometheus of each identity, in a textfile that promtool takes", function()
    new({ hooks = HOOK }, { textfile = '"lest.prom"' })
    assert.equal(0, agent:once().code)
    local text = process.read(agent:file "lest.prom")
    assert.equal(agent:cert().not_after, tonumber(text:match
      '\nlest_agent_certificate_not_after_timestamp_seconds{identity="dev9"} (%d+)\n'))
    assert.matches('\nlest_agent_deploy_failures{identity="dev9"} 0\n', text)
    assert.equal("644", process.capture("stat -c %a " .. agent:file "lest.prom"))
    process.write(agent:file "fail", "")
    assert.equal(1, agent:once("--renew").code)
    text = process.read(agent:file "lest.prom")
    assert.matches('\nlest_agent_deploy_failures{identity="dev9"} 1\n', text)
    local next_at = tonumber(text:match
      '\nlest_agent_next_action_timestamp_seconds{identity="dev9"} (%d+)\n')
    assert.is_true(next_at > os.time() - 60 and next_at < os.time() + 3600)
    if not process.capture "command -v promtool" then return end
    assert.equal("", process.must({ "promtool", "check", "metrics" }, { stdin = text }))
  end)

  --- A socket for sd_notify; each datagram becomes a line, its own lines with "; " between.
  local LISTEN <const> = [[use Socket; $| = 1; socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die;
    bind($s, pack_sockaddr_un($ARGV[0])) or die;
    while (defined recv($s, my $text, 4096, 0)) { $text =~ s/\n/; /g; print "$text\n" }]]

  it("tells its service manager that it is ready, lives, and how it is", function()
    new { hooks = "{ { command = { \"/bin/sh\", \"-c\", 'exit ${NOTIFY_SOCKET:+1}' } } }" }
    local socket, told = agent:file "socket", agent:file "told"
    local listener = process.start({ "perl", "-e", LISTEN, socket }, told, agent:file "err")
    finally(function() process.kill(listener, "KILL") end)
    process.wait_for(function() return os.execute("test -S " .. socket) end, "the socket", 60)
    agent:start("NOTIFY_SOCKET=" .. socket, "WATCHDOG_USEC=600000")
    local function wait_told(text)
      process.wait_for(function()
        return ("\n" .. process.read(told)):find("\n" .. text .. "\n", 1, true)
      end, text, 60)
    end
    wait_told "READY=1; STATUS=started"
    wait_told "STATUS=1 certificate"
    wait_told "WATCHDOG=1"
    agent:stop()
    wait_told "STOPPING=1; STATUS=stopping"
  end)
end)
