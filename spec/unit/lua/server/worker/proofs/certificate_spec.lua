-- What of a client's certificates the worker sends on: no more than a message has room for.
local certificate = require "lest.server.worker.proofs.certificate"
local message = require "lest.server.wire.message"
local refusal = require "lest.server.wire.refusal"

describe("the proof of a certificate", function()
  local function collect(exchange, renews, grace)
    return certificate.collect(exchange, { row = { renews = renews or false },
      label = { options = { expired_grace = grace or 0 } } })
  end

  local function chain_of(count)
    local chain = {}
    for i = 1, count do chain[i] = "der " .. i end
    return chain
  end

  it("is the chain as it came, and none where the client showed none", function()
    assert.same(chain_of(3), collect { peer_chain = chain_of(3) })
    assert.is_nil(collect {})
  end)

  it("is that of one which has expired where it is renewed, and the label has grace", function()
    local exchange = { peer_expired = chain_of(2) }
    assert.same(chain_of(2), collect(exchange, true, 1))
    assert.is_nil(collect(exchange, true, 0))
    assert.is_nil(collect(exchange, false, 1))
    exchange.peer_chain = chain_of(1)
    assert.same(chain_of(1), collect(exchange, true, 1))
  end)

  it("is no longer than a message's list, whatever the client sent besides", function()
    local longest = chain_of(message.CHAIN_MAX)
    for more = 0, 2 do
      local chain = chain_of(message.CHAIN_MAX + more)
      assert.same(longest, collect { peer_chain = chain })
    end
  end)

  it("is refused where one of the chain is larger than any can be, wherever it stands", function()
    local large = ("x"):rep(message.CERTIFICATE_MAX)
    for i = 1, message.CHAIN_MAX + 1 do
      local chain = chain_of(message.CHAIN_MAX + 1)
      chain[i] = large
      assert.is_table(collect { peer_chain = chain })
      chain[i] = large .. "x"
      local ok, problem = pcall(collect, { peer_chain = chain })
      assert.is_false(ok)
      assert.is_true(refusal.is(problem), tostring(problem))
      assert.equal(403, problem.status)
    end
  end)
end)
