-- spec/lint/requires finds what it is for: each violation is planted in a tree of its own.
local process = require "support.process"
local shell = require "support.shell"
local temporary = require "support.temporary"

describe("the lint of requires", function()
  local folder

  setup(function()
    folder = temporary.folder()
    assert(os.execute(("mkdir -p '%s/spec' && cp -r spec/lint '%s/spec/'"):format(folder, folder)))
  end)
  teardown(temporary.clean)

  -- With these files, and their texts, below lua/lest.
  local function planted(files)
    assert(os.execute(("rm -rf '%s/lua'"):format(folder)))
    for path, text in pairs(files) do
      local whole = ("%s/lua/lest/%s.lua"):format(folder, path)
      assert(os.execute(("mkdir -p '%s'"):format(whole:match "^(.*)/")))
      process.write(whole, text .. "\n")
    end
    return shell.run(("cd '%s' && spec/lint/requires"):format(folder))
  end

  local BASE <const> = { ["base/a"] = 'require "lest.core"', task = "", http = "", policy = "",
    client = "", ["client/plan"] = "", ["server/wire/message"] = "", ["server/config/load"] = "",
    ["server/ledger/credentials"] = "", ["server/worker/role"] = "",
    ["server/worker/view"] = "", ["server/authority/role"] = "", ["desk/policy"] = "",
    ["tool/command/init"] = "" }

  local function with(path, text)
    local files = setmetatable({ [path] = text }, { __index = BASE })
    for key, value in pairs(BASE) do files[key] = rawget(files, key) or value end
    return planted(files)
  end

  it("passes what is allowed, and comments", function()
    for path, text in pairs {
      ["server/authority/role"] = 'require "lest.server.ledger.credentials" require "lest.task"',
      ["server/worker/role"] = 'local p = require "lest.policy"',
      ["tool/command/init"] = 'require "lest.desk.policy"',
      ["desk/policy"] = 'require "lest.server.worker.view" require "lest.server.config.load"',
      client = 'local plan = require("lest.client.plan")',
      ["base/a"] = '--- require "lest.client"',
    } do
      local result = with(path, text)
      assert.equal("requires: ok\n", result.out, result.err)
    end
  end)

  it("finds a room that reaches into one that it may not", function()
    for path, forbidden in pairs {
      ["server/authority/role"] = { "lest.client", "lest.http", "lest.policy", "lest.client.plan",
        "lest.server.worker.role", "lest.tool.command", "lest.desk.policy" },
      ["desk/policy"] = { "lest.server.worker.role", "lest.server.authority.role",
        "lest.server.ledger.credentials", "lest.client.plan" },
      ["server/worker/role"] = { "lest.desk.policy",
        "lest.server.ledger.credentials", "lest.server.authority.role" },
      ["client/plan"] = { "lest.server.wire.message", "lest.tool.command" },
      ["server/wire/message"] = { "lest.task", "lest.server.config.load" },
      ["base/a"] = { "lest.task" },
      ["tool/command/init"] = { "lest.server.worker.role", "lest.server.authority.role" },
      http = { "lest.client.plan", "lest.server.config.load" },
    } do
      for _, module in ipairs(forbidden) do
        local result = with(path, ('\nlocal x = require "%s"'):format(module))
        assert.equal(1, result.code, path .. " " .. module)
        assert(result.err:find(("lua/lest/%s.lua:2: "):format(path), 1, true), result.err)
        assert(result.err:find("may not require " .. module, 1, true), result.err)
      end
    end
  end)

  it("finds a circle, a module that is not there, a folder without a row", function()
    local circle = planted { client = 'require "lest.client.plan"',
      ["client/plan"] = 'require "lest.client"' }
    assert.matches("a circle: client > client.plan requires lest.client", circle.err)
    assert.matches("there is no lest.clinet", with("http", 'require "lest.clinet"').err)
    assert.matches("strange/a.lua is in no room", with("strange/a", "").err)
  end)
end)
