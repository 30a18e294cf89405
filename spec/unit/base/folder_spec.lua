-- Folders whose changes last, and the lock of one process.
local core = require "lest.core"
local process = require "support.process"
local shell = require "support.shell"
local temporary = require "support.temporary"

local folder = core.folder

describe("core.folder", function()
  local path

  before_each(function() path = temporary.folder() end)
  after_each(temporary.clean)

  it("makes a folder by a mode, once", function()
    assert(folder.make(path .. "/a", 448))
    assert.same({ true, 448 }, { core.system.exists(path .. "/a") })
    local none, err = folder.make(path .. "/a")
    assert.is_nil(none)
    assert.equal("exists", err.code)
    assert.equal("io", (select(2, folder.make(path .. "/none/a"))).code)
  end)

  it("makes a folder unless one is there, or a link to one, whose mode stays", function()
    assert(folder.ensure(path .. "/a", 448))
    assert(folder.ensure(path .. "/a", 493))
    assert.same({ true, 448 }, { core.system.exists(path .. "/a") })
    process.must { "ln", "-s", "a", path .. "/to_a" }
    assert(folder.ensure(path .. "/to_a"))
    assert.equal("io", (select(2, folder.ensure(path .. "/none/a"))).code)
  end)

  it("makes no folder of a file, nor of a link to nowhere", function()
    process.write(path .. "/file", "mine")
    process.must { "ln", "-s", "nowhere", path .. "/link" }
    for _, name in ipairs { "file", "link" } do
      local none, err = folder.ensure(path .. "/" .. name)
      assert.is_nil(none)
      assert.equal("exists", err.code)
    end
    assert.is_false(core.system.exists(path .. "/nowhere"))
  end)

  it("says what a link says", function()
    process.must { "ln", "-s", "nowhere/at/all", path .. "/link" }
    assert.equal("nowhere/at/all", folder.target(path .. "/link"))
  end)

  it("says what a link is that is none, or not there", function()
    process.write(path .. "/file", "mine")
    assert.equal("io", (select(2, folder.target(path .. "/file"))).code)
    assert.equal("not_found", (select(2, folder.target(path .. "/none"))).code)
  end)

  it("moves a folder, and over none that has something in it", function()
    assert(folder.make(path .. "/a"))
    assert(folder.make(path .. "/b"))
    process.write(path .. "/b/file", "mine")
    local none, err = folder.move(path .. "/a", path .. "/b")
    assert.is_nil(none)
    assert.equal("exists", err.code)
    assert(folder.move(path .. "/b", path .. "/c"))
    assert.equal("mine", process.read(path .. "/c/file"))
  end)

  it("removes what is there, and minds nothing that is not", function()
    process.write(path .. "/file", "mine")
    assert(folder.remove(path .. "/file"))
    assert(folder.remove(path .. "/file"))
    assert(folder.make(path .. "/a"))
    process.write(path .. "/a/file", "mine")
    assert.equal("io", (select(2, folder.remove(path .. "/a"))).code)
  end)

  describe("a lock", function()
    local function try()
      return shell.lest("run", temporary.file(path, "try.lua", [[
        local lock, err = require "lest.core".folder.lock(arg[1])
        print(lock and "taken" or err.code)]]), path .. "/lock").out
    end

    it("is one process's until it is closed, and its file is nobody else's", function()
      local lock = assert(folder.lock(path .. "/lock"))
      assert.same({ true, 384 }, { core.system.exists(path .. "/lock") })
      assert.equal("unavailable\n", try())
      lock:close()
      assert.equal("taken\n", try())
    end)

    it("follows no link, and is no folder", function()
      process.must { "ln", "-s", "file", path .. "/lock" }
      assert.equal("io\n", try())
      assert.is_false(core.system.exists(path .. "/file"))
      os.remove(path .. "/lock")
      assert(folder.make(path .. "/lock"))
      assert.equal("io\n", try())
    end)
  end)
end)
