-- Plans of requests as code.
local plans = require "lest.testing.plan"

describe("a value as code", function()
  it("is that value again, whatever its texts and keys are", function()
    local value = { "a\n\"]]\27\u{202e}", { ["end"] = "x", ["nil"] = 1, ["a b"] = true, a_1 = 2.5 },
      ["--"] = { ["\"]=os.exit()--"] = "\\" } }
    assert.same(value, assert(load("return " .. plans.literal(value)))())
  end)
end)
