-- A policy on the desk is loaded, asked and bounded as in a worker, and its approval is what the
-- authority would make of it; no server is there.
local core = require "lest.core"
local desk = require "lest.desk.policy"
local journals = require "lest.policy.journal"
local load_config = require "lest.server.config.load"
local policies = require "support.policy"
local temporary = require "support.temporary"

local PROFILE <const> = { lifetime = "90d", keys = { "ec:P-256" }, names = "policy",
  subject = { "CN" }, san = { "DNS" } }

local function config_of(labels, profiles)
  local identity = { cert = "x.pem", key = "x.key" }
  return assert(load_config.check({ tls = identity, ca = identity, anchors = { own = "x.pem" },
    profiles = profiles or { device = PROFILE }, labels = labels,
    limits = { decision = "1s", decision_memory = "1MiB" } }, "server.lua", "/etc/lest"))
end

describe("a policy on the desk", function()
  local folder

  before_each(function() folder = temporary.folder() end)
  after_each(temporary.clean)

  local function load(text, options)
    local source = 'local policy = require "lest.policy"\n' .. text
    return desk.load(temporary.file(folder, "policy.lua", source), options)
  end

  local function request(more)
    local facts = { principal = { kind = "basic", name = "device001" },
      csr = policies.csr("CN=device001") }
    for key, value in pairs(more or {}) do facts[key] = value end
    return facts
  end

  it("is loaded as a worker loads it: hooks, hash, what it requires, its mistakes", function()
    temporary.file(folder, "desk_helper.lua", 'return "from beside it"')
    local loaded = assert(load
      'local words = require "desk_helper" return function() return policy.reject(words) end')
    assert.equal(folder .. "/policy.lua", loaded.file)
    assert.equal(core.secret.sha256(assert(core.file.read(loaded.file))), loaded.hash)
    assert.equal("from beside it", loaded:decide(request()).reason)
    local _, err = load "return { enrol = function() end }"
    assert.matches("unknown hook 'enrol', did you mean 'enroll'%?", tostring(err))
    _, err = load "forgotten = 1"
    assert.matches("policy.lua:2: undeclared global 'forgotten' is assigned", tostring(err))
    _, err = desk.load(folder .. "/none.lua")
    assert.equal("policy", err.code)
  end)

  it("decides what a message of CMC asks for, by its hook or as by itself", function()
    local facts = request { operation = "fullcmc", cmc = { reg_info = "info" } }
    local loaded = assert(load [[return {
      enroll = function(request) return policy.reject("enroll " .. request.cmc.reg_info) end }]])
    assert.equal("enroll info", loaded:decide(facts).reason)
    assert.is_false(pcall(loaded.decide, loaded, request { operation = "cacerts" }))
    loaded = assert(load [[return { enroll = function() return policy.reject "no" end,
      fullcmc = function(request) return policy.reject(tostring(request.cmc.regInfo)) end }]])
    local verdict = loaded:decide(facts)
    assert.equal("error", verdict.verdict)
    assert.matches("regInfo.*reg_info", verdict.detail)
  end)

  it("sees a closed request, of its operation, at a time that is told", function()
    local loaded = assert(load [[return {
      enroll = function(request)
        return policy.reject(request.operation .. " " .. request.time .. " " .. request.label)
      end,
      reenroll = function(request) return policy.reject(request.principle) end,
    }]])
    assert.equal("simpleenroll 7 default", loaded:decide(request(), { now = 7 }).reason)
    assert.equal("simpleenroll 8 default", loaded:decide(request { time = 8 }).reason)
    local verdict, _, outcome = loaded:decide(request { operation = "simplereenroll" })
    assert.equal("error", verdict.verdict)
    assert.matches("request has no field 'principle', did you mean 'principal'", verdict.detail)
    assert.same({ verdict = "error", detail = verdict.detail }, outcome)
    assert.has_error(function() loaded:decide(request { operation = "csrattrs" }) end,
      "no verdict is asked for 'csrattrs'")
  end)

  it("takes the history of a request and its rates from who decides, in parts", function()
    local loaded = assert(load [[return policy.first {
      policy.unless(policy.history { device = { active = { most = 4 }, revoked = { most = 0 } } },
        policy.reject "too many"),
      policy.unless(policy.rate { per = "device", most = 5, every = "1m" }, policy.reject "often"),
      policy.own_name(),
    }]])
    local function decide(count, within)
      local verdict = loaded:decide(request(), { outside = {
        history = { device = { active = { count = count } } },
        rate = { ["5 in 60 s per device"] = { within = within, count = 1 } } } })
      return verdict.reason or verdict.verdict
    end
    assert.same({ "approve", "too many", "often" },
      { decide(4, true), decide(5, true), decide(4, false) })
    local verdict = loaded:decide(request())
    assert.matches("not decidable: the record has no answer to history device", verdict.detail)
  end)

  it("asks nothing outside: who decides it answers, or the question is an error", function()
    local loaded = assert(load [[
      local lest = require "lest"
      return function(request)
        local res, err = lest.http.get("https://inventory.invalid/" .. request.principal.name)
        return policy.reject(res and res:json().owner or tostring(err))
      end]])
    local question = "GET https://inventory.invalid/device001"
    local answer = { status = 200, body = '{"owner":"alice"}' }
    for _, outside in ipairs { { http = { [question] = answer } },
      { http = function(asked) return asked == question and answer end },
      function(kind, asked) return kind == "http" and asked == question and answer end } do
      local verdict, journal = loaded:decide(request(), { outside = outside })
      assert.equal("alice", verdict.reason)
      assert.equal(question, journals.calls(journal)[1].question)
      assert.equal("reject", journals.steps(journal)[1].outcome)
    end
    for _, outside in ipairs { false, {}, { http = {} }, { csv = {} } } do
      local verdict = loaded:decide(request(), { outside = outside or nil })
      assert.equal("error", verdict.verdict)
      local words = "not decidable: the record has no answer to http " .. question
      assert.is_truthy(verdict.detail:find(words, 1, true))
    end
  end)

  it("reaches no other CA: who decides it answers for a client of EST as well", function()
    local loaded = assert(load [[
      local lest = require "lest"
      return function()
        local client = lest.client.new { url = "https://127.0.0.1:9/", trust = "system" }
        local certs, err = client:cacerts()
        return policy.reject(certs and "given" or tostring(err))
      end]])
    local question = "GET https://127.0.0.1:9/.well-known/est/cacerts"
    local verdict = loaded:decide(request())
    assert.equal("error", verdict.verdict)
    local words = "not decidable: the record has no answer to http " .. question
    assert.is_truthy(verdict.detail:find(words, 1, true), verdict.detail)
    verdict = loaded:decide(request(), { outside = { http = {
      [question] = { status = 404, body = "" } } } })
    assert.matches("404", verdict.reason)
  end)

  it("is bounded as a label's configuration says", function()
    local loaded = assert(load("return function() return ('x'):rep(1 << 21) end",
      { config = config_of { default = { policy = "p.lua", profile = "device" } } }))
    assert.equal("the decision used more than its memory", loaded:decide(request()).detail)
  end)

  it("approves what the profile lets it, in the names that would be issued", function()
    local loaded = assert(load([[return function(request)
      return policy.approve { subject = request.csr.subject, san = { "DNS:a.example.com" },
        lifetime = "1d", detail = "fine" }
    end]], { profile = PROFILE }))
    local _, _, outcome = loaded:decide(request())
    assert.equal("CN=device001", tostring(outcome.subject))
    outcome.subject = nil
    assert.same({ verdict = "approve", detail = "fine", san = { "DNS:a.example.com" },
      profile = "profile", lifetime = 86400 }, outcome)
  end)

  it("is told apart: what the client asked for in vain, and what the policy did wrong", function()
    local loaded = assert(load([[return function(request)
      return policy.approve { subject = { { "CN", "x" }, { "O", "y" } } }
    end]], { profile = PROFILE }))
    local verdict, _, outcome = loaded:decide(request())
    assert.equal("approve", verdict.verdict)
    assert.equal("error", outcome.verdict)
    assert.matches("the subject attribute O is not in the profile", outcome.problem)
    assert.equal("reject", select(3, loaded:decide(request {
      csr = policies.csr "CN=x,O=y" })).verdict)
  end)

  it("renews by the profile that the certificate has, where the label still has it", function()
    local config = config_of({ default = { policy = "p.lua", profiles = { "device", "short" } } },
      { device = PROFILE, short = { lifetime = "1h", keys = { "ec:P-256" } } })
    local loaded = assert(load("return { reenroll = policy.renew {} }", { config = config }))
    local key, now = assert(core.key.generate "ec:P-256"), os.time()
    local cert = assert(core.issuer.root { key = key, subject = "CN=device001",
      not_before = now, not_after = now + 3600 })
    local function renewed_by(profile)
      local _, _, outcome = loaded:decide(request { operation = "simplereenroll",
        principal = { kind = "certificate", name = "device001", is_own = true, certificate = cert },
        previous = { certificate = cert, profile = profile } })
      return outcome
    end
    assert.equal(3600, renewed_by("short").lifetime)
    assert.equal(90 * 86400, renewed_by("gone").lifetime)
    assert.equal("CN=device001", tostring(renewed_by("short").subject))
  end)

  it("finds its label in a configuration, and says what is wrong with one", function()
    local config = config_of { default = { policy = "p.lua", profile = "device" },
      b = { policy = "q.lua", profile = "device" } }
    local _, err = load("return {}", { config = config, label = "bb" })
    assert.equal("there is no label 'bb', did you mean 'b'?", err.message)
    _, err = load("return {}", { config = folder .. "/none.lua" })
    assert.equal("config", err.code)
    _, err = load("return {}", { profile = { lifetime = "90d" } })
    assert.equal("profile.keys: is missing", err.message)
    _, err = desk.load(nil, { config = config, label = "b" })
    assert.matches("/etc/lest/q.lua", tostring(err))
  end)
end)
