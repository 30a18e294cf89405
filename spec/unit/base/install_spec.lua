-- Files are put in their places for other accounts, and nothing on the way there is believed.
local core = require "lest.core"
local process = require "support.process"
local shell = require "support.shell"
local temporary = require "support.temporary"

local function stat(format, path)
  return shell.capture(("stat -c %s %s"):format(format, process.quote(path)))
end

describe("a file that is installed", function()
  local folder
  before_each(function() folder = temporary.folder() end)
  after_each(temporary.clean)

  it("has its mode, and replaces a plain file of any owner", function()
    local path = folder .. "/file"
    assert(core.file.install(path, "one"))
    assert.equal("600", stat("%a", path))
    assert(core.file.install(path, "two\0three", { mode = tonumber("640", 8) }))
    assert.equal("two\0three", core.file.read(path))
    assert.equal("640", stat("%a", path))
    assert.same({ "file" }, core.system.entries(folder))
  end)

  it("is its owner's, with the owner's group or another", function()
    if core.process.uid ~= 0 then return pending "only root gives files away" end
    local path = folder .. "/file"
    assert(core.file.install(path, "x", { owner = "nobody" }))
    assert.equal("nobody:nogroup", stat("%U:%G", path))
    assert(core.file.install(path, "x", { owner = "nobody", group = "daemon" }))
    assert.equal("nobody:daemon", stat("%U:%G", path))
    assert(core.file.install(path, "x", { group = "daemon" }))
    assert.equal("root:daemon", stat("%U:%G", path))
  end)

  it("is not written for an account or a group that is not there", function()
    for key, what in pairs { owner = "account", group = "group" } do
      local none, err = core.file.install(folder .. "/file", "x", { [key] = "no-such-name" })
      assert.is_nil(none)
      assert.equal("not_found", err.code)
      assert.matches("no " .. what, err.message)
    end
    assert.same({}, core.system.entries(folder))
  end)

  it("replaces no link, folder or pipe", function()
    process.write(folder .. "/victim", "untouched")
    process.must { "ln", "-s", "victim", folder .. "/link" }
    process.must { "ln", "-s", "nowhere", folder .. "/dangling" }
    process.must { "mkfifo", folder .. "/pipe" }
    process.must { "mkdir", folder .. "/folder" }
    for _, name in ipairs { "link", "dangling", "pipe", "folder" } do
      local none, err = core.file.install(folder .. "/" .. name, "x")
      assert.is_nil(none, name)
      assert.equal("usage", err.code)
      assert.matches("is not replaced", err.message)
    end
    assert.equal("untouched", process.read(folder .. "/victim"))
    assert.is_false(process.exists(folder .. "/nowhere"))
  end)

  it("goes through links on the way that root or this account has made", function()
    process.must { "mkdir", "-p", folder .. "/a/b" }
    process.must { "ln", "-s", "a/../a/b", folder .. "/relative" }
    process.must { "ln", "-s", folder .. "/relative", folder .. "/absolute" }
    assert(core.file.install(folder .. "/absolute/file", "x"))
    assert.equal("x", process.read(folder .. "/a/b/file"))
  end)

  it("goes through no stranger's link, nor round in a circle", function()
    process.must { "mkdir", folder .. "/a" }
    process.must { "ln", "-s", "round", folder .. "/round" }
    local none, err = core.file.install(folder .. "/round/file", "x")
    assert.is_nil(none)
    assert.equal("io", err.code)
    if core.process.uid ~= 0 then return pending "only root makes a stranger's link" end
    process.must { "ln", "-s", "a", folder .. "/trap" }
    process.must { "chown", "-h", "nobody", folder .. "/trap" }
    none, err = core.file.install(folder .. "/trap/file", "x")
    assert.is_nil(none)
    assert.equal("usage", err.code)
    assert.matches("another account's link", err.message)
    assert.same({}, core.system.entries(folder .. "/a"))
  end)

  it("takes the place of a draft that was left, and leaves none where it fails", function()
    process.write(folder .. "/file.lest-new", "half")
    assert(core.file.install(folder .. "/file", "x"))
    assert.same({ "file" }, core.system.entries(folder))
    local none, err = core.file.install(folder .. "/none/file", "x")
    assert.is_nil(none)
    assert.equal("not_found", err.code)
    for _, path in ipairs { "", folder .. "/", folder .. "/..", folder .. "/" .. ("x"):rep(250) } do
      assert.equal("usage", (select(2, core.file.install(path, "x"))).code)
    end
  end)

  it("does not go through a draft that is a link", function()
    process.write(folder .. "/victim", "untouched")
    process.must { "ln", "-s", "victim", folder .. "/file.lest-new" }
    assert(core.file.install(folder .. "/file", "x"))
    assert.equal("untouched", process.read(folder .. "/victim"))
  end)
end)

describe("a link that is installed", function()
  local path

  before_each(function() path = temporary.folder() end)
  after_each(temporary.clean)

  it("takes the place of a link, also beside one that a death has left", function()
    assert(core.file.link("one", path .. "/link"))
    assert.equal("one", core.folder.target(path .. "/link"))
    process.must { "ln", "-s", "three", path .. "/link.lest-new" }
    assert(core.file.link("two", path .. "/link"))
    assert.equal("two", core.folder.target(path .. "/link"))
    assert.same({ "link" }, core.system.entries(path))
  end)

  it("leaves no moment without a link while it is switched", function()
    assert(core.file.link("first", path .. "/link"))
    local watcher = assert(io.popen(process.line { "perl", "-e", [[
      $| = 1;
      print "begun\n";
      while (!-e "$ARGV[0]/end") { print "none\n" if !readlink "$ARGV[0]/link" }]], path }))
    assert.equal("begun", watcher:read "l")
    for i = 1, 2000 do assert(core.file.link(tostring(i), path .. "/link")) end
    process.write(path .. "/end", "")
    assert.equal("", watcher:read "a")
    watcher:close()
  end)

  it("replaces no file and no folder", function()
    process.write(path .. "/file", "mine")
    assert(core.folder.make(path .. "/folder"))
    for _, name in ipairs { "file", "folder" } do
      local none, err = core.file.link("one", path .. "/" .. name)
      assert.is_nil(none)
      assert.equal("usage", err.code)
    end
    assert.equal("mine", process.read(path .. "/file"))
  end)
end)

describe("a folder that a stranger may have", function()
  local path

  before_each(function() path = temporary.folder() end)
  after_each(temporary.clean)

  it("is removed with the files and links in it", function()
    process.must { "mkdir", path .. "/old" }
    process.write(path .. "/old/file", "x")
    process.write(path .. "/victim", "untouched")
    process.must { "ln", "-s", "../victim", path .. "/old/link" }
    assert(core.folder.remove_whole(path .. "/old"))
    assert.same({ "victim" }, core.system.entries(path))
  end)

  it("is no link, and has no folder in it", function()
    process.must { "mkdir", "-p", path .. "/real", path .. "/deep/er" }
    process.write(path .. "/real/file", "untouched")
    process.must { "ln", "-s", "real", path .. "/link" }
    for name, code in pairs { link = "not_found", deep = "io", none = "not_found" } do
      local none, err = core.folder.remove_whole(path .. "/" .. name)
      assert.is_nil(none, name)
      assert.equal(code, err.code, name)
    end
    assert.equal("untouched", process.read(path .. "/real/file"))
  end)
end)
