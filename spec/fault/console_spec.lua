-- A REPL inside a server that runs: requests are parked and stepped through while all others go on,
-- and go on by their own rules whatever becomes of the operator.
local control = require "lest.tool.control"
local core = require "lest.core"
local fleet = require "support.fleet"
local process = require "support.process"
local shell = require "support.shell"
local support = require "support.server"
local terminals = require "support.terminal"

local POLICY <const> = [[
local policy = require "lest.policy"
local barred = { mallory = true }
return policy.first {
  policy.named("barred", policy.when(function(request)
    return barred[request.principal.name] ~= nil
  end, policy.reject "not you")),
  policy.named("names", policy.own_name()),
}]]

describe("lest repl --attach", function()
  local server

  setup(function()
    server = support.start { policy = POLICY, config = function(text)
      return (text:gsub("return {", "return { workers = 2,", 1))
    end }
  end)
  teardown(function() server:stop() end)

  local function line(...)
    return shell.line("repl", "--attach", server.dir .. "/server.lua", ...)
  end

  --- Run statements one after another without a terminal.
  local function run(statements, ...)
    return process.run(line(...), { stdin = statements })
  end

  local function start_enroll(name, secret, of)
    of = of or server
    local csr = of:csr(name)
    secret = secret or of:credential(name)
    local answer = of.folder .. "/answer." .. name
    process.write(answer, "")
    process.start({ "curl", "-sS", "--max-time", "100", "--cacert", of.root, "-o", "/dev/null",
      "-w", "%{http_code}", "--user", name .. ":" .. secret, "-H",
      "Content-Type: application/pkcs10", "--data-binary", "@" .. csr,
      of.url .. "/.well-known/est/simpleenroll" }, answer, answer .. ".err")
    return function() return process.read(answer) end
  end

  local function expect_answer(answer, status)
    process.wait_for(function() return answer() ~= "" end, "an answer", 30)
    assert.equal(status, answer())
  end

  local function attach(...)
    local terminal = terminals.start(line(...))
    terminal:expect "attached> "
    return terminal
  end

  it("runs what is piped in, or given with -e, and ends with the first error's code", function()
    local code, out, err = run "#workers()\nx = 2\nx + 1\nlabels.default.hooks\n"
    assert.same({ 0, '2\n3\n{ "enroll", "reenroll" }\n', "" }, { code, out, err })
    code, out, err = run("", "-e", "1 + 1", "-e", "nope", "-e", "3")
    assert.same({ 1, "2\n3\n" }, { code, out })
    assert.matches("^error: console:1: nothing is named 'nope'", err)
    err = select(3, run "request\n")
    assert.equal('error: console:1: no request is parked here: break_at { principal = "..." } '
      .. "parks the next\n", err)
    for _, typed in ipairs { "verdict", "x = request", "x = resume()",
      'x = ledger "nope" {}', "x = policy.reload 'y.lua'", "x = stack 'none'" } do
      code, out, err = run(typed .. "\n")
      assert.same({ 1, "" }, { code, out })
      assert.matches("^error: [^/]+\n", err)
      assert.equal(typed == "x = policy.reload 'y.lua'", err:find "^error: console:1: " == nil)
    end
    local absent, _, problem = process.run(shell.line("repl", "--attach", "/nowhere/control.sock"))
    assert.matches("/nowhere/control.sock", problem)
    assert.not_equal(0, absent)
    assert.equal(2, (process.run(shell.line("repl", "--write"))))
    assert.equal(2, (run("", "script.lua")))
  end)

  it("says in the log what was typed, and by whom", function()
    run "'a line for the log'\n"
    local found
    for _, logged in ipairs(server:logged "console statement") do
      if logged.code == "'a line for the log'" then found = logged end
    end
    assert.same({ core.process.uid, "uid " .. core.process.uid }, { found.uid, found.who })
  end)

  it("has all that was typed in the log, however long it is", function()
    local code = ("'%s%s the end of it'"):format(("\1"):rep(1700), ("x"):rep(3000))
    assert.equal(0, (run("", "-e", code)))
    local typed = {}
    for i, logged in ipairs(server:logged "console statement") do typed[i] = logged.code end
    assert.truthy(table.concat(typed):find(code, 1, true))
  end)

  it("steps a request through its rules at a terminal, while twenty others enroll", function()
    local terminal <close> = attach()
    terminal:type('break_at { principal = "dev1" }\n', "attached> ")
    assert.not_matches("nil", terminal:shown())
    local answer = start_enroll "dev1"
    terminal:expect "simpleenroll of dev1 (label default), before its policy"
    terminal:expect "parked> " -- on the line that waits
    terminal:type("request.principal.name\n", '"dev1"')
    local others = fleet.new(server, 20, "beside")
    others:start():wait()
    others:check()
    terminal:type("requests()[1].state\n", '"parked"')
    terminal:type("step()\n", "before the rule first at policy.lua:3")
    terminal:type("step()\n", "before the rule barred")
    terminal:type("step()\n", "before the rule names")
    terminal:type("step()\n", "approve by names")
    terminal:type("verdict.verdict\n", '"approve"')
    terminal:type("barred\n", "{ mallory = true }")
    assert.equal("", answer())
    terminal:type("resume()\n", "decided: ")
    terminal:expect "attached> "
    expect_answer(answer, "200")
    terminal:leave "\4"
  end)

  it("completes from the server, and Ctrl-C ends a statement there", function()
    local terminal <close> = attach()
    terminal:type("string.forma\t('%s!', 'done')\n", '"done!"')
    terminal:expect "attached> "
    terminal:type("print 'on' while true do end\n", "\non\r")
    terminal:type("\3", "interrupted")
    terminal:expect "attached> "
    terminal:type("wai\t(50)\n", "t(50)")
    terminal:type("\3", "interrupted")
    terminal:expect "attached> "
    terminal:type("1 +\n", ">> ")
    terminal:type("1\n", "\n2\r")
    terminal:leave "\4"
  end)

  it("traces decisions with their rules", function()
    local terminal <close> = attach()
    terminal:type('trace { principal = "traced*" }\n', "attached> ")
    server:enroll "traced-1"
    terminal:expect "simpleenroll of traced-1 (label default): approve by names"
    terminal:expect "rule barred: -"
    terminal:leave "\4"
  end)

  it("is forgotten also by a worker that was too busy to hear of its end", function()
    local session = assert(control.enter(server.dir .. "/ledger/control.sock"))
    local function at_worker(frame)
      frame.op, frame.worker = "console", 1
      return session:ask(frame)
    end
    local pids = server:pids "worker"
    assert(at_worker { act = "open" })
    assert(at_worker { act = "break_at", filter = { principal = "ghost" } })
    local function signal(name)
      for _, pid in ipairs(pids) do process.kill(pid, name) end
    end
    signal "STOP"
    finally(function() signal "CONT" end)
    for _ = 1, 30 do
      for _ = 1, 100 do
        session:send { op = "console", worker = 1, act = "stats", id = 1000 }
      end
      assert(session:ask { op = "status" })
    end
    session:close()
    -- What came before is done by then.
    local other <close> = assert(control.enter(server.dir .. "/ledger/control.sock"))
    assert(other:ask { op = "status" })
    signal "CONT"
    process.wait_for(function()
      other:ask { op = "console", worker = 1, act = "open" }
      local stats = other:ask { op = "console", worker = 1, act = "stats" }
      return stats and stats.breaks == 0
    end, "the end of the break")
  end)

  it("gives up what it parks when the prompt is killed", function()
    local terminal = attach()
    terminal:type('break_at { principal = "dev2" }\n', "attached> ")
    local answer = start_enroll "dev2"
    terminal:expect "parked in worker"
    process.kill(terminal:child(), "KILL")
    expect_answer(answer, "200")
    terminal:close()
  end)

  it("answers as the operator, and it is in the ledger whose verdict that was", function()
    local terminal <close> = attach("--write")
    terminal:type('break_at { principal = "mallory", verdict = "reject" }\n', "attached> ")
    local answer = start_enroll "mallory"
    terminal:expect "with its verdict reject by barred: not you"
    terminal:type('answer(policy.approve { subject = {{"CN", "mallory"}} })\n',
      "approve by operator")
    expect_answer(answer, "200")
    terminal:leave "\4"
    local who = ("uid %d"):format(core.process.uid)
    assert.equal("approve|operator|answered at the console by " .. who, server:sql(
      "SELECT verdict, rule, detail FROM requests WHERE principal_name = 'mallory'"))
    assert.equal(who, server:sql("SELECT json_extract(facts, '$.operator') FROM certificates "
      .. "WHERE principal_name = 'mallory'"))
    local told = shell.lest("explain", "mallory", "--config", server.dir .. "/server.lua")
    assert.matches("\nverdict +approve by operator: CN=mallory\n", told.out)
  end)

  it("tries another policy on one request", function()
    local file = server:file("other.lua", 'local policy = require "lest.policy"\n'
      .. 'return function() return policy.reject "by the other" end')
    local terminal <close> = attach("--write")
    terminal:type('break_at { principal = "dev3" }\n', "attached> ")
    local answer = start_enroll "dev3"
    terminal:expect "before its policy"
    terminal:type(('policy.reload "%s"\n'):format(file), "before the rule other.lua:2")
    terminal:type("resume()\n", "decided: ")
    expect_answer(answer, "403")
    terminal:leave "\4"
    server:enroll "dev4"
    assert.equal(file, server:sql(
      "SELECT policy_file FROM requests WHERE principal_name = 'dev3'"))
  end)

  it("asks the ledger, which only reads, and says what may be asked", function()
    server:enroll "asked-1"
    local code, out, err = run('ledger "cert" { principal = "asked-1" }[1].subject\n'
      .. 'ledger "request" { principal = "asked-1" }[1].verdict\n#ledger "credential" {}\n')
    assert.same({ 0, '"CN=asked-1"\n"approve"\n', "" }, { code, out:match "^.-\n.-\n", err })
    local wrong, _, problems = run 'ledger "certs" {}\nledger "cert" { limit = 5000 }\n'
    assert.equal(1, wrong)
    assert.matches("the ledger has no 'certs', did you mean 'cert'", problems)
    assert.matches('limit: 5000 is out of range', problems)
  end)

  it("parks a few where a thousand are asked for, and all get their certificates", function()
    local terminal <close> = attach()
    terminal:type('break_at { principal = "many*", times = 1000 }\n', "attached> ")
    local others = fleet.new(server, 60, "many")
    local running = others:start(40)
    terminal:expect "not parked: as many are as there may be"
    terminal:type("#parked() <= 16\n", "true")
    terminal:leave "\4"
    running:wait()
    others:check()
  end)

  it("lets a worker go that is killed, and is attached to the one that follows", function()
    local terminal <close> = attach()
    local one = server:pids "worker"[1]
    process.kill(one, "KILL")
    terminal:expect "has ended"
    process.wait_for(function() return #server:pids "worker" == 2 end, "another worker", 20)
    terminal:type('trace { principal = "after*" }\n', "attached> ")
    server:enroll "after-1"
    terminal:expect "after-1"
    terminal:type("for i = 1, 50 do workers() end return #workers()\n", "\n2\r")
    terminal:leave "\4"
  end)

  it("is attached anew after a reload, which lets what is parked go on", function()
    local terminal <close> = attach()
    terminal:type('break_at { principal = "reload-1" }\n', "attached> ")
    local answer = start_enroll "reload-1"
    terminal:expect "parked in worker"
    local count = #server:logged "ready"
    process.kill(server.pid, "HUP")
    process.wait_for(function() return #server:logged "ready" > count end, "the reload", 30)
    expect_answer(answer, "200")
    terminal:type("#workers()\n", "\n2\r")
    terminal:leave "\4"
  end)

  it("shows no control sequence of a request, and none of a statement", function()
    local _, out = run "print('a\\27[2Jb') '\\27]0;title\\7'\n"
    assert.is_nil(out:find("[\27\7]"), out)
    _, out = run "'\\27]0;title\\7'\nprint('a\\27[2Jb')\n"
    assert.equal('"\\x1b]0;title\\x07"\na\\x1b[2Jb\n', out)
  end)

  it("is not there with control = false", function()
    local closed <close> = support.start { config = function(text)
      return (text:gsub("return {", "return { control = false,", 1))
    end }
    local code, _, err = process.run(shell.line("repl", "--attach", closed.dir .. "/server.lua"))
    assert.equal(2, code)
    assert.matches("no control socket %(control = false%)", err)
    closed:enroll "without"
  end)

  -- Look through all that has a name and all that leads on from there, for a text.
  local SEARCH <const> = [[
do local wanted, seen, looked, found = ("%s"):reverse(), {}, 0, {}
local function look(value, path)
  if type(value) == "string" then
    looked = looked + 1
    if string.find(value, wanted, 1, true) then found[#found + 1] = path end
  elseif type(value) == "table" and not seen[value] and #path < 200 then
    seen[value] = true
    for key, item in pairs(value) do
      look(key, path .. ".")
      look(item, path .. "." .. tostring(key))
    end
  end
end
local here = { request = request, verdict = verdict, labels = labels, config = config,
  policy = policy, upvalues = upvalues(), requests = requests(), stats = stats(),
  workers = workers(), stack = stack(request.id), string = string, table = table, json = json }
for _, name in ipairs { "subject", "attributes", "extensions", "challenge_password", "san" } do
  here[name] = request.csr[name]
end
look(here, "")
for _, name in ipairs { "name", "kind", "credential", "claims", "anchors" } do
  look(request.principal[name], "principal." .. name)
end
look(request.auth.basic, "auth")
print(looked > 50, #found, table.concat(found, " ")) end]]

  it("reaches no secret of a client, nor a path of a key, whatever is typed", function()
    local terminal <close> = attach "--write"
    terminal:type('break_at { principal = "dev9" }\n', "attached> ")
    local secret = server:credential "dev9"
    local answer = start_enroll("dev9", secret)
    terminal:expect "before its policy"
    terminal:type("\n", "parked> ")
    for _, text in ipairs { secret, "server.key", "ca.key" } do
      terminal.keys:write(SEARCH:format(text:reverse()), "\n")
      terminal:expect "\ntrue  0  \r"
    end
    terminal:type("resume()\n", "decided: ")
    expect_answer(answer, "200")
    terminal:leave "\4"
    assert.is_nil(process.read(server.log_file):find(secret, 1, true))
  end)

  it("lets a request that an operator leaves for ever have its own rules, in time", function()
    local short <close> = support.start { policy = POLICY, config = function(text)
      return (text:gsub("return {", 'return { workers = 1,\n  '
        .. 'limits = { answer = "4s", decision = "1s" },', 1))
    end }
    local terminal <close> = terminals.start(shell.line("repl", "--attach", short.dir
      .. "/server.lua"))
    terminal:expect "attached> "
    for _, wanted in ipairs { 'principal = "left-1"', 'principal = "left-2", rule = "names"' } do
      terminal:type(("break_at { %s }\n"):format(wanted), "attached> ")
    end
    for i = 1, 2 do
      short:enroll(("left-%d"):format(i)) -- raises unless it is answered with a certificate
      terminal:expect "its answer is due soon; its own rules decide"
    end
    terminal:leave "\4"
  end)

  it("lets what is parked go on where the server is stopped", function()
    local stopped <close> = support.start { policy = POLICY, config = function(text)
      return (text:gsub("return {", "return { workers = 1,", 1))
    end }
    local terminal <close> = terminals.start(shell.line("repl", "--attach", stopped.dir
      .. "/server.lua"))
    terminal:expect "attached> "
    terminal:type("break_at {}\n", "attached> ")
    local answer = start_enroll("stopped", nil, stopped)
    terminal:expect "parked in worker"
    process.kill(stopped.pid)
    expect_answer(answer, "200")
    assert.equal(0, stopped:exit_code())
  end)

  it("needs no file of lest once a worker serves, and nor does what a policy asks for", function()
    local prefix = process.folder()
    process.must { "mkdir", "-p", prefix .. "/bin", prefix .. "/share/lua/5.4" }
    process.must { "cp", LEST_PREFIX .. "/bin/lest", prefix .. "/bin/lest" }
    process.must { "cp", "-rL", LEST_PREFIX .. "/share/lua/5.4/lest", prefix .. "/share/lua/5.4" }
    process.must { "chmod", "-R", "go+rX", prefix }
    local bare <close> = support.start { lest = prefix .. "/bin/lest", policy = [[
      local lest, policy = require "lest", require "lest.policy"
      return function(request)
        assert(lest.client and lest.http and lest.retry)
        assert(policy.http { url = "https://localhost/${key}" })
        assert(not pcall(policy.sqlite, "none.db", "SELECT 1 AS a WHERE a = :key"))
        return policy.own_name()(request)
      end]] }
    local secrets = { bare:credential "bare-1", bare:credential "bare-2" }
    process.must { "rm", "-r", prefix .. "/share" }
    expect_answer(start_enroll("bare-1", secrets[1], bare), "200")
    local code, out, err = process.run(shell.line("repl", "--attach", bare.dir .. "/server.lua"),
      { stdin = "#requests()\nworkers()[1].uptime < 100\n" })
    assert.same({ 0, "0\ntrue\n", "" }, { code, out, err })
    expect_answer(start_enroll("bare-2", secrets[2], bare), "200")
  end)
end)
