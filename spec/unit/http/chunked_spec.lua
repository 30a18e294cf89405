-- Chunked bodies are decoded strictly and within bounds (RFC 9112 7.1).
local http = require("lest.core").http

--- The same answer in one piece and byte by byte.
local function decode(bytes, max)
  local body, consumed = http.decode_chunked(bytes, max or 1000)
  for _, step in ipairs { 1, 2, 3, 7 } do
    local part, part_consumed = http.decode_chunked(bytes, max or 1000, step)
    assert.equal(body, part)
    if body then
      assert.equal(consumed, part_consumed)
    elseif body == nil then
      assert.equal(consumed.message, part_consumed.message)
    end
  end
  return body, consumed
end

local function refuses(status, inputs, max)
  for _, bytes in ipairs(inputs) do
    local body, err = decode(bytes, max)
    assert.is_nil(body, bytes:sub(1, 100))
    assert.equal(status, err.status, bytes:sub(1, 100))
  end
end

describe("chunked bodies", function()
  it("9112-6.1-a decodes chunks, and leaves what follows", function()
    local body, consumed = decode "5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\nGET / HTTP/1.1\r\n"
    assert.equal("hello, world", body)
    assert.equal(27, consumed)
    assert.equal("", (decode "0\r\n\r\n"))
    assert.equal(("x"):rep(26), (decode("1a\r\n" .. ("x"):rep(26) .. "\r\n000\r\n\r\n")))
    assert.equal(("x"):rep(10), (decode("000A\r\n" .. ("x"):rep(10) .. "\r\n0\r\n\r\n")))
  end)

  it("9112-7.1.1-a ignores extensions and trailers", function()
    assert.equal("hello", (decode '5;a;b=c;d="e;\tf"\r\nhello\r\n0 ;z\r\nX: y\r\nEmpty:\r\n\r\n'))
  end)

  it("asks for more until the last byte", function()
    local bytes = "5;a\r\nhello\r\n0\r\nX: y\r\n\r\n"
    for len = 0, #bytes - 1 do assert.is_false(http.decode_chunked(bytes:sub(1, len), 10)) end
  end)

  it("refuses sizes that are not plain hexadecimal", function()
    refuses(400, { "\r\n", "x\r\n", "-1\r\n", "+5\r\n", "0x5\r\n", "5 5\r\n", " 5\r\n", "5 \r\n",
      "5\t\r\n", ";a\r\n", "5,\r\n",
      "5\0\r\n", "g", "00000000000000005\r\n" })
  end)

  it("refuses bare CR and LF, and chunks longer or shorter than they say", function()
    refuses(400, { "5\nhello\r\n0\r\n\r\n", "5\r\rhello", "5\r\nhello\n0\r\n\r\n",
      "5\r\nhello!\r\n", "5\r\nhello!\n0\r\n\r\n", "5\r\nhell\r\n0\r\n\r\n",
      "5\r\nhello\r0", "5;a\nhello", "5;a\r\r\nhello", "0\r\n\n", "0\n\n", "0\r\n\r\r",
        "0\r\nX: y\n\r\n", "0\r\nX: y\r\r\n" })
  end)

  it("refuses control characters in extensions and trailers, and malformed trailers", function()
    refuses(400, { "5;\0\r\n", "5;\x7f\r\n", "0\r\n X: y\r\n", "0\r\n: y\r\n", "0\r\nX y\r\n",
      "0\r\nX\r\n", "0\r\nX : y\r\n",
      "0\r\nX: \0\r\n", "0\r\nX: y\r\n z\r\n\r\n" })
  end)

  it("answers 413 as soon as a size exceeds what is left", function()
    refuses(413, { "b\r\n", "5\r\nhello\r\n6\r\n", "FFFFFFFFFFFFFFFF\r\n", "8000000000000000\r\n",
      "7fffffffffffffff\r\n" }, 10)
    assert.equal(("x"):rep(10), (decode("a\r\n" .. ("x"):rep(10) .. "\r\n0\r\n\r\n", 10)))
  end)

  it("answers 431 to endless extensions and trailers", function()
    refuses(431, { "5;" .. ("a"):rep(4097), "0\r\n" .. ("X: y\r\n"):rep(1100),
      "0\r\n" .. ("a"):rep(4097),
      ("1;" .. ("a"):rep(100) .. "\r\nx\r\n"):rep(50) })
  end)
end)
