-- Which certificate of an answer a client takes for its own, and what it keeps of the chain
-- (RFC 7030 4.2.3).
local core = require "lest.core"
local issued = require "lest.client.issued"
local trust = require "lest.client.trust"

describe("what a client takes from the answer to its request", function()
  local NOW <const> = core.clock.wall_us() // 1000000
  local key, csr, root, issuer

  setup(function()
    key = assert(core.key.generate "ec:P-256")
    csr = assert(core.csr.build { key = key, subject = "CN=device" })
    local ca_key = assert(core.key.generate "ec:P-256")
    root = assert(core.issuer.root { key = ca_key, subject = "CN=Root", not_before = NOW - 86400,
      not_after = NOW + 86400 })
    issuer = assert(core.issuer.new { cert = root, key = ca_key })
  end)

  --- A certificate that began so many seconds ago, for another key or of another issuer perhaps.
  local function certificate(age, of_key, by)
    return assert(core.cert.parse(assert((by or issuer):issue {
      public_key = (of_key or key):public_der(), subject = "CN=device", not_before = NOW - age,
      not_after = NOW + 3600 })))
  end

  local function take(certs, anchors, fetch)
    local found, err = issued.take(certs, csr, assert(trust.open(anchors or { root })),
      fetch or function() return nil, core.error.new { code = "network", message = "away" } end)
    return found, err
  end

  it("is the newest for its key, in any order, among others' and older ones", function()
    local new, old = certificate(60), certificate(600)
    local other = certificate(0, assert(core.key.generate "ec:P-256"))
    for _, certs in ipairs { { new, old, other }, { other, old, new }, { old, new, other } } do
      assert.equal(new, take(certs))
    end
  end)

  it("is nothing that is for another key, or that no anchor vouches for", function()
    local stranger_key = assert(core.key.generate "ec:P-256")
    local stranger = assert(core.issuer.root { key = stranger_key, subject = "CN=Root",
      not_before = NOW - 60, not_after = NOW + 86400 })
    local by = assert(core.issuer.new { cert = stranger, key = stranger_key })
    for _, certs in ipairs { {}, { certificate(0, stranger_key) }, { certificate(0, nil, by) },
      { certificate(0, nil, by), stranger }, { root } } do
      local found, err = take(certs)
      assert.is_nil(found)
      assert.equal("trust", err.code)
    end
  end)

  it("leaves the root out of the chain, and no anchor that is an intermediate", function()
    local pki = require "support.pki"
    local made <close> = pki.new()
    local top = made:root "top"
    local sub = made:sub("sub", { by = top })
    local holder = made:issue("holder", { by = sub })
    csr = assert(core.csr.build { key = assert(core.key.load(holder.key)), subject = "CN=holder" })
    for _, case in ipairs { { { top.cert }, { sub.cert } }, { { sub.cert }, { sub.cert } } } do
      local cert = assert(take({ sub.cert, holder.cert }, case[1]))
      assert.same(case[2], cert.chain)
    end
  end)
end)
