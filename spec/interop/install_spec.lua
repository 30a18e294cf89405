-- What `cmake --install` puts into a folder works from there: the binary finds its Lua files, and a
-- stock lua5.4 the module.
local process = require "support.process"
local shell = require "support.shell"
local temporary = require "support.temporary"

describe("an installation", function()
  local folder, root

  setup(function()
    folder = temporary.folder()
    process.must { "env", "DESTDIR=" .. folder, "cmake", "--install", LEST_PREFIX }
    root = folder .. "/usr/local"
  end)
  teardown(function() os.execute("rm -rf " .. folder) end)

  --- Elsewhere than in the source tree, where a relative path would find files.
  local function must(words)
    return process.must(words, { dir = folder })
  end

  it("has the command, which needs nothing of the build tree", function()
    local command = root .. "/bin/lest"
    assert.matches("^lest %d+%.%d+", must { command, "--version" })
    must { command, "ca", "init", "ca", "--host", "localhost" }
    assert.matches("CN=", must { command, "inspect", "ca/ca.pem" })
    process.write(folder .. "/where.lua", [[
      for _, name in ipairs { "lest", "lest.client", "lest.server.worker.role" } do
        print(package.searchpath(name, package.path))
      end]])
    for line in must({ command, "run", "where.lua" }):gmatch "[^\n]+" do
      assert.equal(root .. "/share/lua/5.4/", line:sub(1, #root + 15))
    end
  end)

  it("has the module, for a stock lua5.4", function()
    local module = root .. "/lib/lua/5.4/lest/core.so"
    if process.must({ "ldd", module }):find("libasan", 1, true) then
      return pending "the sanitizer must be in the interpreter itself"
    end
    local script = [[
      local lest = require "lest"
      local key = assert(lest.key.generate "ec:P-256")
      print(lest.version, key.type, package.searchpath("lest.core", package.cpath))]]
    local lua = root .. "/share/lua/5.4"
    local out = must { "env", ("LUA_PATH=%s/?.lua;%s/?/init.lua;;"):format(lua, lua),
      ("LUA_CPATH=%s/lib/lua/5.4/?.so;;"):format(root), "lua5.4", "-e", script }
    assert.matches("^%d+%.%d+%.%d+\tec:P%-256\t", out)
    assert.equal(module, out:match "\t([^\t]*)\n$")
  end)

  it("runs tasks in a stock lua5.4 with lest.run, and else says what is missing", function()
    if process.must({ "ldd", root .. "/lib/lua/5.4/lest/core.so" }):find("libasan", 1, true) then
      return pending "the sanitizer must be in the interpreter itself"
    end
    local function run(script)
      process.write(folder .. "/tasks.lua", "local lest = require 'lest'\n" .. script)
      return shell.run(("LUA_PATH='%s/share/lua/5.4/?.lua;%s/share/lua/5.4/?/init.lua;;' "
        .. "LUA_CPATH='%s/lib/lua/5.4/?.so;;' lua5.4 %s"):format(root, root, root,
        folder .. "/tasks.lua"))
    end
    local work = "lest.spawn(function() lest.sleep(0.01) io.write 'done ' end)"
    local result = run("print(lest.run(function(x) " .. work .. " return x end, 5))")
    assert.same({ out = "done 5\n", err = "", code = 0 }, result)
    result = run(work)
    assert.equal("", result.out)
    assert.matches("^lest: the script has ended, and 1 of its tasks have not: put .*lest%.run",
      result.err)
    result = run "lest.run(function() lest.spawn(function() error 'lost' end) end)"
    assert.equal(1, result.code)
    assert.matches("tasks.lua:2: lost\nstack traceback", result.err)
  end)

  it("has the policies, the examples and the completions of shells", function()
    for _, file in ipairs { "share/lest/policies/own-name.lua", "share/zsh/site-functions/_lest",
      "share/doc/lest/examples/quickstart", "share/bash-completion/completions/lest" } do
      assert.is_true(process.exists(root .. "/" .. file), file)
    end
  end)

  it("has a unit of systemd that starts what was installed", function()
    local unit = process.read(root .. "/lib/systemd/system/lest.service")
    for key, command in pairs { ExecStartPre = "serve --check", ExecStart = "serve" } do
      assert.matches(("\n%s=/usr/local/bin/lest %s /etc/lest/server.lua\n"):format(key,
        command:gsub("%p", "%%%0")), unit)
    end
    assert.matches("\nExecReload=/bin/kill -HUP $MAINPID\n", unit, 1, true)
  end)

  it("has units for the agent: a service, and a timer that runs it once", function()
    local units = root .. "/lib/systemd/system/"
    local service = process.read(units .. "lest-agent.service")
    assert.matches("\nExecStart=/usr/local/bin/lest agent /etc/lest/agent.lua\n", service, 1, true)
    local once = process.read(units .. "lest-agent-once.service")
    assert.matches("\nExecStart=/usr/local/bin/lest agent --once /etc/lest/agent.lua\n", once, 1,
      true)
    -- Both are closed alike, whatever each says about it.
    local function closed(unit)
      return (unit:match("\nStateDirectory=.*\nUMask=%d+\n"):gsub("\n#[^\n]*", ""))
    end
    assert.equal(closed(service), closed(once))
    assert.matches("\nUnit=lest-agent-once.service\n", process.read(units .. "lest-agent.timer"), 1,
      true)
  end)

  it("has units in which systemd finds nothing wrong", function()
    if not process.capture "command -v systemd-analyze" then
      return pending "needs systemd-analyze, of the package systemd"
    end
    local units = root .. "/lib/systemd/system/"
    local paths = {}
    for i, name in ipairs { "lest.service", "lest-agent.service", "lest-agent-once.service",
      "lest-agent.timer" } do
      paths[i] = folder .. "/" .. name
      local text = process.read(units .. name):gsub("/usr/local/bin/lest", process.lest)
      process.write(paths[i], text)
    end
    local code, out, err = process.run { "systemd-analyze", "verify", "--man=no",
      "--recursive-errors=no", table.unpack(paths) }
    assert.same({ 0, "", "" }, { code, out, err })
    -- systemd's own measure of what a service may do: from 0, nothing, to 100.
    for name, most in pairs { ["lest-agent.service"] = 40, ["lest-agent-once.service"] = 40 } do
      code, out = process.run { "systemd-analyze", "security", "--offline=true", "--no-pager",
        "--threshold=" .. most, folder .. "/" .. name }
      assert.equal(0, code, out)
    end
  end)

  it("has manual pages that man finds, and `lest help` without them", function()
    local path = ("PATH=%s/bin:/usr/bin:/bin"):format(root)
    for page, name in pairs { lest = "LEST(1)", ["lest-policy"] = "LEST-POLICY(1)",
      ["lest-policy.5"] = "LEST-POLICY(5)", ["lest-server.lua"] = "LEST-SERVER.LUA(5)",
      ["lest-lua"] = "LEST-LUA(3)", ["lest-cert"] = "LEST-CERT(1)" } do
      local text = must { "env", path, "MANPATH=", "MANPAGER=cat", "man", page }
      assert.equal(name, text:match "^%S+")
    end
    process.must { "rm", "-r", root .. "/share/man" }
    assert.matches("^lest%-policy %- ", must { root .. "/bin/lest", "help", "policy" })
  end)

  it("has the manual for a browser", function()
    local pages = root .. "/share/doc/lest/html"
    for _, name in ipairs { "index.html", "style.css", "lest-serve.1.html", "lest.cert.html" } do
      assert.is_true(process.exists(pages .. "/" .. name), name)
    end
  end)

  it("tells an editor where the types of lest are, as the source tree does", function()
    local json = require "lest.json"
    for _, place in ipairs { "policies", "examples", root .. "/share/lest/policies",
      root .. "/share/doc/lest/examples" } do
      local found
      for _, library in ipairs(json.decode(process.read(place .. "/.luarc.json"))
        ["workspace.library"]) do
        found = found or process.exists(("%s/%s/lest/meta/policy.lua"):format(place, library))
      end
      assert.is_true(found, place)
    end
  end)

  it("has an example that runs from there, with the command beside it", function()
    local out = must { "env", "PATH=/usr/bin:/bin", root .. "/share/doc/lest/examples/quickstart" }
    assert.matches("\n== Done: ", out)
    assert.not_matches("and build", out)
  end)
end)
