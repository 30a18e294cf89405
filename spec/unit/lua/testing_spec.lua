-- lest.testing: requests that are real, a world that is the spec's, and assertions that say why.
local assertions = require "lest.testing.assertions"
local core = require "lest.core"
local policies = require "lest.testing.policy"
local temporary = require "support.temporary"
local testing = require "lest.testing"

local NOW <const> = testing.NOW

describe("a request of lest.testing", function()
  local function facts(options, now) return testing.request(options):facts(now or NOW) end

  it("has a CSR that its key has signed", function()
    for _, key in ipairs { "ec:P-256", "ec:P-384", "ed25519", "rsa:2048" } do
      local csr = facts { csr = { subject = "CN=x", san = { "DNS:x" }, key = key } }.csr
      assert.is_true(csr:verify())
      assert.same({ key, "CN=x", "DNS:x" }, { csr.key_type, tostring(csr.subject), csr.san[1] })
    end
  end)

  it("has the certificate of a CA of the anchors that vouch for it", function()
    local seen = facts { principal = testing.idevid { serialNumber = "42" } }
    local cert = seen.principal.certificate
    assert.equal("serialNumber=42,O=Maker", tostring(cert.subject))
    assert.equal("CN=factory CA", tostring(cert.issuer))
    assert.same({ "certificate", "factory", false, "factory:serialNumber=42,O=Maker" },
      { seen.principal.kind, seen.principal.anchors, seen.principal.is_own, seen.device })
    assert.is_true(cert.not_before < NOW and NOW < cert.not_after)
    assert.equal("own", facts({ principal = testing.cert() }).principal.anchors)
  end)

  it("has certificates of the time of the decision", function()
    local function ends(options)
      return facts({ principal = testing.cert(options) }).principal.certificate.not_after - NOW
    end
    assert.equal(86400, ends { left = "1d" })
    assert.equal(-3600, ends { expired = "1h" })
    local function expired_for(options)
      return facts({ operation = "simplereenroll", principal = testing.cert(options) }).previous
        .expired_for
    end
    assert.equal(3600, expired_for { expired = "1h" })
    assert.is_nil(expired_for { left = "1d" })
    assert.equal(30 * 86400, ends {})
    local later = facts({ principal = testing.cert { left = "1d" } }, NOW + 1000)
    assert.equal(NOW + 1000 + 86400, later.principal.certificate.not_after)
    assert.equal(core.cert.parse(later.principal.certificate:der()), later.principal.certificate)
  end)

  it("asks for the principal's names, and of a renewal for the certificate's", function()
    assert.equal("CN=dev1", tostring(facts { principal = testing.basic "dev1" }.csr.subject))
    local renewal = facts { operation = "simplereenroll",
      principal = testing.cert { subject = "CN=x", san = { "DNS:x" } } }
    assert.same({ "CN=x", "DNS:x" }, { tostring(renewal.csr.subject), renewal.csr.san[1] })
    assert.equal(renewal.principal.certificate, renewal.previous.certificate)
    assert.not_equal(renewal.csr.key_hash, renewal.previous.certificate.key_hash)
  end)

  it("may be of any kind of proof that needs no certificate", function()
    for _, kind in ipairs { "basic", "digest", "bearer", "challenge" } do
      local seen = facts { principal = testing[kind]("dev1", { site = "Ulm" }) }
      assert.same({ kind, "dev1", "Ulm" },
        { seen.principal.kind, seen.principal.name, seen.principal.credential.site })
      assert.same({ [kind] = { name = "dev1" } }, seen.auth)
      assert.equal(kind .. " dev1", tostring(testing[kind] "dev1"))
    end
  end)

  it("may have a token with claims", function()
    local seen = facts { principal = testing.bearer { name = "dev1",
      claims = { group = "pumps", level = 3 } } }
    assert.same({ "bearer", "dev1", "pumps", 3 }, { seen.principal.kind, seen.principal.name,
      seen.principal.claims.group, seen.principal.claims.level })
    assert.equal("dev1", seen.device)
    seen = facts { principal = testing.bearer { name = "dev1",
      claims = { iss = "https://idp.example", deep = { list = { "a", "b" } } } } }
    assert.equal("jwt(https://idp.example):dev1", seen.device)
    local deep = seen.principal.claims.deep
    assert.equal("b", deep.list[2])
  end)

  it("may be for the certificate's own key, and for other names", function()
    local same = facts { principal = testing.cert(), csr = { key = "same" } }
    assert.equal(same.principal.certificate.key_hash, same.csr.key_hash)
    local change = facts { operation = "simplereenroll", principal = testing.cert(),
      csr = { change = { subject = "CN=y" } } }
    assert.equal("CN=y", tostring(change.csr.change.subject))
    assert.has_error(function() facts { csr = { key = "same" } } end,
      'testing.request: csr.key = "same" is the key of a certificate, and there is none')
  end)

  it("tells a mistake with the right word, as one of the spec's line", function()
    for expected, call in pairs {
      ["testing.request: princpal: unknown, did you mean 'principal'?"] =
        function() testing.request { princpal = 1 } end,
      ["testing.csr: subjct: unknown, did you mean 'subject'?"] =
        function() testing.request { csr = { subjct = 1 } } end,
      ["testing.cert: left: "] = function() testing.cert { left = "x" } end,
      ["testing.basic: name: is missing"] = function() testing.basic() end,
      ["testing.digest: name: is missing"] = function() testing.digest() end,
      ["testing.bearer: name: is missing"] = function() testing.bearer() end,
      ["testing.bearer: claim: unknown, did you mean 'claims'?"] = function()
        testing.bearer { name = "x", claim = {} }
      end,
      ["testing.idevid: serialNumer: unknown, did you mean 'serialNumber'?"] =
        function() testing.idevid { serialNumer = "1" } end,
      ["testing.policy: nw: unknown"] = function() testing.policy("x.lua", { nw = 1 }) end,
    } do
      local ok, problem = pcall(call)
      assert.is_false(ok)
      assert.matches("^[^\n]*testing_spec.lua:%d+: ", problem)
      assert.truthy(problem:find(expected, 1, true), problem)
    end
  end)
end)

describe("a policy of lest.testing", function()
  local folder

  setup(function() folder = temporary.folder() end)
  teardown(temporary.clean)

  local function policy(text, options)
    return testing.policy(temporary.file(folder, "x.lua",
      'local lest, policy = require "lest", require "lest.policy"\n' .. text), options)
  end

  local function judge(verdict, ...)
    return assertions.judge("approves", verdict, ...)
  end

  it("is decided at the spec's time", function()
    local told = policy("return function(r) return policy.reject(tostring(r.time)) end",
      { now = "2030-01-01" })
    assert.rejects(told, testing.request(), "1893456000")
    assert.rejects(told, testing.request { time = 7 }, "^7$")
    assert.rejects(policy "return function(r) return policy.reject(tostring(r.time)) end",
      testing.request(), tostring(NOW))
  end)

  it("has the options of a label", function()
    assert.approves(policy([[
      local options = policy.options { prefix = { type = "string" } }
      return policy.names { CN = options.prefix .. "${principal.name}" }]],
      { options = { prefix = "pump-" } }), testing.request(), { subject = "CN=pump-device001" })
  end)

  it("is told of the world what the spec says, and nothing else", function()
    local asks = policy([[
      return function(request)
        local res, err = lest.http.get("https://inventory/" .. request.principal.name)
        if not res then return policy.unavailable { detail = err } end
        if res.status ~= 200 then return policy.reject { "not listed", detail = res.status } end
        return policy.approve { subject = { { "CN", res:json().name } } }
      end]], { http = { ["https://inventory/a"] = { json = { name = "pump" } },
        ["GET https://inventory/b"] = 404, ["https://inventory/c"] = { err = "no route" } } })
    local function by(name) return testing.request { principal = testing.basic(name) } end
    assert.approves(asks, by "a", { subject = "CN=pump" })
    assert.rejects(asks, by "b", { reason = "not listed", detail = "404" })
    assert.unavailable(asks, by "c", { detail = "no route" })
    local is_so, message = judge("approve", asks, by "d")
    assert.is_false(is_so)
    assert.truthy(message:find('{ http = { ["GET https://inventory/d"] = ... } }', 1, true),
      message)
  end)

  it("fails for a question without an answer, whatever the policy makes of that", function()
    local swallows = policy [[
      return function()
        pcall(lest.http.get, "https://inventory/1")
        return policy.reject "no"
      end]]
    local is_so, message = judge("reject", swallows, testing.request())
    assert.is_false(is_so)
    assert.matches("no answer", message)
  end)

  it("answers by a function, too", function()
    local asked
    local told = policy([[return function()
        local res = lest.http.post("https://inventory/", "x")
        return policy.reject(tostring(res.status))
      end]], { http = function(question) asked = question return 503 end })
    assert.rejects(told, testing.request(), "503")
    assert.matches("^POST https://inventory/", asked)
  end)

  it("is told what the ledger knows, and whether a rate is kept", function()
    local TEXT <const> = [[return policy.first {
      policy.unless(policy.rate { per = "address", most = 5, every = "1m" },
        policy.reject "too often"),
      function(request)
        local count = request.history.device.active.count
        if count > 2 then return policy.reject("it has " .. count) end
      end,
      policy.own_name() }]]
    local function given(rate, count)
      return policy(TEXT, { rate = rate, history = { device = { active = { count = count } } } })
    end
    assert.approves(given(true, 2), testing.request())
    assert.rejects(given(true, 3), testing.request(), "it has 3")
    assert.rejects(given(false, 2), testing.request(), "too often")
    assert.rejects(given({ ["5 in 60 s per address"] = false }, 2), testing.request(), "too often")
    local is_so, message = judge("approve", policy(TEXT, { rate = true }), testing.request())
    assert.is_false(is_so)
    assert.truthy(message:find('{ history = { ["device"] = ... } }', 1, true), message)
  end)

  it("approves what the profile allows", function()
    local PROFILE <const> = { lifetime = "90d", keys = "ec:P-256", names = "policy" }
    local names = policy([[return policy.names { CN = "x", O = "y", profile = "any" }]])
    assert.approves(names, testing.request(), { subject = "CN=x,O=y", profile = "any" })
    local narrow = policy([[return policy.names { CN = "x", O = "y", lifetime = "1d" }]],
      { profile = PROFILE })
    local is_so, message = judge("approve", narrow, testing.request())
    assert.is_false(is_so)
    assert.matches("the profile does not allow what the policy approves: the subject attribute O",
      message)
    assert.approves(policy([[return policy.names { CN = "x", lifetime = "1d" }]],
      { profile = PROFILE }), testing.request(), { lifetime = "1d", subject = "CN=x" })
    assert.approves(policy([[return policy.own_name()]], { profile = PROFILE }),
      testing.request(), { lifetime = "90d" })
    assert.rejects(policy([[return policy.own_name()]], { profile = PROFILE }),
      testing.request { csr = { key = "ec:P-384" } }, "a key of type ec:P%-384 is not allowed")
  end)

  it("stands beside the other policies of its label", function()
    temporary.file(folder, "names.lua", [[return require "lest.policy".own_name()]])
    local guard = policy([[return policy.first {
      policy.when(policy.principal { name = "dev*" }, policy.consent()) }]],
      { with = folder .. "/names.lua" })
    assert.approves(guard, testing.request(), { subject = "CN=device001" })
    assert.rejects(guard, testing.request { principal = testing.basic "x" }, "no rule allows")
  end)

  it("may look at the claims of a token", function()
    local pumps = policy [[return policy.first { policy.when(
      policy.principal { kind = "bearer", claims = { group = "pumps" } }, policy.own_name()) }]]
    local function with(claims)
      return testing.request { principal = testing.bearer { name = "dev1", claims = claims } }
    end
    assert.approves(pumps, with { group = "pumps" }, { subject = "CN=dev1" })
    assert.rejects(pumps, with { group = "valves" }, "no rule allows")
    assert.rejects(pumps, with(nil), "no rule allows")
  end)

  it("shows each rule with its place, what is expected and what is", function()
    local told = policy [[return policy.first {
  policy.unless(policy.principal { name = "a*" }, policy.named("others", policy.own_name())),
  policy.reject { "no", detail = "\27[2Jx" } }]]
    local is_so, message = judge("approve", told, testing.request(), { subject = "CN=y",
      san = { "DNS:b" }, lifetime = "1d", detail = "z" })
    assert.is_false(is_so)
    for _, line in ipairs { "subject: expected CN=y", "actual CN=device001", "san: expected DNS:b",
      "lifetime: expected 1d", "first at x.lua:2: approve", "unless at x.lua:3: approve",
      "principal at x.lua:3: no", "for CN=device001 with ec:P-256" } do
      assert.truthy(message:find(line, 1, true), line .. "\nin " .. message)
    end
    is_so, message = judge("approve", told,
      testing.request { principal = testing.basic "a1" })
    assert.is_false(is_so)
    assert.matches("expected: approve\nactual:   reject: no\n", message)
    assert.is_nil(message:find("\27", 1, true))
  end)

  it("is not what it is not", function()
    local told = policy [[return function() return policy.reject "no" end]]
    assert.is_not.approves(told, testing.request())
    assert.has_error(function() assert.is_not.rejects(told, testing.request()) end)
    assert.has_error(function() assert.rejects(told, testing.request(), { raeson = "no" }) end)
    assert.has_error(function() assert.rejects("x", testing.request()) end)
    assert.equal(policies.class, getmetatable(told))
  end)

  it("hears what happened, as a worker tells it", function()
    local hears = policy([[return { issued = function(e)
      local res, err = lest.http.get("https://a/" .. e.certificate.serial .. "/" .. e.label)
      if not res then return nil, err end
      if res.status ~= 200 then error(e.kind .. e.device .. e.principal.name .. e.try) end
    end }]], { http = function(question) return tonumber(question:match "/(%d+)$") or {} end })
    assert.is_true(hears:issued(testing.event { label = "200" }))
    local heard, problem = hears:issued(testing.event { label = "500", try = 3, device = "d",
      principal = testing.basic "p" })
    assert.is_false(heard)
    assert.matches("x.lua:5: issueddp3$", problem:match "^[^\n]*")
    assert.error_matches(function() hears:revoked(testing.event()) end, "no hook 'revoked'")
    assert.error_matches(function() hears:issued {} end, "made by testing.event")
    assert.error_matches(function() testing.event { certificate = testing.basic "a" } end,
      "as testing.cert {} makes it")
    assert.error_matches(function() testing.event { kind = "issued" } end, "unknown")
    local unanswered = policy "return { revoked = function() lest.http.get 'https://a/' end }"
    assert.error_matches(function() unanswered:revoked(testing.event()) end,
      "the test has no answer to http: GET https://a/")
    local gone = policy "return { revoked = function(e) return nil, e.reason .. e.by end }"
    heard, problem = gone:revoked(testing.event { reason = "superseded" })
    assert.is_false(heard)
    assert.matches("supersededalice", problem)
    assert.is_false((gone:revoked(testing.event { certificate = testing.cert { age = 9 } })))
  end)

  it("that cannot be loaded is an error of the spec's line", function()
    local ok, problem = pcall(testing.policy, "/nothing.lua")
    assert.is_false(ok)
    assert.matches("testing.policy: the policy cannot be read", problem)
  end)
end)
