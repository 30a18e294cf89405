-- The picture and the words of a simulation, from counts that are made up.
local plot = require "lest.fleet.plot"
local report = require "lest.fleet.report"
local tallies = require "lest.fleet.tally"

local DAY <const> = 86400

-- Of so many days, with a renewal an hour.
local function simulation(days)
  local from = 1930367167
  local tally = tallies.new(from, from + days * DAY)
  for hour = 0, days * 24 - 1 do tally:count("renewed", from + hour * 3600) end
  tally:count("first", from)
  tally:span("away", from + DAY, from + 2 * DAY)
  table.insert(tally.marks, { at = from + DAY, to = from + 2 * DAY, name = "outage <&> 1d" })
  table.insert(tally.marks, { at = from + DAY, name = "rollover" })
  local devices = { { was_expired = true }, {} }
  return { tally = tally, devices = devices, cpu_s = 1, took_s = 2,
    states = { valid = 1, away = 1, expired = 0, never = 0 }, lost = function() return 0 end }
end

describe("the plot of a simulation", function()
  -- Each element ends, and nothing is left open.
  local function check(svg)
    local open = {}
    for closing, name, rest in svg:gmatch "<(/?)(%a+)([^>]*)>" do
      if closing == "/" then
        assert.equal(table.remove(open), name)
      elseif rest:sub(-1) ~= "/" then
        table.insert(open, name)
      end
    end
    assert.same({}, open)
    assert.is_nil(svg:find "nan")
    assert.is_nil(svg:find "inf")
  end

  it("is whole, for a day and for ten years", function()
    for _, days in ipairs { 2, 30, 90, 365, 3650 } do
      local one = simulation(days)
      local svg = plot.svg(one, report.figures(one))
      check(svg)
      assert.is_truthy(svg:find("outage &lt;&amp;&gt; 1d", 1, true))
      assert.is_truthy(svg:find("rollover", 1, true))
      assert.is_truthy(svg:find("2 devices, 04 Mar 2031 to", 1, true))
      assert.is_true(#svg < 200000, #svg)
    end
  end)

  it("names axes, and what its colours stand for", function()
    local one = simulation(365)
    local svg = plot.svg(one, report.figures(one))
    for _, words in ipairs { "Certificates ", "renewed in time", "away", "Jan 2032",
      "twice the mean", "Devices" } do
      assert.is_truthy(svg:find(words, 1, true), words)
    end
  end)
end)

describe("the report of a simulation", function()
  it("has lines for people and hours for machines", function()
    local one = simulation(365)
    local text = {}
    for i, row in ipairs(report.rows(report.figures(one))) do text[i] = table.concat(row, ": ") end
    text = table.concat(text, "\n")
    for _, words in ipairs { "devices: 2: 1 valid", "lost: 0", "1 first, 8760 renewals in time",
      "expired: 1 devices", "outage: 1d from 2031-03-05" } do
      assert.matches(words, text, 1, true)
    end
    local csv = report.csv(one.tally)
    local _, lines = csv:gsub("\n", "")
    assert.equal(365 * 24 + 1, lines)
    assert.matches("^time,first,renewed,", csv)
  end)
end)
