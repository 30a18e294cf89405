-- `lest policy test` runs specs on the deployed file and says what they did not reach; `lest policy
-- new` writes a pair that passes at once.
local process = require "support.process"
local shell = require "support.shell"
local temporary = require "support.temporary"

local POLICY <const> = [[
local policy = require "lest.policy"

local function by_name(request)
  local name = request.principal.name
  if name == "a" then return policy.reject "a" end
  for _, each in ipairs(request.approvals) do
    if each.operator == "x" then
      return policy.reject "x"
    end
  end
  return nil
end

return policy.first {
  by_name,
  policy.when(policy.address "192.0.2.0/24", policy.own_name()),
  policy.when(policy.principal { kind = "basic" }, policy.reject "never"),
}
]]

local SPEC <const> = [[
local testing = require "lest.testing"
local function helper() return "never called" end
describe("p", function()
  local policy = testing.policy "p.lua"
  it("one", function()
    assert.approves(policy, testing.request())
    if testing.NOW == 0 then helper() end
  end)
end)
]]

describe("lest policy test", function()
  local folder

  before_each(function() folder = temporary.folder() end)
  after_each(temporary.clean)

  local function run(...)
    return shell.lest("policy", "test", ...)
  end

  it("runs every spec of a folder", function()
    temporary.file(folder, "p.lua", POLICY)
    temporary.file(folder, "p_spec.lua", SPEC)
    temporary.file(folder, "other.lua", "error 'no spec'")
    local result = run(folder)
    assert.equal(0, result.code, result.err .. result.out)
    assert.matches("  ok      p one\n\n1 passed, 0 failed\n$", result.out)
  end)

  it("fails with a test that does, and shows the rules", function()
    temporary.file(folder, "p.lua", POLICY)
    temporary.file(folder, "p_spec.lua", (SPEC:gsub("approves", "rejects")))
    local result = run(folder .. "/p_spec.lua")
    assert.equal(1, result.code)
    assert.matches("p_spec.lua:6: expected: reject\n", result.out)
    assert.matches("own_name at p.lua:16: approve", result.out)
    assert.matches("\n0 passed, 1 failed\n$", result.out)
  end)

  it("fails with a policy or a spec that cannot be loaded, and with none", function()
    temporary.file(folder, "p_spec.lua", SPEC)
    local result = run(folder)
    assert.equal(1, result.code)
    assert.matches("the policy cannot be read", result.out)
    temporary.file(folder, "p_spec.lua", "x = ")
    assert.equal(1, run(folder).code)
    os.remove(folder .. "/p_spec.lua")
    result = run(folder)
    assert.equal(1, result.code)
    assert.equal(2, run(folder .. "/nothing").code)
  end)

  it("fails where a spec or a policy ends the process, as if all had passed", function()
    temporary.file(folder, "p.lua", "return { enroll = function() os.exit(0) end }")
    for _, text in ipairs { SPEC, "os.exit(0)", (SPEC:gsub("assert.approves", "os.exit(0) %0")),
      (SPEC:gsub("local function", "setup(function() os.exit(true, true) end) %0", 1)) } do
      temporary.file(folder, "p_spec.lua", text)
      local result = run(folder)
      assert.equal(1, result.code, text)
      assert.matches("neither a spec nor a policy ends the process", result.out .. result.err)
    end
    local result = shell.lest("policy", "fuzz", folder .. "/p.lua", "--seconds", "5s")
    assert.equal(1, result.code)
    assert.matches("ends the process", result.out .. result.err)
  end)

  it("says which lines and rules no spec reached, of policies alone", function()
    temporary.file(folder, "p.lua", POLICY)
    temporary.file(folder, "p_spec.lua", SPEC)
    local result = run("--coverage", folder)
    assert.equal(0, result.code, result.err .. result.out)
    local told = result.out:match "\n\n([^\n]*p.lua: .*)$"
    assert.equal(folder .. "/p.lua: 5 of 7 statements, 4 of 6 rules and tests reached\n"
      .. "  7: not reached: if each.operator == \"x\" then\n"
      .. "  8: not reached: return policy.reject \"x\"\n"
      .. "  test never asked: principal at p.lua:17\n  rule never asked: when at p.lua:17\n", told)
  end)

  it("counts an inventory neither as a rule nor as a test", function()
    temporary.file(folder, "devices.csv", "name,site\ndev1,ulm\n")
    temporary.file(folder, "p.lua", [[local policy = require "lest.policy"
      local devices = policy.csv("devices.csv", { key = "name" })
      local own_name = policy.own_name()
      return { enroll = function(request)
        return devices:row(request.principal.name) and own_name(request)
      end }]])
    temporary.file(folder, "p_spec.lua", [[local testing = require "lest.testing"
      it("names who is listed", function()
        assert.approves(testing.policy("p.lua", {
          csv = { ["devices.csv: dev1"] = { name = "dev1", site = "ulm" } } }),
          testing.request { principal = testing.basic "dev1" })
      end)]])
    local result = run("--coverage", folder)
    assert.matches("p.lua: [^\n]*, 1 of 1 rules and tests reached\n$", result.out)
  end)

  it("runs them as the configuration's user, and says it where root runs them", function()
    local CONFIG <const> = [[return {
      tls = { cert = "a", key = "a" }, ca = { cert = "a", key = "a" }, anchors = { own = "a" },
      profiles = { device = { lifetime = "90d", keys = "ec:P-256", names = "policy" } },
      labels = { default = { policy = "p.lua", profile = "device" } } }]]
    local is_root = require "lest.core".process.uid == 0
    temporary.file(folder, "p.lua", POLICY)
    temporary.file(folder, "p_spec.lua", (SPEC:gsub("local policy = ",
      'local status = assert(io.open "/proc/self/status")\n'
      .. '  print("uid " .. status:read "a":match "Uid:%%s*(%%d+)")\n  %0', 1)))
    local config = temporary.file(folder, "server.lua", CONFIG)
    local result = run(folder)
    assert.equal(is_root, result.err:find("specs run as root: --config", 1, true) ~= nil)
    shell.capture("chmod a+rx " .. folder)
    result = run("--config", config, folder)
    assert.equal(0, result.code, result.out .. result.err)
    assert.equal("", result.err)
    assert.equal(is_root, result.out:find("uid 0\n", 1, true) == nil, result.out)
    assert.equal(2, run("--config", folder .. "/none.lua", folder).code)
  end)

  --- As root, `user` of the configuration may not enter a closed folder; nobody else may, either.
  it("passes over what the user may not read, in the folder of lest ca init", function()
    local made = shell.lest("ca", "init", folder .. "/ca")
    assert.equal(0, made.code, made.err)
    local ca = folder .. "/ca"
    temporary.file(ca, "own_spec.lua", SPEC)
    temporary.file(ca, "p.lua", POLICY)
    shell.capture("cd " .. ca .. " && mkdir .git closed open && cp own_spec.lua closed && "
      .. "cp own_spec.lua .git && ln -s .. open/back && cp p.lua open && "
      .. "cp own_spec.lua open/a_spec.lua && chmod a+rx .. . open && "
      .. "chmod a+r own_spec.lua p.lua open/*.lua && chmod 0 closed")
    local config = ca .. "/server.lua"
    for _, words in ipairs { {}, { "--coverage" } } do
      local result = run("--config", config, ca, table.unpack(words))
      assert.equal(0, result.code, result.err .. result.out)
      assert.equal("", result.err)
      assert.matches(ca .. "/open/a_spec.lua\n", result.out, 1, true)
      assert.matches("\n2 passed, 0 failed\n", result.out)
    end
    local result = shell.run(("cd %s && %s"):format(ca, shell.line("policy", "test", "--config",
      "server.lua")))
    assert.matches("\n2 passed, 0 failed\n", result.out)
    result = run("--config", config, ca .. "/closed")
    assert.not_equal(0, result.code)
    assert.matches("/closed: the user %S+, whom specs run as, may not read it\n$", result.err)
    shell.capture("chmod 0 " .. ca .. "/open && rm " .. ca .. "/own_spec.lua")
    result = run("--config", config, ca)
    assert.equal(1, result.code)
    assert.matches("there is no spec", result.err)
    shell.capture("chmod u+rwx " .. ca .. "/open " .. ca .. "/closed") -- to be removed
  end)

  it("says so where busted is not installed, and shows where a failure came from", function()
    local script = temporary.file(folder, "without.lua", [[
      package.preload["busted.compatibility"] = function() error "there is none" end
      os.exit(require "lest.tool.command.policy".main { "test", arg[1] })]])
    local result = shell.lest("run", script, folder)
    assert.equal(1, result.code)
    assert.matches("lest policy test: busted is not installed, which runs specs: "
      .. "apt install lua%-busted\n$", result.err)
    temporary.file(folder, "p.lua", POLICY)
    temporary.file(folder, "p_spec.lua", (SPEC:gsub("approves", "rejects")))
    result = run("--traceback", folder)
    assert.matches("stack traceback:\n", result.out)
    assert.is_nil(result.out:find("\\x09", 1, true))
  end)

  it("ends a policy that never does, also with --coverage", function()
    temporary.file(folder, "server.lua", [[return { tls = { cert = "a", key = "a" },
      ca = { cert = "a", key = "a" }, profiles = { p = { lifetime = "1d", keys = "ec:P-256" } },
      labels = { default = { policy = "p.lua", profile = "p", auth = "basic" } },
      limits = { decision = "1s" } }]])
    temporary.file(folder, "p.lua", "return function() while true do pcall(error) end end")
    temporary.file(folder, "p_spec.lua",
      (SPEC:gsub('"p.lua"', '("p.lua", { config = "server.lua" })')))
    for _, words in ipairs { { folder }, { folder, "--coverage" } } do
      local result = run(table.unpack(words))
      assert.equal(1, result.code)
      assert.matches("the decision took too long", result.out)
    end
  end)
end)

describe("lest policy new", function()
  local folder

  before_each(function() folder = temporary.folder() end)
  after_each(temporary.clean)

  it("writes a policy and a spec that pass at once, from each that has a spec", function()
    local names = {}
    for name in select(2, process.run { "ls", "policies" }):gmatch "([%w-]+)_spec%.lua" do
      names[#names + 1] = name
    end
    assert.is_true(#names >= 4)
    for _, name in ipairs(names) do
      local at = folder .. "/my_" .. name
      local made = shell.lest("policy", "new", at, "--from", name)
      assert.equal(0, made.code, made.err)
      local result = shell.lest("policy", "check", at .. ".lua")
      assert.equal(0, result.code, result.out)
      assert.is_nil(process.read(at .. "_spec.lua"):find("%f[%w_-]" .. name:gsub("%p", "%%%0")
        .. "%.lua"))
    end
    local result = shell.lest("policy", "test", folder)
    assert.equal(0, result.code, result.out)
    assert.matches("workspace.library", process.read(folder .. "/.luarc.json"))
  end)

  it("replaces nothing", function()
    temporary.file(folder, "x_spec.lua", "mine")
    local result = shell.lest("policy", "new", folder .. "/x")
    assert.equal(1, result.code)
    assert.matches("x_spec.lua is there already; nothing was written\n$", result.err)
    assert.is_false(process.exists(folder .. "/x.lua"))
    temporary.file(folder, ".luarc.json", "mine")
    assert.equal(0, shell.lest("policy", "new", folder .. "/y").code)
    assert.equal("mine", process.read(folder .. "/.luarc.json"))
  end)

  it("takes no name that is none, and no template that there is not", function()
    for _, name in ipairs { "a.b", "../", "x_spec", "-x" } do
      assert.equal(2, shell.lest("policy", "new", "--", folder .. "/" .. name).code, name)
    end
    for _, from in ipairs { "factroy", "../policies/factory", "" } do
      assert.equal(2, shell.lest("policy", "new", folder .. "/x", "--from", from).code, from)
    end
  end)
end)
