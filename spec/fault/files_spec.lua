-- Files that change on disk under a server that runs: every process of a generation goes on with
-- what was there when it began.
local pki = require "support.pki"
local process = require "support.process"
local support = require "support.server"

local function policy(reason)
  return ([[
    local policy = require "lest.policy"
    return { enroll = function(request)
      return policy.reject("%s")
    end }]]):format(reason)
end

describe("a server whose files change", function()
  local ca, factory, server

  setup(function()
    ca = pki.new()
    factory = ca:root "factory"
    ca:crl(factory, {})
    server = support.start { policy = policy "the first policy", config = function(text)
      text = text:gsub('own = "ca.pem"', ('%%0, factory = %q'):format(factory.path))
      return (text:gsub("labels = {", ("workers = 2, crls = %q,\n  %%0"):format(
        ca:path "factory.crl"), 1))
    end }
  end)
  teardown(function()
    server:stop()
    pki.__close(ca)
  end)

  --- End a process of a role, and wait for another in its place.
  local function replace(role)
    local old = server:pids(role)
    local started = #server:logged "child ended"
    process.kill(old[1], "KILL")
    process.wait_for(function() return #server:logged "child ended" == started + 1 end, "the end")
    process.wait_for(function() return #server:pids(role) == #old end, "a new " .. role, 30)
  end

  local function ask()
    local secret = server:credential "device001"
    local answer
    process.wait_for(function()
      local status, body = server:post("/simpleenroll", server:csr "device001", "--user",
        "device001:" .. secret)
      answer = body
      return status == 403
    end, "an answer", 30)
    return answer
  end

  it("keeps the policy that it has, also in a worker that starts anew", function()
    process.write(server.dir .. "/policy.lua", policy "the second policy")
    replace "worker"
    replace "worker"
    for _ = 1, 8 do assert.equal("the first policy\n", ask()) end
  end)

  it("has workers and an authority again, whatever became of its files", function()
    process.write(server.dir .. "/policy.lua", "return {")
    process.write(factory.path, "no certificate")
    os.remove(ca:path "factory.crl")
    replace "worker"
    replace "worker"
    replace "authority"
    local ended = #server:logged "child ended"
    assert.equal("the first policy\n", ask())
    assert.equal(ended, #server:logged "child ended")
  end)

  it("takes what is there at SIGHUP, if it can be taken", function()
    process.kill(server.pid, "HUP")
    process.wait_for(function() return server:logged("reload failed")[1] end, "a failure", 30)
    assert.matches("^crls%[1%]: /.*/factory.crl: cannot be opened: No such file",
      server:logged("start failed")[1].message)
    assert.equal("the first policy\n", ask())
    process.write(server.dir .. "/policy.lua", policy "the third policy")
    process.write(factory.path, factory.cert:pem())
    ca:crl(factory, {})
    local ready = #server:logged "ready"
    process.kill(server.pid, "HUP")
    process.wait_for(function() return #server:logged "ready" > ready end, "a generation", 30)
    assert.equal("the third policy\n", ask())
  end)
end)
