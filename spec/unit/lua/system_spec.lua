-- What a command or a role asks the operating system.
local core = require "lest.core"
local process = require "support.process"
local temporary = require "support.temporary"

describe("system.identity", function()
  local folder, path

  before_each(function()
    folder = temporary.folder()
    path = folder .. "/file"
    process.write(path, "one")
  end)
  after_each(temporary.clean)

  it("stays the same for a file that is written to, renamed or linked to", function()
    local before = assert(core.system.identity(path))
    process.write(path, "two and more")
    assert.equal(before, core.system.identity(path))
    assert(os.rename(path, folder .. "/other"))
    process.must { "ln", "-s", "other", path }
    assert.equal(before, core.system.identity(path))
  end)

  it("is another one for another file", function()
    process.must { "cp", "-p", path, folder .. "/other" }
    assert.not_equal(core.system.identity(path), core.system.identity(folder .. "/other"))
  end)

  it("is an error where there is no file", function()
    local none, err = core.system.identity(folder .. "/none")
    assert.is_nil(none)
    assert.equal("not_found", err.code)
  end)
end)

describe("system.entries", function()
  it("names what is in a folder, folders with a slash, and not more than its bound", function()
    local folder = temporary.folder()
    for _, name in ipairs { "a", ".b", "c\nd" } do process.write(folder .. "/" .. name, "") end
    assert(core.folder.make(folder .. "/e"))
    process.must { "ln", "-s", "nowhere", folder .. "/f" }
    local names = assert(core.system.entries(folder))
    table.sort(names)
    assert.same({ ".b", "a", "c\nd", "e/", "f" }, names)
    for i = 1, 1100 do process.write(("%s/e/%d"):format(folder, i), "") end
    assert.equal(1000, #core.system.entries(folder .. "/e"))
    assert.equal("not_found", (select(2, core.system.entries(folder .. "/none"))).code)
    assert.equal("io", (select(2, core.system.entries(folder .. "/a"))).code)
    temporary.clean()
  end)
end)
