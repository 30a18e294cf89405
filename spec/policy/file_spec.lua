-- A policy that reads a file beside it: from the start, at a reload, and where the file is missing.
local process = require "support.process"
local support = require "support.server"

local POLICY <const> = [[
local policy = require "lest.policy"

local allowed = {}
for name in io.lines(policy.file "devices.txt") do allowed[name] = true end

return function(request)
  if not allowed[request.principal.name] then return policy.reject "it is not in the list" end
  return policy.approve { subject = { { "CN", request.principal.name } } }
end
]]

describe("policy.file", function()
  local server

  before_each(function()
    server = support.start { policy = POLICY, files = { ["devices.txt"] = "ann\n" } }
  end)
  after_each(function() server:stop() end)

  local function ask(name)
    return (server:post("/simpleenroll", server:csr(name), "--user",
      name .. ":" .. server:credential(name)))
  end

  local function reload(event, count)
    process.kill(server.pid, "HUP")
    process.wait_for(function() return #server:logged(event) >= count end, event, 30)
  end

  it("finds what stands beside the policy, anew at each reload", function()
    assert.equal(200, ask "ann")
    assert.equal(403, ask "ben")
    process.write(server.dir .. "/devices.txt", "ben\n")
    reload("ready", 2)
    assert.equal(200, ask "ben")
    assert.equal(403, ask "ann")
  end)

  it("says with the policy's line what is missing, and the server goes on as it was", function()
    os.remove(server.dir .. "/devices.txt")
    local WHY <const> = "labels.default.policy: [^\n]*policy.lua:4: policy.file: "
      .. "[^\n]*devices.txt: No such file"
    reload("cannot start", 1)
    assert.matches(WHY, server:logged("cannot start")[1].message)
    assert.equal(200, ask "ann")
    local code, _, err = process.run { server.lest, "serve", "--check",
      server.dir .. "/server.lua" }
    assert.equal(2, code)
    assert.matches("^lest serve: " .. WHY, err)
  end)
end)
