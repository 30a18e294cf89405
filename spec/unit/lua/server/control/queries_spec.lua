-- Questions of a prompt to the ledger, one after the other: one that cannot be asked is refused and
-- keeps none of those behind it waiting.
local queries = require "lest.server.control.queries"

describe("questions to the ledger", function()
  local children, visitor, asked

  before_each(function()
    -- As control/children.lua, where processes can be made for some of what is asked.
    children = { is_full = function() return false end,
      start = function(_, _, _, _, on_end)
        if children.refuses then return nil, { code = "system", message = "no process" } end
        children.on_end = on_end
        return {}
      end }
    visitor = { peer = { uid = 0 }, channel = {}, answers = {},
      refuse = function(self, frame) table.insert(self.answers, frame) end }
    asked = queries.new({}, children)
  end)

  it("are refused where no process can be made, also those that waited", function()
    for id = 1, 3 do asked:ask(visitor, { id = id, what = "cert", query = {} }) end
    assert.same({}, visitor.answers)
    children.refuses = true
    children.on_end(0)
    assert.same({ 2, 3 }, { visitor.answers[1].id, visitor.answers[2].id })
    children.refuses = false
    asked:ask(visitor, { id = 4, what = "cert", query = {} })
    assert.equal(2, #visitor.answers)
    children.on_end(1)
    assert.equal(4, visitor.answers[3].id)
  end)
end)
