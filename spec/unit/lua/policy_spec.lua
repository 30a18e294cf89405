-- Verdicts, policy files and the request that a policy sees: closed, and strict about what is
-- unknown.
local core = require "lest.core"
local hooks = require "lest.server.worker.hooks"
local list = require "lest.base.list"
local policy = require "lest.policy"
local request = require "lest.server.worker.view"
local temporary = require "support.temporary"

describe("verdicts", function()
  it("take a string or a table, with the reason first", function()
    assert.equal("no", policy.reject("no").reason)
    assert.equal("no", policy.reject { "no", detail = 5 }.reason)
    assert.equal("5", policy.reject { "no", detail = 5 }.detail)
    assert.equal(120, policy.pending { "wait", retry_after = "2m" }.retry_after)
    assert.is_true(policy.is_verdict(policy.unavailable()))
    assert.is_false(policy.is_verdict { verdict = "approve" })
  end)

  it("refuse what they do not know", function()
    assert.error_matches(function() policy.reject { reson = "no" } end, "did you mean 'reason'?")
    assert.error_matches(function() policy.pending { retry_after = "soon" } end, "no duration")
    assert.error_matches(function() policy.approve {} end, "state the names")
    assert.error_matches(function() policy.reject(5) end, "takes a string or a table")
  end)

  it("say how it is written what somebody else would write otherwise", function()
    local name, san = '{ { "CN", "device001" } }', '{ "DNS:device001" }'
    local view = request.new { principal = { name = "x" } }
    for _, case in ipairs {
      { "CN: unknown: write subject = " .. name, { CN = "x" } },
      { "serialNumber: unknown: write subject = " .. name, { serialNumber = "x" } },
      { "DNS: unknown: write san = " .. san, { DNS = "x" } },
      { 'days: unknown: write lifetime = "90d"', { days = 90 } },
      { "eku: unknown: the profile says it", { eku = {} } },
      { "subject: must be a name in parts, as " .. name .. ", not a string", { subject = "CN=x" } },
      { "subject: must be a name in parts, as " .. name, { subject = { CN = "x" } } },
      { "subject: must be a name in parts, as " .. name, { subject = { "CN", "x" } } },
      { "subject: must be a name in parts, as " .. name, { subject = { { "CN", 5 } } } },
      { "subject: must be a name in parts, as " .. name, { subject = view.principal } },
      { "san: must be a list, as " .. san .. ", not a string", { san = "DNS:x" } },
      { "san.DNS: a list has no named entries: write " .. san, { san = { DNS = "x" } } },
      { "san[1]: 'x' is not a kind and a value, as DNS:device001", { san = { "x" } } },
      { "lifetime: '30' is no duration without a unit: write one as 30s,", { lifetime = "30" } },
      { 'facts: must be a table, as { site = "Berlin" }, not a string', { facts = "x" } },
      { "state the names, as subject = " .. name .. " or san = " .. san, {} },
      { "takes a table of its own, not a part of the request", view },
    } do
      local ok, problem = pcall(policy.approve, case[2])
      assert.is_false(ok)
      assert.truthy(problem:find(case[1], 1, true), problem)
    end
    assert.error_matches(function() policy.pending { retry = "1m" } end,
      'retry: unknown: write retry_after = "10m"')
    assert.error_matches(function() policy:reject() end,
      "write policy.reject with a dot, not a colon")
    assert.error_matches(function() return policy.deny end, "no 'deny', did you mean 'reject'?")
    assert.error_matches(function() return require "lest".aprove end,
      "no field 'aprove', did you mean 'policy.approve'?")
    assert.error_matches(function() policy.renew "30d" end, 'as { window = "30d" }, not a string')
    assert.error_matches(function() policy.renew { lifetime = "3" } end, "without a unit")
  end)
end)

describe("policy.file", function()
  local folder
  before_each(function() folder = temporary.folder() end)
  after_each(temporary.clean)

  local function load_policy(text)
    return hooks.load(temporary.file(folder, "policy.lua", "local policy = require 'lest.policy'\n"
      .. text))
  end

  it("is the path of a file beside the file that calls it, at any time", function()
    temporary.file(folder, "devices.csv", "")
    local loaded = assert(load_policy [[
      local path = policy.file "devices.csv"
      return function() local again = policy.file "devices.csv" return path, again end]])
    local path = folder .. "/devices.csv"
    assert.same({ path, path }, { loaded.hooks.enroll() })
    assert.equal(path, assert(load_policy(
      ("local f = policy.file(%q) return function() return f end"):format(path))).hooks.enroll())
  end)

  it("is an error with the policy's line where it cannot be read", function()
    for name, problem in pairs { ["none.csv"] = "No such file", ["."] = "directory" } do
      local loaded, err = load_policy(("\nlocal f = policy.file %q\nreturn f"):format(name))
      assert.is_nil(loaded)
      assert.matches("^[^\n]*/policy.lua:3: policy.file: .*" .. problem, err.message)
    end
    for _, name in ipairs { "''", "'a\\0b'", "5", "nil" } do
      local _, err = load_policy("local f = policy.file(" .. name .. ") return f")
      assert.matches("policy.lua:2: policy.file takes the name of a file$", err.message)
    end
  end)

  it("is found from a tail call, and not from what stands in no file", function()
    temporary.file(folder, "devices.csv", "")
    local loaded = assert(load_policy "return function() return policy.file 'devices.csv' end")
    assert.equal(folder .. "/devices.csv", loaded.hooks.enroll())
    assert.error_matches(load "return require('lest.policy').file 'x'", "for what stands in a file")
  end)
end)

describe("policy.own_name", function()
  local function ask(subject, san)
    return policy.own_name() { principal = { name = "dev1" },
      csr = { subject = subject, san = san or {} } }
  end

  it("gives a principal its name, if it asks for exactly that", function()
    local verdict = ask { { "CN", "dev1" } }
    assert.equal("approve", verdict.verdict)
    assert.same({ { "CN", "dev1" } }, verdict.subject)
    for _, subject in ipairs { {}, { { "CN", "dev2" } }, { { "O", "dev1" } },
      { { "CN", "dev1" }, { "O", "x" } } } do
      assert.equal("ask for the subject CN=dev1 and nothing else", ask(subject).reason)
    end
    local refused = ask({ { "CN", "dev1" } }, { "DNS:dev1" })
    assert.equal("ask for no subject alternative names", refused.reason)
    assert.equal("DNS:dev1", refused.detail)
  end)
end)

describe("policy.own_name with a certificate", function()
  local key = assert(core.key.generate "ec:P-256")
  local now = os.time()
  local cert = assert(core.issuer.root { key = key, subject = "O=Ex,CN=dev1",
    not_before = now, not_after = now + 60 })

  local function ask(options)
    options.key = key
    return policy.own_name() { principal = { name = "dev1", certificate = cert },
      csr = assert(core.csr.build(options)) }
  end

  it("gives it all of its names, if asked for exactly them", function()
    assert.equal(tostring(cert.subject), tostring(ask { subject = "O=Ex,CN=dev1" }.subject))
    assert.equal("reject", ask { subject = "O=Other,CN=dev1" }.verdict)
    assert.equal("reject", ask { subject = "O=Ex,CN=dev1", san = { "DNS:dev1" } }.verdict)
    assert.same({ { "CN", "dev1" } }, ask { subject = "CN=dev1" }.subject)
  end)
end)

describe("policy.renew", function()
  local function renew(left, options, change)
    return policy.renew(options) { time = 1000, csr = { change = change },
      previous = { certificate = { not_after = 1000 + left } } }
  end

  it("grants no other names", function()
    assert.equal("reject", renew(86400, nil, { subject = {}, san = {} }).verdict)
  end)

  it("renews within its window only", function()
    assert.equal("approve", renew(86400, { window = "30d" }).verdict)
    assert.is_true(renew(86400).renewal)
    local early = renew(40 * 86400, { window = "30d" })
    assert.equal("reject", early.verdict)
    assert.matches("opens in 10d", early.reason)
  end)

  it("has nothing to do without a certificate", function()
    assert.equal("reject", policy.renew() { time = 0 }.verdict)
    assert.error_matches(function() policy.renew { windw = "1d" } end, "did you mean 'window'?")
  end)
end)

describe("a policy file", function()
  after_each(temporary.clean)

  local function load_text(text)
    return hooks.load(temporary.file(temporary.folder(), "policy.lua", text))
  end

  it("returns a function or a table of hooks", function()
    local one = assert(load_text "return function() end")
    assert.is_function(one.hooks.enroll)
    assert.equal(one.hooks.enroll, one.hooks.reenroll)
    assert.equal(64, #one.hash)
    assert.is_nil(assert(load_text "return { enroll = function() end }").hooks.reenroll)
  end)

  it("runs in an environment that it can neither see through nor open", function()
    for _, text in ipairs { "getmetatable(_ENV)", "getmetatable(require 'lest')" } do
      assert(load_text(("if %s ~= false then error 'open' end return print"):format(text)))
      local loaded, err = load_text(("setmetatable(%s, {}) return print"):format(
        text:match "%((.*)%)"))
      assert.is_nil(loaded)
      assert.matches("protected metatable", tostring(err))
    end
    assert.is_nil((load_text(string.dump(function() return function() end end))))
    local loaded, err = load_text "rawset(_ENV, 'leak', 1) leak = 2 return { enroll = _ENV.leek }"
    assert.is_nil(loaded)
    assert.matches("undeclared global 'leek'", tostring(err))
  end)

  it("says what it raised, and where", function()
    for text, problem in pairs {
      ["\nerror {}"] = "policy.lua:2: a table was raised as an error: []",
      ["\nerror { code = 'x' }"] = 'policy.lua:2: a table was raised as an error: {"code":"x"}',
      ["error()"] = "policy.lua:1: error() was called without a message",
      ["error('plain', 0)"] = "policy.lua:1: plain",
      ["error(setmetatable({}, { __tostring = error }))"] = "policy.lua:1: an error of type table",
      ["return error {}"] = "policy.lua:1: a table was raised as an error: []",
    } do
      local loaded, err = load_text(text)
      assert.is_nil(loaded)
      assert.matches(problem, tostring(err), 1, true)
    end
  end)

  it("keeps what hears apart from what decides, and names each of several", function()
    local file = temporary.folder() .. "/p.lua"
    core.file.write(file, "return { issued = function() return 1 end, revoked = print }")
    local loaded = assert(hooks.of_label { policies = { { file = file }, { file = file },
      { hooks = { enroll = print }, file = "x", hash = "" } } })
    assert.same({ "enroll" }, list.sorted_keys(loaded.hooks))
    assert.same({ file, file .. "#2" },
      { loaded.listeners[1].name, loaded.listeners[2].name, loaded.listeners[3] })
    assert.same({ 1, print }, { loaded.listeners[1].issued(), loaded.listeners[2].revoked })
    assert.same({}, assert(load_text "return print").listeners)
  end)

  it("says where a hook is that is none", function()
    local _, err = load_text "return {\n  enrol = function() end,\n}"
    assert.matches("/policy.lua:2: unknown hook 'enrol', did you mean 'enroll'?", tostring(err), 1,
      true)
    _, err = load_text "return { enrol = print }"
    assert.matches("/policy.lua: unknown hook 'enrol'", tostring(err), 1, true)
  end)

  it("says what is wrong with it", function()
    for text, problem in pairs {
      ["return {"] = "policy.lua:1:", ["return 5"] = "must return a function",
      ["return { enrol = function() end }"] = "did you mean 'enroll'?",
      ["return { enroll = 5 }"] = "is a number", ["x = 1"] = "undeclared global 'x' is assigned",
      ["return pront"] = "undeclared global 'pront', did you mean 'print'?",
    } do
      local loaded, err = load_text(text)
      assert.is_nil(loaded)
      assert.truthy(tostring(err):find(problem, 1, true), tostring(err))
    end
  end)
end)

describe("a view", function()
  it("is empty to what looks below it, so that nothing of it can be changed", function()
    local seen = request.new { id = "a", tls = { version = "TLSv1.3" }, headers = { host = "x" } }
    assert.is_nil(next(seen))
    assert.is_nil(next(seen.tls))
    assert.is_nil(next(seen.headers))
    for key in pairs(seen) do assert.is_string(key) end
    assert.equal("x", seen.headers.Host)
  end)
end)

describe("a request", function()
  local view = request.new {
    id = "a-1", operation = "simpleenroll", label = "default", tls = { version = "TLSv1.3" },
    principal = { kind = "basic", name = "x", credential = { site = "b" } },
  }

  it("is read-only and closed", function()
    assert.equal("basic", view.principal.kind)
    assert.equal("b", view.principal.credential.site)
    assert.is_nil(view.principal.certificate)
    assert.is_nil(view.previous)
    assert.equal(0, #view.approvals)
    assert.error_matches(function() return view.principle end, "did you mean 'principal'?")
    assert.error_matches(function() return view.tls.vesion end, "did you mean 'version'?")
    assert.error_matches(function() view.label = "x" end, "read%-only")
    for _, each in ipairs { view, view.principal, view.principal.credential, view.tls, view.auth,
      view.approvals, view.headers } do
      assert.is_false(getmetatable(each))
      assert.error_matches(function() each.kind = "x" end, "read%-only")
    end
  end)
end)
