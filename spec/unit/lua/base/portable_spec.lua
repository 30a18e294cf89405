-- Values as data for another process: what is sent is bounded, what comes back can be shown.
local core = require "lest.core"
local portable = require "lest.base.portable"
local show = require "lest.tool.inspect.show"

local function there_and_back(value)
  return portable.unpack(core.json.decode(core.json.encode(portable.pack(value))))
end

describe("a value for another process", function()
  it("comes back as it was", function()
    for _, value in ipairs { false, true, 0, -1, math.maxinteger, 1.5, math.huge, "", "text",
      "\0\255\27", ("x"):rep(portable.STRING), { 1, 2, { a = { true } } }, { [5] = 1, x = "y" } } do
      assert.same(value, there_and_back(value))
    end
    assert.is_nil(there_and_back(nil))
    assert.equal("float", math.type(there_and_back(2.0)))
    assert.equal("nan", tostring(there_and_back(0 / 0)):match "nan")
  end)

  it("is shown as it would be where it was: certificates, requests, names, errors", function()
    local csr = assert(core.csr.build { key = assert(core.key.generate "ed25519"),
      subject = { { "CN", "x" } } })
    assert.equal(show.text(csr), show.text(there_and_back(csr)))
    assert.equal("CN=x", there_and_back(csr.subject))
    local err = core.error.new { code = "trust", message = "m" }
    assert.equal("trust", there_and_back(err).code)
    assert.equal("<function, C>", tostring(there_and_back(print)))
    assert.matches("portable_spec.lua:%d+>$", tostring(there_and_back(function() end)))
    assert.equal('{ f = <function, C> }', show.text(there_and_back { f = print }))
  end)

  it("is cut where it is deep, long or a circle", function()
    local circle = {}
    circle.circle = circle
    assert.equal("<the table above it>", tostring(there_and_back(circle).circle))
    local deep = {}
    local at = deep
    for _ = 1, 100 do
      at.d = {}
      at = at.d
    end
    assert.equal("string", type(show.text(there_and_back(deep))))
    local wide = {}
    for i = 1, 1000 do wide[i] = i end
    assert.equal("900 more", there_and_back(wide)["..."])
    local huge = {}
    for i = 1, 100 do
      huge[i] = {}
      for k = 1, 100 do huge[i][k] = ("\1"):rep(1000) end
    end
    assert.is_true(#core.json.encode(portable.pack(huge)) < 180000)
    local quotes, numbers = {}, {}
    for i = 1, 100 do
      quotes[i], numbers[i] = ('"'):rep(2000), {}
      for k = 1, 100 do numbers[i][k] = k end
    end
    assert.is_true(#core.json.encode(portable.pack(quotes)) < 180000)
    assert.is_true(#core.json.encode(portable.pack_all({ numbers, numbers }, 2)) < 180000)
  end)

  it("is one that can be shown, whatever a hostile process sends", function()
    for _, hostile in ipairs { 5, "x", {}, { t = 5 }, { t = "string" }, { t = "string", b = "?" },
      { t = "table" }, { t = "table", k = 5, v = 5 }, { t = "table", k = { {} }, v = {} },
      { t = "table", k = { { t = "number", v = "nan" } }, v = { { t = "nil" } } },
      { t = "table", class = {}, k = {}, v = {} }, { t = "number", v = {} },
      { t = "number", v = ("9"):rep(10000) }, { t = "word", v = {} }, { t = "error", code = {} },
      { t = "lest.cert", b = "AAAA" }, { t = "lest.csr", b = {} }, { t = "boolean", v = {} },
      { t = "table", class = "lest.name", k = {}, v = {} },
      { t = "table", class = "lest.error", k = {}, v = {} } } do
      assert.is_string(show.text(portable.unpack(hostile)))
    end
  end)
end)
