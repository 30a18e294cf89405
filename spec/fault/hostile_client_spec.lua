--- What one client sends must not end what others are waiting for.
local process = require "support.process"
local support = require "support.server"

local POLICY <const> = [[
local lest, log, policy = require "lest", require "lest.log", require "lest.policy"
return {
  enroll = function(request)
    local name = request.principal.name
    if name:find "^slow" then lest.sleep(2) end
    if name == "leaver" then
      lest.sleep(2)
      log.warning "went on alone"
    end
    if name == "binary" then return policy.reject { "\xff\0\r\nX: y", detail = "\xff\0" } end
    if name == "nested" then
      return policy.approve { subject = { { "CN", name } }, facts = { list = { 1 } } }
    end
    return policy.approve { subject = { { "CN", name } } }
  end,
  reenroll = policy.renew {},
}
]]

describe("a server with a hostile client", function()
  local server

  setup(function() server = support.start { policy = POLICY } end)
  teardown(function() server:stop() end)

  --- Start an enrollment that waits in the policy; returns a function that gives its status.
  local function start_slow(name)
    local out = server.folder .. "/" .. name .. ".status"
    local secret = server:credential(name)
    local pid = process.start({ "curl", "-sS", "--max-time", "20", "--cacert",
      server.dir .. "/ca.pem", "-o", "/dev/null", "-w", "%{http_code}", "--user",
      name .. ":" .. secret, "--data-binary", "@" .. server:csr(name), "-H",
      "Content-Type: application/pkcs10", server.url .. "/.well-known/est/simpleenroll" }, out,
      out .. ".err")
    return function()
      process.wait_for(function() return not process.alive(pid) end, "curl", 20)
      return math.tointeger(tonumber(process.read(out)))
    end
  end

  --- Run attack() while requests wait, on every worker's connection to the authority.
  local function during(name, attack)
    local slow = {}
    for i = 1, 4 do slow[i] = start_slow(("slow-%s-%d"):format(name, i)) end
    process.run { "sleep", "0.5" }
    for _ = 1, 4 do attack() end
    for i = 1, 4 do assert.equal(200, slow[i]()) end
    assert.same({}, server:logged "bad message")
  end

  it("goes on when credentials are larger than any can be", function()
    local csr = server:csr "large"
    during("basic", function()
      for _, user in ipairs { ("x"):rep(2000) .. ":y", "x:" .. ("y"):rep(2000) } do
        assert.equal(401, (server:post("/simpleenroll", csr, "--user", user)))
      end
    end)
  end)

  it("goes on when a verdict cannot be sent to the authority", function()
    local secret = server:credential("nested", { "--reusable" })
    during("verdict", function()
      assert.equal(500, (server:post("/simpleenroll", server:csr "nested", "--user",
        "nested:" .. secret)))
    end)
    assert.matches("^the verdict is not taken: facts.list",
      server:sql "SELECT detail FROM requests WHERE principal_name = 'nested' LIMIT 1")
  end)

  it("goes on when a certificate of the chain is larger than any can be", function()
    local cert = server:enroll "chain"
    local key = server.folder .. "/chain.key"
    local large = server.folder .. "/large.pem"
    process.must { "openssl", "req", "-x509", "-new", "-key", key, "-subj", "/CN=large", "-addext",
      "nsComment=" .. ("x"):rep(40000), "-out", large }
    local chain = server.folder .. "/long.pem"
    process.write(chain, process.read(cert) .. process.read(large))
    local csr = server:csr("chain", { reuse = true })
    during("chain", function()
      assert.equal(403, (server:post("/simplereenroll", csr, "--cert", chain, "--key", key)))
    end)
  end)

  it("ends what a leaving client began, in the worker and in the authority", function()
    local user = "leaver:" .. server:credential("leaver", { "--reusable" })
    local csr = server:csr "leaver"
    for _ = 1, 3 do
      server:post("/simpleenroll", csr, "--user", user, "--max-time", "0.5")
    end
    process.wait_for(function()
      return server:sql [[SELECT count(*) FROM requests WHERE principal_name = 'leaver'
        AND verdict = 'error' AND detail = 'the client left']] == "3"
    end, "the records", 5)
    process.run { "sleep", "2.5" }
    assert.same({}, server:logged "went on alone")
  end)

  it("records a refusal whatever bytes are in its words", function()
    local secret = server:credential "binary"
    local status, body = server:post("/simpleenroll", server:csr "binary", "--user",
      "binary:" .. secret)
    assert.equal(403, status)
    assert.matches("^%?%?%?%sX: y\n$", body)
    assert.equal("1", server:sql [[SELECT count(*) FROM requests WHERE principal_name = 'binary'
      AND verdict = 'reject' AND detail = '??']])
  end)
end)
