-- The blocks of a PEM text: where each begins, and what is wrong with it.
local pem = require "lest.core".pem

describe("the blocks of a PEM text", function()
  local GOOD <const> = "-----BEGIN A-----\nQQ==\n-----END A-----\n"

  it("are told with their lines, also behind one that has no end", function()
    local blocks = pem.blocks("text\n" .. GOOD .. "\n-----BEGIN B-----\nQQ==\n" .. GOOD)
    local lines, problems = {}, {}
    for i, block in ipairs(blocks) do
      lines[i], problems[i] = block.line, block.problem or false
    end
    assert.same({ 2, 6, 8 }, lines)
    assert.is_false(problems[1] or problems[3])
    assert.matches("the END line of 'B' is missing", problems[2])
  end)

  it("7030-6-j are found in one look at the text, however many there are", function()
    local COUNT <const> = 100000
    local blocks = pem.blocks(("-----BEGIN A-----\n"):rep(COUNT))
    assert.equal(COUNT, #blocks)
    assert.equal(COUNT, blocks[COUNT].line)
  end)
end)
