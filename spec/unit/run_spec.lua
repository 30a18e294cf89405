-- spec/support/parallel counts every spec file, whatever becomes of it, and leaves nothing running.
local process = require "support.process"
local temporary = require "support.temporary"

describe("the runner of spec files", function()
  local folder, paths

  before_each(function()
    folder, paths = temporary.folder(), {}
    process.must(([[
      mkdir -p %s/spec/planted %s/build/test
      cp -r spec/support %s/spec
      ln -s %s/bin %s/build/test/bin]]):format(folder, folder, folder, LEST_PREFIX, folder))
  end)
  after_each(temporary.clean)

  --- A spec file whose one `it` does this.
  local function plant(name, body, head)
    paths[#paths + 1] = ("spec/planted/%s_spec.lua"):format(name)
    process.write(folder .. "/" .. paths[#paths], ("%s\nit(%q, function() %s end)\n"):format(
      head or "", name, body))
  end

  local function line(jobs, seconds)
    return process.line { "spec/support/parallel", "test", jobs, seconds, table.unpack(paths) }
  end

  local function run(jobs, seconds)
    local code, out = process.run(line(jobs or 4, seconds or 60), { dir = folder })
    return code, out, out:match "([^\n]*)\n$"
  end

  it("counts what passed, failed and was skipped in all files", function()
    plant("good", "")
    plant("skipped", "pending 'not here'")
    local code, out, totals = run()
    assert.equal(0, code, out)
    assert.equal("1 passed, 0 failed, 1 skipped", totals)
    plant("bad", "error 'on purpose'")
    code, out, totals = run()
    assert.equal(1, code)
    assert.equal("1 passed, 1 failed, 1 skipped", totals)
    assert.matches("\n\nERROR: bad\n.*on purpose.*\n\nSKIPPED: skipped\n", out)
    for _, path in ipairs(paths) do assert.truthy(out:find(path .. " ", 1, true), path) end
  end)

  it("takes a file that crashed, hung or ended early for failed, and shows what it printed",
    function()
      plant("early", "print 'last words'; os.exit(0)")
      plant("killed", "os.execute 'kill -KILL $PPID'")
      plant("hung", "while true do end")
      process.write(folder .. "/spec/planted/empty_spec.lua", "-- Nothing stands here.\n")
      table.insert(paths, "spec/planted/empty_spec.lua")
      plant("good", "")
      local code, out, totals = run(4, 3)
      assert.equal(1, code)
      assert.equal("1 passed, 4 failed", totals)
      assert.matches("ERROR: spec/planted/empty_spec.lua has no spec", out)
      assert.matches("ERROR: spec/planted/early_spec.lua ended with code 0.*last words", out)
      assert.matches("ERROR: spec/planted/killed_spec.lua ended with code 137", out)
      assert.matches("ERROR: spec/planted/hung_spec.lua did not end within 3 seconds", out)
    end)

  it("begins with the files that took longest", function()
    for _, name in ipairs { "a", "b", "c" } do plant(name, "") end
    process.write(folder .. "/build/test/spec-times",
      "10 spec/planted/a_spec.lua\n30 spec/planted/b_spec.lua\n20 spec/planted/c_spec.lua\n")
    local _, out = run(1)
    local order = {}
    for name in out:gmatch "spec/planted/(%l)_spec.lua" do order[#order + 1] = name end
    assert.same({ "b", "c", "a" }, order)
    for file in io.lines(folder .. "/build/test/spec-times") do
      assert.matches("^%d+ spec/planted/%l_spec.lua$", file)
    end
  end)

  it("gives those that ask for it the machine, at the end", function()
    local busy = folder .. "/busy"
    for i = 1, 3 do
      plant("beside" .. i, ("os.execute 'touch %s%d; sleep 0.5; rm %s%d'"):format(busy, i, busy, i))
    end
    for i = 1, 2 do
      plant("alone" .. i, ("assert.is_true(os.execute [[test -z \"$(ls %s* 2>/dev/null)\" && "
        .. "touch %s && sleep 0.2 && rm %s]])"):format(busy, busy, busy), "-- alone: it says so")
    end
    local code, out, totals = run()
    assert.equal("5 passed, 0 failed", totals, out)
    assert.equal(0, code)
  end)

  it("ends what a file has left running, and removes its temporary files", function()
    local file = folder .. "/pid"
    plant("careless", ("os.execute [[mktemp -d >%s.folder; sleep 600 & echo $! >%s]]"):format(file,
      file))
    local _, out, totals = run()
    assert.equal("1 passed, 0 failed", totals, out)
    assert.is_false(process.alive(tonumber(process.read(file))))
    assert.is_false(process.exists((process.read(file .. ".folder"):gsub("\n", ""))))
  end)

  it("ends what one file has started when that is killed, a server in its shell too", function()
    plant("killed", ([[
      local process = require "support.process"
      local pid = process.start({ "sh", "-c", "sleep 600; :" }, "out", "err")
      process.wait_for(function() return process.capture("pgrep -P " .. pid) end, "the child")
      process.write("%s/pids.new", pid .. " " .. process.capture("pgrep -P " .. pid))
      os.rename("%s/pids.new", "%s/pids")
      require("lest.task").sleep(600)]]):format(folder, folder, folder))
    local pid = process.start({ "env", "-C", folder, process.lest, "run",
      "spec/support/busted.lua", paths[1] }, folder .. "/out", folder .. "/err")
    process.wait_for(function() return process.exists(folder .. "/pids") end, "the file", 30)
    local shell, child = process.read(folder .. "/pids"):match "(%d+) (%d+)"
    local left = { process.own(tonumber(shell)), process.own(tonumber(child)) }
    process.kill(pid, "KILL")
    for _, each in ipairs(left) do
      process.wait_for(function() return not process.alive(each) end, "its end")
    end
  end)

  it("ends everything when it is interrupted, and says what ran", function()
    for i = 1, 3 do
      plant("waiting" .. i, ("os.execute [[sleep 600 & echo $! >%s/pid%d; wait]]"):format(folder,
        i))
    end
    local pid = process.start({ "env", "-C", folder, "sh", "-c", "exec " .. line(2, 60) },
      folder .. "/out", folder .. "/err")
    local sleeping = process.wait_for(function()
      local pids = {}
      for i = 1, 3 do
        local path = ("%s/pid%d"):format(folder, i)
        local number = process.exists(path) and tonumber(process.read(path))
        if number then pids[#pids + 1] = process.own(number) end
      end
      return #pids == 2 and pids
    end, "the files", 30)
    process.kill(pid, "TERM")
    process.wait_for(function() return not process.alive(pid) end, "the runner's end", 20)
    for _, each in ipairs(sleeping) do assert.is_false(process.alive(each)) end
    for text in process.read(folder .. "/out"):gmatch "[^\n]+" do
      assert.matches("^stopped: spec/planted/waiting%d_spec.lua, begun %d%d:%d%d:%d%d$", text)
    end
  end)
end)
