-- Hooks for what happened: a real service hears that a certificate was issued, and that it was
-- revoked, after the answer; again where it did not hear; one label beside another.
local core = require "lest.core"
local json = require "lest.json"
local process = require "support.process"
local raw_server = require "support.raw_server"
local support = require "support.server"

local CONFIG <const> = [[workers = 2,
  labels = {
    dead = { profile = "device", auth = { "basic" }, policies = { "own-name.lua",
      { file = "notify.lua", options = { url = "http://127.0.0.1:1/", timeout = 1 } } } },
    away = { profile = "device", auth = { "basic" }, policies = { "own-name.lua",
      { file = "notify.lua", options = { url = "http://127.0.0.1:1/", timeout = 1 } } } },
    slow = { profile = "device", auth = { "basic" }, policies = { "own-name.lua", "slow.lua" } },
    two = { profile = "device", auth = { "basic" }, policies = { "own-name.lua", "once.lua",
      { file = "notify.lua", options = { url = URL .. "/a" } },
      { file = "notify.lua", options = { url = URL .. "/b" } } } },
    default = { profile = "device", auth = { "basic" }, policies = { "own-name.lua",
      { file = "notify.lua", options = { url = URL .. "/lest", token = "token" } } } },
  },
}
]]

local ONCE <const> = [[return { issued = function(event)
  if event.try < 2 then event.label = "x" end
end }]]
-- Longer than a hook may take.
local SLOW <const> = [[return { issued = function() require "lest".sleep(60) end }]]

describe("what happened", function()
  local server, service

  setup(function()
    service = raw_server.start { plain = true }
    server = support.make { files = { token = "s3cret\n", ["once.lua"] = ONCE, ["slow.lua"] = SLOW,
      ["notify.lua"] = process.read "policies/notify.lua",
      ["own-name.lua"] = process.read "policies/own-name.lua" } }
    server:edit_config(function(text)
      local labels = CONFIG:gsub("URL", ("%q"):format(service.url))
      return (text:gsub("labels = {.*$", function() return labels end, 1))
    end)
    server:run()
  end)
  teardown(function()
    if server then server:stop() end
    if service then service:stop() end
  end)

  local function enroll(label, name)
    local status, body = server:post("/" .. label .. "/simpleenroll", server:csr(name), "--user",
      name .. ":" .. server:credential(name))
    assert.equal(200, status, body)
    return core.cert.load(server:save(body, name))
  end

  local function lest(...)
    local words = { server.lest, ... }
    table.move({ "--config", server.dir .. "/server.lua" }, 1, 2, #words + 1, words)
    return process.must(words)
  end

  local function wait_for_none(label)
    process.wait_for(function()
      return server:sql(("SELECT count(*) FROM outbox WHERE label = '%s'"):format(label)) == "0"
    end, "an empty outbox", 20)
  end

  it("is told to a service: issued, then revoked", function()
    service:answer(raw_server.http(204), 2)
    local cert = enroll("default", "n-1")
    local told = assert(service:request())
    assert.same({ "POST", "/lest", "Bearer s3cret", "issued-" .. cert.serial },
      { told.method, told.target, told.headers.authorization, told.headers["idempotency-key"] })
    local body = json.decode(told.body)
    assert.same({ "issued", 1, "default", "n-1", "basic", "n-1", cert.serial, "CN=n-1" },
      { body.event, body.try, body.label, body.device, body.principal.kind, body.principal.name,
        body.certificate.serial, body.certificate.subject })
    assert.equal(cert, core.cert.parse(body.certificate.pem))
    assert.equal(body.request_id,
      server:sql(("SELECT request_id FROM certificates WHERE serial = '%s'"):format(cert.serial)))
    lest("cert", "revoke", cert.serial, "--reason", "superseded")
    told = assert(service:request())
    body = json.decode(told.body)
    assert.same({ "revoked-" .. cert.serial, "revoked", "superseded" },
      { body.id, body.event, body.reason })
    assert.is_truthy(body.by)
    wait_for_none "default"
  end)

  it("is told again where one did not hear, and once to each other policy", function()
    service:answer(raw_server.http(200), 1)
    service:answer(raw_server.http(500), 1)
    service:answer(raw_server.http(200), 1)
    local cert = enroll("two", "t-1")
    local counts, ids, last = {}, {}, nil
    for _ = 1, 3 do
      last = assert(service:request(20000))
      counts[last.target] = (counts[last.target] or 0) + 1
      ids[last.headers["idempotency-key"]] = true
    end
    assert.same({ ["issued-" .. cert.serial] = true }, ids)
    assert.equal(2, json.decode(last.body).try)
    assert.same({ 3, 2 }, { counts["/a"] + counts["/b"], counts[last.target] })
    wait_for_none "two"
    for _, line in ipairs(server:logged "event not heard") do
      local is_once = line.policy:find("once.lua", 1, true)
      assert.matches(is_once and "once.lua:2: event is read%-only: 'label' cannot be set"
        or "the service answers 500", line.message)
    end
    assert.equal(2, #server:logged "event not heard")
  end)

  it("holds up no answer, and a service that is away no other one's", function()
    for i = 1, 3 do enroll("slow", "s-" .. i) end
    for i = 1, 3 do enroll("dead", "d-" .. i) end
    service:answer(raw_server.http(200), 1)
    local cert = enroll("default", "n-2")
    local told = assert(service:request(20000))
    assert.equal("issued-" .. cert.serial, told.headers["idempotency-key"])
    wait_for_none "default"
    assert.equal("3|3", server:sql("SELECT count(CASE WHEN label = 'slow' THEN 1 END), "
      .. "count(CASE WHEN label = 'dead' THEN 1 END) FROM outbox"))
  end)

  it("is what operators look at, try again and drop, and have noted", function()
    local cert = enroll("away", "d-9")
    local id = "issued-" .. cert.serial
    local function entry()
      for _, row in ipairs(json.decode(lest("outbox", "list", "--label", "away", "--json"))) do
        if row.id == id then return row end
      end
    end
    process.wait_for(function() return entry().problem end, "a try", 20)
    assert.same({ "waiting", server.dir .. "/notify.lua" }, { entry().state, entry().policy })
    assert.matches(("event +issued%%-%s: waiting for notify.lua, tries %%d+: ")
      :format(cert.serial), lest("explain", cert.serial))
    local tries = entry().tries
    assert.matches(id .. ": is due again", lest("outbox", "retry", id), 1, true)
    process.wait_for(function() return entry().tries > tries end, "another try", 20)
    assert.matches(id .. ": is forgotten", lest("outbox", "drop", id), 1, true)
    assert.is_nil(entry())
    local code, _, err = process.run { server.lest, "outbox", "drop", id, "--config",
      server.dir .. "/server.lua" }
    assert.same({ 1, ("lest outbox drop: there is no event '%s' that a hook is still to hear of\n")
      :format(id) }, { code, err })
    assert.equal("0 due again\n", lest("outbox", "retry", "--failed", "--label", "away"))
    assert.equal(2, (process.run { server.lest, "outbox", "drop", id, "--failed", "--config",
      server.dir .. "/server.lua" }))
    local acts = {}
    for _, act in ipairs(json.decode(lest("ledger", "acts", "--json"))) do
      if act.subject == id then table.insert(acts, act.operation .. " " .. act.result) end
    end
    assert.same({ "outbox_drop not_found", "outbox_drop ok", "outbox_retry ok" }, acts)
  end)
end)
