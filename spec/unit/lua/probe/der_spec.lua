-- DER as a probe reads it: what it is not, and the values within one.
local der = require "lest.probe.der"
local make = require "support.der"

describe("lest.probe.der", function()
  it("finds nothing wrong in DER", function()
    for _, bytes in ipairs { make.seq(), make.seq(make.int(1), make.octets(("x"):rep(300))),
      make.tlv(0xa0, make.set(make.utf8 "a")), "\31\129\1\0", make.tlv(4, ("x"):rep(70000)) } do
      assert.is_nil(der.problem(bytes))
    end
  end)

  it("says what is not DER", function()
    local deep = make.seq()
    for _ = 1, 40 do deep = make.seq(deep) end
    for bytes, problem in pairs {
      [""] = "is empty",
      ["\48"] = "is cut short",
      ["\48\5\2\1"] = "is cut short",
      ["\48\132\255\255\255\255"] = "is cut short",
      ["\48\137\1\1\1\1\1\1\1\1\1"] = "is cut short",
      ["\48\3\2\5\1"] = "is cut short",
      ["\48\128\2\1\1\0\0"] = "has an indefinite length",
      ["\48\129\3\2\1\1"] = "has a length in more bytes than it needs",
      ["\4\130\0\200" .. ("x"):rep(200)] = "has a length in more bytes than it needs",
      ["\48\0\0\0"] = "has bytes behind it",
      ["\48\5\36\3\4\1a"] = "has a string in pieces",
      ["\31\129\129"] = "is cut short",
      [deep] = "is nested too deep",
    } do
      assert.equal(problem, der.problem(bytes))
    end
  end)

  it("gives the values within one", function()
    assert.same({ make.int(1), make.seq(make.int(2)) },
      der.values(make.seq(make.int(1), make.seq(make.int(2)))))
    assert.same({}, der.values(make.seq()))
  end)

  it("survives any bytes", function()
    math.randomseed(11)
    local whole = make.seq(make.int(1), make.seq(make.oid "2.5.29.15", make.octets "\3\2\7\128"))
    for _ = 1, 5000 do
      local at = math.random(#whole)
      local bytes = whole:sub(1, at - 1) .. string.char(math.random(0, 255)) .. whole:sub(at + 1)
      if not der.problem(bytes) then assert.is_table(der.values(bytes)) end
    end
  end)
end)
