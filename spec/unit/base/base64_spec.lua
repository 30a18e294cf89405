-- Base64 is decoded strictly and encoded in lines of any length (RFC 4648, RFC 8951 3.1).
local core = require "lest.core"

local function decode(text)
  return core.base64.decode(text)
end

describe("base64", function()
  -- RFC 4648 section 10
  local vectors = {
    [""] = "", f = "Zg==", fo = "Zm8=", foo = "Zm9v", foob = "Zm9vYg==", fooba = "Zm9vYmE=",
    foobar = "Zm9vYmFy",
  }

  it("encodes and decodes the vectors of RFC 4648", function()
    for plain, coded in pairs(vectors) do
      assert.equal(coded, core.base64.encode(plain))
      assert.equal(plain, decode(coded))
    end
  end)

  it("wraps at the column asked for and ends with one newline", function()
    assert.equal(("eHh4"):rep(16) .. "\n" .. "eHg=\n", core.base64.encode(("x"):rep(50), 64))
    assert.equal(("eHh4"):rep(16) .. "\n", core.base64.encode(("x"):rep(48), 64))
  end)

  it("8951-3.1-a takes CR, LF, space and tab anywhere", function()
    assert.equal("foobar", decode(" \tZm9v\r\nY\nmFy\r\n "))
    assert.equal("foob", decode("Zm9vYg=\n="))
  end)

  it("4648-3.3-a refuses characters outside the alphabet", function()
    for _, text in ipairs { "Zm9-", "Zm9_", "Zm*v", "Zm9\0", "-----BEGIN", "Zm9v\v" } do
      local value, err = decode(text)
      assert.is_nil(value)
      assert.equal("base64", err.code)
    end
  end)

  it("4648-3.2-a is strict about padding", function()
    for _, text in ipairs { "AAAA=", "AAA", "AA==AA==", "A===", "=", "AA=A", "Zh==", "A", "AA" } do
      assert.is_nil(decode(text), text)
    end
  end)

  it("takes a byte order mark for nothing", function()
    assert.equal("hello", decode "\xef\xbb\xbfaGVsbG8=")
    assert.is_nil((decode "aGVs\xef\xbb\xbfbG8="))
  end)
end)
