-- What a worker keeps of the documents that authorities give it, one after the other.
local core = require "lest.core"
local documents = require "lest.server.worker.documents"

describe("a worker's documents", function()
  it("go on where the next authority has none yet", function()
    local link = {}
    local held = documents.new(link)
    local function give(bytes)
      link.on_document({ path = "/crl/ca.crl" }, assert(core.sealed.new(bytes)))
      return held.at["/crl/ca.crl"].sealed:bytes()
    end
    assert.equal("", give "")
    assert.equal("first", give "first")
    assert.equal("first", give "")
    assert.equal("second", give "second")
  end)
end)
