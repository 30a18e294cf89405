-- `lest policy check` finds what is wrong on every path of a policy, and nothing in what is right.
local json = require "lest.json"
local process = require "support.process"
local shell = require "support.shell"
local temporary = require "support.temporary"

local HEAD <const> = 'local lest, policy = require "lest", require "lest.policy"\n'

describe("lest policy check", function()
  after_each(temporary.clean)

  local function check(text, config)
    local folder = temporary.folder()
    local file = temporary.file(folder, "x.lua", text)
    local words = { "policy", "check", file, "--json" }
    if config then
      words[5], words[6] = "--config", temporary.file(folder, "server.lua", config)
    end
    local result = shell.lest(table.unpack(words))
    local told = assert(json.decode(result.out ~= "" and result.out or "{}"))
    local found = {}
    for _, each in ipairs(told.findings or {}) do
      if each.level ~= "note" then
        found[#found + 1] = ("%s: %s"):format(each.line, each.message)
      end
    end
    return found, result, told
  end

  -- The body of an enroll hook, which begins in line 3.
  local function body(text)
    return HEAD .. "local function enroll(request)\n" .. text
      .. "\n  return policy.reject(lest.version)\nend\n"
      .. "return { enroll = enroll, reenroll = enroll }\n"
  end

  it("says nothing of the policies that are installed", function()
    local files = 0
    for name in select(2, process.run { "ls", "policies" }):gmatch "[^\n]+%.lua" do
      local file = "policies/" .. name
      if not file:find "_spec%.lua$" then
        local result = shell.lest("policy", "check", file)
        assert.equal("", result.err .. result.out:gsub("[^\n]*: note: [^\n]*\n", "")
          :gsub("nothing is wrong[^\n]*\n$", ""), file)
        assert.equal(0, result.code, file)
        files = files + 1
      end
    end
    assert.is_true(files >= 4)
  end)

  it("finds fields that there are not, wherever the request goes", function()
    for text, expected in pairs {
      ["  if request.principle then return nil end"] =
        "3: request has no field 'principle', did you mean 'principal'?",
      ["  local who = request.principal\n  if who.nam then return nil end"] =
        "4: request.principal has no field 'nam', did you mean 'name'?",
      ["  local old = request.previous and request.previous.certificate\n"
        .. "  if old and old.serail then return nil end"] =
        "4: cert has no field 'serail', did you mean 'serial'?",
      ["  for _, each in ipairs(request.approvals) do\n"
        .. "    if each.operater then return nil end\n  end"] =
        "4: request.approval has no field 'operater', did you mean 'operator'?",
      ["  local function f(csr) return csr.sans end\n  if f(request.csr) then return nil end"] =
        "3: csr has no field 'sans', did you mean 'san'?",
      ["  request.csr:verfy()"] = "3: csr has no method 'verfy', did you mean 'verify'?",
      ["  request.time = 1"] = "3: request is read-only: 'time' cannot be set",
    } do
      assert.same({ expected }, (check(body(text))), text)
    end
  end)

  it("finds them in rules and tests, in tables of hooks, and in functions of functions", function()
    assert.same({ "3: request has no field 'tme', did you mean 'time'?" }, (check(HEAD
      .. "local M, is_x = {}, function(r)\n  return r.tme end\n"
      .. "M.enroll = policy.first { policy.when(policy.all { is_x }, policy.reject \"x\") }\n"
      .. "function M.reenroll() return policy.reject(lest.version) end\nreturn M\n")))
  end)

  it("finds them in hooks for what happened", function()
    assert.same({ "3: event has no field 'serial'", "4: event is read-only: 'id' cannot be set",
      "4: event.principal has no field 'nam', did you mean 'name'?" }, (check(HEAD
      .. "return { enroll = policy.own_name(), reenroll = lest.policy.renew(),\n"
      .. "  issued = function(event) return event.serial end,\n"
      .. "  revoked = function(e) e.id = e.principal.nam end }\n")))
  end)

  it("finds functions that there are not", function()
    assert.same({ "3: policy has no function 'aprove', did you mean 'approve'?",
      "4: http has no function 'gett', did you mean 'get'?",
      "5: lest has no field 'polcy', did you mean 'policy'?" },
      (check(body("  if request.device then return policy.aprove {} end\n"
        .. "  lest.http.gett \"x\"\n  lest.polcy.reject \"x\""))))
  end)

  it("finds options that there are not: of a verdict, and of the policy's own", function()
    local text = body("  if request.device then\n"
      .. "    return policy.approve { lifetme = 1, san = {} }\n  end\n"
      .. "  if options.prefx then return policy.reject { \"x\", detail = options.prefix } end")
    text = text:gsub("\nlocal function", " local options = policy.options {"
      .. " prefix = { type = \"string\", default = \"\" } }%0", 1)
    assert.same({ "4: policy.approve has no option 'lifetme', did you mean 'lifetime'?",
      "6: options has no field 'prefx', did you mean 'prefix'?" }, (check(text)))
  end)

  it("finds what keeps a whole worker waiting, and clocks that are not the request's", function()
    local found = check(body("  io.popen \"x\"\n  os.execute \"x\"\n"
      .. "  if request.device then return policy.reject(os.time() .. os.date \"%H\") end"))
    assert.equal(4, #found)
    assert.matches("^3: io.popen: all requests of the worker wait", found[1])
    assert.matches("^5: os.time: .*use request.time", found[3])
    assert.same({}, (check(body("  local t = os.time { year = 2030, month = 1, day = 1 }\n"
      .. "  if request.time > t then return policy.reject(os.date(\"!%H\", t)) end"))))
  end)

  it("knows what an inventory can be asked", function()
    local folder = temporary.folder()
    temporary.file(folder, "d.csv", "name\nann\n")
    shell.capture("chmod a+rx " .. folder)
    for call, expected in pairs { ["row"] = false,
      ["rows"] = "4: inventory has no method 'rows', did you mean 'row'?",
      ["find"] = "4: inventory has no method 'find'" } do
      local found = check((body(("  if devices:%s(request.principal.name) then return nil end")
        :format(call)):gsub("\n", ('\nlocal devices = policy.csv("%s/d.csv", { key = "name" })\n')
          :format(folder), 1)))
      assert.same({ expected or nil }, found)
    end
  end)

  it("warns of a policy of several that is not asked where others are", function()
    local CONFIG <const> = [[return {
      tls = { cert = "a", key = "a" }, ca = { cert = "a", key = "a" }, anchors = { own = "a" },
      profiles = { device = { lifetime = "90d", keys = "ec:P-256", names = "policy" } },
      labels = { default = { policies = { "x.lua", "OTHER" }, profile = "device" } } }]]
    local other = temporary.file(temporary.folder(), "other.lua", HEAD
      .. "return { enroll = policy.first { policy.reject(lest.version) },\n"
      .. "  csrattrs = function() return {} end }")
    local config = CONFIG:gsub("OTHER", other)
    local function messages(text)
      local _, result, told = check(text, config)
      local all = {}
      for i, each in ipairs(told.findings) do all[i] = each.level .. ": " .. each.message end
      return all, result.code
    end
    local meant <const> = ", which another policy of the label has: such requests are decided "
      .. "without it; a hook with policy.consent() says that this is meant"
    local all, code = messages(HEAD .. "return policy.first { policy.reject(lest.version) }")
    assert.same({ "warning: label default: other.lua has no hook 'reenroll'" .. meant }, all)
    assert.equal(1, code)
    all = messages(HEAD .. "return { reenroll = policy.first { policy.reject(lest.version) } }")
    assert.equal("warning: label default: there is no hook 'enroll'" .. meant, all[1])
    assert.same({ { "note: there is no hook 'reenroll': nothing is renewed by this policy" }, 0 }, {
      messages(HEAD .. "return { enroll = policy.first { "
      .. "policy.reject(lest.version) },\n  csrattrs = function() return {} end }") })
  end)

  it("takes no guess for a finding", function()
    assert.same({}, (check(body("  local x = request.device or {}\n  if x.y then return nil end\n"
      .. "  local facts = request.principal.credential\n  if facts.site then return nil end\n"
      .. "  if request.csr.subject.CN == request.headers[\"Host\"] then return nil end\n"
      .. "  local function f(any) return any.z end\n  if f(request) then f { z = 1 } end"))))
  end)

  it("says what luacheck says, and what Lua cannot read", function()
    assert.same({ "3: unused variable 'x'" }, (check(body "  local x = 1")))
    local found, result = check "return {"
    assert.equal(1, #found)
    assert.equal("1: unexpected symbol near <eof>", found[1])
    assert.equal(1, result.code)
  end)

  it("says in one line what is raised while the policy is loaded", function()
    assert.same({ "2: module 'no_such' not found:" }, (check(HEAD:gsub("\n", "")
      .. '\nrequire "no_such"\nreturn policy.reject(lest.version)')))
  end)

  it("ends, and names the line, where the text of a policy does not end", function()
    assert.same({ "2: it ran for more than 5 s while it was loaded" }, (check(HEAD:gsub("\n", "")
      .. "\nfor _ in next, {}, nil do end repeat until os == 1"
      .. "\nreturn policy.reject(lest.version)")))
  end)

  it("does not call right what it could not load for want of an option", function()
    local file = temporary.file(temporary.folder(), "x.lua", HEAD
      .. 'local options = policy.options { site = { type = "string" } }\n'
      .. "return policy.first { policy.reject(options.site), policy.reject(lest.version) }")
    local result = shell.lest("policy", "check", file)
    assert.equal(0, result.code, result.out)
    assert.matches("\nnothing is wrong in its text, which was not loaded\n$", result.out)
  end)

  it("notes a hook that is missing, which is no fault", function()
    local _, result, told = check(HEAD
      .. "return { enroll = policy.when(policy.principal { name = lest.version },\n"
      .. "  policy.reject()) }")
    assert.equal(0, result.code)
    assert.equal("there is no hook 'reenroll': nothing is renewed by this policy",
      told.findings[1].message)
  end)

  it("finds approvals that no profile of the label ever grants", function()
    local CONFIG <const> = [[return {
      tls = { cert = "a", key = "a" }, ca = { cert = "a", key = "a" }, anchors = { own = "a" },
      profiles = { device = { lifetime = "90d", keys = "ec:P-256", names = "policy" },
        host = { lifetime = "1y", keys = "ec:P-256", names = "policy", san = { "DNS" } } },
      labels = { default = { policy = "x.lua", profiles = { "device", "host" } } },
    }]]
    local TEXT <const> = HEAD .. [[
return { enroll = policy.first {
  policy.when(policy.principal { kind = "basic" }, policy.names { CN = "x", O = "y" }),
  function(request)
    if request.device == lest.version then
      return policy.approve { subject = { { "CN", "x" } }, lifetime = "100d" }
    elseif request.device then
      return policy.approve { san = { "IP:" .. request.address }, profile = "host" }
    elseif request.address == "x" then
      return policy.approve { subject = { { "CN", "x" } }, profile = "hosts" }
    end
    return policy.approve { subject = { { "CN", "x" } }, lifetime = "200d", profile = "host" }
  end }, reenroll = policy.renew { lifetime = "200d" } }
]]
    assert.same({
      "3: label default: the profile 'device' never grants this: its subject has no O (it has: CN)",
      "6: label default: the profile 'device' never grants this: 100d is longer than its lifetime, "
        .. "90d",
      "8: label default: the profile 'host' never grants this: its san has no IP (it has: DNS)",
      "10: label default: the label does not have the profile 'hosts', did you mean 'host'?: "
        .. "it has device, host",
    }, (check(TEXT, CONFIG)))
  end)

  it("runs the policy with its label's options, and as root never as root", function()
    local CONFIG <const> = [[return {
      tls = { cert = "a", key = "a" }, ca = { cert = "a", key = "a" }, anchors = { own = "a" },
      profiles = { device = { lifetime = "90d", keys = "ec:P-256", names = "policy" } },
      labels = { default = { policy = { file = "x.lua", options = { prefix = 7 } },
        profile = "device" } } }]]
    local TEXT <const> = HEAD .. [[
local options = policy.options { prefix = { type = "string" } }
assert(require "lest.core".process.uid ~= 0, lest.version)
return { enroll = policy.names { CN = options.prefix .. "${principal.name}" },
  reenroll = policy.renew() }
]]
    local found, result = check(TEXT, CONFIG)
    assert.equal(1, result.code)
    assert.matches("options.prefix: must be a string", found[1])
    assert.same({}, (check(TEXT, (CONFIG:gsub("prefix = 7", 'prefix = "a"')))))
    local _, unconfigured, told = check(TEXT)
    assert.equal(0, unconfigured.code)
    assert.matches("prefix.*%-%-config has the options", told.findings[1].message)
  end)

  it("answers with exit code 2 what it cannot read", function()
    assert.equal(2, shell.lest("policy", "check", "/nothing.lua").code)
    local result = shell.lest("policy", "check", "policies/factory.lua", "--config",
      "/nothing/server.lua")
    assert.equal(2, result.code)
  end)
end)
