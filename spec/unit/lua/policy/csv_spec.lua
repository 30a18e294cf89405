-- CSV is read as RFC 4180 has it, and a file that is another way is refused with its row.
local csv = require "lest.policy.csv"

local function rows(text) return assert(csv.parse(text, "serial")) end

describe("CSV", function()
  it("gives a row by its key, with the columns of the header", function()
    for _, text in ipairs { "serial,host\n7,pump-7\n8,\n", "serial,host\r\n7,pump-7\r\n8,\r\n",
      "serial,host\n7,pump-7\n8,", "\xef\xbb\xbfserial,host\n7,pump-7\n8,\n",
      '"serial","host"\n"7","pump-7"\n"8",""\n' } do
      local all = rows(text)
      assert.same({ serial = "7", host = "pump-7" }, csv.row(all, "7"))
      assert.same({ serial = "8", host = "" }, csv.row(all, "8"))
      assert.is_nil(csv.row(all, "9"))
      assert.equal(2, all.count)
    end
  end)

  it("takes commas, quotes and line ends in quotes", function()
    local all = rows 'host,serial\n"a, ""b""\r\nc","7,8"\n'
    assert.equal('a, "b"\r\nc', csv.row(all, "7,8").host)
  end)

  it("may have no row but the header", function()
    assert.equal(0, rows("serial\n").count)
    assert.equal(0, rows("serial").count)
  end)

  it("refuses what could be read in two ways", function()
    for text, expected in pairs {
      [""] = "row 1: '' is no name of a column",
      ["host\n"] = "row 1: there is no column 'serial'",
      ["serial,serial\n"] = "row 1: the column 'serial' is there twice",
      ["serial, host\n"] = "row 1: ' host' is no name of a column",
      ["serial,host\n7\n"] = "row 2 has 1 fields, and the header 2",
      ["serial,host\n7,a,b\n"] = "row 2 has 3 fields, and the header 2",
      ["serial,host\n7,a\n\n8,b\n"] = "row 3 has 1 fields, and the header 2",
      ["serial\n7\n7\n"] = "row 3 has the key '7', which is there already",
      ["serial,host\n,a\n"] = "row 2 has no key",
      ['serial,host\n7,a"b\n'] = "row 2 a quote stands within a field",
      ['serial,host\n7,"a"b\n'] = "row 2 a field goes on after its end",
      ['serial,host\n7,"a\n'] = "row 2 a quote is not closed",
      ["serial\n7\r8\n"] = "row 2 a field goes on after its end",
      ["serial\n\xff\n"] = "it is not UTF-8",
      ["serial\n7\0\n"] = "it is not UTF-8",
      ["serial\n" .. ("x"):rep(1025)] = "row 2 has a key of more than 1024 bytes",
      [("a,"):rep(64) .. "serial\n"] = "row 1 has more than 64 fields",
    } do
      local all, problem = csv.parse(text, "serial")
      assert.is_nil(all)
      assert.truthy(problem:find(expected, 1, true), problem)
    end
  end)

  it("lets others have a turn while it reads many rows, and bounds them", function()
    local lines, turns = { "serial" }, 0
    for i = 1, 200000 do lines[i + 1] = tostring(i) end
    local all = assert(csv.parse(table.concat(lines, "\n"), "serial", function()
      turns = turns + 1
    end))
    assert.same({ 200000, 800 }, { all.count, turns })
    lines[200002] = "one more"
    local _, problem = csv.parse(table.concat(lines, "\n"), "serial")
    assert.matches("row 200002 is one more than the 200000 that are taken", problem)
  end)
end)
