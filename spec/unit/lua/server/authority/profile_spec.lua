-- A profile holds every certificate to the names, keys and times that it allows.
local core = require "lest.core"
local profile = require "lest.server.authority.profile"

local NOW <const> = 1800000000

describe("a profile with names of principals", function()
  local key, issuer, ca, csr
  local own <const> = {
    names = "principal", keys = { "ec:P-256" }, key_usage = { "digitalSignature" },
    eku = { "clientAuth" }, subject = { "CN", "O" }, san = { "DNS" }, lifetime = 86400,
    backdate = 60, key_change = "allowed", crl_urls = {}, ocsp_urls = {}, ca_issuer_urls = {},
  }

  setup(function()
    key = assert(core.key.generate "ec:P-256")
    ca = assert(core.issuer.root { key = key, subject = "CN=Root", not_before = NOW - 60,
      not_after = NOW + 10 * 86400 })
    issuer = assert(core.issuer.new { cert = ca, key = key })
    csr = assert(core.csr.parse(assert(core.csr.build { key = key, subject = "CN=x" }):der()))
  end)

  local function certificate(subject, san)
    return assert(core.cert.parse(assert(issuer:issue { public_key = key:public_der(),
      subject = subject, san = san, not_before = NOW - 60, not_after = NOW + 86400 })))
  end

  local function plan(principal, subject, san)
    return profile.plan(own, { verdict = { subject = subject, san = san }, principal = principal,
      csr = csr, ca = ca, now = NOW })
  end

  local function with_certificate(subject, san)
    local cert = certificate(subject, san)
    return { kind = "certificate", certificate = cert,
      name = cert.subject.CN or tostring(cert.subject) }
  end

  it("issues a certificate's own subject with its characters", function()
    local alice = with_certificate "CN=alice,O=Example"
    local made = assert(plan(alice, { { "CN", "ALICE" }, { "O", "example" } }))
    local again = assert(core.cert.parse(assert(issuer:issue(made))))
    assert.equal("O=Example,CN=alice", tostring(again.subject))
    assert.equal("alice", again.subject.CN)
    assert.equal(core.name.encode { { "CN", "alice" } },
      assert(plan(alice, { { "CN", "alice" } })).subject_der)
    assert.is_nil((plan(alice, { { "CN", "ALICE" } })))
  end)

  it("gives no time outside the CA's own", function()
    local carol = { kind = "basic", name = "carol" }
    local function times(profile_of, at)
      local made = assert(profile.plan(setmetatable(profile_of, { __index = own }), {
        verdict = { subject = { { "CN", "carol" } } }, principal = carol, csr = csr, ca = ca,
        now = at }))
      return { made.not_before - NOW, made.not_after - NOW }
    end
    assert.same({ -60, 86400 }, times({}, NOW))
    assert.same({ -60, 86400 }, times({ backdate = 3600 }, NOW))
    assert.same({ 40, 10 * 86400 }, times({ lifetime = 20 * 86400 }, NOW + 100))
  end)

  it("takes no other name", function()
    local alice = with_certificate("CN=alice,O=Example", { "DNS:alice.example" })
    for _, names in ipairs {
      { subject = { { "CN", "bob" } } }, { subject = { { "CN", "alice" }, { "CN", "bob" } } },
      { subject = { { "CN", "alice" }, { "O", "Other" } } }, { subject = { { "O", "alice" } } },
      { san = { "DNS:bob.example" } }, { san = { "DNS:ALICE.example" } },
      { subject = { { "CN", "alice" } }, san = { "DNS:alice.example", "DNS:bob" } },
      { subject = { { "2.5.4.3", "alice" } } }, {},
    } do
      local made, problem = plan(alice, names.subject, names.san)
      assert.is_nil(made)
      assert.is_string(problem)
    end
    assert.is_table(plan(alice, {}, { "DNS:alice.example", "DNS:alice" }))
    local odd = { kind = "basic", name = "#0c0161" }
    assert(plan(odd, { { "CN", "#0c0161" } }))
    assert.is_nil((plan(odd, { { "CN", "#0c0161", der = true } })))
  end)

  it("makes no common name of what is none", function()
    local maker = with_certificate "O=Example"
    assert.is_nil((plan(maker, { { "CN", maker.name } })))
    assert.is_nil((plan(maker, {}, { "DNS:" .. maker.name })))
    assert.is_table(plan(maker, { { "O", "Example" } }))
    local nameless = with_certificate("", { "DNS:a.example" })
    nameless.name = "DNS:a.example"
    assert.is_nil((plan(nameless, { { "CN", "DNS:a.example" } })))
    assert.is_table(plan(nameless, {}, { "DNS:a.example" }))
  end)

  it("holds whoever has a certificate from here to key_change, renewing or not", function()
    local alice = with_certificate "CN=alice"
    local fresh = assert(core.csr.build { key = assert(core.key.generate "ec:P-256"),
      subject = "CN=alice" })
    for key_change, expected in pairs { allowed = { true, true }, required = { false, true },
      forbidden = { true, false } } do
      local changed = setmetatable({ key_change = key_change }, { __index = own })
      for i, request in ipairs { csr, assert(core.csr.parse(fresh:der())) } do
        local facts = { verdict = { subject = { { "CN", "alice" } } }, principal = alice,
          csr = request, ca = ca, now = NOW }
        assert.is_table(profile.plan(changed, facts))
        facts.own = alice.certificate
        assert.equal(expected[i], profile.plan(changed, facts) ~= nil, key_change)
      end
    end
  end)

  it("knows whose mistake a name is", function()
    local carol = { kind = "basic", name = "carol" }
    local asked = assert(core.csr.build { key = key, subject = "CN=carol,OU=x",
      san = { "email:a@b" } })
    local function of_client(subject, san)
      local _, problem = profile.check_names(own, carol, subject, san)
      return profile.is_of_client(own, carol, asked, assert(problem))
    end
    assert.is_true(of_client({ { "CN", "carol" }, { "OU", "y" } }, {}))
    assert.is_true(of_client({ { "CN", "carol" } }, { "email:a@b" }))
    assert.is_false(of_client({ { "CN", "carol" }, { "L", "x" } }, {}))
    assert.is_false(of_client({ { "CN", "carol" } }, { "URI:a:b" }))
    assert.is_false(of_client({ { "CN", "" } }, {}))
    carol.name = ("x"):rep(65)
    assert.is_true(of_client({ { "CN", carol.name } }, {}))
  end)

  -- Admission lets a request pass that some profile of the label takes; the policy names another.
  it("holds an approval to what it allows itself, whatever was admitted", function()
    local cert = certificate("CN=alice,O=Example", { "DNS:alice.example" })
    local other <const> = { subject = { { "CN", "alice" } } }
    local change = assert(core.csr.parse(assert(core.csr.build { key = key, subject = "CN=alice",
      change = { subject = "CN=bob" } }):der()))
    for problem, case in pairs {
      ["a key of type ec:P-256 is not allowed here"] = {
        { keys = { "ec:P-384", "rsa:2048..4096" } } },
      ["a renewal needs the certificate being renewed"] = { {}, { renewal = true } },
      ["a renewal gives no other names"] = { {}, { renewal = true },
        { previous = cert, csr = change } },
      ["names from the certificate being renewed only"] = { { names = "renewal" } },
      ["the subject attribute CN is not in the profile"] = { { subject = { "O" } } },
      ["the subject attribute O is not in the profile"] = {
        { subject = { "CN" } }, { renewal = true }, { previous = cert } },
      ["a subject alternative name of type DNS is not in the profile"] = {
        { san = {} }, { renewal = true }, { previous = cert } },
      ["a subject alternative name of type ? is not in the profile"] = {
        { names = "policy" }, { san = { "alice" } } },
      ["the lifetime is longer than the profile's"] = { {},
        { subject = other.subject, lifetime = 86401 } },
      ["the CA's certificate has expired"] = { {}, other, { now = ca.not_after } },
      ["the CA's certificate is not valid yet"] = { {}, other, { now = ca.not_before - 1 } },
      ["a new key is required"] = { { key_change = "required" }, other, { own = cert } },
      ["there is no name at all"] = { { names = "policy" }, {} },
    } do
      local facts = { verdict = case[2] or other, principal = { kind = "basic", name = "alice" },
        csr = csr, ca = ca, now = NOW }
      for name, value in pairs(case[3] or {}) do facts[name] = value end
      local made, why = profile.plan(setmetatable(case[1], { __index = own }), facts)
      assert.is_nil(made, problem)
      assert.matches(problem, why, 1, true)
    end
    assert.is_table(profile.plan(own, { verdict = { subject = other.subject, lifetime = 86400 },
      principal = { kind = "basic", name = "alice" }, csr = csr, ca = ca, now = NOW }))
  end)

  it("issues by a profile of the label alone", function()
    local profiles, label = { device = own, admin = own }, { profiles = { "device" } }
    local facts = { verdict = { subject = { { "CN", "alice" } } }, csr = csr, ca = ca, now = NOW,
      principal = { kind = "basic", name = "alice" } }
    assert.is_table(profile.plan_by(profiles, label, "device", facts))
    local made, why = profile.plan_by(profiles, label, "admin", facts)
    assert.is_nil(made)
    assert.equal("the label does not have the profile 'admin'", why)
  end)

  it("takes the sizes of RSA keys between its bounds, both among them", function()
    local sizes <const> = { keys = { "rsa:3072..4096", "EC:p-256" } }
    for kind, expected in pairs { ["rsa:3071"] = false, ["rsa:3072"] = true, ["rsa:4096"] = true,
      ["rsa:4097"] = false, ["rsa:1024"] = false, ["ec:P-256"] = true, ["ec:P-384"] = false,
      ["ed25519"] = false } do
      assert.equal(expected, (profile.check_key(sizes, kind)) or false, kind)
    end
  end)

  it("gives a password's owner the user name", function()
    local carol = { kind = "basic", name = "carol" }
    assert.is_table(plan(carol, { { "CN", "carol" } }, { "DNS:carol" }))
    assert.is_nil((plan(carol, { { "CN", "Carol" } })))
    assert.is_nil((plan(carol, { { "CN", "carol" }, { "O", "x" } })))
  end)
end)
