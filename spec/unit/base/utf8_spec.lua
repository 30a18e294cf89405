-- UTF-8 without NUL is told from everything else; Lua's own reader is strict, too.
local is_text = require("lest.core").utf8.is_text

describe("UTF-8", function()
  it("agrees with Lua on every form of two bytes and on the bounds of three and four", function()
    local edges <const> = { 0x00, 0x01, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff }
    local function same(text)
      local expected = utf8.len(text) ~= nil and not text:find("\0", 1, true)
      assert(is_text(text) == expected, ("%q"):format(text))
    end
    for first = 0, 255 do
      same(string.char(first))
      for second = 0, 255 do
        same(string.char(first, second))
      end
      for _, second in ipairs(edges) do
        for _, third in ipairs(edges) do
          same(string.char(first, second, third))
          for _, fourth in ipairs(edges) do
            same("a" .. string.char(first, second, third, fourth) .. "b")
          end
        end
      end
    end
  end)

  it("finds one odd byte at any place of a longer text", function()
    for length = 1, 26 do
      for place = 1, length do
        for _, byte in ipairs { 0x00, 0x80, 0xbf, 0xc3, 0xff } do
          local before, after = ("\1"):rep(place - 1), ("\x7f"):rep(length - place)
          assert.is_false(is_text(before .. string.char(byte) .. after))
          assert.is_true(is_text(before .. "\u{1f511}" .. after))
          assert.is_true(is_text(before .. "a" .. after))
        end
      end
    end
  end)

  it("has an empty text, and refuses one that is cut off", function()
    assert.is_true(is_text "")
    for _, character in ipairs { "\u{e4}", "\u{20ac}", "\u{1f511}" } do
      assert.is_true(is_text(character))
      assert.is_false(is_text(character:sub(1, -2)))
    end
  end)
end)
