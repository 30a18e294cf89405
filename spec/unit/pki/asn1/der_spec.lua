--- The reader and writer of DER, through what is built on them.
local core = require "lest.core"
local der = require "support.der"
local vectors = require "support.vectors"

local function name(...)
  return core.name.decode(der.seq(...))
end

local function part(oid, value)
  return der.set(der.seq(oid, value))
end

local CN <const> = "\6\3\x55\4\3"

describe("DER", function()
  it("has the identifiers of EST as their RFCs print them", function()
    local count = 0
    for dotted, hex in vectors.text("oids"):gmatch "\n[^#\n|]*| ([%d.]+) | (%x+) |" do
      local bytes = vectors.unhex(hex)
      assert.equal(bytes, der.oid(dotted))
      -- A registered identifier has the contents under a tag of its own.
      local names = assert(core.san.encode { "RID:" .. dotted })
      assert.equal("\x88" .. bytes:sub(2), names:sub(3))
      assert.same({ "RID:" .. dotted }, core.san.decode(names))
      count = count + 1
    end
    assert.is_true(count > 80)
  end)

  it("has definite lengths in their shortest form", function()
    local value = ("x"):rep(60)
    local good = der.seq(part(CN, der.utf8(value)))
    assert.equal(value, assert(core.name.decode(good)).CN)
    -- A length of 127 still has one octet, of 128 two: the name is good but for that.
    local function of_length(len, head)
      return part(CN, der.tlv(4, ("x"):rep(len - 11))):gsub("^", head)
    end
    for _, case in ipairs { { 127, "\x30\x7f", "\x30\x81\x7f", "\x30\x82\0\x7f" },
      { 128, "\x30\x81\x80", "\x30\x82\0\x80", "\x30\x84\0\0\0\x80" } } do
      assert(core.name.decode((of_length(case[1], case[2]))))
      for i = 3, 4 do
        local n, err = core.name.decode((of_length(case[1], case[i])))
        assert.is_nil(n)
        assert.matches("a length not in its shortest form", err.message)
      end
    end
    for _, bad in ipairs { "\x30\x80\0\0", "\x30\x81\0", "\x30\x81\x7f" .. ("\0"):rep(127),
      "\x30\x82\0\x80",
      "\x30\x85\0\0\0\0\0", "\x30\xff", "\x30\x84\xff\xff\xff\xff", "\x30", "\x30\x81", "", "\0",
        "\x1f" } do
      local n, err = core.name.decode(bad)
      assert.is_nil(n)
      assert.truthy(err.message:find "at byte %d+$", err.message)
    end
  end)

  it("has tags of more than one octet in their shortest form", function()
    local function of_tag(tag) return name(part(CN, tag .. "\1x")) end
    assert.equal("#9f1f0178", assert(of_tag "\x9f\x1f").CN)
    assert(of_tag "\x9f\x81\x80\x80\1")
    for _, tag in ipairs { "\x9f\x80\x1f", "\x9f\x1e", "\x9f\0", "\x9f\x81\x80\x80\x80\1" } do
      local n, err = of_tag(tag)
      assert.is_nil(n)
      assert.matches("a malformed tag", err.message)
    end
  end)

  it("has nothing in the bits that are not used", function()
    local key = assert(core.key.generate "ec:P-256")
    local usage = "\3\2\7\x80"
    local made = assert(core.csr.build { key = key, subject = "CN=x",
      extensions = { { oid = "2.5.29.15", critical = true, value = usage } } }):der()
    local function changed(from, to)
      local at = assert(made:find(from, 1, true))
      return core.csr.parse(made:sub(1, at - 1) .. to .. made:sub(at + #from))
    end
    assert.same({ "digitalSignature" }, assert(changed(usage, usage)).key_usage)
    for _, wrong in ipairs { "\3\2\7\x81", "\3\2\x08\x80" } do
      local csr, err = changed(usage, wrong)
      assert.is_nil(csr)
      assert.matches("malformed bit string", err.message)
    end
  end)

  it("counts positions from the start of the document", function()
    local _, err = name(part(CN, der.utf8 "a"), part(CN, der.utf8 "\xff"))
    assert.equal("name: CN of the name has characters that its type does not allow at byte 23",
      err.message)
    _, err = name(part(CN, der.utf8 "a"), der.seq())
    assert.equal("name: an RDN of the name has tag 0x30 instead of 0x31 at byte 14", err.message)
  end)

  it("reads and writes identifiers of every size", function()
    for _, oid in ipairs { "0.0", "0.39", "1.0", "1.39.1", "2.0.1", "2.47.1", "2.48.1", "2.999.3",
      "1.2.127.128.16383.16384",
      "2.25.329800735698586629295641978511506172918", "1.3.6.1.4.1.18446744073709551616",
      "2.340282366920938463463374607431768211455" } do
      local n = assert(core.name.parse(oid .. "=x"), oid)
      assert.equal("x", n[oid], oid)
    end
    for _, oid in ipairs { "3.1", "1.40", "0.40", "1", "1.", "1..2", "01.2", "1.02", "1.2.",
      "1.2.x", ".1",
      "1.2." .. ("9"):rep(50), "1" .. (".2"):rep(100) } do
      assert.is_nil(core.name.parse(oid .. "=x"), oid)
    end
    for _, oid in ipairs { "\6\0", "\6\1\x80", "\6\2\x80\1", "\6\3\x2a\x80\1", "\6\2\x2a\x81" } do
      assert.is_nil(name(part(oid, der.utf8 "x")))
    end
    assert.is_nil(name(part(der.tlv(6, ("\x2a"):rep(65)), der.utf8 "x")))
  end)

  it("writes lengths of one, two and three bytes", function()
    local uris = {}
    for _, len in ipairs { 100, 127, 128, 129, 255, 256, 300, 20000 } do
      uris[1] = "URI:" .. ("u:"):rep(len // 2) .. ("x"):rep(len % 2)
      local bytes = assert(core.san.encode(uris))
      assert.equal(der.seq(der.tlv(0x86, uris[1]:sub(5))), bytes)
      assert.same(uris, assert(core.san.decode(bytes)))
    end
  end)
end)
