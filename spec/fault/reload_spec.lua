-- `lest policy reload`: it waits, and says whether the new generation took over, or why not.
local control = require "lest.tool.control"
local core = require "lest.core"
local host = require "support.host"
local process = require "support.process"
local support = require "support.server"

describe("lest policy reload", function()
  local server, config

  local function start(options)
    server = support.start(options)
    finally(function() server:stop() end)
    config = server.dir .. "/server.lua"
  end

  local function reload(...)
    return process.run { server.lest, "policy", "reload", "--config", config, ... }
  end

  local function generation(path)
    local session <close> = assert(control.enter(path or server.dir .. "/ledger/control.sock"))
    return session:ask { op = "status" }.generation
  end

  it("has the new policy decide when it is back", function()
    start()
    server:enroll "before"
    process.write(server.dir .. "/policy.lua", [[
      local policy = require "lest.policy"
      return { enroll = function() return policy.reject "the new one" end }]])
    assert.same({ 0, "the server serves with the new configuration\n", "" }, { reload() })
    -- A worker that was told to accept no more may have accepted just before.
    local tries = 0
    process.wait_for(function()
      tries = tries + 1
      local name = "after" .. tries
      return server:post("/simpleenroll", server:csr(name), "--user",
        ("%s:%s"):format(name, server:credential(name))) == 403
    end, "the new policy")
    assert.same({ 0, '{\n  "reloaded": true\n}\n', "" }, { reload "--json" })
    assert.equal(3, #server:logged "ready")
    assert.equal("uid", server:logged("reload asked")[1].uid and "uid")
  end)

  it("is content without a server where it is told so", function()
    server = support.make {}
    finally(function() server:stop() end)
    config = server.dir .. "/server.lua"
    local code, _, err = reload()
    assert.equal(1, code)
    assert.matches("no server runs there", err)
    local out
    code, out, err = reload "--if-running"
    assert.same({ 0, "no server runs there: the next start takes it up\n", "" }, { code, out, err })
    server:edit_config(function(text) return (text:gsub("listen =", "lisen =")) end)
    assert.equal(2, (reload "--if-running"))
  end)

  it("says why not, and leaves what serves", function()
    start()
    local policy = process.read(server.dir .. "/policy.lua")
    process.write(server.dir .. "/policy.lua", "return {")
    local code, out, err = reload()
    assert.same({ 2, "" }, { code, out })
    assert.matches("what served before goes on: labels.default.policy: .*policy.lua:1: ", err)
    server:enroll "still"
    process.write(server.dir .. "/policy.lua", policy)
    server:edit_config(function(text) return (text:gsub("listen =", "lisen =")) end)
    code, out, err = process.run { server.lest, "policy", "reload", "--control",
      server.dir .. "/ledger/control.sock" }
    assert.same({ 2, "" }, { code, out })
    assert.matches("unknown, did you mean 'listen'", err)
    server:edit_config(function(text)
      return (text:gsub("lisen =", "listen ="):gsub("labels = {",
        'metrics = "127.0.0.1:1",\n  labels = {', 1))
    end)
    local taken = support.start { listen = { "127.0.0.1:0" } }
    server:edit_config(function(text)
      return (text:gsub("metrics = [^\n]*", ("metrics = \"127.0.0.1:%s\","):format(taken.port)))
    end)
    code, out, err = reload()
    taken:stop()
    assert.same({ 1, "" }, { code, out })
    assert.matches("cannot listen at 127.0.0.1", err)
    assert.equal(1, generation())
    assert.equal(1, #server:logged "ready")
  end)

  it("has no sequence of a terminal from a policy on the terminal", function()
    start()
    process.write(server.dir .. "/policy.lua", 'error("\\27[2J\\27]0;owned\\7 no")')
    local code, _, err = reload()
    assert.equal(2, code)
    assert.is_nil(err:find "[\27\7]")
    assert.matches("no", err)
  end)

  it("is answered to all who asked, while others reload by signal", function()
    start()
    local pids = {}
    for i = 1, 6 do
      pids[i] = process.start({ "sh", "-c", ("%s policy reload --config %s; echo code $?"):format(
        server.lest, config) }, server.folder .. "/out" .. i, server.folder .. "/err" .. i)
      process.kill(server.pid, "HUP")
    end
    for i, pid in ipairs(pids) do
      process.wait_for(function() return not process.alive(pid) end, "its end", 60)
      assert.matches("code 0", process.read(server.folder .. "/out" .. i),
        process.read(server.folder .. "/err" .. i))
    end
  end)

  it("is asked for once at a time by one connection", function()
    start()
    local session <close> = assert(control.enter(server.dir .. "/ledger/control.sock"))
    local first
    session.waiting[1] = { part = function() end, done = function(result) first = result end }
    session:send { id = 1, op = "reload" }
    session.last = 1
    local _, err = session:ask { op = "reload" }
    assert.equal("usage", err.code)
    process.wait_for(function()
      core.loop.timer(10, function() end)
      core.loop.turn()
      return first
    end, "the answer to the first", 20)
    assert.is_true(first.ok)
  end)

  it("leaves out a policy whose specs fail, where they are asked for", function()
    start { files = { ["policy_spec.lua"] = "error 'no start runs it'" },
      config = function(text)
        return (text:gsub("labels = {", "policy_tests = true,\n  labels = {", 1))
      end }
    local function spec(text)
      process.write(server.dir .. "/policy_spec.lua", ([[describe("the policy", function()
        local testing = require "lest.testing"
        it("is good", function() %s end)
      end)]]):format(text))
    end
    spec(('assert.truthy(testing.policy(%q))'):format(server.dir .. "/policy.lua"))
    local code, _, err = reload()
    assert.equal(0, code, err)
    spec "assert.equal(1, 2)"
    local out
    code, out, err = reload()
    assert.same({ 2, "" }, { code, out })
    assert.matches("1 of 1 specs of the policies failed: .*Expected objects to be equal", err)
    local logged = server:logged "cannot start"
    assert.equal("tests", logged[#logged].role)
    for text, problem in pairs { ["os.exit(0)"] = "ends the process", ["("] = "failed: ",
      ["core = 1; os.exit(true)"] = "ends the process" } do
      spec(text)
      code, out, err = reload()
      assert.same({ 2, "" }, { code, out }, text)
      assert.truthy(err:find(problem, 1, true), err)
    end
    assert.equal(2, generation())
    server:enroll "still"
  end)

  it("runs specs without a key, and takes none for passed that were ended", function()
    start { config = function(text)
      return (text:gsub("labels = {", "policy_tests = true,\n  labels = {", 1))
    end }
    process.write(server.dir .. "/policy_spec.lua", ([[it("reads no key", function()
      for _, name in ipairs { "ca.key", "server.key", "ledger/ledger.db" } do
        local file = io.open(%q .. name)
        if file and require "lest.core".system.user_id() ~= %d then error(name) end
      end
    end)]]):format(server.dir .. "/", host.is_root and 0 or core.system.user_id()))
    local code, _, err = reload()
    assert.equal(0, code, err)
    process.write(server.dir .. "/policy_spec.lua", "while true do end")
    local pid = process.start({ "sh", "-c", ("%s policy reload --config %s; echo code $?"):format(
      server.lest, config) }, server.folder .. "/out", server.folder .. "/err")
    process.wait_for(function() return server:pids("tests")[1] end, "the specs")
    process.kill(server:pids("tests")[1], "KILL")
    process.wait_for(function() return not process.alive(pid) end, "its end", 60)
    assert.equal("code 1\n", process.read(server.folder .. "/out"))
    assert.matches("were ended before they had passed", process.read(server.folder .. "/err"))
  end)

  it("leaves nothing behind that a spec has started", function()
    start { config = function(text)
      return (text:gsub("labels = {", "policy_tests = true,\n  labels = {", 1))
    end }
    local mark = ("7%d"):format(core.process.pid)
    process.write(server.dir .. "/policy_spec.lua", ([[it("starts what goes on", function()
      os.execute "sleep %s </dev/null >/dev/null 2>&1 &"
    end)]]):format(mark))
    local code, _, err = reload()
    assert.equal(0, code, err)
    process.wait_for(function()
      return select(2, process.run { "pgrep", "-f", "^sleep " .. mark }) == ""
    end, "its end", 5)
  end)

  it("is for a member of the group once in ten seconds, and for root always", function()
    if not host.is_root then return pending "needs root, to be another account" end
    server = support.make()
    finally(function() server:stop() end)
    config = server.dir .. "/server.lua"
    local path = server.folder .. "/c.sock"
    server:edit_config(function(text)
      return (text:gsub("labels = {", ("control = { path = %q, group = 4242 },\n  labels = {")
        :format(path), 1))
    end)
    server:run()
    local function member()
      return process.run { "setpriv", "--reuid=65534", "--regid=65534", "--groups=4242",
        server.lest, "policy", "reload", "--control", path }
    end
    local before = generation(path)
    for _ = 1, 3 do
      local code, out, err = member()
      assert.same({ 5, "" }, { code, out })
      assert.matches("asked to be: wait %d+ s", err)
    end
    assert.equal(before, generation(path))
    assert.equal(0, (reload()))
    assert.equal(0, (reload()))
  end)

  it("says so where no server runs, or none has a socket", function()
    local made = support.make()
    config, server = made.dir .. "/server.lua", made
    local code, out, err = reload()
    assert.same({ 1, "" }, { code, out })
    assert.matches("no server runs there", err)
    made:edit_config(function(text)
      return (text:gsub("labels = {", "control = false,\n  labels = {", 1))
    end)
    code, out, err = reload()
    assert.same({ 2, "" }, { code, out })
    assert.matches("has no control socket", err)
  end)
end)
