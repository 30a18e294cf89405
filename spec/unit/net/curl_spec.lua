-- libcurl with its thirty libraries is loaded by the first client, not by each process.
local process = require "support.process"
local temporary = require "support.temporary"

describe("libcurl", function()
  local folder
  setup(function() folder = temporary.folder() end)
  teardown(temporary.clean)

  local function run(environment, text)
    local path = folder .. "/script.lua"
    process.write(path, "local core = require 'lest.core'\n" .. text)
    return process.run { "env", environment, process.lest, "run", path }
  end

  local MAPPED <const> = [[
    local function mapped()
      return io.open("/proc/self/maps"):read("a"):find("libcurl", 1, true) ~= nil
    end
  ]]

  it("is linked neither to the binary nor to the module", function()
    for _, path in ipairs { "/bin/lest", "/lib/lua/5.4/lest/core.so" } do
      local out = process.must { "readelf", "-d", LEST_PREFIX .. path }
      assert.matches("NEEDED[^\n]*libcrypto", out)
      assert.falsy(out:find("curl", 1, true))
    end
  end)

  it("is there from the first client on", function()
    local code, out, err = run("A=1", MAPPED .. [[
      print(mapped())
      assert(core.http_client.new { system = true })
      print(mapped())]])
    assert.equal(0, code, err)
    assert.equal("false\ntrue\n", out)
  end)

  it("is missed with an error, each time anew", function()
    process.write(folder .. "/libcurl.so.4", "no library\n")
    local code, out, err = run("LD_LIBRARY_PATH=" .. folder, [[
      for _ = 1, 2 do
        local client, err = core.http_client.new { system = true }
        print(client, err.code, err)
      end]])
    assert.equal(0, code, err)
    local line = "nil\tinternal\tlibcurl cannot be loaded %([^\n]*/libcurl%.so%.4: [^\n]*%)\n"
    assert.matches("^" .. line .. line .. "$", out)
  end)
end)
