-- Modules that are kept as text while the process may read them: require runs them later, without
-- a file, as the server's own code, once.
local process = require "support.process"
local shell = require "support.shell"
local temporary = require "support.temporary"

describe("a module for later", function()
  local folder

  before_each(function() folder = temporary.folder() end)
  after_each(temporary.clean)

  --- Run a script, beside which lest/parts has modules of the given texts.
  local function run(script, modules)
    process.must { "mkdir", "-p", folder .. "/lest/parts" }
    for name, text in pairs(modules or {}) do
      process.write(("%s/lest/parts/%s.lua"):format(folder, name), text)
    end
    local begin = ([[
      package.path = package.path .. ";%s/?.lua"
      local later = require "lest.server.worker.later"
      local globals = require "lest.server.worker.globals"
    ]]):format(folder)
    local result = shell.lest("run", temporary.file(folder, "script.lua", begin .. script))
    assert.equal("", result.err)
    return result.out
  end

  it("is of all that a policy may ask for, and the console, with no file to read", function()
    assert.equal("", run [[
      require "lest.server.worker.role"
      require "lest.server.worker.hooks".preload()
      later.keep "lest.server.worker.console"
      local before = {}
      for name in pairs(package.loaded) do before[name] = true end
      package.path, package.cpath = "", ""
      globals.close()
      for _, name in ipairs { "lest.client", "lest.retry", "lest.policy.csv",
        "lest.policy.database", "lest.policy.remote", "lest.policy.watched",
        "lest.client.template", "lest.server.worker.console" } do
        assert(not before[name], name)
        assert(require(name))
        assert(require(name) == require(name))
      end
      local lest = require "lest"
      for _, name in ipairs { "client", "http", "url", "json", "duration", "log", "policy", "spawn",
        "sleep", "run", "all", "retry" } do
        assert(lest[name], name)
      end
      for name in pairs(package.preload) do
        if name:find "^lest" and name ~= "lest.core" and name ~= "lest.edit" then print(name) end
      end]])
  end)

  it("runs once, by the first require, and not when it is kept", function()
    assert.equal("kept\nruns\ntrue\tnil\n", run([[
      later.keep "lest.parts.one"
      print "kept"
      print(require "lest.parts.one" == require "lest.parts.one", package.preload["lest.parts.one"])
    ]], { one = "print 'runs' return {}" }))
  end)

  it("has the server's globals, and what asks for it the closed ones", function()
    assert.equal("12\tfalse\n", run([[
      later.keep "lest.parts.one"
      globals.close()
      load('require "lest.parts.one" print(twelve, (pcall(load "twelve = 13")))')()
    ]], { one = "twelve = 12 return {}" }))
  end)

  it("brings what it requires by name, also within a function", function()
    assert.equal("two\tthree\n", run([[
      later.keep "lest.parts.one"
      package.path = ""
      print(require "lest.parts.one"())
    ]], { one = [[
      local two = require "lest.parts.two"
      return function() return two, require("lest.parts.three").name end]],
      two = "return 'two'", three = "return { name = 'three' }" }))
  end)

  it("is tried anew where it raised", function()
    assert.matches("^false\t.*one.lua:1: not now\none\n$", run([[
      later.keep "lest.parts.one"
      package.path = ""
      ready = false
      print(pcall(require, "lest.parts.one"))
      ready = true
      print((require "lest.parts.one"))
    ]], { one = "if not ready then error 'not now' end return 'one'" }))
  end)

  it("is not kept where it is loaded, and must be there", function()
    assert.equal("nil\nfalse\n", run [[
      later.keep "lest.task"
      print(package.preload["lest.task"])
      print((pcall(later.keep, "lest.parts.none")))
    ]])
  end)
end)
