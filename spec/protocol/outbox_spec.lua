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
    plain = { profile = "device", auth = { "basic" }, policy = "own-name.lua" },
    two = { profile = "device", auth = { "basic" }, policies = { "own-name.lua", "bad.lua",
      { file = "notify.lua", options = { url = URL .. "/a" } },
      { file = "notify.lua", options = { url = URL .. "/b" } } } },
    default = { profile = "device", auth = { "basic" }, policies = { "own-name.lua",
      { file = "notify.lua", options = { url = URL .. "/lest", token = "token" } } } },]]

local BAD <const> = [[return { issued = function(event)
  if event.try < 2 then error "no" end
  event.label = "x"
end }]]

describe("what happened", function()
  local server, service

  setup(function()
    service = raw_server.start { plain = true }
    server = support.make { files = { token = "s3cret\n", ["bad.lua"] = BAD,
      ["notify.lua"] = process.read "policies/notify.lua",
      ["own-name.lua"] = process.read "policies/own-name.lua" } }
    server:edit_config(function(text)
      local labels = CONFIG:gsub("URL", ("%q"):format(service.url))
      return (text:gsub("labels = {.*$", function() return labels .. "},\n}\n" end, 1))
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

  local function waits_for_none(label)
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
    assert.equal(body.request_id, server:sql "SELECT id FROM requests WHERE serial <> ''")
    lest("cert", "revoke", cert.serial, "--reason", "superseded")
    told = assert(service:request())
    body = json.decode(told.body)
    assert.same({ "revoked-" .. cert.serial, "revoked", "superseded" },
      { body.id, body.event, body.reason })
    assert.is_truthy(body.by)
    waits_for_none "default"
  end)
end)
