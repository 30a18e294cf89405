-- Alternative names of every type, as text and as DER, within bounds.
local san = require("lest.core").san

local all = { "DNS:device.example.com", "DNS:*.example.com", "IP:192.0.2.1", "IP:2001:db8::1",
  "IP:::1",
  "email:a@example.com", "URI:urn:uuid:f81d4fae", "dirName:C=DE,CN=x\\,y", "RID:1.2.3",
  "otherName:1.3.6.1.5.5.7.8.4;30080603551d0e04010a", "x400:0500", "ediParty:810161" }

describe("san", function()
  it("writes and reads every type", function()
    local der = assert(san.encode(all))
    assert.same(all, assert(san.decode(der)))
    assert.truthy(der:find("\x87\x04\xc0\x00\x02\x01", 1, true))
    assert.truthy(der:find("\x88\x02\x2a\x03", 1, true))
  end)

  it("writes x400Address and ediPartyName as it reads them", function()
    local der = "0\x09\xa3\x02\x05\0\xa5\x03\x81\x01a"
    assert.same({ "x400:0500", "ediParty:810161" }, assert(san.decode(der)))
    assert.equal(der, san.encode { "x400:0500", "ediParty:810161" })
    local long = "ediParty:8181" .. ("80"):rep(0x80 + 1)
    assert.same({ long }, san.decode(assert(san.encode { long })))
  end)

  it("quotes a name with a NUL whole", function()
    local _, err = san.encode { "DNS:a\0b" }
    assert.matches("'DNS:a?b' is malformed", err.message, 1, true)
  end)

  it("refuses what is no name of its type", function()
    for _, text in ipairs { "", "DNS:", "DNS:a b", "DNS:a..b", "DNS:.a", "DNS:a.", "DNS:-a",
      "DNS:a-", "DNS:a-.b",
      "DNS:a\0.b", "DNS:ü", "DNS:*", "DNS:a.*", "DNS:" .. ("a"):rep(64), "IP:1.2.3",
        "IP:1.2.3.4/24", "IP:::1\0",
      "IP:", "email:a", "email:@b", "email:a b@c", "URI:nocolon", "URI:http://a b", "RID:x",
        "RID:3.1",
      "otherName:1.2.3", "otherName:1.2.3;", "otherName:1.2.3;0", "otherName:1.2.3;zz",
        "otherName:1.2.3;0c05",
      "otherName:1.2.3;05000500", "dirName:x", "device.example.com", "http://x",
      "x400:", "x400:5", "x400:zz", "x400:0501", "ediParty:81026", "ediParty:8102" .. "61" } do
      local der, err = san.encode { text }
      assert.is_nil(der, text)
      assert.equal("san_malformed", err.code)
    end
    assert.is_nil(san.encode {})
    assert.has_error(function() san.encode { 1 } end)
    assert.has_error(function() san.encode "DNS:a" end)
  end)

  it("7030-6-j has bounds of its bytes and of a host's", function()
    local der = require "support.der"
    local function uri(length) return der.seq(der.tlv(0x86, "u:", ("x"):rep(length - 2))) end
    assert(san.decode(uri(32768 - 8)))
    local list, err = san.decode(uri(32768 - 7))
    assert.is_nil(list)
    assert.matches("longer than 32768 bytes", err.message)
    local host = (("a"):rep(49) .. "."):rep(5) .. "abc"
    assert.equal(253, #host)
    assert(san.encode { "DNS:" .. host })
    assert.is_nil((san.encode { "DNS:" .. host .. "d" }))
  end)

  it("refuses an otherName that is not one well-formed value", function()
    local der = require "support.der"
    local function other(...) return der.seq(der.tlv(0xa0, der.oid "1.2.3", der.tlv(0xa0, ...))) end
    assert(san.decode(other(der.seq(der.int(1)))))
    for _, value in ipairs { der.int(1) .. der.int(2), "", der.seq("\2\2\1"), der.seq("\2\x80") } do
      local list, err = san.decode(other(value))
      assert.is_nil(list)
      assert.matches("otherName", err.message)
    end
  end)

  it("refuses NUL, spaces and control characters in names that it reads", function()
    for _, value in ipairs { "\x82\x03a\0b", "\x82\x01 ", "\x82\x00", "\x81\x03a\nb",
      "\x86\x02\xc3\xbc" } do
      local list, err = san.decode("0" .. string.char(#value) .. value)
      assert.is_nil(list)
      assert.equal("san_malformed", err.code)
    end
    assert.is_nil(san.decode("0\0"))
    assert.is_nil(san.decode("0\x05\x87\x03\1\2\3"))
    assert.is_nil(san.decode("0\x02\x89\0"))
  end)

  it("7030-4.2.2-e compares as sets", function()
    local a, b = assert(san.encode { "DNS:a.x", "IP:1.2.3.4" }), assert(san.encode { "IP:1.2.3.4",
      "DNS:A.X" })
    assert.is_true(san.equal(a, b))
    assert.is_true(san.equal(nil, nil))
    assert.is_false(san.equal(a, nil))
    assert.is_false(san.equal(nil, a))
    assert.is_false(san.equal(a, assert(san.encode { "DNS:a.x" })))
    assert.is_false(san.equal(assert(san.encode { "DNS:a.x" }), a))
    assert.is_true(san.equal(assert(san.encode { "dirName:CN=A" }), assert(san.encode {
      "dirName:CN=a" })))
    assert.is_false(san.equal(assert(san.encode { "email:A@b" }), assert(san.encode { "email:a@b"
      })))
    assert.is_false(san.equal("garbage", a))
  end)

  it("7030-6-j bounds the number of names and survives flipped bits", function()
    local many = {}
    for i = 1, 256 do many[i] = "DNS:h" .. i end
    assert.equal(256, #assert(san.decode(assert(san.encode(many)))))
    many[257] = "DNS:more"
    assert.is_nil(san.encode(many))
    assert.is_nil(san.decode("0\x82\x03\x03" .. ("\x82\x01a"):rep(257)))
    local der = assert(san.encode(all))
    for len = 0, #der - 1 do assert.is_nil(san.decode(der:sub(1, len))) end
    for at = 1, #der do
      for bit = 0, 7 do
        local list, err = san.decode(der:sub(1, at - 1) .. string.char(der:byte(at) ~ (1 << bit))
          .. der:sub(at + 1))
        assert(list or err.code == "san_malformed")
      end
    end
  end)
end)
