-- policy.asks_for: names of a CSR against patterns, and against templates of the request.
local policies = require "support.policy"
local policy = require "lest.policy"
local view = require "lest.server.worker.view"

describe("policy.asks_for", function()
  local function asks(options, subject, san)
    return (policy.asks_for(options) { csr = policies.csr(subject, san) })
  end

  it("wants each name to match", function()
    local wish = { CN = "dev-*", san = { "DNS:*.Example.com", "IP:10.*" } }
    assert.is_true(asks(wish, "CN=dev-1"))
    assert.is_true(asks(wish, "CN=dev-1", { "DNS:A.example.COM", "IP:10.0.0.1" }))
    assert.is_false(asks(wish, "CN=admin"))
    assert.is_false(asks(wish, "CN=dev-1,CN=admin"))
    assert.is_false(asks(wish, "CN=dev-1,O=x"))
    assert.is_false(asks(wish, "CN=dev-1", { "DNS:a.example.com", "DNS:a.example.org" }))
    assert.is_false(asks(wish, "CN=dev-1", { "DNS:*.example.com" }))
    assert.is_false(asks(wish, "CN=dev-1", { "email:a@example.com" }))
    assert.is_false(asks({ CN = "*" }, "CN=x", { "DNS:x" }))
  end)

  it("wants each attribute that is stated, and some name at all", function()
    assert.is_false(asks({ CN = "*", O = "*" }, "CN=x"))
    assert.is_true(asks({ CN = "*", O = { "a", "b" } }, "O=b,CN=x"))
    assert.is_false(asks({ san = "DNS:*" }, {}))
    assert.is_true(asks({ san = "DNS:*" }, {}, { "DNS:x" }))
  end)

  it("is not passed by a change of names", function()
    assert.is_false(policy.asks_for { CN = "*" } { csr = { subject = { { "CN", "x" } }, san = {},
      change = { subject = { { "CN", "y" } }, san = {} } } })
  end)

  local function of(name, more)
    local facts = { principal = { kind = "basic", name = name, credential = { org = "a?c" } },
      address = "192.0.2.7" }
    for field, value in pairs(more) do facts[field] = value end
    return view.new(facts)
  end

  local function holds(options, name, subject, san)
    return policy.asks_for(options)(of(name, { csr = policies.csr(subject, san) }))
  end

  it("has parts of the request in its patterns", function()
    local wish = { CN = { "pump-${principal.name}-?", "spare" },
      san = { "DNS:*.${principal.name}.Example.com", "IP:${address}" } }
    assert.is_true(holds(wish, "Ulm1", "CN=pump-Ulm1-7", { "DNS:a.ULM1.example.COM",
      "IP:192.0.2.7" }))
    assert.is_true(holds(wish, "Ulm1", "CN=spare"))
    for _, case in ipairs {
      { "Ulm1", "CN=pump-Ulm2-7" }, { "Ulm1", "CN=pump-Ulm1-" }, { "Ulm1", "CN=pump-ulm1-7" },
      { "Ulm1", "CN=spare", { "DNS:a.ulm2.example.com" } },
      { "Ulm1", "CN=spare", { "IP:192.0.2.8" } },
    } do
      assert.is_false((holds(wish, table.unpack(case))))
    end
  end)

  it("takes no part for a pattern, nor one that means something in its place", function()
    for _, name in ipairs { "*", "?", "a*", "", "a.b", "-a", "a/b", "\xff" } do
      local fits, saw = holds({ CN = "${principal.name}" }, name, "CN=x")
      assert.is_false(fits)
      assert.matches("principal.name '.*' is not letters, digits", saw)
    end
    assert.same({ false, "the pattern is too long" },
      { holds({ CN = "${principal.name}" }, ("a"):rep(1025), "CN=x") })
    -- Where a "?" is a character as others, it stands for itself.
    assert.is_true((holds({ O = "${principal.credential.org}" }, "x", "O=a?c")))
    assert.is_false((holds({ O = "${principal.credential.org}" }, "x", "O=abc")))
    local fits, saw = holds({ CN = "${principal.credential.site}" }, "x", "CN=x")
    assert.same({ false, "principal.credential.site is missing" }, { fits, saw })
  end)

  it("says what did not fit", function()
    assert.same({ false, "admin" }, { holds({ CN = "dev-*" }, "x", "CN=admin") })
    assert.same({ false, "DNS:x" }, { holds({ CN = "*" }, "x", "CN=a", { "DNS:x" }) })
    assert.same({ false, "no O" }, { holds({ CN = "*", O = "*" }, "x", "CN=a") })
  end)

  it("is told of a mistake in a template when it is made", function()
    for problem, options in pairs {
      ["CN[1]: ${principal.nam}: request.principal has no 'nam'"] = { CN = "${principal.nam}" },
      ["CN[1]: 'a${principal.name}$': a '$' begins a part"] = { CN = "a${principal.name}$" },
      ["san[1]: 'RID:${principal.name}': a template is for DNS:"] =
        { san = "RID:${principal.name}" },
    } do
      local ok, told = pcall(policy.asks_for, options)
      assert.is_false(ok)
      assert.is_truthy(told:find(problem, 1, true), told)
    end
    -- A "$" alone is a character.
    assert.is_true(asks({ CN = "a$*" }, "CN=a$b"))
  end)
end)
