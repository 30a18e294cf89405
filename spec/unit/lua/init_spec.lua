-- The module `lest` gives its parts, and names the nearest one for a wrong name.
local core = require "lest.core"
local lest = require "lest"

describe("the module", function()
  it("loads its parts when they are used", function()
    assert.equal(core.key, lest.key)
    assert.equal(core.version, lest.version)
    assert.equal(require "lest.http", lest.http)
    local names = { "csr", "cert", "crl", "store", "csrattrs", "pkcs7", "url", "file", "json",
      "error", "spawn", "sleep", "all", "log" }
    for _, name in ipairs(names) do
      assert.is_truthy(lest[name], name)
    end
  end)

  it("names the nearest field for one that it lacks", function()
    assert.has_error(function() return lest.cliemt end,
      "lest has no field 'cliemt', did you mean 'client'?")
    assert.has_error(function() lest.key = 1 end, "lest.key cannot be set")
  end)

  it("makes a client of a table", function()
    assert.has_no_error(function() return lest.client { url = "https://h", trust = "x" } end)
    assert.has_error(function() return lest.client { url = "https://h", trsut = "x" } end,
      "lest.client has no option 'trsut', did you mean 'trust'?")
  end)
end)
