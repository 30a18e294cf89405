-- Libraries that are loaded when they are needed: libedit by the REPL (libcurl: curl_spec.lua).
local process = require "support.process"
local temporary = require "support.temporary"

describe("libedit", function()
  local folder
  setup(function() folder = temporary.folder() end)
  teardown(temporary.clean)

  local function run(environment, text)
    local path = folder .. "/script.lua"
    process.write(path, text)
    return process.run { "env", environment, process.lest, "run", path }
  end

  it("is not linked to the binary", function()
    local out = process.must { "readelf", "-d", process.lest }
    assert.matches("NEEDED[^\n]*libcrypto", out)
    assert.falsy(out:find("libedit", 1, true))
  end)

  it("is there when a line is to be edited", function()
    local code, out, err = run("A=1", [[
      local function mapped()
        return io.open("/proc/self/maps"):read("a"):find("libedit", 1, true) ~= nil
      end
      local edit = require "lest.edit"
      print(mapped())
      local editor <close> = edit.open { complete = function() end }
      print(mapped())]])
    assert.equal(0, code, err)
    assert.equal("false\ntrue\n", out)
  end)

  it("is missed with an error, each time anew", function()
    process.write(folder .. "/libedit.so.2", "no library\n")
    local code, out, err = run("LD_LIBRARY_PATH=" .. folder, [[
      local edit = require "lest.edit"
      for _ = 1, 2 do print(pcall(edit.open, { complete = function() end })) end]])
    assert.equal(0, code, err)
    local line = "false\tlibedit cannot be loaded %([^\n]*/libedit%.so%.2: [^\n]*%)\n"
    assert.matches("^" .. line .. line .. "$", out)
  end)
end)
