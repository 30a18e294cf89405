-- What was signed about certificates is kept in bounded memory, and never past a revocation.
local cache = require "lest.server.wire.ocsp_cache"

describe("the cache of OCSP responses", function()
  local function said(from, to)
    return { response = "r", this_update = from or 0, next_update = to or 100 }
  end

  local function id(serial, form) return { serial = serial, id = (form or "a") .. serial } end

  local function keep(kept, ...) kept:keep(id(...), said(), kept:mark()) end

  it("has each form of a question, while its answer is good", function()
    local kept = cache.new()
    keep(kept, "01")
    keep(kept, "01", "b")
    assert.truthy(kept:find(id "01", 50))
    assert.truthy(kept:find(id("01", "b"), 99))
    assert.is_nil(kept:find(id("01", "c"), 50))
    assert.is_nil(kept:find(id "02", 50))
    assert.is_nil(kept:find(id "01", 100))
    -- It is gone by then.
    assert.is_nil(kept:find(id "01", 50))
    kept:keep(id "03", said(10), kept:mark())
    assert.is_nil(kept:find(id "03", 8))
  end)

  it("forgets what was revoked, or all", function()
    local kept = cache.new()
    for _, serial in ipairs { "01", "02", "03" } do keep(kept, serial) end
    kept:forget { "01", "77" }
    assert.is_nil(kept:find(id "01", 1))
    assert.truthy(kept:find(id "02", 1))
    kept:forget(nil)
    assert.is_nil(kept:find(id "02", 1))
    assert.is_nil(kept:find(id "03", 1))
  end)

  it("keeps nothing that was asked for before a revocation", function()
    local kept = cache.new()
    local mark = kept:mark()
    kept:forget { "09" }
    kept:keep(id "01", said(), mark)
    assert.is_nil(kept:find(id "01", 1))
  end)

  it("is bounded in certificates and in forms of one, and keeps what is asked for", function()
    local kept = cache.new()
    keep(kept, "first")
    for i = 1, 10000 do
      keep(kept, tostring(i))
      assert.truthy(kept:find(id "first", 1))
    end
    local count = 0
    for _, half in ipairs { kept.new, kept.old } do
      for _ in pairs(half) do count = count + 1 end
    end
    assert.is_true(count <= 4096, count)
    for i = 1, 100 do keep(kept, "forms", "f" .. i) end
    local forms = 0
    for _ in pairs(kept.new.forms) do forms = forms + 1 end
    assert.equal(16, forms)
  end)
end)
