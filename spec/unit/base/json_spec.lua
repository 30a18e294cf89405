-- JSON from anywhere (RFC 8259): read strictly, with integers; written whole or not at all.
local cjson = require "cjson"
local json = require "lest.json"
local process = require "support.process"
local temporary = require "support.temporary"

local function refuses(problem, ...)
  for _, text in ipairs { ... } do
    local value, why = json.decode(text)
    assert.is_nil(value, text)
    assert.matches(problem, why, 1, true)
  end
end

describe("JSON that is read", function()
  it("has integers for whole numbers, however they are written", function()
    local values = json.decode [[
      [42, -7, 0, -0, 42.0, 4.2e1, 1E3, 9007199254740993, 9223372036854775807]
    ]]
    assert.same({ 42, -7, 0, 0, 42, 42, 1000, 9007199254740993, math.maxinteger }, values)
    for _, value in ipairs(values) do assert.equal("integer", math.type(value)) end
    assert.equal(math.mininteger, json.decode "-9223372036854775808")
    assert.same({ 1.5, -0.25, 1e300, 0.1 }, json.decode "[1.5, -25e-2, 1e+300, 0.1]")
  end)

  it("has no numbers that do not fit, for their neighbours would be the same", function()
    refuses("a number does not fit", "9223372036854775808", "-9223372036854775809", "1e400",
      "0." .. ("1"):rep(100), ("1"):rep(5000))
  end)

  it("refuses what is no number in RFC 8259 6", function()
    for _, text in ipairs { "NaN", "[NaN]", "Infinity", "-Infinity", "0x10", "01", "1.", ".5", "+1",
      "1e", "1e+", "-", "--1", "1_000", "١", "nan", "inf", "1f" } do
      assert.is_nil(json.decode(text), text)
      assert.is_string((select(2, json.decode(text))))
    end
  end)

  it("refuses what is no JSON, and says where", function()
    refuses("the text ends too early", "", " ", "[", "[1,", '{"a":')
    refuses("a value is missing", "[1,]", "[,]", "tru", "'a'", "nul", "undefined")
    refuses("a ',' or ']' is missing", "[1 2]", "[1", "[1}")
    refuses("a ',' or '}' is missing", '{"a":1]', '{"a":1 "b":2}', '{"a":1')
    refuses("a string is missing", "{1:2}", "{a:1}", '{"a":1,}', "{")
    refuses("a ':' is missing", '{"a" 1}', '{"a"}')
    refuses("something follows the value", "1 1", "{}{}", "null,", "true false", "1 // one")
    assert.equal("a ':' is missing (byte 6)", select(2, json.decode '{"a" 1}'))
  end)

  it("reads strings with every escape, and no other bytes than UTF-8", function()
    assert.equal('"\\/\b\f\n\r\té€😀\0',
      json.decode [["\"\\\/\b\f\n\r\t\u00e9\u20AC\ud83D\uDE00\u0000"]])
    assert.equal("é€😀\127", json.decode '"é€😀\127"')
    refuses("a string has a wrong escape", [["\x41"]], [["\u12"]], [["\u12g4"]], [["\ud800"]],
      [["\ud800A"]], [["\udc00"]], [["\ud800\ud800"]], '"\\')
    refuses("a string is not UTF-8",
      '"\xff"', '"\xc0\x80"', '"\xed\xa0\x80"', '"\xe2\x82"', '"\x80"')
    refuses("a string has a control character", '"a\nb"', '"\0"', '"\31"')
    refuses("a string has no end", '"abc', '"', '{"a')
  end)

  it("keeps every item of a list: one that is null is json.null; a member is absent", function()
    local value = json.decode '{"list":[1,null,3],"gone":null,"there":false}'
    assert.equal(3, #value.list)
    assert.equal(json.null, value.list[2])
    assert.is_nil(value.gone)
    assert.is_false(value.there)
    local nothing, problem = json.decode "null"
    assert.is_nil(nothing)
    assert.is_nil(problem)
    assert.equal("null", tostring(json.null))
  end)

  it("has each name once, since readers differ in which they take", function()
    refuses("a name comes twice in an object", '{"a":1,"a":2}', '{"a":null,"a":2}',
      [[{"a":1,"\u0061":null}]])
  end)

  it("is at most 64 levels deep", function()
    local function nested(levels, open, close)
      return open:rep(levels) .. "1" .. close:rep(levels)
    end
    assert.is_table(json.decode(nested(64, "[", "]")))
    assert.is_table(json.decode(nested(64, '{"a":', "}")))
    refuses("nested too deep", nested(65, "[", "]"), nested(65, '{"a":', "}"), ("["):rep(1000000))
  end)

  it("is what another reader reads", function()
    local text = '{"a":[1,2.5,"x",true,false,{"b":{"c":[]}}],"d":{},"e":"\\u00e9"}'
    assert.same(cjson.decode(text), json.decode(text))
  end)
end)

describe("JSON that is written", function()
  after_each(temporary.clean)

  it("sorts names, indents, and is valid UTF-8 whatever comes", function()
    assert.equal('{\n  "a": [\n    1,\n    true\n  ],\n  "b": "x\\u0000\\n\u{fffd}/é"\n}',
      json.encode { b = "x\0\n\xff/é", a = { 1, true } })
    assert.equal('{"a":[1,true],"aa":{"x":[]},"b":"y"}',
      json.line { b = "y", aa = { x = {} }, a = { 1, true } })
    assert.equal("[]", json.encode {})
    assert.equal("{}", json.encode(json.object {}))
    assert.equal("null", json.encode(json.null))
    assert.equal("[null]", json.line { json.null })
  end)

  it("escapes what a terminal obeys and what hides or reorders text", function()
    assert.equal([["a\u009b\u202e\u200b\u2028\udb40\udc01\u007f\u001b\"\\"]],
      json.line "a\u{9b}\u{202e}\u{200b}\u{2028}\u{e0001}\127\27\"\\")
    for _, text in ipairs { "\u{9b}\u{202e}\u{e0001}\0\127", "é漢😀", ("x"):rep(70000) } do
      assert.equal(text, json.decode(json.line(text)))
    end
  end)

  it("writes numbers that are read as the same", function()
    assert.equal("[0.1,1.5,1,-0.25,1e+300]", json.line { 0.1, 1.5, 1.0, -0.25, 1e300 })
    for _, number in ipairs { 1 / 3, 5e-324, 2 ^ 53 + 2, 1e100, math.pi, 123456789.123 } do
      assert.equal(number, json.decode(json.line(number)))
    end
    assert.equal("9007199254740993", json.line(9007199254740993))
  end)

  it("is what other readers read", function()
    local value = { list = { "a", { x = 1.25 } }, text = 'q"\\\t\127' }
    assert.same(value, cjson.decode(json.encode(value)))
    assert.same(value, json.decode(json.line(value)))
  end)

  it("keeps an object that was empty when it was read", function()
    assert.equal('{"a":{},"b":[]}', json.line(json.decode '{"b":[],"a":{}}'))
  end)

  it("raises rather than leave something out", function()
    local loop = {}
    loop.loop = loop
    for problem, value in pairs {
      ["a function"] = print, ["with a number as a key"] = { [1.5] = 2 },
      ["with a number as"] = { [0] = 1 },
      ["both names and items"] = { 1, 2, name = "x" }, ["without its item 2"] = { 1, nil, 3 },
      ["without its item 1"] = { [2] = 1 }, ["more than 64 times"] = loop,
      ["a thread"] = { { coroutine.create(print) } }, ["with a boolean as a key"] = { [true] = 1 },
      ["not finite"] = { 0 / 0 }, ["is not finite"] = math.huge,
      ["an object with items"] = json.object { 1 },
    } do
      assert.error_matches(function() json.encode(value) end, problem, 1, true)
    end
    assert.error_matches(function() json.line { nil, 1 } end, "without its item 1")
  end)

  it("takes what pairs() gives, as of a view, whatever they do to others", function()
    local function view(values)
      return setmetatable({}, { __pairs = function() return pairs(values) end })
    end
    assert.equal('{"a":["x"],"b":{"c":1}}',
      json.line(view { a = view { "x" }, b = view { c = 1 } }))
    local table_of_all = { name = 1 }
    table_of_all.a = setmetatable({}, { __pairs = function()
      for key in pairs(table_of_all) do table_of_all[key] = nil end
      collectgarbage()
      return pairs { "x" }
    end })
    assert.equal('{"a":["x"],"name":null}', json.line(table_of_all))
    assert.error_matches(function()
      json.line(setmetatable({}, { __pairs = function() error "mine" end }))
    end, "mine")
  end)

  it("does not follow the locale, nor does what is read", function()
    local folder = temporary.folder()
    local words = { "localedef", "-i", "de_DE", "-f", "UTF-8", folder .. "/de_DE.UTF-8" }
    if process.run(words) ~= 0 then return pending "no locales can be made" end
    local script = temporary.file(folder, "script.lua", [[
      assert(os.setlocale "de_DE.UTF-8", "no locale")
      local json = require "lest.json"
      assert(json.line { 1.5, 0.1 } == "[1.5,0.1]")
      assert(json.decode "[1.5,-25e-1]"[1] == 1.5)
      io.write(("%.1f"):format(1.5))]])
    local _, out, err = process.run { "env", "LOCPATH=" .. folder, LEST_PREFIX .. "/bin/lest",
      "run", script }
    if err:find("no locale", 1, true) then return pending "no locale" end
    assert.equal("1,5", out, err)
  end)
end)
