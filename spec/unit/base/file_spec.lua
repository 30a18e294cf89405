-- Files are written whole, with their mode, and never through what a stranger has put there.
local core = require "lest.core"
local process = require "support.process"
local shell = require "support.shell"
local temporary = require "support.temporary"

describe("a file", function()
  after_each(temporary.clean)

  it("is written whole with its mode, replacing what is there", function()
    local path = temporary.folder() .. "/file"
    assert(core.file.write(path, "one", { mode = 384 })) -- 0600
    assert(core.file.write(path, "two\0three"))
    assert.equal("two\0three", core.file.read(path))
    assert.equal("644", shell.capture("stat -c %a " .. path))
    assert.equal("1", shell.capture("ls " .. path .. "* | wc -l"))
  end)

  it("is read whole up to the size that is allowed, and not past it", function()
    local folder = temporary.folder()
    for _, size in ipairs { 1, 4095, 4096, 4097, 8192, 65536, 200001 } do
      local text = ("lest."):rep(size // 5 + 1):sub(1, size)
      local path = temporary.file(folder, "file", text)
      assert.equal(text, core.file.read(path))
      assert.equal(text, core.file.read(path, size))
      if size > 1 then
        local bytes, err = core.file.read(path, size - 1)
        assert.is_nil(bytes)
        assert.equal("too_large", err.code)
      end
    end
    assert.equal("", core.file.read(temporary.file(folder, "empty", "")))
  end)

  it("is read where it is a plain one, and nobody is waited for where it is not", function()
    local folder = temporary.folder()
    local path = temporary.file(folder, "file", "text")
    process.must { "ln", "-s", path, folder .. "/link" }
    assert.equal("text", core.file.read_plain(path))
    assert.equal("text", core.file.read_plain(folder .. "/link"))
    local _, err = core.file.read_plain(path, 3)
    assert.equal("too_large", err.code)
    _, err = core.file.read_plain(folder .. "/none")
    assert.equal("not_found", err.code)
    process.must { "mkfifo", folder .. "/pipe" } -- that nobody writes to
    for _, other in ipairs { folder, folder .. "/pipe", "/dev/null" } do
      local text, problem = core.file.read_plain(other)
      assert.is_nil(text)
      assert.matches("is no plain file", problem.message)
    end
  end)

  it("is not overwritten where it must be new", function()
    local path = temporary.folder() .. "/file"
    assert(core.file.write(path, "one", { new = true, mode = 384 }))
    assert.equal("600", shell.capture("stat -c %a " .. path))
    local ok, err = core.file.write(path, "two", { new = true })
    assert.is_nil(ok)
    assert.equal("exists", err.code)
    assert.equal("one", core.file.read(path))
  end)

  it("is not put in the place of a device", function()
    local folder = temporary.folder()
    local device = folder .. "/null"
    if not os.execute("mknod " .. device .. " c 1 3 2>&-") then return pending "needs root" end
    assert(core.file.write(device, "gone"))
    assert.equal("character special file", shell.capture("stat -c %F " .. device))
  end)

  it("is replaced where a link leads, and the link stays", function()
    local folder = temporary.folder()
    temporary.file(folder, "file", "one")
    shell.run(("ln -s file %s/link"):format(folder))
    assert(core.file.write(folder .. "/link", "two"))
    assert.equal("two", core.file.read(folder .. "/file"))
    assert.equal("file", shell.capture("readlink " .. folder .. "/link"))
  end)

  it("is not replaced where a stranger's link leads, in a folder for all", function()
    if core.system.user_id() ~= 0 then return pending "needs root" end
    local folder = temporary.folder()
    local open, path = folder .. "/open", folder .. "/open/file"
    temporary.file(folder, "mine", "one")
    shell.run(("chmod 755 %s; mkdir %s; chmod 1777 %s; ln -s ../mine %s; chown -h 65534 %s")
      :format(folder, open, open, path, path))
    assert.equal(path, core.file.resolve(path))
    assert(core.file.write(path, "two"))
    assert.equal("one", core.file.read(folder .. "/mine"))
    assert.equal("regular file", shell.capture("stat -c %F " .. path))
    shell.run("ln -sf ../mine " .. path)
    assert(core.file.write(path, "three"))
    assert.equal("three", core.file.read(folder .. "/mine"))
  end)

  it("has one path, whatever leads to it", function()
    local folder = core.file.resolve(temporary.folder())
    temporary.file(folder, "file", "one")
    shell.run(("ln -s file %s/link"):format(folder))
    assert.equal(folder .. "/file", core.file.resolve(folder .. "/link"))
    assert.equal(folder .. "/new", core.file.resolve(folder .. "/./new"))
    assert.equal(core.file.absolute "new", core.file.resolve "new")
    assert.equal("/nonexistent", core.file.resolve "/nonexistent")
    assert.equal("-", core.file.resolve "-")
    assert.equal("not_found", select(2, core.file.resolve(folder .. "/none/new")).code)
  end)

  it("can be asked beforehand whether it can be written", function()
    local folder = temporary.folder()
    for _, path in ipairs { folder .. "/new", temporary.file(folder, "there", "one"), "/dev/null",
      "-" } do assert(core.file.check(path)) end
    assert.equal("there", shell.capture("ls " .. folder))
    assert.matches("Is a directory", tostring(select(2, core.file.check(folder))))
    assert.equal("io", select(2, core.file.check(folder .. "/none/new")).code)
  end)

  it("is alone after a writer was killed: a new one had no name yet, another is swept away",
    function()
    if not (os.execute "strace -V >/dev/null 2>&1") then return pending "needs strace" end
    local folder = temporary.folder()
    local file = folder .. "/file"
    local function killed_at(call, options)
      local script = temporary.file(temporary.folder(), "script.lua",
        ("require('lest.core').file.write(%q, 'x', %s)"):format(file, options))
      local tracing = ("strace -qq -o /dev/null -e trace=%s -e inject=%s:signal=KILL "):format(call,
        call)
      local result = shell.run(tracing .. shell.line("run", script))
      assert.is_true(result.code >= 128, result.err)
    end
    killed_at("linkat", "{ new = true, mode = 384 }")
    assert.equal("", shell.run("ls " .. folder).out)
    assert(core.file.write(file, "x", { new = true }))
    assert.equal("1", shell.capture("stat -c %h " .. file))
    killed_at("fsync", "{}")
    assert.matches("^file\nfile%.lest%-%w%w%w%w%w%w\n$", shell.run("ls " .. folder).out)
    for _, name in ipairs { "backup", "lest-1234567", "lest-12345", "pem.lest-123456" } do
      temporary.file(folder, "file." .. name, "mine")
    end
    assert(core.file.check(file))
    assert.equal("file\nfile.backup\nfile.lest-12345\nfile.lest-1234567\nfile.pem.lest-123456\n",
      shell.run("LC_ALL=C ls " .. folder).out)
  end)

  it("leaves alone what another writes at the moment", function()
    local folder = temporary.folder()
    local draft = temporary.file(folder, "file.lest-abcdef", "x")
    local pid = process.start({ "bash", "-c",
      'exec 9<"$0" && flock 9 && exec sleep 60', draft }, "/dev/null", "/dev/null")
    process.wait_for(function() return shell.run("flock -n " .. draft .. " true").code ~= 0 end,
      "the lock")
    assert(core.file.check(folder .. "/file"))
    assert.is_true(core.system.exists(draft))
    process.kill(pid)
    process.wait_for(function() return not process.alive(pid) end, "the end")
    process.wait_for(function() return shell.run("flock -n " .. draft .. " true").code == 0 end,
      "the lock's end")
    assert(core.file.check(folder .. "/file"))
    assert.is_false(core.system.exists(draft))
  end)

  it("is taken for our own where it is a plain one that no other may write", function()
    local folder = temporary.folder()
    local path = folder .. "/key"
    local key = assert(core.key.generate "ec:P-256")
    assert(key:save(path))
    assert(core.key.load(path, { own = true }))
    local function refused(pattern, command)
      shell.run(command:gsub("KEY", path))
      local found, err = core.key.load(path, { own = true })
      assert.is_nil(found)
      assert.matches(pattern, tostring(err))
    end
    refused("others may write to it", "chmod 620 KEY")
    refused("is a link", "chmod 600 KEY; mv KEY KEY.real; ln -s KEY.real KEY")
    refused("is no plain file", "rm KEY; mkfifo KEY")
    refused("is no plain file", "rm KEY; mkdir KEY")
    if core.system.user_id() ~= 0 then return end
    refused("belongs to another user", "rmdir KEY; mv KEY.real KEY; chown 65534 KEY")
  end)

  it("is read up to a maximum", function()
    local path = temporary.file(temporary.folder(), "file", ("x"):rep(100))
    assert.equal(100, #core.file.read(path, 100))
    local text, err = core.file.read(path, 99)
    assert.is_nil(text)
    assert.equal("too_large", err.code)
    assert.equal("not_found", select(2, core.file.read(path .. "x")).code)
  end)

  it("says why it cannot be written", function()
    local ok, err = core.file.write("/nonexistent/file", "x")
    assert.is_nil(ok)
    assert.equal("io", err.code)
    assert.matches("No such file", tostring(err))
  end)
end)
