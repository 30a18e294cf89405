--- The current folder may be anybody's: nothing in it is run but for a script that asks.
local process = require "support.process"
local support = require "support.server"

describe("the current folder", function()
  local folder, server

  setup(function()
    server = support.start {
      policy = [[
        local names, policy = require "names", require "lest.policy"
        return { enroll = function(request)
          return policy.approve { subject = names.of(request) }
        end }]],
      files = { ["names.lua"] = [[
        return { of = function(request) return { { "CN", request.principal.name } } end }]] },
    }
    folder = process.folder()
    for _, name in ipairs { "argparse", "lest", "mine" } do
      process.write(folder .. "/" .. name:gsub("%.", "_") .. ".lua", "print 'taken over' return 7")
    end
    process.must { "mkdir", folder .. "/lest" }
    process.must { "cp", folder .. "/mine.lua", folder .. "/lest/json.lua" }
  end)
  teardown(function()
    server:stop()
    process.must { "rm", "-r", folder }
  end)

  local function there(...)
    local words = { "sh", "-c", 'cd "$0" && exec "$@"', folder, support.lest, ... }
    return process.run(words)
  end

  it("holds no module of a command or a role", function()
    local config = server.dir .. "/server.lua"
    for _, words in ipairs {
      { "serve", "--check", config }, { "credential", "list", "--config", config },
      { "inspect", server.dir .. "/ca.pem" }, { "--help" },
    } do
      local code, out, err = there(table.unpack(words))
      assert.equal(0, code, err)
      assert.is_nil((out .. err):find("taken over", 1, true))
    end
  end)

  it("is a script's to search, after everything else", function()
    process.write(folder .. "/script.lua", [[
      assert(require "lest".key and require "lest.json".encode)
      assert(require "mine" == 7)]])
    local code, out, err = there("run", "script.lua")
    assert.equal(0, code, err)
    assert.equal("taken over\n", out)
  end)

  it("is not where a policy looks, but its own folder is", function()
    server:enroll "beside"
  end)
end)
