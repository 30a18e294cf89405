-- What the ledger keeps of a decision: which rule decided, what each said, what the policy was
-- answered from outside, and what the verdict stated.
local json = require "lest.json"
local process = require "support.process"
local raw_server = require "support.raw_server"
local support = require "support.server"
local trace = require "lest.base.trace"

local POLICY <const> = [[
local lest, policy = require "lest", require "lest.policy"

local function inventory(request)
  local res, err = lest.http.get("INVENTORY/devices/" .. request.principal.name .. "?key=s3cret", {
    trust = "CA", headers = { Authorization = "Bearer t0ken" }, max_body = 20000000 })
  if not res then return policy.unavailable { "away", detail = err } end
  if res.status ~= 200 then return nil end
  return policy.approve { subject = { { "CN", request.principal.name } } }
end

return { enroll = policy.first {
  policy.when(policy.principal { name = "stated-*" }, policy.approve { lifetime = "1d",
    subject = { { "CN", "other" }, { "O", "Acme" } }, san = { "DNS:a.example.com" } }),
  policy.when(policy.principal { name = "later-*" }, policy.pending { "wait", retry_after = "7s" }),
  policy.when(policy.principal { name = "broken-*" }, function() error "on purpose" end),
  policy.when(policy.principal { name = "many-*" }, function(request)
    local many = policy.first { function() return false end, policy.when(policy.any {
      function() return false, "\27[2J" .. request.principal.name end }, policy.reject()),
      policy.pending() }
    for _ = 1, 2000 do many(request) end
    return policy.approve { subject = { { "CN", request.principal.name } } }
  end),
  policy.named("\u{b7}the inventory", inventory),
} }
]]

describe("the ledger's row of a decision", function()
  local server, inventory

  setup(function()
    server = support.make { config = function(text)
      text = text:gsub('names = "principal"', 'names = "policy"')
      text = text:gsub("labels = {", [[
labels = {
    quiet = { policy = "policy.lua", profile = "device", auth = "basic", record = false },]], 1)
      return text
    end }
    inventory = raw_server.start {
      cert = server.dir .. "/server.pem", key = server.dir .. "/server.key",
    }
    local policy = POLICY:gsub("INVENTORY", inventory.url):gsub("CA\"", server.dir .. '/ca.pem"')
    process.write(server.dir .. "/policy.lua", policy)
    server:run()
  end)
  teardown(function()
    if inventory then inventory:stop() end
    if server then server:stop() end
  end)

  --- Enroll, and read the newest row.
  local function row_after(name, label)
    local secret = server:credential(name)
    local status, body = server:post((label or "") .. "/simpleenroll", server:csr(name), "--user",
      name .. ":" .. secret)
    local rows = json.decode(process.must { "sqlite3", "-readonly", "-json", server:ledger(),
      ".timeout 10000",
      "SELECT rule, asked_at, stated, trace, outside, verdict, time_us FROM requests "
        .. "ORDER BY seq DESC LIMIT 1" })
    return rows[1], status, body
  end

  local function summary(row)
    local words = {}
    for i, step in ipairs(assert(trace.read_steps(row.trace))) do
      words[i] = ("%d %s"):format(step.depth, step.outcome)
    end
    return table.concat(words, ", ")
  end

  it("says which rule decided, and what each said", function()
    inventory:answer(raw_server.http(200, {}, '{ "host": "pump-7" }'))
    local row, status, body = row_after "pump"
    assert.equal(200, status, body)
    assert.equal("\u{b7}the inventory", row.rule)
    assert.equal("0 approve, 1 -, 2 no, 1 -, 2 no, 1 -, 2 no, 1 -, 2 no, 1 approve", summary(row))
    local steps = trace.read_steps(row.trace)
    assert.matches("^first at policy.lua:%d+$", steps[1].name)
    assert.matches("^principal at policy.lua:%d+$", steps[3].name)
    assert.is_true(math.abs(row.asked_at - row.time_us // 1000000) <= 2)
    assert.same({ subject = { { "CN", "pump" } } }, json.decode(row.stated))
    local lines = server:logged "request"
    assert.equal("\u{b7}the inventory", lines[#lines].rule)
  end)

  it("has what was answered from outside, and no secret of the question", function()
    inventory:answer(raw_server.http(200, { ["Set-Cookie"] = "id=c00kie", ["X-Tag"] = "a" },
      '{ "host": "pump-8" }'))
    local row = row_after "pump8"
    local calls = assert(trace.read_calls(row.outside))
    assert.equal(1, #calls)
    local call = calls[1]
    assert.equal("http", call.kind)
    assert.matches("^GET " .. inventory.url:gsub("%p", "%%%0") .. "/devices/pump8%?%.%.%. %(%x+%)$",
      call.question)
    assert.same({ 200, '{ "host": "pump-8" }', 64 },
      { call.status, call.answer.body, #call.sha256 })
    assert.is_true(call.us > 0)
    for _, secret in ipairs { "s3cret", "t0ken", "c00kie" } do
      assert.is_nil(row.outside:find(secret, 1, true))
    end
  end)

  it("has of a large answer, and where the label says so, the hash alone", function()
    inventory:answer(raw_server.http(200, {}, ("x"):rep(10 * 1024 * 1024)))
    local row, status = row_after "large"
    assert.equal(200, status)
    local call = trace.read_calls(row.outside)[1]
    assert.same({ 200, 64 }, { call.status, #call.answer.body_sha256 })
    assert.is_nil(call.answer.body)
    inventory:answer(raw_server.http(404, {}, "private"))
    row, status = row_after("quiet", "/quiet")
    assert.equal(403, status)
    call = trace.read_calls(row.outside)[1]
    assert.same({ 404, 64 }, { call.status, #call.sha256 })
    assert.is_nil(call.answer)
    assert.is_nil(row.outside:find("private", 1, true))
    assert.matches("^first at policy.lua:%d+$", row.rule)
  end)

  it("keeps what was stated where the profile refused it, and what was asked for where it waits",
    function()
      local row, status = row_after "stated-1"
      assert.equal(500, status)
      assert.equal("error", row.verdict)
      assert.matches("^when at policy.lua:%d+$", row.rule)
      assert.same({ subject = { { "CN", "other" }, { "O", "Acme" } }, lifetime = 86400,
        san = { "DNS:a.example.com" } }, json.decode(row.stated))
      assert.equal("0 approve, 1 approve, 2 yes", summary(row))
      row, status = row_after "later-1"
      assert.equal(202, status)
      assert.same({ retry_after = 7 }, json.decode(row.stated))
      assert.equal("0 pending, 1 -, 2 no, 1 pending, 2 yes", summary(row))
    end)

  it("is bounded, whatever a policy does", function()
    local row, status = row_after "many-1"
    assert.equal(200, status)
    local steps, more = trace.read_steps(row.trace)
    assert.same({ 200, 9810 }, { #steps, more })
    assert.is_true(#row.trace <= 32768)
    assert.is_nil(row.trace:find "\27")
    local out = process.must { server.lest, "explain", "many-1", "--config",
      server.dir .. "/server.lua" }
    assert.matches("no +%? policy%.lua:%d+: \\x1b%[2Jmany%-1\n", out)
    assert.matches("\n  %.%.%. 9810 more\n", out)
  end)

  it("says where a policy failed", function()
    local row, status = row_after "broken-1"
    assert.equal(500, status)
    assert.equal("0 error, 1 -, 2 no, 1 -, 2 no, 1 error, 2 yes, 2 error", summary(row))
    assert.matches("^first at policy.lua:%d+$", row.rule)
    assert.is_nil(row.stated)
  end)

  it("is explained by the id that the device was told, also on a copy", function()
    inventory:answer(raw_server.http(404, {}, "unknown"))
    local secret = server:credential "refused"
    local status, _, headers = server:post("/simpleenroll", server:csr "refused", "--user",
      "refused:" .. secret)
    assert.equal(403, status)
    local copy = server.folder .. "/copy.db"
    process.must { "sqlite3", "-readonly", server:ledger(), ".timeout 10000", ".backup " .. copy }
    for _, words in ipairs { { "--config", server.dir .. "/server.lua" }, { "--ledger", copy } } do
      local out = process.must { server.lest, "explain", headers["x-request-id"], words[1],
        words[2] }
      assert.matches("\nasked             simpleenroll, label default, from 127%.0%.0%.1, TLS",
        out)
      assert.matches("\nfor               CN=refused\nkey               ec:P%-256\n", out)
      assert.matches("\nproven            basic refused, credential %w+\n", out)
      assert.matches("  http 404     GET https://", out)
      assert.matches("\nverdict           reject by first at policy%.lua:%d+\n", out)
      assert.matches("\nclient was told   no rule allows this request\n", out)
    end
    assert.equal(401, (server:post("/simpleenroll", server:csr "refused", "--user",
      "refused:wrong")))
    local out = process.wait_for(function()
      local text = process.must { server.lest, "explain", "refused", "--config",
        server.dir .. "/server.lua" }
      return text:find("refused early", 1, true) and text
    end, "the refusal's row")
    assert.matches("\npolicy            was not asked\nended             401 refused early\n", out)
    assert.matches("reject +refused +%S+ +first at policy%.lua:%d+ +no rule", out)
  end)
end)
