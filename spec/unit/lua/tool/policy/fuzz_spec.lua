-- `lest policy fuzz` finds a request that breaks what a spec states, and prints it as a test that
-- fails until the policy is mended.
local shell = require "support.shell"
local temporary = require "support.temporary"

local SPEC <const> = [[
local testing = require "lest.testing"
describe("p", function()
  local policy = testing.policy "p.lua"
  it("names", function()
    testing.never { policy, names_outside = { "CN=device*" } }
  end)
%s
end)
]]
local BROKEN <const> = [[
local policy = require "lest.policy"
return policy.first {
  policy.when(policy.principal { kind = "certificate", anchors = "factory" }, function(request)
    return policy.approve { subject = request.csr.subject }
  end),
}
]]

describe("lest policy fuzz", function()
  local folder

  before_each(function() folder = temporary.folder() end)
  after_each(temporary.clean)

  -- Until it has found something, which takes a slow machine long.
  local function fuzz(file, ...)
    return shell.lest("policy", "fuzz", folder .. "/" .. file, "--seconds", "200", ...)
  end

  it("prints what it finds as a test, which fails until the policy is mended", function()
    temporary.file(folder, "p.lua", BROKEN)
    temporary.file(folder, "p_spec.lua", SPEC:format "")
    local result = fuzz("p_spec.lua", "--seed", "7")
    assert.equal(1, result.code, result.out .. result.err)
    assert.matches("^found by seed 7, after %d+ requests:\n", result.out)
    assert.matches("when at p.lua:3: approve", result.out)
    assert.is_nil(result.out:find("never asked", 1, true), result.out)
    local test = result.out:match "\n(it%(.-\nend%))\n"
    temporary.file(folder, "p_spec.lua", (SPEC:format(test):gsub("testing.never", "local _ =")))
    assert.equal(1, shell.lest("policy", "test", folder).code)
    temporary.file(folder, "p.lua", (BROKEN:gsub("request.csr.subject", '{ { "CN", "device1" } }')))
    local mended = shell.lest("policy", "test", folder)
    assert.equal(0, mended.code, mended.out .. test)
  end)

  it("prints what the spec answered too, without which its test would hold", function()
    temporary.file(folder, "list.csv", "name,site\ndev1,ulm\n")
    temporary.file(folder, "p.lua", [[local policy = require "lest.policy"
      local devices = policy.csv("list.csv", { key = "name" })
      return { enroll = policy.when(policy.listed(devices, "dev1"),
        function(request) return policy.approve { subject = request.csr.subject } end) }]])
    local spec = SPEC:gsub('"p.lua"',
      '("p.lua", { csv = { ["list.csv: dev1"] = { name = "dev1" } } })')
    temporary.file(folder, "p_spec.lua", spec:format "")
    local result = fuzz("p_spec.lua", "--seed", "7")
    assert.equal(1, result.code, result.out .. result.err)
    local test = result.out:match "\n(it%(.-\nend%))\n"
    for _, each in ipairs { test, (test:gsub("list.csv: dev1", "list.csv: dev2")) } do
      temporary.file(folder, "p_spec.lua", (SPEC:format(each):gsub("testing.never", "local _ =")))
      local told = shell.lest("policy", "test", folder)
      assert.equal(1, told.code, told.out .. each)
      assert.equal(each ~= test, told.out:find("has no answer", 1, true) ~= nil, told.out)
    end
  end)

  it("finds a request for which a policy fails, and nothing in one that is right", function()
    temporary.file(folder, "p.lua", "return function(request)\n"
      .. "  return { request.principal.certificate.serial } end")
    local result = fuzz("p.lua", "--seed", "1")
    assert.equal(1, result.code)
    assert.matches("the policy never fails, but not for this request: ", result.out)
    result = shell.lest("policy", "fuzz", "policies/own-name.lua", "--seconds", "1")
    assert.equal(0, result.code, result.out .. result.err)
    assert.matches("rules and tests asked\n", result.out)
    assert.matches("\nnothing was found\n$", result.out)
  end)

  it("takes no consent for a failure, and names an option that is missing", function()
    temporary.file(folder, "p.lua", [[local policy = require "lest.policy"
      return policy.first { policy.consent() }]])
    local result = shell.lest("policy", "fuzz", folder .. "/p.lua", "--seconds", "1")
    assert.equal(0, result.code, result.out)
    temporary.file(folder, "p.lua", [[local policy = require "lest.policy"
      local options = policy.options { url = { type = "string" } }
      return policy.first { policy.reject(options.url) }]])
    result = shell.lest("policy", "fuzz", folder .. "/p.lua", "--seconds", "1")
    assert.equal(1, result.code)
    assert.matches("lest policy fuzz: options.url: is missing", result.err)
  end)

  it("says how requests were decided, and of a property that it was never tried", function()
    temporary.file(folder, "p.lua", [[local policy = require "lest.policy"
      return policy.first { policy.when(policy.principal { name = "a" .. 7 * 11 * 13 },
        policy.own_name()), policy.reject "no" }]])
    temporary.file(folder, "p_spec.lua", SPEC:format [[
      it("vacuous", function()
        testing.never { policy, lifetime_over = "1d", vacuous = true }
      end)]])
    local result = shell.lest("policy", "fuzz", folder .. "/p_spec.lua", "--seconds", "1")
    assert.equal(2, result.code, result.out .. result.err)
    assert.matches("\n  it never comes to approve with a name outside CN=device%*: approve 0, "
      .. "reject %d+; NEVER TRIED: no request was approved\n", result.out)
    assert.matches("\n  it never comes to approve for more than 1d: approve 0, reject %d+; "
      .. "no request was approved\n", result.out)
    assert.matches("\n  never asked as a rule or test: own_name at p.lua:3\n", result.out)
    assert.matches("\nnothing was found, but 1 property was never tried\n$", result.out)
    temporary.file(folder, "p_spec.lua", SPEC:format [[
      it("knows", function()
        assert.approves(policy, testing.request { principal = testing.basic "a1001" })
      end)]])
    result = fuzz("p_spec.lua", "--seed", "1")
    assert.equal(1, result.code, result.out .. result.err)
    assert.matches("it has the name CN=a1001", result.out)
  end)

  it("wants a spec that states something, and a file that is there", function()
    temporary.file(folder, "p.lua", BROKEN)
    temporary.file(folder, "p_spec.lua", 'describe("x", function() end)')
    assert.equal(2, fuzz("p_spec.lua").code)
    assert.equal(2, fuzz("nothing.lua").code)
    assert.equal(2, fuzz("p.lua", "--seed", "x").code)
    temporary.file(folder, "p.lua", "return {")
    assert.equal(1, fuzz("p.lua").code)
  end)
end)
