-- Commands load modules that the build has compiled, unless a module's file is another by now.
local process = require "support.process"
local shell = require "support.shell"
local temporary = require "support.temporary"

describe("a compiled module", function()
  local prefix, script
  local SOURCE <const>, COMPILED <const> = "share/lua/5.4/lest/task.lua",
    "lib/lua/5.4/lest/compiled/lest.task.luac"

  -- An installation of its own, with the times of its files.
  before_each(function()
    prefix = temporary.folder()
    process.must { "mkdir", "-p", prefix .. "/bin", prefix .. "/share/lua/5.4",
      prefix .. "/lib/lua/5.4/lest" }
    process.must { "cp", LEST_PREFIX .. "/bin/lest", prefix .. "/bin/lest" }
    process.must { "cp", "-rLp", LEST_PREFIX .. "/share/lua/5.4/lest", prefix .. "/share/lua/5.4" }
    process.must { "cp", "-rp", LEST_PREFIX .. "/lib/lua/5.4/lest/compiled",
      prefix .. "/lib/lua/5.4/lest" }
    script = temporary.file(prefix, "where.lua", [[
      local info = debug.getinfo(require "lest.task".sleep, "S")
      print(info.source, info.linedefined)
    ]])
  end)
  after_each(temporary.clean)

  local function where()
    local result = shell.run(("'%s/bin/lest' run '%s'"):format(prefix, script))
    assert.equal("", result.err)
    return result.out:match "^@(%S+)\t(%d+)\n$"
  end

  it("is loaded in place of its file, with the same lines", function()
    local compiled, line = where()
    assert.equal("lest/task.lua", compiled)
    process.must { "rm", prefix .. "/" .. COMPILED }
    local source, same = where()
    assert.equal(prefix .. "/" .. SOURCE, source)
    assert.equal(line, same)
  end)

  it("stands for every module that a command may load", function()
    local names = shell.capture(("cd '%s/share/lua/5.4' && find lest -name '*.lua'"):format(prefix))
    for path in names:gmatch "%S+" do
      local name = path:gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
      if not name:find "^lest%.meta" then
        local compiled = ("%s/lib/lua/5.4/lest/compiled/%s.luac"):format(prefix, name)
        assert.is_true(process.exists(compiled), name)
      end
    end
  end)

  it("is not loaded where the file was changed, nor where it is no chunk of this Lua", function()
    local source = prefix .. "/" .. SOURCE
    process.must { "touch", "-d", "2001-01-01", source } -- of the same size
    assert.equal(source, where())
    process.must { "cp", "-p", LEST_PREFIX .. "/" .. SOURCE, source }
    assert.equal("lest/task.lua", where())
    process.must { "truncate", "-s", "-1", prefix .. "/" .. COMPILED }
    assert.equal(source, where())
    local text = process.read(source)
    process.write(source, "-- mine\n" .. text)
    assert.equal(source, where())
  end)

  it("is not taken from the current folder", function()
    process.must { "rm", prefix .. "/" .. COMPILED }
    local result = shell.run(("mkdir -p '%s/here/lest/compiled' && cd '%s/here' && "
      .. "cp '%s/lib/lua/5.4/lest/compiled/lest.duration.luac' lest/compiled/lest.task.luac && "
      .. "'%s/bin/lest' run '%s'"):format(prefix, prefix, prefix, prefix, script))
    assert.matches("^@" .. prefix:gsub("%p", "%%%0") .. "/share", result.out)
  end)
end)
