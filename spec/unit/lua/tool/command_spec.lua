-- The command line: help, usage errors, and how `lest run` ends.
local core = require "lest.core"
local shell = require "support.shell"
local support = require "lest.tool.command.support"
local temporary = require "support.temporary"

describe("the command line", function()
  it("shows the commands and an example", function()
    for _, words in ipairs { { "--help" }, { "-h" }, { "help" } } do
      local result = shell.lest(table.unpack(words))
      assert.equal(0, result.code)
      assert.matches("\n  run  ", result.out)
      assert.matches("Example:\n  lest ", result.out)
      assert.equal("", result.err)
    end
  end)

  it("shows a command's help, with an example", function()
    for _, words in ipairs { { "run", "--help" }, { "run", "-h" }, { "help", "run" } } do
      local result = shell.lest(table.unpack(words))
      assert.equal(0, result.code)
      assert.matches("Usage: lest run ", result.out)
      assert.matches("Example:\n  lest run ", result.out)
    end
  end)

  it("gives every offered command a help with an example", function()
    local offered = 0
    local commands = shell.lest("--help").out:match "\nCommands:(.-)\n\n"
    for name in commands:gmatch "\n  (%l+)  +%l" do
      local result = shell.lest(name, "--help")
      assert.equal(0, result.code, name)
      assert.matches("Example", result.out, nil, nil, name)
      offered = offered + 1
    end
    assert.is_true(offered > 0)
  end)

  it("keeps each name apart from what is said of it", function()
    local help = shell.lest("--help").out
    local names = {}
    for line in help:match "\nCommands:\n(.-)\n\n":gmatch "[^\n]+" do
      names[#names + 1] = assert(line:match "^  (%l+)  +%l", line)
    end
    for i, command in ipairs(require "lest.tool.command".commands) do
      assert.equal(command[1], names[i])
    end
    for line in help:match "\nPages [^\n]*\n(.-)\n\n":gmatch "[^\n]+" do
      assert.matches("^  [%l.]+  +%l", line)
    end
  end)

  it("names the subcommand whose words are wrong", function()
    local result = shell.lest("credential", "add", "x", "--set", "foo")
    assert.equal(2, result.code)
    assert.equal("lest credential add: 'foo' is not KEY=VALUE\n"
      .. "Try 'lest credential add --help'.\n", result.err)
  end)

  it("fails when its output is lost", function()
    for _, words in ipairs { { "--help" }, { "--version" }, { "run", "--help" },
      { "inspect", "spec/vectors/8951-4-csrattrs.b64" } } do
      local result = shell.run(shell.line(table.unpack(words)) .. " >/dev/full")
      assert.equal(1, result.code)
      assert.equal("lest: standard output: cannot be written (No space left on device)\n",
        result.err)
    end
  end)

  it("says the version", function()
    assert.equal("lest " .. core.version .. "\n", shell.lest("--version").out)
  end)

  it("answers a usage error with exit code 2, the nearest name, and no stack trace", function()
    local result = shell.lest("rum", "x")
    assert.equal(2, result.code)
    assert.matches("^lest: unknown command 'rum', did you mean 'run'%?", result.err)
    assert.not_matches("stack traceback", result.err)
    assert.equal(2, shell.lest().code)
    assert.equal(2, shell.lest("--verion").code)
    assert.equal(2, shell.lest("../command/run").code)
    result = shell.lest("run", "--tracebac", "x.lua")
    assert.equal(2, result.code)
    assert.matches("^lest run: unknown option '%-%-tracebac'. Did you mean '%-%-traceback'%?\n",
      result.err)
  end)
end)

describe("lest run", function()
  local folder
  before_each(function() folder = temporary.folder() end)
  after_each(temporary.clean)

  local function run(text, ...)
    return shell.lest("run", temporary.file(folder, "script.lua", text), ...)
  end

  it("gives the script its arguments, options among them", function()
    local result = run("print(arg[0]:match '[^/]*$', #arg, arg[1], arg[2], ...)", "a b", "--help")
    assert.equal("script.lua\t2\ta b\t--help\ta b\t--help\n", result.out)
    assert.equal(0, result.code)
  end)

  it("loads no parser of options for a script that needs none", function()
    local text = "print(package.loaded.argparse, package.loaded['lest.json'])"
    assert.equal("nil\tnil\n", run(text, "--help").out)
    assert.equal("nil\tnil\n", shell.lest("run", "--traceback", folder .. "/script.lua").out)
  end)

  it("refuses words before the script that it does not know", function()
    local result = shell.lest("run", "--traceback", "--other", "x.lua")
    assert.equal(2, result.code)
    assert.matches("^lest run: unknown option '%-%-other'\nTry ", result.err)
    result = shell.lest("run", "--traceback")
    assert.equal(2, result.code)
    assert.equal("lest run: missing argument 'script'\nTry 'lest run --help'.\n", result.err)
  end)

  it("ends when every task has ended", function()
    local result = run [[
      local task = require "lest.task"
      task.spawn(function() task.sleep(0.05) print "late" end)
      print "early"
    ]]
    assert.equal("early\nlate\n", result.out)
    assert.equal(0, result.code)
  end)

  it("exits 1 when a task failed that nobody waited for", function()
    local result = run [[
      local task = require "lest.task"
      task.spawn(function() task.sleep(0.01) error "in the task" end)
    ]]
    assert.equal(1, result.code)
    assert.matches("^lest run: [^\n]*script.lua:2: in the task\n$", result.err)
    local traced = shell.lest("run", "--traceback", folder .. "/script.lua")
    assert.matches("^lest run: [^\n]*in the task\nstack traceback", traced.err)
    result = run [[
      local lest = require "lest"
      lest.spawn(function() error(lest.error.new { code = "refused", message = "no" }) end)
    ]]
    assert.same({ 7, "lest run: no\n" }, { result.code, result.err })
  end)

  it("shows where a task's error came from, through all that waited, when asked", function()
    local text = [[
      local lest = require "lest"
      local function deep() error(lest.error.new { code = "refused", message = "no" }) end
      lest.spawn(function() lest.sleep(0) deep() end):wait()]]
    local result = run(text)
    assert.same({ 7, "lest run: no\n" }, { result.code, result.err })
    assert.matches("^lest run: no\nstack traceback:.*script.lua:2: in upvalue 'deep'.*started at "
      .. "[^\n]*script.lua:3%)\n", shell.lest("run", "--traceback", folder .. "/script.lua").err)
    result = run((text:gsub("error%b()", "error 'words'")))
    assert.equal(1, result.code)
    assert.matches("^lest run: [^\n]*script.lua:2: words\n$", result.err)
    result = run [[require "lest".all { function() error "x" end, function() return nil, "y" end }]]
    assert.equal(1, result.code)
    assert.matches("^lest run: 2 of 2 failed\nlest run:   1: [^\n]*:1: x\nlest run:   2: y\n$",
      result.err)
  end)

  it("does not take a cancelled task for a failure", function()
    local result = run [[
      local task = require "lest.task"
      task.spawn(task.sleep, 60):cancel()
    ]]
    assert.equal("", result.err)
    assert.equal(0, result.code)
  end)

  it("prints an uncaught lest.error in one line, exiting with its code", function()
    local result = run [[
      local core = require "lest.core"
      error(core.error.new { code = "refused", message = "no", reason = "not \27[31m you" })
    ]]
    assert.equal("lest run: no: not \\x1b[31m you\n", result.err)
    assert.equal(7, result.code)
  end)

  it("prints another error with file and line, and the traceback only when asked", function()
    local result = run "\nlocal x\nprint(x.y)"
    assert.equal(1, result.code)
    assert.matches("^lest run: [^\n]*script.lua:3: attempt to index[^\n]*\n$", result.err)
    local traced = shell.lest("run", "--traceback", folder .. "/script.lua")
    assert.matches("stack traceback", traced.err)
    traced = shell.run("LEST_TRACEBACK=1 " .. shell.line("run", folder .. "/script.lua"))
    assert.matches("stack traceback", traced.err)
  end)

  it("lets os.exit work, and a first line with #!", function()
    assert.equal(9, run("#!/usr/bin/env -S lest run\nos.exit(9)").code)
  end)

  it("reads a script from standard input", function()
    local result = shell.run(shell.line("run", "-", "word"), "#!lest\nprint(...)")
    assert.equal("word\n", result.out)
  end)

  it("tells a script that is not there from one that is wrong", function()
    assert.equal(2, shell.lest("run", folder .. "/absent.lua").code)
    local result = run "x ="
    assert.equal(1, result.code)
    assert.matches("script.lua:1: ", result.err)
  end)
end)

describe("support", function()
  -- What call() prints goes to a child's standard error: run it there.
  local function child(text)
    return shell.run(shell.line("run", "-"), "local support = require 'lest.tool.command.support'\n"
      .. "local core = require 'lest.core'\n"
      .. "os.exit(support.call('lest x', function()\n" .. text .. "\nend))")
  end

  it("turns what a command returns into its exit code", function()
    assert.equal(0, child("").code)
    assert.equal(0, child("return true").code)
    assert.equal(5, child("return 5").code)
    for code, exit_code in pairs(core.error.codes()) do
      if code == "trust" or code == "network" then
        local text = "return nil, core.error.new { code = %q, message = 'm' }"
        local result = child(text:format(code))
        assert.equal(exit_code, result.code)
        assert.equal("lest x: m\n", result.err)
      end
    end
  end)

  it("makes a mistake of the user one line, and a defect of ours another", function()
    local result = child "support.usage('give --out or --json')"
    assert.equal(2, result.code)
    assert.equal("lest x: give --out or --json\nTry 'lest x --help'.\n", result.err)
    result = child "local t; return t.x"
    assert.equal(1, result.code)
    assert.matches("^lest x: internal error: [^\n]*\n$", result.err)
  end)

  it("has subcommands with a help of their own", function()
    local function parser()
      local p = support.parser { name = "lest thing", summary = "Do.", example = "lest thing add" }
      p:command_target "subcommand"
      local add = support.subcommand(p, { name = "add", summary = "Add.", example = "lest add" })
      add:argument "name"
      return p
    end
    local got
    assert.equal(0, support.run(parser(), { "add", "one" }, function(options) got = options end))
    assert.equal("add", got.subcommand)
    assert.equal("one", got.name)
  end)

  it("shows progress on a terminal after a second, and removes it", function()
    local folder = temporary.folder()
    local script = temporary.file(folder, "wait.lua", [[
      local support, task = require "lest.tool.command.support", require "lest.task"
      do
        local progress <close> = support.progress "waiting for\27 it"
        task.sleep(tonumber(arg[1]))
      end
      print "done"
    ]])
    local function on_terminal(seconds)
      return shell.run("script -qec " .. shell.quote(shell.line("run", script, seconds))
        .. " /dev/null").out
    end
    assert.equal("done\r\n", on_terminal "0.05")
    assert.matches("waiting for\\x1b it %(1 s%)\r\27%[Kdone", on_terminal "1.5")
    assert.equal("", shell.lest("run", script, "1.2").err)
    temporary.clean()
  end)

  it("shows control characters as text", function()
    assert.equal("a\\x00\\x1b[2J\\x7f\\u{9b}é", support.clean "a\0\27[2J\127\u{9b}é")
  end)
end)
