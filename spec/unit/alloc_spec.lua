-- Short memory: spec/alloc/alloc.c refuses each allocation in turn.
describe("short memory", function()
  it("fails what it meets and nothing else, forgets nothing and grants nothing", function()
    local pipe <close> = assert(io.popen(("'%s/fixture/alloc' -v 2>&1"):format(LEST_PREFIX)))
    local output = pipe:read "a"
    assert(pipe:close(), output:sub(-4000))
    assert.matches("\n%d%d%d+ refused allocations, 0 of them wrong\n$", output)
  end)
end)
