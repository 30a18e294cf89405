-- Nonces of HTTP Digest: which are good, for how long, and once.
local nonce = require "lest.server.wire.nonce"
local nonces_module = require "lest.server.authority.nonces"

describe("a nonce", function()
  local now, nonces

  before_each(function()
    now = 1000000
    nonces = nonces_module.new { now_s = function() return now end, kept_max = 8 }
  end)

  local function made(at)
    return nonce.make(nonces.key, "lest", at or now)
  end

  it("7616-3.3-b is good once for each count, and for none below one that was used", function()
    local text = made()
    assert.is_true(nonces:take("lest", text, "00000001"))
    assert.is_false(nonces:take("lest", text, "00000001"))
    assert.is_true(nonces:take("lest", text, "0000000f"))
    assert.is_false(nonces:take("lest", text, "0000000e"))
    assert.is_true(nonces:take("lest", made(), "00000001"))
    for _, nc in ipairs { "00000000", "-0000001", "xxxxxxxx", "" } do
      assert.is_false(nonces:take("lest", made(), nc), nc)
    end
  end)

  it("is of its key and realm, whole and unchanged", function()
    local text = made()
    assert.is_false(nonces:take("other", text, "00000001"))
    local other = nonces_module.new { now_s = function() return now end }
    assert.is_false(other:take("lest", text, "00000001"))
    for i = 1, #text do
      local changed = text:sub(i, i) == "A" and "B" or "A"
      assert.is_false(nonces:take("lest", text:sub(1, i - 1) .. changed .. text:sub(i + 1),
        "00000001"), i)
      assert.is_false(nonces:take("lest", text:sub(1, i - 1), "00000001"), i)
    end
    assert.is_true(nonces:take("lest", text, "00000001"))
  end)

  it("is over after five minutes, and not good before it was made", function()
    local text = made()
    now = now + 299
    assert.is_true(nonces:take("lest", text, "00000001"))
    now = now + 1
    assert.is_false(nonces:take("lest", text, "00000002"))
    assert.is_false(nonces:take("lest", made(now + 1), "00000001"))
  end)

  it("that was forgotten is good for nothing, whatever the clock says", function()
    local used = made()
    assert.is_true(nonces:take("lest", used, "00000001"))
    for _ = 1, 100 do
      now = now + 1
      assert.is_true(nonces:take("lest", made(), "00000001"))
      assert.is_true(nonces:held() <= 9, nonces:held())
    end
    assert.is_false(nonces:take("lest", used, "00000001"))
    now = now - 100
    assert.is_false(nonces:take("lest", used, "00000001"))
  end)

  it("is remembered while it is good, though time goes on", function()
    local used = made()
    assert.is_true(nonces:take("lest", used, "00000001"))
    for _ = 1, 3 do
      now = now + 99
      assert.is_false(nonces:take("lest", used, "00000001"))
    end
  end)
end)
