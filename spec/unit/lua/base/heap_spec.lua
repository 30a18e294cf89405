-- The heap of what is due.
local heap = require "lest.base.heap"

describe("lest.base.heap", function()
  it("gives the earliest first, whatever came when", function()
    math.randomseed(7)
    local list, expected = {}, {}
    for i = 1, 500 do
      expected[i] = math.random(100)
      heap.push(list, { due = expected[i] })
      if i % 5 == 0 then
        table.sort(expected)
        assert.equal(expected[1], heap.pop(list).due)
        expected[1] = math.huge
      end
    end
    table.sort(expected)
    for _, due in ipairs(expected) do
      local entry = heap.pop(list)
      assert.equal(due ~= math.huge and due or nil, entry and entry.due)
    end
    assert.same({}, list)
  end)
end)
