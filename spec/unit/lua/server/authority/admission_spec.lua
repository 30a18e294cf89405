-- What must hold of a request before a policy is asked, each condition alone (RFC 7030 4.2.1,
-- 4.2.2).
local admission = require "lest.server.authority.admission"
local core = require "lest.core"
local refusal = require "lest.server.wire.refusal"
local request_module = require "lest.server.authority.request"

describe("before a policy is asked", function()
  local NOW <const> = 1800000000
  local key, other_key, issuer, cert, profiles

  setup(function()
    key = assert(core.key.generate "ec:P-256")
    other_key = assert(core.key.generate "ec:P-256")
    local ca = assert(core.issuer.root { key = other_key, subject = "CN=Root",
      not_before = NOW - 60, not_after = NOW + 86400 })
    issuer = assert(core.issuer.new { cert = ca, key = other_key })
  end)

  local function certificate(eku)
    return assert(core.cert.parse(assert(issuer:issue { public_key = key:public_der(),
      subject = "CN=alice", san = { "DNS:alice" }, eku = eku, not_before = NOW - 60,
      not_after = NOW + 3600 })))
  end

  before_each(function()
    cert = certificate { "clientAuth" }
    local function profile(changes)
      return setmetatable(changes, { __index = { names = "principal", keys = { "ec:P-256" },
        key_usage = { "digitalSignature" }, eku = { "clientAuth" }, key_change = "allowed" } })
    end
    profiles = { device = profile {}, strict = profile { key_change = "forbidden" },
      chosen = profile { names = "policy" }, large = profile { keys = { "ec:P-384" } } }
  end)

  --- Check a CSR of the certificate's names, with changes to it, in a request with changes to that.
  local function check(csr_changes, changes)
    local build = { key = key, subject = "CN=alice", san = { "DNS:alice" } }
    for name, value in pairs(csr_changes or {}) do build[name] = value or nil end
    local der = assert(core.csr.build(build)):der()
    changes = changes or {}
    if changes.der then der = changes.der(der) end
    local label = { profiles = changes.profiles or { "device" }, profile = "device",
      renews = { "default" } }
    local request = request_module.new({}, { csr = der,
      operation = changes.renews and "simplereenroll" or "simpleenroll" }, label, NOW)
    request:read_csr()
    request.principal = { certificate = not changes.no_certificate and cert or nil }
    request.own = not changes.foreign and { label = changes.issued_at or "default",
      profile = changes.issued_as or "device" } or nil
    local ok, problem = pcall(admission.check, { config = { profiles = profiles } }, request)
    if ok then return request end
    assert(refusal.is(problem), tostring(problem))
    return nil, problem.reason, problem.status
  end

  local function refuses(status, why, csr_changes, changes)
    local request, reason, found = check(csr_changes, changes)
    assert.is_nil(request)
    assert.matches(why, reason, 1, true)
    assert.equal(status, found)
  end

  it("a key proves itself, with a type and usages that some profile takes", function()
    assert.is_table(check())
    refuses(400, "is not right", nil, { der = function(der)
      return der:sub(1, -2) .. string.char(der:byte(-1) ~ 1)
    end })
    refuses(400, "a key of type ec:P-256 is not allowed here", nil, { profiles = { "large" } })
    assert.is_table(check(nil, { profiles = { "large", "device" } }))
    refuses(400, "none of the requested key usages", { key_usage = { "keyAgreement" } })
    refuses(400, "none of the requested extended key usages", { eku = { "serverAuth" } })
    assert.is_table(check { key_usage = { "keyAgreement", "digitalSignature" },
      eku = { "serverAuth", "clientAuth" } })
  end)

  it("names fit into a verdict", function()
    local san = {}
    for i = 1, 128 do san[i] = ("DNS:%d.example"):format(i) end
    assert.is_table(check { san = san })
    san[129] = "DNS:x"
    refuses(400, "more than 128 alternative names", { san = san })
    local function uri(length) return { "URI:x:" .. ("y"):rep(length - #"URI:x:") } end
    assert.is_table(check { san = uri(1024) })
    refuses(400, "longer than 1024 bytes", { san = uri(1025) })
  end)

  it("other names are wanted only where a policy chooses them", function()
    local change = { change = { subject = "CN=bob" } }
    refuses(403, "ChangeSubjectName", change)
    assert.is_table(check(change, { profiles = { "device", "chosen" } }))
  end)

  it("a holder of ours has no way around key_change by enrolling anew", function()
    local fresh = { key = other_key }
    refuses(403, "the key must stay", fresh, { profiles = { "strict" } })
    assert.is_table(check(fresh, { profiles = { "strict", "device" } }))
    assert.is_table(check(fresh, { profiles = { "strict" }, foreign = true }))
    assert.is_table(check(nil, { profiles = { "strict" } }))
  end)

  it("a renewal has the certificate's names, and that is one of ours from here",
    function()
    local renewal = { renews = true }
    local request = check(nil, renewal)
    assert.same({ cert, cert.serial }, { request.previous, request.renews })
    refuses(403, "renewal needs a TLS client certificate", nil,
      { renews = true, no_certificate = true })
    refuses(403, "was not issued by this CA", nil, { renews = true, foreign = true })
    refuses(403, "issued at another label", nil, { renews = true, issued_at = "other" })
    refuses(403, "the subject of the request", { subject = "CN=bob" }, renewal)
    refuses(403, "the subject alternative names", { san = { "DNS:bob" } }, renewal)
    refuses(403, "the subject alternative names", { san = false }, renewal)
    -- What an enrollment may ask for is no matter then.
    assert.is_nil(check({ subject = "CN=bob" }, {}).previous)
  end)

  it("a renewal keeps to key_change of its own profile", function()
    local fresh = { key = other_key }
    assert.is_table(check(fresh, { renews = true }))
    refuses(403, "the key must stay", fresh,
      { renews = true, profiles = { "device", "strict" }, issued_as = "strict" })
  end)

  it("an RA of ours renews for others, and a device does not", function()
    cert = certificate { "clientAuth", "cmcRA" }
    local request = assert(check({ subject = "CN=bob" }, { renews = true }))
    assert.is_nil(request.previous)
    refuses(403, "the key must stay", { subject = "CN=bob", key = other_key },
      { renews = true, profiles = { "strict" } })
  end)
end)
