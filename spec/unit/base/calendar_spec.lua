-- The calendar, asked through HTTP dates; the C library's is the other opinion.
local http = require("lest.core").http

local LAST <const> = 253402300799 -- the end of 9999

describe("the calendar", function()
  it("agrees with the C library in both directions from 1970 to 9999", function()
    local function same(seconds)
      local text = os.date("!%a, %d %b %Y %H:%M:%S GMT", seconds)
      assert.equal(text, http.format_date(seconds))
      assert.equal(seconds, http.date(text, 0))
    end
    for seconds = 0, LAST, 86400 * 97 + 3671 do same(seconds) end
    for year = 1970, 9970, 10 do
      for _, day in ipairs { { 2, 28 }, { 3, 1 }, { 12, 31 } } do
        local noon = os.time { year = year, month = day[1], day = day[2], hour = 12 }
        same(noon - noon % 86400)
        same(noon - noon % 86400 + 86399)
      end
    end
    same(LAST)
  end)

  it("counts from the year 0 on", function()
    for date, seconds in pairs { ["01 Jan 0000"] = -62167219200, ["29 Feb 0000"] = -62162121600,
      ["01 Mar 0000"] = -62162035200, ["01 Jan 0001"] = -62135596800,
      ["31 Dec 1969"] = -86400 } do
      assert.equal(seconds, http.date(("Sat, %s 00:00:00 GMT"):format(date), 0), date)
    end
  end)

  it("knows which days there are", function()
    for _, day in ipairs { "29 Feb 2023", "29 Feb 2100", "30 Feb 2024", "31 Apr 2024",
      "00 May 2024", "32 Dec 2024" } do
      assert.is_nil(http.date(("Mon, %s 00:00:00 GMT"):format(day), 0), day)
    end
    for _, day in ipairs { "29 Feb 2024", "29 Feb 2000", "31 Dec 2023" } do
      assert.is_truthy(http.date(("Mon, %s 00:00:00 GMT"):format(day), 0), day)
    end
  end)
end)
