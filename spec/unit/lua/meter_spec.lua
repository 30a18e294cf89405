-- What counts where no supervisor keeps the numbers, and with which arguments.
local meter = require("lest.core").meter

describe("core.meter", function()
  it("counts nothing in a process of its own", function()
    meter.add(meter.names.accepted, 1)
    meter.set(meter.names.connections, 1)
    meter.request(1, 200, 1, 1, 1000)
    assert.equal(0, meter.get(0, meter.names.connections))
    assert.is_nil(meter.read(0))
    assert.is_nil(meter.read(-1))
  end)

  it("raises for a name or a place that is none", function()
    for _, name in ipairs { -1, 255, 1 << 40 } do
      assert.has_error(function() meter.add(name, 1) end)
    end
    assert.has_error(function() meter.add(0, 1, 65536) end)
    assert.has_error(function() meter.add(0, 1, 0, 0, 0, 256) end)
    assert.has_error(function() meter.request(-1, 200, 0, 0, 1) end)
  end)
end)
