-- A worker that ends while a policy decides: the ledger says whose request that was, and where.
local process = require "support.process"
local support = require "support.server"

describe("a request whose worker ends while the policy decides", function()
  local server

  setup(function()
    server = support.start {
      config = function(text)
        return (text:gsub("return {", 'return { workers = 2, watchdog = "2s", drain = "1s",', 1))
      end,
      policy = [[
        local policy, task = require "lest.policy", require "lest.task"
        local ends = {
          hangs = function() return ("a"):rep(253):find "a*a*a*a*b" end,
          exits = function() os.exit(3) end,
          crashes = function() os.execute "kill -ABRT $PPID" end,
          sleeps = function()
            require("lest.log").info("deciding", {})
            task.sleep(9)
          end,
        }
        return { enroll = function(request)
          local name = request.principal.name
          if ends[name] then ends[name]() end
          return policy.approve { subject = { { "CN", name } } }
        end }]],
    }
  end)
  teardown(function() server:stop() end)

  local function row(name)
    return server:sql(("SELECT verdict, reason, label, operation, policy_file FROM requests "
      .. "WHERE principal_name = '%s'"):format(name))
  end

  local function begin(name)
    local secret = server:credential(name)
    return server:post("/simpleenroll", server:csr(name), "--user", name .. ":" .. secret)
  end

  local function expect(name)
    process.wait_for(function() return row(name) ~= "" end, "a row", 20)
    assert.equal("error|the worker ended while the policy decided|default|simpleenroll|"
      .. server.dir .. "/policy.lua", row(name))
    assert.matches("the worker ended", server:logged("no verdict")[1].message)
  end

  for _, name in ipairs { "hangs", "exits", "crashes" } do
    it(("leaves a row where the policy %s"):format(name), function()
      assert.equal(0, (begin(name)))
      expect(name)
      server:enroll("after-" .. name)
    end)
  end

  it("leaves a row where the server is stopped and its time is over", function()
    local code = server.folder .. "/curl"
    local secret, csr = server:credential "sleeps", server:csr "sleeps"
    process.start({ "curl", "-sS", "--cacert", server.dir .. "/ca.pem", "--user",
      "sleeps:" .. secret, "--data-binary", "@" .. csr, "-H", "Content-Type: application/pkcs10",
      server.url .. "/.well-known/est/simpleenroll" }, code, code)
    process.wait_for(function() return #server:logged "deciding" > 0 end, "the policy")
    process.kill(server.pid)
    assert.equal(0, server:exit_code())
    expect "sleeps"
  end)
end)
