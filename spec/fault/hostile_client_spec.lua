--- What one client sends must not end what others are waiting for.
local core = require "lest.core"
local process = require "support.process"
local raw_client = require "support.raw_client"
local support = require "support.server"

-- "slow" names wait until there is a file of theirs.
local POLICY <const> = [[
local lest, log, policy = require "lest", require "lest.log", require "lest.policy"
local function wait_for(path)
  local file
  repeat
    lest.sleep(0.02)
    file = io.open(path)
  until file
  file:close()
end
return {
  enroll = function(request)
    local name = request.principal.name
    local gate = name:match "^slow%-(%a+)"
    if gate then
      log.info("thinking", { name = name })
      wait_for("FOLDER/go-" .. gate)
      log.info("went on", { name = name })
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

  setup(function()
    server = support.make { config = function(text)
      return (text:gsub("labels = {", "workers = 1,\n  labels = {", 1))
    end }
    process.write(server.dir .. "/policy.lua", (POLICY:gsub("FOLDER", server.folder)))
    server:run()
  end)
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

  --- How many requests of these slow names the policy has begun with, or gone on with.
  local function count(event, gate)
    local found = 0
    for _, line in ipairs(server:logged(event)) do
      if line.name:find("slow-" .. gate, 1, true) then found = found + 1 end
    end
    return found
  end

  local function wait_thinking(gate, wanted)
    process.wait_for(function() return count("thinking", gate) == wanted end, "the policy", 30)
  end

  --- Run attack() while requests wait, on the worker's connection to the authority.
  local function during(name, attack)
    local slow = {}
    for i = 1, 4 do slow[i] = start_slow(("slow-%s-%d"):format(name, i)) end
    wait_thinking(name, 4)
    for _ = 1, 4 do attack() end
    assert.equal(0, count("went on", name))
    server:file("go-" .. name, "")
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
    assert.matches("^[^\n]*/policy%.lua:11 %(the hook%): the verdict is not taken: facts%.list: "
      .. "must be a string, a finite number or a boolean, not table$",
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
    local client <close> = raw_client.new()
    local authorization = "Authorization: Basic "
      .. core.base64.encode("slow-leaver:" .. server:credential("slow-leaver", { "--reusable" }))
    for i = 1, 3 do
      local connection = assert(client:connect { port = server.port })
      assert(connection:send(raw_client.http("POST", "/simpleenroll",
        { "Content-Type: application/pkcs10", authorization }, (support.request "slow-leaver"))))
      wait_thinking("leaver", i)
      connection:close()
    end
    process.wait_for(function()
      return server:sql [[SELECT count(*) FROM requests WHERE principal_name = 'slow-leaver'
        AND verdict = 'error' AND detail = 'the client left']] == "3"
    end, "the records", 30)
    -- One that came later and waits for the same goes on; the worker turned for it as for them.
    local other = start_slow "slow-leaver-not"
    wait_thinking("leaver", 4)
    server:file("go-leaver", "")
    assert.equal(200, other())
    assert.equal(1, count("went on", "leaver"))
  end)

  it("keeps what a client says of itself short, and a text", function()
    local csr, secret = server:csr "header", server:credential "header"
    local status = server:post("/simpleenroll", csr, "--user", "header:" .. secret, "-H",
      "User-Agent: \xff" .. ("x"):rep(3000))
    assert.equal(200, status)
    assert.equal("?" .. ("x"):rep(999), server:sql [[SELECT
      json_extract(headers, '$."user-agent"') FROM requests WHERE principal_name = 'header']])
    assert.equal(401, (server:post("/simpleenroll", csr, "--user", ("y"):rep(200) .. ":x")))
    local claimed
    for _, line in ipairs(server:logged "request") do
      if line.claimed and line.claimed:find "^yy" then claimed = line.claimed end
    end
    assert.equal(("y"):rep(64), claimed)
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
