-- The state of a simulated device, held against the agent's on disk.
local core = require "lest.core"
local places = require "lest.fleet.place"
local store = require "lest.agent.store"

-- Of files and hooks, and of requests that others carry, which a simulated device has not.
local ELSEWHERE <const> = { generation = true, before = true, switch = true, carry = true,
  carried = true }

describe("a place in memory", function()
  it("does what a folder of the agent's does", function()
    local function methods(place)
      local names = {}
      for name, value in pairs(getmetatable(place).__index) do
        if type(value) == "function" and not ELSEWHERE[name] then names[#names + 1] = name end
      end
      table.sort(names)
      return names
    end
    assert.same(methods(store.new "/nowhere"), methods(places.new()))
  end)

  it("keeps what it was given as it was then", function()
    local place = places.new()
    local memory = { failures = 1, retry = { at = 5 } }
    place:remember(memory)
    memory.retry.at = 6
    assert.same({ failures = 1, retry = { at = 5 } }, place:memory())
    place:memory().failures = 9
    assert.equal(1, place:memory().failures)
  end)

  it("has a request until it is finished or forgotten", function()
    local place = places.new()
    local key = assert(core.key.generate "ec:P-256")
    assert.is_nil(place:pending())
    place:begin(key, { way = "bootstrap" })
    local kept, request = place:pending()
    assert.equal(key, kept)
    assert.same({ way = "bootstrap" }, request)
    assert.equal(1, place:finish {})
    assert.is_nil(place:pending())
    assert.equal(key, place:key())
    place:begin(assert(core.key.generate "ec:P-256"), {})
    place:forget()
    assert.is_nil(place:pending())
    assert.equal(key, place:key())
  end)
end)
