-- What of a client's certificates the worker sends on: no more than a message has room for.
local certificate = require "lest.server.worker.proofs.certificate"
local message = require "lest.server.wire.message"
local refusal = require "lest.server.wire.refusal"

describe("the proof of a certificate", function()
  local function chain_of(count)
    local chain = {}
    for i = 1, count do chain[i] = "der " .. i end
    return chain
  end

  it("is the chain as it came, and none where the client showed none", function()
    assert.same(chain_of(3), certificate.collect { peer_chain = chain_of(3) })
    assert.is_nil(certificate.collect {})
  end)

  it("is no longer than a message's list, whatever the client sent besides", function()
    local longest = chain_of(message.CHAIN_MAX)
    for more = 0, 2 do
      local chain = chain_of(message.CHAIN_MAX + more)
      assert.same(longest, certificate.collect { peer_chain = chain })
    end
  end)

  it("is refused where one of the chain is larger than any can be, wherever it stands", function()
    local large = ("x"):rep(message.CERTIFICATE_MAX)
    for i = 1, message.CHAIN_MAX + 1 do
      local chain = chain_of(message.CHAIN_MAX + 1)
      chain[i] = large
      assert.is_table(certificate.collect { peer_chain = chain })
      chain[i] = large .. "x"
      local ok, problem = pcall(certificate.collect, { peer_chain = chain })
      assert.is_false(ok)
      assert.is_true(refusal.is(problem), tostring(problem))
      assert.equal(403, problem.status)
    end
  end)
end)
