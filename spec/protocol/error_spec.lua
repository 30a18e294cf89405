-- Refusals: status, Retry-After, a text that helps, and nothing that should not leave (RFC 7030
-- 4.2.3, RFC 8951 5; peers' rows S20, S21).
local core = require "lest.core"
local process = require "support.process"
local raw_client = require "support.raw_client"
local support = require "support.server"

local http <const> = raw_client.http
local CSR_TYPE <const> = "Content-Type: application/pkcs10"

-- The name that is asked for says what the policy does.
local POLICY <const> = [[
local lest, policy = require "lest", require "lest.policy"
local SECRET_PATH = "/etc/secret/path"
local hooks = {
  approve = function(request) return policy.approve { subject = request.csr.subject } end,
  reject = function()
    return policy.reject { "the device is not in the inventory", detail = SECRET_PATH }
  end,
  ["reject-silently"] = function() return policy.reject() end,
  ["reject-odd"] = function()
    return policy.reject "two\r\nX-Evil: 1\r\n\r\n<b>\27[31mline \u{fc}"
  end,
  pending = function(request)
    if request.approvals[1] then return policy.approve { subject = request.csr.subject } end
    return policy.pending { "ask otto\r\nX-Evil: 1", retry_after = "90s" }
  end,
  ["pending-plain"] = function() return policy.pending() end,
  unavailable = function()
    return policy.unavailable { "the inventory is away", detail = SECRET_PATH, retry_after = "2m" }
  end,
  ["unavailable-plain"] = function() return policy.unavailable() end,
  raise = function() error(SECRET_PATH) end,
  ["raise-table"] = function() error { status = 200, reason = SECRET_PATH } end,
  ["foreign-name"] = function() return policy.approve { subject = "CN=x,O=" .. SECRET_PATH } end,
  slow = function() lest.sleep(3) return policy.reject "slow" end,
}
return {
  enroll = function(request) return hooks[request.csr.subject.CN](request) end,
  csrattrs = function() error(SECRET_PATH) end,
}
]]

local function configuration(text)
  text = text:gsub('names = "principal"', 'names = "policy"')
  text = text:gsub("profiles = {", [[
  workers = 1,
  limits = { body = "1s", answer = "2s", requests = 4 },
  profiles = {
    rare = { lifetime = "1d", keys = { "ec:P-256" }, names = "policy", per_minute = 2 },]], 1)
  return (text:gsub("labels = {", [[labels = {
    rare = { policy = "policy.lua", profile = "rare", auth = { "basic" } },
    loud = { policy = "policy.lua", profile = "device", auth = { "basic" }, error_bodies = true,
      retry_after = "33s" },]], 1))
end

describe("refusals", function()
  local server, client, basic

  setup(function()
    server = support.start { policy = POLICY, config = configuration }
    client = raw_client.new()
    basic = "Authorization: " .. support.basic("error", server:credential("error",
      { "--reusable" }))
  end)
  teardown(function()
    client:close()
    server:stop()
  end)

  local function ask(bytes, options)
    local c <close> = assert(client:connect { port = server.port })
    return assert(c:request(bytes, options))
  end

  local function request(name, label, options)
    return http("POST", (label or "") .. "/simpleenroll", { basic, CSR_TYPE },
      (support.request(name, options)))
  end

  local function enroll(...)
    return ask(request(...))
  end

  --- 7030-4.2.3-f 8951-5.1-a: a text, without anything of what is inside.
  local function says(answer, status, text)
    assert.equal(status, answer.status, answer.body)
    assert.equal("text/plain; charset=utf-8", answer.headers["content-type"])
    assert.equal(tostring(#answer.body), answer.headers["content-length"])
    assert.matches(text, answer.body)
    assert.matches("^%C+\n$", answer.body)
    for _, word in ipairs { "secret", ".lua", "traceback", server.dir, "/tmp", "SQL" } do
      assert.is_nil(answer.body:find(word, 1, true), answer.body)
    end
    assert.is_nil(answer.headers["x-evil"])
    assert.is_not_nil(answer.headers["x-request-id"])
  end

  it("7030-4.2.3-d 7030-4.2.3-f 8951-5.1-a says 403 with the policy's reason, and keeps its detail",
    function()
    says(enroll "reject", 403, "^the device is not in the inventory\n$")
    says(enroll "reject-silently", 403, "%w+")
    assert.equal("/etc/secret/path", server:sql
      "SELECT detail FROM requests WHERE verdict = 'reject' AND detail IS NOT NULL LIMIT 1")
  end)

  it("7030-4.2.3-f writes reasons so that they stay one line of text", function()
    says(enroll "reject-odd", 403, "two.*X%-Evil: 1.*<b>.*line \u{fc}")
  end)

  it("7030-4.2.3-s S21 says nothing about what failed inside", function()
    for _, name in ipairs { "raise", "raise-table", "foreign-name", "no such hook" } do
      local answer = enroll(name)
      says(answer, 500, "^the request [%w_-]+ failed\n$")
      assert.truthy(answer.body:find(answer.headers["x-request-id"], 1, true))
      assert.is_nil(answer.headers["retry-after"])
    end
    says(ask(http("GET", "/csrattrs")), 500, "^the request [%w_-]+ failed\n$")
    -- The operator finds it by the id.
    local log = server:logged "policy failed"
    assert.is_true(#log >= 4)
    assert.matches("/etc/secret/path", log[1].message)
  end)

  it("7030-4.2.3-h 7030-4.2.3-i 202 has Retry-After, and no body unless the label wants it",
    function()
    local answer = enroll "pending"
    assert.equal(202, answer.status)
    assert.equal("90", answer.headers["retry-after"])
    assert.equal("0", answer.headers["content-length"])
    assert.equal("ask otto??X-Evil: 1", answer.headers["x-reason"])
    assert.is_nil(answer.headers["x-evil"])
    assert.equal("60", enroll("pending-plain").headers["retry-after"])
    answer = enroll("pending", "/loud")
    says(answer, 202, "^ask otto")
    assert.equal("90", answer.headers["retry-after"])
    assert.equal("33", enroll("pending-plain", "/loud").headers["retry-after"])
  end)

  it("7030-4.2.3-d 503 has Retry-After when the policy cannot decide", function()
    local answer = enroll "unavailable"
    says(answer, 503, "^the inventory is away\n$")
    assert.equal("120", answer.headers["retry-after"])
    answer = enroll "unavailable-plain"
    says(answer, 503, "%w+")
    assert.equal("60", answer.headers["retry-after"])
    assert.equal("33", enroll("unavailable-plain", "/loud").headers["retry-after"])
  end)

  it("7030-4.2.3-d 503 has Retry-After when a profile has issued enough for this minute", function()
    assert.equal(200, enroll("approve", "/rare").status)
    assert.equal(200, enroll("approve", "/rare").status)
    local answer = enroll("approve", "/rare")
    says(answer, 503, "too many certificates")
    local wait = tonumber(answer.headers["retry-after"])
    assert.is_true(wait >= 1 and wait <= 60)
    assert.equal(200, enroll("approve").status)
    assert.equal("2", server:sql "SELECT count(*) FROM certificates WHERE profile = 'rare'")
    assert.equal("unavailable|too many certificates are being issued|rare|1", server:sql([[
      SELECT verdict, reason, profile, policy_hash IS NOT NULL FROM requests
      WHERE label = 'rare' AND verdict <> 'approve']]))
  end)

  it("503 has Retry-After when there are too many requests, and when an answer takes too long",
    function()
    local busy = {}
    for i = 1, 4 do
      busy[i] = assert(client:connect { port = server.port })
      busy[i]:send(request "slow")
    end
    local answer = ask(request "approve")
    assert.equal(503, answer.status)
    assert.equal("10", answer.headers["retry-after"])
    assert.matches("^text/plain", answer.headers["content-type"])
    for _, c in ipairs(busy) do
      answer = assert(c:response { timeout = 6000 })
      assert.equal(503, answer.status)
      assert.equal("10", answer.headers["retry-after"])
      c:close()
    end
    assert.equal(200, enroll("approve").status)
  end)

  it("503 has Retry-After while the authority does not answer", function()
    local pid = server:pids("authority")[1]
    process.kill(pid, "STOP")
    local answer = enroll "approve"
    process.kill(pid, "CONT")
    assert.equal(503, answer.status)
    assert.is_not_nil(answer.headers["retry-after"])
    process.wait_for(function() return enroll("approve").status == 200 end, "the authority")
  end)

  it("408 for a body that does not come, with a text", function()
    local c <close> = assert(client:connect { port = server.port })
    c:send(http("POST", "/simpleenroll", { basic, CSR_TYPE, "Content-Length: 100" }) .. "MII")
    local answer = assert(c:response { timeout = 4000 })
    assert.equal(408, answer.status)
    assert.equal("the body did not arrive in time.\n", answer.body)
  end)

  it("7030-4.2.3-d 7030-4.2.3-f names what is wrong with a request", function()
    for text, body in pairs {
      ["base64"] = "!", ["empty"] = "", ["cut off"] = "MIIB",
      ["ec:P%-521"] = support.request("approve", { key = assert(core.key.generate "ec:P-521") }),
    } do
      says(ask(http("POST", "/simpleenroll", { basic, CSR_TYPE }, body)), 400, text)
    end
    says(ask(http("POST", "/simpleenroll", { basic }, "MAA=")), 415, "Content%-Type")
    says(ask(http("POST", "/cacerts", {}, "x")), 405, "method")
    says(ask(http("GET", "/nosuch")), 404, "%w+")
  end)

  it("7030-4.2.3-m S20 knows a waiting request again after a restart, approved meanwhile or not",
    function()
      local key = assert(core.key.generate "ec:P-256")
      local function restart(meanwhile)
        process.kill(server.pid)
        process.wait_for(function() return not process.alive(server.pid) end, "the server's end",
          15)
        if meanwhile then meanwhile() end
        server:run()
      end
      assert.equal(202, enroll("pending", nil, { key = key }).status)
      local id = server:sql "SELECT id FROM pending ORDER BY seq DESC LIMIT 1"
      local before = server:sql "SELECT count(*) FROM pending"
      restart()
      assert.equal(202, enroll("pending", nil, { key = key }).status)
      assert.equal(before, server:sql "SELECT count(*) FROM pending")
      restart(function()
        process.must { support.lest, "pending", "approve", id, "--as", "otto", "--config",
          server.dir .. "/server.lua" }
      end)
      local answer = enroll("pending", nil, { key = key })
      assert.equal(200, answer.status, answer.body)
      assert.equal(key:public_der(), support.issued(answer.body).public_key.der)
      assert.equal(202, enroll("pending").status)
    end)
end)
