-- Decisions about keys that the server makes (RFC 7030 4.4), and refusals of CSRs that lack what
-- /csrattrs asks for, are decided again, explained and stepped through as any other.
local core = require "lest.core"
local json = require "lest.json"
local process = require "support.process"
local support = require "support.server"

local POLICY <const> = [[
local policy = require "lest.policy"
local function ours(request)
  local name = request.csr.subject.CN
  if name ~= request.principal.name then return policy.reject "another's name" end
  local kind = name:find "^big" and "rsa:2048" or "ec:P-256"
  return policy.approve { subject = request.csr.subject, key = kind, detail = "made here" }
end
return {
  enroll = function(request) return policy.approve { subject = request.csr.subject } end,
  serverkeygen = ours,
  csrattrs = function(request)
    if request.label ~= "strict" then return nil end
    return { { template = { subject = { { "CN", request.principal and request.principal.name },
      { "O", "Acme" } } } } }
  end,
}
]]

describe("a decision about a key that the server makes", function()
  local server

  setup(function()
    server = support.start { policy = POLICY, config = function(text)
      text = text:gsub('names = "principal"',
        'names = "policy", subject = { "CN", "O" }, server_keys = { "ec:P-256", "rsa:2048" }', 1)
      return (text:gsub("labels = {", [[labels = {
        strict = { policy = "policy.lua", profile = "device", auth = { "basic" },
          csrattrs_enforced = true },]], 1))
    end }
  end)
  teardown(function() server:stop() end)

  local function command(...)
    local words = { server.lest, ... }
    table.move({ "--config", server.dir .. "/server.lua" }, 1, 2, #words + 1, words)
    return process.run(words)
  end

  --- The id of the newest decision, once a request has been answered.
  local function ask(operation, name, subject, label)
    local csr = assert(core.csr.build { key = assert(core.key.generate "ec:P-256"),
      subject = subject or "CN=" .. name })
    local status, body = server:post((label or "") .. "/" .. operation, server:file(name,
      core.est.body_encode(csr:der())), "--user", name .. ":"
      .. server:credential(name, { "--reusable" }))
    return server:sql "SELECT id FROM requests ORDER BY seq DESC LIMIT 1", status, body
  end

  local function replayed(...)
    local code, out, err = command("policy", "replay", "--json", ...)
    assert.equal("", err)
    return code, assert(json.decode(out))
  end

  it("is recorded with the kind that was chosen, and explained", function()
    local id, status, body = ask("serverkeygen", "big001")
    assert.equal(200, status, body)
    assert.equal("rsa:2048", json.decode(server:sql("SELECT stated FROM requests WHERE id = '" .. id
      .. "'")).key)
    local code, out, err = command("explain", id)
    assert.equal(0, code, err)
    assert.matches("serverkeygen", out)
    assert.matches("rsa:2048", out)
    assert.is_nil(out:find("PRIVATE", 1, true))
    code, out = command("request", "show", id, "--json")
    assert.equal(0, code)
    assert.equal("serverkeygen", json.decode(out).operation)
  end)

  it("is decided again: as before, and with another kind or names by another policy", function()
    assert.equal(200, select(2, ask("serverkeygen", "device001")))
    assert.equal(403, select(2, ask("serverkeygen", "device002", "CN=device009")))
    local code, result = replayed()
    assert.same({ 0, 3, 0, 0 }, { code, result.same, result.different, result.not_decided })
    local other = server:file("other.lua", (process.read(server.dir .. "/policy.lua")
      :gsub('"rsa:2048" or "ec:P%-256"', '"ec:P-256" or "rsa:2048"')))
    code, result = replayed(other)
    assert.equal(1, code)
    assert.equal("other kind of key", result.differences[1].change)
    assert.equal(2, result.differences[1].count)
    -- Of parts that are replayed beside each other, whichever ends first is told first.
    local changed = {}
    for _, each in ipairs(result.differences[1].examples) do
      changed[each.before.key] = each.after.key
    end
    assert.same({ ["ec:P-256"] = "rsa:2048", ["rsa:2048"] = "ec:P-256" }, changed)
    local _, out = command("policy", "replay", other)
    assert.matches("other kind of key.*device001  ec:P%-256 %-> rsa:2048", out)
    other = server:file("none.lua", (process.read(server.dir .. "/policy.lua")
      :gsub("serverkeygen = ours,", "")))
    code, result = replayed(other)
    assert.equal(1, code)
    assert.matches("not offered here", json.encode(result))
  end)

  it("is stepped through in the REPL", function()
    local id = ask("serverkeygen", "device003")
    local code, out, err = command("repl", "--request", id, "-e",
      "request.operation", "-e", "decide()", "-e", "verdict.outcome.key")
    assert.equal(0, code, err)
    assert.matches('"serverkeygen"', out)
    assert.matches("a key of type ec:P%-256\n.*as recorded.*\"ec:P%-256\"", out)
    code, out, err = command("policy", "pin", id)
    assert.equal(0, code, err)
    assert.matches('key = "ec:P-256"', out, 1, true)
    process.write(server.dir .. "/policy_spec.lua", out)
    code, out, err = process.run { server.lest, "policy", "test", server.dir .. "/policy_spec.lua" }
    assert.equal(0, code, out .. err)
  end)

  it("that csrattrs_enforced refused is told as one that no policy was asked about", function()
    local id, status, body = ask("simpleenroll", "device004", "CN=device004", "/strict")
    assert.equal(400, status)
    assert.matches("lacks what /csrattrs asks for", body)
    local code, out, err = command("explain", id)
    assert.equal(0, code, err)
    assert.matches("lacks what /csrattrs asks for", out)
    code, out = command("policy", "replay", "--json")
    assert.equal(0, code, out)
    code, out, err = command("repl", "--request", id, "-e", "request.label")
    assert.equal("", out)
    assert.equal(1, code)
    assert.matches("no policy was asked: the request lacks what /csrattrs asks for", err)
    id, status = ask("simpleenroll", "device005", "CN=device005,O=Acme", "/strict")
    assert.equal(200, status)
    code = command("explain", id)
    assert.equal(0, code)
  end)
end)
