-- What an authority's request says of itself to a worker.
local request_module = require "lest.server.authority.request"

describe("a request of the authority", function()
  local request

  before_each(function()
    request = request_module.new({}, { id = "1", operation = "simpleenroll" }, {}, 0)
  end)

  it("is about nobody until somebody is proven", function()
    assert.same({}, { request:who(), request:about() })
  end)

  it("names its device whole or not at all: another's may begin as a long one does", function()
    request:prove("basic", {}, { kind = "basic" }, ("x"):rep(1024))
    assert.equal(("x"):rep(1024), request:about())
    request.device = request.device .. "y"
    assert.is_nil(request:about())
    assert.equal(1024, #request:who())
  end)
end)
