-- The lines of the log where standard error takes a part of what it is given.
local core = require "lest.core"
local shell = require "support.shell"
local temporary = require "support.temporary"

describe("the log", function()
  after_each(temporary.clean)

  it("ends a line that was cut before it goes on", function()
    local path = temporary.file(temporary.folder(), "log.lua", [[
      local core = require "lest.core"
      for _ = 1, 20 do core.log.write("info", "many", { "text", ("x"):rep(100) }) end
      os.execute "prlimit --pid $PPID --fsize=unlimited"
      core.log.write("info", "after")]])
    local run = shell.run(("trap '' XFSZ; ulimit -S -f 1; %s 2>%s.log"):format(
      shell.line("run", path), path))
    assert.equal(0, run.code)
    local lines = {}
    for line in io.lines(path .. ".log") do table.insert(lines, line) end
    assert.matches("^{.*[^}]$", table.remove(lines, #lines - 2))
    for i, line in ipairs(lines) do lines[i] = assert(core.json.decode(line)) end
    assert.equal("after", lines[#lines - 1].event)
    assert.equal("log lines dropped", lines[#lines].event)
    assert.equal(20, #lines - 2 + lines[#lines].lines)
  end)
end)
