-- How the REPL shows values: escaped, cut, and without the passwords that objects keep.
local core = require "lest.core"
local show = require "lest.tool.inspect.show"

describe("show", function()
  it("escapes strings, keeps UTF-8", function()
    assert.equal('"a\\n\\"\\\\\\x00\\x1b\\xffé"', show.text 'a\n"\\\0\27\xffé')
    assert.equal('"\\u{9b}"', show.text "\u{9b}")
  end)

  it("cuts long strings and says their length", function()
    assert.matches('^"x+"%.%.%. %(5000 bytes%)$', show.text(("x"):rep(5000)))
  end)

  it("sorts keys and brackets those that need it", function()
    assert.equal('{ 1, 2, a = true, b = {}, ["end"] = 1.5, ["x y"] = "z" }',
      show.text { 1, 2, b = {}, a = true, ["x y"] = "z", ["end"] = 1.5 })
    assert.equal("{ [0] = 1, [3] = 2 }", show.text { [0] = 1, [3] = 2 })
    assert.equal("{ [true] = 1 }", show.text { [true] = 1 })
  end)

  it("breaks what is wide into lines", function()
    local text = show.text { name = ("n"):rep(50), other = { value = ("v"):rep(50) } }
    assert.equal(('{\n  name = "%s",\n  other = { value = "%s" }\n}'):format(("n"):rep(50),
      ("v"):rep(50)), text)
  end)

  it("ends at cycles, at depth, and at many items", function()
    local loop = {}
    loop.me = loop
    assert.equal("{ me = <the table above it> }", show.text(loop))
    local shared = { 1 }
    assert.equal("{ { 1 }, { 1 } }", show.text { shared, shared })
    local deep = {}
    for _ = 1, 50 do deep = { deep } end
    assert.matches("{ %.%.%. }", show.text(deep))
    local many = {}
    for i = 1, 1000 do many[i] = i end
    assert.matches("%.%.%. 900 more", show.text(many))
    many = {}
    for i = 1, 1000 do many["k" .. i] = i end
    assert.matches("%.%.%. 900 more", show.text(many))
  end)

  it("does not run into a table's metamethods", function()
    local odd = setmetatable({ a = 1 }, { __index = function() error "x" end, __len = error,
      __pairs = error })
    assert.equal("{ a = 1 }", show.text(odd))
    assert.equal("<table>", show.text(setmetatable({}, { __tostring = function() error "x" end })))
  end)

  it("says where a function is from", function()
    assert.matches("^<function .*show_spec.lua:%d+>$", show.text(function() end))
    assert.equal("<function, C>", show.text(print))
  end)

  it("shows an error with its detail and all its causes", function()
    local err = core.error.new { code = "trust", message = "no chain", operation = "cacerts",
      reason = "who?\27", cause = core.error.new { code = "crypto", message = "bad",
        detail = "one; two", cause = "a string" } }
    assert.equal([[
error: cacerts: no chain [trust]
  reason: who?\x1b
caused by: bad [crypto]
  detail: one
          two
caused by: a string]], show.error(err))
    assert.equal(show.error(err), show.text(err))
  end)

  it("shows a message as it is, and nothing in it that a terminal obeys", function()
    local text = 'names { { "CN", "dev" } }\n\27[2J\u{202e}'
    local safe = [[names { { "CN", "dev" } }\n\x1b[2J\u{202e}]]
    assert.equal("error: " .. safe, show.error(text))
    assert.equal("error: " .. safe .. " [usage]\n  detail: " .. safe .. "\ncaused by: " .. safe,
      show.error(core.error.new { code = "usage", message = text, detail = text, cause = text }))
    assert.equal(safe, show.text(setmetatable({}, { __tostring = function() return text end })))
  end)

  it("shows names as text, keys and the like as inspect does, other handles by class", function()
    assert.equal('"CN=x"', show.text(core.name.parse "CN=x"))
    assert.matches("^Private key\n +Public key +ed25519", show.text(core.key.generate "ed25519"))
    assert.equal("lest.store", show.text(assert(core.store.new {})))
  end)

  it("shows an object within a table in one line", function()
    local key = assert(core.key.generate "ec:P-256")
    local csr = assert(core.csr.build { key = key, subject = "CN=x" })
    assert.equal("{ lest.key ec:P-256, lest.csr CN=x }", show.text { key, csr })
  end)

  it("does not show the passwords that objects keep", function()
    local client = setmetatable({ options = { username = "u", password = "p" }, passphrase = 1 },
      { __name = "lest.thing" })
    assert.equal('lest.thing { options = { password = <hidden>, username = "u" }, '
      .. "passphrase = <hidden> }", (show.text(client):gsub("%s+", " ")))
    assert.equal('{ password = "p" }', show.text { password = "p" })
  end)
end)
