-- The keys of FLEET.lua, held against what OPERATING.md says of them.
local process = require "support.process"
local shape = require "lest.fleet.shape"

describe("FLEET.lua", function()
  local text

  setup(function()
    local all = process.read "OPERATING.md"
    text = all:match "## Simulating a fleet\n(.-)\n## "
  end)

  local function told(fields)
    for key in pairs(fields) do
      assert.is_truthy(text:find("`" .. key .. "%f[^%w_]"), key)
    end
  end

  it("has no key that is told nowhere", function()
    told(shape.fleet.fields)
    told(shape.fleet.fields.groups.inner.element.fields)
    told(shape.fleet.fields.events.inner.element.fields)
    told(shape.load.fields)
  end)
end)
