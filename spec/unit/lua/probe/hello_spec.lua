-- The first words of a handshake: what a probe offers, and what it takes for an answer.
local hello = require "lest.probe.hello"

local function record(kind, bytes) return kind .. "\3\3" .. (">s2"):pack(bytes) end

local function server_hello(version, suite, extensions)
  local body = (">I2"):pack(version) .. ("r"):rep(32) .. "\4abcd" .. (">I2"):pack(suite) .. "\0"
    .. (extensions and (">s2"):pack(extensions) or "")
  return record("\22", "\2" .. (">s3"):pack(body))
end

describe("lest.probe.hello", function()
  it("makes a ClientHello of a version, with its suites and the host's name", function()
    local bytes = assert(hello.client { version = hello.TLS_1_2, suites = { 0x0001, 0xc02b },
      host = "est.example.com" })
    assert.matches("^\22\3\1..\1", bytes)
    assert.equal(#bytes - 5, (">I2"):unpack(bytes, 4))
    assert.equal("\3\3", bytes:sub(10, 11))
    assert.truthy(bytes:find("\0\0\4\0\1\xc0\x2b\1\0", 1, true))
    assert.truthy(bytes:find("est.example.com", 1, true))
    assert.is_nil(hello.client { version = hello.TLS_1_2, host = "::1" }:find("::1", 1, true))
    assert.is_nil(hello.client { version = hello.TLS_1_2, host = "192.0.2.1" }:find("192", 1, true))
    assert.equal("\22\3\0", hello.client { version = hello.SSL_3 }:sub(1, 3))
  end)

  it("reads what a server says first", function()
    assert.same({ alert = 70 }, hello.server "\21\3\1\0\2\2\70")
    assert.same({ version = 0x0301, suite = 0x002f, extensions = {} },
      hello.server(server_hello(0x0301, 0x002f)))
    local said = hello.server(server_hello(0x0303, 0x1301, "\0\43\0\2\3\4\xff\1\0\1\0")
      .. "and more")
    assert.same({ 0x0304, 0x1301, "\0" }, { said.version, said.suite, said.extensions[0xff01] })
  end)

  it("takes nothing else for it, however it is cut", function()
    local whole = server_hello(0x0303, 0xc02b, "\0\23\0\0\xff\1\0\1\0")
    for length = 0, #whole - 1 do assert.is_nil(hello.server(whole:sub(1, length)), length) end
    local content = whole:sub(6)
    for length = 0, #content - 1 do
      -- The record is whole, and its message is not.
      assert.is_nil(hello.server(record("\22", content:sub(1, length))), length)
    end
    for _, bytes in ipairs { "HTTP/1.1 400 Bad Request\r\n\r\n", "\21\3\1\0\1\2", "\22\3\3\0\0",
      record("\22", "\1" .. (">s3"):pack "x"), record("\23", "data") } do
      assert.is_nil(hello.server(bytes))
    end
  end)

  it("survives any bytes", function()
    math.randomseed(7)
    local whole = server_hello(0x0303, 0xc02b, "\0\23\0\0\xff\1\0\1\0")
    for _ = 1, 5000 do
      local at = math.random(#whole)
      local said = hello.server(whole:sub(1, at - 1) .. string.char(math.random(0, 255))
        .. whole:sub(at + 1))
      assert.is_true(said == nil or said.alert ~= nil or said.version ~= nil)
    end
  end)
end)
