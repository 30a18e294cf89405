-- What an agent makes of the server's clock: a sentence for people.
local server_clock = require "lest.agent.server_clock"

describe("the server's clock", function()
  local said, identity

  before_each(function()
    said = {}
    identity = { memory = {}, say = function(_, _, event, fields)
      said[#said + 1] = event .. ": " .. fields[2]
    end }
  end)

  it("is told of where it differs by minutes, once, and again where that changes", function()
    for _, offset in ipairs { 0, 299, -299, 600, 610, 590 } do
      server_clock.note(identity, offset)
    end
    server_clock.note(identity, nil)
    assert.equal(590, identity.memory.clock_offset)
    server_clock.note(identity, -7200)
    local text = "clock differs: this device's clock was %s when that last answered"
    assert.same({ text:format "behind the server's by 10m",
      text:format "ahead of the server's by 2h" }, said)
  end)

  it("is forgotten once it differs no more", function()
    server_clock.note(identity, 600)
    server_clock.note(identity, 5)
    assert.is_nil(identity.memory.clock_offset)
    assert.is_nil(server_clock.text(identity.memory.clock_offset))
  end)
end)
