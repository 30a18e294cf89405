-- Options and stacks of policies in a real server: two labels run one file with other options, a
-- mistake is one of --check, and policies of one label bound each other.
local core = require "lest.core"
local process = require "support.process"
local support = require "support.server"

local NAMES <const> = [[
local policy = require "lest.policy"
local options = policy.options { prefix = { type = "string", default = "device-" } }
return { enroll = policy.names { CN = options.prefix .. "${principal.name}" } }
]]

local GATE <const> = [[
local policy = require "lest.policy"
local options = policy.options {
  refused = { type = "strings", default = {} },
  lifetime = { type = "duration", default = "1h" },
}
return { enroll = function(request)
  for _, name in ipairs(options.refused) do
    if name == request.principal.name then return policy.reject "not you" end
  end
  return policy.consent { lifetime = options.lifetime }
end }
]]

local LABELS <const> = [[labels = {
    pumps = { policy = { file = "names.lua", options = { prefix = "pump-" } }, profile = "device",
      auth = { "basic" } },
    both = { policies = { { file = "gate.lua", options = { refused = { "ann" } } }, "names.lua" },
      profile = "device", auth = { "basic" } },
    none = { policies = { "gate.lua" }, profile = "device", auth = { "basic" } },]]

describe("options and stacks", function()
  local server

  setup(function()
    server = support.start { policy = NAMES, files = { ["names.lua"] = NAMES, ["gate.lua"] = GATE },
      config = function(text)
        return (text:gsub("labels = {", LABELS, 1):gsub('names = "principal"', 'names = "policy"'))
      end }
  end)
  teardown(function() if server then server:stop() end end)

  local function enroll(label, name)
    return server:post(label .. "/simpleenroll", server:csr(name), "--user",
      name .. ":" .. server:credential(name))
  end

  local function issued(label, name)
    local status, body = enroll(label, name)
    assert.equal(200, status, body)
    return assert(core.cert.load(server:save(body, name)))
  end

  it("differ by label", function()
    assert.equal("CN=device-d1", tostring(issued("", "d1").subject))
    assert.equal("CN=pump-d2", tostring(issued("/pumps", "d2").subject))
  end)

  it("make one decision, which the ledger knows by all files", function()
    local cert = issued("/both", "d3")
    assert.equal("CN=device-d3", tostring(cert.subject))
    assert.is_true(cert.not_after - cert.not_before <= 3600 + 60)
    assert.equal(server.dir .. "/gate.lua, " .. server.dir .. "/names.lua",
      server:sql "SELECT policy_file FROM requests ORDER BY seq DESC LIMIT 1")
    local status, body = enroll("/both", "ann")
    assert.same({ 403, "not you\n" }, { status, body })
    assert.equal(500, (enroll("/none", "d4")))
  end)

  it("are checked before a start, with the label, the option and the line", function()
    for edit, expected in pairs {
      ['s/prefix = "pump-"/prefx = "pump-"/'] = "wrong.lua:%d+: labels.pumps.policy.options.prefx:"
        .. " unknown, did you mean 'prefix'%? %([^\n]*names.lua:2%)",
      ['s/{ "ann" }/{ "ann", 5 }/'] = "labels.both.policies%[1%].options.refused%[2%]: must be a "
        .. "string, not a number",
      ['s/{ prefix = "pump-" }/{ prefix = 1.5 }/'] = "labels.pumps.policy.options.prefix: must be "
        .. "a text, a whole number",
      ['s/options = { prefix/optoins = { prefix/'] = "labels.pumps.policy.optoins: unknown, did "
        .. "you mean 'options'%?",
      ['s/policies = { "gate.lua" }/policies = {}/'] = "labels.none.policies: too few entries",
      ['s/policies = { "gate.lua" }/policies = { "g.lua" }/'] = "labels.none.policies%[1%]: ",
      ['s/policies = { "gate.lua" }/policies = { "gate.lua" }, policy = "x.lua"/'] =
        "labels.none.policies: stands beside 'policy'",
      ['s/policies = { "gate.lua" },//'] = "labels.none.policy: is missing",
    } do
      process.must { "sh", "-c", ("cd '%s' && sed '%s' server.lua > wrong.lua"):format(server.dir,
        edit) }
      local code, _, err = process.run { server.lest, "serve", "--check",
        server.dir .. "/wrong.lua" }
      assert.equal(2, code)
      assert.matches(expected, err)
    end
  end)
end)
