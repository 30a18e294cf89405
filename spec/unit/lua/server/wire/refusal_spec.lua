-- Refusals, and what is none: nobody is to blame where memory was short.
local core = require "lest.core"
local refusal = require "lest.server.wire.refusal"

describe("a refusal", function()
  local short = core.error.new { code = "no_memory", message = "out of memory" }

  it("has the status and the reason of an error in what the client sent", function()
    local err = core.error.new { code = "csr_malformed", message = "the CSR is cut off" }
    local ok, problem = pcall(refusal.raise_for, 400, err)
    assert.is_false(ok)
    assert.is_true(refusal.is(problem))
    assert.same({ 400, "the CSR is cut off" }, { problem.status, problem.reason })
  end)

  it("is not made of an error that says that memory was short", function()
    local ok, problem = pcall(refusal.raise_for, 400, short)
    assert.is_false(ok)
    assert.is_false(refusal.is(problem))
    assert.is_true(refusal.is_of_memory(problem))
    assert.is_false((pcall(refusal.raise_memory, short)))
    assert.is_false((pcall(refusal.raise_memory, "not enough memory")))
  end)

  it("lets other errors pass", function()
    refusal.raise_memory(nil)
    refusal.raise_memory "x.lua:1: not enough memory"
    refusal.raise_memory(core.error.new { code = "ledger", message = "the disk is full" })
  end)
end)
