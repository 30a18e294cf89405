-- HTTP Digest as both ends compute it, by the examples of RFC 7616 3.9.1.
local digest = require "lest.base.digest"

describe("Digest", function()
  it("7616-3.7-a computes what the RFC does", function()
    local said = { nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc = "00000001",
      cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", method = "GET",
      uri = "/dir/index.html" }
    for algorithm, expected in pairs {
      MD5 = "8ca523f5e9506fed4657c9700eebdbec",
      ["SHA-256"] = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
    } do
      local secret = digest.secret(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life")
      assert.equal(expected, digest.response(algorithm, secret, said))
    end
  end)
end)
