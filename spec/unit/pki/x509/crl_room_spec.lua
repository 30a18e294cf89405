-- A new CRL has room for what an authority of many years has revoked, and an end to it.
local core = require "lest.core"

local NOW <const> = 1735689600 -- 2025-01-01

describe("a new CRL", function()
  it("has room for 100,000 entries, and says where it has none", function()
    local key = assert(core.key.generate "ec:P-256")
    local cert = assert(core.issuer.root { key = key, subject = "O=Example,CN=root",
      not_before = NOW, not_after = NOW + 40 * 365 * 86400 })
    local issuer = assert(core.issuer.new { cert = cert, key = key })
    local draft <close> = core.crl.draft()
    for i = 1, 100000 do
      assert(draft:add(("%032x"):format(i), NOW, "keyCompromise"))
    end
    local sealed <close> = assert(issuer:sign_crl(draft,
      { number = 1, this_update = NOW, next_update = NOW + 86400 }))
    assert.equal(100000, assert(core.crl.parse(sealed:bytes())).count)
    local ok, err
    for i = 1, 1000000 do
      ok, err = draft:add(("%032x"):format(i), NOW, "keyCompromise")
      if not ok then break end
    end
    assert.is_nil(ok)
    assert.equal("too_large", err.code)
  end)
end)
