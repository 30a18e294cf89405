-- Text of peers reaches a terminal and a log only in a form that neither obeys.
local terminal = require "lest.base.terminal"

describe("text for a terminal", function()
  it("leaves nothing for a terminal to obey, and nothing unseen", function()
    assert.equal("a\\x00\\x1b[2J\\x0a\\x7f\\u{9b}é漢😀 \\b",
      terminal.safe "a\0\27[2J\n\127\u{9b}é漢😀 \\b")
    -- One byte that is CSI to an 8-bit terminal; overlong, cut and surrogate forms.
    assert.equal("\\x9b31m\\xff\\xfe", terminal.safe "\x9b31m\xff\xfe")
    assert.equal("\\xc0\\x9b \\xe2\\x80 \\xed\\xa0\\x80",
      terminal.safe "\xc0\x9b \xe2\x80 \xed\xa0\x80")
    for _, code in ipairs { 0xad, 0x34f, 0x61c, 0x115f, 0x17b4, 0x180e, 0x200b, 0x200f, 0x2028,
      0x202e, 0x2066, 0x2069, 0x3164, 0xfe0f, 0xfeff, 0xffa0, 0xfff9, 0x1d173, 0xe0041, 0xe0100 } do
      assert.equal(("a\\u{%x}b"):format(code), terminal.safe("a" .. utf8.char(code) .. "b"))
    end
  end)

  it("keeps its lines and columns where it is a text", function()
    assert.equal("a\tb\n\\x1b]0;x\\x07\\x0d\n", terminal.text "a\tb\n\27]0;x\7\r\n")
  end)

  it("becomes one short line where it is a peer's", function()
    assert.equal("a b c", terminal.line("  a\r\n\tb\27[31m c ", 100))
    assert.equal("\\u{9b}31m\\xff", terminal.line("\u{9b}31m\xff", 100))
    assert.equal("caf...", terminal.line("café au lait", 4))
  end)
end)
