-- The REPL: lines and their values, locals, unfinished code, completion and history.
local complete = require "lest.tool.repl.complete"
local core = require "lest.core"
local help = require "lest.tool.repl.help"
local history = require "lest.tool.repl.history"
local repl = require "lest.tool.repl"
local scan = require "lest.tool.repl.scan"
local process = require "support.process"
local shell = require "support.shell"
local temporary = require "support.temporary"

-- What a session writes for these lines.
local function typed(...)
  local written = {}
  local session = repl.new { write = function(text) written[#written + 1] = text end }
  for _, line in ipairs { ... } do session:feed(line) end
  return table.concat(written), session
end

describe("a REPL session", function()
  it("shows the values of expressions, and nothing for statements", function()
    assert.equal('2\n"x"\nnil\n', typed("1 + 1", "'x', nil", "g_repl = 3", ""))
    assert.equal("3\n", (typed "g_repl"))
    assert.equal("nil\n1\n", (typed "nil, 1"))
    assert.equal("4\n", (typed "return 4"))
    _G.g_repl = nil
  end)

  it("keeps locals from line to line", function()
    assert.equal("1\n2\n", (typed("local a, b = 1, 2", "a, b")))
    assert.equal("{ 1, n = 1 }\n", (typed("local t = table.pack(1)", "t")))
  end)

  it("keeps the variable itself: closures see later assignments", function()
    assert.equal("5\n6\n", (typed("local a = 1", "local function f() a = a + 1; return a end",
      "a = 4", "f()", "a = 5 f()", "a")))
  end)

  it("makes a new variable when a name is declared again", function()
    assert.equal("1\n2\n", (typed("local a = 1", "local function f() return a end", "local a = 2",
      "f(), a")))
    assert.equal("2\n", (typed("local a = 1", "local a = a + 1", "a")))
    assert.equal("2\n1\n", (typed("local x = 1; local f = function() return x end; local x = 2",
      "x, f()")))
  end)

  it("knows local function, recursion and locals in the middle of a line", function()
    assert.equal("120\n", (typed("local function fact(n) return n < 2 and 1 or n * fact(n - 1) end",
      "fact(5)")))
    assert.equal("3\nnil\n", (typed("print = print; local y = 3; do local z = 1 end", "y, z")))
    assert.equal("nil\n", (typed("for i = 1, 2 do local inner = i end", "inner")))
    assert.equal("nil\n", (typed("if true then local inner = 1 end", "inner")))
    assert.equal("nil\n", (typed("repeat local inner = true until inner", "inner")))
    assert.equal("nil\n", (typed("while true do local inner = 1 break end", "inner")))
    assert.equal("nil\n", (typed("g = function() local inner end g = nil", "inner")))
  end)

  it("keeps <const> constant, computed or not", function()
    local text = typed("local a <const>, b <const> = 5, {}", "a, b", "a = 1", "b = 1")
    assert.equal("5\n{}\nerror: repl:1: attempt to assign to const variable 'a'\n  1 | a = 1\n"
      .. "error: repl:1: attempt to assign to const variable 'b'\n  1 | b = 1\n", text)
    assert.equal("2\n", (typed("local a <const> = 1", "local a = 1", "a = 2", "a")))
  end)

  it("closes <close> at the end of the session, the last first", function()
    local closed = {}
    _G.repl_guard = function(name)
      return setmetatable({}, { __close = function() closed[#closed + 1] = name end })
    end
    local _, session = typed("local a <close> = repl_guard 'a'", "local b <close> = repl_guard 'b'",
      "local c <close> = nil", "local d <close> = 5", "a, b")
    assert.same({}, closed)
    assert.equal(1, session:finish())
    assert.same({ "b", "a" }, closed)
    _G.repl_guard = nil
  end)

  it("finds local only where it is a word of the code", function()
    assert.equal('"local s"\n1\n', (typed("t = 'local s' --[[ local u ]] -- local v", "t",
      "t = [==[ local w ]==] local x = 1", "x")))
    assert.same({}, scan.read("s = 'local a = 1' .. [[\nlocal b]] .. \"\\\" local c\"").locals)
    _G.t = nil
  end)

  it("goes on in the next line while the code is unfinished", function()
    local written = {}
    local session = repl.new { write = function(text) written[#written + 1] = text end }
    for _, line in ipairs { "for i = 1, 2 do", "if i == 2 then", "end" } do
      assert.equal("more", session:feed(line))
    end
    assert.equal("done", session:feed "end")
    assert.equal("more", session:feed "1 +")
    assert.equal("done", session:feed "2")
    assert.equal("more", session:feed "local text = [[a")
    assert.equal("done", session:feed "b]]")
    assert.equal("done", session:feed "text")
    assert.equal("more", session:feed "f(")
    session:cancel()
    assert.equal("done", session:feed "1")
    assert.equal('3\n"a\\nb"\n1\n', table.concat(written))
  end)

  it("shows nil, err as an error, with its causes", function()
    local text, session = typed "require('lest.core').key.parse 'x'"
    assert.matches("^error: [^\n]*%[key_malformed%]\n", text)
    assert.equal(1, session.exit_code)
  end)

  it("shows what was raised, whatever it is, and goes on", function()
    local text = typed("error 'x'", "error()", "error({})", "local t; t.x()", ":trace", "1")
    assert.matches("^error: repl:1: x\n  1 | error 'x'\nerror: nil\n", text)
    assert.matches("attempt to index a nil value %(local 't'%)", text)
    assert.matches("stack traceback", text)
    assert.matches("\n1\n$", text)
    local _, session = typed ("local new = require('lest.core').error.new",
      "error(new { code = 'refused', message = 'm' })")
    assert.equal(7, session:finish())
  end)

  it("shows the line that an error comes from, and who called it", function()
    local path = temporary.file(temporary.folder(), "s.lua",
      "function repl_inner()\n  error 'bad'\nend\nfunction repl_outer()\n  repl_inner()\n  "
      .. "return 1\nend\n")
    local text = typed(("dofile %q"):format(path), "x = 1 +\n1 +\n#nil", "repl_outer() x = 1",
      "local e = '\27[2J' error 'y'")
    assert.truthy(text:find("\n  3 | #nil\n", 1, true), text)
    assert.truthy(text:find(":2: bad\n  2 | error 'bad'\n  called from ", 1, true), text)
    assert.truthy(text:find("s.lua:5\n  called from repl:1\n", 1, true), text)
    assert.not_matches("\27", text)
    _G.repl_inner, _G.repl_outer, _G.x = nil, nil, nil
    temporary.clean()
  end)

  it("takes no line of earlier code for that of the code that runs", function()
    local text = typed("function repl_inner()\n  error 'bad'\nend", "do\n  repl_inner()\nend")
    assert.equal("error: repl:2: bad\n  called from repl:2\n", text)
    _G.repl_inner = nil
  end)

  it("has commands, and says which it does not have", function()
    assert.matches("Ctrl%-D", (typed ":help"))
    assert.equal("a = 1\n", (typed("local a = 1", ":locals")))
    assert.equal(":hlp is no command; try :help\n", (typed ":hlp"))
    local _, session = typed()
    assert.equal("quit", session:feed ":quit")
  end)

  it("waits for what needs waiting", function()
    assert.equal("true\n", (typed("local task = require 'lest.task'",
      "task.spawn(function() task.sleep(0.01) return true end):wait()")))
  end)

  it("runs a script first, whose globals stay", function()
    local path = temporary.file(temporary.folder(), "s.lua", "repl_global = 5\nlocal hidden = 1")
    local text, session = typed()
    assert.is_true(session:load(path))
    session.write = function(more) text = text .. more end
    session:feed "repl_global, hidden"
    assert.equal("5\nnil\n", text)
    assert.is_false(session:load(path .. ".absent"))
    assert.equal(2, session:finish())
    _G.repl_global = nil
    temporary.clean()
  end)
end)

describe("completion", function()
  it("finds globals, locals, fields and methods without calling anything", function()
    local _, session = typed("local device_one, device_two = { name = 1, nothing = 2 }, 2",
      "local key = require('lest.core').key.generate 'ed25519'",
      "local odd = setmetatable({}, { __index = function() error 'called' end })")
    local function list(before)
      return table.concat((complete.candidates(session.locals, before)), " ")
    end
    assert.equal("device_one device_two", list "print(devi")
    assert.equal("device_one.name device_one.nothing", list "x = device_one.n")
    assert.equal("string.format", list "string.fo")
    assert.equal("key:pem key:public_der", list "key:p")
    assert.equal("", list "odd.x.y")
    assert.equal("", list "nothing_here.")
    _G.lest = require "lest"
    assert.equal("lest.client lest.clock", list "lest.cl")
    assert.equal("lest.key.generate", list "lest.key.g")
    _G.lest = nil
    local addition, all = complete.complete(session.locals, "dev")
    assert.equal("ice_", addition)
    assert.equal(2, #all)
  end)
end)

describe("completion of what is not typed whole", function()
  local function list(before, entries)
    local _, session = typed "local client = require 'lest.client' { url = 'https://x' }"
    return table.concat((complete.candidates(session.locals, before, entries)), "|")
  end

  it("offers the options of a call that are not there yet", function()
    assert.equal("trace = |trust = |trust_cacerts = ", list "lest.client { url = 'x', tr")
    assert.equal("trace = |trust_cacerts = ", list "lest.client { trust = ')', tr")
    assert.equal("subject = ", list "cert = client:enroll {\n  key = key, subj")
    _G.lest = require "lest"
    assert.equal("passphrase = ", list "lest.key.load('x', { pa")
    assert.equal("subject_der = ", list "lest.csr.build { subject = 'CN=x', subj")
    assert.equal("", list "nothing_here { subj")
    assert.equal("string.format", list "lest.client { url = string.fo")
    _G.lest = nil
  end)

  it("offers the files that a string may name, but none that would end it", function()
    local folder = temporary.folder()
    for _, name in ipairs { "one.pem", "only.lua", "o\" .. x", "o\27[2J", ".other" } do
      temporary.file(folder, name, "")
    end
    core.folder.make(folder .. "/odd")
    local path = folder .. "/o"
    assert.equal(("%sdd/|%sne.pem|%snly.lua"):format(path, path, path),
      list(("lest.cert.load '%s"):format(path)))
    assert.equal(path .. "ne.pem", list(('x = { "it\\"s", "%sne'):format(path)))
    assert.equal("", list "io.open '/nowhere/x")
    temporary.clean()
  end)

  it("offers names of the history where nothing else fits", function()
    assert.equal("zz_device.name", list("zz_", { "zz_device.name = 1", "print(yy)" }))
    assert.equal("client", list("clien", { "client_of_old = 1" }))
  end)
end)

describe("help and source", function()
  local lest = require "lest"

  it("say what is written about a function, a module, an object and a field", function()
    assert.matches("^lest%.key%.generate%(spec%)\n +Make a key", help.text(lest.key.generate))
    assert.matches("^http%.get%(url, %[options%]%)\n +Fetch", help.text(lest.http.get))
    assert.matches("^all%(list, %[options%]%)", help.text(lest.all))
    assert.matches("^ +lest%.client\n.*client:enroll%(what", help.text(lest.client))
    local key = assert(lest.key.generate "ed25519")
    assert.matches("lest%.key\n.*key:save%(path", help.text(key))
    assert.matches("^key:pem%(", help.text(key.pem))
    assert.matches("^ +lest%.core%.csr\n.*lest%.csr%.build%(", help.text(lest.csr))
    assert.matches("kind .*how it was proven", help.text "request.principal.kind")
    assert.matches("subject .*whose it is", help.text "request.principal.certificate.subject")
    assert.matches("^policy%.renew%(", help.text "policy.renew")
    assert.matches("lest%.cert\n.*lest%.csr\n", help.text "subject")
    assert.matches("^lest%.error", (help.text(lest.error.new { code = "io", message = "x" })
      :gsub("^ +", "")))
    for _, unknown in ipairs { 5, "", "no such", "request.nothing", print, {}, true } do
      assert.matches("^nothing is written", help.text(unknown))
    end
  end)

  it("say where it is", function()
    assert.matches("lest/http%.lua:%d+$", help.place(lest.http.get))
    assert.matches("lest/meta/core%.lua:%d+$", help.place(lest.key.generate))
    assert.matches("lest/client%.lua:%d+$", help.place(lest.client))
    assert.matches("policy/.*%.lua:%d+$", help.place "policy.renew")
    local _, session = typed "function repl_f()\nend"
    assert.equal("line 1 of what was typed", help.place(session and _G.repl_f))
    assert.equal("its place is not known", help.place(1))
    _G.repl_f = nil
  end)

  it("show the annotations of a script of one's own, fit for a terminal", function()
    local path = temporary.file(temporary.folder(), "own.lua",
      "local M = {}\n\n--- Do it \27[2J.\n---@param what string\nfunction M.act(what) return what "
      .. "end\n\nfunction M.bare() end\nreturn M\n")
    local own = dofile(path)
    assert.equal("own.act(what)\n       Do it \\x1b[2J.", help.text(own.act))
    assert.equal(path .. ":5", help.place(own.act))
    assert.matches("own%.bare%(%)", help.text(own.bare))
    temporary.clean()
  end)
end)

describe("colours", function()
  it("are for values and errors, and change no letter", function()
    local written = {}
    local session = repl.new { in_colour = true,
      write = function(text) written[#written + 1] = text end }
    for _, line in ipairs { "{ a = 'x\"1 nil', b = 12, c = true }", "error 'z'" } do
      session:feed(line)
    end
    local text = table.concat(written)
    assert.truthy(text:find('\27[32m"x\\"1 nil"\27[0m', 1, true), text)
    assert.truthy(text:find("b = \27[36m12\27[0m", 1, true), text)
    assert.truthy(text:find("\27[31merror: repl:1: z\27[0m", 1, true), text)
    assert.matches('^{ a = "x\\"1 nil", b = 12, c = true }\nerror: repl:1: z\n',
      (text:gsub("\27%[%d+m", "")))
  end)
end)

describe("history", function()
  it("keeps no line that looks like it holds a secret", function()
    for _, line in ipairs { "password = 'x'", "lest.client{ PASSWORD = 'x' }", "passphrase", " x",
      "url = 'https://user:pw@host/'", "'pkcs11:token=a;pin-value=1'", "my_secret", "",
      "k = lest.key.parse [[\n-----BEGIN EC PRIVATE KEY-----\nx\n-----END EC PRIVATE KEY-----\n]]",
      "h = { Authorization = x }", "h = 'Basic dXNlcjpwdw=='", "api_key = 'x'",
      "t = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9'", "'Zm9vYmFyMTIzNDU2Nzg5MEFCQ0RFRkdI'",
      ("x"):rep(9000) } do
      assert.is_false(history.keeps(line), line)
    end
    for _, line in ipairs { "x = 1", "client:pass_on()", "url = 'https://host:8443/a@b'",
      "fingerprint = '" .. ("0a"):rep(32) .. "'", "f = function()\n  return 42\nend" } do
      assert.is_true(history.keeps(line), line)
    end
  end)

  it("is a file of mode 0600 in a folder of its own, and of bounded length", function()
    local path = temporary.folder() .. "/state/lest/history"
    local first = history.open(path)
    assert.is_true(first:add "one")
    assert.is_false(first:add "one")
    assert.is_false(first:add "password")
    assert.equal("600", shell.capture("stat -c %a " .. path))
    assert.equal("700", shell.capture("stat -c %a " .. path:match "^(.*)/"))
    for i = 1, 1500 do first:add("line " .. i) end
    local again = history.open(path)
    assert.equal(1000, #again.entries)
    assert.equal("line 1500", again.entries[1000])
    assert.equal(1000, #history.open(path).entries)
    assert.equal("600", shell.capture("stat -c %a " .. path))
    temporary.clean()
  end)

  it("keeps a statement as one entry, once, also in the next session", function()
    local path = temporary.folder() .. "/history"
    local first, loop = history.open(path), "for i = 1, 2 do\n\tprint(i)\n\n  -- two\nend"
    for _, entry in ipairs { "x = 1", loop, "y = 2", "x = 1", loop } do
      assert.is_true(first:add(entry))
    end
    assert.same({ "y = 2", "x = 1", loop }, history.open(path).entries)
    assert.same({ "y = 2", "x = 1", loop }, history.open(path).entries)
    temporary.clean()
  end)

  it("keeps no line of a private key that is pasted as it is", function()
    local path = temporary.folder() .. "/history"
    local first = history.open(path)
    for _, line in ipairs { "-----BEGIN PRIVATE KEY-----", "MIGH", "x = 1", "ab==",
      "-----END PRIVATE KEY-----", "y = 2" } do first:add(line) end
    assert.same({ "y = 2" }, history.open(path).entries)
    temporary.clean()
  end)

  it("does without where there is no place for it", function()
    assert.is_true(history.open(nil):add "x")
    assert.is_true(history.open("/proc/nowhere/lest/history"):add "x")
  end)
end)

describe("lest repl", function()
  it("takes lines from a pipe, without a prompt, and exits with the first error's code", function()
    local result = shell.run(shell.line "repl", "local a = 1\na + 1\n")
    assert.same({ code = 0, out = "2\n", err = "" }, result)
    result = shell.run(shell.line "repl", "local core = require 'lest.core'\nerror(core.error.new "
      .. "{ code = 'trust', message = 'm' })\nerror 'x'\n'after'\n")
    assert.equal(3, result.code)
    assert.equal('"after"\n', result.out)
    assert.equal(1, shell.run(shell.line "repl", "x = (\n").code)
    assert.equal(2, shell.lest("repl", "--bad").code)
  end)

  it("has lest at hand", function()
    local result = shell.run(shell.line "repl", "lest.key.generate('ed25519').type\n")
    assert.equal('"ed25519"\n', result.out)
    result = shell.run(shell.line "repl", "lest\n")
    assert.matches("^<fields: .*client, .*spawn", result.out)
  end)

  -- util-linux's script gives it a real terminal; each key waits for what the one before shows.
  local function at_terminal(folder, environment)
    local fifo, shown = folder .. "/keys", folder .. "/shown"
    process.must { "mkfifo", fifo }
    process.write(shown, "")
    local pid = process.start({ "sh", "-c",
      ("XDG_STATE_HOME=%s TERM=xterm %s exec script -qefc %s %s <%s"):format(folder, environment,
        shell.quote(shell.line "repl"), shown, fifo) }, folder .. "/out", folder .. "/err")
    local keys = assert(io.open(fifo, "w"))
    keys:setvbuf "no"
    local seen = 0
    local function expect(text)
      process.wait_for(function()
        local _, last = process.read(shown):find(text, seen + 1, true)
        seen = last or seen
        return last
      end, text, 30)
    end
    local function type_and_see(keystrokes, text)
      keys:write(keystrokes)
      expect(text)
    end
    local function leave()
      keys:write "\4"
      process.wait_for(function() return not process.alive(pid) end, "the end", 30)
      keys:close()
    end
    return type_and_see, expect, leave
  end

  it("edits lines on a terminal, completes, and Ctrl-C interrupts what runs", function()
    local folder = temporary.folder()
    local type_and_see, expect, leave = at_terminal(folder, "NO_COLOR=1")
    expect "> "
    type_and_see("6*7\n", "\n42\r")
    expect "> "
    type_and_see("string.forma\t('%s!', 'done')\n", '"done!"')
    expect "> "
    type_and_see("print 'on' while true do end\n", "\non\r")
    type_and_see("\3", "error: interrupted")
    expect "> "
    type_and_see("print 'off' require('lest.task').sleep(60)\n", "\noff\r")
    type_and_see("\3", "error: interrupted")
    expect "> "
    type_and_see("unfinished ", "unfinished ")
    type_and_see("\3", "> ")
    type_and_see("'still ' .. 'here'\n", '"still here"')
    expect "> "
    type_and_see("password = 1\n", "> ")
    type_and_see("function foo()\n", ">> ")
    type_and_see("  return 'forty-' ..\n", ">> ")
    type_and_see("    'two'\n", ">> ")
    type_and_see("end\n", "> ")
    type_and_see("\27[A\n", "> ")
    type_and_see("foo()\n", '"forty-two"')
    expect "> "
    leave()
    local kept = core.file.read(folder .. "/lest/history")
    assert.matches("^6%*7\nstring.format%(", kept)
    local foo = "\nfunction foo()\n\t  return 'forty-' ..\n\t    'two'\n\tend\nfoo()\n"
    assert.truthy(kept:find(foo, 1, true), kept)
    assert.not_matches("password", kept)
    temporary.clean()
  end)

  it("helps, completes options and files, and has colours on a terminal", function()
    local folder = temporary.folder()
    temporary.file(folder, "device.csr", "")
    local type_and_see, expect, leave = at_terminal(folder, "NO_COLOR=")
    expect "> "
    type_and_see("help(lest.key.generate)\n", "Make a key.")
    expect "> "
    type_and_see("source(lest.http.get)\n", "lest/http.lua:")
    expect "> "
    type_and_see("lest.key.load('x', { passp\t'1' })\n", "hrase = ")
    expect "> "
    type_and_see(("#'%s/devi\t'\n"):format(folder), "ce.csr'")
    expect "\27[36m"
    expect "> "
    type_and_see("error 'oh'\n", "\27[31merror: repl:1: oh")
    expect "> "
    leave()
    assert.not_matches("\27%[3%dm", shell.run(shell.line "repl", "1\n'x'\n").out)
    temporary.clean()
  end)
end)
