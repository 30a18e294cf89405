-- What the log says of requests: whatever a client was answered has its id, and a line with it
-- that says what the client saw and the ledger knows; and strangers cannot fill it.
local core = require "lest.core"
local process = require "support.process"
local raw_client = require "support.raw_client"
local support = require "support.server"

local http <const> = raw_client.http
local CSR_TYPE <const> = "Content-Type: application/pkcs10"

local POLICY <const> = [[
local lest, policy = require "lest", require "lest.policy"
return {
  enroll = function(request)
    local name = request.csr.subject.CN
    if name == "slow" then lest.sleep(60) end
    if name == "pending" then return policy.pending "ask an operator" end
    if name == "reject" then return policy.reject "no" end
    return policy.approve { subject = request.csr.subject }
  end,
  reenroll = policy.renew {},
}
]]

local function configuration(text)
  text = text:gsub("profiles = {", [[
  workers = 1,
  limits = { header = "1s", answer = "1s", body_size = "4KiB" },
  profiles = {
    rare = { lifetime = "1d", keys = { "ec:P-256" }, names = "policy", per_minute = 1 },]], 1)
  text = text:gsub('names = "principal"', 'names = "policy"')
  return (text:gsub("labels = {", [[labels = {
    rare = { policy = "policy.lua", profile = "rare", auth = { "basic" } },]], 1))
end

describe("the log", function()
  local server, client, basic

  setup(function()
    server = support.start { policy = POLICY, config = configuration }
    client = raw_client.new()
    basic = "Authorization: " .. support.basic("logged", server:credential("logged",
      { "--reusable" }))
  end)
  teardown(function()
    client:close()
    server:stop()
  end)

  local function ask(bytes)
    local c <close> = assert(client:connect { port = server.port })
    return (assert(c:request(bytes)))
  end

  local function enroll(name, label, authorization)
    return ask(http("POST", (label or "") .. "/simpleenroll", { authorization or basic, CSR_TYPE },
      (support.request(name))))
  end

  --- The one line of an event about an answer.
  local function line_of(answer, event)
    local id = assert(answer.headers["x-request-id"])
    return process.wait_for(function()
      for _, line in ipairs(server:logged(event or "request")) do
        if line.id == id then return line end
      end
    end, "a line about " .. id)
  end

  it("tells what the server refuses before anybody sees the request", function()
    for status, bytes in pairs {
      [400] = "GET /.well-known/est/cacerts HTTP/1.1\r\n\r\n",
      [431] = http("GET", "/cacerts", { "X-Long: " .. ("x"):rep(20000) }),
      [501] = http("BREW", "/cacerts"),
      [408] = "GET /.well-known",
    } do
      local answer = ask(bytes)
      assert.equal(status, answer.status)
      local line = line_of(answer)
      assert.equal(status, line.status)
      assert.equal("127.0.0.1", line.address)
      assert.equal(answer.body, line.reason .. ".\n")
    end
  end)

  it("tells the true status of what the server cut short", function()
    local answer = ask(http("POST", "/simpleenroll", { basic, CSR_TYPE }, ("x"):rep(5000)))
    assert.equal(413, answer.status)
    local line = line_of(answer)
    assert.equal(413, line.status)
    assert.equal("the body is too large", line.reason)
    answer = enroll "slow"
    assert.equal(503, answer.status)
    line = line_of(answer)
    assert.equal(503, line.status)
    assert.equal("the answer is not ready in time", line.reason)
  end)

  it("7030-6-p has the principal and the verdict of the ledger", function()
    for name, verdict in pairs { reject = "reject", pending = "pending", device = "approve" } do
      local line = line_of(enroll(name))
      assert.equal(verdict, line.verdict)
      assert.equal("logged", line.principal)
    end
    -- Refused before the policy was asked.
    local weak = support.request("weak", { key = assert(core.key.generate "rsa:2048") })
    local answer = ask(http("POST", "/rare/simpleenroll", { basic, CSR_TYPE }, weak))
    assert.equal(400, answer.status)
    local line = line_of(answer)
    assert.equal("reject", line.verdict)
    assert.equal("logged", line.principal)
  end)

  it("has the verdict of then for an answer that was lost", function()
    local request = http("POST", "/simpleenroll", { basic, CSR_TYPE }, (support.request "device"))
    local first, again = line_of(ask(request)), line_of(ask(request))
    assert.is_nil(first.replayed)
    assert.is_true(again.replayed)
    assert.same({ "approve", first.serial, "logged", "logged" },
      { again.verdict, again.serial, again.principal, again.device })
  end)

  it("names who has a certificate as the ledger does, with what vouches for it", function()
    local base = server.folder .. "/renewer"
    server:enroll "renewer"
    assert.equal(200, (server:post("/simplereenroll", server:csr("renewer", { reuse = true }),
      "--cert", base .. ".pem", "--key", base .. ".key")))
    local line = process.wait_for(function()
      for _, found in ipairs(server:logged "request") do
        if found.operation == "simplereenroll" then return found end
      end
    end, "a line about the renewal")
    assert.equal("own:CN=renewer", line.principal)
    assert.equal("renewer", line.device)
    assert.equal(line.principal, server:sql(("SELECT principal_name FROM requests WHERE id = '%s'")
      :format(line.id)))
  end)

  it("says approve of nothing that was not issued", function()
    assert.equal(200, enroll("one", "/rare").status)
    local answer = enroll("two", "/rare")
    assert.equal(503, answer.status)
    assert.not_equal("approve", line_of(answer).verdict)
  end)

  it("has the name that was claimed, and why it was not believed", function()
    local answer = enroll("device", nil, "Authorization: " .. support.basic("logged", "wrong"))
    assert.equal(401, answer.status)
    local line = line_of(answer)
    assert.equal("logged", line.claimed)
    assert.same({}, { line.principal, line.device, line.verdict })
    line = line_of(answer, "refusal")
    assert.equal("the secret is wrong", line.detail)
    assert.equal("authority", line.role)
    assert.is_nil(answer.body:find "secret")
  end)

  it("has the target of what belongs to no label", function()
    local line = line_of(ask(http("GET", "/nowhere/cacerts")))
    assert.equal(404, line.status)
    assert.equal("/.well-known/est/nowhere/cacerts", line.target)
    assert.is_nil(line.label)
  end)
end)

describe("the log of a server that strangers annoy", function()
  local STRANGERS <const> = 50
  local server

  it("has a few lines and a count", function()
    server = support.start { config = function(text)
      return (text:gsub("labels = {", "workers = 1,\n  labels = {", 1))
    end }
    finally(function() server:stop() end)
    local client <close> = raw_client.new()
    for _ = 1, STRANGERS do
      local plain <close> = assert(client:connect { port = server.port, plain = true })
      plain:send "GET / HTTP/1.1\r\n\r\n"
      plain:read()
      local bad <close> = assert(client:connect { port = server.port })
      assert.equal(400, assert(bad:request "GET / HTTP/1.1\r\n\r\n").status)
    end
    process.kill(server.pid)
    server:exit_code()
    for _, event in ipairs { "handshake failed", "request" } do
      local told, left_out = #server:logged(event), 0
      for _, line in ipairs(server:logged "lines left out") do
        local count = line.message:match("^" .. event .. ": (%d+) more within 10 seconds$")
        left_out = left_out + tonumber(count or 0)
      end
      -- A slow machine may take more than one of the whiles that are counted.
      assert.is_true(told >= 20 and told < STRANGERS, event .. ": " .. told)
      assert.equal(STRANGERS, told + left_out, event)
    end
  end)

  it("has so many requests of nobody, and of each as much as is of use", function()
    server = support.start { config = function(text)
      return (text:gsub("labels = {", "workers = 1,\n  labels = {", 1))
    end }
    finally(function() server:stop() end)
    local client <close> = raw_client.new()
    local started = os.time()
    local lost = http("GET", "/" .. ("x"):rep(3000)):rep(100)
    for _ = 1, 5 do
      local c <close> = assert(client:connect { port = server.port })
      c:send(lost)
      c:read()
    end
    process.kill(server.pid)
    server:exit_code()
    local told, periods = server:logged "request", (os.time() - started) // 10 + 2
    assert.is_true(#told >= 200 and #told <= 200 * periods)
    for _, line in ipairs(told) do
      assert.is_true(#line.target <= 203)
      assert.is_true(#line.reason <= 203)
    end
  end)
end)
