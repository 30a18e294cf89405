-- The kit's tests: who asks, what for, with which key, from where and when.
local core = require "lest.core"
local glob = require "lest.policy.glob"
local kinds = require "lest.server.wire.kinds"
local network = require "lest.base.network"
local policy = require "lest.policy"
local view = require "lest.server.worker.view"

local key = assert(core.key.generate "ec:P-256")
local now <const> = os.time()
local issuer = assert(core.issuer.new { key = key, cert = assert(core.issuer.root { key = key,
  subject = "CN=root", not_before = now, not_after = now + 7200 }) })

local function certificate(plan)
  return assert(core.cert.parse(assert(issuer:issue { public_key = plan.key or key:public_der(),
    subject = "CN=dev-1", not_before = plan.from or now, not_after = plan.to or now + 3600,
    eku = plan.eku })))
end

local function of(principal)
  return view.new { principal = principal, time = now }
end

describe("policy.principal", function()
  local basic = of { kind = "basic", name = "dev-1" }
  local shown = of { kind = "certificate", name = "dev-1", anchors = "factory", is_own = true,
    certificate = certificate { eku = { "clientAuth", "1.3.6.1.5.5.7.3.28" } } }

  it("holds where all that is stated does", function()
    for _, case in ipairs {
      { { kind = "basic" }, true, false }, { { kind = "certificate" }, false, true },
      { { anchors = "factory" }, false, true }, { { anchors = { "x", "factory" } }, false, true },
      { { anchors = "fact" }, false, false }, { { is_own = true }, false, true },
      { { is_own = false }, true, false }, { { name = "dev-*" }, true, true },
      { { name = { "a", "dev-?" } }, true, true }, { { name = "dev" }, false, false },
      { { kind = "basic", name = "x" }, false, false }, { { eku = "cmcRA" }, false, true },
      { { eku = "1.3.6.1.5.5.7.3.28" }, false, true }, { { eku = "serverAuth" }, false, false },
      { { eku = { "clientAuth", "cmcRA" } }, false, true },
      { { eku = { "clientAuth", "serverAuth" } }, false, false },
    } do
      local test = policy.principal(case[1])
      assert.same({ case[2], case[3] }, { (test(basic)), (test(shown)) })
    end
  end)

  it("compares facts of the credential, and claims", function()
    local seen = of { kind = "basic", name = "x", credential = { site = "Ulm-2", ["n*"] = "a" },
      claims = { group = "pumps", level = 3, admin = false, list = { "a" },
        deep = { b = { c = "d" } } } }
    for _, case in ipairs {
      { { credential = { site = "Ulm-*" } }, true }, { { credential = { site = "Ulm" } }, false },
      { { credential = { site = { "Bonn", "Ulm-?" } } }, true },
      { { credential = { site = "*", line = "*" } }, false },
      { { claims = { group = "pumps" } }, true },
      { { claims = { group = "*", level = "3" } }, true },
      { { claims = { admin = "false" } }, true }, { { claims = { list = "*" } }, true },
      { { claims = { list = "b" } }, false }, { { claims = { list = { "b", "a" } } }, true },
      { { claims = { deep = { b = { c = "d" } } } }, true },
      { { claims = { deep = { b = { c = "e" } } } }, false },
      { { claims = { deep = { b = "*" } } }, false },
      { { claims = { group = { x = "*" } } }, false },
      { { claims = { deep = { z = "*" } } }, false },
      { { claims = { none = { z = "*" } } }, false },
      { { claims = { group = "pumps" }, credential = { site = "Bonn" } }, false },
    } do
      assert.equal(case[2], (policy.principal(case[1])(seen)))
    end
    assert.is_false((policy.principal { credential = { site = "*" } } (basic)))
  end)

  it("says what it saw", function()
    assert.same({ false, "basic" }, { policy.principal { kind = "certificate" } (basic) })
    assert.same({ false, "dev-1" }, { policy.principal { name = "x" } (basic) })
    assert.same({ true, "dev-1" }, { policy.principal { name = "dev-*" } (basic) })
    assert.same({ false, "factory" }, { policy.principal { anchors = "x" } (shown) })
  end)

  it("takes no other purpose for anyExtendedKeyUsage", function()
    assert.is_false(policy.principal { eku = "clientAuth" } (of { kind = "certificate",
      name = "x", certificate = certificate { eku = { "2.5.29.37.0" } } }))
  end)

  it("knows each kind of proof", function()
    for _, kind in ipairs(kinds.list) do
      assert.is_false(policy.principal { kind = kind.name } (of { kind = "other", name = "x" }))
    end
  end)
end)

describe("a pattern", function()
  local function matches(pattern, name)
    return glob.matches(assert(glob.parse(pattern)), name)
  end

  it("is for the whole name", function()
    for _, case in ipairs {
      { "abc", "abc", true }, { "abc", "abcd", false }, { "abc", "xabc", false },
      { "*", "", true }, { "*", "abc", true }, { "?", "", false }, { "?", "ü", true },
      { "a*", "a", true }, { "a*c", "abcbc", true }, { "a*c", "abcb", false },
      { "**a", "ba", true },
      { "a?c", "ac", false }, { "*.example.com", "a.b.example.com", true },
      { "*.example.com", "axexample.com", false }, { "a.b", "axb", false }, { "%a", "b", false },
      { "[a]", "a", false }, { "*-?-*", "1--2-3", true }, { "a", "A", false },
    } do
      assert.equal(case[3], matches(case[1], case[2]), case[1] .. " " .. case[2])
    end
  end)

  it("matches no wildcard, nothing that is not UTF-8, and nothing too long", function()
    assert.is_false(matches("*.example.com", "*.example.com"))
    assert.is_false(matches("*", "a\xff"))
    assert.is_true(matches("*", ("a"):rep(1024)))
    assert.is_false(matches("*", ("a"):rep(1025)))
  end)

  it("takes no time that grows with the number of stars", function()
    local started = core.clock.cpu_us()
    assert.is_false(matches(("a*"):rep(100) .. "b", ("a"):rep(1024)))
    assert.is_true(core.clock.cpu_us() - started < 1000000)
  end)
end)

describe("policy.key", function()
  local function holds(options, spec, more)
    local made = assert(core.key.generate(spec))
    local facts = { csr = assert(core.csr.build { key = made, subject = "CN=x" }),
      principal = { kind = "basic", name = "x" } }
    for name, value in pairs(more and more(made) or {}) do facts[name] = value end
    return policy.key(options) (view.new(facts))
  end

  it("compares the type as a profile does, and its strength", function()
    assert.is_true(holds({ type = "ec:P-256" }, "ec:P-256"))
    assert.is_true(holds({ type = { "ed25519", "rsa:2048..3072" } }, "rsa:2048"))
    assert.is_false(holds({ type = "rsa:3072..4096" }, "rsa:2048"))
    assert.is_true(holds({ security_bits = 128 }, "ec:P-256"))
    assert.is_false(holds({ security_bits = 128 }, "rsa:2048"))
    assert.is_false(holds({ security_bits = 128, type = "ed25519" }, "ec:P-256"))
  end)

  it("knows whether the ledger has the key", function()
    local function known(count)
      return function()
        return { history = function(about)
          return about == "key" and { issued = { count = count, more = false } }
        end }
      end
    end
    assert.is_true(holds({ is_known = true }, "ec:P-256", known(1)))
    assert.is_false(holds({ is_known = true }, "ec:P-256", known(0)))
    assert.is_true(holds({ is_known = false }, "ec:P-256", known(0)))
    assert.is_false(holds({ is_known = false }, "ec:P-256", known(2)))
    -- It is asked last.
    assert.is_false(holds({ type = "rsa:2048", is_known = false }, "ec:P-256"))
  end)

  it("knows the key of the certificate that is renewed, or else shown", function()
    local function shown(made)
      return { principal = { kind = "certificate", name = "x",
        certificate = certificate { key = made:public_der() } } }
    end
    local function renewed(made)
      return { previous = { certificate = certificate { key = made:public_der() } } }
    end
    for _, more in ipairs { shown, renewed } do
      assert.is_true(holds({ reuse = true }, "ec:P-256", more))
      assert.is_false(holds({ reuse = false }, "ec:P-256", more))
    end
    local function other() return { previous = { certificate = certificate {} } } end
    assert.is_false(holds({ reuse = true }, "ec:P-256", other))
    assert.is_true(holds({ reuse = false }, "ec:P-256"))
  end)
end)

describe("policy.address", function()
  it("holds for what is in one of the networks", function()
    local test = policy.address { "10.0.0.0/8", "192.0.2.128/25", "198.51.100.7", "2001:db8::/33" }
    for address, expected in pairs {
      ["10.255.0.1"] = true, ["11.0.0.1"] = false, ["192.0.2.128"] = true, ["192.0.2.127"] = false,
      ["198.51.100.7"] = true, ["198.51.100.8"] = false, ["2001:db8:7fff::1"] = true,
      ["2001:db8:8000::1"] = false, ["::ffff:10.0.0.1"] = false, ["a00::"] = false, unix = false,
    } do
      assert.equal(expected, test { address = address }, address)
    end
    assert.is_true(policy.address "0.0.0.0/0" { address = "203.0.113.9" })
    assert.is_false(policy.address "0.0.0.0/0" { address = "::1" })
    assert.is_true(policy.address "::/0" { address = "::1" })
  end)

  it("is strict about how they are written", function()
    for _, text in ipairs { "10.0.0.0/33", "10.0.0.0/08", "10.0.0/24", "10.0.0.0/", "10.0.0.0/-1",
      "010.0.0.0/8", "10.0.0.0/8 ", " 10.0.0.0/8", "10.0.0.0/255.0.0.0", "::/129", "fe80::1%eth0",
      "[::1]", "host", "", "1", "::ffff:10.0.0.0/104" } do
      assert.is_nil((network.parse(text)), text)
    end
    local _, problem = network.parse "10.1.2.3/8"
    assert.equal("'10.1.2.3/8' has bits behind its prefix: write '10.0.0.0/8', or '10.1.2.3' for "
      .. "one address", problem)
    assert.matches("write '2001:db8::/32'", select(2, network.parse "2001:db8::1/32"))
  end)
end)

describe("policy.time", function()
  -- 2026-01-31 is a Saturday.
  local SATURDAY <const> = 1769817600
  local function at(options, hour, minute, day)
    return policy.time(options) { time = SATURDAY + (day or 0) * 86400 + hour * 3600
      + (minute or 0) * 60 }
  end

  it("knows days and hours of UTC", function()
    assert.equal("Sat 00:00", os.date("!%a %H:%M", SATURDAY))
    assert.is_true(at({ days = "sat" }, 0))
    assert.is_true(at({ days = "sat" }, 23, 59))
    assert.is_false(at({ days = "sat" }, 0, 0, 1))
    assert.is_false(at({ days = "mon-fri" }, 12))
    assert.is_true(at({ days = "mon-fri" }, 12, 0, 2))
    assert.is_true(at({ days = "fri-mon" }, 12))
    assert.is_false(at({ days = { "mon-wed", "fri" } }, 12, 0, 5))
    assert.is_false(at({ hours = "08:00-18:00" }, 7, 59))
    assert.is_true(at({ hours = "08:00-18:00" }, 8))
    assert.is_false(at({ hours = "08:00-18:00" }, 18))
    assert.is_true(at({ hours = "18:00-24:00" }, 23, 59))
    assert.is_true(at({ hours = "22:00-06:00" }, 5, 59))
    assert.is_false(at({ hours = "22:00-06:00" }, 6))
    assert.is_true(at({ hours = { "01:00-02:00", "12:30-13:00" } }, 12, 45))
    assert.is_false(at({ days = "sun", hours = "08:00-18:00" }, 9))
  end)
end)

describe("policy.validity", function()
  local function holds(options, left, life)
    return policy.validity(options) { time = 1000000, principal = {}, previous = { certificate = {
      not_after = 1000000 + left, not_before = 1000000 + left - (life or 1000) } } }
  end

  it("knows what is left, and since when nothing is", function()
    assert.is_true(holds({ left = "1h" }, 3600))
    assert.is_false(holds({ left = "1h" }, 3601))
    assert.is_true(holds({ left = "30%" }, 300))
    assert.is_false(holds({ left = "30%" }, 301))
    assert.is_false(holds({ left = "1h" }, -1))
    assert.is_true(holds({ left = "1h", expired = "1m" }, -60))
    assert.is_false(holds({ left = "1h", expired = "1m" }, -61))
    assert.is_true(holds({ expired = "1m" }, 100000))
    assert.is_true(holds({ expired = 0 }, 0))
    assert.is_false(holds({ expired = 0 }, -1))
  end)

  it("is about the certificate that was shown where none is renewed", function()
    local test = policy.validity { left = "2h" }
    assert.is_true(test(of { kind = "certificate", name = "x", certificate = certificate {} }))
    assert.is_false(test(of { kind = "basic", name = "x" }))
  end)
end)

describe("a mistake in a test", function()
  it("is told with a hint", function()
    for problem, call in pairs {
      ["policy.principal: knd: unknown, did you mean 'kind'?"] = { "principal", { knd = "basic" } },
      ["kind: 'cert' is not one of certificate, basic"] = { "principal", { kind = "cert" } },
      ["eku[1]: 'clientauth' is no extended key usage, did you mean 'clientAuth'?"] =
        { "principal", { eku = "clientauth" } },
      ["is_own: must be true or false, not a string"] = { "principal", { is_own = "yes" } },
      ["name[2]: must be a pattern, not a number"] = { "principal", { name = { "a", 5 } } },
      ["name[1]: a pattern is UTF-8"] = { "principal", { name = "" } },
      ["policy.principal: nothing is stated: write policy.principal { kind = \"basic\" }"] =
        { "principal", {} },
      ["policy.principal takes a table, as { kind = \"basic\" }, not a string"] =
        { "principal", "basic" },
      ["cn: unknown, did you mean 'CN'?"] = { "asks_for", { cn = "x" } },
      ["san[1]: 'DSN:x' does not begin with a kind of name, as \"DNS:\", did you mean 'DNS'?"] =
        { "asks_for", { san = "DSN:x" } },
      ["type[1]: 'p256' is no kind of key here, did you mean 'ec:P-256'?"] =
        { "key", { type = "p256" } },
      ["bits: unknown: write security_bits = 128"] = { "key", { bits = 5 } },
      ["policy.address: [2]: 'x' is no network"] = { "address", { "10.0.0.0/8", "x" } },
      ["policy.address takes a table, as { \"192.0.2.0/24\" }, not nil"] = { "address" },
      ["days[1]: 'monday' is no day"] = { "time", { days = "monday" } },
      ["hours[1]: '8-18' are no hours: write them as \"08:00-18:00\""] =
        { "time", { hours = "8-18" } },
      ["hours[1]: '08:60-18:00' are no hours"] = { "time", { hours = "08:60-18:00" } },
      ["hours[1]: '08:00-08:00' are no hours"] = { "time", { hours = "08:00-08:00" } },
      ["left: '30' is no duration without a unit"] = { "validity", { left = "30" } },
    } do
      local ok, found = pcall(function() policy[call[1]](call[2]) end)
      assert.is_false(ok)
      assert.truthy(found:find("tests_spec.lua:", 1, true), found)
      assert.truthy(found:find(problem, 1, true), found)
    end
  end)
end)
