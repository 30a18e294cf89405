-- Distinguished names as text and as DER, there and back (RFC 4514, RFC 5280).
local core = require "lest.core"
local name = core.name

local function hex(text)
  return (text:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

local function fails(text)
  local value, err = name.parse(text)
  assert.is_nil(value)
  assert.equal("name_malformed", err.code)
  return err.message
end

describe("name", function()
  it("keeps the written order and gives the first value of a type", function()
    local n = assert(name.parse("C=DE, O=Example,OU=a,OU=b,CN=device 1"))
    assert.equal(5, #n)
    assert.same({ "C", "DE" }, n[1])
    assert.equal("a", n.OU)
    assert.equal("device 1", n.CN)
    assert.is_nil(n.L)
    assert.equal("CN=device 1,OU=b,OU=a,O=Example,C=DE", tostring(n))
    assert.equal("CN=x/y,O=z", tostring(assert(name.parse("/O=z/CN=x\\/y"))))
  end)

  it("writes the string types that the attributes want (RFC 5280 4.1.2.4)", function()
    local der = assert(name.encode { { "C", "DE" }, { "DC", "example" }, { "CN", "Jürgen" } })
    assert.truthy(der:find("\x13\x02DE", 1, true))
    assert.truthy(der:find("\x16\x07example", 1, true))
    assert.truthy(der:find("\x0c\x07J\xc3\xbcrgen", 1, true))
    local n = assert(name.decode(der))
    assert.equal("Jürgen", n.CN)
    assert.equal(der, name.encode(n))
  end)

  it("has multi-valued RDNs, sorted as DER wants", function()
    local n = assert(name.parse("O=x,serialNumber=77+CN=a"))
    local der = assert(name.encode(n))
    local back = assert(name.decode(der))
    assert.same({ { "O", "x" }, { "CN", "a" }, { "serialNumber", "77", plus = true } },
      { { back[1][1], back[1][2] }, { back[2][1], back[2][2] }, back[3] })
    assert.equal("CN=a+serialNumber=77,O=x", tostring(back))
    assert.equal(der, name.encode(back))
  end)

  it("escapes and reads back everything (RFC 4514 2.4)", function()
    local value = " #a,b+c\"d\\e<f>;=g\r\n\x7f "
    local n = assert(name.decode(assert(name.encode { { "CN", value } })))
    assert.equal(value, n.CN)
    assert.equal("CN=\\ #a\\,b\\+c\\\"d\\\\e\\<f\\>\\;=g\\0D\\0A\\7F\\ ", tostring(n))
    assert.equal(value, assert(name.parse(tostring(n))).CN)
    assert.equal("#x", assert(name.parse("CN=\\23x")).CN)
  end)

  it("writes what is no character string as the same DER (RFC 4514 2.4)", function()
    -- x500UniqueIdentifier, a BIT STRING
    local der = hex "301731153013060355042d" .. hex "030c000102030405060708090a0b"
    local n = assert(name.decode(der))
    local value = "#030c000102030405060708090a0b"
    assert.same({ "x500UniqueIdentifier", value, der = true }, n[1])
    assert.equal(der, name.encode(n))
    assert.equal("x500UniqueIdentifier=" .. value, tostring(n))
    assert.equal(der, name.encode(tostring(n)))
    assert.equal(der, name.encode(assert(name.parse(tostring(n) .. " "))))
    assert.is_true(n == assert(name.decode(der)))
    assert.equal("a", assert(name.parse("O=x, CN= #0c0161+serialNumber=1")).CN)
    -- Without the mark, or escaped, or with slashes: a text that begins so.
    local text = assert(name.decode(assert(name.encode { { "CN", "#0c0161" } })))
    assert.same({ "CN", "#0c0161" }, text[1])
    assert.equal("CN=\\#0c0161", tostring(text))
    assert.equal("#0c0161", assert(name.parse("CN=\\#0c0161")).CN)
    assert.equal("#0c0161", assert(name.parse("/CN=#0c0161")).CN)
    for _, bad in ipairs { "#", "#0", "#0c", "#0c01", "#0c0161zz", "#zz", "#0c01610500",
      "#0c01 61" } do
      fails("CN=" .. bad)
    end
    for _, bad in ipairs { "", "0c0161", "#0c01" } do
      local none, err = name.encode { { "CN", bad, der = true } }
      assert.is_nil(none)
      assert.equal("name_malformed", err.code)
    end
  end)

  it("takes the keywords in any case", function()
    assert.equal(name.encode "CN=a,OU=b,C=DE,street=x,serialNumber=1",
      name.encode "cn=a,Ou=b,c=DE,STREET=x,SerialNumber=1")
    assert.equal(name.encode "/CN=a/O=b", name.encode "/cn=a/o=b")
  end)

  it("takes dotted types and shows them by name where there is one", function()
    local n = assert(name.parse("2.5.4.3=a,1.2.3.4.999999999999=b"))
    assert.equal("a", n.CN)
    assert.equal("b", n["1.2.3.4.999999999999"])
  end)

  it("reads every DirectoryString", function()
    local function cn(value) return "0" .. string.char(11 + #value - 2) .. "1" .. string.char(9 +
      #value - 2)
      .. "0" .. string.char(7 + #value - 2) .. "\x06\x03\x55\x04\x03" .. value end
    local values = { ["\x0c\x02\xc3\xbc"] = "ü", ["\x14\x01\xfc"] = "ü", ["\x1e\x02\x00\xfc"] = "ü",
      ["\x1c\x04\0\0\0\xfc"] = "ü", ["\x13\x03a@b"] = "a@b", ["\x1e\x04\xd8\x3d\xde\x00"] = "😀" }
    for der, text in pairs(values) do
      assert.equal(text, assert(name.decode(cn(der))).CN)
    end
    for _, der in ipairs { "\x0c\x01\xfc", "\x0c\x01\0", "\x1e\x01\0", "\x1e\x02\xd8\0",
      "\x16\x01\x80",
      "\x0c\x02\xc0\x80", "\x1c\x04\0\x11\0\0" } do
      local n, err = name.decode(cn(der))
      assert.is_nil(n)
      assert.equal("name_malformed", err.code)
    end
    assert.equal("#0101ff", assert(name.decode(cn("\x01\x01\xff"))).CN)
  end)

  it("has well-formed values, whatever their type", function()
    local function of_value(value)
      local part = "\x30" .. string.char(5 + #value) .. "\x06\x03\x55\x04\x2d" .. value
      local rdn = "\x31" .. string.char(#part) .. part
      return "\x30" .. string.char(#rdn) .. rdn
    end
    local function parse_csr(subject)
      local key = assert(core.key.generate "ec:P-256")
      local own = "x500UniqueIdentifier=#0403616263"
      local good = assert(core.csr.build { key = key, subject = own }):der()
      local at = assert(good:find(name.encode(own), 1, true))
      return core.csr.parse(good:sub(1, at - 1) .. subject .. good:sub(at + #subject))
    end
    -- In a SEQUENCE, a SET and a tag of its own: what is inside is read as well.
    for _, tag in ipairs { "\x30", "\x31", "\xa0" } do
      assert(name.decode(of_value(tag .. "\x03\x02\x01\x05")))
      assert(parse_csr(of_value(tag .. "\x03\x02\x01\x05")))
      for _, inside in ipairs { "\x02\x02\x05", "\x02\x80\x05", "\x00\x01\x05",
        "\x02\x81\x05" } do
        local csr, err = parse_csr(of_value(tag .. "\x03" .. inside))
        assert.is_nil(csr)
        assert.matches("the name", err.message)
      end
    end
  end)

  it("7030-6-j has bounds of its bytes and parts, and nothing beside a value", function()
    local der = require "support.der"
    local function part(value, more)
      return der.set(der.seq(der.oid "2.5.4.3", value, more or ""))
    end
    local function refuses(why, bytes)
      local n, err = name.decode(bytes)
      assert.is_nil(n)
      assert.matches(why, err.message)
    end
    local function padded(length) return der.seq(part(der.octets(("x"):rep(length)))) end
    assert(name.decode(padded(16384 - 21)))
    refuses("longer than 16384 bytes", padded(16384 - 20))
    assert.equal(64, #assert(name.decode(der.seq(part(der.utf8 "x"):rep(64)))))
    refuses("more than 64 parts", der.seq(part(der.utf8 "x"):rep(65)))
    refuses("followed by more data", der.seq(part(der.utf8 "x", "\5\0")))
    -- The check of a request's subject is another reader of the same.
    local key = assert(core.key.generate "ec:P-256")
    local good = assert(core.csr.build { key = key, subject = "CN=abc" }):der()
    local at = assert(good:find(name.encode "CN=abc", 1, true))
    for _, wrong in ipairs { part(der.utf8 "\xff\xfe\xfd"), part(der.utf8 "x", "\5\0"),
      part(der.utf8 "a\0b") } do
      local subject = der.seq(wrong)
      assert.equal(#name.encode "CN=abc", #subject)
      local csr, err = core.csr.parse(good:sub(1, at - 1) .. subject .. good:sub(at + #subject))
      assert.is_nil(csr)
      assert.matches("name", err.message)
    end
  end)

  it("has upper bounds (RFC 5280 A.1)", function()
    assert.truthy(fails("CN=" .. ("x"):rep(65)):find("allowed are", 1, true))
    assert(name.parse("CN=" .. ("ü"):rep(64)))
    fails("C=DEU")
    fails("C=D")
    fails("C=" .. "ü")
    fails("CN=\xff")
    fails("DC=ü")
    fails("serialNumber=a_b")
  end)

  it("says what is wrong with a text", function()
    for _, text in ipairs { "CN", "CN=a,", "CN=a,,O=b", "=a", "XYZZY=a", "CN=a+", "/", "a",
      "CN=\\", "/CN=a//O=b",
      "1.2.=x", "3.1=x", "1.40=x", "1.02=x", "1.2.999999999999999999999999999999999999999999999=x"
        } do
      if text == "/" then
        assert.equal(0, #assert(name.parse(text)))
      else
        fails(text)
      end
    end
    assert.equal(0, #assert(name.parse("")))
    assert.equal("0\0", name.encode {})
    assert.has_error(function() name.encode { "CN=x" } end)
    assert.has_error(function() name.encode { { "CN", 1 } } end)
    assert.has_error(function() name.encode(1) end)
  end)

  it("compares in any case and folds white space (RFC 5280 7.1)", function()
    local a = assert(name.encode { { "O", "Example  Inc" }, { "CN", "Dévice" } })
    local b = hex("3020310f300d06035504") .. "\x0a\x14\x06" -- a broken one never equals
    assert.is_true(name.equal(a, a))
    assert.is_true(name.equal(a, assert(name.encode { { "O", " example INC " }, { "CN", "Dévice" }
      })))
    assert.is_false(name.equal(a, assert(name.encode { { "CN", "Dévice" }, { "O", "Example Inc" }
      })))
    assert.is_false(name.equal(a, b))
    local printable = "0\x0c1\x0a0\x08\x06\x03\x55\x04\x03\x13\x01A"
    assert.is_true(name.equal(printable, assert(name.encode("CN=a"))))
    assert.is_true(assert(name.parse("CN=a")) == assert(name.decode(printable)))
  end)

  it("7030-6-j refuses every cut and every extra byte", function()
    local der = assert(name.encode("C=DE,O=Example+OU=u,CN=device"))
    for len = 0, #der - 1 do assert.is_nil(name.decode(der:sub(1, len))) end
    assert.is_nil(name.decode(der .. "\0"))
    for at = 1, #der do
      for bit = 0, 7 do
        local flipped = der:sub(1, at - 1) .. string.char(der:byte(at) ~ (1 << bit)) .. der:sub(at
          + 1)
        local n, err = name.decode(flipped)
        assert(n or err.code == "name_malformed")
        if n then assert.is_string(tostring(n)) end
      end
    end
    local _, err = name.decode("0\x02\x31\0")
    assert.equal("name: an RDN of the name is empty at byte 4", err.message)
  end)
end)
