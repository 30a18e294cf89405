-- Slow work that networks share: who runs next, and who loses a place.
local lanes_module = require "lest.server.authority.lanes"

describe("lanes", function()
  local ran, dropped, ends

  local function new(running, waiting)
    ran, dropped, ends = {}, {}, {}
    return lanes_module.new {
      running = running, waiting = waiting,
      run = function(job, done)
        table.insert(ran, job)
        table.insert(ends, done)
      end,
      drop = function(job) table.insert(dropped, job) end,
    }
  end

  local function finish(count)
    for _ = 1, count do table.remove(ends, 1)() end
  end

  it("run so many jobs at once, and each lane's in their order", function()
    local lanes = new(2, 10)
    for i = 1, 5 do assert.is_true(lanes:add("a", i)) end
    assert.same({ 1, 2 }, ran)
    finish(3)
    assert.same({ 1, 2, 3, 4, 5 }, ran)
    finish(2)
    assert.same({ {}, {} }, { ends, lanes.by_key })
  end)

  it("take turns", function()
    local lanes = new(1, 10)
    for i = 1, 4 do lanes:add("a", "a" .. i) end
    lanes:add("b", "b1")
    lanes:add("c", "c1")
    lanes:add("b", "b2")
    finish(6)
    assert.same({ "a1", "a2", "b1", "c1", "a3", "b2", "a4" }, ran)
  end)

  it("make room for a shorter lane in the longest one, from its end", function()
    local lanes = new(1, 4)
    for i = 1, 5 do assert.is_true(lanes:add("a", "a" .. i)) end
    assert.is_false(lanes:add("a", "a6"))
    assert.is_true(lanes:add("b", "b1"))
    assert.is_true(lanes:add("c", "c1"))
    assert.same({ "a5", "a4" }, dropped)
    assert.is_true(lanes:add("d", "d1"))
    assert.is_false(lanes:add("e", "e1"))
    assert.is_false(lanes:add("a", "a7"))
    finish(4)
    assert.same({ "a1", "a2", "b1", "c1", "d1" }, ran)
  end)

  it("go on when a job ends at once, or says so twice", function()
    local lanes
    lanes = lanes_module.new { running = 1, waiting = 5, drop = error,
      run = function(job, done)
        ran[#ran + 1] = job
        done()
        done()
      end }
    ran = {}
    for i = 1, 3 do assert.is_true(lanes:add("a", i)) end
    assert.same({ 1, 2, 3 }, ran)
    assert.equal(0, lanes.running)
  end)
end)
