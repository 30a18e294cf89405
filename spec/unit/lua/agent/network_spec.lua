-- When an agent tries after news of a network: a function of time.
local network = require "lest.agent.network"

describe("the news of a network", function()
  local function new()
    return network.new(function() return 0.5 end)
  end

  it("are tried some seconds later, once for all that come meanwhile", function()
    local it_is = new()
    assert.same({ 3.0, true }, { it_is:news(1000) })
    assert.is_nil(it_is:news(1001))
    assert.is_nil(it_is:news(1002))
    it_is:try(1003)
    assert.same({ 10.0, false }, { it_is:news(1003) })
  end)

  it("are each used at once where quiet was between them", function()
    local it_is = new()
    for now = 0, 100000, 1000 do
      assert.same({ 3.0, true }, { it_is:news(now) })
      it_is:try(now + 3)
    end
  end)

  it("count less and less where they never end", function()
    local it_is, tries, at = new(), {}, nil
    for now = 0, 24 * 3600, 2 do
      if at and now >= at then
        it_is:try(now)
        tries[#tries + 1], at = now, nil
      end
      local delay = it_is:news(now)
      if delay then at = now + delay end
    end
    assert.is_true(#tries < 24 * 4 + 10, #tries)
    assert.is_true(tries[#tries] > 24 * 3600 - 901)
  end)

  it("are never far away by a clock that jumps", function()
    local it_is = new()
    it_is:news(1000000)
    it_is:try(1000003)
    assert.same({ 3.0, true }, { it_is:news(1000) })
    it_is:try(1003)
    assert.same({ 3.0, true }, { it_is:news(2000000) })
  end)
end)
